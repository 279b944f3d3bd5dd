"""The |G| transformed copies of a weight, in every layer that is made of them: values, gradients, precision."""

import pytest
import torch
from families import by_name

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, GroupLinear, LiftingConv2d, convolutions
from eqssl_edu.layers.weight_copies import transformed_copies

GROUPS = [cyclic(1), cyclic(4), dihedral(4)]
LAYERS = {
    "lifting": lambda group: LiftingConv2d(group, 2, 3, 2),
    "convolution": lambda group: GroupConv2d(group, 2, 3, 2),
    "linear": lambda group: GroupLinear(group, 2, 3),
}


@pytest.fixture(params=LAYERS)
def kind(request):
    return request.param


def copies_of(layer, weight):
    return transformed_copies(weight, layer.table, layer.places, len(weight), *layer.table.shape)


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_copies_and_their_gradient_are_those_of_plain_indexing(group, kind):
    layer = LAYERS[kind](group).double()
    weight = layer.weight.flatten(1).detach().requires_grad_()
    indexed, gathered = weight[:, layer.table], copies_of(layer, weight)
    assert torch.equal(gathered, indexed)
    slope = torch.randn_like(indexed)
    first, second = (torch.autograd.grad((y * slope).sum(), weight)[0] for y in (gathered, indexed))
    assert (first - second).abs().max() < 1e-12
    assert torch.autograd.gradcheck(lambda weight: copies_of(layer, weight), weight, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda weight: copies_of(layer, weight).pow(3), weight)


def test_functions_of_torch_func_work_as_for_plain_indexing(kind):
    """Gradients of each sample, and second derivatives."""
    layer = LAYERS[kind](cyclic(4)).double()
    shape = {"lifting": (5, 2, 4, 4), "convolution": (5, 2, 4, 4, 4), "linear": (5, 2, 4)}[kind]
    x = torch.randn(shape, dtype=torch.float64)

    def loss(weight, sample):
        return torch.func.functional_call(layer, {"weight": weight}, (sample[None],)).pow(3).sum()

    weight = layer.weight.detach()
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weight, x)
    for gradient, sample in zip(each, x, strict=True):
        (wanted,) = torch.autograd.grad(loss(layer.weight, sample), layer.weight)
        assert (gradient - wanted).abs().max() < 1e-10 * wanted.abs().max()
    hessian = torch.func.hessian(loss)(weight, x[0]).flatten(0, weight.ndim - 1).flatten(1)
    wanted = torch.autograd.functional.hessian(lambda w: loss(w, x[0]), weight).reshape(hessian.shape)
    assert (hessian - wanted).abs().max() < 1e-10 * wanted.abs().max()


def test_shapes_can_be_computed_without_numbers(kind):
    layer = LAYERS[kind](cyclic(4)).to("meta")
    shape = {"lifting": (5, 2, 4, 4), "convolution": (5, 2, 4, 4, 4), "linear": (5, 2, 4)}[kind]
    assert layer(torch.rand(shape, device="meta")).shape[:3] == (5, 3, 4)


def test_autocast_rounds_the_weight_and_adds_up_its_gradient_in_full(kind):
    layer = LAYERS[kind](dihedral(4))
    exact = layer.expanded_weight()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = layer.expanded_weight()
    assert torch.equal(rounded, exact.to(torch.bfloat16)) and not torch.equal(rounded.float(), exact)
    slope = torch.randn_like(
        rounded
    )  # eight different numbers meet in one entry: their sum needs more digits
    (gradient,) = torch.autograd.grad(rounded, layer.weight, slope)
    (wanted,) = torch.autograd.grad(exact, layer.weight, slope.float())
    assert gradient.dtype == torch.float32
    assert (gradient - wanted).abs().max() < 1e-5 < (wanted.bfloat16() - wanted).abs().max()


def test_autocast_leaves_double_precision_alone(kind):
    layer = LAYERS[kind](cyclic(4)).double()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.expanded_weight().dtype == torch.float64


CONVOLUTIONS = {
    "lifting": (LiftingConv2d, (2, 3, 8, 8)),
    "convolution": (GroupConv2d, (2, 12, 8, 8)),
    "kernel of one pixel": (GroupConv2d, (2, 12, 8, 8)),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_the_kernel_lies_in_memory_as_the_input_does(case, monkeypatch):
    """Same numbers and gradients; the convolution, which would copy another kernel, is given the right one."""
    layer_type, shape = CONVOLUTIONS[case]
    group, channels = cyclic(4), 3 if shape[1] > 1 else 1
    layer = layer_type(group, channels, 5, 1 if "pixel" in case else 3).double()
    kernels, conv2d = [], convolutions.F.conv2d

    def watched(planes, kernel, *arguments):
        kernels.append(kernel)
        return conv2d(planes, kernel, *arguments)

    monkeypatch.setattr(convolutions.F, "conv2d", watched)
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        planes = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        planes = planes.to(memory_format=order).requires_grad_()
        x = planes if layer_type is LiftingConv2d else planes.unflatten(1, (channels, 4))
        out = layer(x).flatten(1, 2)
        assert kernels[-1].is_contiguous(memory_format=order) and out.is_contiguous(memory_format=order)
        slope = torch.rand(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        found.append((out, *torch.autograd.grad((out * slope).sum(), (layer.weight, layer.bias, planes))))
    for contiguous, last in zip(*found, strict=True):
        assert (contiguous - last).abs().max() < 1e-12
