"""The checks of notebook 06: stubs are not done, solutions pass, typical mistakes get their own hint."""

import ast
import re

import nbformat
import pytest
import torch

from eqssl_edu.exercises import Verdict, check, notebook_06
from notebooks import build

NAMES = [f"06.{name}" for name in notebook_06.__all__]


def answers(solutions):
    """What the notebook hands to each check: the cells that call it are run, with the notebook's imports alone."""
    found = {}

    def record(name, answer):
        found[name] = answer
        return check(name, answer)

    text = (build.NOTEBOOKS / "source" / "06_training_pretext_tasks.py").read_text(encoding="utf-8")
    imports = [node for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    for cell in nbformat.reads(build.build(text, solutions), as_version=4).cells:
        if cell.cell_type == "code" and re.search(r'^check\("', cell.source, flags=re.MULTILINE):
            names = {}
            exec(compile(ast.Module(imports, []), "imports", "exec"), names)
            names["check"] = record
            exec(cell.source, names)
    return found


@pytest.fixture(scope="module")
def stubs():
    return answers(solutions=False)


@pytest.fixture(scope="module")
def solutions():
    return answers(solutions=True)


def copies(labels, elements=None):
    """A function with the signature of 06.all_copies; ``labels`` makes them from (group, number of images)."""

    def answer(images, group):
        chosen = group.elements if elements is None else elements(group)
        return torch.cat([group.transform(images, g) for g in chosen]), labels(group, len(images))

    return answer


def in_order(group, count):
    return torch.arange(group.order).repeat_interleave(count)


def over_another(rule):
    """A function with the signature of 06.symmetrised, from a rule on the stacked copies."""

    def answer(images, group, subgroup):
        return rule(torch.stack([group.transform(images, h) for h in subgroup]))

    return answer


def graded(rule, which=1, turned=False):
    """A function with the signature of 06.turned_accuracy; ``rule`` joins the numbers of the orientations."""

    def answer(model, images, group):
        return rule(
            [model.evaluate(group.transform(images, g), turned=turned)[which] for g in group.elements]
        )

    return answer


def mean(values):
    return sum(values) / len(values)


CAPS = {
    "rotation, equivariant head": 1 / 4,
    "location, invariant head": 1 / 4,
    "location, equivariant head": 1,
    "jigsaw, conjugation": 1,
    "jigsaw, left": 1 / 4,
}
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "06.all_copies": [
        (copies(lambda group, count: group.inverse[in_order(group, count)]), "the element that was applied"),
        (
            copies(lambda group, count: torch.arange(group.order).repeat(count)),
            "repeat_interleave, or repeat",
        ),
        (copies(lambda group, count: 90 * in_order(group, count)), "as integers"),
        (copies(in_order, lambda group: [0] * group.order), "by each of the elements"),
        (lambda images, group: copies(in_order)(images + 1, group), "Use group.transform"),
        (lambda images, group: (images, torch.zeros(3).long()), "The axes are"),
        (lambda images, group: images, "return inputs, labels"),
    ],
    "06.symmetrised": [
        (over_another(lambda stack: stack.mean(dim=0)), "Take the brightest pixel"),
        (over_another(lambda stack: stack[-1]), "One copy alone"),
        (
            lambda x, group, H: torch.stack([group.transform(x, g) for g in group.elements]).amax(dim=0),
            "by the elements of the subgroup",
        ),
        (over_another(lambda stack: stack.amin(dim=0)), "Stack group.transform"),
        (over_another(lambda stack: stack), "The axes are"),
    ],
    "06.turned_accuracy": [
        (lambda model, images, group: model.evaluate(images)[1], "Say turned=False"),
        (graded(mean, which=0), "you averaged the losses"),
        (graded(sum), "divide by the number"),
        (graded(min), "the worst orientation"),
        (graded(max, which=0), "Then the mean"),
    ],
    "06.satellite": [
        ({**CAPS, "rotation, equivariant head": 1}, "all four orientations anyway"),
        ({**CAPS, "location, invariant head": 1 / 8}, "edges from corners"),
        ({**CAPS, "jigsaw, left": 1}, "nobody knows which of four"),
        ({**CAPS, "jigsaw, conjugation": 25}, "Between 0 and 1"),
        ({**CAPS, "jigsaw, conjugation": "all"}, "An accuracy"),
        ({"jigsaw": 1}, "Keep the keys"),
    ],
}


def test_every_exercise_is_asked_in_the_notebook(stubs, solutions):
    assert set(stubs) == set(solutions) == set(NAMES) == set(MISTAKES)


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_is_not_done(name, stubs):
    verdict = check(name, stubs[name])
    assert (verdict.ok, verdict.done) == (False, False)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(name, solutions):
    verdict = check(name, solutions[name])
    assert verdict.ok and verdict.done and not verdict.hint, verdict


def test_copies_in_any_order_are_right():
    def image_by_image(images, group):
        inputs = [group.transform(image, g) for image in images for g in group.elements]
        return torch.stack(inputs), torch.arange(group.order).repeat(len(images))

    assert check("06.all_copies", image_by_image).ok


@pytest.mark.parametrize(
    ("name", "mistake", "hint"), [(name, *case) for name, cases in MISTAKES.items() for case in cases]
)
def test_typical_mistakes_get_their_own_hint(name, mistake, hint):
    verdict = check(name, mistake)
    assert verdict.done and not verdict.ok
    assert hint in verdict.hint, verdict


@pytest.mark.parametrize("name", NAMES)
def test_hints_differ(name):
    hints = {check(name, mistake).hint for mistake, _ in MISTAKES[name]}
    assert len(hints) == len(MISTAKES[name]) >= 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "answer", [None, ..., 0, -3.5, "word", [], {}, (..., 1), print, torch.zeros(2), lambda: 1, int]
)
def test_no_answer_raises(name, answer):
    verdict = check(name, answer)
    assert isinstance(verdict, Verdict) and not verdict.ok and verdict.reason and verdict.hint
