"""The house stays light: no circle, no arrow upward, and limits for its lines and for what only refuses bad input."""

import ast

import pytest

from tools import measure_house as house

TREES = house.modules()
LIBRARY = {"eqssl_edu.errors": "", "eqssl_edu.groups": "from eqssl_edu import errors"}
CIRCLE = {
    "eqssl_edu.layers": "from eqssl_edu.layers.heads import GSetHead",
    "eqssl_edu.layers.heads": "def head():\n    from . import norm",
    "eqssl_edu.layers.norm": "import eqssl_edu.layers",
}


def parsed(sources):
    """A made-up library."""
    return {name: ast.parse(source) for name, source in sources.items()}


def test_modules_import_in_no_circle():
    assert house.circles(house.imports(TREES)) == []


def test_a_circle_would_be_seen():
    assert house.circles(house.imports(parsed(LIBRARY))) == []
    assert house.circles(house.imports(parsed(LIBRARY | CIRCLE))) == [set(CIRCLE)]


def test_no_room_imports_from_one_above_it():
    assert house.arrows_upward(house.imports(TREES)) == []


@pytest.mark.parametrize(
    "source", ["import eqssl_edu.gsets", "def f():\n    from eqssl_edu.gsets import GSet"]
)
def test_an_arrow_upward_would_be_seen(source):
    trees = parsed({**LIBRARY, "eqssl_edu.groups": source, "eqssl_edu.gsets": "import eqssl_edu.groups"})
    assert house.arrows_upward(house.imports(trees)) == [("eqssl_edu.groups", "eqssl_edu.gsets")]


def test_every_room_has_its_floor():
    with pytest.raises(ValueError, match="attic"):
        house.arrows_upward({"eqssl_edu.attic": {"eqssl_edu.groups"}, "eqssl_edu.groups": set()})


def test_at_most_an_eighth_of_the_mathematics_refuses_bad_input():
    refusing, every = house.validation_share(TREES, house.MATHEMATICS)
    assert 8 * refusing <= every


REFUSING = '''
import torch

def need_even(x, argument):
    """A checker: all of it counts."""
    if x % 2:
        raise ValueError(argument)

class Halver:
    """A docstring does not count."""

    def __init__(self, x):
        need_even(x, "x")
        if x > 100:
            text = f"x is too large, got {x}"
            raise ValueError(text)
        self.x = x

    def half(self):
        if self.x == 0:
            return 0
        return self.x // 2
'''


def test_what_refuses_is_counted():
    """2 lines of the checker, its call and a raise; of the 6 others one is the text of a message, one its condition."""
    assert house.validation_share(parsed({"eqssl_edu.groups": REFUSING}), ["groups"]) == (4, 10)
    assert house.validation_share(parsed({"eqssl_edu.groups": REFUSING}), ["layers"]) == (0, 0)


@pytest.mark.parametrize(
    ("pattern", "place", "without", "limit"),
    [
        ("*.py", "eqssl_edu", ("eqssl_edu/lessons",), 25_200),
        ("*.py", "eqssl_edu", ("eqssl_edu/widgets", "eqssl_edu/exercises", "eqssl_edu/lessons"), 16_000),
        ("*.py", "eqssl_edu/lessons", (), 8_600),
        ("*.js", "eqssl_edu", (), 3_900),
        ("*.css", "eqssl_edu", (), 1_800),
        ("*.py", "tests", (), 39_000),
        ("course.py", "course.py", (), 400),
    ],
)
def test_lines(pattern, place, without, limit):
    assert 0 < house.line_count(pattern, place, without=without) <= limit
