"""Networks as other people write them: what breaks quarter turns in them, and what does not."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eqssl_edu.encoders import SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import exactness_violations


def conv(inputs, outputs, side, stride=1, **options):
    """Convolution, batch norm and SiLU, as torchvision stacks them."""
    convolution = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.SiLU(inplace=True))


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride=1, down=None):
        super().__init__()
        self.body = nn.Sequential(
            conv(inputs, outputs, 3, 1 if down else stride),
            down or nn.Identity(),
            nn.Conv2d(outputs, outputs, 3, 1, 1),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        out = self.body(x)
        out += self.shortcut(x)
        return F.relu(out, inplace=True)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.maxpool = conv(3, 6, 7, 2), nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2 = Residual(6, 6), Residual(6, 8, 2)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 5)

    def forward(self, x):
        x = self.layer2(self.layer1(self.maxpool(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Blur(nn.Module):
    """Blur pooling as timm has it: the kernel is a buffer, the convolution a function."""

    def __init__(self, channels):
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", (row[:, None] * row).expand(channels, 1, 3, 3).clone())

    def forward(self, x):
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, self.kernel, stride=2, groups=len(self.kernel))


class BlurResNet(ResNet):
    def __init__(self):
        super().__init__()
        self.maxpool = nn.Sequential(nn.MaxPool2d(2, 1), Blur(6))
        self.layer2 = Residual(6, 6, 1, Blur(6))
        self.layer2.shortcut = Blur(6)
        self.fc = nn.Linear(6, 5)


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, 2), nn.SiLU(), nn.Linear(2, channels))

    def forward(self, x):
        return x * torch.sigmoid(self.fc(x.mean((2, 3))))[:, :, None, None]


class SameConv(nn.Conv2d):
    """TensorFlow's padding, as timm's Conv2dSame has it: what is odd goes to the right and to the bottom."""

    def forward(self, x):
        pads = []
        for size, k, s in zip(x.shape[:1:-1], self.kernel_size, self.stride, strict=True):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, groups=self.groups)


def efficient_net(convolution):
    pad = {} if convolution is SameConv else {"padding": 1}
    return nn.Sequential(
        convolution(3, 4, 3, stride=2, **pad),
        nn.BatchNorm2d(4),
        nn.SiLU(),
        convolution(4, 4, 3, stride=2, groups=4, **pad),
        SqueezeExcite(4),
        nn.Conv2d(4, 6, 1),
    )


class Inception(nn.Module):
    def __init__(self, long):
        super().__init__()
        self.stem, self.pooled = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 2, 1)
        self.one, self.two = conv(4, 2, 1), nn.Sequential(conv(4, 2, 1), conv(2, 2, 5))
        self.long = nn.Conv2d(4, 2, (1, 7), padding=(0, 3)) if long else nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x):
        x = self.stem(x)
        pooled = self.pooled(F.avg_pool2d(x, 3, 1, 1))
        x = torch.cat([self.one(x), self.two(x), self.long(x), pooled], 1)
        return F.max_pool2d(x, 3, 2)


class UNet(nn.Module):
    def __init__(self, up):
        super().__init__()
        self.top, self.bottom, self.up, self.last = conv(3, 4, 3), conv(4, 4, 3), up, nn.Conv2d(8, 2, 1)

    def forward(self, x):
        top = self.top(x)
        low = self.up(self.bottom(F.max_pool2d(top, 2)))
        more = top.shape[-1] - low.shape[-1]
        low = F.pad(low, (more // 2, more - more // 2) * 2)
        return self.last(torch.cat([top, low], 1))


class SegNet(nn.Module):
    """The places of the largest values go from the pool to its inverse."""

    def __init__(self):
        super().__init__()
        self.first, self.last = conv(3, 4, 3), conv(4, 5, 3)
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x):
        x = self.first(x)
        low, places = self.pool(x)
        return self.last(self.unpool(low, places, x.shape[-2:]))


class ConvNeXt(nn.Module):
    """Patches, a depthwise convolution, and the rest with the channels last and a scale that starts at 1e-6."""

    def __init__(self):
        super().__init__()
        self.patches, self.depthwise = nn.Conv2d(3, 6, 4, 4), nn.Conv2d(6, 6, 7, padding=3, groups=6)
        self.norm, self.wide, self.narrow = nn.LayerNorm(6), nn.Linear(6, 12), nn.Linear(12, 6)
        self.scale = nn.Parameter(torch.full((6,), 1e-6))

    def forward(self, x):
        x = self.patches(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.narrow(F.gelu(self.wide(y)))).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Over all tokens, which has no geometry; or with a learned bias for each pair of places."""

    def __init__(self, width, tokens=0):
        super().__init__()
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.soft, self.bias = nn.Softmax(-1), nn.Parameter(torch.zeros(tokens, tokens)) if tokens else None

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        weights = self.soft(logits if self.bias is None else logits + self.bias)
        return self.project((weights @ v).transpose(1, 2).flatten(-2))


