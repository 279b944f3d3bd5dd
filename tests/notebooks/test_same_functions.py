"""The classes that notebook 02 builds are the same functions as the library's, on many more cases."""

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu import layers
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral

SOURCE = "02_group_convolutions.py"
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


def test_a_mistake_in_the_bias_or_in_the_scale_is_noticed(notebook):
    """same_function moves the parameters off their first values: 0 and 1 would hide these mistakes."""
    group, images, maps = dihedral(4), noise(2, 1, 7, 7), noise(2, 2, 8, 7, 7)

    class Repeated(notebook["GroupConvolution"]):
        def forward(self, x):
            unbiased = F.conv2d(x.flatten(1, 2), self.expanded_weight(), None, self.stride, self.padding)
            planes = unbiased + self.bias.repeat(self.group.order)[:, None, None]
            return planes.unflatten(1, (-1, self.group.order))

    class NoBias(notebook["Lifting"]):
        def forward(self, x):
            planes = F.conv2d(x, self.expanded_weight(), None, self.stride, self.padding)
            return planes.unflatten(1, (-1, self.group.order))

    class NoScale(notebook["SharedBatchNorm"]):
        def forward(self, maps):
            tall = maps.flatten(2, 3)
            return F.batch_norm(tall, None, None, training=True, eps=self.eps).reshape(maps.shape)

    cases = [
        (Repeated(group, 2, 3, 3), layers.GroupConv2d(group, 2, 3, 3), maps),
        (NoBias(group, 1, 3, 3), layers.LiftingConv2d(group, 1, 3, 3), images),
        (NoScale(2), layers.GroupBatchNorm2d(group, 2), maps),
    ]
    for wrong, theirs, x in cases:
        right = type(wrong).__bases__[0]
        arguments = (2,) if right is notebook["SharedBatchNorm"] else (group, x.shape[1], 3, 3)
        assert not notebook["same_function"](wrong.double(), theirs.double(), x)
        assert notebook["same_function"](right(*arguments).double(), theirs.double(), x)


def test_each_of_the_four_tests_of_a_convolution_finds_its_fault(notebook):
    group, maps = cyclic(4), noise(2, 2, 4, 7, 7)
    Right = notebook["GroupConvolution"]

    class Silent(Right):
        def copy(self, g):
            return 0 * self.group.transform_maps(self.weight, g)

    class Isotropic(Right):
        """One weight for a plane."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.weight = torch.nn.Parameter(self.weight.detach()[..., :1, :1].clone())

        def copy(self, g):
            return self.group.transform_maps(self.weight.expand(-1, -1, -1, 3, 3), g)

    for kind, wanted in [
        (Right, ""),
        (Silent, "the output is nothing but its bias"),
        (notebook["TwistOnly"], "not equivariant"),
        (notebook["ShiftOnly"], "not equivariant"),
        (Isotropic, "24 weights instead of 216"),
        (notebook["AngleOnly"], "rank 162 instead of 216"),
    ]:
        layer = kind(group, 2, 3, 3, padding=1).double()
        assert notebook["fault"](layer, maps, orbits=36) == wanted


def test_only_shared_statistics_stand_turns_of_ones_own(notebook):
    group, maps = cyclic(4), noise(8, 2, 4, 7, 7) * torch.arange(1.0, 5).double()[:, None, None]
    planes = torch.nn.BatchNorm2d(8).double()

    def each_plane(maps):
        return planes(maps.flatten(1, 2)).unflatten(1, (2, 4))

    error, own = notebook["error_in_its_mode"], torch.arange(8) % 4
    assert error(each_plane, maps, group, 1) < 1e-12 < 1e-2 < error(each_plane, maps, group, own)
    shared = randomised(notebook["SharedBatchNorm"](2))
    assert error(shared, maps, group, own) < 1e-12
    randomised(planes)
    assert error(each_plane, maps, group, 1) > 1e-2


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
    mine(2 + 3 * noise(4, 3, group.order, 5, 5, seed=2))  # for running statistics of other numbers
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
