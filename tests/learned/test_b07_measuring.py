"""B7: fit on one set and report on another, in units of what moves, beside an untrained network, also whitened."""

import pytest
import torch
from listed import C4, D4, Listed, cards, draw, moved, regular_maps
from torch import nn

from eqssl_edu.diagnostics import learned_action, untrained_copy
from eqssl_edu.encoders import GroupCNN, SymmetrizedEncoder
from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GroupMLP, GroupPool, GSetHead
from eqssl_edu.steerable import SteerableCNN, enn, from_escnn, gspaces


def listed(z, **more):
    return learned_action(Listed(C4, z), cards(len(z)), C4, **more)


def images(count=32, side=8, seed=0, dtype=torch.float32):
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(seed)).to(dtype)


def numbers(errors):
    return [errors.still, *errors.fitted, *errors.reported, *(value for row in errors.laws for value in row)]


def test_B7_in_units_of_all_energy_a_network_that_hardly_moves_looks_equivariant():
    z = draw(300, 1, 6) + 0.01 * draw(300, 4, 6, seed=1)
    plain = listed(z).plain
    assert plain.still > 0.999
    assert plain.error_of_all < 1e-3 < 0.5 < plain.error
    assert plain.error_of_all == pytest.approx(plain.error * (1 - plain.still))


def test_B7_invariant_features_have_no_error_and_no_lucky_zero():
    torch.manual_seed(0)
    invariant = nn.Sequential(GroupCNN(C4, 1, (4,)), GroupPool(C4))
    for dtype in (torch.float32, torch.float64):
        action = learned_action(invariant.to(dtype), images(dtype=dtype), C4)
        for errors in (action.plain, action.whitened, action.untrained.plain):
            assert errors.still == 1
            assert errors.error is errors.fit_error is errors.law is errors.law_largest is None
        assert not action.moves
        assert "the features do not move" in str(action)
        assert "nan" not in str(action)
    constant = listed(torch.ones(20, 4, 3, dtype=torch.float64))
    assert constant.directions == 0
    assert constant.plain.still == 1
    assert constant.plain.error is None


def test_B7_what_the_fit_knows_by_heart_does_not_carry_over():
    plain = listed(draw(80, 4, 60)).plain  # noise: nothing can be known
    assert plain.fit_error < 0.85
    assert plain.error > 1.2  # worse than to know the mean of each orbit


def test_B7_few_images_are_refused_or_said():
    with pytest.raises(ValueError, match=r"^images must be 60 or more"):
        listed(draw(58, 4, 60))
    with pytest.raises(ValueError, match=r"^images must be 30 or more"):
        listed(draw(29, 4, 60), report=cards(3))
    listed(draw(30, 4, 60), report=cards(3))
    assert "few images: 160 pairs in" not in str(listed(draw(80, 4, 60)))
    assert "few images: 160 pairs" in str(listed(draw(80, 4, 60)))
    assert "few images" not in str(listed(draw(80, 4, 8)))


def test_B7_what_another_set_has_in_new_directions_is_not_explained():
    z = moved(C4, draw(60, 8), regular_maps(C4, 2))
    z[:40, :, 4:] = 0  # the second channel is dead on the images that are fitted
    action = learned_action(Listed(C4, z), cards(40), C4, report=cards(60)[40:])
    assert action.directions == 4
    assert action.plain.fit_error < 1e-25
    assert action.plain.error > 0.3
    assert action.whitened.error < 1e-25  # which has no scale for them


def test_B7_maps_that_were_fitted_where_nothing_varies_say_nothing():
    torch.manual_seed(0)
    black, others = torch.zeros(8, 1, 8, 8, dtype=torch.float64), images(dtype=torch.float64)
    action = learned_action(GroupCNN(cyclic(1), 1, (4,)).double(), black, C4, others)
    assert action.plain.fit_error is None and action.whitened.error is None
    assert action.plain.error >= 1 - 1e-12 and action.plain.law == 0
    assert "nan" not in action._repr_html_().lower()


def test_B7_the_scale_of_the_error():
    """To know the mean of the orbit costs 1, to say that nothing moves 2 |G| / (|G| - 1), the mean over g but e."""
    for group in (C4, D4):
        z = draw(50, group.order, 5)
        moving = (z - z.mean(1, keepdim=True)).square().sum(2).mean()
        errors = [(z[:, group.product[g]] - z).square().sum(2).mean() / moving for g in group.elements]
        wanted = 2 * group.order / (group.order - 1)
        assert float(torch.stack(errors[1:]).mean()) == pytest.approx(wanted, abs=1e-12)
        action = learned_action(Listed(group, z), cards(50), group, report=cards(50))
        assert action.plain.fit_error < wanted


def test_B7_dead_and_doubled_channels_change_nothing():
    z = draw(100, 1, 5) + draw(100, 4, 5, seed=1)
    action = listed(z)
    wider = listed(torch.cat([z, z, torch.zeros(100, 4, 3)], dim=2))
    assert wider.directions == action.directions == 5
    assert numbers(wider.plain) == pytest.approx(numbers(action.plain), rel=1e-9)
    assert wider.content == pytest.approx(action.content, abs=1e-9)


