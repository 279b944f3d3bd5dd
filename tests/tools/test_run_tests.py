"""`course.py test`: what is run, how it is counted and told, and the benchmarks' runner beside it."""

import os
import re

import nbformat
import pytest

import course
from tools import run_benchmarks, run_tests

ROOT = course.ROOT


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of the course; its Python is the one that runs the tests, and finds the tools."""
    (tmp_path / ".venv").mkdir()
    monkeypatch.setattr(course, "ROOT", tmp_path)
    monkeypatch.setattr(course, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(course, "environment", lambda: {**os.environ, "PYTHONPATH": str(ROOT)})
    return tmp_path


def closing_line(text):
    """The counts of the last line, read as one reads pytest's."""
    last = text.strip().splitlines()[-1]
    assert re.fullmatch(r"=+ .* in \d+\.\d\ds =+", last)
    return {kind: int(count) for count, kind in re.findall(r"(\d+) (\w+)", last.split(" in ")[0])}


def test_the_report_counts_over_all_parts():
    report = run_tests.Report()
    for words in ("style passed", "browser failed", "browser passed", "style skipped"):
        report.add(*words.split(), 1.5)
    assert closing_line(report.text()) == {"failed": 1, "passed": 2, "skipped": 1}
    assert re.search(r"^browser +3\.0 s   1 failed, 1 passed$", report.text(), re.MULTILINE)


def run_pytest(folder, source):
    """The counts of one run of pytest on a file with this source."""
    (folder / "test_it.py").write_text(source)
    report = run_tests.Report()
    run_tests.run_pytest(report, ["-q", "test_it.py"], pool=False)
    return report.total()


def test_pytest_is_counted(folder):
    source = "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pytest.skip('no')\n"
    assert run_pytest(folder, source) == {"failed": 1, "passed": 1, "skipped": 1}


@pytest.mark.parametrize("source", ["", "def test_a(): import os; os._exit(0)"])
def test_a_run_of_pytest_that_breaks_off_or_finds_nothing_is_a_failure(folder, source):
    assert run_pytest(folder, source)["failed"] == 1


def test_notebooks_and_browser_tests_come_first_each_file_in_one_process(folder, monkeypatch):
    """While a small test may go anywhere, but its cases stay together."""
    source = """
import os, pytest
@pytest.mark.parametrize("case", range(4))
def test_it(case):
    with open(os.environ["SEEN"], "a") as file:
        print(__name__, os.environ["PYTEST_XDIST_WORKER"], file=file)
"""
    monkeypatch.setenv("SEEN", str(folder / "seen"))
    for name in ("a/test_small", "a/test_tiny", "browser/test_1", "browser/test_2"):
        course.write(folder / "tests" / f"{name}.py", source)
    report = run_tests.Report()
    run_tests.run_pytest(report, ["tests"])
    assert report.total() == {"passed": 16}
    seen = [line.split() for line in (folder / "seen").read_text().splitlines()]
    assert len({tuple(pair) for pair in seen}) == 4, "a file, or the cases of one test, were torn apart"
    for worker in {worker for _, worker in seen}:
        whole = [name in ("test_1", "test_2") for name, where in seen if where == worker]
        assert whole == sorted(whole, reverse=True)


@pytest.mark.parametrize(("source", "failed"), [("1 + 1", 0), ("raise ValueError('broken cell')", 1)])
def test_every_cell_of_a_notebook_runs(folder, capfd, source, failed):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    course.write(folder / "notebooks" / "solutions" / "00_tour.ipynb", nbformat.writes(notebook))
    assert run_tests.main(["notebooks", "00"]) == failed
    said = capfd.readouterr().out
    ended = "failed" if failed else "passed"
    assert re.search(rf"^notebook: solutions/00_tour +\d+\.\d s   1 {ended}$", said, re.MULTILINE)
    assert ("broken cell" in said) == bool(failed) and closing_line(said) == {ended: 1}


