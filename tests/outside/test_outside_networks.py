"""Networks in the style of other libraries, written by hand: the right maps, or the sentence that says why not."""

import dataclasses
import math
import re
import types

import pytest
import torch
import torch.nn.functional as F
from test_outside_axes import ORDERS, Copies, noise
from torch import nn

from eqssl_edu.diagnostics import recorder
from eqssl_edu.diagnostics.orders import turned_noise
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.widgets import FieldExplorer


def exact(layer):
    """A layer with the symmetry of the square in each of its kernels: its maps turn with the image."""
    with torch.no_grad():
        turned = [
            torch.rot90(w, r, (-2, -1)) for w in (layer.weight, layer.weight.flip(-1)) for r in range(4)
        ]
        layer.weight.copy_(sum(turned) / 8)
    return layer


class Vit(nn.Module):
    """Patches, tokens in front of them (class, registers), attention with its matrix as an output, a pooled head."""

    def __init__(self, leading=1, side=8, width=12):
        super().__init__()
        self.embed = patches(width)
        self.leading = nn.Parameter(torch.randn(1, leading, width))
        self.norm, self.qkv, self.soft = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Softmax(-1)
        self.mlp, self.head = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU()), nn.Linear(2 * width, 10)

    def forward(self, images):
        x = self.embed(images).flatten(2).mT
        x = self.norm(torch.cat([self.leading.expand(len(x), -1, -1), x], 1))
        q, k, v = self.qkv(x).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        x = (self.soft(q @ k.mT) @ v).transpose(1, 2).flatten(2)
        return self.head(self.mlp(x).mean(1))


class Net(nn.Module):
    """A network by its forward, (network, images) -> anything, and by its parts."""

    def __init__(self, call, **parts):
        super().__init__()
        self.call = call
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs, **words):
        return self.call(self, *inputs, **words)


