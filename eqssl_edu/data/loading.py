"""Any labelled images: parquet files, a folder of pictures, or a data set of the Hugging Face hub."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from eqssl_edu.data.sets import ImageSet
from eqssl_edu.errors import got, need_instance, need_positive

__all__ = ["load_images"]

IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("label", "fine_label")
GREY_MODES, DEEP_MODES = ("1", "L", "LA"), ("I", "I;16", "F")


def load_images(
    source: str | os.PathLike, split: str = "train", size: int | None = None, limit: int | None = None
) -> ImageSet:
    """Images and labels from disk or from the hub; values in [0, 1], one channel if every picture is grey.

    | source | what is read |
    |---|---|
    | a parquet file | all of it |
    | a folder with parquet files | the files of the split: ``train-00000-of-00001.parquet`` or ``train/0000.parquet`` |
    | a folder of pictures | ``split/class/name.png``, or ``class/name.png`` where there is no folder of that split |
    | any other name, such as "ylecun/mnist" | the data set of the hub; downloaded once, then read offline |

    Arguments:
        source: where the images are.
        split: which part of them.
        size: side of the images in pixels: the largest centred square is cut out and resized (bilinear,
            smoothed). None leaves them as they are; then all must have one size.
        limit: read at most so many, spread evenly over the whole (sets are often sorted by class).

    Raises:
        FileNotFoundError: nothing is there, or nothing of that split.
        ConnectionError: the hub cannot be reached and the data set was never downloaded.
        ValueError: no image or label column, or sizes that differ.

    Example:
        >>> train = load_images("ylecun/mnist", limit=6000)  # doctest: +SKIP
    """
    need_instance("source", source, (str, os.PathLike))
    need_instance("split", split, str)
    need_positive(**{name: each for name, each in {"size": size, "limit": limit}.items() if each is not None})
    if not str(source) or not split:
        raise ValueError(f"source and split must not be empty, got {source!r} and {split!r}")
    with TemporaryDirectory() as scratch:  # files on this disk need no second copy in the hub's cache
        rows = _rows(str(source), split, scratch)
        image, label = _column(rows, "image", IMAGE_COLUMNS), _column(rows, "label", LABEL_COLUMNS)
        if limit is not None and limit < len(rows):
            rows = rows.select(torch.linspace(0, len(rows) - 1, limit).round().long().tolist())
        labels = rows[label][:] if len(rows) else []
        if not labels or not all(isinstance(value, int) and value >= 0 for value in labels):
            raise ValueError(f"source must hold images with labels >= 0 in {label!r}, {got(labels[:3])}")
        pictures = [_pixels(picture, size) for picture in rows.select_columns([image])[image]]
    shapes = sorted({tuple(picture.shape[-2:]) for picture in pictures})
    if len(shapes) > 1:
        found = " and ".join(f"{height} x {width}" for height, width in shapes[:3])
        raise ValueError(f"size must be given when images have different sizes, got None and {found} pixels")
    channels = max(len(picture) for picture in pictures)
    stacked = torch.stack([picture.expand(channels, -1, -1) for picture in pictures])
    return ImageSet(stacked.float() / 255, torch.tensor(labels))


def _rows(source: str, split: str, scratch: str):
    """The rows as a data set of Hugging Face."""
    try:
        import datasets  # takes a second to import: only where files are read
    except ImportError as error:
        raise ImportError("load_images needs the package datasets: pip install datasets") from error

    path = Path(source)
    if path.exists():
        kind, files = _files(path, split)
        bars = datasets.is_progress_bar_enabled()
        datasets.disable_progress_bars()
        try:
            return datasets.load_dataset(
                kind, data_files={split: files}, split=split, cache_dir=scratch, keep_in_memory=True
            )
        finally:
            if bars:
                datasets.enable_progress_bars()
    names_a_path = source.startswith((".", "~", os.sep)) or source.endswith(".parquet")
    if names_a_path or source.count("/") > 1:
        raise FileNotFoundError(f"source must be there, got {source!r}: no such file or folder")
    try:
        return datasets.load_dataset(source, split=split)
    except OSError as error:
        raise ConnectionError(
            f"source must be a file, a folder or a data set of the hub, got {source!r}: {str(error)[:120]}. Without a "
            "network give the path of a parquet file or of a folder (HF_HUB_OFFLINE=1 saves the attempts)"
        ) from error


def _files(path: Path, split: str) -> tuple[str, list[str]]:
    """The builder that reads a path, and the files of the split."""
    if path.is_file():
        if path.suffix != ".parquet":
            raise ValueError(f"source must be a folder or a .parquet file, got the file {path.name!r}")
        return "parquet", [str(path)]
    parquet = sorted(path.rglob("*.parquet"))
    if parquet:
        files = [str(file) for file in parquet if file.name.startswith(split) or file.parent.name == split]
        if not files:
            there = ", ".join(file.name for file in parquet[:6])
            raise FileNotFoundError(f"split must begin a file's or folder's name, got {split!r}: {there}")
        return "parquet", files
    folder = path / split if (path / split).is_dir() else path
    endings = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
    files = sorted(str(file) for file in folder.glob("*/**/*") if file.suffix.lower() in endings)
    if not files:
        wanted = "parquet files, or pictures in one folder a class"
        raise FileNotFoundError(f"source must hold {wanted}, got {path.name!r}: neither in {folder.name!r}")
    return "imagefolder", files


def _column(rows, what: str, names: tuple[str, ...]) -> str:
    """The column of the images or of the labels."""
    found = [name for name in names if name in rows.column_names]
    if not found:
        wanted = f"a column {' or '.join(map(repr, names))} with the {what} of each row"
        raise ValueError(f"source must have {wanted}, got the columns {', '.join(rows.column_names)}")
    return found[0]


def _pixels(picture, size: int | None) -> UInt8[Tensor, "channel height width"]:
    """A decoded picture as a tensor; grey ones keep one channel."""
    import numpy as np

    if picture.mode in DEEP_MODES:
        raise ValueError(f"source must hold pictures of 8 bits, got mode {picture.mode!r}: rescale them")
    picture = picture.convert("L" if picture.mode in GREY_MODES else "RGB")
    pixels = torch.from_numpy(np.array(picture)).view(picture.height, picture.width, -1).permute(2, 0, 1)
    if size is None or tuple(pixels.shape[-2:]) == (size, size):
        return pixels
    side = min(pixels.shape[-2:])
    top, left = (pixels.shape[-2] - side) // 2, (pixels.shape[-1] - side) // 2
    square = pixels[None, :, top : top + side, left : left + side].float()
    resized = F.interpolate(square, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return resized[0].round().clamp(0, 255).to(torch.uint8)
