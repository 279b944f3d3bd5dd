"""Run a solved notebook again with other seeds: does every assert of its cells hold?

For notebooks that say in a line `SEED = 0` where their random numbers come from. Cells run one after the other, as
plain code without a kernel, and a failed assert does not end the run.

    python tools/try_seeds.py 06                    seeds 0 to 4
    python tools/try_seeds.py 05 06 --seeds 5 6     these two
"""

import argparse
import contextlib
import io
import sys
import time
import traceback
from pathlib import Path

import nbformat
import torch

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
sys.path.insert(0, str(NOTEBOOKS.parent))  # the course's own folder, wherever this is called from

from tools import build_notebooks as build  # noqa: E402

LINE = "SEED = 0"


def failures(text: str, seed: int) -> list[str]:
    """The asserts of a py:percent script, solutions filled in, that fail with this seed: "cell 7: assert ..."."""
    if f"\n{text}".count(f"\n{LINE}") != 1:
        raise ValueError(f"the notebook must have one line that begins with `{LINE}`")
    solved = build.build(text.replace(LINE, f"SEED = {seed}", 1), solutions=True)
    torch.set_default_dtype(torch.float32)  # as in a kernel of its own, whatever notebook ran before
    names, failed = {"__name__": "__main__"}, []
    for number, cell in enumerate(nbformat.reads(solved, as_version=4).cells):
        if cell.cell_type != "code":
            continue
        try:
            exec(compile(cell.source, f"cell {number}", "exec"), names)
        except AssertionError as error:
            frames = traceback.extract_tb(error.__traceback__)
            line = next(frame.lineno for frame in frames if frame.filename == f"cell {number}")
            failed.append(f"cell {number}: {cell.source.splitlines()[line - 1].strip()}")
    return failed


def main(arguments: list[str] | None = None) -> int:
    """Every chosen notebook with every seed; 1 if an assert failed anywhere."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", help="how their names begin, such as 06")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    chosen = parser.parse_args(arguments)
    scripts = [p for start in chosen.notebooks for p in sorted((NOTEBOOKS / "source").glob(f"{start}*.py"))]
    bad = []
    for script in scripts:
        for seed in chosen.seeds:
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):  # what the cells print
                failed = failures(script.read_text(encoding="utf-8"), seed)
            verdict = "\n  ".join(["failed:", *failed]) if failed else "every assert holds"
            print(f"{script.stem}, seed {seed}, {time.perf_counter() - start:.0f} s: {verdict}", flush=True)
            bad += failed
    return int(bool(bad) or not scripts)


if __name__ == "__main__":
    sys.exit(main())
