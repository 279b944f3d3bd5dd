"""Notebook 10b: the slide ends at the symmetrisation, monitors are as said, the shipped runs are whole."""

import math

import pytest
import torch

from eqssl_edu.diagnostics.learned_action import action_alone
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import learned_runs as shipped
from eqssl_edu.lessons import notebook_10b as lesson

C4 = shipped.C4


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    return GroupCNN(cyclic(1), 1, (2, 4, 8)).eval()


def test_the_slide_ends_where_the_loss_is_zero_with_and_without_answers(plain):
    f = lesson.tables_of(plain.double())
    readouts = []
    for answers in (
        (lambda *given: None, lambda *given: ...),
        (lesson.library_symmetrised, lesson.library_soft),
    ):
        slide = lesson.slide(f, *answers)
        for state in slide.frozen_states():
            slide.set_state(**state)
            html = slide.values["html"]
            assert html.count("<img") == html.count("alt=") == 4
        readouts.append(slide.readout)
    assert readouts[0] == readouts[1]
    assert "soft loss: 0.000000; 2 E |f − S f|²: 0.000000" in readouts[0]
    plain.float()


def test_numbers_that_do_not_move_change_what_is_divided_by_all_energy_alone():
    z, maps = draw(60, 4, 6) + draw(60, 1, 6, seed=1), draw(4, 6, 6, seed=2)
    quiet, loud = (
        lesson.monitors(lesson.with_a_loud_part(z, each), maps, lesson.library_moving) for each in (0.0, 9.0)
    )
    shares = [loud[name] / quiet[name] for name in quiet]
    assert shares[0] < 0.2 and shares[1] < 0.2 and abs(shares[2] - 1) < 1e-12
    with_them = lesson.with_a_loud_part(z, 9.0)
    assert with_them.shape == (60, 4, 12) and (with_them[:, 1:, 6:] - with_them[:, :1, 6:]).abs().max() == 0


def test_the_monitor_is_the_moving_error_of_learned_action(plain):
    maps, z = lesson._fitted(plain)
    fitted, others = shipped.asked("letters")
    theirs = action_alone(plain, fitted, C4, {"letters": others})["letters"].plain
    mine = lesson.monitors(z, maps, lesson.library_moving)
    assert mine["error in units of what moves"] == pytest.approx(theirs.error, rel=1e-3)
    assert mine["error in units of all energy"] == pytest.approx(theirs.error_of_all, rel=1e-3)


def test_every_loudness_draws(plain):
    drawing = lesson.louder(plain, lambda z: None)
    for state in drawing.frozen_states():
        drawing.set_state(**state)
        assert drawing.values["html"].count("units of") == 2
    first, last = lesson.loud_ends(plain)
    assert first.keys() == last.keys()


def test_the_chart_has_all_kinds_and_ones_own():
    own = {"kind": "soft", "error": 0.1, "still": 0.5}
    figure = lesson.runs_chart([own], "error", "still")
    assert len(figure.data) == 2 * 3 * len(shipped.KINDS)
    assert [trace.x for trace in figure.data if trace.marker.symbol == "star" and len(trace.x)] == [
        (8,),
        (8,),
    ]


def test_the_shipped_runs_are_whole():
    """The same seeds for each kind, 20 on letters and 10 on digits; make_runs adds what is missing."""
    for data, count, seeds in (("letters", 364, 20), ("digits", 32, 10), ("digits", 1297, 10)):
        for kind in shipped.KINDS:
            for measure in ("still", "error", "of all", "law", "four times", "transfer", "views"):
                values = shipped.found(kind, measure, data, count)
                assert len(values) == seeds, (kind, data, count)
                assert all(math.isfinite(value) and value >= 0 for value in values)


def test_a_shipped_run_comes_out_again():
    again, run = shipped.one_run("built in", "letters", 364, 1), shipped.runs()["built in, 364 letters, 1"]
    assert abs(again["still"] - run["still"]) < 0.05
    assert max(again["error"], again["four times"], run["error"], run["four times"]) < 1e-9


def test_few_and_many_images_have_as_many_steps():
    models = [shipped.new_model("upright", 0) for _ in shipped.COUNTS]
    runs = [
        shipped.training(model, "digits", count, 0)
        for model, count in zip(models, shipped.COUNTS, strict=True)
    ]
    assert {run.total_steps for run in runs} == {120}
