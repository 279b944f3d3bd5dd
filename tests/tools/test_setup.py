"""The set-up files say the same thing: pyproject.toml, constraints.txt, environment.yml, and what is packed."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import course

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    Requirement(text) for text in [*PROJECT["dependencies"], *(t for e in EXTRAS.values() for t in e)]
]
PINS = re.findall(r"^(.+)==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
PINNED = {canonicalize_name(name): Version(version) for name, version in PINS}
STUDENTS = [Requirement(text) for text in [*PROJECT["dependencies"], *EXTRAS["lab"], *EXTRAS["command"]]]
# Where conda-forge's name is not the one of PyPI.
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
# A widget cannot be without them, so they come with anywidget; their versions are the host's own.
WITH_ANYWIDGET = {"ipython", "ipywidgets"}
# What `course.py test` installs.
TESTED = ["lab", "escnn", "data", "command", "onnx", "gpu", "site", "test"]


def test_the_tested_set_names_each_package_once_and_no_build():
    assert len(PINNED) == len(PINS) > 100
    assert not [name for name, version in PINNED.items() if version.local]  # `+cpu` exists on few indexes


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_the_tested_set_lies_in_the_ranges(requirement):
    version = PINNED[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


def imported(*places: str) -> set[str]:
    """The distributions that the scripts in these folders import."""
    distributions = importlib.metadata.packages_distributions()
    found = set()
    for path in (path for place in places for path in (ROOT / place).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            found |= {name.split(".")[0] for name in names} - sys.stdlib_module_names
    found -= {path.stem for place in places for path in (ROOT / place).rglob("*.py")}  # helpers of our own
    found -= {path.stem for path in ROOT.glob("*.py")}
    found -= {"eqssl_edu", "experiments", "notebooks", "tools"}
    return {canonicalize_name(distributions.get(name, [name])[0]) for name in found}


@pytest.mark.parametrize(
    ("places", "extras"),
    [
        (["eqssl_edu", "notebooks/source"], ["escnn", "data", "command", "onnx", "gpu"]),
        (["tests", "benchmarks", "experiments", "notebooks", "tools"], TESTED),
    ],
)
def test_what_is_imported_is_on_the_list(places, extras):
    listed = [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]
    # eqssl_edu.jupyter is loaded by a Jupyter server alone.
    found = imported(*places) - WITH_ANYWIDGET - {"jupyter-server"}
    assert found <= {canonicalize_name(Requirement(text).name) for text in listed}


def test_the_site_needs_no_browser_and_no_gpu():
    whole, alone = course.requirements("site")
    names = {canonicalize_name(Requirement(text).name) for text in [*whole, *alone]}
    assert {"sphinx", "torch", "escnn"} <= names
    assert not names & {"playwright", "triton", "datasets", "pytest"}


def test_a_students_lab_has_the_command_line():
    """Notebook 12 trains from the shell."""
    assert set(EXTRAS["command"]) <= set(course.requirements("lab")[0])


def test_the_core_lists_nothing_that_the_library_does_not_import():
    core = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert core <= imported("eqssl_edu")


def test_anywidget_brings_what_the_widgets_need_of_jupyter():
    met, asked = set(), [Requirement("anywidget")]
    while asked:
        name = canonicalize_name(asked.pop().name)
        if name not in met:
            met.add(name)
            found = map(Requirement, importlib.metadata.requires(name) or [])
            asked += [item for item in found if item.marker is None or item.marker.evaluate({"extra": ""})]
    assert met >= WITH_ANYWIDGET


def test_a_pin_outside_its_range_would_be_seen():
    assert not Requirement("jupyterlab>=4.4,<5").specifier.contains("5.0.1")


@pytest.mark.skipif(Path(sys.prefix) != course.VENV, reason="runs in another environment than .venv")
def test_what_is_installed_is_the_tested_set():
    def installed(names):
        return {name: Version(importlib.metadata.version(name)).public for name in names}

    names = {canonicalize_name(item.metadata["Name"]) for item in importlib.metadata.distributions()}
    names -= {"pip", "eqssl-edu"}
    assert names - PINNED.keys() == set(), "packages without a pin"
    assert installed(names) == {name: str(PINNED[name]) for name in names}


def environment_requirements() -> dict[str, Requirement]:
    """environment.yml's packages, by their name on PyPI."""
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert content["channels"] == ["conda-forge"]
    conda = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    assert conda.pop(0) == "python=3.12"  # as the builder of Binder reads it
    [pip] = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    found = [Requirement(entry) for entry in [*conda, *pip]]
    return {canonicalize_name(CONDA_NAMES.get(item.name, item.name)): item for item in found}


