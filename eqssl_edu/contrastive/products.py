"""How all pairs of views are compared: what is multiplied for a chunk of them, and where its gradient goes."""

from __future__ import annotations

from torch import Tensor

from eqssl_edu.circle import CircleGroup
from eqssl_edu.circle.correlation import products, turned_back, turned_waves
from eqssl_edu.circle.similarity import of_waves, points_of
from eqssl_edu.contrastive.similarity import reduced
from eqssl_edu.groups import FiniteGroup, tables_on
from eqssl_edu.layers.weight_copies import copied_entries, transformed_copies

__all__ = ["Copies", "Waves"]


class Copies:
    """Regular features (2B, C, |G|): the |G| turned copies of some views with all later ones.

    ``flat`` are the views as they are multiplied, ``values`` how many numbers of a pair are held.
    """

    def __init__(self, views: Tensor, group: FiniteGroup, kind: str, temperature: float) -> None:
        self.views, self.flat, self.values = views, views.flatten(1), group.order
        self.how = kind, temperature
        self.tables = copied_entries(group, views.shape[1], True, views.device)
        self.undo = tables_on(group, views.device).shift

    def turned(self, rows: slice) -> Tensor:
        return transformed_copies(self.views[rows], *self.tables, -1, self.flat.shape[1])

    def products(self, turned: Tensor, start: int) -> Tensor:
        """kappa (rows, |G|, later), of views with all from ``start`` on."""
        return (turned @ self.flat[start:].T).unflatten(0, (-1, self.values))

    def similarity(self, kappa: Tensor) -> Tensor:
        """(rows, later)"""
        return reduced(kappa, 1, *self.how)

    def add_to_later(self, gradient: Tensor, along: Tensor, turned: Tensor) -> None:
        """Add to the gradient of the later views what comes along the products."""
        along = along.flatten(0, 1)
        if along.dtype == gradient.dtype:
            gradient.addmm_(along.T, turned)  # in place
        else:
            gradient += along.T @ turned

    def share(self, along: Tensor, start: int) -> Tensor:
        """What comes along products with views from ``start`` on, for the rows."""
        share = (along.flatten(0, 1) @ self.flat[start:]).view(*along.shape[:2], *self.views.shape[1:])
        return share.gather(3, self.undo[:, None, :].expand_as(share)).sum(dim=1).flatten(1)


class Waves:
    """The waves of features over SO(2) or O(2), (2B, L + 1, width): the coefficients of all pairs."""

    def __init__(self, views: Tensor, group: CircleGroup, kind: str, temperature: float) -> None:
        self.group, self.flat, self.how = group, views, (kind, temperature)
        # A quarter of the angles: with fewer rows a chunk waits for the many small steps that it takes.
        self.values = max(1, points_of(kind, views, temperature) * (1 + group.reflections) // 4)

    def turned(self, rows: slice) -> Tensor:
        return turned_waves(self.group, self.flat[rows])

    def products(self, turned: Tensor, start: int) -> Tensor:
        """(circles, L + 1, 2, rows, later)"""
        return products(turned, self.flat[start:])

    def similarity(self, pairs: Tensor) -> Tensor:
        return of_waves(pairs, *self.how)

    def add_to_later(self, gradient: Tensor, along: Tensor, turned: Tensor) -> None:
        along, turned = (x.transpose(0, 1).flatten(1, 3) for x in (along, turned))
        gradient += (along.mT @ turned).transpose(0, 1)

    def share(self, along: Tensor, start: int) -> Tensor:
        share = along.flatten(2, 3) @ self.flat[start:].transpose(0, 1)
        return turned_back(self.group, share.unflatten(2, along.shape[2:4]))
