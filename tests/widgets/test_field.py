"""FieldExplorer without a screen."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from escnn_networks import escnn_network
from torch import nn

from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.rotate import rotate
from eqssl_edu.widgets import FieldExplorer
from eqssl_edu.widgets.field import field
from eqssl_edu.widgets.field.field import CURVE_ANGLES
from eqssl_edu.widgets.field.values import error_text

README = Path(__file__).parents[2] / "README.md"
IMAGE = digits(32).test.images[3]
PHOTO = torch.rand(3, 97, 97, generator=torch.Generator().manual_seed(0))


def encoder(group=None, in_channels=1) -> GroupCNN:
    torch.manual_seed(0)
    return GroupCNN(group or cyclic(4), in_channels, channels=(8, 16))


@pytest.fixture
def pair() -> FieldExplorer:
    return FieldExplorer(encoder(), IMAGE, compare=matched_cnn(encoder()))


def pictures(explorer: FieldExplorer) -> list[np.ndarray]:
    """The panels' maps as (map, side, side), cut out of the bytes as the front end does it."""
    pixels = np.frombuffer(explorer.values["pixels"], dtype=np.uint8)
    start = explorer.values["input"]["channels"] * explorer.values["input"]["side"] ** 2
    found = []
    for panel in explorer.values["panels"]:
        end = start + panel["count"] * panel["side"] ** 2
        found.append(pixels[start:end].reshape(panel["count"], panel["side"], panel["side"]))
        start = end
    assert start == len(pixels)
    return found


# -- the numbers ---------------------------------------------------------------------------------------------


def test_float64_is_exact_to_rounding():
    explorer = FieldExplorer(encoder().double(), IMAGE.double())
    explorer.set_state(angle=90)
    assert explorer.errors()["C4 network"] < 1e-12


def test_a_group_network_that_is_wrong_is_seen():
    model = encoder()
    torch.nn.init.normal_(model.stages[0].weight)
    model.stages[0].table[1] = model.stages[0].table[2]  # one copy of the kernel is turned too far
    explorer = FieldExplorer(model, IMAGE)
    explorer.set_state(angle=90)
    assert explorer.errors()["C4 network"] > 0.05


def test_reflections_of_d4():
    explorer = FieldExplorer(encoder(dihedral(4)), IMAGE, compare=encoder())
    for element in explorer.facts["elements"]:
        explorer.set_state(angle=element["angle"], mirror=element["mirror"])
        assert explorer.errors()["D4 network"] < 1e-5
    assert explorer.errors()["C4 network"] > 0.05  # C4 has no reflections


def test_the_marked_column_is_where_the_first_column_went():
    explorer = FieldExplorer(encoder(dihedral(4)), IMAGE)
    before = pictures(explorer)[0].reshape(-1, 8, 16, 16)
    for g, element in enumerate(explorer.facts["elements"]):
        explorer.set_state(angle=element["angle"], mirror=element["mirror"])
        assert explorer.values["panels"][0]["element"] == g
        maps = pictures(explorer)[0].reshape(-1, 8, 16, 16)
        moved = dihedral(4).transform(torch.from_numpy(before[:, 0].copy()), g).numpy()
        # rounding may take a value over the edge between two of the 256 levels
        assert np.abs(maps[:, g].astype(int) - moved.astype(int)).max() <= 1


def test_stabilised_maps_of_an_equivariant_network_stand_still(pair):
    pair.set_state(stabilised=True, layer="stages.2")
    upright = pictures(pair)
    for angle in (90, 180, 270):
        pair.set_state(angle=angle)
        group_maps, plain_maps = (
            np.abs(a.astype(int) - b.astype(int)) for a, b in zip(pictures(pair), upright, strict=True)
        )
        assert group_maps.max() <= 1
        assert plain_maps.max() > 50
        assert pair.values["panels"][0]["element"] == 0


def test_stabilised_maps_of_a_mirrored_image_stand_still():
    explorer = FieldExplorer(encoder(dihedral(4)), IMAGE)
    upright = pictures(explorer)[0].astype(int)
    explorer.set_state(stabilised=True, mirror=True, angle=90)
    assert np.abs(pictures(explorer)[0] - upright).max() <= 1


def test_the_turned_image_is_the_turned_image(pair):
    for angle in (0, 37, 90):
        pair.set_state(angle=angle)
        shown = np.frombuffer(pair.values["pixels"][: 32 * 32], dtype=np.uint8).reshape(32, 32)
        expected = (rotate(IMAGE, angle)[0] * 255 / IMAGE.max()).round().numpy()
        assert np.abs(shown - expected).max() <= 1


