"""InfoNCE on orbits: it absorbs the turn of every view, and its chunks are exact."""

import math

import pytest
import torch
import torch.nn.functional as F
from families import features, lightly_loss, turned, two_views
from torch import nn

from eqssl_edu.contrastive import SIMILARITIES, InfoNCE, chunks, products
from eqssl_edu.groups import cyclic, dihedral


def gradients(loss, *views):
    views = [view.detach().requires_grad_() for view in views]
    value = loss(*views)
    return value.detach(), torch.cat([grad.flatten() for grad in torch.autograd.grad(value, views)])


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_C1_and_C2_the_loss_absorbs_2b_independent_elements_and_its_gradient_turns_with_them(kind):
    """Plain is the must-fail twin."""
    group = dihedral(4)
    views, loss = two_views(group), InfoNCE(group, kind)
    after = loss.contrast(*turned(group, *views))
    before, gradient = gradients(loss, *views)
    parts = [part.view_as(views[0]) for part in gradient.chunk(2)]
    expected = torch.cat([part.flatten() for part in turned(group, *parts)])
    change = (gradients(loss, *turned(group, *views))[1] - expected).norm() / expected.norm()
    if kind == "plain":
        assert abs(after.loss - before) > 1e-2 and change > 1e-2
    else:
        assert abs(after.loss - before) < 1e-12 and change < 1e-12
        assert after.accuracy == loss.contrast(*views).accuracy


CHUNKS = [
    *[(dihedral(4), kind, 3) for kind in SIMILARITIES],
    *[(cyclic(4), "soft", chunk) for chunk in (1, 7, 100, None)],
    (cyclic(1), "max", 3),
]


@pytest.mark.parametrize(("group", "kind", "chunk"), CHUNKS, ids=str)
def test_C3_chunks_are_exact(group, kind, chunk):
    """C3: the running log-sum-exp over half of the pairs gives the formula's value and gradient."""
    views = two_views(group, 7)
    loss = InfoNCE(group, kind, 0.3, chunk)
    value, gradient = gradients(loss, *views)
    expected, its_gradient = gradients(lambda *z: F.cross_entropy(*loss.logits(*z)), *views)
    assert abs(value - expected) < 1e-12
    assert (gradient - its_gradient).abs().max() < 1e-12
    logits, partner = loss.logits(*views)
    assert loss.contrast(*views).accuracy == (logits.argmax(dim=1) == partner).double().mean()


def test_C3_gradient_is_that_of_finite_differences():
    group = dihedral(1)
    views = [view.requires_grad_() for view in two_views(group, 3, channels=2)]
    assert torch.autograd.gradcheck(InfoNCE(group, "soft", chunk=2), views)


def test_C3_a_chunk_is_all_that_is_ever_held(monkeypatch):
    """No more than chunk x 2B x |G| correlations at a time, and each pair but for the chunks' own only once."""
    group, sizes = cyclic(4), []

    def watched(kappa, *arguments):
        sizes.append(kappa.numel())
        return reduced(kappa, *arguments)

    reduced = products.reduced
    monkeypatch.setattr(products, "reduced", watched)
    z = features(group, 32)
    InfoNCE(group, "max", chunk=4)(z, z)
    assert len(sizes) == 16 and max(sizes) == 4 * 64 * 4
    assert sum(sizes) < 0.55 * 64 * 64 * 4


def test_gradients_flow_through_a_network_and_scale():
    """The gradient made in the forward pass is multiplied by what comes from above."""
    group = cyclic(4)
    z1, z2 = two_views(group)
    network = nn.Linear(4, 4, bias=False).double()
    (once,) = torch.autograd.grad(InfoNCE(group)(network(z1), network(z2)), network.weight)
    (thrice,) = torch.autograd.grad(3 * InfoNCE(group)(network(z1), network(z2)), network.weight)
    assert once.norm() > 0
    assert (thrice - 3 * once).abs().max() < 1e-12


def test_nothing_is_kept_where_no_gradient_is_asked_for():
    group = cyclic(4)
    z1, z2 = two_views(group)
    assert not InfoNCE(group)(z1, z2).requires_grad
    with torch.no_grad():
        assert not InfoNCE(group)(z1.requires_grad_(), z2).requires_grad
    assert not InfoNCE(group).contrast(z1, z2).accuracy.requires_grad


