"""Rule E1: when a strided layer commutes with quarter turns, measured against the formula; the finder of violations."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import (
    GroupBatchNorm2d,
    GroupConv2d,
    LiftingConv2d,
    exactness_violations,
    is_exact,
)
from eqssl_edu.twins import eval_mode

# (size, kernel, stride, padding): every window that fits.
COMBINATIONS = [
    (size, kernel, stride, padding)
    for size in range(5, 14)
    for kernel in range(1, 7)
    for stride in range(1, 5)
    for padding in range(3)
    if kernel <= size + 2 * padding
]


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def turn(x):
    return torch.rot90(x, 1, dims=(-2, -1))


def relative_error(turned, expected):
    return ((turned - expected).norm() / expected.norm()).item()


def test_e1_convolution_over_all_combinations():
    """E1, both directions: exact to rounding where the rule holds, wrong on noise where it does not."""
    assert len(COMBINATIONS) >= 500
    verdicts = set()
    for size, kernel, stride, padding in COMBINATIONS:
        x, weight = noise(1, 1, size, size), noise(1, 1, kernel, kernel, seed=1)
        turned = F.conv2d(turn(x), turn(weight), stride=stride, padding=padding)
        error = relative_error(turned, turn(F.conv2d(x, weight, stride=stride, padding=padding)))
        exact = is_exact(size, kernel, stride, padding)
        assert error < 1e-12 if exact else error > 1e-3, (size, kernel, stride, padding, error)
        verdicts.add(exact)
    assert verdicts == {True, False}


def test_e1_even_and_odd_sizes_want_other_windows():
    """With stride 2, a 2 x 2 window, and a 4 x 4 one with padding 1, want even sizes; 3 x 3 with padding 1 odd ones."""
    for size in (32, 33):
        x = noise(1, 1, size, size)
        for kernel, padding in ((2, 0), (4, 1), (3, 1)):
            weight = noise(1, 1, kernel, kernel, seed=1)
            turned = F.conv2d(turn(x), turn(weight), stride=2, padding=padding)
            error = relative_error(turned, turn(F.conv2d(x, weight, stride=2, padding=padding)))
            assert error < 1e-12 if (size + kernel) % 2 == 0 else error > 1, (size, kernel, error)


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_e1_pooling_over_all_combinations(pool, ceil_mode):
    """The same for pooling, but for the case that the docstring names: every window sees the whole picture."""
    for size, kernel, stride, padding in COMBINATIONS:
        if 2 * padding > kernel:  # torch refuses it
            continue
        x = noise(1, 16, size, size)
        settings = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        pooled = pool(x, kernel, **settings)
        error = relative_error(pool(turn(x), kernel, **settings), turn(pooled))
        last_window = stride * (pooled.shape[-1] - 1) - padding
        sees_all = -padding + kernel >= size and last_window <= 0
        exact = is_exact(size, kernel, stride, padding) or sees_all
        assert error < 1e-12 if exact else error > 1e-3, (size, kernel, stride, padding, error)


# -- layers in a model -------------------------------------------------------------------------------------------


def error_of(layer, x):
    """Error of a quarter turn of a layer whose kernel is turned with the picture."""
    with torch.no_grad():
        reference = layer(x)
        for parameter in layer.parameters():
            if parameter.ndim == 4:
                parameter.copy_(turn(parameter))
        return relative_error(layer(turn(x)), turn(reference))


LAYERS = {
    "conv": lambda: nn.Conv2d(1, 2, 3, stride=2, padding=1),
    "stride 3": lambda: nn.Conv2d(1, 2, 3, stride=3),
    "stride 1": lambda: nn.Conv2d(1, 2, 4),
    "same": lambda: nn.Conv2d(1, 2, 3, padding="same"),
    "same, even": lambda: nn.Conv2d(1, 2, 4, padding="same"),
    "same, dilated": lambda: nn.Conv2d(1, 2, 4, padding="same", dilation=2),
    "valid": lambda: nn.Conv2d(1, 2, 3, stride=2, padding="valid"),
    "dilation": lambda: nn.Conv2d(1, 2, 3, stride=2, dilation=2),
    "dilation, even": lambda: nn.Conv2d(1, 2, 4, stride=2, padding=1, dilation=3),
    "circular": lambda: nn.Conv2d(1, 2, 3, stride=2, padding=1, padding_mode="circular"),
    "reflect": lambda: nn.Conv2d(1, 2, 4, stride=2, padding=1, padding_mode="reflect"),
    "max": lambda: nn.MaxPool2d(2),
    "max 3": lambda: nn.MaxPool2d(3, stride=2, padding=1),
    "average": lambda: nn.AvgPool2d(2),
    "average, ceil": lambda: nn.AvgPool2d(2, ceil_mode=True),
    "power average": lambda: nn.LPPool2d(2, 3),
    "transposed": lambda: nn.ConvTranspose2d(1, 2, 3, stride=2, padding=1),
    "transposed, one more": lambda: nn.ConvTranspose2d(1, 2, 3, stride=2, padding=1, output_padding=1),
    "adaptive": lambda: nn.AdaptiveAvgPool2d(5),
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("size", [13, 16])
@pytest.mark.parametrize("name", LAYERS)
def test_e1_violations_are_the_layers_that_are_measured_to_be_wrong(name, size):
    """Both directions for torch's own layers; and where sizes are named, they are legal and the nearest."""
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    channels = getattr(layer, "in_channels", 1)
    found = exactness_violations(nn.Sequential(layer), size)

    def error(at):
        return error_of(layer, noise(2, channels, at, at))

    assert error(size) > 1e-3 if found else error(size) < 1e-12
    if not found:
        return
    assert list(found) == ["0"]
    sizes = found["0"]
    if name in ("same, even", "transposed, one more"):
        assert sizes == ()  # no size mends them
        assert all(error(at) > 1e-3 for at in range(size - 3, size + 4))
        return
    below, above = sizes
    assert below < size < above
    assert error(below) < 1e-12
    assert error(above) < 1e-12
    assert all(error(at) > 1e-3 for at in range(below + 1, above))


