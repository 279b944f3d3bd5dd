"""The pictures and measurements of notebook 05c."""

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_05c as lesson
from eqssl_edu.pretext import lift_parts


def right_lift(features, action):
    return lift_parts(features, GSet(cyclic(4), action))


def test_hands_turn_a_pair_and_a_puzzle():
    assert "is the pair (west) of the turned image" in lesson.turn_the_pair().readout
    puzzle = lesson.which_permutation()
    assert "0321 alone gives the same puzzle" in puzzle.readout
    puzzle.set_state(g=0)
    assert "0132 alone" in puzzle.readout


def test_rules_know_the_order_of_what_they_look_at_and_nothing_else():
    ramp = torch.linspace(2, 0, 40)
    lit = (ramp[:, None] + 0.5 * ramp).expand(3, 1, 40, 40)
    assert lesson.shortcut_accuracies(lit, 0, False) == {"borders": 1, "brightness": 1}
    assert lesson.shortcut_accuracies(lit.flip(-1), 0, False)["brightness"] == 0
    assert lesson.shortcut_accuracies(lit, 3, True)["borders"] == 0
    with pytest.raises(ValueError, match="gap"):
        lesson.shortcut_accuracies(lit, 10, False)


def test_tiles_are_cut_as_the_jigsaw_cuts_them():
    task, _, _ = lesson.parts_of_a_network(0)
    textures = lesson.textures(0)[:2]
    mine = F.layer_norm(lesson._tiles(textures, 0, False), (20, 20))
    assert torch.equal(mine, task.parts(textures)[:, :, 0])


def test_the_lift_is_watched_and_measured():
    task, encoder, head = lesson.parts_of_a_network(0)

    def network(puzzles, lift):
        features = encoder(task.parts(puzzles).flatten(0, 1)).unflatten(0, (-1, 4))
        return head(lift(features, task.positions.action))

    errors = lesson.errors_of(network, {"lift": right_lift, "side by side": lesson.side_by_side})
    assert errors["lift"] < 1e-12 < errors["side by side"]
    watched = lesson.watch_lift(right_lift)
    assert "Turned by r90" in watched.readout and watched.values["html"].count("<img") == 4
