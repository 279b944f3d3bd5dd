"""The pictures and measurements of notebooks 05 and 05b."""

import math

import pytest
import torch

from eqssl_edu.exercises.notebook_05 import image_cap
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GSetHead
from eqssl_edu.lessons import notebook_05 as lesson
from eqssl_edu.lessons import notebook_05b as turns

C4, D4 = cyclic(4), dihedral(4)


def test_a_hand_turns_a_digit_and_both_networks_answer():
    cnn = lesson.small_cnn(0)
    explorer = lesson.turn_and_ask(
        lambda x: torch.stack([cnn(C4.transform(x, g)) for g in range(4)]).amax(0), cnn
    )
    before = explorer.readout
    explorer.set_state(turn=2)
    still, moving = (
        [line.split(f"{name}: ")[-1][:30] for line in (before, explorer.readout)]
        for name in ("invariant network", "the CNN inside")
    )
    assert still[0] == still[1] and moving[0] != moving[1]


def test_one_answer_for_four_copies_costs_log_4_or_more():
    assert sum(lesson.over_the_orbit(0.25)) / 4 == pytest.approx(math.log(4))
    assert min(sum(lesson.over_the_orbit(c)) / 4 for c in (0.2, 0.3, 0.9)) > math.log(4)
    assert "Mean over the four copies: 1.386 nats" in _moved(lesson.try_to_beat(), confidence=25).readout


def _moved(explorer, **state):
    explorer.set_state(**state)
    return explorer


def test_ones_own_head_learns_as_the_librarys_does():
    labels = GSet.neighbours(D4)

    def universal(features, weight, labels):
        return torch.einsum("bch,chl->bl", features, weight[:, labels.action[labels.group.inverse]])

    torch.manual_seed(0)
    own = lesson.OwnHead(labels, 3, universal)
    theirs = GSetHead(labels, 3)
    theirs.load_state_dict(own.state_dict())
    own.bias.data = theirs.bias.data = torch.randn(2)
    features = torch.randn(5, 3, 8)
    assert torch.allclose(own(features), theirs(features), atol=1e-6)


def test_letters_have_the_symmetries_that_they_are_named_after():
    orders = [int(kind[1]) * (2 if kind[0] == "D" else 1) for kind in lesson.KINDS]
    for letter, order in zip(lesson.symmetric_letters(), orders, strict=True):
        assert sum(torch.equal(D4.transform(letter, g), letter) for g in D4.elements) == order
    assert image_cap(lambda image, G: 1 / sum(torch.equal(G.transform(image, g), image) for g in G.elements))


def test_any_scorer_makes_logits_that_move():
    scorer, images = turns.new_scorer(0), torch.rand(2, 1, 16, 16, dtype=torch.float64)
    logits = turns.turned_logits(scorer, images, C4)
    moved = turns.turned_logits(scorer, C4.transform(images, 1), C4)
    assert torch.allclose(moved, logits.roll(1, dims=1), atol=1e-12)


def test_a_turn_after_the_task_changes_no_step_and_one_before_it_changes_the_first():
    def model(way):
        return turns.RotationByScore(turns.new_scorer(0), turns.turned_logits, way)

    ways = {
        "alone": lambda x, t, r: (C4.transform(x, t), t),
        "before": lambda x, t, r: (C4.transform(C4.transform(x, r), t), t),
        "after": lambda x, t, r: (C4.transform(C4.transform(x, t), r), GSet.regular(C4).act(r, t)),
    }
    images = torch.rand(8, 1, 16, 16, dtype=torch.float64)
    steps = {
        name: model(way).training_step(images, torch.Generator().manual_seed(1))["loss"].item()
        for name, way in ways.items()
    }
    assert steps["alone"] == pytest.approx(steps["after"], abs=1e-12)
    assert abs(steps["before"] - steps["alone"]) > 1e-6


def test_pictures_and_the_labels_that_come_with_them():
    assert turns.best_answer(turns.seen_with(D4.elements, (0, 4))) == 1 / 2
    right = turns.coset_labels(D4, (0, 4))
    assert len(set(right)) == 4 and turns.best_answer(turns.seen_with(right, (0, 4))) == 1
    wrong = [min(int(D4.product[h, t]) for h in (0, 4)) for t in D4.elements]  # right cosets
    assert turns.best_answer(turns.seen_with(wrong, (0, 4))) < 1
    assert turns.show_seen_with(right, (0, 4)).data[0].z.shape == (8, 4)
