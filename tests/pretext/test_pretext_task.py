"""A task of one's own, and the cap of each image (T2)."""

import math

import pytest
import torch
from families import by_name, label_error, noise

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
    image_floors,
    lift_parts,
    verify,
)

C4, D4 = cyclic(4), dihedral(4)
SHIFTS = torch.tensor([[-2, 0], [0, -2], [2, 0], [0, 2]])  # up, left, down, right: a quarter turn each


def shift(images, labels):
    moved = [
        image.roll(SHIFTS[label].tolist(), dims=(-2, -1)) for image, label in zip(images, labels, strict=True)
    ]
    return torch.stack(moved)


def symmetric(group, subgroup):
    """A noise image that looks the same after the elements of a subgroup, and after no other."""
    image = noise(1, 12)
    # Integers, so that the order of the sum cannot matter.
    return sum(group.transform((100 * image).round(), g) for g in subgroup)


# -- your own ----------------------------------------------------------------------------------------------------


def test_a_task_in_three_lines():
    task = Task(GSet.regular(C4), shift)
    inputs, labels = task.sample(noise(40), torch.Generator().manual_seed(0))
    assert inputs.shape == (40, 1, 16, 16) and set(labels.tolist()) == {0, 1, 2, 3}
    assert task.chance == 0.25 and task.cap == 1.0
    assert verify(task, noise(), tolerance=0).ok
    torch.manual_seed(0)
    model = PretextModel(GroupCNN(C4, channels=(4, 6)), task).double()
    assert label_error(model, task, inputs) < 1e-12
    result = model.training_step(noise(), torch.Generator().manual_seed(0))
    assert result["loss"].requires_grad and not result["accuracy"].requires_grad
    assert 0 <= result["accuracy"] <= 1


def test_the_wrong_action_of_an_own_task_is_found():
    """The must-fail twin: left and right exchanged."""
    order = torch.tensor([0, 3, 2, 1])
    task = Task(GSet.regular(C4), lambda images, labels: shift(images, order[labels]))
    verdict = verify(task, noise())
    assert not verdict.ok and verdict.counter_example.found is not None


def test_a_task_with_two_pictures():
    """Original and copy; was the copy turned a quarter or not? Both turn together, so the answer does not."""

    def copies(images, labels):
        turned = [C4.transform(x, int(l)) for x, l in zip(images, labels, strict=True)]
        return torch.stack([images, torch.stack(turned)], dim=1)

    task = Task(GSet.trivial(C4, 2), copies, positions=GSet.trivial(C4, 2))
    assert verify(task, noise(), tolerance=0).ok
    torch.manual_seed(0)
    model = PretextModel(GroupCNN(C4, channels=(4, 6)), task).double()
    inputs, _ = task.sample(noise(), torch.Generator().manual_seed(0))
    assert label_error(model, task, inputs) < 1e-12


def test_a_label_that_is_a_pose():
    def turn(images, labels):
        return C4.transform(images, labels)

    assert verify(Task(GSet.regular(C4), turn, image_turns=False), noise()).ok
    assert not verify(Task(GSet.regular(D4), lambda x, l: D4.transform(x, l), image_turns=True), noise()).ok


def test_own_transform_is_used():
    """Inputs that are not pictures: the sums over the four sides. A turn exchanges them."""
    sides = [0, 1, 2, 3]

    def brightness(images, labels):
        edges = [images[..., 0, :], images[..., :, 0], images[..., -1, :], images[..., :, -1]]
        sums = torch.stack([edge.sum(dim=(-2, -1)) for edge in edges], dim=1)
        return sums.gather(1, (labels[:, None] + torch.tensor(sides)) % 4)[..., None, None, None]

    task = Task(GSet.trivial(C4, 4), brightness, transform=lambda inputs, g: inputs.roll(g, dims=1))
    assert verify(task, noise(), tolerance=1e-5).ok
    assert not verify(Task(GSet.trivial(C4, 4), brightness, transform=lambda inputs, g: inputs), noise()).ok


# -- T2 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [C4, D4], **by_name)
def test_t2_rotation_of_a_symmetric_image(group):
    """T2: with the stabiliser S the cap is 1/|S| and the floor log|S|."""
    task = RotationTask(group)
    for subgroup in group.subgroups():
        image = symmetric(group, subgroup)
        assert image_caps(task, image).item() == pytest.approx(1 / len(subgroup), abs=1e-12)
        assert image_floors(task, image).item() == pytest.approx(math.log(len(subgroup)), abs=1e-12)


