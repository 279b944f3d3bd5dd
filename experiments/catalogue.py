"""All experiments by name."""

from __future__ import annotations

from experiments import (
    contrastive_similarities,
    does_it_pay,
    free_orbit,
    jigsaw_actions,
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
)
EXPERIMENTS = {module.EXPERIMENT.name: module.EXPERIMENT for module in MODULES}
