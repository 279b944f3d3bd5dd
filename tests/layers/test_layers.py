"""Layers: equivariance, E2 (rank), kernels and gradients against their definitions, T7 (the universal head)."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import (
    FreeHead,
    GroupBatchNorm2d,
    GroupConv2d,
    GroupPool,
    GSetHead,
    HalvingPool2d,
    InvariantHead,
    LiftingConv2d,
)

C4, D4 = cyclic(4), dihedral(4)
GROUPS = [cyclic(1), cyclic(4), dihedral(1), dihedral(4)]
by_name = {"ids": lambda group: group.name}
for_all_groups = pytest.mark.parametrize("group", GROUPS, **by_name)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def seeded(make):
    """A layer in float64 with generic numbers in every parameter and every running statistic."""
    layer = make().double()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64, generator=generator))
        for name, buffer in layer.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(0.5 + torch.rand(buffer.shape, dtype=torch.float64, generator=generator))
    return layer


def error(layer, x, before, after):
    """The largest relative error of layer(g x) = g layer(x) over one g for all samples, and over own elements."""
    group = before.__self__
    reference = layer(x)
    assert reference.std() > 1e-3  # an output of zeros would be equivariant
    elements = [
        *group.elements,
        torch.arange(len(x)) % group.order,
        (5 * torch.arange(len(x)) + 1) % group.order,
    ]
    errors = [(layer(before(x, g)) - after(reference, g)).norm() / reference.norm() for g in elements]
    return max(errors).item()


# -- convolutions ------------------------------------------------------------------------------------------------

# (kernel, stride, padding, size): all keep rule E1, s divides S + 2 p - k.
WINDOWS = [
    (1, 1, 0, 5),
    (3, 1, 1, 6),
    (4, 2, 1, 8),
    (5, 2, 2, 9),
    (3, 3, 0, 9),
]


@for_all_groups
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_lifting_convolution_is_equivariant(group, window):
    kernel, stride, padding, size = window
    layer = seeded(lambda: LiftingConv2d(group, 2, 3, kernel, stride, padding))
    images = noise(8, 2, size, size)
    assert error(layer, images, group.transform, group.transform_maps) < 1e-12


@for_all_groups
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_group_convolution_is_equivariant(group, window):
    kernel, stride, padding, size = window
    layer = seeded(lambda: GroupConv2d(group, 2, 3, kernel, stride, padding))
    maps = noise(8, 2, group.order, size, size)
    assert error(layer, maps, group.transform_maps, group.transform_maps) < 1e-12


@pytest.mark.parametrize("window", [(3, 2, 1, 32), (4, 2, 1, 33), (3, 3, 0, 8)], ids=str)
@pytest.mark.parametrize("group", [cyclic(4), dihedral(1), dihedral(4)], **by_name)
def test_e1_a_wrong_stride_breaks_the_equivariance(group, window):
    """The must-fail twin: rule E1 broken, and the error is of the size of the signal."""
    kernel, stride, padding, size = window
    layer = seeded(lambda: LiftingConv2d(group, 1, 2, kernel, stride, padding))
    assert error(layer, noise(8, 1, size, size), group.transform, group.transform_maps) > 0.5


@for_all_groups
@pytest.mark.parametrize("kernel", [2, 3])
def test_expanded_weight_of_the_lifting_convolution(group, kernel):
    """Plane c' |G| + g reads channel c with the kernel turned by g."""
    layer = seeded(lambda: LiftingConv2d(group, 2, 3, kernel))
    expanded = layer.expanded_weight()
    assert expanded.shape == (3 * group.order, 2, kernel, kernel)
    for g in group.elements:
        assert torch.equal(expanded[g :: group.order], group.transform(layer.weight, g))


@for_all_groups
@pytest.mark.parametrize("kernel", [2, 3])
def test_expanded_weight_of_the_group_convolution(group, kernel):
    """Twist and shift: plane c' |G| + g reads plane c |G| + h with g . psi[g^-1 h]."""
    layer = seeded(lambda: GroupConv2d(group, 2, 3, kernel))
    expanded = layer.expanded_weight()
    assert expanded.shape == (3 * group.order, 2 * group.order, kernel, kernel)
    for g in group.elements:
        turned = group.transform_maps(layer.weight, g)
        assert torch.equal(expanded[g :: group.order], turned.flatten(1, 2))
        for h in group.elements:
            base = layer.weight[:, :, group.product[group.inverse[g], h]]
            assert torch.equal(expanded[g :: group.order, h :: group.order], group.transform(base, g))


