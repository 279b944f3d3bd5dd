"""Notebook 11: six ways to ask, what is shipped of the campaign's runs, headlines, tables and maps of dice."""

import json
from itertools import combinations
from pathlib import Path

import pytest
import torch
from scipy import stats

from eqssl_edu.exercises.notebook_11 import CLAIMS
from eqssl_edu.lessons import campaign_runs as campaign
from eqssl_edu.lessons import notebook_11 as lesson
from experiments.benchmark.page import COLUMNS
from experiments.benchmark.plan import METHODS, TIERS

RAW = Path(__file__).parents[2] / "docs" / "results" / "raw" / "benchmark" / "cpu"


@pytest.fixture(scope="module")
def live():
    return lesson.train(0, epochs=1)  # as good as eight for what theory says


@pytest.fixture(scope="module")
def table(live):
    return lesson.ask_in_every_way(live, lambda *given: None, 0)


def test_what_pools_or_absorbs_does_not_see_a_turn(table):
    assert list(table) == list(campaign.WAYS.values())
    for way, cells in table.items():
        for name in ("untrained", "rotation", "InfoNCE max"):
            upright, worst = cells[f"{name}, upright"], cells[f"{name}, worst turn"]
            assert (worst < 0.4 * upright) if "all features" in way else abs(upright - worst) < 0.01
            assert upright > 0.2


def test_ones_own_neighbours_are_asked(live, table):
    mine = lesson.ask_in_every_way(
        live, lambda s, labels, k: lesson.library_neighbours(s, labels, k).int(), 0
    )
    assert mine == table


def test_neighbours_by_hand():
    s = torch.tensor([[0.9, 0.8, 0.8, 0.1], [0.5, 0.5, 0.5, 0.9]])
    labels = torch.tensor([3, 4, 4, 7])
    assert lesson.library_neighbours(s, labels, 3).tolist() == [
        3,
        7,
    ]  # e^9 > 2 e^8: the nearer one outvotes two
    assert lesson.library_neighbours(s / 2, labels, 3).tolist() == [4, 7]


def test_what_is_shipped_is_what_the_raw_runs_say(tmp_path, monkeypatch):
    before = campaign.TABLE.read_text("utf-8")
    monkeypatch.setattr(campaign, "TABLE", tmp_path / "again.json")
    campaign.make_runs(RAW)
    assert campaign.TABLE.read_text("utf-8") == before
    for data, every in campaign.runs().items():
        for name, measures in every.items():
            assert all(len(values) == TIERS["cpu"].seeds for values in measures.values())
            slug = name.replace(", ", "-").replace(" ", "-")
            for seed in range(TIERS["cpu"].seeds):
                run = json.loads((RAW / f"{data}_C4_{slug}_{seed}.json").read_text("utf-8"))
                assert run["method"] == name and run["seed"] == seed
                assert all(run[key] == values[seed] for key, values in measures.items())


def test_every_method_and_way_of_the_campaign_is_there():
    assert set(campaign.methods()) == set(METHODS) and set(campaign.WAYS) == set(COLUMNS)
    assert campaign.methods()[0] == "no training" and campaign.methods()[-1] == "supervised"


def test_the_first_claim_of_the_exercise_is_what_was_found():
    rotation, nothing = (
        sum(campaign.found(name, "linear_100_upright")) / 5 for name in ("rotation", "no training")
    )
    assert f"reads {100 * rotation:.0f} % of" in next(iter(CLAIMS))
    assert f"weights read {100 * nothing:.0f} %" in next(iter(CLAIMS.values()))[1]


def test_the_runs_by_hand():
    shown = campaign.by_hand()
    for state in shown.frozen_states():
        shown.set_state(**state)
        html, count = shown.values["html"], len(campaign.methods())
        assert html.count("<circle") == 5 * count and html.count("<svg") == count
        assert "5 seeds each, bars" in shown.readout and "nan" not in html


def test_tables_of_dice():
    [cells] = campaign.dice_tables(lambda p: None, 1).values()
    assert cells["p below 5 %"] > 0.5 and cells["corrected p below 5 %"] < 0.09
    lenient = campaign.dice_tables(campaign.library_holm, 1)["something separates"]
    assert lenient == cells


def test_pairs_that_separate():
    for way, cells in campaign.separate(campaign.library_holm).items():
        key = next(key for key, said in campaign.WAYS.items() if said == way)
        every = [campaign.found(name, f"{key}_upright") for name in campaign.methods()]
        p = [stats.ttest_rel(a, b).pvalue for a, b in combinations(every, 2)]
        assert cells["p below 5 %"] == sum(each < 0.05 for each in p)
        assert (
            cells["corrected p below 5 %"]
            == sum(each < 0.05 for each in campaign.library_holm(p))
            <= cells["p below 5 %"]
        )
        assert cells["pairs"] == len(p) == 45


def test_headlines_are_true_and_the_best():
    shown, ahead = campaign.headlines(), campaign.sides()
    known = [name for name in campaign.methods() if name != "supervised"]
    assert set(ahead) == {(a, b) for a in known for b in known if a != b}
    for (a, b), there in ahead.items():
        for points, asked, seed in there:
            way = next(key for key, said in campaign.WAYS.items() if said == asked)
            x, y = (campaign.found(name, f"{way}_upright")[seed] for name in (a, b))
            assert points == pytest.approx(100 * (x - y)) and points > 0
        ties = 30 - len(there) - len(ahead[b, a])
        assert 0 <= ties < 5
        shown.set_state(winner=a, loser=b)
        if there:
            assert f"“{a} beats {b} by {max(there)[0]:.1f} points”" in shown.readout
        else:
            assert "There is no such headline." in shown.readout
    shown.set_state(winner=known[0], loser=known[0])
    assert shown.readout == "Choose two."


def test_maps_of_dice_lie(live):
    chart = lesson.maps(live, 0)
    for labels, pictures in (("dice", 80), ("true", 380)):
        chart.set_state(labels=labels, pictures=pictures)
        here, elsewhere = lesson.on_other_pictures(chart)
        assert here == 1 and (elsewhere < 0.5 if labels == "dice" else elsewhere > 0.8)
        html = chart.values["html"]
        assert html.count("<circle") + html.count("<rect") + html.count("<path") == pictures + 91
        assert ("● a 1" in html) == (labels == "dice") and "nan" not in html
