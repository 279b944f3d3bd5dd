"""Pretext models: every task and encoder, the lift of parts, naive twins."""

import math

import pytest
import torch
import torch.nn.functional as F
from families import by_name, label_error, noise
from torch import nn

from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder, matched_cnn
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead, InvariantHead
from eqssl_edu.pretext import (
    JigsawTask,
    PretextModel,
    RelativeLocationTask,
    RotationTask,
    lift_parts,
)

TASKS = {
    "rotation": RotationTask,
    "location": lambda group: RelativeLocationTask(group, 4),
    "jigsaw 2x2": lambda group: JigsawTask(group, 2, gap=1, jitter=1),
    "jigsaw 3x3": lambda group: JigsawTask(group, 3, count=24),
}


def inputs_of(task, count=6):
    return task.sample(noise(count), torch.Generator().manual_seed(1))


def small_cnn(group):
    return GroupCNN(group, channels=(3, 5))


def model_for(task, encoder=None, head=None, **options):
    torch.manual_seed(0)
    encoder = small_cnn(task.group) if encoder is None else encoder
    return PretextModel(encoder, task, head, **options).double()


# -- T9: the lift ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [cyclic(2), dihedral(1), dihedral(4)], **by_name)
def test_t9_lifted_features_are_regular(group):
    """T9: moving the parts and shifting each one's group axis is one shift of the lifted field."""
    for positions in (GSet.grid(group, 2), GSet.grid(group, 3), GSet.trivial(group, 2)):
        features = torch.randn(3, positions.size, 4, group.order, dtype=torch.float64)
        lifted = lift_parts(features, positions)
        assert lifted.shape == (3, 4 * positions.size, group.order)
        for g in group.elements:
            turned = torch.empty_like(features)
            turned[:, positions.action[g]] = group.transform_features(features, g)
            assert torch.equal(lift_parts(turned, positions), group.transform_features(lifted, g))


def test_t9_concatenated_tiles_are_not_regular():
    """The must-fail twin: without the gather the channels of the tiles change places."""
    group = cyclic(4)
    positions = GSet.grid(group, 2)
    features = torch.randn(3, 4, 2, 4)
    turned = torch.empty_like(features)
    turned[:, positions.action[1]] = group.transform_features(features, 1)
    naive = group.transform_features(features.flatten(1, 2), 1)
    assert (turned.flatten(1, 2) - naive).abs().max() > 0.1


def test_t9_the_formula():
    positions = GSet.grid(dihedral(4), 2)
    features = torch.randn(2, 4, 3, 8)
    lifted = lift_parts(features, positions).unflatten(1, (4, 3))
    for q in range(4):
        for h in range(8):
            assert torch.equal(lifted[:, q, :, h], features[:, positions.action[h, q], :, h])


# -- equivariance of whole models --------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("group", [cyclic(4), dihedral(2), dihedral(4)], **by_name)
def test_t9_logits_move_with_the_input(group, task):
    task = TASKS[task](group)
    inputs, _ = inputs_of(task)
    for training in (True, False):
        assert label_error(model_for(task).train(training), task, inputs) < 1e-12


def test_hidden_layer_is_optional():
    for name, hidden in [("rotation", 7), ("jigsaw 2x2", 0), ("location", 9)]:
        task = TASKS[name](cyclic(4))
        model = model_for(task, hidden=hidden)
        assert label_error(model, task, inputs_of(task)[0]) < 1e-12
        assert model.head.in_channels == (hidden or 4 * 5)


@pytest.mark.parametrize("head", ["invariant", "free"])
@pytest.mark.parametrize("task", ["rotation", "jigsaw 2x2"])
def test_naive_twins_train_and_are_not_equivariant(task, head):
    """The must-fail twins, run by the same code."""
    task = TASKS[task](cyclic(4))
    heads = {"invariant": InvariantHead(task.labels, 5), "free": FreeHead(task.labels, 5, 4)}
    model = model_for(task, head=heads[head])
    assert label_error(model, task, inputs_of(task)[0]) > 1e-2
    model.training_step(noise(), torch.Generator().manual_seed(0))["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("task", ["rotation", "location"])
def test_plain_cnn_as_a_twin(task):
    task = TASKS[task](cyclic(4))
    plain = matched_cnn(small_cnn(cyclic(4)))
    model = model_for(task, plain, FreeHead(task.labels, plain.out_channels, 1))
    inputs, _ = inputs_of(task)
    assert model(inputs).shape == (6, task.labels.size)
    assert label_error(model, task, inputs) > 1e-3


# -- every kind of encoder ---------------------------------------------------------------------------------------


def plain_network():
    layers = [nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 5))


