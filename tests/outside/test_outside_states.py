"""Weights of another group have the same shapes and mean something else: they are refused, whatever carries them."""

import copy
import io

import pytest
import torch
from torch import nn

from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FlatMLP, GroupConv2d, GroupLinear, GroupMLP, GSetHead, LiftingConv2d
from eqssl_edu.pretext import JigsawTask, PretextModel, RotationTask

C4, D2 = cyclic(4), dihedral(2)
BUILT = {
    "lifting": lambda G: LiftingConv2d(G, 1, 2, 3),
    "group convolution": lambda G: GroupConv2d(G, 2, 2, 3),
    "linear": lambda G: GroupLinear(G, 2, 3),
    "perceptron": lambda G: GroupMLP(G, (2, 3, 2)),
    "flat perceptron": lambda G: FlatMLP(G, (2, 3)),
    "head": lambda G: GSetHead(GSet.regular(G), 3),
    "network": lambda G: GroupCNN(G, channels=(2, 3)),
    "residual network": lambda G: GroupResNet(G, width=1),
    "symmetrized": lambda G: SymmetrizedEncoder(G, nn.Conv2d(1, 2, 3)),
    "pretext model": lambda G: PretextModel(GroupCNN(G, channels=(2, 3)), RotationTask(G)),
    "within a container": lambda G: nn.Sequential(GroupCNN(G, channels=(2, 3)), nn.Flatten()),
}


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


CARRIERS = {
    "itself": lambda s: s,
    "a dict": lambda s: {k: v.clone() for k, v in s.items()},
    "a file": through_a_file,
}


@pytest.mark.parametrize("kind", BUILT)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_weights_of_another_group_are_refused_and_change_nothing(kind, carrier):
    model, state = BUILT[kind](D2), CARRIERS[carrier](BUILT[kind](C4).state_dict())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=r"state_dict must belong to .*D2.*, got .*C4"):
        model.load_state_dict(state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", BUILT)
def test_weights_of_the_same_group_are_loaded_also_without_the_sentence(kind):
    source, whole, bare = (BUILT[kind](C4) for _ in range(3))
    state = source.state_dict()
    whole.load_state_dict(through_a_file(state))
    bare.load_state_dict({name: value for name, value in state.items() if "_extra_state" not in name})
    for model in (whole, bare):
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_labels_that_move_otherwise_have_other_weights():
    left, conjugation = (JigsawTask(C4, 2, action=action) for action in ("left", "conjugation"))
    models = [PretextModel(GroupCNN(C4, channels=(2, 3)), task) for task in (left, conjugation)]
    before = copy.deepcopy(models[1].state_dict())
    with pytest.raises(ValueError, match=r"24 labels over C4 .*, got 24 labels over C4"):
        models[1].load_state_dict(models[0].state_dict())
    assert all(torch.equal(value, before[name]) for name, value in models[1].state_dict().items())


def test_a_missing_weight_is_still_missed():
    with pytest.raises(RuntimeError, match="Missing key"):
        GroupConv2d(C4, 1, 2, 3).load_state_dict({"bias": torch.zeros(2)})
