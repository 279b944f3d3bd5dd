"""What each explorer must show in some of its states: one list for unit tests and tests in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from eqssl_edu.errors import got
from eqssl_edu.widgets.by_hand import ByHand
from eqssl_edu.widgets.circle import CircleExplorer
from eqssl_edu.widgets.embedding import STILL, EmbeddingExplorer
from eqssl_edu.widgets.exactness_lab import ExactnessLab
from eqssl_edu.widgets.field import FieldExplorer
from eqssl_edu.widgets.kernel import KernelExplorer
from eqssl_edu.widgets.label_action import LabelActionExplorer
from eqssl_edu.widgets.learned_action import TIMES, LearnedActionExplorer
from eqssl_edu.widgets.orbit import OrbitExplorer
from eqssl_edu.widgets.orbit_correlation import TOLERANCE, OrbitCorrelationExplorer
from eqssl_edu.widgets.shared.base import Explorer

__all__ = ["Step", "scenario", "walk"]

SMALL, LARGE = 1e-5, 0.05  # relative errors: rounding, and what one can see


class Step:
    """What must be seen after some changes of an explorer's state, and whether it is."""

    def __init__(self, claim: str, holds: Callable[[], bool], **changes: Any) -> None:
        self.claim, self.holds, self.changes = claim, holds, changes


def scenario(explorer: Explorer) -> list[Step]:
    """The steps for an explorer; each is made in the state that the one before has left.

    Arguments:
        explorer: a FieldExplorer whose first network is exact on quarter turns, an OrbitExplorer of D4, a
            KernelExplorer of a LiftingConv2d over C4 or D4 with 3 x 3 windows, a LearnedActionExplorer of an
            equivariant network and another one, with images of another kind, or any of the others.
    """
    for kind, steps in SCENARIOS.items():
        if isinstance(explorer, kind):
            return steps(explorer)
    raise TypeError(f"explorer must be one of {', '.join(k.__name__ for k in SCENARIOS)}, {got(explorer)}")


def walk(explorer: Explorer) -> Iterator[str]:
    """Take an explorer through its scenario; gives its sentence in each state.

    Raises:
        AssertionError: if something else is seen than what is claimed.
    """
    for step in scenario(explorer):
        explorer.set_state(**step.changes)
        if not step.holds():
            raise AssertionError(f"{step.claim}, after {step.changes}; the explorer says: {explorer.readout}")
        yield explorer.readout


def _field(explorer: FieldExplorer) -> list[Step]:
    def errors() -> list[float]:
        return list(explorer.errors().values())

    def none() -> bool:
        return not any(errors())

    def follows() -> bool:
        first, *others = errors()
        return first < SMALL and all(error > LARGE for error in others)

    claim = "the first network follows a quarter turn, a second one does not"
    return [
        Step("without a turn nothing is wrong", none, angle=0, mirror=False),
        *(Step(claim, follows, angle=angle) for angle in (90, 180, 270)),
        Step("turning the maps back changes no error", follows, angle=90, stabilised=True),
        Step("45° promises nothing", lambda: min(errors()) > LARGE, angle=45, stabilised=False),
        Step("a whole turn is none", none, angle=360),
    ]


def _orbit(explorer: OrbitExplorer) -> list[Step]:
    def sizes(orbit: int, *kept: int) -> Callable[[], bool]:
        return lambda: len(explorer.orbit()) == orbit and explorer.stabilizer() == kept

    def keeps(*elements: int) -> Callable[[], bool]:
        return lambda: explorer.values["kept_by"] == list(elements)

    return [
        Step("F has eight pictures", sizes(8, 0), picture="F", element=0),
        Step("A has four, and a mirror", sizes(4, 0, 4), picture="A"),
        Step("the mirror turns with the picture that it keeps", keeps(0, 6), element=1),
        Step("N has four, and stands on its head", sizes(4, 0, 2), picture="N"),
        Step("O has one, and all elements keep it", sizes(1, *range(8)), picture="O"),
    ]


def _kernel(explorer: KernelExplorer) -> list[Step]:
    edge = [1.0, 2.0, 1.0, 0.0, 0.0, 0.0, -1.0, -2.0, -1.0]
    others = explorer.layer.in_channels > 1  # they answer as well

    def computed() -> bool:
        pairs = zip(explorer.responses(), explorer.values["output"], strict=True)
        return all(abs(by_hand - layer) < SMALL for by_hand, layer in pairs)

    def opposite() -> bool:
        found = [answer - explorer.values["bias"] for answer in explorer.responses()]
        return computed() and (others or abs(found[0] + found[2]) < SMALL < max(map(abs, found)))

    def silent() -> bool:
        return computed() if others else set(explorer.responses()) == {explorer.values["bias"]}

    claim = "half a turn changes the sign of an edge filter"
    return [
        Step("copy times window is the layer's own answer", computed, row=0, column=0),
        Step(claim, opposite, in_channel=0, out_channel=0, kernel=edge, row=5, column=9),
        Step("a filter of zeros answers the bias alone", silent, kernel=[0.0] * 9),
        Step("the filter is what it was", computed, kernel=None),
    ]


