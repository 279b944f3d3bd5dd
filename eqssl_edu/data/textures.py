"""Random textures without a direction of their own: grounds that tell nothing of an orientation."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_integer, typed

__all__ = ["textures"]


@typed
def textures(count: int, size: int, generator: torch.Generator) -> Float[Tensor, "count 1 size size"]:
    r"""Random textures of mean 0 and variance about 1: two plane waves and smooth noise on two scales.

    $t(x) = \sum_i a_i \cos(k_i \cdot x + \phi_i) + \sum_j b_j n_j(x)$ with random weights, random phases and wave
    vectors $k_i$ in every direction. A turned texture is as likely as the texture itself (exactly so for quarter
    turns and reflections): a network can read no orientation from it.

    Arguments:
        count: how many.
        size: side in pixels.
        generator: where the random numbers come from; the textures are made on its device.

    Example:
        >>> textures(3, 16, torch.Generator().manual_seed(0)).shape
        torch.Size([3, 1, 16, 16])
    """
    need_integer("count", count, least=0)
    need_integer("size", size, 1, math.isqrt(2**30 // max(1, count)))  # 4 GB
    how = {"device": generator.device, "dtype": torch.float32}  # whatever the default: the same textures

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, **how)

    axis = torch.linspace(-0.5, 0.5, size, **how)
    weights = uniform(count, 4) + 0.05
    weights = weights / weights.norm(dim=1, keepdim=True)
    total = torch.zeros(count, 1, size, size, **how)
    for wave in range(2):
        angle, phase = 2 * math.pi * uniform(2, count)
        cycles = 1 + 5 * uniform(count)  # over the picture's side
        across = 2 * math.pi * cycles * torch.cos(angle)
        down = 2 * math.pi * cycles * torch.sin(angle)
        # cos(a + b) = cos a cos b - sin a sin b: cosines of lines instead of whole pictures.
        a = across[:, None] * axis
        b = down[:, None] * axis + phase[:, None]
        field = b.cos()[:, :, None] * a.cos()[:, None] - b.sin()[:, :, None] * a.sin()[:, None]
        total += weights[:, wave, None, None, None] * math.sqrt(2) * field[:, None]
    for octave, cells in enumerate((4, 8)):
        noise = torch.randn(count, 1, cells, cells, generator=generator, **how)
        smooth = F.interpolate(noise, (size, size), mode="bilinear", align_corners=False)
        total += weights[:, 2 + octave, None, None, None] * 1.4 * smooth  # interpolation halves the variance
    return total