def same(inputs, outputs, size=3, **words):
    return exact(nn.Conv2d(inputs, outputs, size, padding=size // 2, **words))


def patches(width):
    return exact(nn.Conv2d(1, width, 4, stride=4))


def permute(*axes):
    return Net(lambda net, x: x.permute(axes))


def queries():
    """DETR: as many queries as there are places, by chance."""

    def forward(net, images):
        x = net.encode(net.embed(images).flatten(2).mT)
        return net.decode(torch.softmax(net.queries @ x.mT, -1) @ x)

    linear = {"encode": nn.Linear(12, 12), "decode": nn.Linear(12, 12)}
    return Net(forward, embed=patches(12), queries=nn.Parameter(torch.randn(64, 12)), **linear)


def windows(net, x):
    """Swin: windows become a part of the batch."""
    b, h, w, c = x.shape
    parts = x.reshape(b, h // 4, 4, w // 4, 4, c).transpose(2, 3).reshape(-1, 16, c)
    parts = net.linear(parts).reshape(b, h // 4, w // 4, 4, 4, c)
    return parts.transpose(2, 3).reshape(x.shape)


def unet():
    def forward(net, x):
        skip = net.down(x)
        up = net.up(F.relu(net.deep(net.pool(skip))))
        return {"loss": None, "aux": [skip.mean((1, 2, 3))], "out": net.out(torch.cat([skip, up], 1))}

    up = exact(nn.ConvTranspose2d(8, 4, 2, stride=2))
    return Net(forward, down=same(1, 4), deep=same(4, 8), pool=nn.MaxPool2d(2), up=up, out=same(8, 2))


@dataclasses.dataclass
class Found:
    boxes: torch.Tensor
    maps: torch.Tensor


def detector():
    """A list of other things, a dataclass with maps, and no output at all."""
    neck = Net(lambda net, x: Found(torch.zeros(len(x), 4), F.avg_pool2d(x, 2)))
    count = Net(lambda net, x: ((x > 0).sum((2, 3)), x > 0))
    forward = lambda net, x: net.count(net.neck(net.body(x)).maps) and None  # noqa: E731
    return Net(forward, body=same(1, 4), neck=neck, count=count)


def fields():
    """e2cnn's modules give objects of their own."""
    inner = Net(lambda net, x: types.SimpleNamespace(tensor=F.avg_pool2d(x, 2), type="a field"))
    return Net(lambda net, x: net.inner(x).tensor.mean((2, 3)), inner=inner)


def video():
    """Frames are no group, and a spectral axis is none."""
    return Net(lambda net, x: net.conv(x[:, None]), conv=exact(nn.Conv3d(1, 2, 3, padding=1)))


def twice():
    forward = lambda net, x: net.head(net.shared(net.shared(net.stem(x))).mean((2, 3)))  # noqa: E731
    return Net(forward, stem=same(1, 4), shared=same(4, 4), head=nn.Linear(4, 3))


def swin(width):
    norm, block = nn.LayerNorm(width), Net(windows, linear=nn.Linear(width, width))
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5)
    return nn.Sequential(patches(width), permute(0, 2, 3, 1), norm, block, permute(0, 3, 1, 2), *head)


def convnext(width):
    norm, linear = nn.LayerNorm(width), nn.Linear(width, 7)
    return nn.Sequential(patches(width), permute(0, 2, 3, 1), norm, linear, permute(0, 3, 1, 2), same(7, 7))


def mixer():
    layers = [patches(12), nn.Flatten(2), permute(0, 2, 1), nn.LayerNorm(12)]
    return nn.Sequential(*layers, permute(0, 2, 1), nn.Linear(64, 20))


def matrices():
    """Heads as wide as there are tokens, scores before their softmax, and a matrix between channels."""

    def forward(net, images):
        x = net.embed(images).flatten(2).mT
        q = net.q(net.linear(x).unflatten(2, (2, 64)).transpose(1, 2))
        one = net.one(x @ x.mT) @ x
        return net.scores(q @ q.mT).mean((2, 3)), net.gram(x.mT @ x), one.mean(1)

    names = ("q", "scores", "one", "gram")
    identities = {name: nn.Identity() for name in names}
    return Net(forward, embed=patches(12), linear=nn.Linear(12, 128), **identities)


def noisy():
    """Dropout that is never off, as Monte Carlo dropout has it."""
    return nn.Sequential(same(1, 4), Net(lambda net, x: F.dropout(x, 0.5)), nn.ReLU())


def pooled_to_cubes():
    """Seven channels of 7 x 7 for an image of any width."""
    return nn.Sequential(same(1, 7), nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(343, 2))


PICTURE = noise(1, 32, 32)
VIT = ["embed", "norm", "qkv", "mlp.0", "mlp.1"]
ZOO = {  # name: (network, image, layers with maps that turn with the image, reasons of others)
    "ViT": (lambda: Vit(1), PICTURE, VIT, {"soft": "attention", "head": r"\(B, 10\), no maps"}),
    "ViT with registers": (lambda: Vit(5), PICTURE, VIT, {"soft": "attention"}),
    "no class token": (lambda: Vit(0), PICTURE, VIT, {"soft": "attention"}),
    "DETR": (queries, PICTURE, ["embed", "encode"], {"decode": "tokens="}),
    "Swin": (lambda: swin(6), PICTURE, ["0", "1", "2", "4"], {"3.linear": r"\(8, 16, 6\) for 2 images"}),
    "Swin, as many channels as rows": (lambda: swin(8), PICTURE, ["0", "1", "2", "4"], {"7": "no maps"}),
    "ConvNeXt": (lambda: convnext(8), PICTURE, ["0", "1", "2", "3", "4", "5"], {}),
    "Mixer": (mixer, PICTURE, ["0", "2", "3"], {"1": "tokens=", "5": "tokens="}),
    "U-Net": (unet, PICTURE, ["down", "pool", "deep", "up", "out"], {}),
    "detector": (detector, PICTURE, ["body", "neck"], {"count": "int64"}),
    "fields of another library": (fields, PICTURE, ["inner"], {}),
    "matrices": (
        matrices,
        PICTURE,
        ["embed"],
        {"q": "no square maps", "scores": "attention", "one": "attention", "gram": "tokens="},
    ),
    "noise": (noisy, PICTURE, ["0"], {"1": "same image comes twice", "2": "same image comes twice"}),
    "cubes": (pooled_to_cubes, PICTURE, ["0"], {"1": "channels first or last"}),
    "empty": (nn.Sequential, PICTURE, ["output"], {}),  # a module of length 0 counts as false
    "24 bands": (video, noise(24, 16, 16), ["conv"], {}),
    "8 frames of 8 x 8": (video, noise(8, 8, 8), ["conv"], {}),
    "shared weights": (twice, PICTURE, ["stem", "shared", "shared (call 2)"], {"head": "no maps"}),
    "parallel": (lambda: nn.DataParallel(twice()), PICTURE, ["module.stem", "module.shared"], {}),
    "compiled": (lambda: nn.Sequential(torch.compile(twice())), PICTURE, ["0._orig_mod.stem"], {}),
    "bfloat16": (lambda: unet().bfloat16(), PICTURE, ["down", "out"], {}),
}


@pytest.mark.parametrize("name", ZOO)
def test_a_network_of_another_style_shows_its_maps_or_says_why_not(name):
    torch.manual_seed(0)
    make, image, layers, reasons = ZOO[name]
    model = make()
    explorer = FieldExplorer(model, image)
    for layer in layers:
        explorer.set_state(layer=layer, angle=90)
        (error,) = explorer.errors().values()
        assert error < (0.05 if name == "bfloat16" else 1e-4), layer
        assert "group axis" not in explorer.readout and explorer.values["panels"][0]["columns"] == []
    assert not set(layers) & set(explorer.left_out)
    for layer, reason in reasons.items():
        assert re.search(reason, explorer.left_out[layer])
        assert re.search(reason, explorer.facts["networks"][0]["note"])  # shown, and read


# -- what the user says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize(
    "layout", ["channels first", "group first", "channels first, flat", "group first, flat"]
)
def test_a_group_axis_that_the_user_says(name, layout):
    group, move = ORDERS[name]
    model, axis = nn.Sequential(Copies(move, layout), nn.ReLU()), 1 if layout.startswith("group") else 2
    explorer = FieldExplorer(model, PICTURE, group=group, group_axis=axis)
    for element in explorer.facts["elements"]:
        explorer.set_state(angle=element["angle"], mirror=element["mirror"])
        assert explorer.errors()[f"{group.name} network"] < 1e-5
    order = explorer.networks[0].recorder.measured
    assert explorer.facts["networks"][0]["note"] == f"Measured: order={order} has error 0."
    assert explorer.values["panels"][0]["columns"][1] == "90°"


def test_an_axis_that_nobody_calls_a_groups_is_channels_and_said_to_be():
    explorer = FieldExplorer(Copies(ORDERS["ours"][1]), PICTURE)
    assert list(explorer.errors()) == ["Copies"] and explorer.values["panels"][0]["columns"] == []
    assert explorer.facts["networks"][0]["note"].startswith("Maps of 5 axes are shown as channels")


@pytest.mark.parametrize(
    ("name", "said", "right"),
    [
        ("P4 clockwise", [0, 1, 2, 3], [0, 3, 2, 1]),
        ("mirror first", [0, 4, 1, 5, 2, 6, 3, 7], [0, 4, 1, 7, 2, 6, 3, 5]),
        ("mirror first", [0, 7, 1, 2, 4, 6, 3, 5], [0, 4, 1, 7, 2, 6, 3, 5]),
    ],
)
def test_a_wrong_order_is_shown_as_said_and_the_right_one_proposed(name, said, right):
    group, move = ORDERS[name]
    explorer = FieldExplorer(Copies(move), PICTURE, group=group, order=said)
    assert explorer.values["panels"][0]["remark"] == ""
    explorer.set_state(angle=90)
    assert explorer.errors()[f"{group.name} network"] > 0.1
    assert explorer.readout.endswith(f"order={right} has error 0.")
    explorer = FieldExplorer(Copies(move), PICTURE, group=group, order=right)
    explorer.set_state(angle=90)
    assert explorer.errors()[f"{group.name} network"] < 1e-5


def test_a_module_that_says_its_group_but_has_another_order_is_told_the_right_one():
    model = Copies(ORDERS["P4 clockwise"][1])
    model.group = cyclic(4)
    explorer = FieldExplorer(model, PICTURE)
    explorer.set_state(angle=270)
    assert explorer.errors()["C4 network"] > 0.1 and "order=[0, 3, 2, 1] has error 0" in explorer.readout


def test_an_axis_in_no_order_gets_no_proposal():
    model = Copies(lambda w: list(noise(4, *w.shape)))
    explorer = FieldExplorer(model, PICTURE, group=cyclic(4))
    explorer.set_state(angle=90)
    assert explorer.errors()["C4 network"] > 0.1 and "order" not in explorer.readout
    assert explorer.facts["networks"][0]["note"] == "Measured: no order of the elements has error 0."


def test_the_plain_network_beside_it_has_no_group_axis():
    group, move = ORDERS["mirror first"]
    twin = nn.Conv2d(1, 32, 3, padding=1)  # channels that could be split into 4 x 8
    flat = FieldExplorer(Copies(move, "channels first, flat"), PICTURE, twin, group=group, group_axis=2)
    assert list(flat.errors()) == ["D4 network", "Conv2d"]
    assert [len(panel["columns"]) for panel in flat.values["panels"]] == [8, 0]


def lifted_flat(stride=1):
    """C4 in flattened axes, and a plain head whose channels could be split as well."""

    def forward(net, x):
        copies = torch.stack(ORDERS["P4 clockwise"][1](net.weight), 1).flatten(0, 1)
        maps = net.norm(F.conv2d(x, copies, padding=1, stride=stride))
        return net.head(net.pool(maps.unflatten(1, (6, 4)).mean(2)))

    parts = {"norm": nn.BatchNorm2d(24), "pool": same(6, 8), "head": nn.Conv2d(8, 16, 1)}
    torch.manual_seed(0)
    return Net(forward, weight=nn.Parameter(torch.randn(6, 1, 3, 3)), **parts)


@pytest.mark.parametrize("words", [{}, {"order": [0, 3, 2, 1]}, {"order": [0, 1, 2, 3]}])
def test_flattened_axes_are_a_groups_where_their_columns_move(words):
    explorer = FieldExplorer(lifted_flat(), PICTURE, group=cyclic(4), **words)
    for layer, columns in {"norm": 4, "pool": 0, "head": 0}.items():
        explorer.set_state(layer=layer, angle=90)
        (error,) = explorer.errors().values()
        assert len(explorer.values["panels"][0]["columns"]) == columns
        wrong = layer == "norm" and words.get("order") == [0, 1, 2, 3]
        assert error > 0.1 if wrong else error < 1e-5
        assert explorer.readout.endswith("order=[0, 3, 2, 1] has error 0.") == wrong
    note = "Shown as channels, which do not move along C4: pool, head."
    assert explorer.facts["networks"][0]["note"].endswith(note)


def test_a_flattened_axis_of_a_strided_network_is_one_although_its_error_is_large():
    explorer = FieldExplorer(lifted_flat(stride=2), PICTURE, group=cyclic(4))
    explorer.set_state(layer="norm", angle=90)
    assert explorer.errors()["C4 network"] > 0.1


@pytest.mark.parametrize("stride", [1, 2])
def test_the_channels_of_a_plain_network_are_no_group_axis(stride):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 16, 3, stride, 1), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32), nn.ReLU()
    for group in (cyclic(4), dihedral(4), cyclic(8)):
        seen = FieldExplorer(nn.Sequential(*layers), PICTURE, group=group).networks[0].recorder
        assert seen.still == list("01234") and not any(each.group for each in seen.layers.values())