class ViT(nn.Module):
    def __init__(self, side, position):
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.zeros(1, 1, 8))
        self.position = nn.Parameter(torch.zeros(1, 1 + (side // 4) ** 2, 8)) if position else None
        self.norm, self.attention, self.head = nn.LayerNorm(8), Attention(8), nn.Linear(8, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x = x if self.position is None else x + self.position
        x = x + self.attention(self.norm(x))
        return self.head(x[:, 0])


class Swin(nn.Module):
    """Attention in windows of 2 x 2 tokens, with a bias for each pair of places or without, shifted or not."""

    def __init__(self, bias, shift):
        super().__init__()
        self.patches, self.norm, self.shift = nn.Conv2d(3, 8, 2, 2), nn.LayerNorm(8), shift
        self.attention = Attention(8, 4 if bias else 0)

    def forward(self, x):
        x = self.patches(x).permute(0, 2, 3, 1)
        b, side, _, width = x.shape
        y = F.pad(self.norm(x), (0, 0, 0, side % 2, 0, side % 2))
        more = y.shape[1]
        y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        windows = y.reshape(b, more // 2, 2, more // 2, 2, width).transpose(2, 3).reshape(-1, 4, width)
        y = self.attention(windows).reshape(b, more // 2, more // 2, 2, 2, width).transpose(2, 3)
        y = torch.roll(y.reshape(b, more, more, width), (self.shift, self.shift), (1, 2))
        return x + y[:, :side, :side]


def vgg(pooled):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(pooled), nn.Flatten(), nn.Linear(4 * pooled**2, 5))
    return nn.Sequential(conv(3, 4, 3), nn.MaxPool2d(2), conv(4, 4, 3), nn.MaxPool2d(2), head)


SIZES = range(33, 53)
NETWORKS = {
    "resnet": lambda _: ResNet(),
    "resnet with blur pooling": lambda _: BlurResNet(),
    "efficientnet": lambda _: efficient_net(nn.Conv2d),
    "efficientnet, same": lambda _: efficient_net(SameConv),
    "inception": lambda _: Inception(False),
    "inception, 1 x 7": lambda _: Inception(True),
    "unet, transposed": lambda _: UNet(nn.ConvTranspose2d(4, 4, 2, 2)),
    "unet, bilinear": lambda _: UNet(nn.Upsample(scale_factor=2, mode="bilinear")),
    "unet, nearest": lambda _: UNet(nn.UpsamplingNearest2d(scale_factor=2)),
    "alexnet": lambda _: nn.Sequential(conv(3, 4, 11, 4), nn.MaxPool2d(3, 2), conv(4, 4, 5)),
    "vgg, one mean": lambda _: vgg(1),
    "vgg, places": lambda _: vgg(3),
    "convnext": lambda _: ConvNeXt(),
    "vit": lambda side: ViT(side, True),
    "vit, no position": lambda side: ViT(side, False),
    "swin": lambda _: Swin(True, 0),
    "swin, no bias": lambda _: Swin(False, 0),
    "swin, shifted": lambda _: Swin(False, 1),
    "fractional pooling": lambda _: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.FractionalMaxPool2d(2, output_ratio=0.7)
    ),
    "segnet": lambda _: SegNet(),
    "space to depth": lambda _: nn.Sequential(
        nn.PixelUnshuffle(2) if _ % 2 == 0 else nn.Identity(), nn.ReLU()
    ),
}
# Exact, or inexact, at every size; the others are the one or the other.
ALWAYS = ["inception, 1 x 7", "vgg, places", "vit", "swin", "fractional pooling"]


@torch.no_grad()
def measured_error(model, side):
    """The error of a quarter turn of a network all of whose kernels are symmetric, in double precision."""
    model = model.double().eval()
    for parameter in model.parameters():
        if (parameter == parameter.flatten()[0]).all():
            parameter.add_(torch.randn_like(parameter))
        if parameter.ndim == 4 and parameter.shape[-1] == parameter.shape[-2]:
            parameter.copy_(sum(torch.rot90(parameter, r, (2, 3)) for r in range(4)) / 4)
    x = torch.rand(2, 3, side, side, dtype=torch.float64)
    out, turned = model(x), model(torch.rot90(x, 1, (2, 3)))
    if out.ndim == 4:
        out = torch.rot90(out, 1, (2, 3) if out.shape[2] == out.shape[3] else (1, 2))
    return float((turned - out).norm() / out.norm())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_verdict_is_what_is_measured_at_twenty_sizes(name):
    torch.manual_seed(0)
    verdicts = []
    for side in SIZES:
        found = exactness_violations(NETWORKS[name](side), side, in_channels=3)
        error = measured_error(NETWORKS[name](side), side)
        assert error > 1e-6 if found else error < 1e-9, (side, found, error)
        verdicts.append(bool(found))
    always = len(set(verdicts)) == 1
    assert always == (name in ALWAYS)


# -- what the search for violations takes ----------------------------------------------------------------------------


class HeadFirst(nn.Module):
    """The first convolution that is registered is not the first that runs."""

    def __init__(self):
        super().__init__()
        self.head, self.stem = nn.Conv2d(64, 10, 1), nn.Conv2d(3, 64, 3, 2, 1)

    def forward(self, x):
        return self.head(self.stem(x))


def test_the_channels_of_the_images_are_found_or_told():
    assert exactness_violations(HeadFirst(), 32) == {"stem": (31, 33)}
    assert exactness_violations(HeadFirst(), 32, in_channels=3) == {"stem": (31, 33)}
    with pytest.raises(ValueError, match="model must run on images of shape"):
        exactness_violations(HeadFirst(), 32, in_channels=4)
    with pytest.raises(ValueError, match="in_channels must be at least 1, got 0"):
        exactness_violations(HeadFirst(), 32, in_channels=0)


class SaysItHas(nn.Module):
    """A network that names a group."""

    def __init__(self, group, network):
        super().__init__()
        self.group, self.network = group, network

    def forward(self, x):
        return self.network(x).unflatten(1, (-1, self.group.order))


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], ids=lambda group: group.name)
def test_a_whole_that_is_exact_makes_good_what_happens_inside(group):
    """Turned copies of the image: each is seen by a layer that breaks the rule, but all are; and the must-fail twin."""
    head = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.Flatten(), nn.Linear(2 * 64, 16))
    assert exactness_violations(SymmetrizedEncoder(group, head), 16) == {}
    found = exactness_violations(SaysItHas(group, head), 16)
    assert found["network.0"] == (15, 17)


def test_a_blur_has_the_sizes_of_its_window():
    assert exactness_violations(nn.Sequential(Blur(1)), 32) == {"0": (31, 33)}


@pytest.mark.parametrize("script", [torch.jit.script, lambda m: torch.jit.trace(m, torch.rand(1, 3, 8, 8))])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_and_traced_networks_are_refused(script):
    for model in (script(HeadFirst()), nn.Sequential(script(HeadFirst()))):
        with pytest.raises(
            TypeError, match="model must have its layers in Python, not be scripted or traced"
        ):
            exactness_violations(model, 32)


def test_compiled_and_wrapped_networks_are_looked_into():
    compiled = torch.compile(HeadFirst(), backend="eager")
    for model in (compiled, nn.DataParallel(HeadFirst())):
        assert exactness_violations(model, 32) == {"stem": (31, 33)}
    assert exactness_violations(nn.Sequential(compiled), 32) == {"0._orig_mod.stem": (31, 33)}


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "right"),
    [
        (lambda x: x[..., ::2, ::2], False),
        (lambda x: F.interpolate(x, size=11), False),
        (lambda x: F.interpolate(x, size=11, mode="bilinear"), True),
        (lambda x: torch.roll(x, 1, -1), False),
        (lambda x: torch.roll(x, (8, 8), (2, 3)), True),
        (lambda x: F.pad(x, (0, 1, 0, 1)), False),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), True),
        (lambda x: F.conv2d(x, torch.ones(1, 1, 3, 3).to(x), stride=2), False),
        (lambda x: F.conv2d(x, torch.ones(1, 1, 3, 3).to(x), padding=1), True),
        (lambda x: x + torch.arange(16).to(x), False),
        (lambda x: x.transpose(-1, -2), False),
        (lambda x: x.reshape(2, -1, 4, 8, 8).mean(1), False),
        (lambda x: x.float().softmax(1).to(x), True),
        (lambda x: x.log(), True),
        (lambda x: torch.fft.fft2(x).abs(), False),
        (lambda x: x.flatten(2).transpose(1, 2), True),
        (lambda x: x.cumsum(-1), False),
        (lambda x: x.to(torch.complex64).abs(), True),
        (lambda x: x[:, 0], True),
        (lambda x: x[:, 0, ::2, ::2], False),
        (lambda x: x[:, 0].mT, False),
        (lambda x: torch.func.vmap(nn.ReLU())(x), True),
        (lambda x: torch.func.vmap(nn.MaxPool2d(3, 2))(x), False),
    ],
)
def test_functions_are_measured_too(function, right):
    """In a module of their own, and in the forward of the network, between two layers or behind them."""

    class Between(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(1, 1, 3, padding=1), nn.Tanh()

        def forward(self, x):
            return self.last(function(self.first(x).abs()))

    assert bool(exactness_violations(Lambda(function), 16)) != right
    assert list(exactness_violations(Between(), 16)) == ([] if right else [""])


@dataclass
class Output:
    maps: torch.Tensor


@pytest.mark.parametrize(
    ("last", "module", "what"),
    [
        (lambda x: (x - 5).log(), "1", "values that are not finite"),
        (lambda x: x.flatten(1)[:, :100], "1", "a tensor of shape (B, 100)"),
        (lambda x: x[..., ::2, ::2].mean(1) > x.mean(), "", "a tensor of shape (B, 15, 15)"),
        (lambda x: x[..., ::2, ::2].argmax(1), "", "a tensor of shape (B, 15, 15)"),
        (Output, "", "Output"),
        (lambda x: {"maps": [x.numpy()]}, "", "ndarray"),
    ],
)
def test_what_cannot_be_compared_is_not_judged(last, module, what):
    found = exactness_violations(nn.Sequential(nn.Conv2d(1, 4, 3), Lambda(last)), 32)
    assert list(found) == [module]
    assert found[module].reason == f"not judged: it gives {what}"


def test_integers_and_places_are_compared_at_the_end():
    torch.manual_seed(0)
    for last in (lambda x: x.argmax(1), lambda x: x > x.mean()):
        assert exactness_violations(nn.Sequential(nn.Conv2d(1, 4, 3), Lambda(last)), 32) == {}


class Recurrent(nn.Module):
    """Rows as a sequence: 16 of them are no grid of 4 x 4 tokens."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(16, 8, batch_first=True)

    def forward(self, x):
        return self.gru(x[:, 0])[0]


def test_a_square_number_of_rows_is_no_grid_of_tokens():
    found = exactness_violations(Recurrent(), 16)
    assert {name: breach.judged for name, breach in found.items()} == {"gru": False}
    columns = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Unfold(3), nn.Fold(16, 3))  # of 18 numbers, 16 + 2
    assert exactness_violations(columns, 16) == {}


def test_weights_that_are_computed_are_no_maps():
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 3, 3, 2, 1))
    assert exactness_violations(nn.Sequential(normed), 16) == {"0": (15, 17)}


def test_what_takes_long_shows_that_it_works(capsys, monkeypatch):
    monkeypatch.setattr("eqssl_edu.layers.exactness.DELAY", 0)
    exactness_violations(nn.Conv2d(1, 2, 3, 2), 16)
    assert "exactness" in capsys.readouterr().err


def test_the_state_of_the_random_numbers_stays():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.FractionalMaxPool2d(2, output_ratio=0.5))
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    exactness_violations(model, 16)
    assert torch.equal(torch.rand(3), wanted)
