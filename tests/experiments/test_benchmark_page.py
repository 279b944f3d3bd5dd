"""The campaign's page: from raw runs alone, whatever was cut off; Holm's correction; tables that are withheld."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from scipy import stats

from eqssl_edu.lessons.campaign_runs import library_holm as holm
from experiments import jigsaw_actions, rotation_heads
from experiments.benchmark.claims import finished
from experiments.benchmark.command import page
from experiments.benchmark.page import COLUMNS, JUDGES, PUBLISHED, figures, predicted_pairs
from experiments.benchmark.plan import CONTROL, PREDICTED, PREDICTION, TIERS, ordered
from experiments.benchmark.records import Records
from experiments.figures import write_figure
from experiments.runs import Cell

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def made_up(tier, runs=None, **fixed):
    """Records with plausible numbers: the works of the prediction are good, all else is noise; ``fixed`` is put in."""
    generator = torch.Generator().manual_seed(0)
    records = []
    for run in ordered(tier)[:runs]:
        good = 0.2 * (run[:2] == PREDICTION and PREDICTED.get(run.method) == "works")
        numbers = {
            f"{key}_{which}": 0.5 + good + 0.02 * float(torch.rand((), generator=generator))
            for key in COLUMNS
            for which in ("upright", "mean", "worst")
        }
        numbers |= {"pretext_accuracy": 0.25} if not run.method.startswith(("InfoNCE", "no ", "sup")) else {}
        if run[:3] == CONTROL:
            numbers |= fixed
        records.append(
            run._asdict() | numbers | {"machine": "none", "jpeg": run.data == "cifar10", "seconds": 1}
        )
    return records


def written(folder, tier, records):
    (folder / tier.name).mkdir(exist_ok=True)
    for run, record in zip(ordered(tier), records, strict=False):
        (folder / tier.name / f"{run.name}.json").write_text(json.dumps(record))
    return page(folder)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1, 1] and holm([]) == []
    assert max(holm([0.02, 0.02])) == 0.04  # twice 0.02, the smaller never above the larger


def test_holm_keeps_the_level_and_no_correction_does_not():
    """Twenty differences that are none: how often does any of them separate?"""
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(300):
        values = torch.randn(20, 5, generator=generator, dtype=torch.float64)
        found.append(stats.ttest_1samp(values.numpy(), 0, axis=1).pvalue.tolist())
    assert sum(min(holm(p)) < 0.05 for p in found) / 300 < 0.08
    assert sum(min(p) < 0.05 for p in found) / 300 > 0.5


def test_differences_take_the_seeds_that_both_arms_have():
    tier = TIERS["cpu"]
    records = Records(made_up(tier, 51))  # the first table, and one run of the next
    alone, every = ("mnist", "C4", "no training"), (*PREDICTION, "rotation")
    assert records.seeds(alone) == [0] and records.seeds(every) == [0, 1, 2, 3, 4]
    assert isinstance(records.mean(alone, "orbits_upright"), float)
    assert records.differences([(alone, every)], "orbits_upright") == []  # one seed is no interval
    rows = records.differences(list(predicted_pairs()), "linear_100_upright")
    assert [row.verdict for row in rows] == 4 * ["higher"] and all(row.seeds == 5 for row in rows)
    again = (every, every)
    assert records.differences([again], "orbits_upright")[0].p == 1.0


def test_a_campaign_that_was_cut_off_says_so(tmp_path):
    tier, due = TIERS["cpu"], len(ordered(TIERS["cpu"]))
    assert "No run has ended yet." in page(tmp_path)
    for cut in (1, 3, 102, due):
        text = written(tmp_path, tier, made_up(tier, cut))
        assert (f"**Cut off after {cut} of {due} runs.**" in text) == (cut < due)
        assert "nan" not in text and "None" not in text
        assert ("the prediction is not decided yet" in text) == (cut == 3)
    assert "All 385 runs are here." in text and "4 of 4 are, 0 are lower, 0 do not separate" in text
    assert "(JPEG copy): nearest neighbours" in text
    lines = text.splitlines()
    for i, line in enumerate(lines):  # tables are whole
        if line.startswith("| ---"):
            widths = {row.count("|") for row in lines[i - 1 : i + 3] if row.startswith("|")}
            assert len(widths) == 1, lines[i - 1 : i + 2]


def test_what_does_not_separate_is_said(tmp_path):
    text = written(tmp_path, TIERS["cpu"], made_up(TIERS["cpu"]))
    rows = [line for line in text.splitlines() if line.endswith("| does not separate |")]
    said = [
        line
        for line in text.splitlines()
        if line.startswith(tuple(f"- {judge}: " for judge in JUDGES.values()))
    ]
    assert len(rows) == len(said) > 20


@pytest.mark.parametrize(("control", "shown"), [(PUBLISHED + 0.019, True), (PUBLISHED - 0.021, False)])
def test_the_long_tier_shows_no_table_before_its_control_is_right(tmp_path, control, shown):
    tier = TIERS["long"]
    text = written(tmp_path, tier, made_up(tier, nearest_upright=control))
    assert "Published, after 200 epochs: 84.8 %" in text
    assert ("No table is shown: the control is not what was published" not in text) == shown
    assert ("| network | pretraining |" in text) == ("### The prediction" in text) == shown


def test_the_long_tier_without_its_control_shows_no_table(tmp_path):
    text = written(tmp_path, TIERS["long"], made_up(TIERS["long"], 15))
    assert "No table is shown: the control has not been run yet" in text and "| ---" not in text


def test_a_number_that_changes_changes_the_page(tmp_path):
    records = made_up(TIERS["cpu"])
    before = written(tmp_path, TIERS["cpu"], records)
    records[0]["linear_100_upright"] = 0.777
    assert written(tmp_path, TIERS["cpu"], records) != before


def test_the_picture_shows_what_has_two_seeds_and_its_words_say_it(tmp_path):
    tier, path = TIERS["cpu"], tmp_path / "benchmark-cpu.svg"
    text = written(tmp_path, tier, made_up(tier, 5))  # one seed of each: no interval
    assert "![" not in text and list(figures(tmp_path)) == []
    for cut, panels in ((51, 2), (385, 6)):
        text = written(tmp_path, tier, made_up(tier, cut))
        [(name, drawing)] = figures(tmp_path)
        write_figure(drawing, path)
        assert name == path.name and len(drawing.panels) == panels
        shown = path.read_text()
        assert "rotated-mnist, nearest orbits" in shown and f"({name})" in text
        [alt] = [line for line in text.splitlines() if line.startswith("![")]
        for panel, values in drawing.panels.items():
            assert f"{panel}: " in alt
            missing = {method for method, value in values.items() if value.mean != value.mean}
            assert missing == ({"jigsaw, left"} if "cifar10" in panel else set())
        assert "nan" not in alt


def test_the_published_page_is_what_its_raw_runs_say():
    raw = RESULTS / "raw" / "benchmark"
    assert (RESULTS / "benchmark.md").read_text(encoding="utf-8") == page(raw)
    drawn = [RESULTS / name for name, _ in figures(raw)]
    assert drawn and all(path.exists() for path in drawn)


def test_a_task_that_fails_is_not_empty():
    """As the page says: the left action leaves log 6 of log 24 nats to be learned, rotation nothing of log 4."""
    left, rotation = Cell("upright", "left"), Cell("upright", "equivariant head")
    assert jigsaw_actions.floor(left, oriented=False)[0] == pytest.approx(math.log(24) - math.log(6))
    assert rotation_heads.limits(rotation, oriented=False)[0] == pytest.approx(math.log(4))


def test_what_the_readme_says_of_real_size_follows_from_the_runs():
    text = " ".join((RESULTS.parents[1] / "README.md").read_text(encoding="utf-8").split())
    text = text[text.index("**At real size") : text.index("## The paper")]
    records = Records(finished(RESULTS / "raw" / "benchmark" / "cpu"))

    def mean(method, key="linear_100_upright"):
        return records.mean((*PREDICTION, method), key)

    for method in ("rotation", "jigsaw, left"):
        assert mean(method, "pretext_accuracy").mean < 0.25
    told = [mean("jigsaw, conjugation", "pretext_accuracy")]
    told += map(mean, ("InfoNCE max", "jigsaw, conjugation", "rotation", "no training", "jigsaw, left"))
    assert re.findall(r"\d+\.\d", text) == [f"{100 * value.mean:.1f}" for value in told]
    asked = [("jigsaw, conjugation", "jigsaw, left")]
    asked += [("InfoNCE max", f"InfoNCE plain, views {turned}") for turned in ("turned", "not turned")]
    pairs = [((*PREDICTION, one), (*PREDICTION, other)) for one, other in asked]
    rows = records.differences(pairs, "linear_100_upright")
    assert [(row.verdict, row.seeds) for row in rows] == 3 * [("does not separate", 5)]