def test_B7_the_centre_is_the_mean_over_all_turns():
    z = draw(100, 1, 5) + draw(100, 4, 5, seed=1)
    assert numbers(listed(z + 30).plain) == pytest.approx(numbers(listed(z).plain), rel=1e-9)


def test_B7_each_set_has_its_own_centre():
    """Brighter images: the maps are judged by what moves, not by where the set lies."""
    z = draw(100, 1, 5) + draw(100, 4, 5, seed=1)
    z[60:] += 30
    moved_away = learned_action(Listed(C4, z), cards(60), C4, report=cards(100)[60:])
    z[60:] -= 30
    there = learned_action(Listed(C4, z), cards(60), C4, report=cards(100)[60:])
    assert numbers(moved_away.plain) == pytest.approx(numbers(there.plain), rel=1e-9)
    assert numbers(moved_away.whitened) == pytest.approx(numbers(there.whitened), rel=1e-9)


def test_B7_whitened_numbers_know_no_basis_and_plain_ones_do():
    z = draw(100, 1, 5) + draw(100, 4, 5, seed=1)
    action, seen = listed(z), listed(z @ draw(5, 5, seed=3))
    assert numbers(seen.whitened) == pytest.approx(numbers(action.whitened), rel=1e-8)
    assert abs(seen.plain.error - action.plain.error) > 1e-3
    assert seen.content == pytest.approx(action.content, abs=1e-8)


def test_B7_the_maps_are_least_squares():
    """The same maps as from torch's solver."""
    z = draw(100, 1, 5) + draw(100, 4, 5, seed=1)
    action = learned_action(Listed(C4, z), cards(100), C4, report=cards(100))
    centred = z - z.mean((0, 1))
    for g in C4.elements:
        before, after = centred.flatten(0, 1), centred[:, C4.product[g]].flatten(0, 1)
        solution = torch.linalg.lstsq(before, after).solution
        assert (action.act(z[:, 2], g) - action.centre - centred[:, 2] @ solution).abs().max() < 1e-12
        error = (after - before @ solution).square().sum(1).mean()
        moving = (z - z.mean(1, keepdim=True)).square().sum(2).mean()
        assert action.plain.fitted[g] == pytest.approx(float(error / moving), abs=1e-12)
        assert action.plain.reported[g] == pytest.approx(action.plain.fitted[g], abs=1e-12)


@pytest.mark.parametrize("group", [C4, D4], ids=lambda group: group.name)
def test_B7_what_is_built_in_is_exact_before_the_first_step_on_any_image(group):
    torch.manual_seed(0)
    encoder = GroupCNN(group, 1, (2, 3)).double()
    action = learned_action(
        encoder, images(dtype=torch.float64), group, images(5, seed=1, dtype=torch.float64)
    )
    for result in (action, action.untrained):
        assert result.plain.error < 1e-20
        assert result.plain.law_largest < 1e-20
    plain = learned_action(GroupCNN(cyclic(1), 1, (8, 12)), images(), group)
    assert plain.plain.error > 1e-3
    assert plain.untrained.plain.law > 1e-4


def test_the_untrained_copy_is_another_network_of_the_same_kind_and_leaves_the_first():
    torch.manual_seed(0)
    encoder = nn.Sequential(
        GroupCNN(C4, 1, (2, 3)), GroupMLP(C4, (3, 4, 2)), GSetHead(GSet.regular(C4), 2), nn.LayerNorm(4)
    )
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    random = torch.get_rng_state()
    copy, again = (untrained_copy(encoder, images(), seed=3) for _ in range(2))
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in before.items())
    assert encoder.training
    assert not copy.training
    for a, b, old in zip(copy.parameters(), again.parameters(), encoder.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.unique().numel() == 1 or not torch.equal(a, old)
    norm = next(module for module in copy.modules() if isinstance(module, nn.BatchNorm3d))
    assert (norm.running_var - 1).abs().max() > 0.01  # it knows the images


def test_a_network_that_cannot_be_made_anew_is_refused_by_name():
    class Cls(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.ones(1, 64))

        def forward(self, x):
            return x.flatten(1) + self.token

    with pytest.raises(ValueError, match=r"got token of 1 \(Cls\), which none makes anew"):
        untrained_copy(nn.Sequential(nn.Identity(), Cls()), images())
    normed = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(64, 3)))
    with pytest.raises(ValueError, match="original0"):  # its reset_parameters writes what is computed from it
        untrained_copy(normed, images())
    with pytest.raises(ValueError, match="of the network"):
        learned_action(Cls(), images(), C4)
    learned_action(Cls(), images(), C4, report=images(seed=1), untrained=nn.Flatten())


