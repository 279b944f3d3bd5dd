"""Equivariant heads: linear maps and perceptrons from regular to regular features, and the flattened one that fails."""

import pytest
import torch
from families import GROUPS, by_name, features, own_elements
from torch import nn

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import FlatMLP, GroupLinear, GroupMLP


def violation(head, group, count=8, channels=3):
    """How much turning each input by its own element and then mapping differs from mapping and then turning."""
    z, g = features(group, count, channels), own_elements(group, count)
    out = head(z).detach()
    assert out.std() > 1e-3  # a head that answers zero would be equivariant
    return float(
        (head(group.transform_features(z, g)).detach() - group.transform_features(out, g)).abs().max()
    )


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_linear_is_equivariant(group):
    assert violation(GroupLinear(group, 3, 5).double(), group) < 1e-12


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_linear_is_its_formula(group):
    layer, z = GroupLinear(group, 3, 2).double(), features(group, 2)
    nn.init.normal_(layer.bias)
    out = layer(z)
    for h in group.elements:
        expected = layer.bias.clone()
        for k in group.elements:
            expected = expected + z[:, :, group.product[h, k]] @ layer.weight[:, :, k].T
        assert (out[:, :, h] - expected).abs().max() < 1e-12


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_linear_reaches_every_equivariant_map(group):
    """The equivariant maps from C to C' regular channels have dimension C C' |G|; the weights reach all of them."""
    layer = GroupLinear(group, 2, 3, bias=False).double()
    weights = torch.eye(layer.weight.numel(), dtype=torch.float64).unflatten(1, layer.weight.shape)
    maps = []
    for weight in weights:
        layer.weight.data = weight
        maps.append(layer.expanded_weight().detach().flatten())
    assert torch.linalg.matrix_rank(torch.stack(maps)) == 2 * 3 * group.order


def test_trivial_group_is_the_ordinary_linear_map():
    layer, z = GroupLinear(cyclic(1), 3, 5).double(), features(cyclic(1))
    plain = nn.Linear(3, 5).double()
    plain.load_state_dict({"weight": layer.weight[:, :, 0], "bias": layer.bias})
    assert (layer(z)[:, :, 0] - plain(z[:, :, 0])).abs().max() < 1e-12


@pytest.mark.parametrize("norm_output", [False, True])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_mlp_is_equivariant(group, mode, norm_output):
    """In training mode too: turning single members of a batch leaves its statistics as they are."""
    head = GroupMLP(group, (3, 7, 5), norm_output).double()
    for seed in range(3):  # running statistics that are not the initial ones
        head(features(group, seed=seed))
    head.train(mode == "train")
    assert violation(head, group) < 1e-12


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_flattened_mlp_is_not_equivariant(mode):
    """The must-fail twin: BatchNorm1d over flattened features."""
    group = cyclic(4)
    head = FlatMLP(group, (3, 7, 5)).double().train(mode == "train")
    assert violation(head, group) > 0.1


def test_equivariant_weights_with_flattened_batch_statistics_are_not_equivariant():
    """The silent half of that mistake: right linear maps, and one batch norm that sees each copy alone."""
    group = cyclic(4)

    class FlatNorm(nn.BatchNorm1d):
        def forward(self, z):
            return super().forward(z.flatten(1)).view_as(z)

    head = GroupMLP(group, (3, 7, 5)).double().train()
    head[1] = FlatNorm(7 * 4).double()
    assert violation(head, group) > 1e-2


def test_norm_of_the_output_centers_every_channel():
    group = dihedral(4)
    out = GroupMLP(group, (3, 7, 5), norm_output=True).double()(features(group, 16))
    assert out.mean(dim=(0, 2)).abs().max() < 1e-12
    assert (out.var(dim=(0, 2), unbiased=False) - 1).abs().max() < 1e-3


def test_shapes_and_counts():
    group = dihedral(4)
    mlp, flat = GroupMLP(group, (3, 7, 5)), FlatMLP(group, (3, 7, 5))
    assert mlp.out_channels == flat.out_channels == 5
    assert mlp(torch.randn(4, 3, 8)).shape == flat(torch.randn(4, 3, 8)).shape == (4, 5, 8)
    assert sum(layer.weight.numel() for layer in mlp if isinstance(layer, GroupLinear)) == (21 + 35) * 8
    assert (
        sum(layer.weight.numel() for layer in flat.layers if isinstance(layer, nn.Linear)) == (21 + 35) * 64
    )


def test_gradients():
    group = dihedral(1)
    layer, z = GroupLinear(group, 2, 3).double(), features(group, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(layer, z)
    assert torch.autograd.gradcheck(
        lambda weight: torch.func.functional_call(layer, {"weight": weight}, (z.detach(),)),
        layer.weight.detach().requires_grad_(),
    )
