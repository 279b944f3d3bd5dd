"""ByHand without a screen: drawings follow their arguments, and bad choices are refused."""

import pytest

from eqssl_edu.widgets import ByHand


def drawing(**options):
    return ByHand(lambda n, word: f"<b>{word} {n}</b>", n=range(2, 10, 2), word=["a", "b"], **options)


def test_it_draws_again_when_a_control_moves():
    shown = drawing(start={"word": "b"})
    assert shown.values["html"] == "<b>b 2</b>" and shown.state() == {"n": 2, "word": "b"}
    shown.receive({"token": "1", "changes": {"n": 8}})
    assert shown.values["html"] == "<b>b 8</b>" and shown.readout == "b 8"
    assert shown.facts["controls"] == [
        {"name": "n", "label": "n", "choices": [2, 4, 6, 8], "slides": True},
        {"name": "word", "label": "word", "choices": ["a", "b"], "slides": False},
    ]


def test_its_words_are_what_is_read_and_what_is_seen():
    html = '<figure><img alt="x"><figcaption>map &amp; mask</figcaption></figure><p>Error: <b>3 %</b></p>'
    assert ByHand(lambda n: html, n=range(1)).readout == "map & mask; Error: 3 %"


def test_what_goes_wrong_is_shown_and_raised():
    shown = ByHand(lambda n: f"{1 / n}", n=range(0, 3), start={"n": 1})
    with pytest.raises(ZeroDivisionError):
        shown.receive({"token": "1", "changes": {"n": 0}})
    assert "ZeroDivisionError" in shown.error and shown.state() == {"n": 1}  # the last picture stays
    shown.set_state(n=2)
    assert shown.values["html"] == "0.5" and shown.error == ""


def test_a_page_holds_every_choice(tmp_path):
    shown = drawing()
    assert len(shown.frozen_states()) == 8
    page = shown.to_html(tmp_path / "page.html", "A & B").read_text("utf-8")
    assert "<title>A &amp; B</title>" in page and "It holds 8 states" in page
