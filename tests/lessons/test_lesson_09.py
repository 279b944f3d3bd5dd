"""Notebook 09: what its pictures and tables say is so, whatever the student has written."""

import re

import pytest
import torch
from trainings import stopped

from eqssl_edu.circle import AngleHead, angle_error, arrows_of
from eqssl_edu.lessons import dials
from eqssl_edu.lessons import notebook_09 as lesson
from eqssl_edu.lessons.turned_letters import OwnTask, drawings, model_of, new_encoder


@pytest.fixture(scope="module")
def arrows():
    """A training that was stopped early: what the functions say must hold even then."""
    return stopped(lesson.train_arrows(lambda *given: None, 0))


def test_an_arrow_points_up_for_an_upright_picture_and_turns_counter_clockwise():
    [up, left] = (dials.arrow(arrows_of(torch.tensor([degrees]))[0], "black") for degrees in (0.0, 90.0))
    tips = [re.search(r'points="(\S+),(\S+) ', drawn).groups() for drawn in (up, left)]
    assert [tuple(map(float, tip)) for tip in tips] == [(0, -1), (-1, 0)]
    assert "circle" in dials.arrow(torch.zeros(2), "black")  # no direction


def test_symmetric_letters_are_their_half_turns_bit_for_bit_and_letters_are_not():
    for part in ("train", "test"):
        symmetric, plain = drawings("C2", part), drawings("C1", part)
        assert torch.equal(symmetric, symmetric.rot90(2, (-2, -1)))
        assert (plain - plain.rot90(2, (-2, -1))).flatten(1).norm(dim=1).min() > 1


@pytest.mark.parametrize("seed", range(3))
def test_a7_every_number_has_a_seam_in_every_image_and_no_training_is_needed(seed):
    images = drawings("C1", "test")
    number = model_of("number", OwnTask(), seed).double().eval()
    places, wrong = lesson.seams(number, images)
    assert wrong.min() > 180 - 1e-6 and places.min() >= 0 and places.max() <= 360
    assert torch.equal(lesson.answers_of(number, images, 0.0), lesson.answers_of(number, images, 360.0))


def test_a7_an_arrow_can_be_right_everywhere():
    """Must fail for vectors: one that is right has no such angle."""
    right = torch.arange(0.0, 360.0)
    assert angle_error(right, right).max() < 1e-6


def test_the_function_goes_along_and_four_numbers_do_not():
    for seed in range(3):
        assert lesson.carried_error("SO(2)", 45.0, seed) < 0.3
        assert lesson.carried_error("C4", 45.0, seed) > 0.8
        assert lesson.carried_error("C4", 90.0, seed) < 1e-6


def test_own_head_and_own_task_are_the_librarys(arrows):
    encoder = new_encoder("SO(2)", 0)
    own, head = (
        lesson.OwnHead(encoder, 2, lesson.library_arrow),
        AngleHead(encoder.group, encoder.out_channels, 2),
    )
    own.load_state_dict(head.state_dict())
    z = torch.randn(4, encoder.out_channels, encoder.group.order)
    torch.testing.assert_close(own(z), head(z), rtol=1e-5, atol=1e-6)
    plain, given = OwnTask(symmetry=2), OwnTask(lambda o, degrees: degrees, symmetry=2)
    labels = torch.tensor([10.0, 100.0])
    torch.testing.assert_close(given.loss(torch.randn(2, 2), labels), 2 * labels)
    assert plain.loss(torch.zeros(2, 2), labels).abs().max() < 1e-7


def test_symmetric_letters_have_no_arrow_of_type_1(arrows):
    table = lesson.arrow_lengths(lambda *given: None, 0)["symmetric letters"]
    assert table["C4, type 1"] < 1e-12 and table["SO(2), type 1"] < 1e-4 and table["SO(2), type 2"] > 0.1
    assert max(lesson.faded_lengths(arrows, 0).values()) < 1e-4
    assert max(map(abs, lesson.losses(arrows)["symmetric letters, type 1"])) < 1e-6


def test_every_state_draws(arrows):
    for widget in (
        lesson.turn_function(0),
        lesson.turn_arrow(lambda *given: None, 0),
        lesson.fade(arrows),
    ):
        for state in widget.frozen_states()[:: 1 + len(widget.frozen_states()) // 8]:
            widget.set_state(**state)
            assert "<svg" in widget.values["html"] and "nan" not in widget.values["html"]
    widget.set_state(share=100)
    assert "1 times uniform" in widget.readout


def test_number_and_vector_are_followed():
    live = stopped(lesson.train_number_and_vector(lambda *given: None, 0))
    assert lesson.worst_errors(live)["number"]["seam"] > 179.999
    widget = lesson.follow(live)
    widget.set_state(degrees=200, letter="G")
    assert "180.000" in widget.readout


def test_types_other_than_1_stay_at_their_floor(arrows):
    types = stopped(lesson.train_types(0))
    found = lesson.orbit_losses(arrows, types)
    assert list(found) == ["type 1", "type -1", "type 0", "type 2"]
    assert min(found[f"type {k}"]["least"] for k in (-1, 0, 2)) > -1e-4
    assert len(lesson.show_types(arrows, types).data) == 4 and len(lesson.show_wedges().data) == 3
