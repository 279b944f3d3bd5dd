"""Looking into any network, and leaving it as it was."""

import copy
import threading

import pytest
import torch
from escnn_networks import escnn_network
from torch import nn

from eqssl_edu.diagnostics.recorder import FeatureRecorder
from eqssl_edu.encoders import GroupCNN, GroupResNet
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.pretext import PretextModel, RotationTask

IMAGE = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.AvgPool2d(2),
    )


def test_layers_of_a_plain_network():
    layers = FeatureRecorder(plain(), IMAGE).layers
    assert list(layers) == ["0", "1", "2", "3", "4"]
    assert layers["1"].kind == "BatchNorm2d" and layers["1"].channels == 4 and layers["1"].group is None
    assert [layer.side for layer in layers.values()] == [16, 16, 16, 16, 8]


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], ids=str)
def test_layers_of_a_group_network_have_its_group(group):
    recorder = FeatureRecorder(GroupCNN(group, channels=(2, 3)), IMAGE)
    assert {layer.group for layer in recorder.layers.values()} == {group}
    assert recorder.maps(IMAGE[None], "stages.0").shape == (1, 2, group.order, 16, 16)


def test_the_group_axis_of_c1_is_none():
    recorder = FeatureRecorder(GroupCNN(cyclic(1), channels=(2,)), IMAGE)
    assert recorder.layers["stages.0"].group is None
    assert recorder.maps(IMAGE[None], "stages.0").shape == (1, 2, 16, 16)


@pytest.mark.parametrize("says", [True, False], ids=["its group", "nothing"])
def test_an_axis_is_a_group_axis_only_where_a_module_says_so(says):
    class Lift(nn.Module):
        def forward(self, images):
            return torch.stack([torch.rot90(images, k, dims=(-2, -1)) for k in range(4)], dim=2)

    lift = Lift()
    if says:
        lift.group = cyclic(4)
    recorder = FeatureRecorder(nn.Sequential(lift, nn.ReLU()), IMAGE)
    group, shape = (cyclic(4), (1, 1, 4, 16, 16)) if says else (None, (1, 4, 16, 16))
    for layer in ("0", "1"):  # what follows a layer with a group axis keeps it
        assert recorder.layers[layer].group == group and recorder.maps(IMAGE[None], layer).shape == shape


def test_a_container_does_not_repeat_its_last_layer_but_a_block_counts():
    names = list(FeatureRecorder(GroupResNet(cyclic(4), in_channels=1, width=2), IMAGE).layers)
    assert "stem" not in names and "stem.2" in names
    assert "blocks.0" in names  # its sum is not the output of a layer inside


def test_a_layer_that_runs_twice_is_two_places():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.blur = nn.AvgPool2d(3, 1, 1)

        def forward(self, images):
            return self.blur(self.blur(images))

    recorder = FeatureRecorder(Twice(), IMAGE)
    assert list(recorder.layers) == ["blur", "blur (call 2)"]
    once = nn.functional.avg_pool2d(IMAGE[None], 3, 1, 1)
    assert torch.equal(recorder.maps(IMAGE[None], "blur"), once)


def test_maps_are_not_overwritten_by_a_layer_that_works_in_place():
    model = plain()
    maps = FeatureRecorder(model, IMAGE).maps(IMAGE[None], "1")
    assert torch.equal(maps, model.eval()[:2](IMAGE[None]))
    assert (maps < 0).any()


def test_the_model_is_left_as_it_was():
    model = plain()
    model[1].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    model[0].register_forward_hook(lambda *_: None)
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) for module in model.modules()]
    state = torch.get_rng_state()
    recorder = FeatureRecorder(model, IMAGE)
    first, second = recorder.maps(IMAGE[None], "4"), recorder.maps(IMAGE[None], "4")
    assert torch.equal(first, second) and not first.requires_grad  # no dropout, no graph
    assert [module.training for module in model.modules()] == modes
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert model[0].weight.requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_model_is_left_as_it_was_after_an_error():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 2, 3)

        def forward(self, images):
            raise RuntimeError("no such thing")

    model = Fails().train()
    with pytest.raises(ValueError, match=r"model must run on the image.*no such thing"):
        FeatureRecorder(model, IMAGE)
    assert model.training and model.layer.training and not model.layer._forward_hooks


