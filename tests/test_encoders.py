"""Encoders: exact equivariance at every size, matched plain networks."""

import copy
import pickle

import pytest
import torch
from torch import nn

from eqssl_edu.encoders import (
    GroupCNN,
    GroupResNet,
    ResidualBlock,
    SymmetrizedEncoder,
    count_multiplications,
    count_parameters,
    matched_cnn,
)
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import exactness_violations
from eqssl_edu.steerable import SteerableCNN

C4, D4 = cyclic(4), dihedral(4)
GROUPS = [cyclic(1), cyclic(4), dihedral(1), dihedral(4)]
by_name = {"ids": lambda group: group.name}
for_all_groups = pytest.mark.parametrize("group", GROUPS, **by_name)
for_both_modes = pytest.mark.parametrize("training", [True, False])


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def seeded(make):
    torch.manual_seed(0)
    return make().double()


def worn(encoder, images):
    """The encoder with batch statistics that are not 0 and 1."""
    encoder.train()
    encoder(images + 0.3)
    return encoder


def error(encoder, images, maps=False):
    """The largest relative error of encoder(g x) = g encoder(x): one g for all images, and own elements."""
    group = encoder.group
    run, act = (encoder, group.transform_features)
    if maps:
        run, act = encoder.feature_maps, group.transform_maps
    with torch.no_grad():
        reference = run(images)
        assert reference.std() > 1e-3
        elements = [*group.elements, (3 * torch.arange(len(images)) + 1) % group.order]
        errors = [
            (run(group.transform(images, g)) - act(reference, g)).norm() / reference.norm() for g in elements
        ]
    return max(errors).item()


# -- GroupCNN ----------------------------------------------------------------------------------------------------


@for_all_groups
@for_both_modes
@pytest.mark.parametrize("size", [8, 11])
def test_group_cnn_is_equivariant_at_every_size(group, training, size):
    images = noise(6, 2, size, size)
    encoder = worn(seeded(lambda: GroupCNN(group, 2, (3, 4, 5))), images).train(training)
    assert error(encoder, images) < 1e-12
    assert error(encoder, images, maps=True) < 1e-12
    assert exactness_violations(encoder, size) == {}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 10, 16, 19])
def test_group_cnn_breaks_rule_e1_at_no_size(size):
    encoder = seeded(lambda: GroupCNN(C4, 1, (3, 3, 3, 3), kernel_size=5))
    assert exactness_violations(encoder, size) == {}
    assert error(encoder, noise(4, 1, size, size), maps=True) < 1e-12


def test_group_cnn_shapes_and_interface():
    encoder = GroupCNN(D4, in_channels=3, channels=[4, 6])
    images = torch.rand(2, 3, 15, 15)
    assert encoder(images).shape == (2, 6, 8)
    assert encoder.feature_maps(images).shape == (2, 6, 8, 8, 8)
    assert torch.equal(encoder(images), encoder.feature_maps(images).mean(dim=(-2, -1)))
    assert (encoder.group, encoder.in_channels, encoder.out_channels) == (D4, 3, 6)


def test_group_cnn_parameter_count():
    """Lifting: C C' k^2; group convolution: C C' |G| k^2; batch norm: two for each channel."""
    encoder = GroupCNN(D4, in_channels=3, channels=(4, 6), kernel_size=5)
    assert count_parameters(encoder) == 3 * 4 * 25 + 8 + 4 * 6 * 8 * 25 + 12


def test_the_features_of_another_group_are_not_equivariant():
    """The must-fail twin: a plain network, turned copies of whose kernels do not exist."""
    images = noise(6, 1, 16, 16)
    plain = seeded(lambda: GroupCNN(cyclic(1), 1, (3, 4))).eval()
    with torch.no_grad():
        before, after = (
            plain.feature_maps(images)[:, :, 0],
            plain.feature_maps(C4.transform(images, 1))[:, :, 0],
        )
    assert (after - C4.transform(before, 1)).norm() > 0.1 * before.norm()


# -- GroupResNet -------------------------------------------------------------------------------------------------


@for_all_groups
@for_both_modes
def test_group_resnet_is_equivariant(group, training):
    images = noise(2, 3, 20, 20)
    encoder = worn(seeded(lambda: GroupResNet(group, width=1)), images).train(training)
    assert encoder.feature_maps(images).shape == (2, 8, group.order, 3, 3)
    assert error(encoder, images, maps=True) < 1e-12
    assert error(encoder, images) < 1e-12


