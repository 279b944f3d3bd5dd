"""The losses of the relatives: what solves each, what it promises, and that they train."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from listed import C4, D4, draw, moved, regular_maps
from torch import nn

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.diagnostics import learned_action
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.learned import (
    RELATIVES,
    ContrastivePredictor,
    EquivarianceByContrast,
    GramLoss,
    LearnedModel,
    RotationHead,
    SoftEquivariance,
    SplitPredictor,
    Term,
    orthogonal_map,
    relative,
    turned_back,
)
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView

TERMS = {
    "soft": SoftEquivariance,
    "gram": GramLoss,
    "split": SplitPredictor,
    "predictor": ContrastivePredictor,
    "head": RotationHead,
    "contrast": EquivarianceByContrast,
}


def built(kind, group=C4, dimension=8, seed=0):
    torch.manual_seed(seed)
    term = TERMS[kind](group)
    term.build(dimension)
    return term


def regular_orbit(count=16, group=C4, channels=2):
    """Of a network that has the group built in."""
    return F.normalize(
        moved(group, draw(count, channels * group.order), regular_maps(group, channels)), dim=2
    )


def still_orbit(count=16):
    return F.normalize(draw(count, 1, 8), dim=2).expand(-1, 4, -1)


def trained(term, orbit, steps=300):
    term = term.to(orbit)
    optimizer = torch.optim.Adam(term.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        term(orbit).backward()
        optimizer.step()
    return float(term(orbit).detach())


def test_split_is_the_formula_and_finds_the_action():
    """Half of the features regular, half still: the matrices are the action's, and obey its law unasked."""
    orbit = torch.cat([regular_orbit(40, channels=1), still_orbit(40)[..., :4]], dim=2)
    term = built("split").double()
    expected = 0.0
    for g in C4.elements:
        for h in C4.elements:
            after, before = orbit[:, C4.product[g, h]], orbit[:, h]
            expected += (after[:, 4:] - before[:, 4:]).square().sum(1).mean() / 16
            expected += (after[:, :4] - before[:, :4] @ term.maps[g].T).square().sum(1).mean() / 16
    assert abs(term(orbit) - expected) < 1e-14
    assert trained(term, orbit) < 1e-9
    assert (term.maps - regular_maps(C4, 1)).abs().max() < 1e-3
    assert (term.maps[1] @ term.maps[1] - term.maps[2]).abs().max() < 1e-3


def test_MF_features_that_do_not_move_solve_split_gram_and_predictor():
    """The prediction costs nothing but the entropy over the turns, which look the same."""
    still = still_orbit()
    assert built("split").double()(still) < 1e-30
    assert built("gram")(still) < 1e-30
    predictor = built("predictor").double()
    views = 2 * 3  # of each image: three turns, predicted and seen
    floor = math.log(views - 1)
    identity = torch.zeros_like(predictor.predictor[0].weight)
    identity[:, :8] = torch.eye(8)
    with torch.no_grad():
        predictor.predictor = nn.Linear(12, 8, bias=False).double()  # u(z, g) = z: the batch norm away
        predictor.predictor.weight.copy_(identity)
        predictor.contrast.temperature = 0.01
        assert abs(predictor(still) - floor) < 1e-3
    assert built("soft")(still) > 0.1  # a known action that moves does not allow it


def test_contrastive_predictor_is_infonce_of_the_prediction():
    term, orbit = built("predictor").double(), regular_orbit()
    upright = torch.cat([orbit[:, 0]] * 3)
    names = torch.eye(4, dtype=torch.float64)[1:].repeat_interleave(16, 0)
    predicted = F.normalize(term.predictor(torch.cat([upright, names], 1)), dim=1)
    views = torch.cat([predicted, orbit[:, 1:].transpose(0, 1).flatten(0, 1)])
    logits = (views @ views.T / 0.2).fill_diagonal_(-math.inf)
    expected = F.cross_entropy(logits, torch.arange(96).roll(48))
    assert abs(term(orbit) - expected) < 1e-12


def test_rotation_head_learns_the_turn_where_features_know_it_and_pays_log_4_where_not():
    known = F.normalize(torch.rand(16, 1, 8, dtype=torch.float64) + 3 * torch.eye(4, 8), dim=2)
    assert trained(built("head"), known) < 0.01
    assert abs(trained(built("head"), still_orbit()) - math.log(4)) < 1e-4


def test_by_contrast_is_solved_by_any_linear_action_and_not_by_standing_still():
    hidden = draw(8, 8, seed=3)
    maps = hidden @ regular_maps(C4, 2) @ hidden.inverse()
    orbit = moved(C4, 4 * draw(40, 8), maps)
    free = moved(C4, 4 * draw(40, 8), draw(4, 8, 8, seed=4))
    term = EquivarianceByContrast(C4, temperature=0.2)
    assert term(orbit) < 0.3
    assert term(free) > 2
    assert term(40 * still_orbit(40)) >= math.log(4) - 1e-9


