"""A script of a test, run in a process of its own: what needs a fork, a kill, or several processes."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

TESTS = Path(__file__).parent


def run_script(folder: Path, source: str, *arguments: object) -> str:
    """Write the script into a folder, as script.py, and run it, one thread each; returns what it printed.

    It can import the library, and the helpers of the tests.
    """
    script = folder / "script.py"
    script.write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS))), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
