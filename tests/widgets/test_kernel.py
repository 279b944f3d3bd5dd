"""KernelExplorer without a screen: copies, windows and responses are those of the layer."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.widgets import KernelExplorer
from eqssl_edu.widgets.kernel import default_image

KINDS = [LiftingConv2d, GroupConv2d]
over_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
over_groups = pytest.mark.parametrize("group", [cyclic(1), dihedral(4)], ids=str)


def layer_of(kind, group, channels=(2, 3), kernel_size=3, stride=1, padding=1, bias=True):
    torch.manual_seed(0)
    layer = kind(group, *channels, kernel_size, stride, padding, bias).double()
    if bias:
        nn.init.normal_(layer.bias)
    return layer


def image_for(layer, side=9):
    planes = (layer.group.order,) if isinstance(layer, GroupConv2d) else ()
    generator = torch.Generator().manual_seed(1)
    return torch.randn(layer.in_channels, *planes, side, side, generator=generator, dtype=torch.float64)


def explorer_of(kind, group, **options):
    layer = layer_of(kind, group, **options)
    return KernelExplorer(layer, image_for(layer)), layer


def floats(explorer, name):
    return torch.tensor(np.frombuffer(explorer.values[name], np.float32)).double()


# -- the numbers ---------------------------------------------------------------------------------------------


@over_groups
@over_kinds
def test_copies_are_the_expanded_weight(kind, group):
    explorer, layer = explorer_of(kind, group)
    explorer.set_state(out_channel=2, in_channel=1)
    order, planes = group.order, group.order if kind is GroupConv2d else 1
    expanded = layer.expanded_weight().detach().reshape(3, order, 2, planes, 3, 3)
    copies = floats(explorer, "copies").reshape(order, planes, 3, 3)
    assert (copies - expanded[2, :, 1]).abs().max() < 1e-6
    # The base filter is copy e, and the table says where each of its weights stands in each copy.
    base_filter = layer.weight.detach()[2, 1].flatten()
    for g in group.elements:
        assert (copies[g].flatten() - base_filter[explorer.facts["table"][g]]).abs().max() < 1e-6
        for h in range(planes):
            source = explorer.facts["sources"][g][h] if planes > 1 else 0
            turned = group.transform(base_filter.reshape(planes, 3, 3)[source], g)
            assert (copies[g, h] - turned).abs().max() < 1e-6


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 0}, {"padding": 2, "bias": False}], ids=str)
@over_groups
@over_kinds
def test_responses_are_the_output_of_the_layer_everywhere(kind, group, options):
    explorer, layer = explorer_of(kind, group, **options)
    with torch.no_grad():
        output = layer(image_for(layer)[None])[0]
    side = output.shape[-1]
    assert explorer.facts["places"] == side
    for row, column in {(0, 0), (0, side - 1), (side - 1, 0), (side // 2, 1), (side - 1, side - 1)}:
        explorer.set_state(out_channel=1, in_channel=0, row=row, column=column)
        responses = torch.tensor(explorer.responses(), dtype=torch.float64)
        assert (responses - output[1, :, row, column]).abs().max() < 1e-6
        assert (torch.tensor(explorer.values["output"]) - output[1, :, row, column]).abs().max() < 1e-6
        assert responses.abs().max() > 1e-3


@over_kinds
def test_shares_of_the_channels_add_up(kind):
    explorer, layer = explorer_of(kind, dihedral(4))
    shares = []
    for channel in range(2):
        explorer.set_state(in_channel=channel)
        shares.append(torch.tensor(explorer.values["shares"]))
    total = sum(shares) + layer.bias[0].item()
    assert (total - torch.tensor(explorer.responses())).abs().max() < 1e-6


@over_kinds
def test_the_window_reads_the_padded_image(kind):
    explorer, layer = explorer_of(kind, cyclic(4), stride=2, padding=2, kernel_size=3)
    explorer.set_state(in_channel=1, row=1, column=3)
    padded = F.pad(image_for(layer)[1], [2] * 4)
    top, left = explorer.values["window"]
    assert (top, left) == (2, 6)
    patch = floats(explorer, "patch").reshape(-1, 3, 3)
    assert (patch - padded.reshape(-1, 13, 13)[:, 2:5, 6:9]).abs().max() < 1e-6
    seen = np.frombuffer(explorer.values["input"], np.uint8).reshape(-1, 13, 13)
    assert len(set(seen[:, 0].flatten())) == 1  # the zeros of the padding have one colour
    assert len(set(seen.flatten())) > 50


def test_turning_the_image_moves_the_responses_along_the_group_axis():
    """The reason for all copies: the same numbers come out, at other elements."""
    group = dihedral(4)
    layer = layer_of(LiftingConv2d, group, channels=(1, 1))
    image = image_for(layer)
    upright = KernelExplorer(layer, image)
    upright.set_state(row=4, column=4)  # the centre of 9 x 9 stays where it is
    for a in group.elements:
        turned = KernelExplorer(layer, group.transform(image, a))
        moved = group.transform_features(torch.tensor(upright.responses()), a)
        assert (moved - torch.tensor(turned.responses())).abs().max() < 1e-6
    assert np.ptp(upright.responses()) > 0.1


# -- weights by hand -----------------------------------------------------------------------------------------


@over_kinds
def test_a_weight_changes_the_layer_and_all_copies(kind):
    explorer, layer = explorer_of(kind, dihedral(4))
    before = layer.weight.detach().clone()
    copies, responses = floats(explorer, "copies"), explorer.responses()
    kernel = explorer.state()["kernel"]
    kernel[1] += 0.5
    explorer.set_state(kernel=kernel)
    change = (layer.weight.detach() - before).flatten(2)
    assert change[0, 0, 1] == pytest.approx(0.5)
    change[0, 0, 1] = 0
    assert (change == 0).all()
    moved = (floats(explorer, "copies") - copies).reshape(8, -1)
    assert ((moved - 0.5).abs() < 1e-6).sum(dim=1).tolist() == [1] * 8  # one place in each copy
    assert (moved.abs() > 1e-6).sum() == 8
    assert explorer.responses() != responses
    with torch.no_grad():
        row, column = explorer.state()["row"], explorer.state()["column"]
        output = layer(image_for(layer)[None])[0, 0, :, row, column]
    assert (torch.tensor(explorer.responses()) - output).abs().max() < 1e-6


def test_reset_brings_a_filter_back():
    explorer, layer = explorer_of(LiftingConv2d, cyclic(4))
    before = layer.weight.detach().clone()
    explorer.set_state(out_channel=1, kernel=[1.0] * 9)
    explorer.set_state(out_channel=2, kernel=[2.0] * 9)
    explorer.set_state(kernel=None)
    assert torch.equal(layer.weight[2], before[2])
    assert (layer.weight[1, 0] == 1).all()
    explorer.set_state(out_channel=1, kernel=None)
    assert torch.equal(layer.weight.detach(), before)


def test_a_training_in_between_is_not_undone():
    explorer, layer = explorer_of(LiftingConv2d, cyclic(4))
    with torch.no_grad():
        layer.weight += 1
    now = layer.weight.detach().clone()
    explorer.set_state(row=0)
    assert torch.equal(layer.weight.detach(), now)
    assert explorer.state()["kernel"] == now[0, 0].flatten().tolist()


def test_looking_changes_nothing():
    explorer, layer = explorer_of(GroupConv2d, dihedral(4))
    layer.weight.grad = torch.ones_like(layer.weight)
    weight, random, version = layer.weight.detach().clone(), torch.get_rng_state(), layer.weight._version
    for channel in range(3):
        explorer.set_state(out_channel=channel, in_channel=1, row=1)
    assert torch.equal(layer.weight.detach(), weight) and layer.weight._version == version
    assert layer.weight.requires_grad and (layer.weight.grad == 1).all()
    assert torch.equal(torch.get_rng_state(), random)


def test_colours_reach_as_far_as_the_weights():
    explorer, layer = explorer_of(LiftingConv2d, cyclic(4))
    reach = explorer.values["reach"]
    assert reach >= 1.25 * layer.weight.abs().max().item() * (1 - 1e-6)
    explorer.set_state(kernel=[reach, *[0.0] * 8])
    assert explorer.values["reach"] == reach  # a hand that stays on the scale does not change it
    explorer.set_state(kernel=[30.0, *[0.0] * 8])
    assert explorer.values["reach"] == 50


# -- the widget ----------------------------------------------------------------------------------------------


def test_readout_says_which_copy_answers_most():
    explorer, _ = explorer_of(LiftingConv2d, cyclic(4))
    explorer.set_state(out_channel=1, row=2, column=0)
    best = int(np.argmax(explorer.responses()))
    assert explorer.readout.startswith(
        "Filter from input channel 1 to output channel 2. Window at row 3, column 1:"
    )
    assert (
        f"copy {cyclic(4).element_name(best)} gives the largest answer, {max(explorer.responses()):.3f}."
        in explorer.readout
    )
    assert explorer.values["best"] == [best]


def test_readout_of_a_tie():
    layer = layer_of(LiftingConv2d, cyclic(4), channels=(1, 1))
    explorer = KernelExplorer(layer, image_for(layer))
    for bias, said in [(0.0, "0.000"), (-0.1, "-0.100"), (-1e-5, "0.000")]:
        nn.init.constant_(layer.bias, bias)
        explorer.set_state(kernel=[0.0] * 9)
        assert explorer.readout.endswith(f"all 4 copies answer {said}.") and explorer.values["best"] == []
    nn.init.zeros_(layer.bias)
    bright = KernelExplorer(layer, torch.ones(1, 9, 9))
    # At the upper border an upright bar loses a pixel.
    bright.set_state(kernel=[0.0, 1.0, 0.0] * 3, row=0, column=4)
    assert bright.readout.endswith("copies r90 and r270 give the largest answer, 3.000.")
    alone = layer_of(LiftingConv2d, cyclic(1), channels=(1, 1))
    assert "copy e gives the largest answer" in KernelExplorer(alone, image_for(alone)).readout


@over_kinds
def test_a_default_image(kind):
    layer = layer_of(kind, dihedral(4)).float()
    explorer = KernelExplorer(layer)
    image = default_image(layer)
    assert image.shape[:-2] == ((2, 8) if kind is GroupConv2d else (2,))
    assert image.max() > 0.5
    assert explorer.state()["row"] == 7
    if kind is GroupConv2d:
        assert not any(torch.equal(image[0, 0], image[0, g]) for g in range(1, 8))


def test_a_page_holds_every_place_of_one_filter():
    explorer, layer = explorer_of(LiftingConv2d, cyclic(4))
    weight = layer.weight.detach().clone()
    states = explorer.frozen_states()
    assert len(states) == 81 and all(state.keys() == {"row", "column"} for state in states)
    explorer.frozen({**explorer.state(), **states[5]})
    assert torch.equal(layer.weight.detach(), weight)
    assert explorer.frozen_facts(states)["editable"] is False
