"""All experiments by name."""

from __future__ import annotations

from experiments import (
    contrastive,
    contrastive_page,
    free_orbit,
    free_orbit_page,
    jigsaw_actions,
    jigsaw_page,
    rotation,
    rotation_page,
)
from experiments.runs import Experiment

__all__ = ["EXPERIMENTS"]

IMAGES = ("digits", "glyphs", "mnist", "rotated-mnist")


def _entry(name: str, data: tuple[str, ...], epochs: int, work, text) -> Experiment:
    return Experiment(name, data, epochs, work.CELLS, work.run, text.page, text.figures)


EXPERIMENTS = {
    entry.name: entry
    for entry in (
        _entry("jigsaw-actions", IMAGES, 30, jigsaw_actions, jigsaw_page),
        _entry("rotation", ("glyphs", "digits", "mnist", "rotated-mnist"), 4, rotation, rotation_page),
        _entry("free-orbit", IMAGES, 1, free_orbit, free_orbit_page),
        _entry(
            "contrastive",
            ("glyphs", "glyphs-pose", "glyphs-pose-even", "digits", "mnist", "rotated-mnist", "cifar10"),
            6,
            contrastive,
            contrastive_page,
        ),
    )
}
