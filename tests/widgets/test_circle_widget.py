"""CircleExplorer without a screen: the wave, what its samples miss, and labels that turn k times as far."""

import cmath
import copy
import math

import numpy as np
import pytest
import torch
from networks import NotEquivariant, images, network
from torch import nn

from eqssl_edu.circle import AngleHead, so2, turn_features
from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.data.letters import letters
from eqssl_edu.groups import cyclic
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.widgets import CircleExplorer
from eqssl_edu.widgets.circle.values import View, alike_turns, compute
from eqssl_edu.widgets.shared.frozen_page import MAX_BYTES

SIDE, G = 24, so2(3)
UPRIGHT = {"first": 0, "second": 0, "theta": 0, "partner": "image", "k": 1}


@pytest.fixture(scope="module")
def encoder():
    from eqssl_edu.steerable import SteerableCNN

    torch.manual_seed(0)
    return SteerableCNN("SO(2)", channels=(3, 4)).eval()


def soft(name):
    """A letter with edges a few pixels wide."""
    picture = nn.functional.interpolate(letters()[name][None, None], SIDE, mode="bilinear")
    return nn.functional.avg_pool2d(picture, 5, stride=1, padding=2)[0]


def features(seed):
    """Features of SO(2) of length 1."""
    generator = torch.Generator().manual_seed(seed)
    z = turn_features(so2(3, 7), torch.randn(1, 5, 7, dtype=torch.float64, generator=generator), 0.0)
    z = torch.fft.irfft(torch.fft.rfft(z), n=8) * 8 / 7
    return z / z.norm()


def view(z):
    return View(z, torch.zeros(3, 2), {})


def in_the_algebra(z, w, first, second, partner="image", alike=()):
    """What is shown when turned images have exactly the turned features."""
    views = [view(turn_features(G, each, float(turn))) for each, turn in ((z, first), (w, second))]
    state = UPRIGHT | {"first": first, "second": second, "partner": partner}
    return compute(G, views, [view(z), view(w)], state, alike)


# -- the wave ------------------------------------------------------------------------------------------------


def test_A11_turns_shift_the_wave_and_its_peak_is_the_true_turn():
    z, w = features(1), features(2)
    for first, second in ((0, 0), (20, 87), (200, 30), (359, 1)):
        found = in_the_algebra(z, z, first, second)
        assert found["deviation"] < 1e-12 and abs(found["off"]) < 1e-6
        assert abs(found["rows"][-1]["max"] - 1) < 1e-12
        other = in_the_algebra(z, w, first, second, "other")
        assert other["deviation"] < 1e-12 and other["true"] is other["off"] is None
    assert in_the_algebra(z, z, 0, 20)["wave"] != in_the_algebra(z, z, 20, 0)["wave"]


def test_the_marked_samples_are_the_orbit_correlations_of_c4_and_c8():
    z, w = features(1), features(2)
    c4, c8, _ = in_the_algebra(z, w, 0, 0, "other")["rows"]
    kappa = orbit_correlation(cyclic(8), w, z)[0, 0]
    assert abs(c8["max"] - float(kappa.max())) < 1e-12 and c8["at"] == 45 * int(kappa.argmax())
    assert abs(c4["max"] - float(kappa[::2].max())) < 1e-12 and c4["at"] == 90 * int(kappa[::2].argmax())


def test_A15_samples_miss_no_more_than_they_can():
    closest = 0.0
    for seed in range(60):
        c4, c8, every = in_the_algebra(features(seed), features(seed + 100), 0, 3 * seed, "other")["rows"]
        for row in (c4, c8):
            assert 0 <= row["misses"] <= row["bound"]
            closest = max(closest, row["misses"] / row["bound"])
        assert c8["misses"] <= c4["misses"] and every["misses"] == 0
    assert closest > 0.3  # the bound says something