@pytest.mark.parametrize("group", [C4, D4], **by_name)
def test_group_convolution_formula(group):
    """y[c', g] = sum_c,h (g . psi_c'c[g^-1 h]) * x[c, h] + b_c', one small convolution at a time."""
    layer, maps = seeded(lambda: GroupConv2d(group, 2, 3, 3, padding=1)), noise(2, 2, group.order, 5, 5)
    out = layer(maps)
    for c_out in range(3):
        for g in group.elements:
            total = layer.bias[c_out].expand(2, 5, 5)
            for c_in in range(2):
                for h in group.elements:
                    kernel = layer.weight[c_out, c_in, group.product[group.inverse[g], h]]
                    kernel = group.transform(kernel, g)[None, None]
                    total = total + F.conv2d(maps[:, c_in, h][:, None], kernel, padding=1)[:, 0]
            assert (out[:, c_out, g] - total).abs().max() < 1e-12


def test_over_the_trivial_group_both_are_conv2d():
    for layer, x in [
        (seeded(lambda: LiftingConv2d(cyclic(1), 2, 3, 3, 2, 1)), noise(2, 2, 7, 7)),
        (seeded(lambda: GroupConv2d(cyclic(1), 2, 3, 3, 2, 1)), noise(2, 2, 1, 7, 7)),
    ]:
        plain = F.conv2d(x.reshape(2, 2, 7, 7), layer.weight.reshape(3, 2, 3, 3), layer.bias, 2, 1)
        assert (layer(x)[:, :, 0] - plain).abs().max() < 1e-12


@pytest.mark.parametrize("bias", [True, False])
def test_parameter_counts(bias):
    """One kernel of |G| slices per pair of channels, one bias per channel; the expanded kernel is |G| times larger."""
    group, order = D4, D4.order
    lifting, convolution = (kind(group, 2, 3, 5, bias=bias) for kind in (LiftingConv2d, GroupConv2d))
    assert sum(p.numel() for p in lifting.parameters()) == 3 * 2 * 25 + 3 * bias
    assert sum(p.numel() for p in convolution.parameters()) == 3 * 2 * order * 25 + 3 * bias
    assert lifting.expanded_weight().numel() == order * lifting.weight.numel()
    assert convolution.expanded_weight().numel() == order * convolution.weight.numel()


def rank_of_weights(expand, shape):
    """Rank of the linear map weights -> expanded kernel, one column per weight."""
    size = torch.Size(shape).numel()
    columns = [expand(unit.reshape(shape)).flatten() for unit in torch.eye(size, dtype=torch.float64)]
    return int(torch.linalg.matrix_rank(torch.stack(columns)))


def expansion_of(layer):
    def expand(weight):
        with torch.no_grad():
            layer.weight.copy_(weight)
            return layer.expanded_weight()

    return expand


@for_all_groups
@pytest.mark.parametrize("kernel", [2, 3])
def test_e2_weights_to_expanded_kernel_has_full_rank(group, kernel):
    for kind in (LiftingConv2d, GroupConv2d):
        layer = kind(group, 1, 1, kernel, bias=False).double()
        assert rank_of_weights(expansion_of(layer), layer.weight.shape) == layer.weight.numel()


@pytest.mark.parametrize("group", [C4, D4], **by_name)
def test_e2_every_equivariant_kernel_is_reached(group):
    """Mean of all transforms = the projector onto equivariant kernels (g, h, x, y); its rank is our weight count."""
    order, k = group.order, 3
    every = torch.eye(order * order * k * k, dtype=torch.float64).reshape(-1, order, order, k, k)

    def transform(kernel, a):  # K[g, h](x) -> K[a^-1 g, a^-1 h](a^-1 x)
        return group.transform_maps(group.transform_features(kernel.movedim(1, -1), a).movedim(-1, 1), a)

    projector = sum(transform(every, a) for a in group.elements).flatten(1) / order
    assert torch.linalg.matrix_rank(projector) == GroupConv2d(group, 1, 1, k).weight.numel()


class WrongIndex(GroupConv2d):
    """Uses slice min(u, u^-1) of the kernel for u = g^-1 h: equivariant, since u is, but u and u^-1 share weights."""

    def expanded_weight(self):
        group = self.group
        slices = torch.minimum(torch.arange(group.order), group.inverse)
        copies = torch.stack(
            [group.transform_maps(self.weight[:, :, slices], g) for g in group.elements], dim=1
        )
        return copies.flatten(0, 1).flatten(1, 2)