def _exactness(lab: ExactnessLab) -> list[Step]:
    def step(claim: str, **changes: int) -> Step:
        return Step(claim, lambda: lab.values["exact"] is (claim == "exact"), **changes)

    return [
        step("not exact", size=16, kernel_size=3, stride=2, padding=1),
        step("exact", size=17),
        step("not exact", stride=3),
        step("exact", kernel_size=2, padding=0),
        step("exact", size=16, kernel_size=3, stride=1, padding=1),
    ]


def _labels(explorer: LabelActionExplorer) -> list[Step]:
    def tells(action: str) -> Callable[[], bool]:
        return lambda: explorer.verdicts()[action] and not explorer.verdicts()["trivial"]

    steps = []
    for name in explorer.names:
        true = explorer.puzzle(name).true
        claim = f"{true} tells the truth, trivial does not"
        steps.append(Step(claim, tells(true), task=name, element=1, action=true))
        steps.append(
            Step("without a turn all are right", lambda: all(explorer.verdicts().values()), element=0)
        )
    return steps


def _correlation(explorer: OrbitCorrelationExplorer) -> list[Step]:
    def absorbed() -> bool:
        changes = explorer.changes()
        return abs(changes.pop("plain")) > TOLERANCE and all(abs(v) <= TOLERANCE for v in changes.values())

    last = explorer.group.order - 1
    claim = "plain moves, the others stand still"
    return [
        Step("no loss moves", lambda: not any(explorer.changes().values()), image=0, first=0, second=0),
        Step(claim, absorbed, first=1),
        Step(claim, absorbed, first=0, second=last),
        Step(claim, absorbed, image=1, first=last, second=0),
    ]


def _circle(explorer: CircleExplorer) -> list[Step]:
    def sees(well: str, badly: str) -> bool:
        misses = explorer.misses()
        return misses[well] < 0.05 * misses[badly]

    def bounded() -> bool:
        return all(
            row["misses"] <= row["bound"] and (row["name"] == "SO(2)" or row["misses"] > 0)
            for row in explorer.values["rows"]
        )

    def follows() -> bool:
        return abs(explorer.values["off"]) < 10 and explorer.kappa() > explorer.maxima()["C4"]

    def apart() -> bool:
        return explorer.values["true"] is None and explorer.maxima()["SO(2)"] < 1 - SMALL

    return [
        Step(
            "upright views meet at 0°",
            lambda: explorer.peak() == 0,
            first=0,
            second=0,
            theta=0,
            partner="image",
        ),
        Step(
            "C4 sees a quarter turn",
            lambda: explorer.misses()["C4"] < SMALL and abs(explorer.peak() - 90) < 0.01,
            second=90,
        ),
        Step("C4 misses what C8 sees", lambda: sees("C8", "C4"), second=45),
        Step("between their angles both miss, and no more than they can", bounded, second=67),
        Step("the peak knows b - a", follows, first=200, second=222, theta=22),
        Step("another image is no turned copy", apart, partner="other"),
    ]


def _embedding(explorer: EmbeddingExplorer) -> list[Step]:
    def step(claim: str, moves: bool, **changes: Any) -> Step:
        return Step(claim, lambda: (explorer.moved() > STILL) is moves, **changes)

    return [
        step("it stands where it stood", False, features="regular", image=0, element=0),
        step("with regular features the point moves", True, element=1),
        step("with pooled features it stands still", False, features="pooled"),
        step("as every other does", False, image=2, element=explorer.group.order - 1),
        step("and moves with regular ones", True, features="regular"),
    ]


def _learned(explorer: LearnedActionExplorer) -> list[Step]:
    first, second = list(explorer.encoders)[:2]

    def follows() -> bool:
        return max(explorer.missed()) < SMALL and explorer.errors(first)["group law"] < SMALL

    def none() -> bool:
        return explorer.missed()[0] == 0

    def strays() -> bool:
        return min(explorer.missed()[1:]) > 100 * SMALL and explorer.errors(second)["moving error"] > LARGE

    start = {
        "network": first,
        "untrained": False,
        "source": "images",
        "image": 0,
        "element": 1,
        "times": TIMES,
    }
    return [
        Step("the action of the first network brings its features back", follows, **start),
        Step("that of a second one does not", strays, network=second),
        Step("applied no times it misses nothing", none, times=0),
        Step(
            "the first one has its action without training", follows, network=first, untrained=True, times=2
        ),
        Step("and on images of another kind", follows, untrained=False, source="report", image=1),
    ]


def _by_hand(explorer: ByHand) -> list[Step]:
    def drawn() -> bool:
        return explorer.values["html"] == explorer.draw(**explorer.state())

    ends = [(name, values[end]) for name, values in explorer.choices.items() for end in (-1, 0)]
    return [Step(f"{name} = {value} is drawn", drawn, **{name: value}) for name, value in ends]


SCENARIOS: dict[type[Explorer], Callable[[Any], list[Step]]] = {
    ByHand: _by_hand,
    FieldExplorer: _field,
    OrbitExplorer: _orbit,
    KernelExplorer: _kernel,
    ExactnessLab: _exactness,
    LabelActionExplorer: _labels,
    OrbitCorrelationExplorer: _correlation,
    CircleExplorer: _circle,
    LearnedActionExplorer: _learned,
    EmbeddingExplorer: _embedding,
}
