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

from eqssl_edu.contrastive import InfoNCE, orbit_distance
from eqssl_edu.contrastive.features import unit
from eqssl_edu.data import digits, glyphs, rotated
from eqssl_edu.data.letters import letters
from eqssl_edu.diagnostics import (
    alignment,
    equivariance_error,
    irrep_energy,
    nearest_element,
    orbit_collapse,
    rank_me,
    rotation_error,
    spread,
    turn_features,
    uniformity,
)
from eqssl_edu.diagnostics.recorder import FeatureRecorder
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.evaluation import extract, knn_probe, linear_probe, orbit_knn_accuracy, recalibrated
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.pretext import JigsawTask, PretextModel, RotationTask, Task, image_caps, verify
from eqssl_edu.rotate import rotate
from eqssl_edu.twins import Twin, copied
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import FieldExplorer

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
    other = NET.layer.register_forward_pre_hook(lambda *_: hooked.append(2))
    NET.train(), NET.layer.eval()
    images, runs, calls = X.clone(), NET.runs.clone(), len(NET.calls)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    answer = Twin(call)(images)
    assert len(NET.layer._forward_hooks) == len(NET.layer._forward_pre_hooks) == 1
    handle.remove(), other.remove()
    assert torch.allclose(answer, NET.layer(X - 0.5), atol=1e-6) and not answer.requires_grad
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
    "a loop": lambda model: (loop := {}, loop.update(loop=loop)),
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


# -- errors of equivariance ------------------------------------------------------------------------------------------

C4, G = cyclic(4), dihedral(4)


def turning(images):
    """An encoder that is exactly equivariant."""
    return torch.stack([C4.transform(images, int(C4.inverse[g]))[..., :4].mean((2, 3)) for g in range(4)], 2)