def test_rows_have_their_own_scale(pair):
    pair.set_state(layer="stages.0", channel=0)
    panel, maps = pair.values["panels"][0], pictures(pair)[0]
    assert panel["low"] == -1 and len(panel["limits"]) == 4  # a convolution's maps have both signs
    with torch.no_grad():
        true = encoder().stages[0](IMAGE[None])[0, :4]
    for row, limit in enumerate(panel["limits"]):
        assert limit == pytest.approx(float(true[row].abs().max()), rel=1e-5)
        shown = (maps[4 * row : 4 * row + 4] / 255 * 2 - 1) * limit
        assert np.abs(shown - true[row].numpy()).max() < limit / 200
    pair.set_state(angle=37)
    assert pair.values["panels"][0]["limits"] == pytest.approx(panel["limits"])  # colours keep their meaning
    pair.set_state(layer="stages.2")
    assert pair.values["panels"][0]["low"] == 0  # after a ReLU none is negative


def test_the_curve_comes_coarse_first_and_touches_zero_at_the_elements(pair):
    pair.refine()
    assert set(pair.curve["angles"]) <= set(CURVE_ANGLES)
    while pair.unfinished:
        pair.refine()
    angles, (group_errors, plain_errors) = pair.curve["angles"], pair.curve["errors"]
    assert set(range(0, 361, 15)) <= set(angles)
    low = [angle for angle, error in zip(angles, group_errors, strict=True) if error < 1e-5]
    assert low == [0, 90, 180, 270, 360]
    assert min(error for angle, error in zip(angles, plain_errors, strict=True) if 30 <= angle <= 330) > 0.05
    pair.set_state(angle=45)
    assert pair.errors()["plain CNN"] == pytest.approx(plain_errors[angles.index(45)])


@pytest.mark.parametrize(("seconds", "step"), [(0.03, 5), (0.05, 15)])
def test_the_curve_is_coarse_or_fine_and_never_half_of_each(pair, monkeypatch, seconds, step):
    """The coarse angles decide: at 0.03 s each they take less than the second that is waited, at 0.05 s more."""
    clock = [0.0]

    def slow(*arguments):
        clock[0] += seconds
        return [0.1, 0.2]

    monkeypatch.setattr(field, "errors_at", slow)
    monkeypatch.setattr(field.time, "perf_counter", lambda: clock[0])
    while pair.unfinished:
        pair.refine()
    assert pair.curve["angles"] == list(range(0, 361, step))


def test_the_curve_belongs_to_the_layer_and_to_the_weights(pair):
    while pair.unfinished:
        pair.refine()
    first, known = pair.state()["layer"], pair.curve
    pair.set_state(layer="stages.0")
    assert pair.curve["angles"] == [] and pair.unfinished
    pair.set_state(layer=first)
    assert pair.curve == known and not pair.unfinished
    with torch.no_grad():
        pair.networks[0].recorder.model.stages[0].weight.mul_(2)
    pair.set_state(angle=10)
    assert pair.curve["angles"] == [] and pair.unfinished


def test_error_text():
    texts = {1.27: "127 %", 0.0049: "0.49 %", 3e-16: "3.0e-14 %", 0.0: "0 %", float("nan"): "no number"}
    for error, text in texts.items():
        assert error_text(error) == text


def test_readout_says_what_is_seen(pair):
    pair.set_state(angle=90)
    assert pair.readout.startswith("Image turned by 90°. Equivariance error: C4 network 0.0000")
    assert re.search(r"; plain CNN \d\d %\.$", pair.readout)


# -- any network, any image ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "channels"), [(7, 2), (16, 1), (33, 3)])
def test_any_torch_module(side, channels):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(channels, 5, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.LazyLinear(3))
    image = torch.rand(channels, side, side)
    model(image[None])
    explorer = FieldExplorer(model, image)
    explorer.set_state(angle=45)
    assert explorer.errors()["plain CNN"] > 0
    assert len(pictures(explorer)[0]) == 5  # all channels, and no more
    assert explorer.values["panels"][0]["rows"] == ["0–3", "4–4"]


def test_a_module_of_escnn():
    plane = pytest.importorskip("eqssl_edu.steerable").gspaces.flipRot2dOnR2(4)
    explorer = FieldExplorer(escnn_network(plane, plane.regular_repr), IMAGE)
    for g in dihedral(4).elements:
        explorer.set_state(angle=90.0 * (g % 4), mirror=g >= 4)
        assert explorer.errors()["D4 network"] < 1e-4  # escnn's kernels turn up to rounding
    assert len(explorer.values["panels"][0]["columns"]) == 8
    explorer.set_state(angle=45)
    assert explorer.errors()["D4 network"] > 0.05