@pytest.mark.parametrize("size", [1, 5, 8, 17, 32])
def test_group_resnet_is_equivariant_at_every_size(size):
    encoder = seeded(lambda: GroupResNet(C4, 1, 1)).eval()
    assert error(encoder, noise(2, 1, size, size), maps=True) < 1e-12
    assert exactness_violations(encoder, size) == {}


def test_a_usual_downsampling_in_it_is_seen(as_a_user):
    """The must-fail twin: a 3 x 3 convolution with stride 2 on an even size."""
    encoder = seeded(lambda: GroupResNet(C4, 1, 1))
    first = encoder.blocks[3].body[0]
    encoder.blocks[2] = nn.Identity()
    first.stride = 2
    encoder.blocks[3].shortcut[0].stride = 2
    assert list(exactness_violations(encoder, 16)) == ["blocks.3.body.0", "blocks.3.shortcut.0"]
    assert error(encoder, noise(4, 1, 16, 16)) > 1e-3


def test_group_resnet_has_18_layers():
    encoder = GroupResNet(D4, width=2)
    blocks = [block for block in encoder.blocks if isinstance(block, ResidualBlock)]
    body = [encoder.stem, *(block.body for block in blocks)]
    convolutions = [layer for part in body for layer in part.modules() if hasattr(layer, "kernel_size")]
    assert len(convolutions) == 17  # and the head is the 18th
    assert len(blocks) == 8


def test_group_resnet_of_width_64_over_c1_has_the_size_of_resnet_18():
    """11.2 million parameters without its last layer; over C4, half the width has as many."""
    assert abs(count_parameters(GroupResNet(cyclic(1), width=64)) - 11_168_832) < 1000
    halved = count_parameters(GroupResNet(C4, width=8))
    assert abs(halved / count_parameters(GroupResNet(cyclic(1), width=16)) - 1) < 0.02  # 16 / sqrt(4)


# -- SymmetrizedEncoder ------------------------------------------------------------------------------------------


def plain_network():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 9, 5),
        nn.Tanh(),
    )


@for_all_groups
@for_both_modes
def test_t3_symmetrized_network_is_equivariant(group, training):
    """Any network becomes equivariant, batch norm in training mode included."""
    images = noise(6, 2, 8, 8)
    encoder = seeded(lambda: SymmetrizedEncoder(group, plain_network())).train(training)
    assert error(encoder, images) < 1e-12
    assert encoder(images).shape == (6, 5, group.order)
    assert encoder.out_channels == 5


def test_t3_symmetrized_network_formula():
    """f(x)[g] = m(g^-1 x)."""
    network, images = seeded(plain_network).eval(), noise(3, 2, 8, 8)
    features = SymmetrizedEncoder(D4, network)(images)
    for g in D4.elements:
        assert (features[:, :, g] - network(D4.transform(images, int(D4.inverse[g])))).abs().max() < 1e-12


def test_symmetrized_networks_of_other_kinds():
    images = torch.rand(2, 1, 8, 8)
    of_encoder = SymmetrizedEncoder(C4, GroupCNN(cyclic(1), 1, (3, 4)))
    assert of_encoder.out_channels == 4
    assert of_encoder(images).shape == (2, 4, 4)
    pooled = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1))
    assert SymmetrizedEncoder(C4, pooled)(images).shape == (2, 6, 4)


# -- matched plain networks --------------------------------------------------------------------------------------

TO_MATCH = {
    "C4 CNN": lambda: GroupCNN(C4),
    "D4 CNN": lambda: GroupCNN(D4, 3, (12, 24, 48)),
    "C4 ResNet": lambda: GroupResNet(C4, width=4),
    "C1 CNN": lambda: GroupCNN(cyclic(1)),
}


@pytest.fixture(params=TO_MATCH)
def encoder(request):
    return TO_MATCH[request.param]()


def test_matched_by_parameters_within_5_percent(encoder):
    plain = matched_cnn(encoder)
    assert plain.group == cyclic(1)
    assert type(plain) is type(encoder)
    assert abs(count_parameters(plain) / count_parameters(encoder) - 1) < 0.05


def test_matched_by_multiplications_exactly(encoder):
    plain = matched_cnn(encoder, by="flops")
    images = torch.rand(1, encoder.in_channels, 32, 32)
    assert plain.group == cyclic(1)
    assert count_multiplications(plain, images) == count_multiplications(encoder, images)