def test_the_whole_run_leaves_nothing_out(monkeypatch):
    """Every test and every notebook is among what pytest is given, and style; `long` is another run."""
    asked = []
    monkeypatch.setattr(run_tests, "run_style", lambda report: asked.append("style"))
    monkeypatch.setattr(run_tests, "run_pytest", lambda report, words, **_: asked.extend(words))
    run_tests.main([])
    built = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/**/[0A]*.ipynb")}
    assert {"style", "tests", *built} <= set(asked) and len(built) >= 20
    assert not [word for word in asked if word.startswith("-")]
    del asked[:]
    run_tests.main(["long"])
    assert asked == ["tests", "-m", "long"]


def test_the_quick_part_names_what_exists():
    assert [path for path in run_tests.QUICK if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["libary"], "There is no part 'libary'; there is: quick, style, library, notebooks, browser, long."),
        (["notebooks", "99"], "No notebook begins with 99; there is: 00_tour"),
    ],
)
def test_a_wrong_word_gets_a_sentence_with_the_right_ones(capsys, words, said):
    assert run_tests.main(words) == 1
    assert "".join(capsys.readouterr()).startswith(said)


def test_help_shows_how_to_run_each_part(capsys):
    assert run_tests.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"test {part} " in said for part in run_tests.PARTS)


NPM = """#!/bin/sh
case $1 in
  ls) test -e installed ;;
  install) : > asked; {install} ;;
  run) exit {style} ;;
esac
"""


@pytest.mark.skipif(course.WINDOWS, reason="a shell script stands in for npm")
@pytest.mark.parametrize(
    ("npm", "counts", "note"),
    [
        (NPM.format(install=": > installed", style=0), {"passed": 3}, ""),
        (NPM.format(install=": > installed", style=1), {"passed": 2, "failed": 1}, ""),
        (NPM.format(install="exit 1", style=0), {"passed": 2}, "npm could not install biome."),
        ("", {"passed": 2}, "there is no npm."),
    ],
)
def test_javascript_is_checked_where_npm_and_its_registry_are(folder, monkeypatch, npm, counts, note):
    """Ruff has nothing to object to here."""
    monkeypatch.setenv("PATH", f"{folder}:/bin" if npm else str(folder))
    course.write(folder / "npm", npm)
    (folder / "npm").chmod(0o755 if npm else 0o644)
    for _ in range(2):  # the second run finds what the first one installed
        report = run_tests.Report()
        run_tests.run_style(report)
        assert report.total() == counts
        assert not note or f"JavaScript and CSS were not checked: {note}" in report.text()
        if (folder / "installed").exists():
            (folder / "asked").unlink(missing_ok=True)
    assert (folder / "asked").exists() == (note.startswith("npm"))


def test_style_that_ruff_objects_to_is_a_failure(folder, monkeypatch):
    monkeypatch.setattr(run_tests.shutil, "which", lambda _: None)
    course.write(folder / "bad.py", "x=1")
    report = run_tests.Report()
    run_tests.run_style(report)
    assert report.total() == {"passed": 1, "failed": 1}


def test_benchmarks_are_run_by_name_and_their_failure_is_reported(folder, capfd):
    runnable = 'if __name__ == "__main__":\n    '
    course.write(folder / "benchmarks" / "good.py", runnable + "print('ran good')")
    course.write(folder / "benchmarks" / "bad.py", runnable + "raise SystemExit('ran bad')")
    course.write(folder / "benchmarks" / "helper.py", "raise SystemExit('a module, no benchmark')")
    assert run_benchmarks.main(["good"]) == 0
    assert "ran bad" not in "".join(capfd.readouterr())
    assert run_benchmarks.main([]) == 1
    out, error = capfd.readouterr()
    assert "ran good" in out and "ran bad" in error and error.endswith("Failed: bad.\n")
    assert run_benchmarks.main(["nothing"]) == 1
    assert capfd.readouterr().err == "There is no benchmark 'nothing'; there is: bad, good.\n"