def test_t2_cosets_cost_a_mirror_symmetric_image_nothing():
    task = RotationTask(D4, stabilizer=(0, 4))
    assert image_caps(task, symmetric(D4, (0, 4))).item() == pytest.approx(1)
    # A mirror axis on a diagonal is another one.
    assert image_caps(task, symmetric(D4, (0, 5))).item() == pytest.approx(0.5)


def test_t2_images_of_a_batch_are_judged_by_themselves():
    images = torch.cat([symmetric(C4, s) for s in [(0,), (0, 1, 2, 3), (0, 2)]] + [torch.zeros(1, 1, 12, 12)])
    assert image_caps(RotationTask(C4), images).tolist() == pytest.approx([1, 0.25, 0.5, 0.25])
    jigsaw = JigsawTask(C4, 2)
    # Under the conjugation by a half turn 16 of the 24 permutations form pairs.
    assert image_caps(jigsaw, images)[0] == 1 and image_caps(jigsaw, images)[3] == pytest.approx(1 / 24)
    assert image_floors(jigsaw, images)[3].item() == pytest.approx(math.log(24))
    assert image_caps(RelativeLocationTask(C4, 4, 0, 0), images)[3].item() == pytest.approx(1 / 8)


EVERY_TASK = {
    "rotation": RotationTask,
    "cosets": lambda group: RotationTask(group, group.subgroups()[1]),
    "location": lambda group: RelativeLocationTask(group, 4, 0, 0),
    **{
        f"jigsaw, {action}": lambda group, action=action: JigsawTask(group, 2, action)
        for action in ("conjugation", "left", "trivial")
    },
    "jigsaw 3x3": lambda group: JigsawTask(group, 3, count=8),
    "your own": lambda group: Task(GSet.trivial(group, 2), lambda x, labels: x + labels[:, None, None, None]),
}


@pytest.mark.parametrize("name", EVERY_TASK)
@pytest.mark.parametrize("group", [C4, dihedral(2)], **by_name)
def test_t2_caps_of_every_task_by_counting_pictures(group, name):
    """For each image: all inputs and their turned copies, and how often each picture comes with which label."""
    task = EVERY_TASK[name](group)
    images = torch.cat([*(symmetric(group, s) for s in group.subgroups()), torch.ones(1, 1, 12, 12)])
    inputs, labels = task.every_input(images)
    for i in range(len(images)):
        answers = {}
        for case, label in zip(inputs[:, i : i + 1], labels.tolist(), strict=True):
            for g in group.elements:
                said = answers.setdefault(task.transform(case, g).numpy().tobytes(), [])
                said.append(int(task.labels.action[g, label]))
        counts = [torch.tensor(said).bincount().double() for said in answers.values()]
        total = sum(count.sum() for count in counts)
        cap = sum(count.max() for count in counts) / total
        floor = -sum(torch.xlogy(count, count / count.sum()).sum() for count in counts) / total
        assert image_caps(task, images)[i].item() == pytest.approx(cap.item(), abs=1e-12)
        assert image_floors(task, images)[i].item() == pytest.approx(floor.item(), abs=1e-12)


@pytest.mark.parametrize("name", EVERY_TASK)
def test_t2_labels_that_a_symmetry_exchanges_get_one_logit(name):
    """T2: if s.y = y, then o(y)[s.l] = o(y)[l] for every label l; with o(y) as nobody trained it."""
    task = EVERY_TASK[name](C4)
    torch.manual_seed(0)
    model = PretextModel(GroupCNN(C4, channels=(4, 6)), task).double().eval()
    found = 0
    for subgroup in C4.subgroups()[1:]:
        inputs, _ = task.every_input(symmetric(C4, subgroup).double())
        for y in inputs:
            for s in subgroup[1:]:
                if torch.equal(task.transform(y, s), y):
                    logits, found = model(y).detach(), found + 1
                    assert (logits[:, task.labels.action[s]] - logits).abs().max() < 1e-12
    assert found or name == "location"  # a pair of patches beside each other has no symmetry


def test_t2_stabiliser_decides_about_an_input():
    """T2 for the jigsaw: S_s x has the symmetry g if x has it and s = g.s; then nothing is lost for s itself."""
    task, image = JigsawTask(C4, 2), symmetric(C4, (0, 2))
    # Label s and its image g.s come with the turned picture each: pairs of labels share no picture.
    assert image_caps(task, image).item() == pytest.approx(1)
    left = JigsawTask(C4, 2, action="left")
    assert (
        image_caps(left, image).item() < 1
    )  # here the orbit of the label is longer than that of the picture