def test_an_order_is_measured_with_the_weights_of_one_moment(monkeypatch):
    model = lifted_flat()

    def train(*arguments):
        for each in turned_noise(*arguments):
            yield each
            model.weight.data = torch.randn(6, 1, 3, 3)

    monkeypatch.setattr(recorder, "turned_noise", train)
    explorer = FieldExplorer(model, PICTURE, group=cyclic(4))
    assert explorer.facts["networks"][0]["note"].startswith("Measured: order=[0, 3, 2, 1] has error 0.")


def test_no_order_is_proposed_that_is_in_use_and_none_of_old_weights():
    model = Copies(ORDERS["P4 clockwise"][1])
    explorer = FieldExplorer(model, PICTURE, group=cyclic(4))
    explorer.set_state(angle=90, mirror=True)  # C4 has no mirror
    assert explorer.errors()["C4 network"] > 0.1 and "order" not in explorer.readout
    model = Net(lambda net, x: net.copies(x) + net.more[:, None, :, None, None], copies=model)
    model.more = nn.Parameter(torch.randn(1, 4))  # a bias for each column
    explorer = FieldExplorer(model, PICTURE, group=cyclic(4), order=[0, 1, 2, 3])
    explorer.set_state(layer="output", angle=90)
    assert "order" not in explorer.readout
    model.more.data.zero_()
    explorer.set_state(angle=270)
    assert "order=[0, 3, 2, 1] has error 0" in explorer.readout


