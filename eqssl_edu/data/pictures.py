"""A picture out of a file: Pillow's formats, FITS by astropy, TIFF with many bands or deep values by tifffile."""

from __future__ import annotations

from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eqssl_edu.data.sources import Values, library, named

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PICTURES", "channels_first", "decode", "open_picture"]

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jp2")
PICTURES += (".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".pcx", ".avif", ".fits", ".fit", ".fts")
PICTURES += (".heic", ".svg", ".dcm")  # refused by name, where they would be missing without a word
BITS, SAMPLES, EXTRA, NO_DATA = 258, 277, 338, 42113  # tags of TIFF; the last is GDAL's
BRIGHT = 0.75  # mean luminance: brighter ink is put on black, any other on white


def open_picture(path: Path) -> Values:
    """The values of the one picture in a file."""
    with named(path), open(path, "rb") as file:
        return decode(file)


def decode(file: BufferedIOBase) -> Values:
    """The values of a picture as they are stored, turned as its EXIF says: one channel, RGB, or many bands.

    Where a picture is transparent, what lies behind is white, or black if its ink is bright.
    """
    from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

    if file.read(6) == b"SIMPLE":
        return _fits(file)
    try:
        picture = Image.open(file)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(file)
        raise
    if picture.format == "TIFF" and not _is_whole(picture):
        return _tiff(file)
    pages = getattr(picture, "n_frames", 1)
    if pages > 1 and picture.format != "MPO":  # a phone's MPO holds one photo, and what belongs to it
        raise ValueError(f"it has {pages} pictures in it: save each in a file of its own")
    storage = picture.tile[0].args if picture.tile else ()
    deep = ";16" in str(storage) or (picture.format == "PPM" and storage[-1:] > (255,))
    if deep and not picture.mode.startswith("I"):
        raise ValueError("its colours have 16 bits, of which Pillow loses 8: save it as TIFF or with 8 bits")
    if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.has_transparency_data and not picture.mode.startswith("I"):
        picture = _on_ground(picture)
    if picture.mode.startswith("I"):  # of PNG and PGM: 16 bits, whatever Pillow calls them
        return np.array(picture).astype(np.uint16)[None]
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    values = np.array(picture)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _on_ground(picture: Image.Image) -> Image.Image:
    from PIL import Image

    drawn = picture.convert("RGBA")
    red, green, blue, alpha = np.asarray(drawn, dtype=np.float32).transpose(2, 0, 1) / 255
    luminance = (alpha * (0.299 * red + 0.587 * green + 0.114 * blue)).sum() / max(1e-6, float(alpha.sum()))
    ground = Image.new("RGBA", drawn.size, "black" if luminance > BRIGHT else "white")
    return Image.alpha_composite(ground, drawn).convert("L" if picture.mode in ("1", "L", "LA") else "RGB")


def channels_first(values: np.ndarray) -> Values:
    """An image with its channels in front: the axis that is shorter than both others, the first or the last."""
    values = values.astype(values.dtype.newbyteorder("="))
    if values.ndim == 2:
        return values[None]
    if values.ndim == 3 and values.shape[0] < min(values.shape[1:]):
        return values
    if values.ndim == 3 and values.shape[2] < min(values.shape[:2]):
        return values.transpose(2, 0, 1)
    raise ValueError(f"an image must be (H, W), (C, H, W) or (H, W, C) with C below both, got {values.shape}")


def _fits(file: BufferedIOBase) -> Values:
    file.seek(0)
    with library("astropy.io.fits").open(file, memmap=False) as parts:
        images = [part.data for part in parts if part.is_image and part.header["NAXIS"] > 1]
    if len(images) != 1:
        raise ValueError(f"it must have one image in it, got {len(images)}")
    return channels_first(images[0])


def _is_whole(picture: Image.Image) -> bool:
    """Does Pillow read all of a TIFF? Not bands that are no colours, and 16 bits only of unsigned grey."""
    tags = picture.tag_v2
    deep = max(tags.get(BITS, (1,))) > 8 and not picture.mode.startswith("I;16")
    extra = 0 in tags.get(EXTRA, ()) or tags.get(SAMPLES, 1) != len(picture.getbands())
    return not (deep or extra or NO_DATA in tags)


def _tiff(file: BufferedIOBase) -> Values:
    file.seek(0)
    with library("tifffile").TiffFile(file) as tiff:
        page, pages = tiff.pages[0], len(tiff.pages)
        if pages > 1 or page.axes not in ("YX", "YXS", "SYX"):
            raise ValueError(f"it has {pages} pictures in it, with the axes {page.axes}: save each apart")
        values, holes = page.asarray(), (page.nodata if NO_DATA in page.tags else None)
    if holes is not None and (values == holes).any():
        raise ValueError(f"it has {(values == holes).sum()} pixels without data ({holes})")
    return values[None] if page.axes == "YX" else np.moveaxis(values, page.axes.index("S"), 0)
