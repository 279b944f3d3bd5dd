"""Notebooks 06 to 06c: models are matched, limits are drawn, tables and pictures say what was measured."""

import pytest
import torch

from eqssl_edu.data import Splits, digits
from eqssl_edu.encoders import count_multiplications, count_parameters
from eqssl_edu.evaluation import paired_interval
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import few_labels as few
from eqssl_edu.lessons import notebook_06 as lesson
from eqssl_edu.lessons import notebook_06b as pictures
from eqssl_edu.lessons import notebook_06c as after
from eqssl_edu.pretext import RotationTask
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


def test_answers_about_letters_are_shares():
    from eqssl_edu.data import glyphs

    letters = glyphs(counts=(26, 26, 52), size=16).test
    answers = pictures.letter_answers(lesson.build(ROTATION, "equivariant", 0), letters)
    assert len(answers) == 26 and all(float(share.sum()) == pytest.approx(1) for share in answers.values())
    figure = pictures.show_answers(answers)
    heights = torch.tensor([bar.y for bar in figure.data])
    torch.testing.assert_close(heights.sum(dim=0), torch.full((26,), 100.0), rtol=0, atol=1e-3)


def test_labels_are_balanced_and_more_of_them_hold_fewer():
    train = few.letters().train
    small, large = (few.chosen(train, count, 3) for count in (2, 10))
    assert small.labels.bincount().tolist() == 26 * [2] and large.labels.bincount().tolist() == 26 * [10]
    own = {image.numpy().tobytes() for image in large.images}
    assert len(own) == 260 and all(image.numpy().tobytes() in own for image in small.images)
    assert not torch.equal(few.chosen(train, 2, 4).images, small.images)


def test_who_learns_and_who_is_frozen(monkeypatch):
    short, long, tuned, *_ = few.METHODS
    monkeypatch.setattr(few, "STEPS", {short: 3, long: 9, tuned: 3})
    small, encoder = Splits(*(few.chosen(part, 3, 0) for part in few.letters())), few.untrained(0)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    found = {method: few.learn(method, encoder, small, 2, 0) for method in few.METHODS}
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    # from one and the same encoder "from scratch" and "fine-tuned" are the same training
    assert found[short] == found[tuned] and len(set(found.values())) > 2


def test_the_chart_shows_all_runs_and_mine():
    method = few.METHODS[2]
    figure = few.runs_chart((10, method, 0.5))
    assert [len(few.found(count, method)) for count in few.COUNTS] == 4 * [5]
    stars = [trace for trace in figure.data if trace.marker.symbol == "star" and len(trace.x)]
    assert [list(star.y) for star in stars] == [[0.5]] and method in stars[0].name
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [line.name for line in lines] == list(few.METHODS)


def test_differences_are_those_of_the_library():
    scratch, _, tuned, *_ = few.METHODS
    table = after.differences(after.paired, [(tuned, scratch)])
    for count, row in zip(few.COUNTS, table.values(), strict=True):
        wanted = paired_interval(few.found(count, tuned), few.found(count, scratch))
        assert list(row.values()) == pytest.approx([100 * part for part in wanted])


def test_a_run_goes_on_where_it_was_cut():
    cut, later, whole = (after.short_run(1) for _ in range(3))
    after.go_on(cut, until=7)
    later.load_state_dict(cut.state_dict())
    assert torch.equal(after.go_on(later), after.go_on(whole)) and later.step == 40