def test_windows_that_are_not_square_are_wrong_at_every_size():
    for layer in (
        nn.Conv2d(1, 1, (3, 5)),
        nn.MaxPool2d(2, stride=(2, 1)),
        nn.Conv2d(1, 1, 3, padding=(1, 0)),
    ):
        assert exactness_violations(nn.Sequential(layer), 16) == {"0": ()}


def test_no_size_below_the_window_is_recommended():
    assert exactness_violations(nn.Conv2d(1, 1, 5, stride=4), 7) == {"": (5, 9)}
    assert exactness_violations(nn.Conv2d(1, 1, 5, stride=4), 6) == {"": (5, 9)}
    assert exactness_violations(nn.Conv2d(1, 1, 3, stride=4, padding=1), 2) == {"": (1, 5)}
    assert (
        exactness_violations(nn.Conv2d(1, 1, 2, stride=4, padding=2), 1) == {}
    )  # it reads the padding alone


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], ids=lambda group: group.name)
def test_group_layers_are_found_at_their_own_input_size(group):
    """The first halving makes 16 of 32; the third layer's input is then 16."""
    model = nn.Sequential(
        LiftingConv2d(group, 3, 2, 3, padding=1),
        nn.MaxPool3d((1, 2, 2)),
        GroupConv2d(group, 2, 2, 3, stride=2, padding=1),
        nn.AvgPool3d((1, 3, 3), stride=(1, 2, 2)),
    )
    assert exactness_violations(model, 32) == {"2": (15, 17), "3": (7, 9)}
    assert exactness_violations(model[:2], 32) == {}
    assert exactness_violations(nn.Sequential(LiftingConv2d(group, 1, 2, 3, 2, 1)), 32) == {"0": (31, 33)}
    assert exactness_violations(model[:2], 33) == {"1": (32, 34)}