def test_environment_yml_lists_a_students_lab_as_pyproject_does():
    found = environment_requirements()
    joblib = Requirement(EXTRAS["escnn"][1])
    wanted = {canonicalize_name(item.name): item.specifier for item in [*STUDENTS, joblib]}
    assert found.keys() == {"pip", *wanted}
    assert {name: found[name].specifier for name in wanted} == wanted


def test_escnn_is_installed_by_the_same_line_wherever_one_does_it_by_hand():
    line = f"pip install --no-deps {EXTRAS['escnn'][0]} --editable ."
    for name in ("environment.yml", "postBuild", "README.md"):
        assert line in (ROOT / name).read_text(encoding="utf-8")


def test_course_py_asks_for_the_python_that_pyproject_asks_for():
    assert PROJECT["requires-python"] == ">={}.{}".format(*course.OLDEST_PYTHON)


def test_the_citation_and_the_list_of_changes_name_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## ([\d.]+)", changes, re.MULTILINE)[0] == PROJECT["version"]


WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
PYTHONS = [line.split()[-1] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]


@pytest.mark.parametrize("job", ["tests", "wheel"])
def test_the_workflows_know_every_system_and_every_python_that_the_package_names(job):
    matrix = WORKFLOW["jobs"][job]["strategy"]["matrix"]
    assert matrix["os"] == [f"{system}-latest" for system in ("ubuntu", "macos", "windows")]
    assert matrix["python"] == PYTHONS == ["3.11", "3.12", "3.13"]


def test_the_workflows_call_what_runs_on_a_desk_as_well():
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    commands = {step["run"] for step in steps if "run" in step}
    ours = {command for command in commands if command.startswith("python course.py ")}
    words = [command.split()[2:] for command in ours]
    assert {word[0] for word in words} == {"test", "site"} <= course.TOOLS.keys()
    assert all((ROOT / place).exists() for word in words for place in word if "/" in place)
    assert commands - ours == {"python -m pip wheel --no-deps --wheel-dir dist ."}


def test_the_container_makes_the_lab():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == """python3 -c "import course; course.prepare('lab')\""""
    settings = container["customizations"]["vscode"]["settings"]
    assert settings == {"python.defaultInterpreterPath": "${containerWorkspaceFolder}/.venv/bin/python"}


def test_the_forms_of_issues_can_be_read():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert path.stem == "config" or form.keys() >= {"name", "description", "body"}


@pytest.mark.skipif(course.WINDOWS, reason="needs bash")
@pytest.mark.parametrize("status", [0, 3])
def test_ci_ends_as_course_py_ends(tmp_path, status):
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    script.write_bytes((ROOT / ".ci" / "run").read_bytes())
    (tmp_path / "course.py").write_text(f"import sys; print('asked for', sys.argv[1:]); sys.exit({status})\n")
    chromium = tmp_path / "chromium"  # nothing to install
    chromium.write_text("")
    chromium.chmod(0o755)
    path = f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"
    ended = subprocess.run(["bash", script], env={"PATH": path}, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (status, "asked for ['test']\n")


def test_licences_are_named():
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert re.search(
        r"https://creativecommons.org/licenses/by/4.0/legalcode", (ROOT / "LICENSE-text").read_text()
    )


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_files_and_modules_that_a_page_names_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w.-]+/[\w./-]*|\w+\.(?:py|toml|txt|yml))`", text)) - {"site/"}
    for row in re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \|", text.split("module of `eqssl_edu`")[-1], re.MULTILINE
    ):
        named |= set(re.findall(r"\w+", row))
    places = [(ROOT / folder / name, name) for name in named for folder in ("", "eqssl_edu")]
    found = {name for place, name in places if place.exists() or Path(f"{place}.py").exists()}
    assert {name for name in named - found if "NN" not in name} == set() and len(found) > 5
