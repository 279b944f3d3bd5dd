"""The ways into the course from elsewhere: one address, buttons that follow from it, and a first cell that installs."""

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys

import nbformat
import pytest

from tools import build_notebooks as build
from tools import launch, pages

URL = "https://github.com/owner/course"
SCRIPT = "# %% [markdown]\n# # A title\n\n# %%\nfrom eqssl_edu.groups import cyclic\n"
NEEDS_ESCNN = f"{SCRIPT}from eqssl_edu.steerable import enn\n"
STEERABLE = {"04b_fields_and_nonlinearities", "04c_networks_in_escnn", "03_seeing_equivariance"}
WITHOUT = {"00_tour", "01_groups_and_images", "05_pretext_labels", "07_contrastive_learning"}


def cells(url, solutions=False):
    return nbformat.reads(build.build(SCRIPT, solutions, "00_tour", url), as_version=4).cells


def test_one_place_names_the_address(tmp_path):
    """It can be written, replaced and taken away; the rest of the file stays."""
    path = tmp_path / "pyproject.toml"
    before = (launch.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    launch.name_repository("", tmp_path)
    plain = path.read_text(encoding="utf-8")
    assert launch.repository(tmp_path) == ""
    for url in ("https://github.com/other/name", f"{URL}.git", f"{URL}/"):
        launch.name_repository(url, tmp_path)
    assert launch.repository(tmp_path) == URL
    assert path.read_text(encoding="utf-8") == plain.replace(
        "[project.urls]\n", f'[project.urls]\nrepository = "{URL}"\n'
    )
    launch.name_repository("", tmp_path)
    assert path.read_text(encoding="utf-8") == plain


def test_an_address_that_no_button_can_be_made_of_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must be https://github\.com/OWNER/NAME"):
        launch.name_repository("https://example.org/course", tmp_path)


def test_with_an_address_there_are_four_buttons_below_the_title():
    title, setup, _ = cells(URL)
    assert [setup.metadata.tags, setup.metadata.jupyter.source_hidden] == [[pages.SETUP], True]
    links = dict(re.findall(r"\[(\w+)\]\((https://\S+)\)", title.source))
    assert list(links) == ["Colab", "Kaggle", "Binder", "download"]
    assert all("owner/course" in link and link.endswith("notebooks/00_tour.ipynb") for link in links.values())
    assert f'"git+{URL}"' in setup.source


def test_without_an_address_there_is_no_button_and_the_solved_notebook_has_neither():
    title, setup, _ = cells("")
    assert title.source == "# A title" and "http" not in setup.source and "git+" not in setup.source
    assert [cell.source for cell in cells(URL, solutions=True)] == [title.source, cells("")[2].source]


def test_the_first_cell_costs_no_minutes_and_breaks_no_rule():
    assert pages.minutes(cells(URL)[1:]) == 0


@pytest.mark.parametrize("stem", sorted(STEERABLE | WITHOUT))
def test_escnn_is_installed_where_a_notebook_needs_it(stem):
    text = (build.NOTEBOOKS / "source" / f"{stem}.py").read_text(encoding="utf-8")
    asks = '"--no-deps", "escnn==1.0.11"' in launch.setup_cell(text, "")
    assert asks == (stem in STEERABLE)


def run(source, folder, monkeypatch, missing=("eqssl_edu", "escnn")):
    """The cell, where these are missing; returns what it asks pip for."""
    asked = []
    monkeypatch.chdir(folder)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))
    monkeypatch.setattr(subprocess, "run", lambda command, check: asked.append(command))
    exec(compile(source, "cell", "exec"), {})
    return asked


@pytest.mark.parametrize(("text", "missing"), [(SCRIPT, ["escnn"]), (NEEDS_ESCNN, [])])
def test_where_the_library_is_the_cell_does_nothing(tmp_path, monkeypatch, text, missing):
    assert run(launch.setup_cell(text, URL), tmp_path, monkeypatch, missing) == []


def test_elsewhere_it_installs_from_the_repository_and_holds_what_a_kernel_lives_on(tmp_path, monkeypatch):
    [command] = run(launch.setup_cell(SCRIPT, URL), tmp_path, monkeypatch)
    assert command[:4] == [sys.executable, "-m", "pip", "install"] and f"git+{URL}" in command
    kept = {name: importlib.metadata.version(name) for name in ast.literal_eval(launch.KEPT)}
    assert [word for word in command if "==" in word] == [f"{name}=={there}" for name, there in kept.items()]
    assert not [word for word in command if word.startswith(("-U", "--upgrade"))]


def test_a_wheel_beside_the_notebook_comes_first(tmp_path, monkeypatch):
    (tmp_path / "eqssl_edu-0.1.0-py3-none-any.whl").touch()
    library, escnn = run(launch.setup_cell(NEEDS_ESCNN, URL), tmp_path, monkeypatch)
    assert "eqssl_edu-0.1.0-py3-none-any.whl" in library and f"git+{URL}" not in library
    assert escnn[-3:] == ["--no-deps", "escnn==1.0.11", "joblib>=1.3"]


def test_whoever_has_the_library_from_another_notebook_gets_escnn_alone(tmp_path, monkeypatch):
    [escnn] = run(launch.setup_cell(NEEDS_ESCNN, ""), tmp_path, monkeypatch, missing=["escnn"])
    assert "escnn==1.0.11" in escnn


def test_with_neither_it_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(ModuleNotFoundError, match=r"python3 course\.py lab.*pip wheel --no-deps"):
        run(launch.setup_cell(SCRIPT, ""), tmp_path, monkeypatch)


def test_links_of_the_page_on_an_index_lead_somewhere():
    readme = "# X\n\n[a](docs/a.md) ![b](docs/b.png) [c](https://c.org) [d](#e)\n\n## Notebooks\n\n[f](g)\n"
    with_address = launch.index_page(readme, URL)
    assert f"[a]({URL}/blob/main/docs/a.md)" in with_address and "[c](https://c.org) [d](#e)" in with_address
    assert "![b](https://raw.githubusercontent.com/owner/course/main/docs/b.png)" in with_address
    assert "Notebooks" not in with_address
    assert "\na  [c](https://c.org) [d](#e)\n" in launch.index_page(readme, "")