def test_names():
    class Mine(nn.Conv2d):
        pass

    explorer = FieldExplorer(encoder(), IMAGE, compare=Mine(1, 4, 3))
    assert list(explorer.errors()) == ["C4 network", "Mine"]
    explorer = FieldExplorer(encoder(), IMAGE, compare=encoder())
    assert list(explorer.errors()) == ["C4 network 1", "C4 network 2"]
    explorer = FieldExplorer(encoder(), IMAGE, compare=encoder(), names=("before", "after"))
    assert list(explorer.errors()) == ["before", "after"]


def test_a_new_layer_takes_the_other_network_to_the_same_depth():
    deep = nn.Sequential(*(nn.Conv2d(1 if i == 0 else 2, 2, 3, padding=1) for i in range(15)))
    explorer = FieldExplorer(encoder(), IMAGE, compare=deep)
    explorer.set_state(layer="stages.0")
    assert explorer.state()["compare_layer"] == "0"
    explorer.set_state(layer="stages.6")
    assert explorer.state()["compare_layer"] == "14"
    explorer.set_state(layer="stages.0", compare_layer="7")
    assert explorer.state()["compare_layer"] == "7"


def test_the_first_layer_shown_is_a_deep_convolution_with_large_maps():
    assert FieldExplorer(encoder(), IMAGE).state()["layer"] == "stages.4"
    assert FieldExplorer(nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(4)), IMAGE).state()["layer"] == "0"
    # Nothing larger, nothing learned.
    assert FieldExplorer(nn.AvgPool2d(4), IMAGE).state()["layer"] == "output"


def test_the_channels_shown_first_are_those_whose_maps_differ_most():
    explorer = FieldExplorer(encoder(), IMAGE, compare=matched_cnn(encoder()))
    for layer in ("stages.4", "stages.0"):
        explorer.set_state(layer=layer)
        maps = explorer.networks[0].recorder.maps(IMAGE[None], layer)[0]
        apart = (maps - maps.mean(1, keepdim=True)).square().mean((1, 2, 3)).sqrt()
        shares = apart / maps.abs().amax((1, 2, 3))
        first = explorer.state()["channel"]
        assert min(shares[first], shares[first : first + 4].mean()) > shares.mean()
        assert explorer.state()["compare_channel"] == 0  # it has no group axis
    explorer.set_state(layer="stages.4", channel=2)
    assert explorer.state()["channel"] == 2


def test_a_layer_says_its_class_and_the_shape_of_its_maps():
    explorer = FieldExplorer(encoder(), IMAGE, compare=matched_cnn(encoder()))
    ours, theirs = (
        {layer["name"]: layer["label"] for layer in n["layers"]} for n in explorer.facts["networks"]
    )
    assert ours["stages.4"] == "stages.4 · GroupConv2d · (16, 4, 16, 16)"
    assert theirs["stages.4"].startswith("stages.4 · Conv2d · (")  # over C1 it is an ordinary one
    assert theirs["stages.0"].startswith("stages.0 · Conv2d · (")
    assert theirs["stages.1"].startswith("stages.1 · BatchNorm2d · (")
    assert [network["note"] for network in explorer.facts["networks"]] == ["", ""]


def test_two_networks_with_a_long_group_axis_have_fewer_rows():
    rows = [len(panel["rows"]) for panel in FieldExplorer(encoder(dihedral(4)), IMAGE).values["panels"]]
    assert rows == [4]
    explorer = FieldExplorer(encoder(dihedral(4)), IMAGE, compare=encoder())
    assert [len(panel["rows"]) for panel in explorer.values["panels"]] == [2, 2]


def test_channel_pages_end_with_the_last_channel():
    explorer = FieldExplorer(encoder(), IMAGE)
    explorer.set_state(channel=1000)
    panel = explorer.values["panels"][0]
    assert panel["rows"] == ["12", "13", "14", "15"]
    assert panel["first"] == 12


# -- pictures ------------------------------------------------------------------------------------------------


def test_pictures_of_the_toolkit(pair):
    seen = {pair.values["pixels"][:1024]}
    for source in ("digits", "glyphs", "shapes"):
        pair.set_state(source=source)
        assert pair.state()["picture"] == 0 and pair.curve["angles"] == []
        seen.add(pair.values["pixels"][:1024])
        pair.set_state(picture=2, angle=90)
        assert pair.errors()["C4 network"] < 1e-5
        assert pair.readout.startswith(f"Picture: {pair.values['picture']['text']}. Image turned by 90°")
        pair.set_state(angle=0)
    assert len(seen) == 4
    pair.set_state(source="image")
    assert pair.values["pixels"][:1024] in seen


