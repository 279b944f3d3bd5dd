"""What ``learned_action`` says: errors of the fitted maps as shares of the energy that moves, printed as a table."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from jaxtyping import Float
from torch import Tensor

from eqssl_edu.diagnostics.report_table import as_html, as_text, percent
from eqssl_edu.errors import need_choice, need_shape
from eqssl_edu.groups import FiniteGroup

__all__ = ["ActionErrors", "LearnedAction"]

FEW = 5  # pairs for each direction: fewer are fitted closer than others


@dataclass(frozen=True)
class ActionErrors:
    """How well the fitted maps say what a turn does, in one metric. None stands where nothing moves.

    All but ``still`` are energies (squared lengths) in units of the energy that moves. To know the mean of each orbit
    and nothing of the turn has the error 1, to say that nothing moves the mean error 2 |G| / (|G| - 1).

    Arguments:
        still: the share of the energy of the reported features, about their mean, that no turn moves.
        fitted: for each g, on the images that the maps were fitted on.
        reported: for each g, on the other images.
        laws: for each g and h, the energy of (R_g R_h - R_gh) z on the other images.
    """

    still: float
    fitted: tuple[float, ...] | None
    reported: tuple[float, ...] | None
    laws: tuple[tuple[float, ...], ...] | None

    @property
    def fit_error(self) -> float | None:
        """The mean of ``fitted`` over all g but the identity."""
        return self.fitted and fmean(self.fitted[1:])

    @property
    def error(self) -> float | None:
        """The *moving error*: the mean of ``reported`` over all g but the identity."""
        return self.reported and fmean(self.reported[1:])

    @property
    def error_of_all(self) -> float:
        """The same error in units of all energy: small for every network that hardly moves, whatever it does."""
        return 0.0 if self.error is None else self.error * (1 - self.still)

    @property
    def law(self) -> float | None:
        """The mean of ``laws`` over all g and h but the identity."""
        return self.laws and fmean(value for row in self.laws[1:] for value in row[1:])

    @property
    def law_largest(self) -> float | None:
        """The largest of ``laws``."""
        return self.laws and max(map(max, self.laws))


@dataclass(frozen=True, eq=False)
class LearnedAction:
    r"""The linear action that fits a network best, and how well it does: what ``learned_action`` gives.

    Arguments:
        group: G.
        counts: images on which the maps were fitted, and others on which the errors are reported.
        dimension: D, numbers of a feature.
        centre: mean of the features over all turns of the fitted images.
        basis: orthonormal columns: the r directions in which these features vary by more than rounding.
        deviations: standard deviations along them.
        whitened_maps: $R_g$ in this basis with all deviations made 1.
        plain: errors in the features' own metric.
        whitened: errors where each direction counts the same.
        content: how many of the r dimensions turn as each irreducible part does (names as in ``irrep_projectors``),
            from the traces of $R_g$. A map that explains nothing has trace 0, as the regular representation has: read
            it beside the error.
        untrained: the same of an untrained copy of the network; None in that one.
    """

    group: FiniteGroup
    counts: tuple[int, int]
    dimension: int
    centre: Float[Tensor, " dimension"]
    basis: Float[Tensor, "dimension direction"]
    deviations: Float[Tensor, " direction"]
    whitened_maps: Float[Tensor, "group direction direction"]
    plain: ActionErrors
    whitened: ActionErrors
    content: dict[str, float]
    untrained: LearnedAction | None = None

    @property
    def directions(self) -> int:
        """r, the rank of the fitted features."""
        return len(self.deviations)

    @property
    def moves(self) -> bool:
        """Do turns move the features that were fitted at all?"""
        return self.plain.fitted is not None

    def act(self, z: Float[Tensor, "batch dimension"], g: int) -> Float[Tensor, "batch dimension"]:
        """What the fit says of turned images: centre + R_g (z - centre). Twice is not the square's: see ``laws``."""
        need_shape("z", z, "B", self.dimension, floating=True)
        g = need_choice("g", g, self.group.elements)
        coordinates = (z.to(self.centre) - self.centre) @ self.basis / self.deviations
        turned = coordinates @ self.whitened_maps[g].T * self.deviations
        return (self.centre + turned @ self.basis.T).to(z)

    def _rows(self) -> list[list[str]]:
        titles = ["", "does not move", "error, fitted", "error", "law", "law, largest", *self.content]
        rows = [titles]
        for name, result in (("the network", self), ("untrained", self.untrained)):
            for metric in ("plain", "whitened") if result else ():
                errors: ActionErrors = getattr(result, metric)
                numbers = (errors.fit_error, errors.error, errors.law, errors.law_largest)
                content = [f"{value:.1f}" if metric == "plain" else "" for value in result.content.values()]
                rows.append([f"{name}, {metric}", percent(errors.still), *map(_share, numbers), *content])
        return rows

    def _summary(self) -> str:
        fitted, reported = self.counts
        pairs = fitted * self.group.order
        where = (
            f"{self.group.name}, {fitted} images fitted, {reported} others reported; {self.dimension} numbers"
        )
        few = f"; few images: {pairs} pairs" if pairs < FEW * self.directions else ""
        where += f" in {self.directions} directions{few}"
        if not self.moves:
            return f"{where}: the features do not move."
        beside = (
            "" if self.untrained is None else f" (of an untrained copy: {_share(self.untrained.plain.error)})"
        )
        return f"{where}: linear maps miss {_share(self.plain.error)} of what moves{beside}."

    def __str__(self) -> str:
        return as_text(self._summary(), self._rows())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self._summary(), self._rows())


def _share(energy: float | None) -> str:
    return "does not move" if energy is None else percent(energy)
