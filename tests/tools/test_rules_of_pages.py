"""What is told of a page from its text, and the rules that each page keeps."""

import pytest

from tools import build_notebooks as build
from tools import pages

SOURCES = {
    script.stem: script.read_text(encoding="utf-8")
    for script in sorted((build.NOTEBOOKS / "source").glob("*.py"))
}
GOOD = """\
# %% [markdown]
# # 9 · A page
#
# **Time:** {minutes} minutes.

# %%
from eqssl_edu.groups import cyclic

# %% [markdown]
# **Predict.** Is it one?

# %%
x = 1  # one line
# a comment is not read

print(x)

# %% [markdown]
# **Seen:** it is $1$. *It* is not two. (Nor is
# it three.)
#
# **Why:** nobody knows.

# %% tags=["fold"]
# Holds: it is $1$.
# Holds: *It* is not two.
# Holds: (Nor is
#   it three.)
assert x == 1

# %%
def one():
    # BEGIN SOLUTION
    return 1
    # END SOLUTION


check("09.one", one)

# %%
class Two:
    # BEGIN SOLUTION
    value = 2
    # END SOLUTION


check("09.two", Two)
"""


def faults(text):
    return list(pages.faults(build.page(text)))


def test_every_page_has_its_minutes_computed():
    assert [stem for stem, text in SOURCES.items() if build.MINUTES not in text] == []


def test_a_page_that_keeps_the_rules():
    assert faults(GOOD) == []


def test_its_minutes_are_those_of_words_lines_predictions_and_exercises():
    cells = build.page(GOOD)
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    assert pages.minutes(cells) == words / 150 + 2 * 0.5 + 3 + 2 * 8
    assert f"**Time:** {pages.minutes(cells):.0f} minutes." in build.build(GOOD, solutions=True)
    assert (
        pages.minutes(build.page(GOOD.replace("print(x)", "\n".join(20 * ["print(x)"]))))
        == pages.minutes(cells) + 19 / 2
    )


def test_a_folded_cell_is_hidden_and_shows_its_first_line():
    [folded] = filter(pages.is_folded, build.page(GOOD))
    assert folded.metadata.jupyter == {"source_hidden": True}
    assert folded.source.startswith("# Holds: it is $1$.")


def test_every_claim_has_its_cell():
    assert pages.claims(build.page(GOOD)) == {
        "it is $1$.": 6,
        "*It* is not two.": 6,
        "(Nor is it three.)": 6,
    }


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("# Holds: it is $1$.\n", "", "no folded cell holds: it is $1$."),
        ("# Holds: it is", "# Holds: it was", "no folded cell holds: it is $1$."),
        ("# Holds: it is", "# Holds: that is", "a folded cell holds what the text does not say: that is $1$."),
        ("assert x == 1\n", "print(x)\n", "a folded cell holds no sentence, or asserts nothing: # Holds: it is $1$."),
        ('tags=["fold"]', "", "a cell shows an assert: # Holds: it is $1$."),
        ("print(x)", "assert x", "a cell shows an assert: x = 1  # one line"),
        ("print(x)", 'HTML("<b>x</b>")', "a cell shows HTML: x = 1  # one line"),
        ("print(x)", "go.Figure()", "a cell shows plotly's plumbing: x = 1  # one line"),
        ("print(x)", "walk(x)", "a cell shows a walk: x = 1  # one line"),
        ("print(x)", "y\n" * 20, "a cell has 21 lines of code, 20 is the limit: x = 1  # one line"),
        ("cyclic\n", "cyclic\n" + "import y\n" * 12, "a cell has 13 lines of code, 12 is the limit: from eqssl"),
        ("class Two:", "if True:", "1 of its exercises are written as code, two are wanted"),
        ("print(x)", "y\n" * 60, "it takes 49.7 minutes, 45 is the limit"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named(before, after, fault):
    found = faults(GOOD.replace(before, after))
    assert any(each.startswith(fault) for each in found), found


def test_half_of_the_cells_are_short():
    text = GOOD.replace("print(x)", "y\n" * 9).replace("def one():\n", "def one():\n" + "    y\n" * 9)
    text = text.replace("class Two:\n", "class Two:\n" + "    y\n" * 9)
    assert faults(text) == ["half of its cells have 11 lines of code or more, 8 is the limit"]


@pytest.mark.parametrize("stem", SOURCES)
def test_the_rules_are_kept(stem):
    limit = pages.TASTE if stem.startswith("00") else pages.SITTING
    assert list(pages.faults(build.page(SOURCES[stem]), limit)) == []


@pytest.mark.parametrize("stem", SOURCES)
def test_its_minutes_stand_in_the_readme_and_in_the_rules(stem):
    taken = round(pages.minutes(build.page(SOURCES[stem])))
    readme, rules = (
        (build.NOTEBOOKS.parent / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md")
    )
    [row] = [line for line in readme.splitlines() if line.startswith(f"| [`{stem}`]")]
    assert f" | {taken} min | " in row and f"`{stem}`: {taken} min" in rules


def test_the_minutes_stand_in_the_tables():
    text = "| [`09_x`](notebooks/09_x.ipynb) | what | 0 min | 3 s |\nand `09_x`: 0 min"
    assert pages.with_minutes(text, {"09_x": 41, "09b_y": 7}) == text.replace("0 min", "41 min")