def test_the_two_ways_to_match_differ():
    """The must-fail twin: the same channels match nothing."""
    encoder, images = GroupCNN(C4), torch.rand(1, 1, 32, 32)
    same = encoder.scaled(cyclic(1), 1)
    assert count_parameters(same) < 0.5 * count_parameters(encoder)
    assert count_multiplications(same, images) < 0.25 * count_multiplications(encoder, images)
    assert count_parameters(matched_cnn(encoder, "flops")) > 2 * count_parameters(encoder)


def test_count_multiplications():
    images = torch.rand(2, 3, 8, 8)
    assert count_multiplications(nn.Conv2d(3, 4, 3), images) == 2 * 4 * 6 * 6 * 27
    assert count_multiplications(nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), images) == 2 * 192 * 5


def test_a_steerable_network_is_counted():
    """Its kernels are made once for all images, and then cost what the convolutions of expanded width cost."""
    encoder, images = SteerableCNN(C4, channels=(2,), kernel_size=3), torch.rand(40, 1, 8, 8)
    made = count_multiplications(encoder, images[:20])
    assert count_multiplications(encoder, images) - made == 20 * (2 * 4) * 9 * 8 * 8
    assert encoder.stages[0].module[0].weights.requires_grad


def test_counting_leaves_the_network_as_it_was():
    encoder = GroupCNN(C4)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    count_multiplications(encoder, torch.rand(2, 1, 8, 8))
    assert encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


# -- copies ------------------------------------------------------------------------------------------------------


@for_both_modes
@pytest.mark.parametrize("make", [lambda: GroupCNN(D4, 3, (2, 3)), lambda: GroupResNet(D4, width=1)])
def test_copies_pickles_and_state_dicts_give_the_same_output(make, training):
    images = noise(2, 3, 16, 16)
    encoder = worn(seeded(make), images).train(training)
    loaded = make().double().train(training)
    loaded.load_state_dict(encoder.state_dict())
    others = [copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder)), loaded]
    features = encoder(images)
    for other in others:
        assert torch.equal(other(images), features)


def test_gradients_reach_every_parameter():
    for encoder in (GroupCNN(C4, 3), GroupResNet(C4, width=1), SymmetrizedEncoder(C4, plain_network())):
        size = 8 if isinstance(encoder, SymmetrizedEncoder) else 16
        channels = 2 if isinstance(encoder, SymmetrizedEncoder) else 3
        encoder(torch.rand(4, channels, size, size)).square().mean().backward()
        assert all(parameter.grad is not None for parameter in encoder.parameters())
        assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


# -- the ordinary networks ----------------------------------------------------------------------------------------


def same_weights(mine, theirs):
    """The parameters of one network in another with the same ones in the same order."""
    pairs = zip(mine.parameters(), theirs.parameters(), strict=True)
    with torch.no_grad():
        for own, other in pairs:
            other.copy_(torch.randn_like(other)), own.copy_(other.view_as(own))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_over_the_trivial_group_it_is_the_ordinary_network(training):
    """Convolution, batch norm, ReLU and average pooling, written with torch's own layers."""
    mine = GroupCNN(cyclic(1), 2, (3, 4)).double()
    theirs = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
    ).double()  # fmt: skip
    same_weights(mine, theirs)
    x = torch.randn(5, 2, 12, 12, dtype=torch.float64)
    wanted = theirs.train(training)(x).mean(dim=(2, 3))
    assert (mine.train(training)(x)[..., 0] - wanted).abs().max() < 1e-12


def test_a_residual_block_over_the_trivial_group_is_the_ordinary_one():
    mine = ResidualBlock(cyclic(1), 3, 3).double()
    theirs = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(),
        nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3),
    ).double()  # fmt: skip
    same_weights(mine, theirs)
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    out = mine(x[:, :, None])
    assert (out[:, :, 0] - torch.relu(theirs(x) + x)).abs().max() < 1e-12 and out.min() == 0


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()),
        nn.Sequential(nn.Flatten(), nn.Linear(144, 7), nn.ReLU()),
    ],
    ids=["flattened maps", "vectors"],
)
def test_a_symmetrised_module_may_name_its_own_width(module):
    x = torch.rand(2, 1, 12, 12)
    width = module(x).shape[1]
    if isinstance(module[-1], nn.Flatten):
        with pytest.raises(ValueError, match=f"say so before: module.out_channels = {width}"):
            SymmetrizedEncoder(cyclic(4), module)(x)
    module.out_channels = width
    assert SymmetrizedEncoder(cyclic(4), module)(x).shape == (2, width, 4)
    module.out_channels = [1, 2]  # a list of the stages' widths says nothing of the last layer
    assert SymmetrizedEncoder(cyclic(4), module).out_channels == (4 if width == 400 else 7)
