"""The page of figures: a section is replaced, the others stay."""

from tools.reliability import PAGE, record


def test_a_section_is_added_and_then_replaced(tmp_path):
    page = tmp_path / "reliability.md"
    page.write_text("# Title\n\nWords.\n", encoding="utf-8")
    record("Fuzz", "20 cases.", page)
    record("Kernels (6.31)", "Three.", page)
    record("Fuzz", "30 cases: \\1.", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\nWords.\n\n## Fuzz\n\n30 cases: \\1.\n\nMeasured on ")
    assert "20 cases" not in text and text.count("## ") == 2 and text.index("Kernels") > text.index("Fuzz")


def test_the_page_is_there():
    assert PAGE.read_text(encoding="utf-8").startswith("# How reliable it is")
