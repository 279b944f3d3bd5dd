"""Images on a GPU, a generator on the CPU: no task mixes tensors of two devices. Tested without a GPU as well."""

import pytest
import torch

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead, InvariantHead
from eqssl_edu.pretext import JigsawTask, PretextModel, RelativeLocationTask, RotationTask, Task, verify


def shifted(images, labels):
    steps = torch.tensor([[-2, 0], [0, -2], [2, 0], [0, 2]])
    moved = [x.roll(steps[int(label)].tolist(), (-2, -1)) for x, label in zip(images, labels, strict=True)]
    return torch.stack(moved)


C4, D4 = cyclic(4), dihedral(4)
TASKS = {
    "rotation": lambda: RotationTask(C4),
    "cosets": lambda: RotationTask(D4, (0, 4)),
    "location": lambda: RelativeLocationTask(D4, 4),
    "jigsaw 2x2": lambda: JigsawTask(C4, 2, gap=1, jitter=1),
    "jigsaw 3x3": lambda: JigsawTask(C4, 3, count=8),
    "your own": lambda: Task(GSet.regular(C4), shifted),
}
over_tasks = pytest.mark.parametrize("name", TASKS)


def noise(count=2):
    return torch.rand(count, 1, 18, 18, generator=torch.Generator().manual_seed(0))


@over_tasks
def test_sample_follows_the_images_and_draws_where_the_generator_lives(name, device):
    task = TASKS[name]()
    inputs, labels = task.sample(noise(), torch.Generator().manual_seed(1))
    there, labels_there = task.sample(noise().to(device), torch.Generator().manual_seed(1))
    assert there.device.type == labels_there.device.type == device.type
    assert torch.equal(there.cpu(), inputs) and torch.equal(labels_there.cpu(), labels)


@over_tasks
def test_actions_caps_and_verify_work_on_any_device(name, device):
    task = TASKS[name]()
    inputs, labels = task.sample(noise(), torch.Generator().manual_seed(1))
    own = torch.arange(len(inputs)) % task.group.order
    wanted = task.transform(inputs, own), task.labels.act(own, labels), task.image_caps(noise())
    there, labels_there, images = inputs.to(device), labels.to(device), noise().to(device)
    found = task.transform(there, own), task.labels.act(own, labels_there), task.image_caps(images)
    for mine, other in zip(found, wanted, strict=True):
        assert mine.device.type == device.type and torch.equal(mine.cpu(), other)
    assert verify(task, images, tolerance=0).ok
    wrong = Task(GSet.trivial(task.group, task.labels.size), task.apply, task.transform, task.image_turns)
    assert verify(wrong, images).picture().count("<img") == 4


@pytest.mark.parametrize("head", ["equivariant", "invariant", "free"])
@over_tasks
def test_a_training_step_stays_on_the_device_of_the_model(name, head, device):
    task = TASKS[name]()
    heads = {
        "equivariant": lambda: None,
        "invariant": lambda: InvariantHead(task.labels, 4),
        "free": lambda: FreeHead(task.labels, 4, task.group.order),
    }
    torch.manual_seed(0)
    model = PretextModel(GroupCNN(task.group, channels=(2, 4)), task, heads[head]())
    wanted = model.training_step(noise(), torch.Generator().manual_seed(1))["loss"].item()
    model.to(device)
    result = model.training_step(noise().to(device), torch.Generator().manual_seed(1))
    assert result["loss"].device.type == device.type
    assert result["loss"].item() == pytest.approx(wanted, rel=1e-4 if device.type == "cuda" else 1e-6)


@over_tasks
def test_labels_may_lie_on_the_cpu(name, device):
    task = TASKS[name]()
    labels = torch.arange(2) % task.labels.size
    there = task.apply(noise().to(device), labels)
    assert there.device.type == device.type
    assert torch.equal(there.cpu(), task.apply(noise(), labels))
