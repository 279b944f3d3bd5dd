"""What can be told of a page from its text: how long it takes, what it claims, and where it breaks the rules.

All functions take the cells of a student's notebook, as nbformat gives them. ``FOLDED`` is the tag of a code cell
that guards claims; it begins with one line ``# Holds: <sentence>`` or more, each a sentence of the text word for word.
``SETUP`` is that of the cell which installs the library where it is missing: no part of the page.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

FOLDED, SETUP, EXERCISE, PREDICTION = "fold", "setup", r'\bcheck\("', "**Predict"
WORDS_A_MINUTE, MINUTES_A_LINE, MINUTES_A_PREDICTION, MINUTES_AN_EXERCISE = 150, 0.5, 3, 8
CLAIMS_INTRODUCTION = (
    "Written by `course.py build`. Every sentence below stands in the notebook, word for word, and in the first lines "
    "of a folded cell, which asserts it. The number is that of the cell in the student's notebook."
)
LONGEST, LONGEST_IMPORTS, TYPICAL = 20, 12, 8  # lines of a code cell
SITTING, TASTE = 45, 25  # minutes: of any notebook, and of the tour's
SCAFFOLDING = {
    r"^\s*assert\b": "an assert",
    r"\bwalk\(": "a walk",
    r"</?(div|table|tr|td|th|p|b|br|svg|span|figure)\b": "HTML",
    r"\bHTML\(": "HTML",
    r"\bgo\.|\bmake_subplots\b|\.add_scatter|\.update_(x|y)axes": "plotly's plumbing",
}


def is_folded(cell: NotebookNode) -> bool:
    """Does the cell only guard claims?"""
    return cell.cell_type == "code" and FOLDED in cell.metadata.get("tags", [])


def code_lines(cell: NotebookNode) -> list[str]:
    """The lines of a code cell that hold code."""
    return [line for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]


def _visible(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    hidden = {FOLDED, SETUP}
    return [
        cell for cell in cells if cell.cell_type == "code" and not hidden & set(cell.metadata.get("tags", []))
    ]


def _is_import(cell: NotebookNode) -> bool:
    return bool(re.search(r"^from eqssl_edu", cell.source, re.MULTILINE))


def _texts(cells: Sequence[NotebookNode]) -> list[str]:
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def minutes(cells: Sequence[NotebookNode]) -> float:
    """The time that a page takes: reading its words and its lines of code, predicting, and the exercises.

    Cells with an exercise are part of the exercise's minutes; imports and folded cells are not read.
    """
    texts = _texts(cells)
    exercises = [cell for cell in _visible(cells) if re.search(EXERCISE, cell.source)]
    read = [cell for cell in _visible(cells) if cell not in exercises and not _is_import(cell)]
    return (
        sum(len(text.split()) for text in texts) / WORDS_A_MINUTE
        + sum(len(code_lines(cell)) for cell in read) * MINUTES_A_LINE
        + sum(text.count(PREDICTION) for text in texts) * MINUTES_A_PREDICTION
        + sum(len(re.findall(EXERCISE, cell.source)) for cell in exercises) * MINUTES_AN_EXERCISE
    )


def plain(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split())


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph; the marks of a list and the words **Seen:** belong to none."""
    text = re.sub(r"^\s*[-*] ", "", paragraph, flags=re.MULTILINE).replace("**Seen:**", "")
    return [part for part in re.split(r"(?<=[.!?])(?:\*+)?\s+(?=\W?\W?[A-Z$`])", plain(text)) if part]


def claims(cells: Sequence[NotebookNode]) -> dict[str, int | None]:
    """Each sentence that tells what is seen, or that a folded cell holds, with the index of that cell."""
    found: dict[str, int | None] = {}
    for text in _texts(cells):
        for paragraph in re.split(r"\n\s*\n", text):
            if paragraph.lstrip().startswith("**Seen:**"):
                found |= dict.fromkeys(sentences(paragraph))
    for index, cell in enumerate(cells):
        if is_folded(cell):
            found |= dict.fromkeys(held(cell), index)
    return found


def claims_page(pages: Mapping[str, Sequence[NotebookNode]]) -> str:
    """docs/claims.md: for each page its claims, each with the cell that would fail."""
    lines = ["# What the pages claim, and the cell that would fail", "", CLAIMS_INTRODUCTION]
    for stem, cells in pages.items():
        lines += ["", f"## {stem}", "", "| claim | cell |", "|---|---|"]
        for sentence, index in claims(cells).items():
            lines.append(f"| {sentence.replace('|', '&#124;')} | {'none' if index is None else index + 1} |")
    return "\n".join(lines) + "\n"


def with_minutes(text: str, taken: Mapping[str, float]) -> str:
    """A text whose tables tell the minutes of each page: `| [`stem`](...) | ... | 25 min |`, and `stem`: 25 min."""
    for stem, exactly in taken.items():
        count = round(exactly)
        row = rf"(^\| \[`{stem}`\][^|]*\|[^|]*\| )\d+ min"
        text = re.sub(row, rf"\g<1>{count} min", text, flags=re.MULTILINE)
        text = re.sub(rf"(`{stem}`: )\d+ min", rf"\g<1>{count} min", text)
    return text


def held(cell: NotebookNode) -> list[str]:
    """The sentences that a folded cell holds: those of its first lines; a line that is indented goes on."""
    found: list[str] = []
    for line in cell.source.splitlines():
        if line.startswith("# Holds: "):
            found.append(plain(line.removeprefix("# Holds: ")))
        elif found and line.startswith("#   "):
            found[-1] += f" {plain(line[1:])}"
        else:
            break
    return found


def faults(cells: Sequence[NotebookNode], limit: int = SITTING) -> Iterator[str]:
    """One sentence for each rule that the page breaks."""
    if (taken := minutes(cells)) > limit:
        yield f"it takes {taken:.1f} minutes, {limit} is the limit"
    visible = _visible(cells)
    for cell in visible:
        count, most = len(code_lines(cell)), LONGEST_IMPORTS if _is_import(cell) else LONGEST
        begin = cell.source.splitlines()[0]
        if count > most:
            yield f"a cell has {count} lines of code, {most} is the limit: {begin}"
        yield from (
            f"a cell shows {what}: {begin}"
            for pattern, what in SCAFFOLDING.items()
            if re.search(pattern, cell.source, re.MULTILINE)
        )
    if (typical := median(len(code_lines(cell)) for cell in visible)) > TYPICAL:
        yield f"half of its cells have {typical:g} lines of code or more, {TYPICAL} is the limit"
    exercises = [cell.source for cell in visible if re.search(EXERCISE, cell.source)]
    written = sum(bool(re.search(r"^\s*(def|class) ", source, re.MULTILINE)) for source in exercises)
    if written < 2:
        yield f"{written} of its exercises are written as code, two are wanted"
    text = plain(re.sub(r"^\s*[-*] ", "", "\n".join(_texts(cells)), flags=re.MULTILINE))
    for sentence, index in claims(cells).items():
        if index is None:
            yield f"no folded cell holds: {sentence}"
        elif sentence not in text:
            yield f"a folded cell holds what the text does not say: {sentence}"
    for cell in filter(is_folded, cells):
        code = ast.parse(TransformerManager().transform_cell(cell.source))
        if not held(cell) or not any(isinstance(node, ast.Assert) for node in ast.walk(code)):
            yield f"a folded cell holds no sentence, or asserts nothing: {cell.source.splitlines()[0]}"