def test_e2_a_wrong_index_can_be_equivariant_and_still_lose_rank():
    """The must-fail twin: only the rank shows it (75 of 100 here)."""
    layer = seeded(lambda: WrongIndex(C4, 1, 2, 5, padding=2))
    assert error(layer, noise(8, 1, 4, 7, 7), C4.transform_maps, C4.transform_maps) < 1e-12
    layer = WrongIndex(C4, 1, 1, 5, bias=False).double()
    assert layer.weight.numel() == 100
    assert rank_of_weights(expansion_of(layer), layer.weight.shape) == 75


@pytest.mark.parametrize("kind", [LiftingConv2d, GroupConv2d])
def test_convolutions_pass_gradcheck(kind):
    layer = seeded(lambda: kind(C4, 1, 1, 2, stride=2))
    x = noise(1, 1, 4, 4) if kind is LiftingConv2d else noise(1, 1, 4, 4, 4)

    def run(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(run, (x.requires_grad_(), layer.weight, layer.bias))


def test_bias_is_one_number_per_channel():
    layer = GroupConv2d(D4, 1, 2, 3)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([1.0, 2.0]))
    out = layer(torch.zeros(1, 1, 8, 5, 5))
    assert torch.equal(out, torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1, 1).expand(1, 2, 8, 3, 3))


def test_initial_weights_keep_the_variance():
    """He's rule with the fan-in of the expanded kernel: noise in, variance 2 out (half of it survives a ReLU)."""
    torch.manual_seed(0)
    layer = GroupConv2d(D4, 16, 32, 3, bias=False)
    out = layer(torch.randn(4, 16, 8, 9, 9))
    assert 1.8 < out.var() < 2.2


# -- norm and pooling --------------------------------------------------------------------------------------------


@for_all_groups
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_equivariant(group, training):
    layer = seeded(lambda: GroupBatchNorm2d(group, 3)).train(training)
    maps = noise(8, 3, group.order, 4, 4) * 3 + 1
    assert error(layer, maps, group.transform_maps, group.transform_maps) < 1e-12


@for_all_groups
def test_batch_norm_shares_its_statistics_over_the_group(group):
    layer = GroupBatchNorm2d(group, 3).double()
    out = layer(noise(8, 3, group.order, 4, 4) * 3 + 1)
    assert out.mean(dim=(0, 2, 3, 4)).abs().max() < 1e-12
    assert (out.var(dim=(0, 2, 3, 4), correction=0) - 1).abs().max() < 1e-4
    assert sum(parameter.numel() for parameter in layer.parameters()) == 6


class PerElementBatchNorm(nn.BatchNorm2d):
    """Statistics of its own for each (channel, element), as a BatchNorm2d on flattened maps has."""

    def forward(self, maps):
        return super().forward(maps.flatten(1, 2)).unflatten(1, maps.shape[1:3])


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_per_channel_and_element_breaks_the_equivariance(training):
    """The must-fail twin."""
    layer = seeded(lambda: PerElementBatchNorm(3 * 4)).train(training)
    assert error(layer, noise(8, 3, 4, 4, 4), C4.transform_maps, C4.transform_maps) > 0.1


@for_all_groups
@pytest.mark.parametrize("kind", ["max", "mean"])
def test_group_pool_is_invariant_and_its_maps_turn(group, kind):
    layer = GroupPool(group, kind)
    z = noise(8, 3, group.order)
    if group.order == 1:
        assert torch.equal(layer(z), z[:, :, 0])
    for g in [*group.elements, torch.arange(8) % group.order]:
        assert (layer(group.transform_features(z, g)) - layer(z)).abs().max() < 1e-12
    maps = noise(8, 3, group.order, 4, 4)
    assert layer(maps).shape == (8, 3, 4, 4)
    assert error(layer, maps, group.transform_maps, group.transform) < 1e-12


def test_group_pool_is_the_max_or_the_mean():
    z = torch.tensor([[[1.0, 2.0, 3.0, 6.0]]])
    assert GroupPool(C4)(z).tolist() == [[6.0]]
    assert GroupPool(C4, "mean")(z).tolist() == [[3.0]]


