"""Notebook 10: scrambling can be undone, and the features of the ladder stand where it is said."""

import pytest
import torch

from eqssl_edu.data import digits
from eqssl_edu.lessons import notebook_10 as lesson

C4 = lesson.C4


def test_scrambling_moves_pixels_and_is_undone_bit_for_bit():
    images = digits(8).test.images[:20]
    scrambled = lesson.scramble(images)
    assert torch.equal(lesson.unscramble(scrambled), images)
    assert torch.equal(scrambled.flatten(1).sort().values, images.flatten(1).sort().values)
    assert not torch.equal(scrambled[0], images[0])
    orders = {tuple(lesson._order(x).tolist()) for x in images}
    assert len(orders) == 20
    assert all(torch.equal(lesson._order(x), lesson._order(C4.transform(x, 1))) for x in images)


def test_features_stand_on_the_rungs_that_are_said_with_every_seed():
    wanted = {
        "scrambled": (0, 0, 0, 0),
        "four matrices": (1, 0, 0, 0),
        "four rotations": (1, 1, 0, 0),
        "skewed": (1, 0, 1, 0),
        "hidden": (1, 1, 1, 0),
        "regular": (1, 1, 1, 1),
        "still": (1, 1, 1, 1),
    }
    for seed in range(30):
        for name, z in lesson.kinds_of_features(seed).items():
            values = lesson.rungs(z, lesson.library_law).values()
            assert [value < 1e-9 for value in values] == list(wanted[name]), (seed, name)
            assert all(value < 1e-9 or value > 1e-3 for value in values), (seed, name)


def test_every_state_draws():
    drawings = {lesson.look_up(lambda *given: None): 5, lesson.climb(lambda group, maps: ..., 0): 4}
    for drawing, pictures in drawings.items():
        for state in drawing.frozen_states():
            drawing.set_state(**state)
            html = drawing.values["html"]
            assert html.count("<img") == html.count("alt=") == pictures
            assert "not the same" not in drawing.readout


def test_two_fits_with_and_without_an_answer_are_the_same():
    network = lesson.new_networks(0)["plain CNN"]
    mine, theirs = (
        lesson.two_fits(network, lambda group, z: None),
        lesson.two_fits(network, lesson.library_maps),
    )
    for name, numbers in theirs.items():
        assert mine[name] == pytest.approx(numbers, rel=1e-9, abs=1e-20)
