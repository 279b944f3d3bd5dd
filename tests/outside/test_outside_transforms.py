"""What torch can do with a network: other memory formats, one compiled graph, functions of its weights, an export."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, stack_module_state, vmap

from eqssl_edu.contrastive import (
    BYOL,
    SIMILARITIES,
    BarlowTwins,
    ContrastiveModel,
    InfoNCE,
    MoCo,
    SimSiam,
    VICReg,
    orbit_correlation,
    orbit_distance,
    orbit_similarity,
)
from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.pretext import JigsawTask, PretextModel, RelativeLocationTask, RotationTask

pytestmark = pytest.mark.usefixtures("as_a_user")  # a compiler cannot follow the checks of annotations

C4, D4 = cyclic(4), dihedral(4)


def encoder(group=C4):
    return GroupCNN(group, 3, (4, 6))


def plain():
    layers = [nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()]
    return SymmetrizedEncoder(D4, nn.Sequential(*layers, nn.Linear(400, 5)))


NETWORKS = {
    "GroupCNN": encoder,
    "GroupCNN, D4": lambda: encoder(D4),
    "GroupResNet": lambda: GroupResNet(C4, 3, 2),
    "symmetrised": plain,
    "rotation": lambda: PretextModel(encoder(), RotationTask(C4)),
    "location": lambda: PretextModel(encoder(), RelativeLocationTask(C4, 4)),
    "jigsaw": lambda: PretextModel(encoder(), JigsawTask(C4, 2)),
}


def made(name):
    """A network in double precision, with batch statistics of its own, and inputs for it."""
    torch.manual_seed(0)
    network = NETWORKS[name]().double()
    x = torch.rand(4, 3, 20, 20, dtype=torch.float64)
    if isinstance(network, PretextModel):
        x = network.task.sample(x, torch.Generator().manual_seed(0))[0]
    network(x)
    return network, x


for_all = pytest.mark.parametrize("name", NETWORKS)


def gradients(network, x):
    network.zero_grad()
    out = network(x)
    out.square().sum().backward()
    return out.detach(), {name: parameter.grad.clone() for name, parameter in network.named_parameters()}


def assert_alike(one, other):
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@for_all
@pytest.mark.parametrize("training", [True, False])
def test_channels_last(name, training):
    """The whole network, its inputs, or both; and it goes on to train."""
    network, x = made(name)
    wanted = gradients(copy.deepcopy(network).train(training), x)
    last = copy.deepcopy(network).train(training).to(memory_format=torch.channels_last)
    y = x.to(memory_format=torch.channels_last) if x.ndim == 4 else x
    for model, images in ((last, y), (copy.deepcopy(network).train(training), y), (copy.deepcopy(last), x)):
        state = copy.deepcopy(model.state_dict())
        assert_alike(gradients(model, images), wanted)
        model.load_state_dict(state)
    torch.optim.SGD(last.parameters(), 0.01).step()
    assert last(y).isfinite().all()
    assert last.state_dict().keys() == network.state_dict().keys()
    assert last.to(torch.float32, memory_format=torch.channels_last)(y.float()).dtype == torch.float32


@for_all
def test_a_network_compiles_into_one_graph(name):
    network, x = made(name)
    torch._dynamo.reset()
    compiled = torch.compile(copy.deepcopy(network), fullgraph=True, backend="aot_eager")
    out, found = gradients(compiled, x)
    wanted_out, wanted = gradients(network, x)
    assert_alike(out, wanted_out)
    assert_alike(list(found.values()), list(wanted.values()))


@for_all
def test_functions_of_the_weights(name):
    network, x = made(name)
    network.eval()
    weights = {key: value.detach() for key, value in network.named_parameters()}

    def loss(weights, x):
        return functional_call(network, weights, (x,)).square().sum()

    wanted = gradients(network, x)[1]
    assert_alike(grad(loss)(weights, x), wanted)
    single = vmap(grad(loss), (None, 0))(weights, x[:, None])  # per sample
    assert_alike({key: value.sum(0) for key, value in single.items()}, wanted)
    direction = {key: torch.ones_like(value) for key, value in weights.items()}
    slope = jvp(lambda weights: loss(weights, x), (weights,), (direction,))[1]
    assert_alike(slope, sum(value.sum() for value in wanted.values()))


@for_all
def test_an_ensemble_and_an_export(name):
    network, x = made(name)
    network.eval()
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.1
    both = stack_module_state([network, other])
    outs = vmap(lambda weights, buffers: functional_call(network, (weights, buffers), (x,)))(*both)
    assert_alike(outs[1], other(x))
    assert_alike(torch.export.export(network, (x,)).module()(x), network(x))


# -- losses and similarities -----------------------------------------------------------------------------------------

LOSSES = {
    **{f"InfoNCE, {kind}": lambda kind=kind: InfoNCE(D4, similarity=kind) for kind in SIMILARITIES},
    "VICReg": lambda: VICReg(D4),
    "BarlowTwins": lambda: BarlowTwins(D4),
    **{
        kind: lambda kind=kind: lambda z, w: orbit_similarity(D4, z, w, kind=kind).square().sum()
        for kind in SIMILARITIES
    },
    "correlation": lambda: lambda z, w: orbit_correlation(D4, z, w).square().sum(),
    "distance": lambda: lambda z, w: orbit_distance(D4, z, w).sum(),
}


def features():
    return torch.randn(2, 5, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_under_every_transform(name):
    loss, (z, w) = LOSSES[name](), features()
    leaf = z.clone().requires_grad_()
    value = loss(leaf, w)
    value.backward()
    assert_alike(grad(loss)(z, w), leaf.grad)
    assert_alike(vmap(grad(loss))(torch.stack([z, w]), torch.stack([w, z]))[0], leaf.grad)
    assert_alike(jvp(lambda z: loss(z, w), (z,), (w,))[1], (leaf.grad * w).sum())
    torch._dynamo.reset()
    again = z.clone().requires_grad_()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")(again, w)
    compiled.backward()
    assert_alike((compiled, again.grad), (value, leaf.grad))


@pytest.mark.parametrize("loss", [InfoNCE, SimSiam, BYOL, MoCo, VICReg, BarlowTwins])
def test_contrastive_models_compile_and_take_channels_last(loss):
    torch.manual_seed(0)
    model = ContrastiveModel(encoder(), loss(C4), lambda x, g: x + 0.1 * torch.rand(x.shape, generator=g))
    x = torch.rand(4, 3, 12, 12)
    torch._dynamo.reset()
    compiled = torch.compile(copy.deepcopy(model), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)
    wanted = copy.deepcopy(model).training_step(x, torch.Generator().manual_seed(0))["loss"]
    last = model.to(memory_format=torch.channels_last)
    found = last.training_step(x.to(memory_format=torch.channels_last), torch.Generator().manual_seed(0))[
        "loss"
    ]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_values_are_asked_for_again_where_there_are_some():
    """Under a transform an index cannot be checked; outside it is."""
    z = torch.randn(2, 3, 4)
    torch._dynamo.reset()
    turn = torch.compile(C4.transform_features, fullgraph=True, backend="eager")
    assert torch.equal(turn(z, torch.tensor([1, 2])), C4.transform_features(z, torch.tensor([1, 2])))
    with pytest.raises(ValueError, match=r"g must hold integers 0 \.\. 3"):
        C4.transform_features(z, torch.tensor([1, 4]))
