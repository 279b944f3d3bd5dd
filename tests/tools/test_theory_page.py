"""docs/theory.md: every statement has its tests, every test is there, and no link is dead."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("theory.md", "words.md")]
SUFFIXES = (".md", ".py", ".jinja")
KINDS = ("**Exact.**", "**Measured.**", "**Approximate.**")


def slug(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)}


def statements(text: str) -> dict[str, str]:
    """The text under each heading of the third level."""
    parts = re.split(r"^#{2,3} ", text, flags=re.MULTILINE)
    marked = re.findall(r"^(#{2,3}) ", text, flags=re.MULTILINE)
    found = [part.partition("\n") for part in parts[1:]]
    return {head: body for level, (head, _, body) in zip(marked, found, strict=True) if level == "###"}


def faults(text: str, docs: Path = ROOT / "docs") -> list[str]:
    """One sentence for each statement without a kind or a test, and for each test that is not there."""
    found = []
    for name, body in statements(text).items():
        if not any(kind in body for kind in KINDS):
            found.append(f"{name}: neither exact, measured nor approximate")
        links = re.split(r"\[test\]\(([^)]+)\)", body)
        said = [
            (link, test)
            for link, after in zip(links[1::2], links[2::2], strict=True)
            for test in re.findall(r"`(test_\w+)`", after)
        ]
        if not said:
            found.append(f"{name}: no test")
        for link, test in said:
            file = docs / link
            if not file.exists() or f"def {test}(" not in file.read_text("utf-8"):
                found.append(f"{name}: no {test} in {link}")
        found += [f"{name}: {link} names no test" for link in set(links[1::2]) - {link for link, _ in said}]
    return found


THEORY = PAGES[0].read_text("utf-8")
COUNTED = {"E": range(1, 5), "T": range(1, 11), "C": range(1, 8), "A": range(19), "B": range(1, 12)}
NAMES = [f"{letter}{number}" for letter, numbers in COUNTED.items() for number in numbers]


def test_every_statement_has_its_tests():
    assert faults(THEORY) == []
    numbers = [match for name in statements(THEORY) for match in re.findall(r"\(([ABCET]\d+)\)$", name)]
    assert numbers == NAMES


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (
            "test_t7_universal_head_formula",
            "test_t7_no_such",
            "The universal head (T7): no test_t7_no_such in",
        ),
        ("tests/test_gsets.py", "tests/test_gset.py", "A group and its actions: no test_action_axioms in"),
        ("**Approximate.**", "", "The band limit (E4): neither exact, measured nor approximate"),
        ("test_t9_", "see_t9_", "The lift (T9): no test"),
    ],
)
def test_a_fault_would_be_seen(before, after, fault):
    text = (
        THEORY.replace("`test_t9_concatenated", "`test_t9_x`, `test_t9_concatenated")
        if after == ""
        else THEORY
    )
    assert any(each.startswith(fault) for each in faults(text.replace(before, after)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_dead(page):
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text("utf-8"))
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_whoever_points_to_a_statement_finds_it():
    """Notebooks, docstrings, templates and pages: `theory.md#the-universal-head-t7` and the like."""
    patterns = ("*.md", "docs/**/*.md", "notebooks/source/*.py", "eqssl_edu/**/*.py", "experiments/**/*.*")
    for place in (path for pattern in patterns for path in ROOT.glob(pattern) if path.suffix in SUFFIXES):
        for page, anchor in re.findall(r"(theory|words)\.md#([\w-]+)", place.read_text("utf-8")):
            assert anchor in anchors(ROOT / "docs" / f"{page}.md"), (
                f"{place.relative_to(ROOT)}: {page}.md#{anchor}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_formulas_are_such_as_github_renders(page):
    """Inline $...$ loses its backslashes before punctuation there, and stars become emphasis."""
    text = re.sub(r"`[^`]*`", "", page.read_text("utf-8"))
    shown = re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)
    inline = re.findall(r"\$([^$]+)\$", re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL))
    assert all("*" not in formula for formula in shown + inline)
    assert all(not re.search(r"\\[^a-zA-Z]", formula) for formula in shown + inline)
    assert all("\n" not in formula for formula in inline)
    assert text.replace("$$", "").count("$") == 2 * len(inline)
