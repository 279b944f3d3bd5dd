"""FieldExplorer: turn an image by hand and watch the feature maps of a network follow, or not."""

from eqssl_edu.widgets.field.field import FieldExplorer

__all__ = ["FieldExplorer"]
