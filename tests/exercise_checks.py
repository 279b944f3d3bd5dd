"""What is tested of the checks of every notebook; each notebook's own file says which mistakes are typical."""

import ast
import importlib
import re

import nbformat
import pytest
import torch

from eqssl_edu.exercises import check
from tools import build_notebooks as build

NO_ANSWERS = [0, -3.5, float("nan"), 10**30, "word", [], {}, (1,), print, torch.zeros(2), lambda: 1, int]


def answers(notebooks, solutions):
    """What the notebooks hand to each check: the cells that call it are run, with the notebook's imports alone."""
    found = {}
    for notebook in notebooks:
        text = (build.NOTEBOOKS / "source" / f"{notebook}.py").read_text(encoding="utf-8")
        imports = [node for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        for cell in nbformat.reads(build.build(text, solutions), as_version=4).cells:
            if cell.cell_type == "code" and re.search(r'^(\w+ = )?check\("', cell.source, flags=re.MULTILINE):
                names = {}
                exec(compile(ast.Module(imports, []), "imports", "exec"), names)
                names["check"] = found.__setitem__
                exec(cell.source, names)
    return found


def spoiled(answer):
    """The answer with NaN in place of its numbers; of a function or a network, in place of what it gives."""
    if isinstance(answer, torch.Tensor):
        return torch.full_like(answer, torch.nan, dtype=torch.promote_types(answer.dtype, torch.float32))
    if isinstance(answer, (list, tuple, set)):
        return type(answer)(map(spoiled, answer))
    if isinstance(answer, dict):
        return {key: spoiled(value) for key, value in answer.items()}
    if isinstance(answer, type) and issubclass(answer, torch.nn.Module):
        return type("Spoiled", (answer,), {"forward": lambda self, *x: spoiled(answer.forward(self, *x))})
    if callable(answer):
        return lambda *x, **named: spoiled(answer(*x, **named))
    return answer if isinstance(answer, str) else torch.nan


class ExerciseChecks:
    """Stubs are not done, solutions pass, typical mistakes get their own hint, and no answer raises."""

    notebooks: tuple  # the sources, by name
    mistakes: dict  # exercise -> {a part of the reason or the hint: the answer that gets it}
    also_right: dict  # exercise -> [answer, ...]: unusual ones
    partial: tuple = ()  # exercises whose gap holds an answer that runs, and is wrong

    def pytest_generate_tests(self, metafunc):
        if "name" in metafunc.fixturenames:
            metafunc.parametrize("name", self.mistakes)

    @pytest.fixture(scope="class")
    @classmethod
    def stubs(cls):
        return answers(cls.notebooks, solutions=False)

    @pytest.fixture(scope="class")
    @classmethod
    def solutions(cls):
        return answers(cls.notebooks, solutions=True)

    def test_every_exercise_is_asked_in_its_notebook(self, stubs, solutions):
        names = set()
        for number in (notebook[:2] for notebook in self.notebooks):
            checks = importlib.import_module(f"eqssl_edu.exercises.notebook_{number}")
            names |= {f"{number}.{name}" for name in checks.__all__}
        assert set(stubs) == set(solutions) == set(self.mistakes) == names >= set(self.also_right)

    def test_the_stub_is_not_done_and_the_solution_passes(self, name, stubs, solutions):
        stub = check(name, stubs[name])
        words = "not yet right" if name in self.partial else "not done yet"
        assert not stub and not stub.ok and stub.done == (name in self.partial)
        assert words in repr(stub) and words in stub._repr_html_()
        for right in (solutions[name], *self.also_right.get(name, [])):
            verdict = check(name, right)
            assert verdict and verdict.ok and verdict.done and not verdict.hint, verdict

    def test_typical_mistakes_get_their_own_hint(self, name):
        said = set()
        for words, mistake in self.mistakes[name].items():
            verdict = check(name, mistake)
            assert verdict.done and not verdict.ok and not verdict, verdict
            assert words in f"{verdict.reason} {verdict.hint}", verdict
            said.add((verdict.reason, verdict.hint))
        assert len(said) >= 3

    def test_nan_is_no_answer(self, name, solutions):
        answer = spoiled(solutions[name])
        assert repr(answer) == repr(solutions[name]) or not check(
            name, answer
        )  # names and choices hold no numbers

    def test_no_answer_raises(self, name):
        for answer in NO_ANSWERS:
            verdict = check(name, answer)
            assert not verdict and verdict.reason and verdict.hint, (answer, verdict)
        assert not any(check(name, answer).done for answer in (None, ..., (..., 1)))
