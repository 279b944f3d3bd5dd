"""The examples in the docstrings are run, and give what they say."""

import doctest
import importlib
import inspect
import pkgutil

import pytest
import torch

import eqssl_edu

MODULES = [module.name for module in pkgutil.walk_packages(eqssl_edu.__path__, "eqssl_edu.")]


class Finder(doctest.DocTestFinder):
    """Finds functions behind decorators as well: the annotation checker of the tests is one."""

    def _from_module(self, module, obj):
        return super()._from_module(module, inspect.unwrap(obj) if callable(obj) else obj)


def examples(name):
    module = importlib.import_module(name)
    return [test for test in Finder().find(module, name) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, capsys):
    if ".steerable" in name:
        pytest.importorskip(name, exc_type=ImportError)  # escnn may be missing
    torch.manual_seed(0)
    runner = doctest.DocTestRunner()
    failures = sum(runner.run(test).failed for test in examples(name))
    assert failures == 0, capsys.readouterr().out


def test_examples_are_found():
    least = {"groups": 3, "gsets": 1, "layers.convolutions": 2, "layers.exactness": 3, "encoders": 2}
    assert all(len(examples(f"eqssl_edu.{name}")) >= number for name, number in least.items())


def test_a_wrong_example_would_fail():
    """The must-fail twin."""
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda text: None).failed == 1
