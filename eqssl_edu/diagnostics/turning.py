"""Features of a turned image, told from those of the upright one: turns by any angle."""

from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle import turn_features
from eqssl_edu.errors import need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.rotate import rotate

__all__ = ["nearest_element", "turn_features", "turn_maps"]


@typed
def turn_maps(
    group: FiniteGroup | None, maps: Float[Tensor, "batch channel *group height width"], degrees: float
) -> Float[Tensor, "batch channel *group height width"]:
    """Turn feature maps: the grid by ``rotate``, a group axis (if a group is given) by the nearest rotation of it."""
    need_shape("maps", maps, "...", "S", "S")
    if group is None:
        return rotate(maps, degrees)
    need_shape("maps", maps, "B", "C", group.order, "H", "W")
    element = nearest_element(group, degrees)
    return rotate(group.transform_features(maps.movedim(2, -1), element).movedim(-1, 2), degrees)


@typed
def nearest_element(group: FiniteGroup, degrees: float) -> int:
    """The rotation of the group that is nearest to an angle (half-way between two: the even one of them)."""
    return round(degrees % 360 * group.rotations / 360) % group.rotations
