"""Pictures and measurements of notebooks 04, 04b and 04c: every state draws, and what their words say is so."""

import pytest
import torch

from eqssl_edu.exercises.notebook_04 import projected, sampled
from eqssl_edu.groups import cyclic
from eqssl_edu.rotate import rotate

steerable = pytest.importorskip("eqssl_edu.steerable", exc_type=ImportError)
from eqssl_edu.lessons import notebook_04 as lesson  # noqa: E402
from eqssl_edu.lessons import notebook_04c as networks  # noqa: E402


@pytest.mark.parametrize(
    ("make", "pictures"),
    [
        (lesson.two_ways, 3),
        (lesson.aliases, 4),
        (lesson.turned_arrows, 4),
        (lesson.arrow_and_relu, 3),
        (lambda: lesson.solutions(projected), None),
        (networks.open_cutoff, None),
    ],
    ids=["two ways", "aliases", "arrows", "ReLU", "solutions", "cutoff"],
)
def test_every_state_draws(make, pictures):
    drawing = make()
    for state in drawing.frozen_states()[::7] + drawing.frozen_states()[-1:]:
        drawing.set_state(**state)
        html = drawing.values["html"]
        assert html.count("<img") == html.count("alt=") == (pictures or html.count("<figcaption"))
        assert drawing.readout


def test_what_the_cutoff_opens():
    drawing, said = networks.open_cutoff(), []
    for highest in (2, 3, 4):
        drawing.set_state(highest_frequency=highest)
        said.append(drawing.readout)
    for words, reached in zip(said, (24, 32, 36), strict=True):
        assert f"{reached} of 36" in words
    assert "loses 0%" in said[2] and "loses 0%" not in said[1]


def test_a_digits_arrows_point_uphill():
    ramp = torch.arange(5.0).expand(1, 1, 5, 5)  # brighter to the right
    assert torch.equal(
        lesson.gradient(ramp)[0, :, 1:-1, 1:-1], torch.tensor([1.0, 0])[:, None, None].expand(2, 3, 3)
    )


def test_a_wave_turns_like_a_picture_at_quarter_turns():
    torch.testing.assert_close(lesson.wave(3, 90.0), rotate(lesson.wave(3), 90.0), rtol=0, atol=1e-12)


def test_sampling_costs_nothing_where_the_function_is_a_polynomial_and_the_samples_are_enough():
    assert lesson.sampling_error(sampled, 13, lambda z: z**3) < 1e-12  # 4 L + 1
    assert lesson.sampling_error(sampled, 12, lambda z: z**3) > 0.01
    assert lesson.sampling_error(lambda z, n, f: z, 8, torch.relu) < 1e-12  # nothing done, nothing lost


def test_features_follow_quarter_turns_exactly_and_other_functions_do_not():
    encoder = networks.calibrated(cyclic(8))
    assert networks.follow(encoder, networks.smooth_digits(), 90.0) < 1e-4
    assert networks.follow(encoder, networks.smooth_digits(), 20.0) > 0.05


def test_three_networks_learn():
    accuracies = networks.train_three(turned=True, epochs=1)
    assert {name: len(curve) for name, curve in accuracies.items()} == {"C4": 7, "C8": 7, "SO(2)": 7}
    for curve in accuracies.values():
        assert curve[0] == pytest.approx(curve[-1], abs=0.02) and max(curve) > 0.12  # quarter turns are exact
    assert len(networks.reading("turned", accuracies).data) == 3