def test_several_sets_are_judged_by_one_fit_as_each_by_itself():
    encoder, own, moved_away = GroupCNN(cyclic(1), 1, (4, 6)), images(7, seed=1), images(9, seed=2) + 1
    found = learned_action(encoder, images(), C4, {"own": own, "moved away": moved_away})
    assert list(found) == ["own", "moved away"]
    assert found["own"].whitened_maps is found["moved away"].whitened_maps
    for report, action in zip((own, moved_away), found.values(), strict=True):
        alone = learned_action(encoder, images(), C4, report)
        assert alone.counts == action.counts == (len(images()), len(report))
        for one, other in ((alone, action), (alone.untrained, action.untrained)):
            assert (one.plain, one.whitened, one.content) == (other.plain, other.whitened, other.content)
    assert found["own"].plain.error != found["moved away"].plain.error


def test_a_steerable_network_stands_beside_an_untrained_copy():
    """escnn's layers have no reset_parameters, and its norms for SO(2) are none of PyTorch's."""
    torch.manual_seed(0)
    plane = gspaces.rot2dOnR2(4)
    image, fields = (enn.FieldType(plane, 2 * [r]) for r in (plane.trivial_repr, plane.regular_repr))
    layers = enn.SequentialModule(
        enn.R2Conv(image, fields, 3), enn.ReLU(fields), enn.R2Conv(fields, fields, 3)
    )
    for encoder, channels in ((SteerableCNN("SO(2)", channels=(2, 2)), 1), (from_escnn(layers), 2)):
        x = images(40).expand(-1, channels, -1, -1)
        with torch.no_grad():  # a "trained" one: far from what is made
            for weight in encoder.parameters():
                weight.add_(3)
        action = learned_action(encoder, x, C4)
        assert max(action.plain.error, action.untrained.plain.error) < 1e-6
        copy = untrained_copy(encoder, x)
        for new, old in zip(copy.parameters(), encoder.parameters(), strict=True):
            assert not torch.isclose(new, old).any()
        with torch.no_grad():
            known, wanted = copy(x), copy.train()(x)
        assert (known - wanted).norm() < 0.05 * wanted.norm()
    raw = nn.Sequential(enn.R2Conv(image, fields, 3))
    with pytest.raises(ValueError, match=r"got bias of 0 \(R2Conv\), which none makes anew"):
        untrained_copy(raw, images())


def test_other_shapes_are_flattened_and_a_learned_action_is_no_law_of_its_own():
    torch.manual_seed(0)
    encoder = SymmetrizedEncoder(C4, nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))
    action = learned_action(encoder, images(), C4)
    assert action.dimension == 8
    z = encoder(images(3)).flatten(1)
    turned = encoder(C4.transform(images(3), 1)).flatten(1)
    assert (action.act(z, 1) - turned).abs().max() < 1e-4
    once = action.act(z, 1)
    assert (action.act(action.act(action.act(once, 1), 1), 1) - z).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("encoder", lambda: learned_action(abs, images(), C4)),
        ("group", lambda: learned_action(nn.Flatten(), images(), cyclic(8))),
        ("images", lambda: learned_action(nn.Flatten(), images()[..., :7], C4)),
        ("images", lambda: learned_action(nn.Flatten(), images() / 0, C4)),
        (r"len\(images\)", lambda: learned_action(nn.Flatten(), images(1), C4)),
        (r"len\(report\)", lambda: learned_action(nn.Flatten(), images(), C4, images()[:0])),
        (r"len\(report\)", lambda: learned_action(nn.Flatten(), images(), C4, {})),
        (r"report\['a'\]", lambda: learned_action(nn.Flatten(), images(), C4, {"a": images(side=9)})),
        (r"report\['a'\]", lambda: learned_action(nn.Flatten(), images(), C4, {"a": 3})),
        ("report", lambda: learned_action(nn.Flatten(), images(), C4, images(side=9))),
        ("seed", lambda: learned_action(nn.Flatten(), images(), C4, seed=-1)),
        ("untrained", lambda: learned_action(nn.Flatten(), images(), C4, untrained=abs)),
        (
            "encoder",
            lambda: learned_action(Listed(C4, draw(32, 4, 3) / 0), cards(32), C4, untrained=nn.Flatten()),
        ),
        (
            "untrained",
            lambda: learned_action(nn.Flatten(), cards(32), C4, untrained=Listed(C4, draw(32, 4, 3) / 0)),
        ),
        ("len", lambda: untrained_copy(nn.Flatten(), images()[:0])),
    ],
)
def test_malformed_input_of_the_fit_is_named(as_a_user, argument, call):
    with pytest.raises((TypeError, ValueError), match=f"^{argument}"):
        call()


def test_the_table_has_both_networks_and_both_metrics():
    torch.manual_seed(0)
    action = learned_action(GroupCNN(cyclic(1), 1, (4, 6)), images(60), C4)
    text, html = str(action), action._repr_html_()
    for word in (
        "the network",
        "the network, plain",
        "untrained, whitened",
        "does not move",
        "law, largest",
        "frequency 1",
    ):
        assert word in text
        assert word in html
    assert f"linear maps miss {100 * action.plain.error:.1f} % of what moves" in text
    assert "></th>" not in html  # a corner without words is no header
    assert len(text.splitlines()) == 6
