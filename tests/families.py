"""What several tests share: features, images, turned copies, and lightly's losses as independent twins."""

import importlib
import importlib.util
import sys
import types
from pathlib import Path

import pytest
import torch

from eqssl_edu.circle import turn_features
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

GROUPS = [cyclic(1), cyclic(4), cyclic(8), dihedral(1), dihedral(4)]
by_name = {"ids": lambda group: group.name}


def features(group, count=8, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, group.order, dtype=torch.float64, generator=generator)


def two_views(group, count=8, channels=3):
    """Features of two views of the same images: alike, but not the same."""
    z = features(group, count, channels)
    return z, z + 0.5 * features(group, count, channels, seed=1)


def own_elements(group, count, seed=9):
    return torch.randint(group.order, (count,), generator=torch.Generator().manual_seed(seed))


def turned(group, *batches):
    """Every member of every batch moved by an element of its own."""
    return [
        group.transform_features(z, own_elements(group, len(z), seed)) for seed, z in enumerate(batches, 2)
    ]


def circle_features(group, count=8, channels=3, seed=0):
    """Of SO(2) or O(2): a function of all frequencies 0 .. L in each channel, nothing above."""
    z = features(group, count, channels, seed).unflatten(2, (-1, group.rotations))
    coefficients = torch.fft.rfft(z)
    coefficients[..., group.frequency + 1 :] = 0
    return torch.fft.irfft(coefficients, n=group.rotations).flatten(2)


def turned_anyhow(group, *batches):
    """Every member of every batch turned by an angle of its own, and over O(2) half of them flipped before it."""
    answer = []
    for seed, z in enumerate(batches, 2):
        generator = torch.Generator().manual_seed(seed)
        flips = torch.randint(2, (len(z),), generator=generator) * group.rotations * group.reflections
        angles = 360 * torch.rand(len(z), generator=generator, dtype=torch.float64)
        answer.append(turn_features(group, group.transform_features(z, flips), angles))
    return answer


def joined_with_turned_copies(group, z):
    """A batch with all |G| turned copies of its members, as plain vectors (B|G|, C|G|)."""
    return torch.cat([group.transform_features(z, g) for g in group.elements]).flatten(1)


def side_by_side(*sets):
    """The disjoint union."""
    starts = [sum(labels.size for labels in sets[:i]) for i in range(len(sets))]
    columns = [start + labels.action for start, labels in zip(starts, sets, strict=True)]
    return GSet(sets[0].group, torch.cat(columns, dim=1))


def lightly_loss(module):
    """A module of ``lightly.loss``; skips without lightly.

    Importing lightly imports torchvision, which its losses never use. So the packages above them are replaced by
    bare ones: only the file of the loss itself is run.
    """
    found = importlib.util.find_spec("lightly")
    if found is None:
        pytest.skip("needs lightly: pip install --no-deps lightly")
    root = Path(next(iter(found.submodule_search_locations)))
    bare = ["lightly", *(f"lightly.{name}" for name in ("loss", "utils", "models", "models.modules"))]
    before = dict(sys.modules)
    try:
        for name in [*bare, "lightly.models.utils"]:
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__path__ = [str(root.parent.joinpath(*name.split(".")))]
        return importlib.import_module(f"lightly.loss.{module}")
    finally:
        for name in [name for name in sys.modules if name.startswith("lightly")]:
            del sys.modules[name]
        sys.modules.update({name: old for name, old in before.items() if name.startswith("lightly")})


# -- pretext tasks -------------------------------------------------------------------------------------------------


def noise(count=4, size=16, channels=1, seed=0, dtype=torch.float64):
    """Images without any symmetry."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, size, size, dtype=dtype, generator=generator)


def label_error(model, task, inputs):
    """The largest |o(g y)[g.l] - o(y)[l]| over all g: do logits move as the labels do? They must not be all alike."""
    logits = model(inputs).detach()
    assert logits.std() > 1e-4
    return max(
        (model(task.transform(inputs, g)).detach() - task.labels.transform(logits, g)).abs().max()
        for g in task.group.elements
    )


def turned_inputs_agree(task, images):
    """For each g: is g . a(x, l) = a(g x, g.l) bit for bit, with the task's own random draws?"""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(task.labels.size, (len(images),), generator=generator)
    draws = task.draw(images, generator)
    inputs = task.apply(images, labels, draws)
    return [
        torch.equal(
            task.transform(inputs, g),
            task.apply(
                task.group.transform(images, g),
                task.labels.act(g, labels),
                task.transform_draws(draws, g, labels),
            ),
        )
        for g in task.group.elements
    ]