def test_fewer_samples_than_frequencies_have_no_bound():
    group = so2(6)
    z = torch.randn(1, 2, 14, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = compute(group, [view(z), view(z)], [view(z), view(z)], UPRIGHT)["rows"]
    assert [row["bound"] is None for row in rows] == [True, False, False]


def test_through_pixels_the_wave_is_nearly_the_shifted_one(encoder):
    explorer = CircleExplorer(encoder, soft("F"))
    explorer.set_state(first=90, second=270)  # exact on the grid
    height = explorer.maxima()["SO(2)"] - explorer.maxima()["C4"] + explorer.values["rows"][0]["bound"]
    assert explorer.values["deviation"] < 1e-4 * height and abs(explorer.values["off"]) < 0.1
    explorer.set_state(first=200, second=237)
    assert 0 < explorer.values["deviation"] < 0.5 * height and abs(explorer.values["off"]) < 10


def test_a_network_that_is_not_equivariant_is_seen():
    torch.manual_seed(0)
    explorer = CircleExplorer(NotEquivariant(G), images()[0])
    explorer.set_state(second=90)
    assert explorer.values["deviation"] > 0.01


def test_kappa_is_read_at_theta(encoder):
    explorer = CircleExplorer(encoder, soft("F"), soft("L"))
    explorer.set_state(first=30, second=100, theta=70)
    z, w = (
        turn_features(G, explorer._view(explorer._copy.kept(dict), "image", angle).features, turn)
        for angle, turn in ((100, 0.0), (30, 70.0))
    )
    assert abs(explorer.kappa() - float((z * w).sum())) < 1e-6
    assert explorer.maxima()["SO(2)"] >= explorer.kappa()


def test_over_c_n_kappa_is_known_at_its_elements_alone():
    encoder = network(cyclic(4))
    explorer = CircleExplorer(encoder, images()[0])
    explorer.set_state(first=90, second=180, theta=80)
    assert list(explorer.maxima()) == ["C4"] and explorer.misses() == {}
    assert explorer.values["exact"] is None and explorer.peak() == 90
    assert abs(explorer.kappa() - 1) < 1e-5  # the element nearest to 80 degrees is 90
    z, w = (explorer._view({}, "image", angle).features for angle in (180, 90))
    expected = orbit_correlation(cyclic(4), z, w)[0, 0]
    for k in range(4):
        explorer.set_state(theta=90 * k)
        assert abs(explorer.kappa() - float(expected[k])) < 1e-6


def test_off_by_a_turn_that_leaves_the_picture_as_it_is_is_said(encoder):
    """What equals its own half turn has two true turns: kappa is as large at the one as at the other."""
    once = features(1)
    z = once + turn_features(G, once, 180.0)
    z, said = z / z.norm(), []
    for turn in range(0, 360, 10):
        found = in_the_algebra(z, z, 0, turn, alike=(180,))
        here, there = (_at(found["wave"], angle) for angle in (turn, turn + 180))
        assert abs(here - there) < 1e-6 and abs(here - found["rows"][-1]["max"]) < 1e-6
        assert min(abs(found["off"]), 180 - abs(found["off"])) < 1e-5
        said.append("looks the same" in found["note"])
        assert said[-1] == (abs(found["off"]) > 90)
        assert "looks the same" not in in_the_algebra(z, z, 0, turn)["note"]  # of a picture that does not
    assert any(said)
    F = soft("F")
    assert alike_turns(F) == () and alike_turns((F + F.rot90(2, (1, 2))) / 2) == (180,)
    explorer = CircleExplorer(encoder, (F + F.rot90(2, (1, 2))) / 2)
    for turn in range(0, 360, 45):
        explorer.set_state(second=turn)
        assert ("after a turn by 180° the picture looks the same" in explorer.readout) == (
            abs(explorer.values["off"]) > 90
        )


def _at(wave, degrees):
    """A wave from its coefficients."""
    (mean, _), *rest = wave
    turns = enumerate(rest, start=1)
    return mean + 2 * sum((complex(*K) * cmath.exp(1j * m * math.radians(degrees))).real for m, K in turns)


def test_features_without_an_angle_have_no_peak():
    class Pooled(nn.Module):
        group = G

        def forward(self, x):
            return x.mean((2, 3))[..., None].expand(-1, -1, 8)

    explorer = CircleExplorer(Pooled(), images()[0])
    explorer.set_state(second=40)
    assert explorer.values["off"] is None and "the same at all angles" in explorer.readout
    zero = CircleExplorer(Pooled(), torch.zeros(1, 9, 9))
    assert zero.maxima()["SO(2)"] == 0 and zero.values["off"] is None


# -- labels --------------------------------------------------------------------------------------------------


def test_A1_a_label_of_type_k_turns_k_times_as_far(encoder):
    explorer = CircleExplorer(encoder, soft("F"))
    upright = explorer.arrows()[0]
    for quarter in (1, 2, 3):
        explorer.set_state(first=90 * quarter)
        for k, arrow in explorer.arrows()[0].items():
            assert abs(arrow - upright[k] * cmath.exp(1j * k * math.pi / 2 * quarter)) < 1e-3
    explorer.set_state(first=40)
    assert abs(cmath.phase(explorer.arrows()[0][1] / upright[1]) - math.radians(40)) < 0.2
    assert list(map(abs, upright.values())) == pytest.approx([1, 1, 1])


def test_A5_a_symmetric_image_has_no_arrow_that_its_symmetry_turns(encoder):
    image = soft("F")
    explorer = CircleExplorer(encoder, image, image + image.rot90(2, (1, 2)))
    explorer.set_state(partner="other", second=30)
    plain, symmetric = explorer.arrows()
    assert all(abs(symmetric[k]) < 1e-4 for k in (1, 3)) and abs(symmetric[2]) > 0.01
    assert all(abs(plain[k]) > 0.01 for k in (1, 2))


@pytest.mark.parametrize("frequency", [1, 2, -1])
def test_a_head_of_ones_own_says_its_arrow_and_how_sure_it_is(encoder, frequency):
    torch.manual_seed(1)
    head = AngleHead(G, 4, frequency)
    with torch.no_grad():
        head.weight.mul_(200)
    explorer = CircleExplorer(encoder, soft("F"), head=head)
    explorer.set_state(first=90)
    (said,) = explorer.arrows()[0].values()
    image = soft("F") * disc_mask(SIDE)
    with torch.no_grad():
        [arrow] = head(encoder(image.rot90(1, (1, 2))[None])).double()
    size = float(arrow.norm())
    assert abs(abs(said) - float(torch.special.i1(arrow.norm()) / torch.special.i0(arrow.norm()))) < 1e-5
    assert abs(said / abs(said) - complex(*arrow.tolist()) / size) < 1e-4
    assert 0.05 < abs(said) < 1 and explorer.values["confidence"][0] == [f"{size:.2g}"]
    assert explorer.state()["k"] == frequency and explorer.facts["types"] == [frequency]
    upright = explorer.arrows()[1][frequency]  # view 2
    assert abs(said / upright - cmath.exp(1j * frequency * math.pi / 2)) < 1e-3


# -- the network is left as it was, and the widget says what it shows ------------------------------------------


def test_the_encoder_is_left_as_it_was_and_new_weights_are_seen():
    encoder = network(cyclic(4)).train()
    weights, random = copy.deepcopy(encoder.state_dict()), torch.get_rng_state()
    explorer = CircleExplorer(encoder, images()[0])
    explorer.set_state(second=33)
    assert encoder.training and torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(weights[name], value) for name, value in encoder.state_dict().items())
    old = explorer.maxima()["C4"]
    with torch.no_grad():
        encoder.stages[0].weight.mul_(-1)
    explorer.set_state(theta=1)
    assert explorer.maxima()["C4"] != old