@pytest.mark.parametrize("scale", [1e-30, 1e-7, 1.0, 1e4, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_error_does_not_depend_on_the_size_of_numbers(scale, dtype):
    images = X.to(dtype) * scale
    assert equivariance_error(turning, images, C4).max() < 1e-6
    skew = lambda x: turning(x) * torch.tensor([1.0, 2, 3, 4]).to(x)  # noqa: E731
    assert equivariance_error(skew, images, C4).max() == pytest.approx(0.8, abs=0.2)
    assert rotation_error(1.5 * images, images, 0.0) == pytest.approx(0.5, rel=1e-6)


def test_half_precision_is_measured_finely():
    maps = torch.full((8, 64, 64, 64), 100.0)
    fine, coarse = (rotation_error(m, 1.5 * m, 90.0) for m in (maps, maps.half()))
    assert fine == pytest.approx(1 / 3) and coarse == pytest.approx(1 / 3)

    def large(x):  # the norm is beyond half precision
        return turning(x.float()).half() * 3000

    skew = lambda x: large(x) * torch.tensor([1.0, 2, 3, 4]).half()  # noqa: E731
    assert equivariance_error(large, X, C4).max() < 1e-3 < 0.5 < equivariance_error(skew, X, C4).max()


def test_bytes_do_not_wrap():
    levels = lambda x: (turning(x) * 255).byte()  # noqa: E731
    assert equivariance_error(levels, X, C4).max() < 0.02
    assert 0.01 < equivariance_error(levels, X, C4, transform_outputs=lambda y, g: y).max() < 1


def test_training_mode_dropout_and_batch_norm_are_not_measured():
    model = nn.Sequential(GroupCNN(G), nn.Dropout(0.3)).train()
    before = copy.deepcopy(model.state_dict())
    for call in (model, lambda x: model(x), model.forward):
        assert equivariance_error(call, torch.rand(4, 1, 16, 16), G).max() < 1e-5
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


SPOILED = X.clone()
SPOILED[1, 0, 3, 3], SPOILED[3, 0, 0, 0] = torch.nan, torch.inf
WRONG = Task(
    GSet.regular(C4), lambda x, l: torch.stack([a.roll(int(k), -1) for a, k in zip(x, l, strict=True)])
)
Z, LABELS = torch.randn(20, 3, 4), torch.arange(20) % 3
NAN = Z.clone()
NAN[3, 0, 0] = torch.nan
ROWS, BAD = (Z.flatten(1), LABELS), (NAN.flatten(1), LABELS)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: verify(WRONG, SPOILED), r"images must hold finite .* at 1, 3 of"),
        (lambda: verify(JigsawTask(C4, 2, action="left"), SPOILED), r"images must .* at 1, 3 of"),
        (lambda: verify(Task(GSet.regular(C4), lambda x, l: x.log()), 0 * X), r"task.apply\(.* finite"),
        (lambda: image_caps(RotationTask(C4), SPOILED), r"images must .* at 1, 3 of"),
        (
            lambda: PretextModel(GroupCNN(C4), RotationTask(C4)).evaluate(SPOILED),
            r"images must .* at 1, 3 of",
        ),
        (lambda: equivariance_error(turning, SPOILED, C4), r"inputs must .* at 1, 3 of"),
        (
            lambda: equivariance_error(lambda x: turning(x).log() * torch.inf, X, C4),
            r"model\(inputs\) must .* finite",
        ),
        (lambda: rotation_error(SPOILED, X, 90.0), r"maps_of_turned must .* at 1, 3 of"),
        (lambda: orbit_knn_accuracy(C4, (NAN, LABELS), (Z, LABELS)), r"reference must .* at 3 of"),
        (lambda: orbit_knn_accuracy(C4, (Z, LABELS), (NAN, LABELS)), r"queries must .* at 3 of"),
        (lambda: linear_probe(*BAD, ROWS), r"features must .* at 3 of"),
        (lambda: linear_probe(*ROWS, BAD), r"features must .* at 3 of"),
        (lambda: knn_probe(*BAD), r"features must .* at 3 of"),
        (lambda: recalibrated(GroupCNN(C4), SPOILED), r"images must .* at 1, 3 of"),
        (lambda: rotate(X, torch.tensor([0.0, torch.nan, 0, 0])), "degrees must"),
        (lambda: rotate(X, torch.nan), "degrees must"),
        (lambda: rotate((255 * X).byte(), 30.0), "images must"),
        (lambda: rotate(X.to(torch.complex64), 90.0), "images must"),
        (lambda: WRONG.apply(X, torch.tensor([-1, 0, 0, 0])), "labels must hold integers 0 .. 3"),
        (lambda: WRONG.apply(X, torch.tensor([1])), "labels must"),
        (lambda: extract(GroupCNN(C4), (255 * X).byte()), "images must"),
        (
            lambda: RandomView(C4, inversion=1.0)(torch.rand(4, 13, 16, 16) * 1e4),
            r"images .* 0 .. 1, got .*limits=",
        ),
        (lambda: RandomView(C4)(255 * X), r"images .* 0 .. 1, got .*limits="),
        (lambda: RandomView(C4)(SPOILED), "images must"),
        (lambda: RandomView(limits=(1, 0)), r"limits\[1\] must"),
        (lambda: irrep_energy(C4, Z.to(torch.complex64)), "z must hold floating-point"),
    ],
)
def test_what_cannot_be_right_is_refused(as_a_user, call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_nan_is_no_right_answer():
    model = PretextModel(GroupCNN(C4), RotationTask(C4))
    with torch.no_grad():
        model.head.weight.fill_(torch.nan)
    assert model.training_step(X)["accuracy"] == 0
    with pytest.raises(ValueError, match="loss of the model must be finite"):
        model.evaluate(X)
    for measure in (spread, rank_me, lambda z: alignment(C4, z, Z), lambda z: uniformity(C4, z)):
        assert np.isnan(measure(NAN))
    assert (
        orbit_collapse(C4, NAN).verdict
        == orbit_collapse(C4, NAN.nan_to_num(torch.inf)).verdict
        == "not finite"
    )


# -- numbers of any size, angles, views, types -----------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e4])
def test_verify_is_relative(scale):
    assert not verify(WRONG, scale * X).ok

    def brighter(images, labels):  # as real tasks do: numbers, and so rounding
        return images * (1.1 + 0.1 * labels[:, None, None, None]) / 1.1 * 1.1

    assert verify(Task(GSet.trivial(C4, 3), brighter), scale * X).ok
    assert not verify(WRONG, scale * torch.ones(2, 1, 8, 8)).ok  # no witness


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1.0, 1e30, 1e37])
def test_features_of_any_size(scale):
    z = scale * Z
    assert orbit_collapse(C4, z).verdict == "none"
    assert orbit_collapse(C4, z)[:3] == pytest.approx(orbit_collapse(C4, Z)[:3], abs=1e-5)
    assert rank_me(z) == pytest.approx(rank_me(Z), rel=1e-4)
    assert alignment(C4, z, z.flip(0)) == pytest.approx(alignment(C4, Z, Z.flip(0)), rel=1e-4)
    assert orbit_knn_accuracy(C4, (z, LABELS), (z, LABELS)) == 1
    assert torch.allclose(
        orbit_distance(C4, z, z.flip(0)) / scale, orbit_distance(C4, Z, Z.flip(0)), atol=5e-3
    )
    assert torch.allclose(InfoNCE(C4)(z, z.flip(0)), InfoNCE(C4)(Z, Z.flip(0)), rtol=1e-5)
    assert torch.allclose(unit(z).flatten(1).norm(dim=1), torch.ones(20))
    probe = knn_probe(z.flatten(1), LABELS)
    assert probe.score(z.flatten(1).numpy(), LABELS.numpy()) == 1


