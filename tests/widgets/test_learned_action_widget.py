"""LearnedActionExplorer without a screen: fitted maps applied again and again, beside the features of turned images."""

import copy

import numpy as np
import pytest
import torch
from networks import NotEquivariant, images, network
from torch import nn

from eqssl_edu.diagnostics import learned_action, untrained_copy
from eqssl_edu.diagnostics.learned_action import halves
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.widgets import LearnedActionExplorer
from eqssl_edu.widgets.learned_action import TIMES, plane_of

C4, D4 = cyclic(4), dihedral(4)
over_groups = pytest.mark.parametrize("group", [C4, D4], ids=str)
MANY = images(80, dtype=torch.float64)


def plain(group, seed=0):
    torch.manual_seed(seed)
    return NotEquivariant(group).double()


class Pooled(nn.Module):
    """Invariant: no turn moves its features."""

    def __init__(self, group):
        super().__init__()
        self.inside = network(group, dtype=torch.float64)

    def forward(self, x):
        return self.inside(x).mean(dim=2)


def explorer_of(group, encoder=None, **options):
    return LearnedActionExplorer({"net": encoder or plain(group)}, MANY, group, **options)


def orbits(encoder, group, x):
    with torch.no_grad():
        return torch.stack([encoder(group.transform(x, k)).flatten(1) for k in group.elements], dim=1)


# -- the numbers ---------------------------------------------------------------------------------------------


