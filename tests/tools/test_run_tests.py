"""`course.py test`: what is run, how it is counted and told, and the benchmarks' runner beside it."""

import os
import re
from collections import Counter
from pathlib import Path

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
    for line, kind in [
        ("style", "passed"),
        ("browser", "failed"),
        ("browser", "passed"),
        ("style", "skipped"),
    ]:
        report.add(line, kind, 1.5)
    assert closing_line(report.text()) == {"failed": 1, "passed": 2, "skipped": 1}
    assert re.search(r"^browser +3\.0 s   1 failed, 1 passed$", report.text(), re.MULTILINE)


def run_pytest(folder, source, **options):
    """The counts of one run of pytest on a file with this source."""
    (folder / "test_it.py").write_text(source)
    report = run_tests.Report()
    run_tests.run_pytest(report, ["-q", "test_it.py"], **options)
    return report.total()


@pytest.mark.parametrize("pool", [True, False])
def test_pytest_is_counted(folder, pool):
    source = "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pytest.skip('no')\n"
    assert run_pytest(folder, source, pool=pool) == {"failed": 1, "passed": 1, "skipped": 1}


@pytest.mark.parametrize("source", ["", "def test_a(): import os; os._exit(0)"])
def test_a_run_of_pytest_that_breaks_off_or_finds_nothing_is_a_failure(folder, source):
    assert run_pytest(folder, source, pool=False)["failed"] == 1


def test_notebooks_and_browser_tests_come_first_each_file_in_one_process(folder):
    """While the two cases of a small test may go anywhere, but stay together."""
    source = (
        "import os, pytest, pathlib\n@pytest.mark.parametrize('case', range(4))\ndef test_{name}(case):\n"
    )
    source += "    with open(pathlib.Path(__file__).parents[{up}] / 'seen', 'a') as file:\n"
    source += "        print('{name}', os.environ['PYTEST_XDIST_WORKER'], file=file)\n"
    source += "    __import__('time').sleep(0.05)\n"
    for up, name in [
        (1, "tests/small"),
        (1, "tests/tiny"),
        (2, "tests/browser/one"),
        (2, "tests/browser/two"),
    ]:
        path = folder / Path(name).parent / f"test_{Path(name).name}.py"
        course.write(path, source.format(name=path.stem.removeprefix("test_"), up=up))
    report = run_tests.Report()
    run_tests.run_pytest(report, ["tests"])
    assert report.total() == {"passed": 16}
    seen = [line.split() for line in (folder / "seen").read_text().splitlines()]
    assert {name for name, _ in seen[:8]} == {"one", "two"}
    assert len({tuple(pair) for pair in seen}) == 4, "a file, or the cases of one test, were torn apart"


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
    """Every test file and every notebook is among what pytest is given; style is asked for too."""
    asked = []
    monkeypatch.setattr(run_tests, "run_style", lambda report: asked.append("style"))
    monkeypatch.setattr(run_tests, "run_pytest", lambda report, words: asked.extend(words))
    run_tests.main([])
    built = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/**/[0A]*.ipynb")}
    assert {"style", "tests", *built} <= set(asked) and len(built) >= 20
    assert not [word for word in asked if word.startswith("-")]


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


@pytest.mark.parametrize("status", [0, 1])
def test_style_fails_if_one_of_its_programs_does(monkeypatch, status):
    asked = []
    monkeypatch.setattr(course, "call", lambda command: asked.append(command) or status * (len(asked) == 2))
    monkeypatch.setattr(run_tests, "find_biome", lambda: ("biome", ""))
    report = run_tests.Report()
    run_tests.run_style(report)
    assert report.total() == Counter(passed=3 - status, failed=status)


NPM = """#!/bin/sh
mkdir -p "$3/node_modules/.bin"; echo asked >> "$3/asked"; : > "$3/node_modules/.bin/biome"; exit {status}
"""


@pytest.mark.skipif(course.WINDOWS, reason="stands in for npm with a shell script")
@pytest.mark.parametrize("status", [0, 1])
def test_biome_is_installed_once_and_a_registry_that_does_not_answer_is_no_failure(
    folder, monkeypatch, status
):
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    course.write(folder / "package.json", "{}")
    course.write(folder / "npm", NPM.format(status=status))
    (folder / "npm").chmod(0o755)
    found, trouble = run_tests.find_biome()
    assert (found is None, trouble) == ((True, "npm could not install biome") if status else (False, ""))
    run_tests.find_biome()
    assert (folder / ".venv" / "node" / "asked").read_text().count("asked") == 1 + status
    course.write(folder / "package.json", '{"changed": 1}')
    run_tests.find_biome()
    assert (folder / ".venv" / "node" / "asked").read_text().count("asked") == 2 + status


def test_without_npm_the_summary_says_what_was_not_checked(folder, monkeypatch):
    monkeypatch.setattr(course, "call", lambda command: 0)
    monkeypatch.setattr(run_tests.shutil, "which", lambda _: None)
    course.write(folder / "package.json", "{}")
    report = run_tests.Report()
    run_tests.run_style(report)
    assert "JavaScript and CSS were not checked: there is no npm." in report.text()
    assert report.total() == {"passed": 2}


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