@pytest.mark.parametrize("turns", [1, 10**6, 10**9])
def test_huge_angles(turns):
    for degrees in (30.0, 90.0, -45.0):
        assert torch.allclose(rotate(X, degrees + 360.0 * turns), rotate(X, degrees), atol=1e-5)
        angles = torch.full((4,), degrees + 360.0 * turns, dtype=torch.float64)
        assert torch.allclose(rotate(X, angles), rotate(X, degrees), atol=1e-5)
        assert torch.allclose(
            turn_features(C4, Z, degrees + 360.0 * turns), turn_features(C4, Z, degrees), atol=1e-5
        )
        assert nearest_element(C4, degrees + 360.0 * turns) == nearest_element(C4, degrees)


def test_half_precision_works_on_the_cpu():
    half = X.half()
    assert torch.allclose(rotate(half, 30.0).float(), rotate(X, 30.0), atol=2e-3)
    assert turn_features(C4, Z.half(), 30.0).dtype == torch.float16
    assert RandomView(C4)(half, torch.Generator().manual_seed(0)).dtype == torch.float16


def test_views_keep_to_the_limits_that_are_said():
    images, draws = torch.rand(6, 2, 8, 8), [torch.Generator().manual_seed(0) for _ in range(2)]
    view = {"texture": 0.3, "inversion": 0.5, "crop": 0.2}
    wide = RandomView(C4, **view, limits=(-2.0, 10.0))(images * 12 - 2, draws[0])
    assert torch.allclose(wide, RandomView(C4, **view)(images, draws[1]) * 12 - 2, atol=1e-4)


@pytest.fixture
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_everything_follows_the_default_type(in_double):
    found = digits(16).test, glyphs(counts=(26, 26, 26)).test
    for images in (part.images[:6] for part in found):
        encoder = GroupCNN(C4, channels=(2, 3))
        assert images.dtype == encoder(images).dtype == rotated(images).dtype == torch.float64
        assert equivariance_error(encoder, images).max() < 1e-12
        explorer = FieldExplorer(encoder, images[0])
        explorer.set_state(angle=90.0)
        assert max(explorer.errors().values()) < 1e-12
        assert (
            verify(JigsawTask(C4, 2), images).ok
            and RandomView(C4, texture=0.2)(images).dtype == torch.float64
        )
    assert letters()["A"].dtype == torch.float64


def test_embedded_data_are_the_same_in_every_type_and_on_every_default_device(in_double):
    double = glyphs(counts=(26, 26, 26), seed=5).test.images
    torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        assert torch.equal(glyphs(counts=(26, 26, 26), seed=5).test.images.double(), double)
        images = digits(16).test.images[:4]
        assert verify(RotationTask(C4), images).ok and RandomView(C4)(images).device.type == "cpu"
        assert rotated(images).isfinite().all()


# -- unusual tensors -------------------------------------------------------------------------------------------------


def inference(tensor):
    with torch.inference_mode():
        return tensor.clone()


class Tagged(torch.Tensor):
    pass


KINDS = {
    "one image": lambda x: x[:1],
    "not contiguous": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "expanded": lambda x: x[:1].expand(4, 1, 8, 8),
    "with gradient": lambda x: x.clone().requires_grad_(),
    "inference": inference,
    "a subclass": lambda x: x.as_subclass(Tagged),
}


@pytest.mark.parametrize("kind", KINDS)
def test_unusual_tensors(kind):
    images = KINDS[kind](X)
    plain = images.detach().clone().as_subclass(torch.Tensor).contiguous()
    encoder = GroupCNN(C4, channels=(2, 3))
    assert torch.allclose(extract(encoder, images), extract(encoder, plain), atol=1e-6)
    assert torch.allclose(equivariance_error(encoder, images), equivariance_error(encoder, plain), atol=1e-6)
    assert verify(JigsawTask(C4, 2), images).ok and not verify(WRONG, images).ok
    assert torch.allclose(rotate(images, 30.0), rotate(plain, 30.0), atol=1e-6)
    assert RandomView(C4)(images).shape == images.shape
    features = encoder(plain).detach()
    assert spread(features) >= 0 and rank_me(features) > 0 and image_caps(RotationTask(C4), images).min() > 0
    assert PretextModel(encoder, RotationTask(C4)).evaluate(images)[0] > 0
    assert torch.equal(images.detach(), plain)
