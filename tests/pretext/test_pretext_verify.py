"""verify: true actions pass bit for bit, wrong ones are refused with a counter-example."""

import pytest
import torch
from families import by_name, noise

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.pretext import JigsawTask, RelativeLocationTask, RotationTask, Task, verify

C4, D4 = cyclic(4), dihedral(4)
TASKS = {
    "rotation": RotationTask,
    "cosets": lambda group: RotationTask(group, group.subgroups()[-1]),
    "location": lambda group: RelativeLocationTask(group, 4),
    "jigsaw 2x2": lambda group: JigsawTask(group, 2, gap=1, jitter=1),
    "jigsaw 3x3": lambda group: JigsawTask(group, 3, count=24),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("group", [dihedral(2), D4], **by_name)
def test_built_in_tasks_tell_the_truth_bit_for_bit(group, task):
    task = TASKS[task](group)
    verdict = verify(task, noise(2, channels=2), tolerance=0)
    assert verdict.ok and verdict.difference == 0 and verdict.failed == 0
    assert verdict.checked == 2 * group.order * task.labels.size
    assert verdict.counter_example is None
    assert str(verdict).startswith("The action tells the truth")


def test_every_coset_space_tells_the_truth():
    for subgroup in D4.subgroups():
        assert verify(RotationTask(D4, subgroup), noise(2), tolerance=0).ok


@pytest.mark.parametrize("action", ["left", "trivial"])
@pytest.mark.parametrize("group", [C4, D4], **by_name)
def test_wrong_jigsaw_actions_are_refused(group, action):
    verdict = verify(JigsawTask(group, 2, action), noise(2))
    case = verdict.counter_example
    assert not verdict.ok and verdict.failed > 0
    text = str(verdict)
    assert "does not tell the truth" in text
    assert f"The {action} action" in text and "right only if every image is upright" in text
    # The counter-example is what it says: turned is the input of the turned image with the found label.
    names = {name: torch.tensor([label]) for label, name in enumerate(verdict.task.labels.names)}
    turned_image = group.transform(case.image[None], case.g)
    apply = verdict.task.apply
    assert torch.equal(apply(case.image[None], torch.tensor([case.label]))[0], case.before)
    assert torch.equal(group.transform(case.before, case.g), case.turned)
    assert torch.equal(apply(turned_image, torch.tensor([case.promised]))[0], case.expected)
    assert torch.equal(apply(turned_image, torch.tensor([case.found]))[0], case.turned)
    assert not torch.equal(case.turned, case.expected)
    # And the label that fits is that of the conjugation.
    true = JigsawTask(group, 2).labels
    assert int(true.action[case.g, case.label]) == case.found
    assert names[true.names[case.found]].item() == case.found


@pytest.mark.parametrize("action", ["left", "trivial"])
def test_wrong_actions_on_nine_tiles_are_refused(action):
    """Where the orbits are closed under the wrong action, the true label may be none of the set."""
    verdict = verify(JigsawTask(C4, 3, action, count=8), noise(2))
    assert not verdict.ok and verdict.picture().count("<img") == 4


def test_the_wrong_coset_action_is_refused():
    """Labels of D4/<m> moved as if they were those of D4/<r m>: the same size, another action."""
    task = RotationTask(D4, (0, 4))
    task.labels = GSet.quotient(D4, (0, 5))
    assert not verify(task, noise(2)).ok


def test_exchanged_neighbours_are_refused():
    task = RelativeLocationTask(C4, 4)
    action = GSet.neighbours(C4).action
    order = torch.tensor([0, 1, 2, 4, 3, 5, 6, 7])  # west and east exchanged
    task.labels = GSet(C4, order[action[:, order]])
    verdict = verify(task, noise(2))
    assert not verdict.ok and verdict.counter_example.found != verdict.counter_example.promised


def test_no_label_fits_a_task_without_symmetry():
    stretch = Task(
        GSet.trivial(C4, 2),
        lambda images, labels: images * torch.linspace(0, 1, 16) ** labels[:, None, None, None],
    )
    verdict = verify(stretch, noise(2))
    assert not verdict.ok and verdict.counter_example.found is None
    assert "no label fits it" in str(verdict)


def test_tolerance_and_difference():
    def shaky(images, labels):
        return images + 1e-4 * labels[:, None, None, None]  # the labels differ by 1e-4

    labels = GSet(C4, torch.tensor([[0, 1], [1, 0], [0, 1], [1, 0]]))
    strict, lax = (verify(Task(labels, shaky), noise(2), tolerance=t) for t in (1e-6, 1e-3))
    assert not strict.ok and lax.ok
    assert lax.difference == pytest.approx(1e-4, rel=1e-2)


def test_blank_images_are_poor_witnesses():
    verdict = verify(JigsawTask(C4, 2, "left"), torch.zeros(2, 1, 8, 8))
    assert not verdict.ok and verdict.unclear == 48
    assert "no witnesses: whatever the label, their inputs look the same" in str(verdict)
    mixed = verify(JigsawTask(C4, 2), torch.cat([torch.zeros(2, 1, 16, 16).to(noise(1)), noise(1)]))
    assert mixed.ok and "48 inputs look like the input of another label" in str(mixed)
    assert verify(JigsawTask(C4, 2), noise(2)).unclear == 0


def test_picture_of_the_counter_example():
    for task in (JigsawTask(C4, 2, "left"), _wrong_location()):
        verdict = verify(task, noise(2))
        html = verdict.picture()
        assert html.count("<img") == 4 and html == verdict._repr_html_()
        assert "the input turned by r90" in html and "does not tell the truth" in html
    assert verify(JigsawTask(C4, 2), noise(2)).picture().count("<img") == 0


def _wrong_location():
    task = RelativeLocationTask(C4, 4)
    task.labels = GSet.trivial(C4, 8)
    return task
