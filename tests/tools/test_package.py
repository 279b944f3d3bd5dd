"""The wheel and the sdist: complete, fit for an index, used outside of the checkout; and ranges that hosts keep."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from flit_core import buildapi
from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# What a hosted service had where the notebooks ran: these must not be replaced under a kernel that runs.
HOST = {"anywidget": "0.9.21", "plotly": "5.24.1", "traitlets": "5.7.1", "psutil": "5.9.5", "tqdm": "4.67.1"}
JUPYTER = re.compile(r"jupyter.*|ipykernel|ipython|ipywidgets|notebook")
# Every part that a wheel has but those that need a GPU's compiler; then what a reader does first.
USE = """
import importlib, pkgutil, sys
import eqssl_edu
for found in pkgutil.walk_packages(eqssl_edu.__path__, "eqssl_edu."):
    if ".gpu" not in found.name:
        importlib.import_module(found.name)
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import dihedral
from eqssl_edu.widgets import OrbitExplorer
image = digits(16).test.images[0]
assert GroupCNN(dihedral(4), in_channels=1)(image[None]).shape[2] == 8
OrbitExplorer(dihedral(4), image).to_html("page.html")
print(eqssl_edu.__file__)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist, as an installer asks for them."""
    folder = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return [folder / make(str(folder)) for make in (buildapi.build_wheel, buildapi.build_sdist)]


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metadata(wheel):
    files = zipfile.ZipFile(wheel)
    [name] = [name for name in files.namelist() if name.endswith("/METADATA")]
    return parse_email(files.read(name))[0]


def names(wheel):
    return {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("eqssl_edu/")}


def test_the_wheel_holds_every_file_of_the_package(built):
    files = (path for path in (ROOT / "eqssl_edu").rglob("*") if path.is_file())
    wanted = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert names(built[0]) == wanted
    assert {Path(name).suffix for name in wanted} >= {".py", ".js", ".css"}


def test_the_sdist_gives_the_same_wheel(built, tmp_path, monkeypatch):
    with tarfile.open(built[1]) as files:
        files.extractall(tmp_path, filter="data")
    [root] = tmp_path.iterdir()
    monkeypatch.chdir(root)
    again = tmp_path / buildapi.build_wheel(str(tmp_path))
    assert names(again) == names(built[0]) and metadata(again) == metadata(built[0])


def test_an_index_would_take_both(built):
    said = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *built)
    assert said.count("PASSED") == 2


def test_its_page_has_no_link_that_leads_nowhere(built):
    page = metadata(built[0])["description"]
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert (
        page.count("# eqssl_edu") == 1 and [link for link in links if not link.startswith("https://")] == []
    )


def test_it_is_used_outside_of_the_checkout(built, tmp_path):
    place, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", place, built[0])
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(empty),
        "PYTHONPATH": str(place),
        "OMP_NUM_THREADS": "1",
    }
    said = run(sys.executable, "-c", USE, cwd=empty, env=environment)
    assert Path(said.strip()) == place / "eqssl_edu" / "__init__.py"
    assert (empty / "page.html").stat().st_size > 10_000


def test_the_core_asks_for_no_jupyter_and_keeps_what_hosts_have(built):
    asked = [Requirement(text) for text in metadata(built[0])["requires_dist"]]
    core = {canonicalize_name(item.name): item.specifier for item in asked if item.marker is None}
    assert [name for name in core if JUPYTER.fullmatch(name)] == []
    assert [name for name, there in HOST.items() if not core[name].contains(there)] == []
