"""The shapes of what goes through a network, as types for signatures."""

from jaxtyping import Float, Int64
from torch import Tensor

__all__ = ["Elements", "Features", "Image", "Images", "Maps"]

Image = Float[Tensor, "channel height width"]
Images = Float[Tensor, "batch channel height width"]
Maps = Float[Tensor, "batch channel group height width"]  # regular feature maps
Features = Float[Tensor, "batch channel group"]  # regular features
Elements = (
    int | Int64[Tensor, " samples"]
)  # one element of a group for all, or one per sample of the first axis
