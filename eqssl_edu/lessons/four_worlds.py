"""Four small sets of images of known symmetry, as files of four kinds: what stands in for data of one's own."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor

from eqssl_edu.data.textures import textures
from eqssl_edu.errors import need_choice, need_integer, typed
from eqssl_edu.shapes import Images

__all__ = ["COUNTS", "SYMMETRY", "WORLDS", "drawn", "on_disk"]

COUNTS = {"train": 800, "test": 400}
SYMMETRY = {"scenes": (0, 4), "storms": (0, 1, 2, 3), "tissue": tuple(range(8)), "galaxies": tuple(range(8))}
"""World -> the elements of D4 that leave its pictures, as a whole, as they are: so they are drawn."""

Planes = Float[Tensor, "count fine fine"]
Labels = Int64[Tensor, " count"]


def _uniform(draws: torch.Generator, low: float, high: float, count: int) -> Float[Tensor, "count 1 1"]:
    return low + (high - low) * torch.rand(count, 1, 1, generator=draws, dtype=torch.float32)


def _scenes(x: Tensor, y: Tensor, labels: Labels, draws: torch.Generator) -> Planes:
    """A house or a tree before the sky: what is left and what is right is drawn alike."""
    n = len(labels)
    horizon, at = _uniform(draws, -0.1, 0.4, n), (x - _uniform(draws, -0.6, 0.6, n)).abs()
    big, up = _uniform(draws, 0.25, 0.45, n), horizon - y
    ground = torch.where(up > 0, 0.85 - 0.15 * (y + 1), _uniform(draws, 0.3, 0.5, n))
    walls, roof = (at < big) & (up > -0.15) & (up < big), (at < 1.2 * (1.9 * big - up)) & (up >= big)
    tree = (at < 0.1) & (up > -0.15) & (up < 0.6) | (at**2 + (up - 0.6) ** 2 < big**2)
    shown = torch.where(labels[:, None, None] == 0, walls | roof, tree)
    return torch.where(shown, _uniform(draws, 0.05, 0.2, n), ground)


def _arms(r: Tensor, angle: Tensor, sense: Tensor | int, winds: Tensor, start: Tensor) -> Planes:
    """Two arms of a spiral, between 0 and 1: they wind to the left or to the right."""
    return 0.5 + 0.5 * torch.cos(2 * angle + sense * winds * (r + 0.05).log() + start)


def _storms(x: Tensor, y: Tensor, labels: Labels, draws: torch.Generator) -> Planes:
    """A storm of one hemisphere, from above: anywhere, turned by any angle, and all wind the same way."""
    n = len(labels)
    dx, dy = x - _uniform(draws, -0.3, 0.3, n), y - _uniform(draws, -0.3, 0.3, n)
    r, start = (dx**2 + dy**2).sqrt(), _uniform(draws, 0, 2 * math.pi, n)
    arms = _arms(r, torch.atan2(dy, dx), 1, _uniform(draws, 3, 5, n), start)
    cloud, eye = (-((r / _uniform(draws, 0.6, 0.8, n)) ** 2)).exp(), (-((r / 0.15) ** 2)).exp()
    return 0.3 + 0.6 * arms * cloud * (1 - eye)


def _tissue(x: Tensor, y: Tensor, labels: Labels, draws: torch.Generator) -> Planes:
    """Cells with their nuclei, few or many of them, anywhere."""
    n = len(labels)
    planes = torch.full((n, x.shape[-1], x.shape[-1]), 0.8)
    for cell in range(14):
        dx, dy = x - _uniform(draws, -1.1, 1.1, n), y - _uniform(draws, -1.1, 1.1, n)
        far = (dx**2 + dy**2).sqrt() / _uniform(draws, 0.12, 0.24, n)
        there = (labels[:, None, None] == 1) | (cell < 6)
        planes = torch.where(there & (far < 1), torch.where(far < 0.5, 0.2, 0.5), planes)
    return planes


def _galaxies(x: Tensor, y: Tensor, labels: Labels, draws: torch.Generator) -> Planes:
    """Spiral galaxies at any angle: half of them wind like an S, half like a Z."""
    n, r = len(labels), (x**2 + y**2).sqrt()
    start, sense = _uniform(draws, 0, 2 * math.pi, n), 2 * labels[:, None, None] - 1
    arms = _arms(r, torch.atan2(y, x), sense, _uniform(draws, 4, 6, n), start)
    disc = (-((r / _uniform(draws, 0.45, 0.6, n)) ** 2)).exp()
    return 0.08 + 0.5 * (-((r / 0.18) ** 2)).exp() + 0.75 * arms**2 * disc


WORLDS: dict[str, Callable[..., Planes]] = {
    "scenes": _scenes,
    "storms": _storms,
    "tissue": _tissue,
    "galaxies": _galaxies,
}
CLASSES = {"scenes": ("house", "tree"), "tissue": ("few cells", "many cells"), "galaxies": ("S", "Z")}


@typed
def drawn(world: str, count: int, size: int, seed: int) -> tuple[Images, Labels]:
    """Pictures of a world and their classes, which come in turn; the same seed gives the same ones."""
    need_choice("world", world, tuple(WORLDS))
    need_integer("seed", seed, least=0)
    draws = torch.Generator().manual_seed(seed)
    axis = (torch.arange(2 * size, dtype=torch.float32) + 0.5) / size - 1
    labels = torch.arange(count) % 2
    planes = WORLDS[world](axis[None, None, :], axis[None, :, None], labels, draws)
    images = F.avg_pool2d(planes[:, None], 2)  # drawn at twice the size: no ragged edges
    rough = 0.03 if world == "galaxies" else 0.06
    noise = 0.03 * torch.randn(images.shape, generator=draws)
    return (images + rough * textures(count, size, draws) + noise).clamp(0, 1), labels


@typed
def on_disk(size: int = 24) -> Path:
    """Write the four worlds into a new folder, which goes when Python ends, and say where it is.

    Scenes are pictures in folders of classes, storms pictures without classes and of two sizes, tissue arrays,
    galaxies parquet files (arrays, where pyarrow is not installed). Each has the parts train and test.
    """
    place = Path(_kept().name)
    for seed, (part, count) in enumerate(COUNTS.items()):
        for world, sizes in {"scenes": (size,), "storms": (size, size + 4)}.items():
            for side in sizes:
                images, labels = drawn(world, count // len(sizes), side, seed + 2 * (side - size))
                for number, (pixels, label) in enumerate(zip(_bytes(images), labels.tolist(), strict=True)):
                    folder = place / world / part / (CLASSES[world][label] if world in CLASSES else "")
                    folder.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(folder / f"{side}-{number}.png")
        for world, write in {"tissue": _arrays, "galaxies": _parquet}.items():
            (place / world).mkdir(exist_ok=True)
            write(place / world, part, *drawn(world, count, size, seed))
    return place


_FOLDERS: list[tempfile.TemporaryDirectory] = []  # what is dropped here is deleted


def _kept() -> tempfile.TemporaryDirectory:
    _FOLDERS[:] = [tempfile.TemporaryDirectory(prefix="four-worlds-", ignore_cleanup_errors=True)]
    return _FOLDERS[0]


def _bytes(images: Images) -> np.ndarray:
    """(N, 1, S, S) in [0, 1] as bytes (N, S, S)."""
    return (255 * images[:, 0]).round().byte().numpy()


def _arrays(folder: Path, part: str, images: Images, labels: Labels) -> None:
    """A file with the pixels, and one with the numbers of the classes."""
    np.save(folder / f"x_{part}.npy", _bytes(images))
    np.save(folder / f"y_{part}.npy", labels.numpy())


def _parquet(folder: Path, part: str, images: Images, labels: Labels) -> None:
    """A table with a PNG and the name of a class in each row; arrays, where pyarrow is not installed."""
    if not find_spec("pyarrow"):
        return _arrays(folder, part, images, labels)
    import pyarrow
    import pyarrow.parquet

    rows = []
    for pixels in _bytes(images):
        Image.fromarray(pixels).save(file := BytesIO(), "png")
        rows.append(file.getvalue())
    names = [CLASSES["galaxies"][label] for label in labels.tolist()]
    pyarrow.parquet.write_table(pyarrow.table({"image": rows, "label": names}), folder / f"{part}.parquet")
