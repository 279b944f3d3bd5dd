"""In which order the elements of a group stand on an axis, measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.diagnostics.group_axis import GroupAxis
from eqssl_edu.errors import got, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.shapes import Images
from eqssl_edu.twins import Twin

__all__ = ["Columns", "answer", "find_order", "turned_noise"]

ROUNDING = 1e-4  # relative: an order whose error is smaller fits (in half precision ten roundings)


class Columns:
    r"""How far each column of $f(g x)$ is from each turned column of $f(x)$.

    If an axis carries a regular representation, column i of $f(g x)$ is a turned column of $f(x)$. Where the first
    column comes from, under each g, names every column; whether all columns agree is then measured. Such an order is
    known up to a translation from the right, which changes no error: the first column is called 0.

    Arguments:
        group: the group. Elements that do not map the grid to itself are turned approximately.
        upright: f(x), with the group on axis 2.
    """

    def __init__(self, group: FiniteGroup, upright: Float[Tensor, "batch out group *grid"]) -> None:
        self.group, self.upright = group, upright
        self.distances: dict[int, Tensor] = {}  # for each g, of column i from the turned column j

    def add(self, g: int, maps: Float[Tensor, "batch out group *grid"]) -> None:
        """What f has given for g x."""
        turned = self.upright
        if maps.ndim == 5:
            inside = 1 if self._exact(g) else disc_mask(maps.shape[-1]).to(maps)
            maps, turned = inside * maps, inside * _turn(self.group, turned, g)
        columns = (y.movedim(2, 0).flatten(1).double() for y in (maps, turned))
        self.distances[g] = torch.cdist(*columns, compute_mode="donot_use_mm_for_euclid_dist")

    def order(self) -> list[int] | None:
        """``order[i]`` is the element at index i: 0, 1, 2, ... if that fits; None if no order does."""
        return next(filter(self._fits, (list(self.group.elements), self._named_by_the_first())), None)

    def move(self) -> bool:
        """Do the columns change places as the group says, rather than stay in theirs, as channels do?"""
        orders = list(self.group.elements), self._named_by_the_first()
        error = min(self._error({g: self._origins(order, g) for g in self.distances}) for order in orders)
        stay = self._error({g: list(self.group.elements) for g in self.distances})
        return stay > max(self._bound(), error)

    def _named_by_the_first(self) -> list[int]:
        """If column 0 of f(g x) is column j of f(x), turned, then g^-1 stands at j; no column gets two names."""
        order: dict[int, int] = {}
        for g, distance in self.distances.items():
            nearest = next(j for j in distance[0].argsort().tolist() if j not in order)
            order[nearest] = int(self.group.inverse[g])
        return [order[j] for j in self.group.elements]

    def _origins(self, order: list[int], g: int) -> list[int]:
        """Which column of f(x) stands at each place of f(g x), if the order is right."""
        return [order.index(int(self.group.product[self.group.inverse[g], h])) for h in order]

    def _error(self, origins: dict[int, list[int]]) -> float:
        parts = [self.distances[g][torch.arange(self.group.order), each] for g, each in origins.items()]
        return float(torch.cat(parts).norm())

    def _fits(self, order: list[int]) -> bool:
        """Is each column where the order says: up to rounding, or (between the pixels) nearest to it?"""
        for g, distance in self.distances.items():
            origins = self._origins(order, g)
            near = distance.argmin(1).tolist() == origins
            if not (0 < self._bound() >= self._error({g: origins}) if self._exact(g) else near):
                return False
        return True

    def _bound(self) -> float:
        relative = max(ROUNDING, 10 * torch.finfo(self.upright.dtype).eps)
        return float(self.upright.double().norm()) * relative

    def _exact(self, g: int) -> bool:
        return self.group.degrees(g) % 90 == 0


@typed
@torch.no_grad()
def find_order(
    model: Callable[[Tensor], Tensor], images: Images, group: FiniteGroup, group_axis: int | None = None
) -> list[int] | None:
    r"""The order in which the elements of a group stand on an axis, measured: noise is turned by each of them.

    Arguments:
        model: f. It runs in evaluation mode and stays as it was.
        images: examples: noise of their shape, type and range is turned.
        group: the group. Elements that do not map the grid to itself are turned approximately.
        group_axis: see ``GroupAxis``; 2 by default.

    Returns:
        ``order[i]`` is the element at index i: 0, 1, 2, ... if that fits; None if no order does. See ``Columns``.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> def clockwise(x):  # column i: how the image, turned back by -90 i degrees, looks to one filter
        ...     return torch.stack([torch.rot90(x, i, (2, 3))[..., :2].sum((2, 3)) for i in range(4)], 2)
        >>> find_order(clockwise, torch.rand(1, 1, 8, 8), cyclic(4))
        [0, 3, 2, 1]
    """
    said, twin, columns = GroupAxis.said(group, group_axis, None), Twin(model).settle(), None
    for g, noise in turned_noise(images, group):
        maps = said.ours(answer(twin, noise))
        columns = columns or Columns(group, maps)
        columns.add(g, maps)
    return columns.order()


def answer(twin: Twin, inputs: Tensor) -> Tensor:
    """What a twin gives, as it was settled, if that is one tensor. ValueError or TypeError in words."""
    try:
        output = twin.run(inputs)
    except ValueError:  # it names an argument
        raise
    except Exception as problem:
        raise ValueError(f"model must run on the inputs, {got(inputs)}; it says: {problem}") from problem
    need_shape("model(inputs)", output, "...")
    return output


def turned_noise(images: Images, group: FiniteGroup) -> Iterator[tuple[int, Images]]:
    """(g, g x) for all elements: x is noise of the shape, type and range of these images."""
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0), device="cpu").to(images)
    step = min(4, 1 + images.shape[-1] // 16)  # smooth, so that turns between the pixels are nearly exact
    noise = torch.nn.functional.interpolate(noise[..., ::step, ::step], noise.shape[-2:], mode="bicubic")
    low, high = images.aminmax()
    noise = low + noise * (high - low if high > low else 1.0)
    return ((g, _turn(group, noise, g)) for g in group.elements)


def _turn(group: FiniteGroup, maps: Float[Tensor, "*axes"], g: int) -> Float[Tensor, "*axes"]:
    return rotate(maps.flip(-1) if g >= group.rotations else maps, group.degrees(g))