def test_a_picture_from_the_front_end(pair):
    grey = bytes([128]) * 32**2
    upload = {"source": "file", "side": 32, "channels": 1, "name": "cat.png", "size": [64, 48]}
    pair.receive({"token": "a", "changes": {"upload": upload, "angle": 90}}, [memoryview(grey)])
    assert pair.error == "" and pair.answered == "a"
    assert {"source": "file", "picture": 0, "angle": 90}.items() <= pair.state().items()
    text = "cat.png: the central 48 × 48 of 64 × 48 pixels, made 32 × 32, grey"
    assert pair.values["picture"] == {"text": text, "count": 1, "own": {"file": 1, "drawing": 0}}
    state = pair.state()
    pair.set_state(source="image")
    pair.set_state(**state)
    assert pair.values["picture"]["text"] == text


def test_a_new_drawing_has_a_new_curve_and_an_empty_one_has_no_error(pair):
    upload = {"source": "drawing", "side": 32, "channels": 1, "name": "", "size": [32, 32]}
    for data in (bytes(32**2), bytes(512) + bytes([255]) * 512):
        pair.receive({"token": "a", "changes": {"upload": upload}}, [memoryview(data)])
        assert pair.state()["source"] == "drawing"
        assert pair.curve["angles"] == [] and pair.unfinished
        pair.refine()
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU())
    explorer = FieldExplorer(model, IMAGE)
    explorer.receive({"token": "a", "changes": {"upload": upload, "angle": 33}}, [memoryview(bytes(32**2))])
    assert explorer.errors() == {"plain CNN": 0.0}


def test_a_picture_of_the_wrong_size_is_refused(pair, quiet):
    upload = {"source": "file", "side": 32, "channels": 1, "name": "cat.png", "size": [64, 48]}
    pair.receive({"token": "a", "changes": {"upload": upload}}, [memoryview(b"abc")])
    assert pair.error.startswith("ValueError: picture must have") and pair.answered == "a"
    assert pair.state()["source"] == "image"


def test_the_upright_maps_are_kept_until_something_changes(pair):
    batches = []
    network = pair.networks[0]
    look = network.recorder.maps
    network.recorder.maps = lambda images, layer: batches.append(len(images)) or look(images, layer)
    pair.set_state(angle=10)
    pair.set_state(angle=20)
    assert batches == [1, 1]
    for change in ({"layer": "stages.0"}, {"source": "shapes"}, {"picture": 1}):
        pair.set_state(**change)
        assert batches[-1] == 2
        pair.set_state(angle=pair.state()["angle"] + 1)
        assert batches[-1] == 1
    with torch.no_grad():
        network.recorder.model.stages[0].weight.mul_(2)
    pair.set_state(angle=10)
    assert batches[-1] == 2
    fresh = FieldExplorer(network.recorder.model, IMAGE, compare=pair.networks[1].recorder.model)
    fresh.set_state(**{**pair.state()})
    assert fresh.errors()["C4 network"] == pytest.approx(pair.errors()["C4 network"], rel=1e-4)


def test_a_resnet_of_plain_torch_and_a_photo(tmp_path, monkeypatch):
    """The lines of the README themselves, with a network built like torchvision's and a photo in a file."""

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            return self.relu(x + self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))

    torch.manual_seed(0)
    stem = (nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
    my_model = nn.Sequential(
        *stem, Block(8), Block(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )
    Image = pytest.importorskip("PIL.Image")
    my_photo = Image.fromarray((PHOTO.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).resize((120, 80))
    my_photo.save(tmp_path / "my_photo.jpg")
    monkeypatch.chdir(tmp_path)

    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (lines,) = [block.strip().splitlines() for block in blocks if "my_photo" in block]
    assert sum(bool(line) for line in lines) == 4
    names = {"my_model": my_model}
    exec("\n".join(lines[:-1]), names)
    explorer = eval(lines[-1], names)

    explorer.set_state(angle=90)
    assert explorer.errors()["plain CNN"] > 0.05
    assert {"3.conv1", "3.bn2", "4.relu (call 2)"} & set(explorer.layers[0])
    assert explorer.values["input"] == {"channels": 3, "side": 80}


# -- speed ----------------------------------------------------------------------------------------


def test_showing_takes_at_most_a_second():
    model, compare = encoder(), matched_cnn(encoder())
    start = time.process_time()  # not what other programs of the machine do meanwhile
    FieldExplorer(model, IMAGE, compare=compare)
    assert time.process_time() - start < 1