def escnn_encoder():
    steerable = pytest.importorskip("eqssl_edu.steerable", exc_type=ImportError)
    from escnn import gspaces
    from escnn import nn as enn

    plane = gspaces.rot2dOnR2(4)
    fields = enn.FieldType(plane, 3 * [plane.regular_repr])
    image = enn.FieldType(plane, [plane.trivial_repr])
    layers = [enn.R2Conv(image, fields, 3, padding=1), enn.InnerBatchNorm(fields), enn.ReLU(fields)]
    return steerable.from_escnn(enn.SequentialModule(*layers))


def steerable_cnn():
    steerable = pytest.importorskip("eqssl_edu.steerable", exc_type=ImportError)
    return steerable.SteerableCNN(cyclic(4), channels=(3, 5))


ENCODERS = {
    "GroupResNet": lambda: GroupResNet(cyclic(4), in_channels=1, width=2),
    "SymmetrizedEncoder": lambda: SymmetrizedEncoder(cyclic(4), plain_network()),
    "escnn": escnn_encoder,
    "SteerableCNN": steerable_cnn,
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("task", ["rotation", "jigsaw 2x2"])
def test_every_encoder_answers_every_task(encoder, task):
    tasks = {"rotation": RotationTask(cyclic(4)), "jigsaw 2x2": JigsawTask(cyclic(4), 2)}
    task = tasks[task]
    model = model_for(task, ENCODERS[encoder]())
    inputs, _ = inputs_of(task, 4)
    tolerance = 1e-5 if encoder in ("escnn", "SteerableCNN") else 1e-12  # escnn's kernels are float32 (E3)
    for training in (True, False):
        assert label_error(model.train(training), task, inputs) < tolerance
    model.training_step(noise(), torch.Generator().manual_seed(0))["loss"].backward()
    loss, accuracy = model.evaluate(noise())
    assert 0 < loss < 20 and 0 <= accuracy <= 1


# -- T6 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["rotation", "location", "jigsaw 2x2"])
def test_t6_the_orbit_is_free(task):
    """T6: own turns of each input, labels moved along, change neither the loss nor any gradient, in training mode."""
    group = dihedral(4)
    task = TASKS[task](group)
    model = model_for(task).train()
    inputs, labels = inputs_of(task, 8)
    elements = torch.tensor([3, 1, 4, 1, 5, 2, 6, 7])

    def loss_and_gradient(inputs, labels):
        loss = F.cross_entropy(model(inputs), labels)
        gradient = torch.autograd.grad(loss, list(model.parameters()))
        return loss.item(), torch.cat([g.flatten() for g in gradient])

    loss, gradient = loss_and_gradient(inputs, labels)
    turned = task.transform(inputs, elements)
    moved_loss, moved_gradient = loss_and_gradient(turned, task.labels.act(elements, labels))
    assert abs(moved_loss - loss) < 1e-12
    assert (moved_gradient - gradient).norm() < 1e-11 * gradient.norm()
    wrong, _ = loss_and_gradient(turned, labels)  # the labels left behind
    assert abs(wrong - loss) > 1e-3


# -- evaluation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["rotation", "jigsaw 2x2"])
def test_evaluate_is_decided_by_the_seed_and_turns_change_nothing(task):
    task = TASKS[task](cyclic(4))
    model = model_for(task)
    assert model.evaluate(noise(20)) == model.evaluate(noise(20))
    for seed in (0, 1):
        turned, drawn = (model.evaluate(noise(20), seed=seed, turned=turned) for turned in (True, False))
        assert turned == pytest.approx(drawn, abs=1e-12)


def test_evaluate_leaves_the_model_as_it_was():
    model = model_for(TASKS["jigsaw 2x2"](cyclic(4))).float().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.evaluate(noise().float())
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_invariant_head_on_the_orbit():
    """T1 for any label set: over all turned copies it is right for at most one label of each orbit."""
    task = TASKS["location"](cyclic(4))
    encoder = small_cnn(cyclic(4))
    model = model_for(task, encoder, InvariantHead(task.labels, encoder.out_channels))
    loss, accuracy = model.evaluate(noise(30))
    assert accuracy <= 1 / 4 and loss >= math.log(4) - 1e-12
    assert model.cap == 1.0  # on upright images alone it could be right
