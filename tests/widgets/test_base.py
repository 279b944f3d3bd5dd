"""The common base of the explorers: state, conversation, visible errors."""

import importlib.util
import threading

import pytest

from eqssl_edu.widgets.shared import base


class Doubler(base.Explorer):
    """The smallest explorer: shows twice a number."""

    _esm = "export default { render() {} }"

    def __init__(self):
        self.slices = 3
        super().__init__({"largest": 10}, {"number": 1, "other": 0}, unfinished=True)

    def check(self, changes):
        if changes.get("number", 0) > 10:
            raise ValueError(f"number must be at most 10, got {changes['number']}")
        return changes

    def show(self, state):
        return {"double": 2 * state["number"]}, f"Twice {state['number']} is {2 * state['number']}."

    def refine(self):
        self.slices -= 1
        self.unfinished = self.slices > 0


def test_state_is_a_copy_and_comes_back():
    explorer = Doubler()
    state = explorer.state()
    state["number"] = 7
    assert explorer.state() == {"number": 1, "other": 0}
    explorer.set_state(**state)
    assert explorer.state() == state
    assert explorer.values == {"double": 14}
    assert explorer.readout == "Twice 7 is 14."


def test_set_state_names_what_is_wrong_and_changes_nothing():
    explorer = Doubler()
    with pytest.raises(ValueError, match="nummer is not part of the state; it has number, other"):
        explorer.set_state(nummer=2)
    with pytest.raises(ValueError, match="number must be at most 10, got 11"):
        explorer.set_state(number=11, other=5)
    assert explorer.state() == {"number": 1, "other": 0}
    assert explorer.values == {"double": 2}


def test_a_message_is_answered_with_its_token(quiet):
    explorer = Doubler()
    explorer.receive({"token": "a", "changes": {"number": 3}})
    assert (explorer.answered, explorer.values, explorer.error) == ("a", {"double": 6}, "")


def test_an_error_in_a_handler_is_shown_and_answered(quiet):
    explorer = Doubler()
    explorer.receive({"token": "b", "changes": {"number": 11}})
    assert explorer.error == "ValueError: number must be at most 10, got 11"
    assert explorer.answered == "b"  # or the front end would wait for ever
    assert not explorer.unfinished  # or it would ask for the same failure again
    explorer.receive({"token": "c", "changes": {"number": 4}})
    assert explorer.error == ""


def test_an_error_in_a_handler_is_raised_under_test():
    explorer = Doubler()
    with pytest.raises(ValueError, match="number must be at most 10"):
        explorer.receive({"token": "b", "changes": {"number": 11}})
    assert explorer.error and explorer.answered == "b"


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), ("", False)])
def test_the_environment_switches_raising_on(monkeypatch, value, expected):
    monkeypatch.setenv("EQSSL_EDU_RAISE_ERRORS", value)
    spec = importlib.util.spec_from_file_location("another_base", base.__file__)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    assert fresh.RAISE_ERRORS is expected


def test_refine_runs_in_slices():
    explorer = Doubler()
    slices = 0
    while explorer.unfinished:
        explorer.receive({"token": str(slices), "refine": True})
        slices += 1
    assert slices == 3


def test_all_traits_of_an_answer_go_into_one_message(monkeypatch):
    explorer = Doubler()
    sent = []
    monkeypatch.setattr(explorer, "send_state", lambda key=None: sent.append(set(key)))
    explorer.receive({"token": "d", "changes": {"number": 5}})
    assert sent == [{"answered", "values", "readout"}]


def test_two_threads_do_not_meet_inside_an_explorer():
    inside, most = [], []

    class Slow(Doubler):
        def show(self, state):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.01)
            inside.pop()
            return super().show(state)

    explorer = Slow()
    threads = [threading.Thread(target=explorer.set_state, kwargs={"number": n}) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_traits_from_the_front_end_still_arrive():
    explorer = Doubler()
    explorer.set_state({"tooltip": "a tip"})  # what ipywidgets calls for a message of its own
    assert explorer.tooltip == "a tip"


def test_scripts_and_styles_need_no_network():
    for path in (path for path in base.FOLDER.rglob("*") if path.suffix in (".js", ".css")):
        text = path.read_text("utf-8")
        assert "import " not in text.replace("nothing is imported", "")
        assert "import(" not in text and "@import" not in text
        assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
        own = path.suffix == ".js" and path.parent.name not in ("shared", "live")
        assert ("export default { render }" in text) == own
