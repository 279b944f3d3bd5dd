"""What the words of a command mean: a network and what it learns, by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from eqssl_edu import contrastive, pretext
from eqssl_edu.circle import FreeAngleHead
from eqssl_edu.encoders import Encoder, GroupCNN, GroupResNet
from eqssl_edu.errors import got
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.layers import GroupLinear, GroupMLP
from eqssl_edu.views import RandomView

__all__ = ["LOSSES", "TASKS", "encoder_of", "model_of"]

CIRCLES = {"SO2": "SO(2)", "O2": "O(2)"}
TASKS = {
    "rotation": pretext.RotationTask,
    "location": pretext.RelativeLocationTask,
    "jigsaw": pretext.JigsawTask,
    "angle": pretext.AngleTask,
}
LOSSES = {
    "infonce": contrastive.InfoNCE,
    "moco": contrastive.MoCo,
    "vicreg": contrastive.VICReg,
    "barlow_twins": contrastive.BarlowTwins,
    "simsiam": contrastive.SimSiam,
    "byol": contrastive.BYOL,
}


def encoder_of(settings: Mapping[str, Any], image: tuple[int, int, int], seed: int) -> Encoder:
    """The encoder that the settings name, with random weights, for images of this shape."""
    kind, group, channels = settings["encoder"], settings["group"], image[0]
    chosen = _given(settings, "channels", "width")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "SteerableCNN":
            from eqssl_edu.steerable import SteerableCNN  # it needs escnn

            symmetry = CIRCLES.get(group) or _finite(group)
            return _made(SteerableCNN, "encoder", kind, chosen, symmetry, in_channels=channels)
        if group in CIRCLES:
            raise ValueError(f"group {group} needs encoder SteerableCNN, got {kind}")
        constructor = {"GroupCNN": GroupCNN, "GroupResNet": GroupResNet}[kind]
        return _made(constructor, "encoder", kind, chosen, _finite(group), in_channels=channels)


def model_of(settings: Mapping[str, Any], image: tuple[int, int, int]) -> nn.Module:
    """The encoder with a head and a task, or with a projector, a loss and views, as the settings name them."""
    encoder, task = encoder_of(settings, image, settings["seed"]), settings["task"]
    of_task = _given(settings, "grid", "action", "count", "similarity", "temperature")
    views = {name: float(value) for name, value in dict(settings["views"]).items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings["seed"])
        if task in LOSSES:
            loss = _made(LOSSES[task], "task", task, of_task, encoder.group)
            turned = _on_the_grid(encoder.group) if settings["turn"] else None
            return contrastive.ContrastiveModel(
                encoder, loss, RandomView(turned, **views), _projector(encoder)
            )
        usual = RandomView()
        for name, value in views.items():
            if value != getattr(usual, name):
                raise ValueError(
                    f"views.{name} says nothing to task {task}, which sees no views: leave it out"
                )
        if task == "angle":
            turns = (
                not encoder.group.is_finite or encoder.group.rotations > 2
            )  # else there is no universal head
            head = None if turns else FreeAngleHead(encoder.out_channels, encoder.group.order)
            return pretext.AngleModel(encoder, _made(pretext.AngleTask, "task", task, of_task), head)
        patches = {"rotation": {}, "location": {"patch": _patch(image)}, "jigsaw": {"gap": 1, "jitter": 1}}
        posed = _made(TASKS[task], "task", task, of_task, encoder.group, **patches[task])
        return pretext.PretextModel(encoder, posed)


def _given(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of the settings that say something."""
    return {name: settings[name] for name in names if settings[name] is not None}


def _made(
    kind: Callable[..., Any], option: str, name: str, chosen: dict[str, Any], *arguments: Any, **more: Any
) -> Any:
    """A thing of this kind; ValueError for a setting that says nothing to it."""
    known = inspect.signature(kind).parameters
    for setting, value in chosen.items():
        if setting not in known:
            raise ValueError(f"{setting} says nothing to {option} {name}: leave it out, {got(value)}")
    return kind(*arguments, **more, **chosen)


def _finite(name: str) -> FiniteGroup:
    """C4, D8, ..."""
    found = re.fullmatch(r"([CD])([1-9]\d{0,2})", name)
    if not found:
        raise ValueError(f"group must be C1, C2, C4, C8, D4, ... or SO2 or O2, {got(name)}")
    return (cyclic if found[1] == "C" else dihedral)(int(found[2]))


def _on_the_grid(group: FiniteGroup) -> FiniteGroup:
    """Those elements of a group that map pixels to pixels."""
    if group.is_finite and group.exact_on_grid:
        return group
    turns = next(n for n in (4, 2, 1) if not group.is_finite or group.rotations % n == 0)
    return (dihedral if group.reflections else cyclic)(turns)


def _projector(encoder: Encoder) -> nn.Module:
    """Two layers of the encoder's width; one over SO(2) and O(2), where no ReLU of samples commutes with turns."""
    width = encoder.out_channels
    if not encoder.group.is_finite:
        return GroupLinear(encoder.group, width, width)
    return GroupMLP(encoder.group, (width, width, width))


def _patch(image: tuple[int, int, int]) -> int:
    """The largest patch of which two find room beside each other, with a gap and a jitter of one pixel."""
    side = image[-1]
    patch = (side - 4) // 3
    return max(1, patch - (side - patch) % 2)
