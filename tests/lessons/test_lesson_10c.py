"""Notebook 10c: the letters that explain a turn away, maps that are carried over, the chart of few images and many."""

import math

import pytest
import torch

from eqssl_edu.diagnostics.learned_action import action_alone
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.learned import RELATIVES
from eqssl_edu.lessons import learned_runs as shipped
from eqssl_edu.lessons import notebook_10c as lesson

C4 = shipped.C4


def test_the_letters_explain_the_turn_away_and_letters_that_are_no_turns_of_each_other_do_not():
    counts = lesson.counts_of(lesson.b_d_p_q())
    assert counts.shape == (4, 4, 8) and counts.sum() == 16
    assert abs(lesson.library_information(counts) - math.log(2)) < 1e-14
    assert abs(lesson.library_information(counts.sum(dim=2, keepdim=True))) < 1e-14
    F = torch.zeros(1, 1, 7, 7)
    F[..., 1:6, 2] = F[..., 1, 2:6] = F[..., 3, 2:5] = 1
    apart = lesson.counts_of(torch.cat([F, F.flip(-1)]))
    assert apart.shape == (4, 2, 8) and abs(lesson.library_information(apart)) < 1e-14


def test_every_state_draws_and_its_words_are_so():
    drawing = lesson.explain_by_hand()
    causes = []
    for state in drawing.frozen_states():
        drawing.set_state(**state)
        html = drawing.values["html"]
        assert html.count("<img") == html.count("alt=") >= 1
        if state["letter"] == "nobody says":
            assert "2 causes, with different turns" in drawing.readout
        causes.append("One cause" in drawing.readout)
    assert sum(causes) == 16


def test_carried_over_as_learned_action_reports_it():
    torch.manual_seed(0)
    encoders = {"plain": GroupCNN(cyclic(1), 1, (2, 8)), "built in": GroupCNN(C4, 1, (1, 2))}
    tables = [
        lesson.carried_over(encoders, missed) for missed in (lambda *given: None, lesson.library_missed)
    ]
    for name, numbers in tables[1].items():
        assert tables[0][name] == pytest.approx(numbers, rel=1e-9, abs=1e-12)
    assert max(tables[0]["built in"].values()) < 1e-9
    letters = {"letters": shipped.asked("letters")[1]}
    theirs = action_alone(encoders["plain"], shipped.asked("digits")[0], C4, letters)["letters"]
    assert tables[0]["plain"]["letters"] == pytest.approx(theirs.plain.error, rel=1e-3)


def test_the_chart_has_both_counts_and_ones_own(capsys):
    own = {"kind": "soft", "count": 32, "error": 0.1, "views": 0.2, "transfer": 0.3}
    figure = lesson.transfer_chart([own])
    stars = [trace for trace in figure.data if trace.marker.symbol == "star" and trace.x]
    assert [trace.y for trace in stars] == [(0.1,), (0.2,), (0.3,)]
    assert len(figure.data[0].x) == 10 * len(RELATIVES)
    assert len(capsys.readouterr().out.splitlines()) == len(RELATIVES)


def test_information_is_printed_with_and_without_an_answer(capsys):
    counts = lesson.counts_of(lesson.b_d_p_q())
    for answer in (lambda counts: None, lesson.library_information):
        lesson.print_information(answer, counts)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["nobody looks: 0.000 nats; with the picture: 0.693 nats"] * 2
