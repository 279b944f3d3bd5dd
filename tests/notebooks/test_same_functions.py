"""The classes that notebooks 2 to 2d build are the same functions as the library's, on many more cases."""

import pytest
import torch

from eqssl_edu import layers
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons.notebook_02 import kernel_rank, measured_strides, plane_norm_errors

SOURCE = "02*.py"
GROUPS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]
WINDOWS = [(1, 1, 0), (3, 1, 1), (4, 2, 1), (5, 2, 2)]  # kernel, stride, padding

over_groups = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_same(mine, theirs, inputs):
    """Equal outputs, equal gradients of the inputs and of every parameter, to 1e-12 of their size."""
    theirs.load_state_dict(mine.state_dict())
    results = []
    for layer in (mine, theirs):
        x = inputs.clone().requires_grad_()
        output = layer(x)
        weights = noise(*output.shape, seed=1)
        parameters = dict(layer.named_parameters())
        gradients = torch.autograd.grad((output * weights).sum(), [x, *parameters.values()])
        results.append({"output": output, **dict(zip(["input", *parameters], gradients, strict=True))})
    assert results[0].keys() == results[1].keys()
    for name, value in results[0].items():
        torch.testing.assert_close(
            value, results[1][name], rtol=1e-12, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}"
        )


def randomised(layer):
    """The layer in float64, every parameter random: a bias that is zero would hide a mistake."""
    layer = layer.double()
    with torch.no_grad():
        for seed, parameter in enumerate(layer.parameters()):
            parameter.copy_(noise(*parameter.shape, seed=seed))
    return layer


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
@over_groups
def test_lifting(notebook, group, kernel, stride, padding, bias):
    arguments = (group, 2, 3, kernel, stride, padding, bias)
    assert_same(
        randomised(notebook["Lifting"](*arguments)),
        layers.LiftingConv2d(*arguments).double(),
        noise(2, 2, 7, 7),
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
@over_groups
def test_group_convolution(notebook, group, kernel, stride, padding, bias):
    arguments = (group, 2, 3, kernel, stride, padding, bias)
    assert_same(
        randomised(notebook["GroupConvolution"](*arguments)),
        layers.GroupConv2d(*arguments).double(),
        noise(2, 2, group.order, 7, 7),
    )


def test_the_layer_of_the_colleague_is_another_function(notebook):
    mine = randomised(notebook["AngleOnly"](cyclic(4), 2, 3, 3, padding=1))
    with pytest.raises(AssertionError, match="output"):
        assert_same(mine, layers.GroupConv2d(cyclic(4), 2, 3, 3, padding=1).double(), noise(2, 2, 4, 7, 7))


def test_it_is_equivariant_and_reaches_three_quarters_of_the_kernels(notebook):
    group, maps = cyclic(4), noise(2, 1, 4, 7, 7)
    for kind, rank in (("GroupConvolution", 36), ("AngleOnly", 27)):
        layer = randomised(notebook[kind](group, 1, 1, 3, padding=1))
        errors = equivariance_error(layer, maps, group, group.transform_maps, group.transform_maps)
        assert errors.max() < 1e-12 and layer.weight.numel() == 36
        assert kernel_rank(layer) == notebook["my_rank"](layer) == rank


def test_the_norm_of_each_plane_stands_only_a_turn_of_the_whole_batch_in_training(notebook):
    maps = noise(8, 2, 4, 7, 7) * torch.arange(1.0, 5).double()[:, None, None]
    errors = plane_norm_errors(maps)
    assert errors["training mode, one g"] < 1e-12
    assert min(errors["training mode, each its own g"], errors["evaluation mode, one g"]) > 1e-2


@pytest.mark.parametrize("training", [True, False])
@over_groups
def test_batch_norm(notebook, group, training):
    mine = randomised(notebook["SharedBatchNorm"](3))
    theirs = layers.GroupBatchNorm2d(group, 3).double()
    mine(2 + 3 * noise(4, 3, group.order, 5, 5, seed=2))  # for running statistics of other numbers
    assert_same(mine.train(training), theirs.train(training), noise(2, 3, group.order, 5, 5))
    torch.testing.assert_close(mine.running_mean, theirs.running_mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(mine.running_var, theirs.running_var, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [7, 8])
@over_groups
def test_halving(notebook, group, size):
    maps = noise(2, 3, group.order, size, size)
    assert torch.equal(notebook["halve"](maps), layers.HalvingPool2d()(maps))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [9, 12])
@over_groups
def test_network(notebook, group, size, training):
    mine = randomised(notebook["Network"](group))
    theirs = GroupCNN(group, channels=(8, 16, 32)).double()
    assert_same(mine.train(training), theirs.train(training), noise(3, 1, size, size))


def test_the_rule_is_that_of_the_library_and_of_the_measurements(notebook):
    for case, exact in measured_strides().items():
        assert notebook["my_rule"](*case) == layers.is_exact(*case) == exact
