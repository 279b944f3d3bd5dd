"""The images of the campaign at full size, as bytes: decoded once, kept beside the runs, read by every process."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock
from jaxtyping import Float, Int64, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor

from eqssl_edu.data import ImageSet, load_images, rotated
from experiments.benchmark.plan import Tier
from experiments.pretraining import HUB

__all__ = ["Data", "as_floats", "is_jpeg", "load"]

HELD, CLASSES = 5000, 10  # at most so many images choose the strength of a probe
ROTATED = 12_000, 50_000  # for training and for the test, as in the literature

Bytes = UInt8[Tensor, "count channel side side"]


class Data(NamedTuple):
    """Images as bytes and their classes. Pretraining sees all known images; a probe holds the last of them back."""

    images: Bytes
    labels: Int64[Tensor, " count"]
    held: int
    test_images: Bytes
    test_labels: Int64[Tensor, " tested"]
    jpeg: bool  # the originals were lossless, and this copy is not


def load(name: str, tier: Tier, folder: Path) -> Data:
    """The images of a tier: "mnist", "rotated-mnist" or "cifar10".

    MNIST and CIFAR-10 are taken whole, in the official split. Rotated MNIST is made as in the literature: 12,000 of
    all 70,000 digits to learn from and 50,000 others for the test, each turned by an angle of its own.
    """
    source = "cifar10" if name == "cifar10" else "mnist"
    images, labels, test_images, test_labels = (stored(source, folder)[key] for key in KEYS)
    known, judged = tier.known or len(images), tier.judged or len(test_images)
    if name == "rotated-mnist":
        known, judged = min(known, ROTATED[0]), tier.judged or ROTATED[1]
        more = slice(ROTATED[0], ROTATED[0] + max(0, judged - len(test_images)))
        test_images, test_labels = (
            torch.cat([test, train[more]]) for test, train in ((test_images, images), (test_labels, labels))
        )
    images, labels, test_images, test_labels = (
        images[:known],
        labels[:known],
        test_images[:judged],
        test_labels[:judged],
    )
    if name == "rotated-mnist":
        images, test_images = (
            as_bytes(rotated(as_floats(part), seed)) for seed, part in enumerate((images, test_images))
        )
    held = min(HELD, len(images) // 6)
    return Data(images, labels, held, test_images, test_labels, is_jpeg(source))


KEYS = ("images", "labels", "test_images", "test_labels")


@lru_cache(maxsize=1)
def stored(source: str, folder: Path) -> dict[str, Tensor]:
    """Both official parts, from a file in ``folder`` that the first process writes."""
    path = folder / f"{source}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            parts: dict[str, Tensor] = {}
            for split, prefix in (("train", ""), ("test", "test_")):
                part: ImageSet = load_images(place(source), split)
                parts |= {f"{prefix}images": as_bytes(part.images), f"{prefix}labels": part.labels}
            save_file(parts, path.with_suffix(".part"))
            os.replace(path.with_suffix(".part"), path)
    return load_file(path)


def place(source: str) -> Path | str:
    """A folder in the environment variable EQSSL_DATA, else the hub's name."""
    folder = os.environ.get("EQSSL_DATA")
    return Path(folder, source) if folder else HUB[source]


@lru_cache(maxsize=4)
def is_jpeg(source: str) -> bool:
    """Whether the pictures in a folder of parquet files are JPEGs; the hub's are PNGs."""
    if not isinstance(folder := place(source), Path):
        return False
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(min(folder.rglob("*.parquet")))
    rows = next(file.iter_batches(batch_size=1)).to_pylist()
    pictures = [value["bytes"] for value in rows[0].values() if isinstance(value, dict)]
    return any(picture.startswith(b"\xff\xd8") for picture in pictures)


def as_bytes(images: Float[Tensor, "count channel side side"]) -> Bytes:
    """Numbers in 0 .. 1 as the nearest bytes: exactly what they were, if they were bytes."""
    return images.mul(255).round().byte()


def as_floats(images: Bytes) -> Float[Tensor, "count channel side side"]:
    """Bytes as numbers in 0 .. 1."""
    return images.float() / 255
