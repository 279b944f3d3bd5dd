"""The doctor finds what is broken, and names what mends it."""

import json
import sys
from pathlib import Path

import pytest

import course
from tools import doctor


@pytest.fixture
def library(monkeypatch):
    """Outside of .venv, which has a path file, kernels have to be told where the library is."""
    if Path(sys.prefix) != course.VENV:
        monkeypatch.setenv("PYTHONPATH", str(course.ROOT))


def test_the_kernel_of_the_notebooks_is_the_one_of_this_environment(library, capsys):
    assert doctor.check_kernel()
    assert capsys.readouterr().out.startswith("ok    kernel")


def test_a_kernel_of_another_environment_is_found_out(library, tmp_path, monkeypatch, capsys):
    start = f"import sys; sys.prefix = {str(tmp_path)!r}; import ipykernel.kernelapp as k; k.launch_new_instance()"
    spec = {
        "argv": [sys.executable, "-c", start, "-f", "{connection_file}"],
        "display_name": "x",
        "language": "python",
    }
    course.write(tmp_path / "kernels" / "python3" / "kernel.json", json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))  # what `environment` keeps from the children
    assert not doctor.check_kernel()
    assert capsys.readouterr().out.startswith(f"MEND  kernel: `python3` runs in {tmp_path}")


@pytest.mark.parametrize(("version", "word"), [("6.31.0", "note"), ("7.3.0", "ok  "), ("10.0", "ok  ")])
def test_a_kernel_that_does_not_hear_buttons_is_told(monkeypatch, capsys, version, word):
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda _: version)
    assert doctor.check_stop()
    said = capsys.readouterr().out
    assert said.startswith(f"{word}  Stop button") and version in said


def test_both_halves_of_anywidget_are_looked_for(monkeypatch, capsys):
    assert doctor.check_anywidget()
    older = {"version": "0.9.0", "ext_path": "/elsewhere"}
    found = {"anywidget": older, "@jupyter-widgets/jupyterlab-manager": {}}
    monkeypatch.setattr("jupyterlab_server.config.get_federated_extensions", lambda _: found)
    assert doctor.check_anywidget()
    assert "JupyterLab finds the extension of 0.9.0 in /elsewhere" in capsys.readouterr().out
    found.clear()
    assert not doctor.check_anywidget()
    assert "MEND  anywidget: JupyterLab does not find anywidget" in capsys.readouterr().out


def test_escnns_route_is_told_and_pip_check_explained(capsys):
    assert doctor.check_escnn()
    said = capsys.readouterr().out
    assert said.startswith("ok    escnn: 1.0.11 with")
    missing = [name for name in ("lie-learn", "py3nj") if not doctor.distributed(name)]
    assert all(name in said for name in missing)


@pytest.mark.parametrize(("path", "word"), [(None, "note"), ("/usr/bin/chromium", "ok  ")])
def test_the_course_does_without_chromium(monkeypatch, capsys, path, word):
    monkeypatch.setattr(doctor.shutil, "which", lambda _: path)
    assert doctor.check_chromium()
    assert capsys.readouterr().out.startswith(f"{word}  chromium")


def test_whatever_breaks_is_the_finding(capsys):
    def check_sky():
        raise OSError("it fell")

    assert doctor.examine([check_sky, doctor.check_python]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"MEND  sky: OSError: it fell  ->  {doctor.REBUILD}"
    assert said[1].startswith("ok    Python")
    assert doctor.examine([doctor.check_python, doctor.check_torch]) == 0


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Two packages as pip leaves them; one has a file whose name holds a comma."""
    packages = {"numpy": ["numpy/__init__.py", "numpy/a,b.py"], "torch": ["torch/x.py", "../bin/torchrun"]}
    for name, files in packages.items():
        for file in files:
            course.write(tmp_path / "site" / file, "")
        rows = [f'"{file}",sha256=x,0\n' for file in [*files, f"{name}/__pycache__/x.pyc"]]
        course.write(tmp_path / "site" / f"{name}-1.0.dist-info" / "RECORD", "".join(rows))
    monkeypatch.setattr(doctor.sysconfig, "get_path", lambda _: str(tmp_path / "site"))
    return tmp_path / "site"


def test_files_that_somebody_deleted_are_counted(installed, capsys):
    assert doctor.check_whole()
    (installed / "numpy" / "a,b.py").unlink()
    (installed / "../bin/torchrun").unlink()
    assert not doctor.check_whole()
    said = capsys.readouterr().out
    assert (
        "MEND  files: deleted from .venv: " in said
        and "1 files of numpy" in said
        and "1 files of torch" in said
    )


def test_an_environment_of_another_user_is_told(installed, monkeypatch, capsys):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert not doctor.check_whole()
    assert "belongs to another user" in capsys.readouterr().out
