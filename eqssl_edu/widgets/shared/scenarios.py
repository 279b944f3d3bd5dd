"""What each explorer must show in some of its states: one list for notebooks, unit tests and tests in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from eqssl_edu.errors import got
from eqssl_edu.widgets.by_hand import ByHand
from eqssl_edu.widgets.embedding import STILL, EmbeddingExplorer
from eqssl_edu.widgets.exactness_lab import ExactnessLab
from eqssl_edu.widgets.field import FieldExplorer
from eqssl_edu.widgets.kernel import KernelExplorer
from eqssl_edu.widgets.label_action import LabelActionExplorer
from eqssl_edu.widgets.orbit import OrbitExplorer
from eqssl_edu.widgets.orbit_correlation import TOLERANCE, OrbitCorrelationExplorer
from eqssl_edu.widgets.shared.base import Explorer

__all__ = ["Step", "scenario", "walk"]

SMALL, LARGE = 1e-5, 0.05  # relative errors: rounding, and what one can see


class Step(NamedTuple):
    """A change of an explorer's state, what must then be seen, and whether it is."""

    changes: dict[str, Any]
    claim: str
    holds: Callable[[], bool]


def scenario(explorer: Explorer) -> list[Step]:
    """The steps for an explorer; each is made in the state that the one before has left.

    Arguments:
        explorer: a FieldExplorer whose first network is exact on quarter turns, an OrbitExplorer of D4, a
            KernelExplorer of a LiftingConv2d over C4 or D4 with 3 x 3 windows, or any of the others.
    """
    for kind, steps in SCENARIOS.items():
        if isinstance(explorer, kind):
            return steps(explorer)
    raise TypeError(f"explorer must be one of {', '.join(k.__name__ for k in SCENARIOS)}, {got(explorer)}")


def walk(explorer: Explorer) -> Iterator[str]:
    """Take an explorer through its scenario; gives its sentence in each state.

    Raises:
        AssertionError: if something else is seen than what is claimed.

    Example:
        >>> for sentence in walk(ExactnessLab()):
        ...     print(sentence.partition(".")[0])
        Size 16, kernel 3, stride 2, padding 1: not exact
        Size 17, kernel 3, stride 2, padding 1: exact
        Size 17, kernel 3, stride 3, padding 1: not exact
        Size 17, kernel 2, stride 3, padding 0: exact
        Size 16, kernel 3, stride 1, padding 1: exact
    """
    for step in scenario(explorer):
        explorer.set_state(**step.changes)
        if not step.holds():
            raise AssertionError(f"{step.claim}, after {step.changes}; the explorer says: {explorer.readout}")
        yield explorer.readout


def _field(explorer: FieldExplorer) -> list[Step]:
    def errors() -> list[float]:
        return list(explorer.errors().values())

    def follows() -> bool:
        first, *others = errors()
        return first < SMALL and all(error > LARGE for error in others)

    claim = "the first network follows a quarter turn, a second one does not"
    quarters = [Step({"angle": angle, "mirror": False}, claim, follows) for angle in (90, 180, 270)]
    return [
        Step({"angle": 0, "mirror": False}, "without a turn nothing is wrong", lambda: not any(errors())),
        *quarters,
        Step({"angle": 90, "stabilised": True}, "turning the maps back changes no error", follows),
        Step({"angle": 45, "stabilised": False}, "45° promises nothing", lambda: min(errors()) > LARGE),
        Step({"angle": 360}, "a whole turn is none", lambda: not any(errors())),
    ]


def _orbit(explorer: OrbitExplorer) -> list[Step]:
    def sizes(orbit: int, *kept: int) -> Callable[[], bool]:
        return lambda: len(explorer.orbit()) == orbit and explorer.stabilizer() == kept

    def keeps(*elements: int) -> Callable[[], bool]:
        return lambda: explorer.values["kept_by"] == list(elements)

    return [
        Step({"picture": "F", "element": 0}, "F has eight pictures", sizes(8, 0)),
        Step({"picture": "A"}, "A has four, and a mirror", sizes(4, 0, 4)),
        Step({"element": 1}, "the mirror turns with the picture that it keeps", keeps(0, 6)),
        Step({"picture": "N"}, "N has four, and stands on its head", sizes(4, 0, 2)),
        Step({"picture": "O"}, "O has one, and all elements keep it", sizes(1, *range(8))),
    ]


