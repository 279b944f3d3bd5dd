"""All experiments by name."""

from __future__ import annotations

from experiments import (
    contrastive_similarities,
    does_it_pay,
    every_angle,
    free_orbit,
    jigsaw_actions,
    learned_equivariance,
    number_of_labels,
    rotation_heads,
    temperatures,
)

__all__ = ["EXPERIMENTS"]

MODULES = (
    does_it_pay,
    jigsaw_actions,
    rotation_heads,
    number_of_labels,
    free_orbit,
    temperatures,
    contrastive_similarities,
    every_angle,
    learned_equivariance,
)
EXPERIMENTS = {module.EXPERIMENT.name: module.EXPERIMENT for module in MODULES}
