"""Rehearsals in environments that are not ours: the oldest versions that the ranges allow, a hosted service's versions.

Each makes an environment with pip, which takes minutes and some gigabytes: torch comes as the index has it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import nbformat
import pytest
from flit_core import buildapi
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import course
from tools.reliability import record

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ESCNN = PROJECT["optional-dependencies"]["escnn"]
# A hosted service as it was met; torch, numpy, scipy and scikit-learn are the newest there are.
HOST = [
    *(
        "ipykernel==6.17.1",
        "ipython==7.34.0",
        "ipywidgets==7.7.1",
        "notebook==6.5.7",
        "jupyter-client==7.4.9",
    ),
    *("traitlets==5.7.1", "plotly==5.24.1", "anywidget==0.9.21", "matplotlib==3.10.0", "pillow==11.3.0"),
    *("tqdm==4.67.1", "psutil==5.9.5", "torch", "numpy", "scipy", "scikit-learn"),
]
NOTEBOOKS = ["00_tour", "03_seeing_equivariance", "05_pretext_labels", "07_contrastive_learning"]
CELL_TIMEOUT = 1200  # seconds

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]


class Place:
    """An environment of its own, made by pip, and an empty folder to run notebooks in."""

    def __init__(self, python: str, folder: Path, packages: list[str]):
        subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
        self.python = folder / "venv" / ("Scripts" if course.WINDOWS else "bin") / "python"
        self.folder = folder / "empty"
        self.folder.mkdir()
        foreign = ("PYTHON", "JUPYTER", "IPYTHON", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment = {**kept, "IPYTHONDIR": str(folder / "ipython"), "OMP_NUM_THREADS": "1"}
        self.pip("install", "--quiet", "--no-compile", *packages)
        spec = {
            "argv": [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "x",
        }
        course.write(folder / "kernels" / "x" / "kernel.json", json.dumps(spec))
        self.kernels = KernelSpecManager(kernel_dirs=[str(folder / "kernels")])

    def pip(self, *words: str | Path) -> str:
        command = [self.python, "-m", "pip", *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode and re.search(course.NO_NETWORK, done.stderr):
            pytest.skip("no package index answers")
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def packages(self) -> dict[str, str]:
        """What is installed, and its version."""
        lines = (line.split("==") for line in self.pip("list", "--format=freeze").splitlines())
        return {canonicalize_name(name): version for name, version in lines}

    def run(self, text: str) -> float:
        """Seconds that a notebook takes from top to bottom, in a new kernel; what a cell raises is raised."""
        began = time.monotonic()
        manager = AsyncKernelManager(kernel_name="x", kernel_spec_manager=self.kernels)
        client = NotebookClient(
            nbformat.reads(text, as_version=4),
            km=manager,
            timeout=CELL_TIMEOUT,
            resources={"metadata": {"path": str(self.folder)}},
        )
        client.execute(env=self.environment, cleanup_kc=True)  # it leaves a kernel that it is given
        return time.monotonic() - began


def notebook(name: str) -> str:
    return (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")


def wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return folder / buildapi.build_wheel(str(folder))


def oldest(text: str) -> str:
    """A requirement's floor: torch>=2.6 -> torch==2.6."""
    [floor] = [one.version for one in Requirement(text).specifier if one.operator in (">=", "==")]
    return f"{Requirement(text).name}=={floor}"


def hosts_python() -> str:
    """Python 3.12, which hosted services have, or else the one that runs this."""
    found = shutil.which("python3.12")
    works = found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0
    return found if works else sys.executable


def test_the_tour_runs_on_the_oldest_versions_that_the_ranges_allow(tmp_path):
    floors = [oldest(text) for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lab"]]]
    place = Place(sys.executable, tmp_path, floors)
    place.pip("install", "--quiet", "--no-deps", wheel(tmp_path), *map(oldest, ESCNN))
    there = place.packages()
    wanted = {name: Version(version) for name, version in (floor.split("==") for floor in floors)}
    assert {name: Version(Version(there[name]).public) for name in wanted} == wanted
    seconds = {
        name: place.run(notebook(name))
        for name in ("solutions/00_tour", "solutions/00b_tour_contrastive", "solutions/04c_networks_in_escnn")
    }
    rows = "\n".join(f"| `{name}` | {took:.0f} |" for name, took in seconds.items())
    text = f"Python {sys.version.split()[0]}; {', '.join(sorted(floors))}; {', '.join(map(oldest, ESCNN))}."
    record("The oldest versions", f"{text}\n\n| notebook, whole | seconds |\n| --- | --- |\n{rows}")


def test_a_downloaded_notebook_runs_on_a_hosted_service(tmp_path):
    place = Place(hosts_python(), tmp_path, HOST)
    before = place.packages()
    shutil.copy(wheel(tmp_path), place.folder)
    # pip alone, told nothing of what must stay, would replace no more than the first cell does.
    said = place.pip("install", "--dry-run", next(place.folder.glob("*.whl")))
    would = {canonicalize_name(word.rpartition("-")[0]) for word in said.split("Would install ")[1].split()}
    assert would & before.keys() == {"matplotlib"}
    seconds = {name: place.run(notebook(name)) for name in NOTEBOOKS}
    seconds |= {f"solutions/{name}": place.run(notebook(f"solutions/{name}")) for name in NOTEBOOKS}
    after = place.packages()
    changed = {name for name, version in before.items() if after.get(name) != version}
    assert changed == {"matplotlib"}  # its letters need 3.11; nobody has loaded it when the first cell runs
    assert not [name for name in after.keys() - before.keys() if "jupyter" in name.lower()]
    version = subprocess.run([place.python, "--version"], capture_output=True, text=True).stdout.strip()
    newest = ", ".join(f"{name} {before[name]}" for name in ("torch", "numpy", "scipy", "scikit-learn"))
    added = ", ".join(sorted(after.keys() - before.keys()))
    held = ", ".join(pin.replace("==", " ") for pin in HOST if "==" in pin)
    text = f"""{version}; {held}; {newest}.

The first cell installs the wheel that lies beside the notebook. It adds {added}, and replaces matplotlib 3.10 alone."""
    rows = "\n".join(f"| `{name}` | {took:.0f} |" for name, took in seconds.items())
    record("A hosted service", f"{text}\n\n| notebook, whole | seconds |\n| --- | --- |\n{rows}")