class Nested(nn.Module):
    """Names inside names, a keyword argument, a layer that is used twice, and dropout in its own mode."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict(
            {"stem": nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3))}
        )
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Conv2d(3, 3, 3, stride=2, padding=1)
        self.dropout = nn.Dropout().eval()

    def forward(self, images):
        maps = self.pool(self.pool(self.encoder["stem"](images)))
        return self.dropout(self.last(input=maps))


def test_names_of_nested_layers():
    assert exactness_violations(Nested(), 32) == {"last": (7, 9)}
    assert exactness_violations(Nested(), 34) == {"pool": (16, 18), "last": (7, 9)}  # in its second use


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training):
    model = Nested().train(training)
    model.dropout.train(not training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    exactness_violations(model, 32)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_model_is_left_as_it_was_after_an_error_too():
    model = nn.Sequential(nn.Conv2d(1, 1, 9), nn.Dropout())
    with pytest.raises(ValueError, match="model must run on images of shape"):
        exactness_violations(model, 4)  # the window does not fit
    assert model.training
    assert model[1].training
    assert not model[0]._forward_hooks


def test_what_has_no_window_is_measured_as_well():
    assert exactness_violations(nn.AdaptiveAvgPool2d(3), 8) == {}
    assert (
        exactness_violations(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)), 8) == {}
    )
    assert exactness_violations(nn.Upsample(scale_factor=2), 8) == {}
    assert exactness_violations(nn.Upsample(11), 8) == {"": (1, 11)}
    found = exactness_violations(nn.Sequential(nn.PixelUnshuffle(2), nn.ReLU()), 8)
    assert list(found) == ["0"]  # it moves the channels as well
    assert found["0"].judged
    assert found["0"].error > 0.1


def test_dense_layers_behind_maps_are_not_judged():
    maps = nn.Conv2d(1, 2, 3)
    found = exactness_violations(nn.Sequential(maps, nn.Flatten(), nn.Linear(72, 2)), 8)
    assert list(found) == ["1"]
    assert not found["1"].judged
    assert repr(found) == "{'1': () not judged: it gives a tensor of shape (B, 72)}"
    back = nn.Unflatten(1, (2, 6, 6))
    assert exactness_violations(nn.Sequential(maps, nn.Flatten(), back), 8) == {}  # maps again, which turn
    found = exactness_violations(nn.Sequential(maps, nn.Flatten(), nn.Linear(72, 72), back, nn.ReLU()), 8)
    assert list(found) == ["1"]
    assert found["1"].judged
    assert found["1"].error > 0.1


def test_models_without_weights_get_one_channel():
    assert exactness_violations(nn.MaxPool2d(2), 9) == {"": (8, 10)}


def test_a_network_that_remembers_its_settings_is_no_layer():
    """Attributes called kernel_size and stride on a block around a convolution say nothing of their own."""
    block = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.MaxPool2d(2))
    block.kernel_size, block.stride = 3, 4
    assert exactness_violations(block, 31) == {}
    assert exactness_violations(nn.Sequential(block), 33) == {"0.1": (16, 18)}


def test_double_precision_models_run():
    assert exactness_violations(nn.Conv2d(1, 1, 3, 2, 1).double(), 32) == {"": (31, 33)}
    assert exactness_violations(nn.Conv2d(1, 1, 3, 2, 1).half(), 32) == {"": (31, 33)}
    assert exactness_violations(nn.Conv2d(1, 1, 3, 2, 1).bfloat16(), 33) == {}


def test_eval_mode_gives_every_module_its_own_mode_back():
    model = nn.Sequential(nn.Dropout(), GroupBatchNorm2d(cyclic(4), 2).eval())
    with eval_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False]


def test_padding_of_one_side_alone_is_a_violation_that_no_size_mends():
    strided = nn.Conv2d(1, 2, 3, stride=2)
    assert exactness_violations(nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), strided), 32) == {"0": ()}
    assert exactness_violations(nn.Sequential(nn.ZeroPad2d(1), strided), 31) == {}
    symmetric = nn.Sequential(nn.ReflectionPad2d((1, 1, 1, 1)), nn.Conv2d(3, 2, 3))
    assert exactness_violations(symmetric, 32) == {}


def test_maps_that_are_not_square_break_the_rule():
    class Narrow(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 3)

        def forward(self, images):
            return self.layer(images[..., 2:])

    found = exactness_violations(Narrow(), 16)
    assert found == {"": ()}
    assert "(B, 1, 16, 14)" in found[""].reason


def test_a_layer_used_twice_is_looked_at_twice():
    """The first use keeps the rule, the second breaks it; and the other way round."""
    pool = nn.MaxPool2d(2)
    assert list(exactness_violations(nn.Sequential(pool, pool), 30)) == ["0"]  # 30, then 15

    class Later(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.MaxPool2d(2)

        def forward(self, images):
            return self.pool(images), self.pool(images[..., 1:-2, 1:-2])

    # The slice takes one pixel here and two there: what calls the pool is wrong too.
    assert exactness_violations(Later(), 33) == {"pool": (32, 34), "": ()}
    assert exactness_violations(Later(), 32) == {"pool": (28, 30), "": ()}
