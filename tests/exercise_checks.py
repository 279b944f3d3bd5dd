"""What is tested of the checks of every notebook; each notebook's own file says which mistakes are typical."""

import ast
import re

import nbformat
import pytest
import torch

from eqssl_edu.exercises import Verdict, check
from tools import build_notebooks as build

NO_ANSWERS = [None, ..., 0, -3.5, "word", [], {}, (..., 1), print, torch.zeros(2), lambda: 1, int]


def answers(notebooks, solutions):
    """What the notebooks hand to each check: the cells that call it are run, with the notebook's imports alone."""
    found = {}

    def record(name, answer):
        found[name] = answer
        return check(name, answer)

    for notebook in notebooks:
        text = (build.NOTEBOOKS / "source" / f"{notebook}.py").read_text(encoding="utf-8")
        imports = [node for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        for cell in nbformat.reads(build.build(text, solutions), as_version=4).cells:
            if cell.cell_type == "code" and re.search(r'^check\("', cell.source, flags=re.MULTILINE):
                names = {}
                exec(compile(ast.Module(imports, []), "imports", "exec"), names)
                names["check"] = record
                exec(cell.source, names)
    return found


class ExerciseChecks:
    """Stubs are not done, solutions pass, typical mistakes get their own hint, and no answer raises."""

    notebooks: tuple  # the sources, by name
    names: list  # of the exercises
    mistakes: dict  # exercise -> [(answer, a part of its hint), ...]

    def pytest_generate_tests(self, metafunc):
        if "mistake" in metafunc.fixturenames:
            cases = [(name, *case) for name, cases in self.mistakes.items() for case in cases]
            metafunc.parametrize(("name", "mistake", "hint"), cases)
        elif "name" in metafunc.fixturenames:
            metafunc.parametrize("name", self.names)

    @pytest.fixture(scope="class")
    @classmethod
    def stubs(cls):
        return answers(cls.notebooks, solutions=False)

    @pytest.fixture(scope="class")
    @classmethod
    def solutions(cls):
        return answers(cls.notebooks, solutions=True)

    def test_every_exercise_is_asked_in_its_notebook(self, stubs, solutions):
        assert set(stubs) == set(solutions) == set(self.names) == set(self.mistakes)

    def test_the_stub_is_not_done(self, name, stubs):
        verdict = check(name, stubs[name])
        assert (verdict.ok, verdict.done) == (False, False)
        assert "not done yet" in repr(verdict) and "not done yet" in verdict._repr_html_()

    def test_the_solution_passes(self, name, solutions):
        verdict = check(name, solutions[name])
        assert verdict.ok and verdict.done and not verdict.hint, verdict

    def test_typical_mistakes_get_their_own_hint(self, name, mistake, hint):
        verdict = check(name, mistake)
        assert verdict.done and not verdict.ok
        assert hint in verdict.hint, verdict

    def test_different_mistakes_get_different_hints(self, name):
        hints = {check(name, mistake).hint for mistake, _ in self.mistakes[name]}
        assert len(hints) >= 3

    @pytest.mark.parametrize("answer", NO_ANSWERS)
    def test_no_answer_raises(self, name, answer):
        verdict = check(name, answer)
        assert isinstance(verdict, Verdict) and not verdict.ok and verdict.reason and verdict.hint