@pytest.mark.parametrize("make", [RotationTask, lambda group: JigsawTask(group, 2, "left")])
def test_t2_no_equivariant_network_crosses_the_cap(make):
    task, images = make(C4), torch.cat([symmetric(C4, s) for s in C4.subgroups()]).double()
    for seed in range(3):
        torch.manual_seed(seed)
        model = PretextModel(GroupCNN(C4, channels=(4, 6)), task).double()
        for i in range(len(images)):
            loss, accuracy = model.evaluate(images[i : i + 1], seed=None)
            assert loss >= image_floors(task, images)[i] - 1e-9
            assert accuracy <= image_caps(task, images)[i] + 1e-9


def test_caps_do_not_see_the_type_or_the_sign_of_zero():
    image = symmetric(C4, (0, 2))
    signed = torch.where(image > 100, image, 0.0 * image)
    flipped = torch.where(signed == 0, -0.0, signed)
    half = C4.transform(signed, 2)
    mixed = torch.cat([flipped[..., :6, :], half[..., 6:, :]], dim=-2)  # zeros of both signs
    for kind in (torch.float32, torch.float64):
        assert image_caps(RotationTask(C4), mixed.to(kind)).item() == 0.5


def test_sample_is_decided_by_the_generator():
    for task in (RotationTask(C4), RelativeLocationTask(D4, 4), JigsawTask(D4, 2, gap=1, jitter=1)):
        first, again, other = (task.sample(noise(40), torch.Generator().manual_seed(s)) for s in (3, 3, 4))
        assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
        assert not torch.equal(first[1], other[1])


# -- doors ---------------------------------------------------------------------------------------------------------

REFUSED = [  # (what is called, the name that the message begins with)
    (lambda: Task(4, shift), "labels"),
    (lambda: Task(GSet.regular(C4)), "apply"),
    (lambda: Task(GSet.regular(cyclic(8)), shift), "labels.group"),
    (lambda: Task(GSet.regular(C4), shift, positions=GSet.grid(D4, 2)), "positions"),
    (lambda: Task(GSet.regular(C4), shift).parts(torch.rand(2, 3, 1, 4, 4)), "inputs"),
    (lambda: RotationTask(cyclic(8)), "group"),
    (lambda: image_caps(RotationTask(C4), noise(0)), "len.images"),
    (lambda: image_caps("rotation", noise()), "task"),
    (lambda: verify("rotation", noise()), "task"),
    (lambda: verify(RotationTask(C4), noise()[0]), "images"),
    (lambda: RelativeLocationTask(cyclic(8), 4), "group"),
    (lambda: RelativeLocationTask(C4, 0), "patch"),
    (lambda: RelativeLocationTask(C4, 4, gap=-1), "gap"),
    (lambda: RelativeLocationTask(C4, 4, gap=0), "jitter"),
    (lambda: RelativeLocationTask(C4, 6).sample(noise()), "side of images"),
    (lambda: RelativeLocationTask(C4, 3).sample(noise()), "patch and side of images"),
    (lambda: JigsawTask(C4, 2, "right"), "action"),
    (lambda: JigsawTask(C4, 4), "grid must"),
    (lambda: JigsawTask(C4, 3), "count"),
    (lambda: JigsawTask(C4, 2, gap=-1), "gap"),
    (lambda: JigsawTask(C4, 2, jitter=1), "jitter"),
    (lambda: JigsawTask(C4, 2, gap=4).sample(noise()), "images"),
    (lambda: JigsawTask(C4, 2).sample(noise(size=15)), "images"),
    (lambda: JigsawTask(C4, 2).sample(noise()[..., :12]), "images"),
    (lambda: JigsawTask(C4, 2).parts(noise(size=15)), "inputs"),
    (lambda: PretextModel(GroupCNN(C4), "rotation"), "task"),
    (lambda: PretextModel(GroupCNN(C4), RotationTask(D4)), "task"),
    (lambda: PretextModel(GroupCNN(C4), RotationTask(C4), hidden=-1), "hidden"),
    (lambda: PretextModel(GroupCNN(C4), RotationTask(C4)).evaluate(noise(0)), "len.images"),
    (lambda: lift_parts(torch.rand(2, 3, 5, 4), GSet.grid(C4, 2)), "features"),
]


def test_each_door_refuses_and_names_the_argument(as_a_user):
    for call, name in REFUSED:
        with pytest.raises((TypeError, ValueError), match=f"^{name}"):
            call()