def test_pictures_are_the_turned_views_cut_to_the_disc():
    first, second = images(2)
    explorer = CircleExplorer(network(cyclic(4)), first, second)
    explorer.set_state(first=30, second=200, partner="other")
    for image, angle, picture in zip(
        (first, second), (30.0, 200.0), explorer.values["pictures"], strict=True
    ):
        disc = disc_mask(12)
        turned, whole = rotate(image * disc, angle) * disc, image * disc
        expected = (255 * turned / whole.max()).round().numpy()
        shown = np.frombuffer(picture["pixels"], np.uint8).reshape(1, 12, 12)
        assert np.abs(shown - expected).max() <= 1 and not shown[0, 0, 0]


def test_the_readout_says_what_is_seen(encoder):
    explorer = CircleExplorer(encoder, soft("F"), soft("L"))
    explorer.set_state(first=20, second=65)
    assert explorer.readout.startswith("View 1 turned by 20°, view 2 by 65°. Largest kappa: ")
    assert "b − a = 45°: off by " in explorer.readout
    explorer.set_state(partner="other")
    assert "another image by 65°" in explorer.readout and "no turn is the true one" in explorer.readout


def test_a_page_has_all_turns_in_equal_steps_and_goes_to_every_theta(encoder, monkeypatch):
    explorer = CircleExplorer(encoder, soft("F"), soft("L"))
    states = explorer.frozen_states()
    assert {(state["first"], state["second"]) for state in states} == {
        (a, b) for a in range(0, 360, 15) for b in range(0, 360, 15)
    }
    assert {state["partner"] for state in states} == {"image", "other"}
    assert explorer.free == ("theta", "k") and not {"theta", "k"} & states[0].keys()
    assert explorer.frozen_facts(states)["step"] == 15
    monkeypatch.setattr("eqssl_edu.widgets.circle.circle.MAX_BYTES", MAX_BYTES // 10)
    assert explorer.frozen_facts(explorer.frozen_states())["step"] > 15
