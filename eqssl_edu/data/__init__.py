"""Images that work with the network off, and a door to any others."""

from eqssl_edu.data.digit_images import digits
from eqssl_edu.data.glyph_images import glyph_atlas, glyph_classes, glyphs
from eqssl_edu.data.loading import load_images
from eqssl_edu.data.rotated_images import rotated
from eqssl_edu.data.sets import ImageSet, Splits

__all__ = ["ImageSet", "Splits", "digits", "glyph_atlas", "glyph_classes", "glyphs", "load_images", "rotated"]
