"""Finite rotation and reflection groups, and how their elements act on images and on features."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from eqssl_edu.errors import got, need_elements, need_grid, need_integer, need_shape, typed
from eqssl_edu.shapes import Elements, Images
from eqssl_edu.tables import table

__all__ = [
    "FiniteGroup",
    "GroupTables",
    "cyclic",
    "dihedral",
    "random_elements",
    "random_integers",
    "tables_on",
]


MOST = 1024  # rotations: the tables hold |G|^2 numbers


class FiniteGroup:
    r"""The cyclic group C_n (rotations) or the dihedral group D_n (rotations and reflections) as tables.

    Elements are the integers ``0 .. |G|-1``. Element ``k < n`` is the rotation $r^k$ by $360 k / n$ degrees,
    counter-clockwise. Element ``n + k`` of D_n is the reflection $r^k m$: *first* flip the last axis, *then*
    rotate. Element 0 is the identity. The order of the elements is escnn's.

    Arguments:
        rotations: how many rotations there are, n = 1 .. 1024.
        reflections: False for C_n, True for D_n.

    Example:
        >>> G = dihedral(4)
        >>> G.name, G.order, G.product[1, 4].item()
        ('D4', 8, 5)
    """

    @typed
    def __init__(self, rotations: int, reflections: bool) -> None:
        self.rotations = need_integer("rotations", rotations, 1, MOST)
        self.reflections = reflections
        self.order = rotations * (1 + self.reflections)
        self.name = f"{'D' if self.reflections else 'C'}{rotations}"
        self.elements = range(self.order)

    def __repr__(self) -> str:
        return f"{'dihedral' if self.reflections else 'cyclic'}({self.rotations})"

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, FiniteGroup) and self.rotations == other.rotations
        return same and self.reflections == other.reflections

    def __hash__(self) -> int:
        return hash((self.rotations, self.reflections))

    def __reduce__(self):
        # The tables are derived: a copy or a pickle needs the two arguments alone.
        return FiniteGroup, (self.rotations, self.reflections)

    def _repr_html_(self) -> str:
        """The Cayley table, as JupyterLab shows a group: row g, column h, entry gh."""
        if self.order > 64:  # a table of more cells than one can see
            return f"<p>{self!r}, {self.order} elements</p>"
        names, cells = [self.element_name(g) for g in self.elements], []
        for g, name in enumerate(names):
            edge = "2px dashed #444" if g >= self.rotations else "1px solid #fff"
            hue = f"hsl({self.degrees(g):.0f} 60% 85%)"
            style = f"background:{hue};border:{edge};color:#111;text-align:center"
            cells.append(f'<td style="{style}">{name}</td>')
        html = f"<caption>{self.name}: row g, column h, entry gh. A colour for each rotation part; "
        html += "reflections have a dashed edge.</caption><tr><td></td>"
        html += "".join(f'<th scope="col">{name}</th>' for name in names) + "</tr>"
        for name, row in zip(names, self._rows, strict=True):
            html += f'<tr><th scope="row">{name}</th>{"".join(cells[g] for g in row)}</tr>'
        return f"<table>{html}</table>"

    # -- the tables ---------------------------------------------------------------------------------------

    @cached_property
    @table
    def product(self) -> Int64[Tensor, "group group"]:
        """Cayley table: ``product[g, h] = gh`` (first h, then g)."""
        g = torch.arange(self.order)
        turn, flip = g % self.rotations, g // self.rotations
        # r^a m^s r^b m^t = r^(a + (-1)^s b) m^(s + t), because m r = r^-1 m.
        sign = 1 - 2 * flip
        turns = (turn[:, None] + sign[:, None] * turn[None, :]) % self.rotations
        return turns + self.rotations * ((flip[:, None] + flip[None, :]) % 2)

    @cached_property
    @table
    def inverse(self) -> Int64[Tensor, " group"]:
        """``inverse[g]`` is the element with ``product[g, inverse[g]] == 0``."""
        return (self.product == 0).long().argmax(dim=1)

    @cached_property
    def _rows(self) -> list[list[int]]:
        """The product table as lists: a closure asks it for single entries, many times."""
        return self.product.tolist()

    def degrees(self, g: int) -> float:
        """The angle of rotation in element g, in degrees (for a reflection: of the turn after the flip)."""
        g = need_integer("g", g, 0, self.order - 1)
        return 360.0 * (g % self.rotations) / self.rotations

    def element_name(self, g: int) -> str:
        """A short name: ``e``, ``r90``, ``m`` (the flip of the last axis), ``r90 m`` ..."""
        degrees = self.degrees(g)
        turn = f"r{degrees:g}" if degrees else ""
        flip = "m" if g >= self.rotations else ""
        return " ".join(filter(None, [turn, flip])) or "e"

    # -- structure ----------------------------------------------------------------------------------------

    def subgroups(self) -> list[tuple[int, ...]]:
        """Every subgroup as a sorted tuple of elements, small ones first."""
        # <r^d> for each divisor d of n, and with reflections <r^d, r^k m> for each k < d as well.
        n, found = self.rotations, []
        for d in (d for d in range(1, n + 1) if n % d == 0):
            turns = tuple(range(0, n, d))
            found += [turns, *((*turns, *range(n + k, 2 * n, d)) for k in range(d) if self.reflections)]
        return sorted(found, key=lambda subgroup: (len(subgroup), subgroup))

    @typed
    def generate(self, generators: Iterable[int]) -> tuple[int, ...]:
        """The smallest subgroup that contains ``generators``, as a sorted tuple."""
        return self._closure("generators", generators)[1]

    @typed
    def subgroup(self, subgroup: Iterable[int], name: str = "subgroup") -> tuple[int, ...]:
        """These elements as a sorted tuple; ValueError, about ``name``, unless they are closed under the product."""
        given, closed = self._closure(name, subgroup)
        if len(given) != len(closed):
            raise ValueError(
                f"{name} must be a subgroup of {self.name} (it holds 0 and all products), {got(subgroup)}; "
                f"see {self!r}.subgroups()"
            )
        return closed

    def _closure(self, name: str, elements: Iterable[int]) -> tuple[set[int], tuple[int, ...]]:
        """The elements that were given, and all their products in order."""
        given = {need_integer(name, g, 0, self.order - 1) for g in elements}
        product = self._rows
        found, new = {0}, {0}
        while new:
            new = {product[g][h] for g in given for h in new} - found
            found |= new
        return given, tuple(sorted(found))

    @typed
    def left_cosets(self, subgroup: Iterable[int]) -> list[tuple[int, ...]]:
        """The left cosets gH of a subgroup H, each as a sorted tuple, H itself first."""
        subgroup = list(self.subgroup(subgroup))
        return sorted({tuple(sorted(coset)) for coset in self.product[:, subgroup].tolist()})

    # -- actions ------------------------------------------------------------------------------------------

    @property
    def exact_on_grid(self) -> bool:
        """True if every element maps a square pixel grid to itself: C1, C2, C4, D1, D2, D4."""
        return 4 % self.rotations == 0

    @property
    def is_finite(self) -> bool:
        """True if the elements are all there is; False for SO(2) and O(2), of which they are samples."""
        return True

    def transform(
        self, images: Shaped[Tensor, "*batch height width"], g: Elements
    ) -> Shaped[Tensor, "*batch height width"]:
        """Act on images exactly: a permutation of the pixels.

        Arguments:
            images: any leading axes, then height and width; square where g holds a quarter turn.
            g: one element, or one element per sample of the first axis.
        """
        need_shape("images", images, "...", "H", "W")
        return self._turned(images, need_grid(self, g, images, "images", own_axes=2))

    def transform_features(
        self, z: Shaped[Tensor, "*batch group"], g: Elements
    ) -> Shaped[Tensor, "*batch group"]:
        r"""The regular action: $(\rho(g) z)[h] = z[g^{-1} h]$ along the last axis.

        Arguments:
            z: regular features, the group axis last.
            g: one element, or one element per sample of the first axis.
        """
        need_shape("z", z, "...", self.order)
        return self._shifted(z, need_elements(self, g, z, "z", own_axes=1), -1)

    def transform_maps(
        self, maps: Shaped[Tensor, "*batch group height width"], g: Elements
    ) -> Shaped[Tensor, "*batch group height width"]:
        """Act on regular feature maps: the group axis by the regular action, and the grid turns as well.

        Arguments:
            maps: the last three axes are group, height, width.
            g: one element, or one element per sample of the first axis.
        """
        need_shape("maps", maps, "...", self.order, "H", "W")
        g = need_grid(self, g, maps, "maps", own_axes=3)
        return self._shifted(self._turned(maps, g), g, -3)

    def _turned(self, images: Tensor, g: int | Tensor) -> Tensor:
        """The grid permuted, for one element or one per sample."""
        if not isinstance(g, Tensor):
            turns = 4 * (g % self.rotations) // self.rotations
            return torch.rot90(images.flip(-1) if g >= self.rotations else images, turns, dims=(-2, -1))
        table = _pixel_table(self, *images.shape[-2:], images.device)[g.to(images.device)]
        flat = images.reshape(len(images), math.prod(images.shape[1:-2]), table.shape[1])
        return flat.gather(2, table[:, None, :].expand_as(flat)).reshape(images.shape)

    def _shifted(self, z: Tensor, g: int | Tensor, axis: int) -> Tensor:
        """The group axis permuted, for one element or one per sample."""
        shift = tables_on(self, z.device).shift
        if not isinstance(g, Tensor):
            return z.index_select(axis, shift[g])
        shape = [len(g), *[1] * (z.ndim - 1)]
        shape[axis] = self.order
        return z.gather(axis, shift[g.to(z.device)].reshape(shape).expand_as(z))


def cyclic(n: int) -> FiniteGroup:
    """C_n, the rotations by multiples of 360/n degrees.

    Example:
        >>> cyclic(4).inverse.tolist()
        [0, 3, 2, 1]
    """
    return _group(need_integer("n", n, 1, MOST), False)


def dihedral(n: int) -> FiniteGroup:
    """D_n, the rotations by multiples of 360/n degrees and n reflections.

    Example:
        >>> len(dihedral(4).subgroups())
        10
    """
    return _group(need_integer("n", n, 1, MOST), True)


class GroupTables(NamedTuple):
    """The tables of a group on one device: gh; g^-1; and g^-1 h, where the regular action of g reads entry h from."""

    product: Int64[Tensor, "group group"]
    inverse: Int64[Tensor, " group"]
    shift: Int64[Tensor, "group group"]


@typed
@lru_cache(maxsize=64)
@table
def tables_on(group: FiniteGroup, device: torch.device) -> GroupTables:
    """The tables of ``group`` on ``device``, copied there once: a copy makes the CPU wait for an accelerator."""
    tables = group.product, group.inverse, group.product[group.inverse]
    return GroupTables(*(each.to(device) for each in tables))


@typed
def random_integers(size: int, images: Images, generator: torch.Generator | None) -> Int64[Tensor, " batch"]:
    """One of 0 .. size-1 per image, uniform, on the images' device (drawn where the generator lives)."""
    need_integer("size", size, least=1)
    device = generator.device if generator is not None else images.device
    return torch.randint(size, (len(images),), generator=generator, device=device).to(images.device)


@typed
def random_elements(
    group: FiniteGroup, images: Images, generator: torch.Generator | None
) -> Int64[Tensor, " batch"]:
    """One element per image, uniform, on the images' device (drawn where the generator lives)."""
    return random_integers(group.order, images, generator)


@lru_cache(maxsize=256)
def _group(rotations: int, reflections: bool) -> FiniteGroup:
    return FiniteGroup(rotations, reflections)


@lru_cache(maxsize=64)
@table
def _pixel_table(group: FiniteGroup, height: int, width: int, device: torch.device) -> Tensor:
    """[g, p] = the pixel that lands on pixel p under g; rows of elements that do not fit the grid mean nothing."""
    pixels = torch.arange(height * width).reshape(height, width)
    return torch.stack([group._turned(pixels, g).flatten() for g in group.elements]).to(device)
