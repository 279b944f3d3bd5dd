"""What a verdict says, and the words with which exercises judge."""

from html import escape

import numpy as np
import pytest
import torch

from eqssl_edu.exercises import Verdict, check, notebook_02
from eqssl_edu.exercises.judging import judge, need, number, pick, same
from eqssl_edu.exercises.verdict import NotDone, Wrong, filled_in

NAN = float("nan")


def wrong(judged, *arguments, **named):
    """The reason and the hint with which something is turned down."""
    with pytest.raises(Wrong) as caught:
        judged(*arguments, **named)
    return caught.value.args


def test_a_verdict_is_true_only_for_a_right_answer():
    found = [
        bool(Verdict("01.ways", *state, "reason")) for state in ((True, True), (False, True), (False, False))
    ]
    assert found == [True, False, False]


HINTS = {"twice": 6.0, "half or third": [1.5, 1.0], "negative\nWhy?": False, "twice again": 6, "else": True}


@pytest.mark.parametrize(
    ("value", "said"),
    [(6, "twice"), (1.5, "half or third"), (1, "half or third"), (7, "else"), (NAN, "else"), (3j, "else")],
)
def test_a_wrong_value_gets_the_first_hint_that_fits(value, said):
    assert wrong(judge, value, 3, "seen", HINTS) == ("seen", said)


def test_a_hint_may_bring_its_own_reason():
    for value in (-1, NAN):
        hints = {"Below 0.\nWhy below 0?": not value >= 0, "else": True}
        assert wrong(judge, value, 3, "seen", hints) == ("Below 0.", "Why below 0?")


def test_a_right_value_passes_whatever_its_type():
    for value in (3, 3.0, np.int64(3), np.float32(3), torch.tensor(3), torch.tensor(3.0000001)):
        judge(value, 3, "seen", HINTS)
    judge((1, 2), torch.tensor([1, 2]), "seen", HINTS)
    judge(torch.ones(2, 3), torch.ones(2, 3), "seen", HINTS, axes="rows and columns")
    _, hint = wrong(judge, torch.ones(3, 2), torch.ones(2, 3), "seen", HINTS, axes="rows and columns")
    assert hint.startswith("The axes are rows and columns")


def test_nan_and_other_shapes_agree_with_nothing():
    holed = torch.tensor([1.0, NAN])
    assert same(3.0, 3) and not same(NAN, NAN) and not same(holed, holed)
    assert not same(torch.ones(2), 1) and not same(3 + 0j, 3) and not same(torch.tensor(3 + 1e-9j), 3)
    assert not same(3.001, 3) and same(3.001, 3, within=1e-3)
    assert wrong(need, NAN < 1, "seen", "hint") == ("seen", "hint")


def test_whole_numbers():
    for value in (33, 33.0, np.int64(33), np.float32(33), torch.tensor(33), torch.tensor(33.0)):
        plain = number(value, "A number", "hint", whole=True)
        assert plain == 33 and type(plain) is int
    for value in (33.5, NAN, float("inf"), "33", True, None, torch.zeros(2), 33j):
        assert wrong(number, value, "A number", "hint", whole=True)[0].startswith("A number, got ")


CHOICE = (
    "letter",
    {"a": 0.0, "b": 0.25},
    {"a": "so a", "b": "so b"},
    "how",
    "ask each",
)


@pytest.mark.parametrize(
    ("answer", "reason", "hint"),
    [
        (["a", "b"], "Of the 2 letters, 1 is judged wrongly.", "ask each"),
        (["b"], "Of the 2 letters, 2 are judged wrongly.", "ask each"),
        (["a", "c"], "There is no letter 'c'.", "The letters are: a; b."),
        ("a", "The answer must be a list of names, got 'a'.", "how"),
        ([1], "The answer must be a list of names, got [1].", "how"),
    ],
)
def test_a_choice(answer, reason, hint):
    for right in (["a"], ("a",), {"a"}):
        assert pick(right, *CHOICE) == "One by one:\na: so a.\nb: so b."
    assert wrong(pick, answer, *CHOICE) == (reason, hint)


@pytest.mark.parametrize("gap", [None, ..., [1, ...], {"a": None}, {"a": (..., 1)}, [[1], [..., 2]]])
def test_a_gap_is_open_wherever_the_dots_are(gap):
    with pytest.raises(NotDone):
        filled_in(gap)


def test_what_the_answer_raises_is_shown_with_its_line():
    def answer(action):
        return action[999]  # out of range

    verdict = check("01.orbits", answer)
    assert "Your answer raised IndexError" in verdict.reason
    assert "return action[999]  # out of range" in verdict.hint


def test_html_is_escaped():
    html = check("02.harmless", ["<b>bold</b>"])._repr_html_()
    assert "<b>bold</b>" not in html and "&lt;b&gt;bold" in html


@pytest.mark.parametrize("name", ["lifting", "99.lifting", "2.lifting", "02.other"])
def test_unknown_exercises_are_refused(name):
    with pytest.raises(ValueError, match="exercise must be"):
        check(name, 1)


def test_the_second_hint_is_shown_folded_and_only_to_whoever_is_wrong():
    words = notebook_02.lifting.second_hint
    verdict = check("02.lifting", lambda images, kernel, group: images)
    assert words and verdict.second_hint == words and words not in repr(verdict)
    assert f"<details><summary>A second hint</summary>{escape(words)}</details>" in verdict._repr_html_()
    raised = check("02.lifting", lambda: 1)
    assert raised.second_hint == words
    assert not check("02.lifting", ...).second_hint and not check("02.exact_size", 33).second_hint
