"""What works in this environment, and how to mend what does not: `python3 course.py doctor`. Changes nothing."""

import contextlib
import csv
import importlib
import importlib.metadata
import io
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import course

REBUILD = f"{'rmdir /s /q .venv &' if course.WINDOWS else 'rm -rf .venv;'} {course.COMMAND} lab"


def show(name: str, good: bool, finding: str, mend: str = "", needed: bool = True) -> bool:
    """One line of the doctor; False if the course cannot do without."""
    word = "ok  " if good else "MEND" if needed else "note"
    print(f"{word}  {name}: {finding}{f'  ->  {mend}' if mend else ''}", flush=True)
    return good or not needed


def check_python() -> bool:
    """Which Python, and what is installed for it."""
    sets = ", ".join(course.read_state().get("sets", ["nothing that course.py installed"]))
    return show("Python", True, f"{sys.version.split()[0]} in {sys.prefix}, with: {sets}")


def check_whole() -> bool:
    """Is every file there that pip has installed, and may this user write beside them, as Jupyter will?"""
    if not os.access(sys.prefix, os.W_OK):
        owner = f"the user with the number {os.stat(sys.prefix).st_uid}"
        finding = f"{sys.prefix} belongs to another user, {owner}"
        return show("files", False, finding, f"as that user: {REBUILD}")
    lost = {}
    for record in Path(sysconfig.get_path("purelib")).glob("*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as rows:
            names = [row[0] for row in csv.reader(rows) if not row[0].endswith(".pyc")]
        gone = sum(not os.path.exists(record.parents[1] / name) for name in names)
        if gone:
            lost[record.parent.name.split("-")[0]] = gone
    if lost:
        finding = ", ".join(f"{gone} files of {name}" for name, gone in lost.items())
        return show("files", False, f"deleted from .venv: {finding}", REBUILD)
    return show("files", True, "every installed file is there")


def check_torch() -> bool:
    """Does torch compute, and where?"""
    import torch

    torch.ones(2) @ torch.ones(2)
    show("torch", True, torch.__version__)
    if torch.cuda.is_available():
        return show("device", True, f"CUDA, {torch.cuda.get_device_name()}")
    if torch.backends.mps.is_available():
        return show("device", True, "MPS (Apple)")
    if shutil.which("nvidia-smi"):
        unused = "an NVIDIA GPU that this torch cannot use"
        show("device", False, unused, "https://pytorch.org/get-started", needed=False)
    return show("device", True, f"CPU, {torch.get_num_threads()} threads")


def check_kernel() -> bool:
    """Start the kernel that the notebooks name, and ask where it lives and whether it finds the library."""
    from jupyter_client.manager import start_new_kernel

    printed = []
    manager, client = start_new_kernel(kernel_name="python3", cwd=Path.home())
    try:
        reply = client.execute_interactive(
            "import sys, eqssl_edu; print(sys.prefix, end='')",
            timeout=120,
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if reply["content"]["status"] != "ok":
        return show("kernel", False, f"{reply['content']['ename']}: {reply['content']['evalue']}", REBUILD)
    prefix = "".join(printed)
    if os.path.realpath(prefix) != os.path.realpath(sys.prefix):
        return show("kernel", False, f"`python3` runs in {prefix}, the lab in {sys.prefix}", REBUILD)
    return show("kernel", True, "runs in the lab's environment and finds eqssl_edu")


def check_stop() -> bool:
    """Does a button reach a kernel that is at work? Before ipykernel 7 it is heard between two cells alone."""
    version = importlib.metadata.version("ipykernel")
    if int(version.split(".")[0]) >= 7:
        return show("Stop button", True, f"works while a cell runs (ipykernel {version})")
    finding = f"waits for the cell that runs, unless that is `live.wait()` (ipykernel {version})"
    return show("Stop button", False, finding, "pip install 'ipykernel>=7'", needed=False)


def check_anywidget() -> bool:
    """Two halves have to be there, best of one version: the Python package, and the extension that JupyterLab finds."""
    import anywidget
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_federated_extensions

    found = get_federated_extensions(jupyter_path("labextensions"))
    absent = [name for name in ("anywidget", "@jupyter-widgets/jupyterlab-manager") if name not in found]
    if absent:
        return show("anywidget", False, f"JupyterLab does not find {', '.join(absent)}", REBUILD)
    theirs, place = found["anywidget"]["version"], found["anywidget"]["ext_path"]
    if theirs != anywidget.__version__:
        finding = f"{anywidget.__version__} here, and JupyterLab finds the extension of {theirs} in {place}"
        return show("anywidget", False, finding, "delete that folder, if it is not in .venv", needed=False)
    return show("anywidget", True, f"{theirs}, and JupyterLab finds its extension")


def check_escnn() -> bool:
    """Which way escnn goes about rotations in three dimensions, and what `pip check` says about it."""
    routes = {
        "lie_learn.representations.SO3.wigner_d": "lie_learn's Wigner matrices",
        "py3nj": "py3nj's coefficients",
    }
    whole = [route for module, route in routes.items() if imports(module)]
    importlib.import_module("eqssl_edu.steerable")
    asked = (word.split(";")[0].split("(")[0].strip() for word in importlib.metadata.requires("escnn"))
    absent = [name for name in asked if not distributed(name)]
    finding = f"{importlib.metadata.version('escnn')} with "
    finding += " and ".join(whole) or "stand-ins for lie_learn and py3nj"
    if absent:
        finding += f"; `pip check` reports {', '.join(absent)} as missing: "
        finding += "they serve rotations in three dimensions, and the course needs none of them"
    return show("escnn", True, finding)


def imports(module: str) -> bool:
    """Can the module be imported? A wheel compiled for another numpy cannot."""
    try:
        importlib.import_module(module)
    except Exception:
        return False
    return True


def distributed(name: str) -> bool:
    """Is a distribution of this name installed?"""
    return any(importlib.metadata.distributions(name=name))


def chromium() -> str:
    """The browser that the browser tests drive; empty if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")


def check_chromium() -> bool:
    """Only the browser tests need it."""
    mend = "sudo apt-get install chromium" if sys.platform == "linux" else "install Chrome or Chromium"
    if not chromium():
        return show("chromium", False, "not found: the browser tests are skipped", mend, needed=False)
    return show("chromium", True, chromium())


def examine(checks: list[Callable[[], bool]]) -> int:
    """Every check, in its order; 1 if something that the course needs is broken."""
    results = []
    for check in checks:
        try:
            results.append(check())
        except Exception as error:  # whatever breaks is the finding
            name = check.__name__.removeprefix("check_")
            results.append(show(name, False, f"{type(error).__name__}: {error}", REBUILD))
    return 0 if all(results) else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["whole"]:  # before the lab opens: silent unless something is wrong
        with contextlib.redirect_stdout(io.StringIO()) as said:
            status = examine([check_whole])
        print(said.getvalue() * status, end="")
        sys.exit(status)
    every = [
        check_python,
        check_whole,
        check_torch,
        check_kernel,
        check_stop,
        check_anywidget,
        check_escnn,
        check_chromium,
    ]
    sys.exit(examine(every))