@for_all_groups
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_halving_pool_is_exact_at_every_size(group, size):
    maps = noise(8, 3, group.order, size, size)
    layer = HalvingPool2d()
    assert layer(maps).shape[-2:] == ((size + 1) // 2, (size + 1) // 2)
    assert error(layer, maps, group.transform_maps, group.transform_maps) < 1e-12


def test_halving_pool_treats_each_side_by_its_own_parity():
    group, maps = dihedral(2), noise(8, 3, 4, 5, 6)
    assert HalvingPool2d()(maps).shape[-2:] == (3, 3)
    assert error(HalvingPool2d(), maps, group.transform_maps, group.transform_maps) < 1e-12


def test_halving_pool_takes_averages():
    ones = torch.ones(1, 1, 4, 5, 5, dtype=torch.float64)
    assert torch.equal(HalvingPool2d()(ones), ones[..., :3, :3])  # the padding is not averaged in
    even = torch.arange(16.0).reshape(1, 1, 1, 4, 4)
    assert HalvingPool2d()(even).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_torch_pooling_with_a_window_of_one_along_the_group():
    maps = noise(8, 3, 8, 6, 6)
    assert error(nn.MaxPool3d((1, 2, 2)), maps, D4.transform_maps, D4.transform_maps) < 1e-12


def test_torch_pooling_along_the_group_breaks_the_equivariance():
    """The must-fail twin: elements 0 and 1 are pooled together, 2 and 3 as well; a turn would mix the pairs."""
    maps = noise(8, 3, 4, 6, 6)
    pooled, turned = (nn.MaxPool3d(2)(x) for x in (maps, C4.transform_maps(maps, 1)))
    assert (turned.amax(dim=2) - torch.rot90(pooled.amax(dim=2), 1, (-2, -1))).abs().max() < 1e-12
    for order in ([0, 1], [1, 0]):
        assert (turned[:, :, order] - torch.rot90(pooled, 1, (-2, -1))).abs().max() > 0.1


# -- heads -------------------------------------------------------------------------------------------------------

LABEL_SETS = {
    "C1 regular": GSet.regular(cyclic(1)),
    "C8 regular": GSet.regular(cyclic(8)),
    "D3 regular": GSet.regular(dihedral(3)),
    "D4/<m>": GSet.quotient(D4, (0, 4)),
    "D4 trivial": GSet.trivial(D4, 3),
    "D4 grid": GSet.grid(D4, 3),
    "D4 jigsaw conjugation": GSet.jigsaw(D4, 2, "conjugation"),
    "C4 jigsaw left": GSet.jigsaw(C4, 2, "left"),
}
for_all_sets = pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=LABEL_SETS.keys())


def move_outputs(labels):
    """How logits move, for one element or one for each sample."""

    def move(outputs, g):
        if isinstance(g, int):
            return labels.transform(outputs, g)
        return torch.stack([labels.transform(o, int(element)) for o, element in zip(outputs, g, strict=True)])

    return move


@for_all_sets
def test_t7_universal_head_is_equivariant(labels):
    head = seeded(lambda: GSetHead(labels, 3))
    assert (
        error(head, noise(8, 3, labels.group.order), labels.group.transform_features, move_outputs(labels))
        < 1e-12
    )


@for_all_sets
def test_t7_universal_head_formula(labels):
    """o[l] = sum_c,g F[c, g] W[c, g^-1 . l] + b_orbit(l)."""
    group, head = labels.group, seeded(lambda: GSetHead(labels, 2))
    features = noise(3, 2, group.order)
    out = head(features)
    for label in range(labels.size):
        total = head.bias[labels.orbit_index[label]].expand(3)
        for g in group.elements:
            total = total + features[:, :, g] @ head.weight[:, labels.action[group.inverse[g], label]]
        assert (out[:, label] - total).abs().max() < 1e-12


@for_all_sets
def test_t7_universal_head_is_every_equivariant_linear_map(labels):
    """Its weights reach as many dimensions as there are matrices M with P(g) M = M rho(g): a numerical null space."""
    group = labels.group
    order, size = group.order, labels.size
    every = torch.eye(size * order, dtype=torch.float64).reshape(
        -1, size, order
    )  # all matrices with a single 1
    moved = [labels.transform(group.transform_features(every, g).mT, g).mT for g in group.elements]
    constraints = torch.cat(
        [(matrices - every).flatten(1).T for matrices in moved]
    )  # P(g) M rho(g)^-1 - M = 0
    dimension = size * order - int(torch.linalg.matrix_rank(constraints))

    head = GSetHead(labels, in_channels=1).double()
    nn.init.zeros_(head.bias)
    inputs = torch.eye(order, dtype=torch.float64)[:, None]  # the outputs are the columns of M

    def matrix_of(weight):
        with torch.no_grad():
            head.weight.copy_(weight)
            return head(inputs)

    assert rank_of_weights(matrix_of, head.weight.shape) == head.weight.numel() == dimension


@for_all_sets
def test_t7_one_bias_per_orbit_is_every_invariant_bias(labels):
    """Vectors on the labels that no element moves: their dimension is the number of orbits."""
    every = torch.eye(labels.size, dtype=torch.float64)
    moved = torch.cat([labels.transform(every, g) - every for g in labels.group.elements], dim=1)
    dimension = labels.size - int(torch.linalg.matrix_rank(moved))
    assert dimension == GSetHead(labels, 2).bias.numel() == len(labels.orbits)


