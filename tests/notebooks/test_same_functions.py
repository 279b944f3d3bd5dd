"""The classes that notebook 02 builds are the same functions as the library's, on many more cases."""

import ast
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu import layers
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral

SOURCE = Path(__file__).parents[2] / "notebooks" / "source" / "02_group_convolutions.py"
GROUPS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]
WINDOWS = [(1, 1, 0), (3, 1, 1), (4, 2, 1), (5, 2, 2)]  # kernel, stride, padding

over_groups = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


@pytest.fixture(scope="module")
def notebook():
    """The imports, functions and classes of the notebook's source; nothing else of it is run."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree.body = [node for node in tree.body if isinstance(node, kinds)]
    names = {"__name__": "notebook"}
    exec(compile(tree, str(SOURCE), "exec"), names)
    return names


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


@pytest.mark.parametrize("kind", ["TwistOnly", "ShiftOnly", "AngleOnly"])
def test_the_wrong_layers_are_other_functions(notebook, kind):
    mine = randomised(notebook[kind](cyclic(4), 2, 3, 3, padding=1))
    with pytest.raises(AssertionError, match="output"):
        assert_same(mine, layers.GroupConv2d(cyclic(4), 2, 3, 3, padding=1).double(), noise(2, 2, 4, 7, 7))


def test_the_angle_layer_is_equivariant_and_reaches_three_quarters_of_the_kernels(notebook):
    group, maps = cyclic(4), noise(2, 1, 4, 7, 7)
    ranks = {}
    for kind in ("GroupConvolution", "AngleOnly"):
        layer = randomised(notebook[kind](group, 1, 1, 3, padding=1))
        assert (
            equivariance_error(layer, maps, group, group.transform_maps, group.transform_maps).max() < 1e-12
        )
        assert layer.weight.numel() == 36
        ranks[kind] = notebook["rank"](layer)
    assert ranks == {"GroupConvolution": 36, "AngleOnly": 27}


@pytest.mark.parametrize("training", [True, False])
@over_groups
def test_batch_norm(notebook, group, training):
    mine = randomised(notebook["SharedBatchNorm"](3))
    theirs = layers.GroupBatchNorm2d(group, 3).double()
    mine(
        2 + 3 * noise(4, 3, group.order, 5, 5, seed=2)
    )  # running statistics that are not those of a new layer
    assert_same(mine.train(training), theirs.train(training), noise(2, 3, group.order, 5, 5))
    torch.testing.assert_close(mine.running_mean, theirs.running_mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(mine.running_var, theirs.running_var, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [7, 8])
@over_groups
def test_pooling(notebook, group, size):
    maps = noise(2, 3, group.order, size, size)
    assert_same(notebook["Halve"](), layers.HalvingPool2d(), maps)
    assert_same(notebook["PoolOverGroup"](), layers.GroupPool(group), maps)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [9, 12])
@over_groups
def test_network(notebook, group, size, training):
    mine = randomised(notebook["Network"](group, in_channels=2, channels=(3, 4, 5)))
    theirs = GroupCNN(group, in_channels=2, channels=(3, 4, 5)).double()
    assert_same(mine.train(training), theirs.train(training), noise(3, 2, size, size))


@over_groups
def test_lifting_by_turning_the_images(notebook, group):
    images, kernel = noise(2, 3, 7, 7), noise(4, 3, 3, 3, seed=1)
    layer = layers.LiftingConv2d(group, 3, 4, 3, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(kernel)
        lifted = notebook["lift_by_turning_images"](images, kernel, group)
        torch.testing.assert_close(lifted, layer(images), rtol=0, atol=1e-12)
        torch.testing.assert_close(lifted[:, :, 0], F.conv2d(images, kernel), rtol=0, atol=1e-12)
