"""Images on a GPU, a generator on the CPU: no task mixes tensors of two devices. Tested without a GPU as well."""

import pytest
import torch
from families import noise

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.pretext import (
    JigsawTask,
    PretextModel,
    RelativeLocationTask,
    RotationTask,
    Task,
    image_caps,
    verify,
)


def shifted(images, labels):
    steps = torch.tensor([[-2, 0], [0, -2], [2, 0], [0, 2]])
    moved = [x.roll(steps[int(label)].tolist(), (-2, -1)) for x, label in zip(images, labels, strict=True)]
    return torch.stack(moved)


C4, D4 = cyclic(4), dihedral(4)
TASKS = {
    "rotation": lambda: RotationTask(C4),
    "cosets": lambda: RotationTask(D4, (0, 4)),
    "location": lambda: RelativeLocationTask(D4, 4),
    "jigsaw": lambda: JigsawTask(C4, 2, gap=1, jitter=1),
    "your own": lambda: Task(GSet.regular(C4), shifted),
}
over_tasks = pytest.mark.parametrize("name", TASKS)
IMAGES = noise(2, 18, dtype=torch.float32)


@over_tasks
def test_sample_follows_the_images_and_draws_where_the_generator_lives(name, device):
    task = TASKS[name]()
    inputs, labels = task.sample(IMAGES, torch.Generator().manual_seed(1))
    there, labels_there = task.sample(IMAGES.to(device), torch.Generator().manual_seed(1))
    assert there.device.type == labels_there.device.type == device.type
    assert torch.equal(there.cpu(), inputs) and torch.equal(labels_there.cpu(), labels)
    here = task.apply(IMAGES.to(device), labels)  # labels may lie on the CPU
    assert here.device.type == device.type and torch.equal(here.cpu(), task.apply(IMAGES, labels))


@over_tasks
def test_actions_caps_and_verify_work_on_any_device(name, device):
    task = TASKS[name]()
    inputs, labels = task.sample(IMAGES, torch.Generator().manual_seed(1))
    own = torch.arange(len(inputs)) % task.group.order
    wanted = task.transform(inputs, own), task.labels.act(own, labels), image_caps(task, IMAGES)
    there, labels_there, images = inputs.to(device), labels.to(device), IMAGES.to(device)
    found = task.transform(there, own), task.labels.act(own, labels_there), image_caps(task, images)
    for mine, other in zip(found, wanted, strict=True):
        assert mine.device.type == device.type and torch.equal(mine.cpu(), other)
    assert verify(task, images, tolerance=0).ok
    wrong = Task(GSet.trivial(task.group, task.labels.size), task.apply, task.transform, task.image_turns)
    assert verify(wrong, images).picture().count("<img") == 4


@over_tasks
def test_a_training_step_stays_on_the_device_of_the_model(name, device):
    task = TASKS[name]()
    torch.manual_seed(0)
    model = PretextModel(GroupCNN(task.group, channels=(2, 4)), task)
    wanted = model.training_step(IMAGES, torch.Generator().manual_seed(1))["loss"].item()
    model.to(device)
    result = model.training_step(IMAGES.to(device), torch.Generator().manual_seed(1))
    assert result["loss"].device.type == device.type
    assert result["loss"].item() == pytest.approx(wanted, rel=1e-4 if device.type == "cuda" else 1e-6)
