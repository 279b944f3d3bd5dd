"""Statements of docs/theory.md about pretext labels that no other room proves."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from families import by_name, label_error, noise

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead, InvariantHead
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.theory import label_cap

C4 = cyclic(4)


def model_for(group, head=None):
    torch.manual_seed(0)
    task = RotationTask(group)
    head = head and head(task.labels)
    return PretextModel(GroupCNN(group, channels=(3, 5)), task, head).double()


def gradient(model, inputs, labels):
    loss = F.cross_entropy(model(inputs), labels)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def whole_orbit(group, images):
    """All turned copies, and the elements as their labels."""
    inputs = torch.cat([group.transform(images, g) for g in group.elements])
    return inputs, torch.arange(group.order).repeat_interleave(len(images))


@pytest.mark.parametrize("group", [C4, dihedral(4)], **by_name)
def test_t1_at_the_cap_there_is_no_gradient(group):
    """An invariant output that says "all alike" is the best: over the whole orbit no weight is pulled anywhere."""
    model = model_for(group, lambda labels: InvariantHead(labels, 5)).train()
    torch.nn.init.zeros_(model.head.linear.weight)
    torch.nn.init.zeros_(model.head.linear.bias)
    inputs, labels = whole_orbit(group, noise(3))
    assert F.cross_entropy(model(inputs), labels).item() == pytest.approx(math.log(group.order), abs=1e-12)
    assert gradient(model, inputs, labels).norm() < 1e-12
    assert (
        gradient(model, *(part[:3] for part in (inputs, labels))).norm() > 1e-2
    )  # must fail: upright copies alone


@pytest.mark.parametrize("group", [C4, dihedral(4)], **by_name)
def test_t1_labels_that_move_otherwise_have_a_gradient_at_the_same_place(group):
    """The must-fail twin: a free head that says "all alike" is pulled away."""
    model = model_for(group, lambda labels: FreeHead(labels, 5, group.order)).train()
    for parameter in model.head.parameters():
        torch.nn.init.zeros_(parameter)
    assert gradient(model, *whole_orbit(group, noise(3))).norm() > 1e-2


# -- T6 and T5: what a turn does before the task, and after it -------------------------------------------------


def losses(turn_before, turn_after, steps=40):
    """The loss of each step of rotation prediction; the turns come from a generator of their own."""
    model, images = model_for(C4).train(), noise(16)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    draws, turns = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    curve = []
    for _ in range(steps):
        own = torch.randint(4, (len(images),), generator=turns)
        inputs, labels = model.task.sample(C4.transform(images, own) if turn_before else images, draws)
        if turn_after:
            inputs, labels = C4.transform(inputs, own), model.task.labels.act(own, labels)
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return torch.tensor(curve)


def test_t6_an_input_turned_with_its_label_changes_no_step_of_a_training():
    assert (losses(False, True) - losses(False, False)).abs().max() < 1e-9


def test_t5_an_image_turned_before_the_rotation_task_cannot_be_learned():
    """The must-fail twin: the same turns, one line earlier."""
    assert losses(False, False)[-10:].mean() < 0.7
    assert losses(True, False)[-10:].mean() > 1.2


@pytest.mark.parametrize("group", [C4, dihedral(4)], **by_name)
def test_t5_images_of_every_pose_leave_nothing_to_predict(group):
    """Exact: on all turned copies of the images no output whatever is right more often than 1 / |G|."""
    assert label_cap(GSet.regular(group), group.elements) == (math.log(group.order), 1 / group.order)
    images = torch.cat([group.transform(noise(2), h) for h in group.elements])
    inputs, labels = RotationTask(group).every_input(images)
    pictures = [
        picture.numpy().tobytes() for case in inputs for picture in case
    ]  # (|G|, B): the picture of each label
    with_labels = list(zip(pictures, labels.repeat_interleave(len(images)).tolist(), strict=True))
    for picture in set(pictures):
        assert sorted(label for seen, label in with_labels if seen == picture) == list(group.elements)


# -- T6: all copies are one copy, if the norm is shared ---------------------------------------------------------


@pytest.mark.parametrize("group", [C4, dihedral(4)], **by_name)
def test_t6_all_copies_of_a_batch_weigh_as_much_as_one(group):
    model = model_for(group).train()
    inputs, labels = model.task.sample(noise(8), torch.Generator().manual_seed(1))
    copies = torch.cat([group.transform(inputs, g) for g in group.elements])
    moved = torch.cat([model.task.labels.act(g, labels) for g in group.elements])
    one, all_of_them = gradient(model, inputs, labels), gradient(model, copies, moved)
    assert (one - all_of_them).norm() < 1e-11 * one.norm() > 0


def test_t6_a_norm_of_its_own_for_each_element_breaks_it():
    """The must-fail twin: statistics per plane of the group axis."""

    class PlaneNorm(torch.nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(channels * 4).double()

        def forward(self, maps):
            return self.norm(maps.flatten(1, 2)).unflatten(1, (-1, 4))

    model = model_for(C4).train()
    wrong = copy.deepcopy(model)
    for name, module in list(wrong.encoder.named_modules()):
        if type(module).__name__ == "GroupBatchNorm2d":
            wrong.encoder.set_submodule(name, PlaneNorm(module.num_features))
    inputs, labels = model.task.sample(noise(8), torch.Generator().manual_seed(1))
    own = torch.tensor([1, 2, 3, 0, 1, 1, 2, 3])
    for network, least, most in ((model, 0, 1e-11), (wrong, 1e-3, math.inf)):
        before = gradient(network, inputs, labels)
        after = gradient(network, C4.transform(inputs, own), network.task.labels.act(own, labels))
        assert least <= (after - before).norm() / before.norm() <= most
    assert label_error(model.eval(), model.task, inputs) < 1e-12
