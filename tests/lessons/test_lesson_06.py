"""Notebooks 06 and 06b: models are matched, limits are drawn, and pictures say what was measured."""

import pytest
import torch

from eqssl_edu.data import digits
from eqssl_edu.encoders import count_multiplications, count_parameters
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_06 as lesson
from eqssl_edu.lessons import notebook_06b as pictures
from eqssl_edu.pretext import RelativeLocationTask, RotationTask
from eqssl_edu.theory import label_cap

ROTATION = RotationTask(cyclic(4))
IMAGES = digits(12).test.images[:40]


def test_the_controls_are_matched():
    models = {kind: lesson.build(ROTATION, kind, 0) for kind in lesson.KINDS}
    weights = {kind: count_parameters(model.encoder) for kind, model in models.items()}
    work = {kind: count_multiplications(model, IMAGES[:1]) for kind, model in models.items()}
    for kind in ("CNN, equal weights", "symmetrised CNN"):
        assert weights[kind] == pytest.approx(weights["equivariant"], rel=0.1)
    assert work["CNN, equal compute"] == pytest.approx(work["equivariant"], rel=0.03)
    assert {row["weights"] for row in lesson.costs(ROTATION, IMAGES).values()} == {
        float(count_parameters(model)) for model in models.values()
    }
    first, again = (lesson.build(ROTATION, "equivariant", 3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_limits_are_lines_and_caps_are_marks():
    live = lesson.train(
        {"a": (ROTATION, "equivariant"), "b": (ROTATION, "invariant head")},
        IMAGES.repeat(4, 1, 1, 1),
        2,
        "x",
        0,
    )
    models = lesson.trained(live)
    figure = lesson.curves(live, {"b": label_cap(ROTATION.labels, range(4))}, "two")
    assert {text.text for text in figure.layout.annotations} == {"floor 1.386", "cap 25"}
    found = lesson.results(models, IMAGES)
    assert found["b"][1] == 1 / 4
    bars = lesson.accuracy_bars(found, {"b": 1 / 4}, 1 / 4, "two")
    assert list(bars.data[0].y) == [100 * accuracy for _, accuracy in found.values()]
    assert list(bars.data[1].y) == [100, 25]


def test_a_wrong_action_is_told_by_the_truth_alone():
    models = {"a": lesson.build(ROTATION, "equivariant", 0)}
    table = lesson.graded(models, lesson.turned_accuracy, IMAGES)
    assert table["a"]["upright"] == table["a"]["turned, own book"]
    assert list(table["a"]) == list(lesson.GRADES)


def test_one_copy_is_as_good_as_all_for_the_equivariant_model_alone():
    batch, turns = IMAGES.double(), torch.arange(40) % 4
    one, every = (cyclic(4).transform(batch, turns), turns), lesson.all_copies(batch, cyclic(4))
    ours, free = (
        lesson.two_steps(lesson.build(ROTATION, kind, 0).double(), one, every)
        for kind in ("equivariant", "free head")
    )
    assert max(ours["loss"], ours["gradients"]) < 1e-10 and free["gradients"] > 0.01


def test_pictures_of_digits_letters_and_patches():
    versions = {"plain": IMAGES, "round": pictures.symmetrised(IMAGES, cyclic(4), range(4))}
    model = lesson.build(ROTATION, "equivariant", 0)
    drawing = pictures.ask_about_digit(model, versions)
    drawing.set_state(version="round", digit=2, turn=1)
    assert drawing.values["html"].count("</span> 0.25</div>") == 4 and "0.25." in drawing.readout
    table = pictures.version_table(model, versions)
    assert [row["cap"] for row in table.values()] == [1, 1 / 4] and table["round"]["accuracy"] == 1 / 4
    assert len(pictures.show_versions(versions).data) > 0
    location = RelativeLocationTask(cyclic(4), patch=2)
    assert len(pictures.show_patches(location, IMAGES[:3], 0).layout.annotations) >= 3


def test_answers_about_letters_are_shares():
    from eqssl_edu.data import glyphs

    letters = glyphs(counts=(26, 26, 52), size=16).test
    answers = pictures.letter_answers(lesson.build(ROTATION, "equivariant", 0), letters)
    assert len(answers) == 26 and all(float(share.sum()) == pytest.approx(1) for share in answers.values())
    figure = pictures.show_answers(answers)
    heights = torch.tensor([bar.y for bar in figure.data])
    torch.testing.assert_close(heights.sum(dim=0), torch.full((26,), 100.0), rtol=0, atol=1e-3)
