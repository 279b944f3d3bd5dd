"""The pictures, floors, trainings and sets of notebooks 05d and 05e."""

import math

import pytest
import torch

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_05d as prices
from eqssl_edu.lessons import notebook_05e as sets


def test_two_tables_tell_what_it_costs_not_to_know_which():
    tables = prices.two_tables()
    assert "Not to know g costs 0.000 nats." in tables.readout
    tables.set_state(other_label=4)
    assert "Not to know g costs 0.347 nats." in tables.readout  # log 2, for one of two pictures


def test_floors_of_somebody_are_drawn():
    bars = prices.show_floors(prices.mixed_counts).data
    heights = {bar.name: dict(zip(bar.x, bar.y, strict=True)) for bar in bars}
    assert heights["left"]["D4,<br>all,<br>and mirrored"] == pytest.approx(math.log(8))
    assert not any(heights["conjugation"].values())


def test_the_calculator_knows_every_task():
    for action in prices.ACTIONS:
        for group, order in (("C4", 4), ("D4", 8)):
            for data in prices.DATA:
                floor, size = prices.floor_of(action, group, data)
                assert 0 <= floor.nats <= math.log(size) + 1e-9
                if action == "rotation, trivial":
                    assert floor.nats == pytest.approx(math.log(order))
    assert prices.floor_of("rotation, elements", "D4", "mirrored")[0].nats == pytest.approx(math.log(2))
    assert prices.floor_of("rotation, cosets of the mirror", "D4", "mirrored")[0].nats < 1e-9
    assert "Below the orange bar" not in prices.calculator().readout


def test_trainings_are_decided_by_their_seed_and_do_not_say_their_end_before():
    losses = []
    for _ in range(2):
        live = prices.train_three(1, epochs=1)
        live.wait()
        losses.append([run.model.orbit_losses for run in live.runs.values()])
        torch.manual_seed(5)
    assert losses[0] == losses[1] and len(losses[0][0]) == 2
    assert all(run.model.cap is None for run in live.runs.values())
    assert [trace.name for trace in prices.show_losses(live).data] == [
        "conjugation: floor 0.000",
        "left: floor 1.386",
        "trivial: floor 1.040",
    ]
    pupil = prices.train_on_six(1, epochs=1)
    pupil.wait()
    assert len(prices.show_memory(pupil, 1).data) == 2


def test_other_noise_has_the_same_orientations():
    few, many = prices.six_pictures(0), prices.six_pictures(0, copies=10)
    clean = prices.letter_puzzle()[0]
    for i, turn in enumerate([0, 1, 2, 3, 1, 2]):
        assert (few[i] - cyclic(4).transform(clean, turn)).std() < 0.15
        assert (many[6 + i] - cyclic(4).transform(clean, turn)).std() < 0.15


def test_sets_of_permutations_are_compared(capsys):
    chosen = sets.by_mean_distance(6, 0, "first")
    assert len(chosen.unique(dim=0)) == 6 and torch.equal(
        chosen.sort(dim=1).values, torch.arange(9).expand(6, 9)
    )
    every = sets.closed(chosen, dihedral(4), 3)
    sets.compare({"some": chosen, "all": every}, dihedral(4))
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("not closed") and second.endswith("places, closed")
    assert sets.smallest_distance(torch.tensor([[0, 1, 2], [1, 0, 2], [1, 2, 0]])) == 2
    assert sets.inside(GSet.jigsaw(cyclic(4), 3, count=4).permutations, cyclic(4), 1) >= 4
