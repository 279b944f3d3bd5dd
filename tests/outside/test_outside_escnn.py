"""escnn networks as other people write them: they wrap their input, restrict groups, and are saved in either mode."""

import copy

import pytest
import torch
from torch import nn

from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.diagnostics.recorder import FeatureRecorder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import exactness_violations
from eqssl_edu.steerable import SteerableCNN, enn, from_escnn, gspaces
from eqssl_edu.widgets import FieldExplorer

C4, C8, D8, SO2 = gspaces.rot2dOnR2(4), gspaces.rot2dOnR2(8), gspaces.flipRot2dOnR2(8), gspaces.rot2dOnR2(-1)


def image(channels=1, side=17):
    return torch.rand(channels, side, side, generator=torch.Generator().manual_seed(0))


def convolution(plane, *fields, channels=1, **options):
    torch.manual_seed(0)
    images = enn.FieldType(plane, channels * [plane.trivial_repr])
    return enn.R2Conv(images, enn.FieldType(plane, list(fields)), 3, **options)


class OwnInput(nn.Module):
    """It has an ``in_type`` and takes plain tensors; with ``wrapped`` it wants them wrapped."""

    def __init__(self, wrapped=False):
        super().__init__()
        self.convolution, self.wrapped = convolution(C4, C4.regular_repr, channels=3), wrapped
        self.in_type = self.convolution.in_type

    def forward(self, x):
        return self.convolution(x if self.wrapped else enn.GeometricTensor(x, self.in_type)).tensor


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_network_gets_its_images_as_it_wants_them(wrapped):
    explorer = FieldExplorer(OwnInput(wrapped), image(3))
    explorer.set_state(angle=90.0, layer="convolution")
    assert explorer.errors()["C4 network"] < 1e-5
    assert exactness_violations(OwnInput(wrapped), 17) == {}


def test_bare_modules_are_judged():
    layer = convolution(C4, C4.regular_repr, channels=3, stride=2, padding=1)
    assert exactness_violations(layer, 17) == {}
    assert exactness_violations(layer, 16) == {"": (15, 17)}
    pooled = enn.SequentialModule(
        layer, enn.PointwiseMaxPool(layer.out_type, 2), enn.GroupPooling(layer.out_type)
    )
    assert exactness_violations(pooled, 17) == {"1": (8, 10)}
    assert exactness_violations(convolution(C8, C8.irrep(1)), 17) == {}
    for more, found in ((0, {}), (1, {"": ()})):
        back = enn.R2ConvTransposed(
            layer.in_type, layer.out_type, 3, stride=2, padding=1, output_padding=more
        )
        assert exactness_violations(back, 16) == found


def test_bare_modules_without_images_are_refused_in_words():
    with pytest.raises(ValueError, match="model must run on images of shape"):
        exactness_violations(convolution(C4, C4.regular_repr, channels=3), 17, in_channels=2)


def restricted():
    """D8, then D4: a regular field falls into two."""
    first = convolution(D8, D8.regular_repr, padding=1)
    restriction = enn.RestrictionModule(first.out_type, (0, 4))
    return enn.SequentialModule(first, restriction, enn.DisentangleModule(restriction.out_type))


def continuous():
    """SO(2), then C8."""
    first = convolution(SO2, *(SO2.irrep(k) for k in range(3)), padding=1)
    restriction = enn.RestrictionModule(first.out_type, 8)
    apart = enn.DisentangleModule(restriction.out_type)
    plane = apart.out_type.gspace
    last = enn.R2Conv(apart.out_type, enn.FieldType(plane, [plane.regular_repr]), 3, padding=1)
    return enn.SequentialModule(first, restriction, apart, last)


def test_fields_of_a_subgroup_have_its_group_axis():
    recorder = FeatureRecorder(restricted(), image())
    groups = {name: (layer.group, layer.channels) for name, layer in recorder.layers.items()}
    assert groups["0"] == (dihedral(8), 1)
    assert groups["1"] == groups["2"] == (dihedral(4), 2)
    explorer = FieldExplorer(restricted(), image())
    for layer in recorder.layers:
        explorer.set_state(angle=90.0, layer=layer)
        assert min(explorer.errors().values()) < 1e-5


def test_an_encoder_has_the_group_of_its_output():
    encoder = from_escnn(restricted())
    assert encoder.group == dihedral(4)
    assert equivariance_error(encoder, image()[None]).max() < 1e-5
    assert from_escnn(continuous()).group == cyclic(8)


def test_what_has_no_group_axis_says_which_fields():
    recorder = FeatureRecorder(continuous(), image())
    assert list(recorder.layers) == ["3"]
    assert recorder.layers["3"].group == cyclic(8)
    assert "SO(2)" in recorder.left_out["0"]
    assert "irrep_2" in recorder.left_out["2"]
    mixed = convolution(C8, C8.regular_repr, C8.irrep(1), C8.irrep(2))
    with pytest.raises(ValueError, match="escnn fields without a group axis: irrep_1, irrep_2"):
        FeatureRecorder(mixed, image())
    with pytest.raises(ValueError, match=r"permutations\), got irrep_1, irrep_2"):
        from_escnn(mixed)
    shown = convolution(C8, C8.regular_repr, C8.trivial_repr, C8.quotient_repr(4))
    assert FeatureRecorder(shown, image()).layers["output"].channels == 3


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("loaded", [True, False])
def test_a_checkpoint_of_either_mode_is_loaded_in_either_mode(saved, loaded):
    torch.manual_seed(0)
    module = enn.SequentialModule(
        convolution(C4, C4.regular_repr), enn.InnerBatchNorm(enn.FieldType(C4, [C4.regular_repr]))
    )
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 1
    state = module.train().train(saved).state_dict()  # as escnn itself saves it
    assert ("0.filter" in state) != saved
    encoder = from_escnn(other).train(loaded)
    encoder.maps.module.load_state_dict(state)
    x = image()[None]
    module.eval()
    encoder.eval()
    assert torch.allclose(encoder.feature_maps(x)[:, 0], module(module.in_type(x)).tensor, atol=1e-6)
    encoder.load_state_dict({f"maps.module.{name}": value for name, value in state.items()})
    assert "maps.module.0.filter" not in encoder.state_dict()


def test_channels_last_and_a_compiler_that_splits_the_graph(as_a_user):
    torch.manual_seed(0)
    network = SteerableCNN(cyclic(4), 3, (2, 3)).eval()
    x = image(3, 16)[None]
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    assert torch.allclose(last(x.to(memory_format=torch.channels_last)), network(x), atol=1e-5)
    torch._dynamo.reset()
    assert torch.allclose(torch.compile(network, backend="eager")(x), network(x), atol=1e-5)
