"""Every test, or a part of them, and a summary whose last line is written as pytest writes its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict

import course

COMMAND = f"{course.COMMAND} test"
CELL_TIMEOUT, TEST_TIMEOUT = 300, 600  # seconds; only there to end a test that hangs
KINDS = ("failed", "passed", "skipped")
# What one runs before each commit: the identities, and one notebook.
QUICK = [
    "tests/test_groups.py",
    "tests/test_gsets.py",
    "tests/layers",
    "tests/contrastive/test_similarity.py",
    "tests/pretext",
    "notebooks/solutions/01_groups_and_images.ipynb",
]
HELP = f"""Run every test, or one part of them:

  {COMMAND}                         everything but `long`
  {COMMAND} quick                   before each commit: style, the identities, and one notebook
  {COMMAND} style                   ruff (Python, notebooks) and biome (JavaScript, CSS; needs npm): rules and layout
  {COMMAND} library                 the tests of the library and of the tools (pytest)
  {COMMAND} library tests/test_groups.py -k cyclic    further words go to pytest
  {COMMAND} notebooks               notebooks agree with their sources; every cell of each one runs
  {COMMAND} notebooks 00_tour       one notebook (student's and solution), by the start of its name
  {COMMAND} browser                 the notebooks in a real browser (needs chromium)
  {COMMAND} long                    what takes longer: other seeds, 20,000 strange arguments, other kernels and versions
"""


class Report:
    """What was run: the lines of the summary, and their counts."""

    def __init__(self):
        self.began = time.monotonic()
        self.seconds: dict[str, float] = defaultdict(float)
        self.counts: dict[str, Counter] = defaultdict(Counter)
        self.notes: list[str] = []

    def add(self, line: str, kind: str, seconds: float) -> None:
        """One test of a line of the summary, and how it ended."""
        self.counts[line][kind] += 1
        self.seconds[line] += seconds

    def total(self) -> Counter:
        """The counts of all lines."""
        return sum(self.counts.values(), Counter())

    def text(self) -> str:
        """The summary. The seconds of a line are those of its tests; several processes share them."""
        lines = ["", f"{' course.py test ':=^100}"]
        for line, counts in self.counts.items():
            lines.append(f"{line:42} {self.seconds[line]:7.1f} s   {say(counts)}")
        last = f" {say(self.total())} in {time.monotonic() - self.began:.2f}s "
        return "\n".join([*lines, *self.notes, f"{last:=^100}"])


def say(counts: Counter) -> str:
    """The counts in pytest's words."""
    return ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]) or "no tests ran"


def run_style(report: Report) -> None:
    """The rules and the layout of Python, and of JavaScript and CSS where npm is."""
    ruff = [sys.executable, "-m", "ruff"]
    run_one(report, "style: ruff check", [*ruff, "check", "."])
    run_one(report, "style: ruff format", [*ruff, "format", "--check", "."])
    npm = shutil.which("npm")
    if not npm:
        report.notes.append("JavaScript and CSS were not checked: there is no npm.")
    elif not install_biome(npm):
        report.notes.append("JavaScript and CSS were not checked: npm could not install biome.")
    else:
        run_one(report, "style: biome", [npm, "run", "style"])


def run_one(report: Report, line: str, command: list) -> None:
    """A command that counts as one test."""
    began = time.monotonic()
    status = course.call(command)
    report.add(line, "failed" if status else "passed", time.monotonic() - began)


def install_biome(npm: str) -> bool:
    """Is what package.json names in node_modules, or can it be put there?"""
    install = [npm, "install", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"]
    commands = ([npm, "ls"], install)
    return any(subprocess.run(c, cwd=course.ROOT, capture_output=True).returncode == 0 for c in commands)


def run_pytest(report: Report, arguments: list, pool: bool = True) -> None:
    """One run of pytest, side by side in a pool; a run that broke off counts as a failure."""
    counted = course.VENV / "pytest.xml"
    counted.unlink(missing_ok=True)
    options = [f"--timeout={TEST_TIMEOUT}", f"--junit-xml={counted}", "--durations=10", "--durations-min=5"]
    options += ["--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}"]
    if pool:
        # One more than there are cores: browser tests wait more than they compute.
        options += [f"--numprocesses={min(4, 1 + (os.cpu_count() or 1))}", "-p", "tools.pytest_pool"]
    status = course.call([sys.executable, "-m", "pytest", *options, *arguments])
    cases = list(ElementTree.parse(counted).iter("testcase")) if counted.exists() else []
    for case in sorted(cases, key=line_of):
        ends = {child.tag for child in case}
        kind = "failed" if ends & {"failure", "error"} else "skipped" if "skipped" in ends else "passed"
        report.add(line_of(case), kind, float(case.get("time", 0)))
    if (status != 0 or not cases) and not report.total()["failed"]:
        report.add("pytest broke off" if cases else "pytest ran no test", "failed", 0)


def line_of(case: ElementTree.Element) -> str:
    """The line of the summary to which a test belongs: its notebook, or its room."""
    place = case.get("classname", "")
    if place.endswith(".ipynb"):  # nbval's name for it is notebooks.solutions.00_tour.ipynb
        return "notebook: " + place.removeprefix("notebooks.").removesuffix(".ipynb").replace(".", "/")
    rooms = place.split(".")
    if rooms[:2] == ["tests", "browser"]:
        return "browser"
    return (
        f"library: {rooms[1] if len(rooms) > 2 and not rooms[1].startswith('test_') else 'groups and others'}"
    )


def notebooks(names: list[str]) -> list[str]:
    """The notebooks, student's and solution, whose names begin with one of these; all if there is none."""
    found = sorted(course.ROOT.glob("notebooks/**/*.ipynb"), reverse=True)  # the longest stand last
    found = [path for path in found if path.parent.name in ("notebooks", "solutions")]
    chosen = [path for path in found if not names or path.stem.startswith(tuple(names))]
    if not chosen:
        known = ", ".join(sorted({path.stem for path in found}))
        raise course.CourseError(f"No notebook begins with {', '.join(names)}; there is: {known}.")
    return [path.relative_to(course.ROOT).as_posix() for path in chosen]


def run(part: str, words: list[str], report: Report) -> None:
    """One part of the tests, or all of them."""
    if part in ("", "quick", "style"):
        run_style(report)
    if part == "":
        run_pytest(report, ["tests", *notebooks([])])
    elif part == "quick":
        run_pytest(report, QUICK)
    elif part == "library":
        run_pytest(report, words or ["tests", "--ignore=tests/browser"], pool=not words)
    elif part == "notebooks":
        chosen = notebooks(words)
        run_pytest(report, chosen if words else ["tests/tools/test_notebooks.py", *chosen], len(chosen) > 1)
    elif part == "browser":
        run_pytest(report, ["tests/browser", *words], pool=not words)
    elif part == "long":
        run_pytest(report, ["tests", "-m", "long", *words])


PARTS = ("quick", "style", "library", "notebooks", "browser", "long")


def main(arguments: list[str]) -> int:
    """1 if anything failed."""
    if "--help" in arguments[:1]:
        print(HELP, end="")
        return 0
    part, words = (arguments[0], arguments[1:]) if arguments else ("", [])
    if part and part not in PARTS:
        print(f"There is no part {part!r}; there is: {', '.join(PARTS)}. `{COMMAND} --help` says more.")
        return 1
    report = Report()
    try:
        run(part, words, report)
    except course.CourseError as error:
        print(error, file=sys.stderr)
        return 1
    print(report.text(), flush=True)
    return int(report.total()["failed"] > 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)  # course.py says the rest