def _kernel(explorer: KernelExplorer) -> list[Step]:
    edge = [1.0, 2.0, 1.0, 0.0, 0.0, 0.0, -1.0, -2.0, -1.0]

    def products() -> list[float]:
        """The answers without the bias."""
        return [answer - explorer.values["bias"] for answer in explorer.responses()]

    def computed() -> bool:
        pairs = zip(explorer.responses(), explorer.values["output"], strict=True)
        return all(abs(by_hand - layer) < SMALL for by_hand, layer in pairs)

    def opposite() -> bool:
        return computed() and abs(products()[0] + products()[2]) < SMALL < max(map(abs, products()))

    filter_0 = {"in_channel": 0, "out_channel": 0}
    others = explorer.layer.in_channels > 1  # they answer as well
    return [
        Step({"row": 0, "column": 0}, "copy times window is the layer's own answer", computed),
        Step({**filter_0, "kernel": edge, "row": 5, "column": 9}, "half a turn changes the sign of an edge filter",
             computed if others else opposite),
        Step({"kernel": [0.0] * 9}, "a filter of zeros answers the bias alone",
             computed if others else lambda: not any(products())),
        Step({"kernel": None}, "the filter is what it was", computed),
    ]  # fmt: skip


def _exactness(lab: ExactnessLab) -> list[Step]:
    def verdict(exact: bool) -> Callable[[], bool]:
        return lambda: lab.values["exact"] is exact

    settings = [
        (16, 3, 2, 1, False),
        (17, 3, 2, 1, True),
        (17, 3, 3, 1, False),
        (17, 2, 3, 0, True),
        (16, 3, 1, 1, True),
    ]
    names = ("size", "kernel_size", "stride", "padding")
    return [
        Step(dict(zip(names, setting, strict=True)), "exact" if exact else "not exact", verdict(exact))
        for *setting, exact in settings
    ]


def _labels(explorer: LabelActionExplorer) -> list[Step]:
    def verdicts(action: str) -> Callable[[], bool]:
        def hold() -> bool:
            found = explorer.verdicts()
            return explorer.state()["action"] == action and found[action] and not found["trivial"]

        return hold

    steps = []
    for name in explorer.names:
        true = explorer.puzzle(name).true
        turn = {"task": name, "element": 1, "action": true}
        steps += [
            Step(turn, f"{true} tells the truth, trivial does not", verdicts(true)),
            Step({"element": 0}, "without a turn all are right", lambda: all(explorer.verdicts().values())),
        ]
    return steps


def _correlation(explorer: OrbitCorrelationExplorer) -> list[Step]:
    def absorbed() -> bool:
        changes = explorer.changes()
        return abs(changes.pop("plain")) > TOLERANCE and all(abs(v) <= TOLERANCE for v in changes.values())

    last = explorer.group.order - 1
    claim = "plain moves, the others stand still"
    return [
        Step({"image": 0, "first": 0, "second": 0}, "no loss moves", lambda: not any(explorer.changes().values())),
        Step({"first": 1}, claim, absorbed),
        Step({"first": 0, "second": last}, claim, absorbed),
        Step({"image": 1, "first": last, "second": 0}, claim, absorbed),
    ]  # fmt: skip


def _embedding(explorer: EmbeddingExplorer) -> list[Step]:
    regular, pooled = {"features": "regular"}, {"features": "pooled"}

    def still() -> bool:
        return explorer.moved() <= STILL

    def moves() -> bool:
        return explorer.moved() > STILL

    return [
        Step({**regular, "image": 0, "element": 0}, "it stands where it stood", still),
        Step({**regular, "element": 1}, "with regular features the point moves", moves),
        Step({**pooled, "element": 1}, "with pooled features it stands still", still),
        Step({**pooled, "image": 2, "element": explorer.group.order - 1}, "as every other does", still),
        Step({**regular}, "and moves with regular ones", moves),
    ]


def _by_hand(explorer: ByHand) -> list[Step]:
    def drawn() -> bool:
        return explorer.values["html"] == explorer.draw(**explorer.state())

    ends = [(name, values[end]) for name, values in explorer.choices.items() for end in (-1, 0)]
    return [Step({name: value}, f"{name} = {value} is drawn", drawn) for name, value in ends]


SCENARIOS: dict[type[Explorer], Callable[[Any], list[Step]]] = {
    ByHand: _by_hand,
    FieldExplorer: _field,
    OrbitExplorer: _orbit,
    KernelExplorer: _kernel,
    ExactnessLab: _exactness,
    LabelActionExplorer: _labels,
    OrbitCorrelationExplorer: _correlation,
    EmbeddingExplorer: _embedding,
}
