"""Numbers that lie: other people's networks are looked at as they are now, and left as they were."""

import copy
import functools
import random
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from eqssl_edu.diagnostics.recorder import FeatureRecorder
from eqssl_edu.twins import Twin, copied

X = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5))


class InPlace(nn.Module):
    """Works in place, counts its calls in a buffer and in a list, and draws random numbers, also in evaluation."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls, self.held = nn.Conv2d(1, 1, 3, padding=1), [], {}
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, images):
        images -= 0.5
        self.runs += 1
        self.calls.append(1)
        random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
        return self.layer(images)


class Method(InPlace):
    """Is called through a method, a closure, a global, or a partial."""

    def maps(self, images):
        return self(images)


NET = Method()


@pytest.mark.parametrize(
    "call",
    [
        NET,
        NET.maps,
        functools.partial(NET.maps),
        lambda images: NET(images),
        lambda images: torch.cat([NET(image[None]) for image in images]),
        (lambda net: lambda images: net.maps(images))(NET),
    ],
    ids=["module", "method", "partial", "global", "nested", "closure"],
)
def test_whatever_runs_leaves_everything_as_it_was(as_a_user, call):
    hooked = []
    handle = NET.layer.register_forward_hook(lambda *_: hooked.append(1))
    NET.train(), NET.layer.eval()
    images, runs, calls = X.clone(), NET.runs.clone(), len(NET.calls)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    answer = Twin(call)(images)
    handle.remove()
    assert torch.allclose(answer, NET.layer(X - 0.5)) and not answer.requires_grad
    assert torch.equal(images, X) and torch.equal(NET.runs, runs) and not hooked
    assert NET.training and not NET.layer.training
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002
    assert call is not NET or len(NET.calls) == calls


def test_the_twin_is_in_evaluation_mode_and_the_network_keeps_its_statistics():
    model = network().train()
    before = copy.deepcopy(model.state_dict())
    assert torch.equal(Twin(model)(X), copy.deepcopy(model).eval()(X)) and model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def weight_norm(layer):
    return nn.utils.weight_norm(layer)


def lazy(layer):
    return nn.Sequential(nn.LazyConv2d(4, 3))


def pruned(layer):
    return prune.l1_unstructured(layer, "weight", 0.5)


class OwnHook(nn.Module):
    """A network that is built on a hook of its own."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.seen = layer, {}
        layer.register_forward_hook(self.look)

    def look(self, _module, _inputs, output):
        self.seen["maps"] = output

    def forward(self, images):
        self.layer(images)
        return self.seen.pop("maps")


HOOKED = [weight_norm, nn.utils.spectral_norm, parametrizations.weight_norm, parametrizations.spectral_norm]


@pytest.mark.parametrize("wrap", [*HOOKED, pruned, OwnHook, lazy], ids=lambda wrap: wrap.__qualname__)
@pytest.mark.filterwarnings("ignore")
def test_hooks_that_a_network_needs_go_on_working(wrap):
    torch.manual_seed(0)
    model = wrap(nn.Conv2d(1, 4, 3)).eval()
    twin = Twin(model)
    first = twin(X)
    assert torch.equal(first, twin(X))
    assert wrap is not lazy or isinstance(model[0], nn.LazyConv2d)
    assert torch.allclose(first, model(X), atol=1e-6)
    if wrap is not lazy:
        with torch.no_grad():
            next(model.parameters()).mul_(3)
    assert torch.allclose(twin(X), model(X), atol=1e-6)


def fused(model):
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(X).sum().backward()
    optimiser.step()


def foreach(model):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, foreach=True)
    model(X).sum().backward()
    optimiser.step()


def vector(model):
    numbers = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(numbers * 1.5, model.parameters())


def swapped(model):
    weight = model[0].weight.data
    weight[[0, 1]] = weight[[1, 0]]


def replaced(model):
    model[0] = nn.Conv2d(1, len(model[0].bias), 3)


CHANGES = {
    "fused": fused,
    "foreach": foreach,
    "vector_to_parameters": vector,
    "data": lambda model: model[0].weight.data.mul_(1.001),
    "one weight": lambda model: model[0].weight.data[3, 0, 2, 2].add_(1e-6),
    "numpy": lambda model: np.copyto(model[0].weight.detach().numpy(), 0.5),
    "channels that change places": swapped,
    "a buffer": lambda model: model[1].running_mean.data.add_(1),
    "eps": lambda model: setattr(model[1], "eps", 0.3),
    "slope": lambda model: setattr(model[2], "negative_slope", 0.3),
    "another layer": replaced,
    "one layer more": lambda model: model.append(nn.Tanh()),
    "one layer less": lambda model: model.pop(2),
    "a plain tensor": lambda model: model[4].scale.mul_(2),
    "a list": lambda model: model[4].factors.__setitem__(0, 5.0),
}


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.factors = torch.ones(()), [1.0]

    def forward(self, images):
        return self.scale * self.factors[0] * images


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("width", [4, 300], ids=["small", "large"])
def test_every_change_of_a_network_is_seen(change, width):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, width, 9, padding=4), nn.BatchNorm2d(width), nn.LeakyReLU(), nn.Identity(), Scaled()
    model = nn.Sequential(*layers)
    twin = Twin(model)
    before, version = twin(X), twin.version
    assert torch.equal(twin(X), before) and twin.version == version  # nothing changes, nothing is copied
    CHANGES[change](model)
    after = twin(X)
    assert twin.version > version and not torch.equal(after, before)
    assert torch.equal(after, copy.deepcopy(model).eval()(X))


class Odd(nn.Module):
    """What people keep in a network, and deepcopy does not like."""

    def __init__(self, kept):
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3)
        self.kept = kept(self)

    def forward(self, images):
        return self.layer(images)


ODD = {
    "lock": lambda _: threading.Lock(),
    "file": lambda _: open(__file__),  # noqa: SIM115
    "generator": lambda _: (i for i in range(3)),
    "optimiser": lambda model: torch.optim.Adam(model.parameters()),
    "graphs": lambda model: {"maps": [model.layer(X)]},
    "itself": lambda model: [model.forward, threading.Lock()],
}


@pytest.mark.parametrize("kept", ODD)
def test_what_a_network_keeps_does_no_harm(kept):
    model = Odd(ODD[kept])
    twin = Twin(model)
    assert torch.equal(twin(X), model.layer(X))
    fused(model)
    assert torch.equal(twin(X), model.layer(X)) and twin.module is not model
    assert FeatureRecorder(model, X[0]).layers


@pytest.mark.filterwarnings("ignore")
def test_scripted_traced_and_exported_networks():
    model = network().eval()
    expected = model(X)
    for made in (torch.jit.script(network()), torch.jit.trace(model, X), torch.fx.symbolic_trace(network())):
        twin = Twin(made)
        assert torch.allclose(twin(X), expected, atol=1e-6)
        with torch.no_grad():
            for tensor in made.parameters():
                tensor.zero_()
        assert not twin(X).any()


def test_a_network_that_cannot_be_copied_runs_itself_or_is_refused_in_words():
    class Never(Odd):
        def __deepcopy__(self, memo):
            raise RuntimeError("there is one of me")

    model = Never(lambda _: None)
    assert torch.equal(Twin(model)(X), model.layer(X)) and model.training
    with pytest.raises(
        TypeError, match=r"(?s)model must be one that copy.deepcopy can copy.*there is one of me"
    ):
        copied(model)