def test_C5_trivial_group_gives_the_standard_loss():
    """|G| = 1: SimCLR's NT-Xent, written out here with loops."""
    group = cyclic(1)
    z1, z2 = features(group, 4), features(group, 4, seed=1)
    views = F.normalize(torch.cat([z1, z2]).flatten(1))
    total = 0.0
    for i in range(8):
        scores = [math.exp(float(views[i] @ views[k]) / 0.5) for k in range(8) if k != i]
        total -= math.log(math.exp(float(views[i] @ views[(i + 4) % 8]) / 0.5) / sum(scores)) / 8
    for kind in ("plain", "max", "soft", "mean", "canonical", "maxpool"):  # a power is another similarity
        assert abs(float(InfoNCE(group, kind, 0.5)(z1, z2)) - total) < 1e-12


def test_C5_trivial_group_gives_lightlys_loss():
    theirs = lightly_loss("ntx_ent_loss").NTXentLoss(temperature=0.3)
    z1, z2 = two_views(cyclic(1), channels=6)
    assert abs(InfoNCE(cyclic(1), "max", 0.3)(z1, z2) - theirs(z1[:, :, 0], z2[:, :, 0])) < 1e-12


def test_a_collapsed_network_is_not_called_accurate():
    """All views the same: every candidate ties, the loss is that of guessing."""
    group = cyclic(4)
    z = features(group, 1).expand(8, 3, 4)
    loss, accuracy = InfoNCE(group, "max", chunk=3).contrast(z, z)
    assert abs(loss - math.log(15)) < 1e-9
    assert accuracy < 0.2


@pytest.mark.parametrize("kind", ["plain", "soft", "max", "canonical"])
def test_half_precision_under_autocast(kind):
    group = cyclic(4)
    views = [view.float() for view in two_views(group, 16, channels=8)]
    value, gradient = gradients(InfoNCE(group, kind, chunk=5), *views)
    with torch.autocast("cpu", torch.bfloat16):
        half, its_gradient = gradients(InfoNCE(group, kind, chunk=5), *views)
    assert half.dtype == torch.float32
    assert abs(half - value) < 0.05
    if kind not in ("canonical", "max", "maxpool"):  # rounding may choose another element there
        assert (its_gradient - gradient).norm() < 0.05 * gradient.norm()


def test_a_second_derivative_is_refused_and_the_formula_has_it():
    """The gradient is made in the forward pass: it has no graph, and must not pretend to have one."""
    group = cyclic(4)
    views = [view.requires_grad_() for view in two_views(group, 3, channels=2)]
    with pytest.raises(RuntimeError, match="InfoNCE has no second derivative"):
        torch.autograd.grad(InfoNCE(group)(*views), views, create_graph=True)
    assert torch.autograd.gradgradcheck(lambda *z: F.cross_entropy(*InfoNCE(group).logits(*z)), views)


def test_a_view_of_length_zero_keeps_the_gradient_in_bounds():
    group = cyclic(4)
    views = [view.float().requires_grad_() for view in two_views(group)]
    with torch.no_grad():
        views[0][2] = 0
    gradients = torch.autograd.grad(InfoNCE(group, "max")(*views), views)
    assert all(gradient.isfinite().all() and gradient.abs().max() < 1e13 for gradient in gradients)


def test_there_is_at_least_one_row_in_a_chunk(monkeypatch):
    monkeypatch.setattr(chunks, "CPU_ENTRIES", 7)  # fewer than one view has correlations
    group, views = cyclic(4), two_views(cyclic(4))
    assert abs(InfoNCE(group, "max")(*views) - F.cross_entropy(*InfoNCE(group, "max").logits(*views))) < 1e-12


def test_autocast_computes_in_its_precision():
    group = cyclic(4)
    views = [view.float() for view in two_views(group)]
    exact = InfoNCE(group, "max")(*views)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = InfoNCE(group, "max")(*views)
        double = InfoNCE(group, "max")(*(view.double() for view in views))
    assert 1e-7 < abs(rounded - exact) < 1e-2 and double.dtype == torch.float64
