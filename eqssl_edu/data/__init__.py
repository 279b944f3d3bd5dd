"""Images that work with the network off, and a door to any others."""

from eqssl_edu.data.digit_images import digits
from eqssl_edu.data.glyph_images import GLYPH_KINDS, glyph_atlas, glyph_classes, glyphs
from eqssl_edu.data.loading import load_images
from eqssl_edu.data.rotated_images import rotated
from eqssl_edu.data.sets import ImageSet, Splits
from eqssl_edu.data.textures import textures
from eqssl_edu.data.typefaces import TYPEFACES, letter_images

__all__ = [
    "GLYPH_KINDS",
    "TYPEFACES",
    "ImageSet",
    "Splits",
    "digits",
    "glyph_atlas",
    "glyph_classes",
    "glyphs",
    "letter_images",
    "load_images",
    "rotated",
    "textures",
]
