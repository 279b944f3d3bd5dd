"""CircleExplorer: two hidden turns of an image, kappa as a wave over all angles, and labels of type k as arrows."""

from eqssl_edu.widgets.circle.circle import CircleExplorer

__all__ = ["CircleExplorer"]
