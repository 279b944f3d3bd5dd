"""Notebooks 08 to 08c: pooled features of a pair see no pose, the shipped runs are whole, losses are as said."""

import math

import pytest
import torch

from eqssl_edu.contrastive import SimSiam, VICReg
from eqssl_edu.layers import GroupMLP
from eqssl_edu.lessons import contrastive_letters as shipped
from eqssl_edu.lessons import notebook_08 as lesson
from eqssl_edu.lessons import notebook_08b as negatives


def test_the_shipped_runs_are_whole():
    """The same seeds for each way to train, and for each temperature; make_runs adds what is missing."""
    for measure in ("partners", "probe", "trivial energy", "nearest orbits", "pooled probe"):
        columns = [shipped.found(*way, measure) for way in shipped.WAYS]
        assert len({len(column) for column in columns}) == 1 and len(columns[0]) >= 7
        assert all(0 <= value <= 1 for column in columns for value in column)
    counts = {
        len(shipped.found(k, "turned", "probe", t)) for k in shipped.KINDS for t in shipped.TEMPERATURES
    }
    assert len(counts) == 1 and counts.pop() >= 2
    assert {len(runs) for runs in negatives.variance_runs().values()} == {3}


def test_a_letter_that_turns_alone_changes_no_pooled_feature_but_its_orbit():
    """So the pooled probe of the pose guesses, whatever the network; the twin: the whole pair keeps its orbit."""
    given, encoder = shipped.pairs("test", 1, 0), shipped.untrained_model(0).encoder
    turned = given._replace(second=shipped.C4.transform(given.second, 1))
    z, w = (shipped.pair_features(encoder, each) for each in (given, turned))
    for pool in (lambda z: z.mean(dim=2), lambda z: z.amax(dim=2)):
        assert (pool(z) - pool(w)).abs().max() < 1e-6
    both = turned._replace(first=shipped.C4.transform(given.first, 1))
    alone, together = (
        shipped.orbit_correlation(shipped.C4, z, x).diagonal().amax(dim=0)
        for x in (w, shipped.pair_features(encoder, both))
    )
    assert (together - 1).abs().max() < 1e-5 and alone.min() < 0.999


def test_every_pose_is_asked_equally_often_in_every_typeface():
    pair = shipped.pairs("train", 2, 0)
    assert torch.equal(pair.poses.bincount(), torch.full((4,), 28)) and len(pair.first) == 112


def test_own_losses_are_the_librarys():
    z1, z2 = torch.randn(2, 12, 8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    predictor = GroupMLP(shipped.C4, (8, 8, 8)).double()
    own = negatives.Siamese(negatives._library, predictor, torch.Tensor.detach)
    assert abs(own(z1, z2) - SimSiam(shipped.C4, "max", predictor)(z1, z2)) < 1e-12
    usual = negatives.VarianceOf(lambda z: z.var(dim=(0, 2)))
    assert abs(usual(z1, z2) - VICReg(shipped.C4)(z1, z2)) < 1e-12


@pytest.mark.parametrize("step", [lambda *given: None, None], ids=["not done", "wrong"])
def test_without_a_right_step_the_curves_are_the_librarys(step, monkeypatch):
    monkeypatch.setattr(lesson, "STEPS", 2)
    curves = lesson.loss_curves(step or (lambda *given: torch.zeros(())), 0)
    assert len(curves) == 4 and all(len(c) == 2 and all(map(math.isfinite, c)) for c in curves.values())
    assert all(
        abs(a - b) < 1e-12
        for a, b in zip(curves["max, upright views"], curves["max, turned views"], strict=True)
    )
