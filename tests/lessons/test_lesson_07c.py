"""Pictures and measurements of notebooks 07c and 07d: every state draws, and what their words say is so."""

import pytest
import torch

from eqssl_edu.contrastive import orbit_distance
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_07c as family
from eqssl_edu.lessons import notebook_07d as geometry

C4 = cyclic(4)


def noise(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "make",
    [
        family.compare_wheels,
        family.compare_tables,
        lambda: family.spectrum_by_hand(noise(1, 3, 8)),
        lambda: geometry.neighbours(lambda images: images.mean(dim=3).double()[..., :4]),
    ],
    ids=["wheels", "letters", "spectrum", "neighbours"],
)
def test_every_state_draws(make):
    drawing = make()
    for state in drawing.frozen_states()[::7] + drawing.frozen_states()[-1:]:
        drawing.set_state(**state)
        html = drawing.values["html"]
        assert html.count("<img") == html.count("alt=") >= 2 and drawing.readout


def test_readouts_say_which_wheels_a_similarity_cannot_tell_apart():
    wheels = family.compare_wheels()
    wheels.set_state(wheel="mirrored", places=3)
    assert "power2 [1.000]" in wheels.readout and "power3 [1.000]" not in wheels.readout
    letters = family.compare_tables()
    letters.set_state(other="R alone turned")
    assert "maxpool [1.000]" in letters.readout and "max [1.000]" not in letters.readout


def test_figures_have_their_lines():
    assert len(family.show_wheels().data) == 6 and len(family.show_jump().data) == 2
    assert len(family.show_soft(torch.tensor([0.8, 0.1])).data) == 3
    assert len(family.show_gaps({"a": noise(20, 4, 4), "b": noise(20, 4, 4)}).data) == 2
    assert len(geometry.show_poses(noise(6, 4, 4), noise(6, 4, 4)).data) == 2
    shares = {name: geometry.part_shares(noise(3, 4, 4)) for name in ("before", "after")}
    assert len(geometry.show_shares(shares, "title").data) == 3
    assert len(geometry.show_lines({"a": [0.0, 1.0]}, "title", "share").data) == 1


def test_what_is_rebuilt_is_what_a_power_keeps():
    wheels, away = family.rebuilt("power2", 0)
    first = family.wheels()["first"]
    kept = torch.fft.rfft(wheels).abs() - torch.fft.rfft(first).abs()
    assert len(wheels) >= 6 and kept.abs().max() < 0.05 and away.max() > 0.3


def test_a_gap_is_that_of_plain_at_its_matched_temperature():
    z = noise(100, 8, 4)
    gaps = family.gaps(z, {"plain": 0.2, "max": 0.15})
    assert gaps["plain"] == pytest.approx(5, abs=0.1) and gaps["max"] != gaps["plain"]


def test_the_shipped_runs_of_neighbours_are_twenty():
    runs = geometry.found()
    assert len(runs) == 20 and all(run["orbits, upright"] == run["orbits, turned"] for run in runs)


def test_where_two_distances_name_different_neighbours_the_orbits_one_fits_in_another_pose():
    z, w = noise(130, 3, 4).split([50, 80])
    plain, orbits = geometry.plain_distance(z, w), orbit_distance(C4, z, w)
    nearest = orbits.argmin(dim=1)
    other = nearest != plain.argmin(dim=1)
    assert other.any() and (plain - orbits)[other, nearest[other]].min() > 1e-6


def test_triangles():
    points = torch.tensor([0.0, 1, 2])
    d = (points[:, None] - points).abs()
    assert geometry.triangle_violations(d) == 0 and geometry.triangle_violations(d**2) == 2