def test_t7_head_has_the_order_times_fewer_weights():
    labels = LABEL_SETS["D4 grid"]
    assert 8 * GSetHead(labels, 5).weight.numel() == FreeHead(labels, 5, 8).weight.numel()


@for_all_sets
def test_a_flattened_head_is_not_equivariant(labels):
    """The must-fail twin (over the trivial group there is nothing to break)."""
    group = labels.group
    if group.order == 1:
        return
    head = seeded(lambda: FreeHead(labels, 3, group.order))
    assert error(head, noise(8, 3, group.order), group.transform_features, move_outputs(labels)) > 0.1


@for_all_sets
def test_t1_the_pooled_head_is_invariant(labels):
    group, head = labels.group, seeded(lambda: InvariantHead(labels, 3))
    z = noise(8, 3, group.order)
    for g in [*group.elements, torch.arange(8) % group.order]:
        assert (head(group.transform_features(z, g)) - head(z)).abs().max() < 1e-12
    assert head(z).std() > 0.1


def test_a_spatial_flatten_breaks_the_equivariance():
    """The must-fail twin of pooling over the grid: pixels as channels do not turn."""
    head = seeded(lambda: GSetHead(GSet.regular(C4), 3 * 9))
    pooled = seeded(lambda: GSetHead(GSet.regular(C4), 3))
    maps, move = noise(8, 3, 4, 3, 3), move_outputs(GSet.regular(C4))
    assert error(lambda x: pooled(x.mean(dim=(-2, -1))), maps, C4.transform_maps, move) < 1e-12
    assert error(lambda x: head(x.movedim(2, -1).flatten(1, 3)), maps, C4.transform_maps, move) > 0.1


# -- a network of all of them, copies, types ---------------------------------------------------------------------


def network(group):
    return nn.Sequential(
        LiftingConv2d(group, 1, 3, 3, padding=1),
        GroupBatchNorm2d(group, 3),
        nn.ReLU(),
        nn.MaxPool3d((1, 2, 2)),
        GroupConv2d(group, 3, 4, 4, stride=2, padding=1),
        GroupBatchNorm2d(group, 4),
        nn.ReLU(),
        HalvingPool2d(),
    )


@for_all_groups
@pytest.mark.parametrize("training", [True, False])
def test_network_is_equivariant(group, training):
    layers = seeded(lambda: network(group)).train(training)
    assert error(layers, noise(8, 1, 12, 12), group.transform, group.transform_maps) < 1e-12


@pytest.mark.parametrize("training", [True, False])
def test_copies_pickles_and_state_dicts_give_the_same_output(training):
    layers, x = seeded(lambda: network(D4)).train(training), noise(2, 1, 12, 12)
    loaded = network(D4).double().train(training)
    loaded.load_state_dict(layers.state_dict())
    copies = [copy.deepcopy(layers), pickle.loads(pickle.dumps(layers)), loaded]
    expected = layers(x)
    for other in copies:
        assert torch.equal(other(x), expected)


def test_state_dict_holds_what_is_learned_and_the_group():
    assert set(GroupConv2d(D4, 1, 1, 3).state_dict()) == {"weight", "bias", "_extra_state"}
    assert set(GSetHead(GSet.regular(D4), 2).state_dict()) == {"weight", "bias", "_extra_state"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_layers_run_in_other_precisions(dtype):
    layers, x = seeded(lambda: network(D4)), noise(2, 1, 12, 12)
    reference = layers.eval()(x)
    out = layers.to(dtype)(x.to(dtype))
    assert out.dtype == dtype
    assert (out.double() - reference).norm() < 10 * torch.finfo(dtype).eps * reference.norm()


def test_layers_run_under_autocast():
    layers, x = network(D4), noise(2, 1, 12, 12).float()
    with torch.autocast("cpu", torch.bfloat16):
        out = layers(x)
    out.float().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layers.parameters())


def test_the_naive_head_pools_by_the_maximum():
    head, z = seeded(lambda: InvariantHead(GSet.regular(C4), 3)), noise(5, 3, 4)
    wanted = z.amax(dim=2) @ head.linear.weight.T + head.linear.bias
    assert (head(z) - wanted).abs().max() < 1e-12


def test_logits_of_a_new_head_have_about_the_variance_of_the_features():
    torch.manual_seed(0)
    head = GSetHead(GSet.jigsaw(D4, 2), 64).double()
    assert 0.8 < head(noise(400, 64, 8)).std() < 1.25
