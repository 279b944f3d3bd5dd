"""Notebook 09b: the shipped runs are whole, curves and waves are the library's, and what the pictures say is so."""

import pytest
import torch
from trainings import stopped

from eqssl_edu.circle import so2, turn_features
from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import every_angle as shipped
from eqssl_edu.lessons import notebook_09b as lesson


@pytest.fixture(scope="module")
def upright():
    return stopped(lesson.train_upright(0))


def test_the_shipped_runs_are_whole():
    count = len(shipped.SEEDS)
    for within in shipped.WEDGES:
        for group in shipped.GROUPS:
            curves = shipped.shipped_curves(group, within)
            assert curves.shape == (count, len(shipped.ASKED)) and curves.min() >= 0 and curves.max() <= 180
    for way in shipped.WAYS:
        assert all(len(shipped.shipped_pairs(*way, measure)) == count for measure in ("partners", "degrees"))


def test_every_curve_starts_again_where_its_group_does(upright):
    """Exact even on pixels, for quarter turns; must fail for the CNN."""
    curves = lesson.upright_curves(upright, lambda *given: None)
    for group in ("C4", "C8", "SO(2)"):
        assert (curves[group] - curves[group].roll(12)).abs().max() < 0.02
    assert (curves["CNN"] - curves["CNN"].roll(12)).abs().max() > 1
    assert len(lesson.show_curves(curves).data) == 4 * (len(shipped.SEEDS) + 1)


def test_the_students_curve_is_drawn_and_a_wrong_one_is_not(upright, monkeypatch):
    monkeypatch.setattr(lesson, "ASKED", (0.0, 45.0, 202.5, 337.5))

    def right(answer, turn, images, degrees):
        errors = []
        for angle in degrees:
            o = answer(turn(images, angle))
            away = (torch.atan2(o[:, 1], o[:, 0]).rad2deg() - angle) % 360
            errors.append(torch.minimum(away, 360 - away).mean())
        return errors

    own, theirs = (lesson.upright_curves(upright, each) for each in (right, lambda *given: 0.0))
    for group in shipped.GROUPS:
        torch.testing.assert_close(own[group], theirs[group], rtol=0, atol=1e-3)


def test_the_wedge_is_narrowed_by_hand():
    widget = lesson.narrow()
    said = []
    for state in widget.frozen_states():
        widget.set_state(**state)
        said.append(widget.readout)
    assert len(set(said)) == 4 and "at most 0°" in said[-1]
    means = lesson.mean_errors()
    assert f"C4 {means['C4']['upright']:.0f}°" in said[-1]


def test_the_wave_alone_keeps_its_largest_value():
    for seed in range(3):
        changes = lesson.changes_of_maxima(seed)
        assert changes["SO(2)"] < 1e-12 and 0.02 < changes["C8"] < changes["C4"]


def test_functions_have_no_frequency_without_an_action():
    z = lesson.functions(3, 0)
    assert torch.fft.rfft(z)[..., 4].abs().max() < 1e-12
    assert (z.flatten(1).norm(dim=1) - 1).abs().max() < 1e-12
    turned = turn_features(so2(3), turn_features(so2(3), z, 33.0), -33.0)
    assert (turned - z).abs().max() < 1e-12


def test_a_similarity_over_samples_is_refused_for_an_so2_network():
    encoder = shipped.new_encoder("SO(2)", 0)
    with pytest.raises(ValueError, match="does not absorb turns between the samples"):
        ContrastiveModel(encoder, InfoNCE(cyclic(8), "max"), lambda images, draws: images)


def test_explorer_and_errors_by_frequency(upright):
    explorer = lesson.explore(upright)
    before = explorer.maxima()["SO(2)"]
    explorer.set_state(first=90, second=180)
    assert abs(explorer.maxima()["SO(2)"] - before) < 1e-4
    errors = lesson.frequency_errors(upright, 0)
    assert [found.frequencies.shape for found in errors.values()] == [(1, 4)] * 3
    assert len(lesson.show_frequencies(errors).data) == 3


def test_pairs_are_judged_and_drawn():
    live = stopped(lesson.train_pairs(0))
    mine = lesson.own_pairs(live, 0)
    assert all(0 <= run["partners"] <= 1 and 0 <= run["degrees"] <= 180 for run in mine.values())
    assert len(lesson.pairs_chart(mine).data) == 2 * 3 * 4