@pytest.mark.parametrize("kind", TERMS)
@pytest.mark.parametrize("group", [C4, D4], ids=lambda group: group.name)
def test_every_term_is_a_finite_scalar_with_gradients_in_every_precision(kind, group):
    term = built(kind, group, 16)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        orbit = draw(6, group.order, 16).to(dtype).requires_grad_()
        value = term(orbit)
        value.backward()
        assert value.shape == ()
        assert value.isfinite()
        assert orbit.grad.isfinite().all()
        assert orbit.grad.abs().max() > 0
    zero = torch.zeros(6, group.order, 16, requires_grad=True)
    value = term(zero)
    value.backward()
    assert value.isfinite()
    assert zero.grad.isfinite().all()


def test_a_term_without_its_weights_says_who_makes_them():
    with pytest.raises(RuntimeError, match="LearnedModel calls it"):
        SplitPredictor(C4)(draw(3, 4, 8))


def model(kind="gram", **more):
    torch.manual_seed(0)
    encoder, loss = GroupCNN(cyclic(1), 1, (4, 8)), InfoNCE(cyclic(1), "plain")
    return LearnedModel(encoder, loss, RandomView(), TERMS[kind](C4), **more)


def images(count=8, side=12):
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(0))


def test_the_model_adds_the_term_to_the_contrastive_loss_of_the_same_views():
    learned = model(weight=0.5)
    plain = ContrastiveModel(learned.encoder, learned.loss, learned.views)
    ours = learned.training_step(images(), torch.Generator().manual_seed(3))
    theirs = plain.training_step(images(), torch.Generator().manual_seed(3))
    assert torch.equal(ours["contrast"], theirs["loss"])
    assert torch.equal(ours["loss"], ours["contrast"] + 0.5 * ours["term"])
    assert torch.allclose(learned.orbit(images()).norm(dim=2), torch.ones(8, 4))
    x, k = images(), 3
    one = learned.eval().encoder(C4.transform(x, k)).flatten(1)
    assert torch.allclose(learned.orbit(x)[:, k], F.normalize(one), atol=1e-6)


@pytest.mark.parametrize("kind", RELATIVES)
def test_every_relative_trains_and_can_be_measured(kind):
    torch.manual_seed(0)
    built = relative(kind, channels=(4, 8), views=replace(RandomView(), noise=0.05))
    run = Pretrainer(built, images(16), epochs=2, batch_size=8, accelerator="cpu")
    run.fit()
    assert all(math.isfinite(record["loss"]) for record in run.history)
    action = learned_action(built.encoder, images(24), C4)
    assert action.dimension == 8
    assert (action.plain.error < 1e-6) == (kind == "built in")


def test_soft_training_brings_the_features_nearer_to_an_action():
    errors = {}
    for kind in ("upright", "soft"):
        torch.manual_seed(0)
        built = relative(kind, channels=(8, 16), views=RandomView(noise=0.05))
        if kind == "soft":
            built.weight = 10.0
        Pretrainer(built, images(64), epochs=15, batch_size=32, lr=1e-2, accelerator="cpu").fit()
        orbit = F.normalize(
            torch.stack([built.encoder(C4.transform(images(), k)).flatten(1) for k in range(4)], 1), dim=2
        )
        errors[kind] = float(SoftEquivariance(C4)(orbit.detach()))
    assert errors["soft"] < 0.7 * errors["upright"]


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("group", lambda: Term("C4")),
        ("group", lambda: GramLoss(cyclic(8))),
        ("orbit", lambda: GramLoss(C4)(torch.ones(3, 8, 5))),
        ("orbit", lambda: GramLoss(C4)(torch.ones(3, 4))),
        (r"len\(orbit\)", lambda: GramLoss(C4)(torch.ones(0, 4, 5))),
        (r"len\(orbit\)", lambda: EquivarianceByContrast(C4)(torch.ones(1, 4, 5))),
        (r"len\(orbit\)", lambda: built("predictor")(torch.ones(1, 4, 8))),
        (r"group\.order", lambda: ContrastivePredictor(cyclic(1))),
        ("temperature", lambda: ContrastivePredictor(C4, 0)),
        ("temperature", lambda: EquivarianceByContrast(C4, -1.0)),
        ("hidden", lambda: RotationHead(C4, 0)),
        ("dimension", lambda: SplitPredictor(C4).build(1)),
        ("orbit", lambda: built("split")(torch.ones(2, 4, 7))),
        (r"orbit\.shape\[2\] % 4", lambda: turned_back(C4, torch.ones(2, 4, 6))),
        ("w", lambda: orthogonal_map(torch.ones(3, 2), torch.ones(3, 2) / 0)),
        ("weight", lambda: model(weight=-1.0)),
        ("term", lambda: LearnedModel(GroupCNN(C4), InfoNCE(C4), RandomView(), nn.Flatten())),
        (r"loss\.group", lambda: LearnedModel(GroupCNN(cyclic(1)), InfoNCE(C4), RandomView(), GramLoss(C4))),
        ("kind", lambda: relative("SimCLR")),
        ("channels % 4", lambda: relative("soft", channels=(4, 6))),
        ("channels", lambda: relative("soft", channels=())),
    ],
)
def test_malformed_input_of_the_relatives_is_named(as_a_user, argument, call):
    with pytest.raises((TypeError, ValueError), match=f"^{argument} must"):
        call()