def test_the_recorder_follows_the_weights():
    model = plain()
    recorder = FeatureRecorder(model, IMAGE)
    before = recorder.maps(IMAGE[None], "0")
    with torch.no_grad():
        model[0].weight.mul_(2)
        model[0].bias.mul_(2)
    assert torch.allclose(recorder.maps(IMAGE[None], "0"), 2 * before)
    model.double()
    assert recorder.maps(IMAGE[None], "0").dtype == torch.float64


def test_the_recorder_follows_layers_that_prepare_their_weights_in_eval():
    class Prepared(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, 1, 3, 3))

        def train(self, mode=True):
            self.prepared = self.weight.detach().clone()
            return super().train(mode)

        def forward(self, images):
            return nn.functional.conv2d(images, self.prepared)

    model = Prepared()
    recorder = FeatureRecorder(model, IMAGE)
    before = recorder.maps(IMAGE[None], "output")
    with torch.no_grad():
        model.weight.mul_(3)
    assert torch.allclose(recorder.maps(IMAGE[None], "output"), 3 * before)
    assert not hasattr(model, "prepared")


def test_a_tensor_of_a_graph_kept_by_the_model_does_no_harm():
    model = plain()
    model.last = model[0](IMAGE[None])  # cannot be copied: it is part of a graph
    assert FeatureRecorder(model, IMAGE).layers


def test_looking_does_not_disturb_a_training_on_another_thread():
    model = plain().train()
    recorder = FeatureRecorder(model, IMAGE)
    modes, done = set(), threading.Event()

    def train():
        while not done.is_set():
            modes.update(module.training for module in model.modules())

    thread = threading.Thread(target=train)
    thread.start()
    for _ in range(50):
        recorder.maps(IMAGE[None], "4")
    done.set()
    thread.join()
    assert modes == {True}


def test_networks_inside_other_networks():
    task = RotationTask(cyclic(4))
    recorder = FeatureRecorder(PretextModel(GroupCNN(cyclic(4), channels=(2, 3)), task), IMAGE)
    assert all(layer.group == cyclic(4) for layer in recorder.layers.values())


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside another module"])
def test_escnn_modules_show_their_group_axis(inside):
    steerable = pytest.importorskip("eqssl_edu.steerable")
    plane = steerable.gspaces.flipRot2dOnR2(4)
    network = escnn_network(plane, plane.regular_repr)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network

        def forward(self, images):
            return self.inner(network.in_type(images)).tensor.mean((-2, -1))

    recorder = FeatureRecorder(Outer() if inside else network, IMAGE)
    names = [f"{'inner.' if inside else ''}{i}" for i in range(4)]
    assert list(recorder.layers) == names
    last = recorder.layers[names[3]]
    assert last.group == dihedral(4) and last.channels == 2 and last.convolves
    upright = recorder.maps(IMAGE[None], names[3])
    assert upright.shape == (1, 2, 8, 16, 16)
    for g in dihedral(4).elements:
        turned = recorder.maps(dihedral(4).transform(IMAGE, g)[None], names[3])
        expected = dihedral(4).transform_maps(upright, g)
        assert torch.allclose(turned, expected, atol=1e-4 * float(expected.abs().max()))
    assert not torch.allclose(turned, upright, atol=1e-2 * float(upright.abs().max()))


def test_escnn_fields_that_are_no_permutations_are_not_shown():
    steerable = pytest.importorskip("eqssl_edu.steerable")
    plane = steerable.gspaces.rot2dOnR2(8)
    images = steerable.enn.FieldType(plane, [plane.trivial_repr])
    vectors = steerable.enn.FieldType(plane, 2 * [plane.irrep(1)])
    with pytest.raises(ValueError, match="model must have a layer with feature maps"):
        FeatureRecorder(steerable.enn.R2Conv(images, vectors, kernel_size=3), IMAGE)


def test_trivial_fields_of_escnn_have_no_group_axis():
    steerable = pytest.importorskip("eqssl_edu.steerable")
    plane = steerable.gspaces.rot2dOnR2(4)
    recorder = FeatureRecorder(escnn_network(plane, plane.trivial_repr)[:1], IMAGE)
    assert recorder.layers["0"].group is None and recorder.maps(IMAGE[None], "0").shape == (1, 2, 16, 16)


def test_what_comes_behind_the_layer_is_not_run():
    class Head(nn.Module):
        runs = 0

        def forward(self, maps):
            Head.runs += 1
            return maps.mean((-2, -1))

    recorder = FeatureRecorder(nn.Sequential(plain(), Head()), IMAGE)
    recorder.maps(IMAGE[None], "0.4")
    assert Head.runs == 1  # the run that found the layers
