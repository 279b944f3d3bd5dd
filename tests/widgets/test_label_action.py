"""LabelActionExplorer without a screen: which action tells the truth, found in two independent ways."""

from functools import cache

import pytest
import torch

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.pretext import JigsawTask, RelativeLocationTask, RotationTask
from eqssl_edu.widgets import LabelActionExplorer
from eqssl_edu.widgets.label_action import compute, default_image, default_tasks
from eqssl_edu.widgets.puzzles import puzzle_of

D4 = dihedral(4)


def noise(side=36, channels=1):
    return torch.rand(channels, side, side, generator=torch.Generator().manual_seed(0))


@cache
def tasks_of(group):
    return {
        "rotation": RotationTask(group),
        "relative location": RelativeLocationTask(group, 10, gap=2, jitter=0),
        "jigsaw": JigsawTask(group, 2),
        "jigsaw with gaps": JigsawTask(group, 2, gap=2, jitter=1),
        "jigsaw 3 x 3": JigsawTask(group, 3, count=16),
    }


NAMES = list(tasks_of(D4))
over_tasks = pytest.mark.parametrize("name", NAMES)


def some_labels(puzzle):
    return range(0, puzzle.size, max(1, puzzle.size // 6))


# -- puzzles -------------------------------------------------------------------------------------------------


@over_tasks
def test_inputs_are_those_of_the_task_and_the_right_label_puts_them_together(name):
    task = tasks_of(D4)[name]
    puzzle, image = puzzle_of(task), noise()
    for label in some_labels(puzzle):
        code = puzzle.code(label)
        made = puzzle.make(image, code)
        assert torch.equal(made, task.apply(image[None], torch.tensor([label]))[0])
        assert torch.equal(puzzle.turn(made, 5), task.transform(made[None], 5)[0])
        whole = image if "gaps" not in name else puzzle.cut(image)
        assert torch.equal(puzzle.undo(image, made, code), whole)
        assert puzzle.fitting(image, made) == [code]
        other = puzzle.code((label + 1) % puzzle.size)
        assert not torch.equal(puzzle.undo(image, made, other), whole)


@over_tasks
@pytest.mark.parametrize("group", [cyclic(4), D4], ids=str)
def test_the_true_action_is_the_one_read_off_the_picture(name, group):
    """Two ways: the action's table, and comparing the turned input with all inputs of the turned image."""
    puzzle, image = puzzle_of(tasks_of(group)[name]), noise()
    for label in some_labels(puzzle):
        code = puzzle.code(label)
        made = puzzle.make(image, code)
        for g in group.elements:
            reference = group.transform(image, g) if puzzle.image_turns else image
            found = puzzle.fitting(reference, puzzle.turn(made, g))
            assert found == [puzzle.move(puzzle.true, g, code)]


def test_blank_tiles_leave_several_labels():
    puzzle = puzzle_of(JigsawTask(D4, 2))
    image = torch.zeros(1, 8, 8)
    image[:, :4, :4] = noise(4)
    made = puzzle.make(image, (2, 0, 1, 3))
    fitting = puzzle.fitting(image, made)
    assert len(fitting) == 3  # of six; so many are listed
    assert all(torch.equal(puzzle.make(image, code), made) for code in fitting)


# -- the numbers ---------------------------------------------------------------------------------------------


def verdicts(name, label, group=D4):
    puzzle = puzzle_of(tasks_of(group)[name])
    action = puzzle.true
    values = compute(puzzle, noise(), {"task": name, "label": label, "element": 0, "action": action})
    return {row["name"]: [cell["right"] for cell in row["cells"]] for row in values["actions"]}


@over_tasks
def test_the_true_action_is_right_for_every_element_and_the_others_are_not(name):
    puzzle = puzzle_of(tasks_of(D4)[name])
    wrong = dict.fromkeys(puzzle.actions, 0)
    for label in some_labels(puzzle):
        found = verdicts(name, label)
        assert all(row[0] for row in found.values() if row)  # the identity cannot tell
        for action, row in found.items():
            wrong[action] += row.count(False)
    assert wrong.pop(puzzle.true) == 0
    assert all(count > 0 for count in wrong.values())


def test_rotations_of_c4_commute_so_conjugation_is_trivial():
    found = verdicts("rotation", 1, cyclic(4))
    assert found["conjugation"] == found["trivial"] == [True, False, False, False]
    assert found["left"] == [True] * 4


def test_a_jigsaw_that_looks_the_same_from_both_sides_cannot_tell_trivial_from_conjugation():
    labels = JigsawTask(D4, 2).labels
    swap = labels.names.index("3210")  # opposite tiles change places: it commutes with every turn
    assert verdicts("jigsaw", swap)["trivial"] == [True] * 8
    assert verdicts("jigsaw", swap)["left"] == [True] + [False] * 7


def test_the_orbit_is_that_of_the_label_set():
    explorer = LabelActionExplorer()
    task = explorer.puzzle("jigsaw 2 x 2").task
    for label in (0, 3, 7, 11):
        explorer.set_state(task="jigsaw 2 x 2", label=label, action="conjugation")
        members = next(orbit for orbit in task.labels.orbits if label in orbit)
        assert explorer.values["orbit"] == len(members)
        cells = next(r["cells"] for r in explorer.values["actions"] if r["name"] == "conjugation")
        assert {cell["label"] for cell in cells} == {task.labels.names[m] for m in members}


# -- the widget ----------------------------------------------------------------------------------------------


def test_every_task_is_there_by_default():
    explorer = LabelActionExplorer()
    assert list(explorer._made) == ["rotation"]  # the others are made when they are chosen
    assert explorer.facts["tasks"] == ["rotation", "relative location", "jigsaw 2 x 2", "jigsaw 3 x 3"]
    image = default_image()
    tiles = image.unflatten(2, (3, 12)).unflatten(1, (3, 12)).permute(1, 3, 0, 2, 4).flatten(0, 1).flatten(1)
    assert len(tiles.unique(dim=0)) == 9  # no two tiles are alike
    for side in (24, 33, 36, 48):
        task = default_tasks(side)["relative location"]()
        assert task.apply(noise(side)[None], torch.tensor([0])).shape[1] == 2


def test_readout_says_label_verdict_and_truth():
    explorer = LabelActionExplorer()
    explorer.set_state(task="jigsaw 2 x 2", label=7, element=1, action="left")
    assert explorer.readout.startswith("jigsaw 2 x 2: label 1032, turned by r90. The left action says ")
    assert ": wrong. Read off the picture: " in explorer.readout
    explorer.set_state(action="conjugation")
    assert ": right. Read off the picture: " in explorer.readout
    assert explorer.readout.endswith("Over the whole group it is wrong 0 of 8 times.")


def test_a_new_task_brings_a_label_and_an_action_of_its_own():
    explorer = LabelActionExplorer()
    explorer.set_state(task="jigsaw 3 x 3", label=23)
    assert explorer.state() == {"task": "jigsaw 3 x 3", "label": 23, "element": 0, "action": "conjugation"}
    explorer.set_state(task="relative location")
    state = explorer.state()
    assert state == {"task": "relative location", "label": 2, "element": 0, "action": "left"}
    explorer.set_state(task="relative location", label=5)
    assert explorer.state()["label"] == 5
    explorer.set_state(task="jigsaw 2 x 2")
    assert explorer.values["orbit"] == 8  # a label that tells a lot


def test_one_task_alone_and_an_image_in_colour():
    explorer = LabelActionExplorer(RotationTask(cyclic(4)), noise(20, channels=3))
    assert explorer.state()["task"] == "RotationTask"
    explorer.set_state(label=2, element=3)
    assert explorer.verdicts() == {"conjugation": False, "left": True, "trivial": False}
    assert explorer.values["channels"] == 3
    assert len(explorer.values["pixels"]) == 3 * sum(side**2 for side in explorer.values["sides"])


def test_pictures_are_image_input_turned_and_undone():
    explorer = LabelActionExplorer({"jigsaw": JigsawTask(D4, 2)}, noise(8))
    explorer.set_state(label=4, element=6)
    seen = torch.tensor(list(explorer.values["pixels"])).reshape(4, 8, 8)
    assert torch.equal(seen[2], D4.transform(seen[1], 6))
    assert torch.equal(seen[3], D4.transform(seen[0], 6))  # conjugation puts the turned picture together
    assert sorted(seen[1].flatten().tolist()) == sorted(seen[0].flatten().tolist())
    explorer.set_state(action="trivial")
    wrong = torch.tensor(list(explorer.values["pixels"])).reshape(4, 8, 8)[3]
    assert not torch.equal(wrong, seen[3])