@over_groups
def test_what_is_missed_is_the_distance_to_the_map_applied_again_and_again(group):
    encoder, g = plain(group), 1
    explorer = explorer_of(group, encoder)
    action = learned_action(encoder, MANY, group)
    z = orbits(encoder, group, halves(MANY, 0)[1])
    z = z - z.mean(dim=(0, 1)) + action.centre
    moving = (z - z.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()
    explorer.set_state(image=3, element=g)
    guess, turned = z[3, :1], 0
    for times in range(TIMES + 1):
        expected = (z[3, turned] - guess[0]).square().sum() / moving
        assert abs(explorer.missed()[times] - float(expected)) < 1e-10
        assert times == 0 or expected > 0.01
        guess, turned = action.act(guess, g), int(group.product[g, turned])


def test_B7_the_mean_over_images_all_their_turns_and_elements_is_the_moving_error():
    few = images(8, seed=5, dtype=torch.float64)
    report = torch.cat([C4.transform(few, k) for k in C4.elements])
    explorer = LearnedActionExplorer({"net": plain(C4)}, MANY, C4, report)
    found = []
    for image in range(32):
        for g in (1, 2, 3):
            explorer.set_state(source="report", image=image, element=g)
            found.append(explorer.missed()[1])
    error = explorer.errors("net")["transfer"]
    assert np.mean(found) == pytest.approx(error, rel=1e-9) and error > 0.05
    upright = np.mean(found[:24])
    assert upright != pytest.approx(error, rel=1e-3)  # those of the upright images alone have another


@over_groups
def test_B5_the_action_of_an_equivariant_network_obeys_the_law_and_comes_back(group):
    explorer = explorer_of(group, network(group, dtype=torch.float64))
    for g in range(1, group.order):
        explorer.set_state(element=g, image=g)
        assert max(explorer.missed()) < 1e-20
        assert np.allclose(
            explorer.values["path"][TIMES], explorer.values["dots"][explorer.values["steps"][TIMES]]
        )
    assert max(explorer.errors("net")[name] for name in ("moving error", "group law")) < 1e-20
    assert (
        explorer.errors("net", untrained=True)["moving error"] < 1e-20
    )  # as B8 says, training is not needed


def test_MF_a_network_without_an_action_comes_back_to_another_place():
    explorer = explorer_of(C4)
    assert explorer.missed()[TIMES] > 0.05 and explorer.errors("net")["group law"] > 0.01


def test_B7_an_invariant_network_has_nothing_to_miss_and_is_not_called_right():
    explorer = explorer_of(C4, Pooled(C4))
    assert explorer.missed() is None
    assert explorer.errors("net") == {
        "does not move": pytest.approx(1),
        "moving error": None,
        "group law": None,
    }
    assert explorer.facts["rows"][0][0][1][1] == "nothing moves" and "nothing to miss" in explorer.readout
    assert not np.array(explorer.values["dots"]).any() and not np.array(explorer.values["path"]).any()
    assert set(explorer.values["true"]) == {128}  # white: what is left is rounding


def test_transfer_is_of_the_maps_that_are_shown():
    report = images(30, seed=5, dtype=torch.float64).flip(-1)
    explorer = explorer_of(C4, report=report)
    own, other = (explorer.fits["net", False, source].action for source in ("images", "report"))
    assert torch.equal(own.whitened_maps, other.whitened_maps)
    half = halves(MANY, 0)[0]
    expected = learned_action(plain(C4), half, C4, report)
    assert explorer.errors("net")["transfer"] == expected.plain.error
    assert explorer.errors("net", untrained=True)["transfer"] == expected.untrained.plain.error
    assert "transfer" not in explorer_of(C4).errors("net")


def test_the_untrained_copy_is_that_of_the_report():
    explorer = explorer_of(C4)
    explorer.set_state(untrained=True, image=2)
    half, kept = halves(MANY, 0)
    z = orbits(untrained_copy(plain(C4), half), C4, kept)
    fit = explorer.fits["net", True, "images"]
    assert torch.allclose(fit.orbits, z - z.mean(dim=(0, 1)) + fit.action.centre)
    assert explorer.errors("net", untrained=True)["moving error"] == fit.action.plain.error


# -- the pictures --------------------------------------------------------------------------------------------


def test_in_the_plane_e_is_up_and_the_next_element_to_the_left():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        z = torch.randn(8, 30, dtype=torch.float64, generator=generator)
        z = z - z.mean(dim=0)
        axes = plane_of(z)
        dots = z @ axes
        assert torch.allclose(axes.T @ axes, torch.eye(2, dtype=torch.float64))
        assert abs(dots[0, 0]) < 1e-12 < dots[0, 1] and dots[1, 0] < 0
        kept = dots.square().sum()
        assert abs(kept - torch.linalg.svdvals(z)[:2].square().sum()) < 1e-9  # no plane keeps more


def test_a_rotation_is_a_square_in_the_plane_and_two_points_are_a_line():
    directions = torch.linalg.qr(torch.randn(9, 2, dtype=torch.float64)).Q
    square = torch.tensor([[0.0, 1], [-1, 0], [0, -1], [1, 0]], dtype=torch.float64)
    assert torch.allclose(square @ directions.T @ plane_of(square @ directions.T), square, atol=1e-12)
    pair = torch.stack([directions[:, 0], -directions[:, 0]])
    assert torch.allclose(
        pair @ plane_of(pair), torch.tensor([[0.0, 1], [0, -1]], dtype=torch.float64), atol=1e-7
    )
    assert not plane_of(torch.zeros(4, 9, dtype=torch.float64)).any()


def test_a_turn_shifts_the_numbers_of_each_channel():
    explorer = explorer_of(C4, network(C4, dtype=torch.float64))
    explorer.set_state(image=5)
    true = np.frombuffer(explorer.values["true"], np.uint8).reshape(TIMES + 1, -1, 4)
    for times in range(TIMES + 1):
        assert np.array_equal(true[times], np.roll(true[0], times, axis=1))
    assert explorer.values["true"] == explorer.values["fitted"] and np.ptp(true) > 100
    assert (
        explorer.values["numbers"] == 24 < explorer.values["dimension"] and 0.5 < explorer.values["share"] < 1
    )


def test_pictures_are_the_turned_image():
    explorer = explorer_of(D4)
    explorer.set_state(image=1, element=1)
    shown = np.frombuffer(explorer.values["pixels"], np.uint8).reshape(TIMES + 1, 12, 12)
    for times in range(TIMES + 1):
        assert np.array_equal(shown[times], np.rot90(shown[0], times))
    explorer.set_state(element=5)
    assert explorer.values["steps"] == [0, 5, 0, 5, 0]  # a reflection twice is none


# -- the widget ----------------------------------------------------------------------------------------------


def test_the_encoder_is_left_as_it_was_and_fitted_once():
    encoder = network(C4).train()
    weights, random = copy.deepcopy(encoder.state_dict()), torch.get_rng_state()
    explorer = LearnedActionExplorer({"net": encoder}, images(80), C4)
    assert encoder.training and torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(weights[name], value) for name, value in encoder.state_dict().items())
    seen = explorer.missed()
    with torch.no_grad():
        encoder.stages[0].weight.mul_(-3)
    explorer.set_state(times=2)
    assert explorer.missed() == seen


def test_the_readout_says_what_is_seen():
    explorer = LearnedActionExplorer({"a": plain(C4), "b": network(C4, dtype=torch.float64)}, MANY, C4)
    explorer.set_state(image=2, element=3, times=1)
    assert explorer.readout.startswith("a, image 3 of images: r270 and its fitted map, applied 1 time, are ")
    explorer.set_state(network="b", untrained=True, times=4)
    assert (
        "b, untrained, image 3 of images: r270 and its fitted map, applied 4 times, are 0 % of"
        in explorer.readout
    )
    assert "moving error 0 %, group law 0 %." in explorer.readout


def test_a_page_has_all_networks_elements_and_times():
    explorer = explorer_of(D4, report=MANY[:9])
    explorer.set_state(image=8, source="report")
    states = explorer.frozen_states()
    assert {(s["element"], s["times"]) for s in states} == {
        (g, m) for g in range(1, 8) for m in range(TIMES + 1)
    }
    assert {(s["source"], s["untrained"]) for s in states} == {
        (source, copy_) for source in ("images", "report") for copy_ in (False, True)
    }
    first, last = explorer.frozen_facts(states)["images"]
    assert first <= 8 <= last and {s["image"] for s in states} == set(range(first, last + 1))
