"""SO(2) and O(2): all rotations, known by samples of functions of a limited frequency."""

from __future__ import annotations

from eqssl_edu.errors import need_integer, typed
from eqssl_edu.groups import FiniteGroup

__all__ = ["CircleGroup", "o2", "so2"]


class CircleGroup(FiniteGroup):
    r"""SO(2), or O(2) with reflections. A feature is a function on the group of frequencies 0 .. L, given by samples.

    The samples lie at the elements of C_n or D_n; n >= 2 L + 1 of them determine the function. So features have the
    shape (B, C, n) or (B, C, 2n) as those of a finite group have, and ``transform_features`` is exact at the
    samples. *Between* the samples ``turn_features`` acts. It is not equal to C_n: what looks at the samples alone
    (their largest value, say) does not absorb a turn between them.

    Arguments:
        frequency: L, at least 1.
        reflections: False for SO(2), True for O(2).
        samples: n; 2 L + 2 by default.

    Example:
        >>> G = so2(3)
        >>> G.name, G.frequency, G.order
        ('SO(2)', 3, 8)
    """

    @typed
    def __init__(self, frequency: int, reflections: bool = False, samples: int | None = None) -> None:
        self.frequency = need_integer("frequency", frequency, 1, 511)
        samples = 2 * frequency + 2 if samples is None else samples
        super().__init__(need_integer("samples", samples, 2 * frequency + 1, 1024), reflections)
        self.name = "O(2)" if reflections else "SO(2)"

    def __repr__(self) -> str:
        return f"{'o2' if self.reflections else 'so2'}({self.frequency}, samples={self.rotations})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CircleGroup) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self):
        return CircleGroup, self._key()

    def _key(self) -> tuple[int, bool, int]:
        return self.frequency, self.reflections, self.rotations

    @property
    def is_finite(self) -> bool:
        """False: the elements are samples."""
        return False

    @property
    def exact_on_grid(self) -> bool:
        """False: most angles do not map the pixel grid to itself."""
        return False


@typed
def so2(frequency: int = 3, samples: int | None = None) -> CircleGroup:
    """SO(2), the rotations by all angles, for features of frequencies 0 .. L.

    Example:
        >>> so2(3).order, so2(3, samples=7).order
        (8, 7)
    """
    return CircleGroup(frequency, False, samples)


@typed
def o2(frequency: int = 3, samples: int | None = None) -> CircleGroup:
    """O(2), the rotations by all angles and the reflections, for features of frequencies 0 .. L.

    Example:
        >>> o2(3).order
        16
    """
    return CircleGroup(frequency, True, samples)