@pytest.mark.parametrize(("leading", "tokens"), [(1, (8, 8)), (1, 1), (12, 12), (0, (8, 8))])
def test_tokens_that_are_told(leading, tokens):
    """Without the embedding as a module nothing shows how many tokens there are in a row."""

    model, embed = Net(lambda net, x: net.vit.norm(x), vit=Vit(leading)), patches(12)

    def forward(model, images):
        x = F.conv2d(images, embed.weight, stride=4).flatten(2).mT
        return model(torch.cat([torch.ones(len(x), leading, 12), x], 1))

    explorer = FieldExplorer(model, PICTURE, tokens=tokens, forward=forward)
    explorer.set_state(angle=90)
    assert explorer.state()["layer"] == "vit.norm" and explorer.errors()["Net"] < 1e-5
    with pytest.raises(ValueError, match="said with tokens="):
        FieldExplorer(model, PICTURE, forward=forward)
    with pytest.raises(ValueError, match=r"tokens=\(5, 5\) does not fit"):
        FieldExplorer(model, PICTURE, tokens=(5, 5), forward=forward)


def test_a_network_that_takes_more_than_images():
    def call(net, images, mask, scale=1):
        return {"mask": mask, "x": net.conv(images * mask) * scale, "more": net.conv(images)}

    model = Net(call, conv=same(1, 4))
    mask = torch.ones(32, 32)
    mask[8:24, 8:24] = 0
    forward = lambda model, images: model(images, mask, scale=2)["x"]  # noqa: E731
    explorer = FieldExplorer(model, PICTURE, forward=forward)
    assert explorer.layers[0] == ["conv", "conv (call 2)", "output"]
    explorer.set_state(layer="output", angle=90)
    assert explorer.errors()["Net"] < 1e-5
    with pytest.raises(ValueError, match=r"^model must run on the image.*mask"):
        FieldExplorer(model, PICTURE)
    with pytest.raises(ValueError, match=r"^forward must run on the image.*scal"):
        FieldExplorer(model, PICTURE, forward=lambda model, images: model(images, scal=2))
    original = twice()
    with pytest.raises(ValueError, match=r"^forward must run the network that it is given.*got"):
        FieldExplorer(original, PICTURE, forward=lambda model, images: original.stem(images))


