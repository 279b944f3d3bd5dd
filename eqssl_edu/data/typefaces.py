"""Letters in the typefaces that matplotlib ships: DejaVu, STIX and Computer Modern."""

from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.tables import table

__all__ = ["TYPEFACES", "letter_images"]

# Each part has upright and slanted, light and bold, with and without serifs; no face is in two parts.
TYPEFACES = {
    "train": (
        "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique",
        "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
        "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic",
        "STIXGeneral", "STIXGeneralBolIta", "cmb10", "cmmi10", "cmss10",
    ),
    "validation": ("DejaVuSansMono", "DejaVuSerif-BoldItalic", "STIXGeneralBol", "cmti10"),
    "test": ("DejaVuSans-BoldOblique", "STIXGeneralItalic", "cmr10", "cmtt10"),
}  # fmt: skip


@lru_cache(maxsize=16)
@table
def letter_images(
    faces: tuple[str, ...], letters: str, size: int, fill: float = 0.7
) -> Float[Tensor, "face letter size size"]:
    """Every letter in every typeface: ink 1 on ground 0, with grey edges, its ink box in the middle.

    The longer side of the ink box is the same for all letters, so that size tells nothing.

    Arguments:
        faces: names of typefaces, from ``TYPEFACES``.
        letters: the letters to draw.
        size: side of each picture in pixels.
        fill: longer side of the ink box as a fraction of the picture's side.

    References:
        The fonts of matplotlib and their licences: https://matplotlib.org/stable/project/license.html
    """
    # matplotlib takes half a second to import: only where letters are drawn. Pillow would hint the outlines, which
    # moves edges by a pixel and with them every published number.
    import matplotlib
    import numpy as np
    from matplotlib.ft2font import FT2Font, LoadFlags

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    pictures = []
    for face in faces:
        font = FT2Font(str(folder / f"{face}.ttf"))
        font.set_size(4 * size, 72)  # larger than needed: the reduction below smooths the edges
        for letter in letters:
            font.set_text(letter, 0.0, flags=LoadFlags.NO_HINTING)
            font.draw_glyphs_to_bitmap()
            ink = torch.from_numpy(np.array(font.get_image())).float()[None, None] / 255
            ink = ink[:, :, ink.amax(dim=(0, 1, 3)) > 0][..., ink.amax(dim=(0, 1, 2)) > 0]
            side = round(max(ink.shape[-2:]) / fill)
            height, width = side - ink.shape[-2], side - ink.shape[-1]
            border = (width // 2, width - width // 2, height // 2, height - height // 2)
            pictures.append(F.interpolate(F.pad(ink, border), (size, size), mode="area")[0, 0])
    return torch.stack(pictures).unflatten(0, (len(faces), len(letters)))
