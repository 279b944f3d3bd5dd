"""The runner that checks the notebooks' asserts with other seeds; and, in `course.py test long`, the notebooks."""

from pathlib import Path

import pytest

from tools import try_seeds as seeds

SOURCES = Path(__file__).parents[2] / "notebooks" / "source"
WITH_SEEDS = [path for path in sorted(SOURCES.glob("*.py")) if f"\n{seeds.LINE}" in path.read_text("utf-8")]

SMALL = """\
# %%
SEED = 0  # any
x = 10 * SEED

# %%
def small(x):
    # BEGIN SOLUTION
    # GAP: return None
    assert x < 25
    return True
    # END SOLUTION


assert small(x)

# %%
assert SEED != 1
"""


def test_failing_asserts_are_found_and_named():
    assert seeds.failures(SMALL, 0) == []
    assert seeds.failures(SMALL, 1) == ["cell 2: assert SEED != 1"]
    assert seeds.failures(SMALL, 3) == ["cell 1: assert small(x)"]


def test_other_errors_are_no_matter_of_luck():
    with pytest.raises(ZeroDivisionError):
        seeds.failures(SMALL + "\n# %%\n1 / SEED\n", 0)


def test_a_notebook_without_a_seed_is_refused():
    with pytest.raises(ValueError, match="one line that begins with `SEED = 0`"):
        seeds.failures("# %%\nx = 1\n", 0)


def test_every_training_notebook_has_a_seed():
    assert {"05", "06", "08"} <= {path.stem[:2] for path in WITH_SEEDS}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 5))  # every other test of the notebooks has seed 0
@pytest.mark.parametrize("path", WITH_SEEDS, ids=lambda path: path.stem)
def test_what_a_notebook_says_holds_with_every_seed(path, seed):
    assert seeds.failures(path.read_text("utf-8"), seed) == []