def test_a_scripted_network_is_refused():
    with pytest.raises(TypeError, match=r"^model must be the module as it was before scripting"):
        FieldExplorer(torch.jit.script(nn.Conv2d(1, 4, 3)), PICTURE)


def test_a_norm_without_running_statistics_sees_both_images_together():
    """Whatever was shown before: the number of a state is one number."""
    torch.manual_seed(0)
    model = nn.Sequential(same(1, 4), nn.BatchNorm2d(4, track_running_stats=False))
    explorer, errors = FieldExplorer(model, PICTURE), []
    for before in (10, 200):
        explorer.set_state(layer="1", angle=before)
        explorer.set_state(angle=90)
        errors.append(explorer.errors()["plain CNN"])
    assert max(errors) < 1e-5


# -- numbers that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [None, cyclic(4)])
def test_a_layer_that_gives_nan_is_said_to(group, tmp_path):
    torch.manual_seed(0)
    first = Copies(ORDERS["P4 clockwise"][1]) if group else nn.Conv2d(1, 4, 3)
    explorer = FieldExplorer(nn.Sequential(first, Net(lambda net, x: x.log())), noise(1, 24, 24), group=group)
    explorer.set_state(layer="1", angle=90)
    (error,) = explorer.errors().values()
    assert math.isnan(error) and "Layer '1' gives NaN" in explorer.readout
    explorer.refine()
    assert set(explorer.curve["errors"][0]) == {None}
    page = explorer.to_html(tmp_path / "nan.html").read_text()
    assert not re.search(r"[:,\[]NaN", page)  # JSON knows none
    explorer.set_state(layer="0", angle=0)
    assert explorer.errors() == dict.fromkeys(explorer.errors(), 0.0) and explorer.readout.endswith(" 0 %.")


nothing_on_the_upright_picture = Net(lambda net, x: x * (x[..., :1, :1] != PICTURE[..., :1, :1]))


@pytest.mark.parametrize(
    ("model", "number"),
    [(nn.Threshold(1e9, 0), "CNN 0 %."), (nothing_on_the_upright_picture, "no number.")],
)
def test_maps_that_vanish(model, number):
    explorer = FieldExplorer(nn.Sequential(model), PICTURE)
    explorer.set_state(angle=180)
    assert number in explorer.readout
    assert ("nothing but 0 for the upright one" in explorer.readout) == (number == "no number.")


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("group", {"group_axis": 2}),  # the network has none
        ("group_axis", {"group": dihedral(4), "group_axis": 0}),
        ("group_axis", {"group": cyclic(5)}),  # no axis and no channels for it
        ("order", {"group": cyclic(4), "order": [0, 1, 2]}),
        ("tokens", {"tokens": (4, 8)}),
        ("tokens", {"tokens": -1}),
    ],
)
def test_words_that_cannot_be_meant_are_refused(says, words):
    with pytest.raises((ValueError, TypeError), match=f"^{says} must .*got"):
        FieldExplorer(Copies(ORDERS["ours"][1]), PICTURE, **words)
