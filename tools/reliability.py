"""The figures of the long tests, kept in docs/reliability.md: one section a test, written by the test itself."""

import re
from datetime import date
from pathlib import Path

__all__ = ["PAGE", "record"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"


def record(title: str, text: str, page: Path = PAGE) -> None:
    """Replace the section ``## title`` of the page, or add it; the date of the run is added.

    Arguments:
        title: of the section.
        text: what was measured, as Markdown without headings of the second level.
        page: the file.
    """
    before = page.read_text(encoding="utf-8")
    section = f"## {title}\n\n{text.strip()}\n\nMeasured on {date.today():%Y-%m-%d}.\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if pattern.search(before):
        after = pattern.sub(lambda _: f"{section}\n", before)
    else:
        after = f"{before.rstrip()}\n\n{section}"
    page.write_text(after.rstrip() + "\n", encoding="utf-8")
