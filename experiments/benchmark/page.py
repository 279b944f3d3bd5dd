"""The page of the campaign, from the raw runs alone: what is not there is not shown, and what was cut off is said."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from eqssl_edu.evaluation import Interval
from experiments import jigsaw_actions, rotation_heads
from experiments.benchmark.claims import finished
from experiments.benchmark.one_run import SHARES
from experiments.benchmark.plan import CONTROL, METHODS, PREDICTED, PREDICTION, TIERS, Tier, arms, ordered
from experiments.benchmark.records import Arm, Difference, Records
from experiments.figures import Intervals
from experiments.pages import PAGES, alternative_text, percent
from experiments.runs import Cell

__all__ = ["PUBLISHED", "figures", "page"]

# Accuracy of cosine neighbours: SimCLR, ResNet-18, 200 epochs; and how near is near.
PUBLISHED, NEAR = 0.848, 0.02
COLUMNS = {f"linear_{share}": f"linear, {share} % of labels" for share in SHARES}
COLUMNS |= {"all_features": "linear, all features", "nearest": "nearest", "orbits": "nearest orbits"}
JUDGES = {"linear_100_upright": "linear, 100 % of labels", "orbits_upright": "nearest orbits"}


class Section(NamedTuple):
    """What a page says of one tier."""

    tier: Tier
    records: Records
    due: int
    machines: list[str]
    jpeg: bool
    seeds: int
    control: Interval | float | None
    withheld: str  # why no table is shown
    prediction: list[dict]
    predicted: list[Difference]
    tables: dict[str, list[Arm]]
    between: dict[str, list[Difference]]

    @property
    def panels(self) -> dict[str, dict[str, Interval]]:
        """Of the tier's first network: the means of methods with two seeds or more, for each measure and data set."""
        return {
            f"{data}, {said}": {
                arm[2]: self.records.mean(arm, key)
                for arm in some
                if arm[1] == self.tier.networks[0] and len(self.records.seeds(arm)) > 1
            }
            for data, some in self.tables.items()
            for key, said in JUDGES.items()
        }

    @property
    def seen(self) -> str:
        """What one would see in the figure; nothing, if there is none."""
        shown = {name: panel for name, panel in self.panels.items() if panel}
        return "" if self.withheld else alternative_text(shown, lambda value: f"{100 * value.mean:.1f} %")


def page(folder: Path) -> str:
    """The whole page, from the folders of the tiers."""
    PAGES.filters |= {"accuracy": accuracy, "chance": lambda p: f"{p:.3f}" if p >= 0.0005 else "< 0.001"}
    return PAGES.get_template("benchmark/benchmark.md.jinja").render(
        sections=sections(folder),
        columns=COLUMNS,
        judges=JUDGES,
        published=PUBLISHED,
        near=NEAR,
        control=CONTROL,
    )


def figures(folder: Path) -> Iterator[tuple[str, Intervals]]:
    """The picture of each tier, with the name of its file: what a method lacks is left empty."""
    for part in sections(folder):
        if part.seen:
            panels = {name: panel for name, panel in part.panels.items() if panel}
            rows = [method for method in METHODS if any(method in panel for panel in panels.values())]
            absent = Interval(math.nan, math.nan, math.nan)
            drawn = {name: {row: panel.get(row, absent) for row in rows} for name, panel in panels.items()}
            title = f"Tier {part.tier.name}, {part.tier.networks[0]} network: test accuracy"
            yield f"benchmark-{part.tier.name}.svg", Intervals(title, drawn, {}, "accuracy")


def sections(folder: Path) -> list[Section]:
    """What each tier with a run has to say."""
    every = ((tier, finished(folder / tier.name)) for tier in TIERS.values())
    return [section(tier, Records(records)) for tier, records in every if records]


def section(tier: Tier, records: Records) -> Section:
    """One tier; its tables are withheld until its control is what was published."""
    control = records.mean(CONTROL, "nearest_upright") if CONTROL in records else None
    there = {data: [arm for arm in arms(tier) if arm in records and arm[0] == data] for data in tier.data}
    return Section(
        tier,
        records,
        len(ordered(tier)),
        sorted({record["machine"] for record in records.all}),
        any(record["jpeg"] for record in records.all),
        len({record["seed"] for record in records.all}),
        control,
        withheld(control) if tier.published else "",
        list(predictions(records)),
        records.differences(list(predicted_pairs()), "linear_100_upright"),
        {data: some for data, some in there.items() if some},
        {
            data: [row for key in JUDGES for row in records.differences(list(pairs(tier, data)), key)]
            for data in tier.data
        },
    )


def withheld(control: Interval | float | None) -> str:
    """Why the tables of a tier that repeats published numbers are not shown; nothing if they are."""
    if control is None:
        return "the control has not been run yet"
    mean = control.mean if isinstance(control, Interval) else control
    return "" if abs(mean - PUBLISHED) <= NEAR else "the control is not what was published"


def predictions(records: Records) -> Iterator[dict]:
    """Of each predicted arm: what theory caps, and what was found."""
    data, network = PREDICTION
    caps = {
        "rotation": rotation_heads.limits(Cell("upright", "equivariant head"), oriented=False)[1],
        "jigsaw, left": jigsaw_actions.floor(Cell("upright", "left"), oriented=False)[1],
        "jigsaw, conjugation": jigsaw_actions.floor(Cell("upright", "conjugation"), oriented=False)[1],
    }
    for method, word in PREDICTED.items():
        if (arm := (data, network, method)) in records:
            task = records.mean(arm, "pretext_accuracy") if records.has(arm, "pretext_accuracy") else None
            yield {"arm": arm, "word": word, "cap": caps.get(method), "task": task}


def predicted_pairs() -> Iterator[tuple[Arm, Arm]]:
    """Whatever works above whatever fails."""
    for method, word in PREDICTED.items():
        for other, another in PREDICTED.items():
            if (word, another) == ("works", "fails"):
                yield (*PREDICTION, method), (*PREDICTION, other)


def pairs(tier: Tier, data: str) -> Iterator[tuple[Arm, Arm]]:
    """What is compared on one set of images: with no training, with other networks, with plain similarity."""
    known = [arm for arm in arms(tier) if arm[0] == data]
    for _, network, method in known:
        if method != METHODS[0]:
            yield (data, network, method), (data, network, METHODS[0])
    for _, network, method in known:
        if network == tier.networks[0]:
            for other in tier.networks[1:]:
                if (data, other, method) in known:
                    yield (data, network, method), (data, other, method)
    for _, network, method in known:
        if method in ("InfoNCE max", "InfoNCE soft"):
            for turned in ("turned", "not turned"):
                yield (data, network, method), (data, network, f"InfoNCE plain, views {turned}")


def accuracy(value: Interval | float) -> str:
    """In per cent, with its interval where there are seeds."""
    return percent(value) if isinstance(value, Interval) else f"{100 * value:.1f}"
