"""The command `course.py`: what it decides, says and returns. Nothing is installed here."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import course

posix_only = pytest.mark.skipif(course.WINDOWS, reason="signals and descriptors as on Linux and macOS")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the course's folder that has no environment yet; its Python is the one that runs the tests."""
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((course.ROOT / name).read_bytes())
    monkeypatch.setattr(course, "ROOT", tmp_path)
    monkeypatch.setattr(course, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(course, "STATE", tmp_path / ".venv" / "course.json")
    monkeypatch.setattr(course, "venv_python", lambda: Path(sys.executable))
    return tmp_path


@pytest.fixture
def pip(folder, monkeypatch):
    """Replaces what takes minutes: creating the environment, and pip. Returns the list of what was asked for."""
    asked = []

    def create_venv():
        (folder / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        asked.append("venv")

    monkeypatch.setattr(course, "create_venv", create_venv)
    monkeypatch.setattr(course, "healthy", lambda: (folder / ".venv" / "bin").exists())
    monkeypatch.setattr(course, "wants_small_torch", lambda: False)
    monkeypatch.setattr(course, "offline", lambda packages, small: False)
    monkeypatch.setattr(course, "pip_install", asked.append)
    return asked


def installed(*sets):
    """The state of an environment with these sets."""
    return {**course.stamp(), "sets": list(sets)}


def fails_with(error):
    """A function of one argument that raises."""

    def fail(_):
        raise error

    return fail


def test_a_clone_is_not_ready_and_the_lab_is_with_either_set(folder):
    assert not course.ready("lab")
    course.write_state(installed("lab"))
    assert course.ready("lab") and not course.ready("test")
    course.write_state(installed("lab", "test"))
    assert course.ready("lab") and course.ready("test")


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_list_of_packages_makes_it_out_of_date(folder, name):
    course.write_state(installed("lab"))
    course.write(folder / name, (folder / name).read_text() + "\n# changed\n")
    assert not course.ready("lab")


def test_a_moved_folder_a_python_that_is_gone_or_a_state_that_says_nothing_is_not_ready(folder, monkeypatch):
    moved = json.dumps({**installed("lab"), "folder": "/somewhere/else/.venv"})
    for content in (moved, "", "{", '{"unfinished": true}'):
        course.write(course.STATE, content)
        assert not course.ready("lab")
    course.write_state(installed("lab"))
    monkeypatch.setattr(course, "venv_python", lambda: folder / "no" / "python")
    assert not course.ready("lab")


def test_a_missing_or_broken_environment_is_not_healthy(folder, monkeypatch):
    assert course.healthy()  # the Python that runs this test
    monkeypatch.setattr(course, "OLDEST_PYTHON", (99, 0))
    assert not course.healthy()
    monkeypatch.setattr(course, "venv_python", lambda: folder / "no" / "python")
    assert not course.healthy()


def test_the_lab_installs_the_students_set_and_the_tests_add_theirs(pip, capsys):
    project = tomllib.loads((course.ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    course.prepare("lab")
    students = [*project["dependencies"], *extras["lab"], *extras["command"]]
    assert pip == ["venv", students, ["--no-deps", *extras["escnn"]]]
    assert course.read_state() == installed("lab")
    del pip[:]
    capsys.readouterr()
    course.prepare("lab")
    assert pip == [] and capsys.readouterr().out == ""
    course.prepare("test")
    assert pip == [  # no new environment
        [
            *students,
            *(text for name in ("site", "data", "onnx", "gpu", "test") for text in extras[name]),
        ],
        ["--no-deps", *extras["escnn"], *extras["lightly"]],
    ]
    assert course.read_state() == installed("lab", "site", "test")


def test_an_interrupted_installation_is_made_anew(pip, folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(course, "pip_install", fails_with(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            course.prepare("lab")
    half = folder / ".venv" / "half-installed"
    half.touch()
    assert not course.ready("lab")
    course.prepare("lab")
    assert pip.count("venv") == 2 and not half.exists()
    assert course.ready("lab")


def test_a_failing_pip_leaves_no_environment_that_looks_whole(pip, monkeypatch):
    course.prepare("lab")
    monkeypatch.setattr(course, "pip_install", fails_with(course.CourseError("no space left")))
    with pytest.raises(course.CourseError, match="no space left"):
        course.prepare("test")
    assert not course.ready("lab")


def test_without_network_one_sentence_and_the_environment_as_it_was(pip, capsys, monkeypatch):
    course.prepare("lab")
    monkeypatch.setattr(course, "pip_install", fails_with(ConnectionError))
    assert course.run(["test"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "connect to the network" in error and "Traceback" not in error
    assert course.ready("lab")


def test_an_environment_of_ones_own_is_used_and_survives_a_missing_network(pip, folder, monkeypatch):
    own = folder / ".venv" / "bin" / "own"
    own.parent.mkdir(parents=True)
    own.touch()
    with monkeypatch.context() as patch:
        patch.setattr(course, "pip_install", fails_with(ConnectionError))
        for _ in range(2):
            with pytest.raises(course.CourseError):
                course.prepare("lab")
    assert own.exists()
    course.prepare("lab")
    assert own.exists() and "venv" not in pip


def test_pip_without_network_is_recognised(folder, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens on the discard port
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(ConnectionError):
        course.pip_install(["--no-deps", "a-package-that-nobody-has"])
    assert course.offline(["a-package-that-nobody-has"], ["a-package-that-nobody-has"])
    # What is here need not be asked for.
    assert not course.offline(["pytest"], ["a-package-that-nobody-has"])


def test_another_trouble_of_pip_is_not_taken_for_the_network(folder, monkeypatch, capfd):
    script = "import sys; sys.stderr.write('WARNING: dull\\nERROR: [Errno 28] No space left on device\\n'); sys.exit(1)"
    monkeypatch.setattr(course, "pip_command", lambda _: [sys.executable, "-c", script])
    with pytest.raises(course.CourseError, match="pip could not install"):
        course.pip_install([])
    assert capfd.readouterr().err == "ERROR: [Errno 28] No space left on device\n"


def test_pip_is_bound_to_the_tested_set(folder):
    command = [str(word) for word in course.pip_command(["torch>=2.6"])]
    assert command[command.index("--constraint") + 1] == str(folder / "constraints.txt")
    assert command[-1] == "torch>=2.6"


@pytest.fixture
def plain_linux(folder, monkeypatch):
    """A machine with Linux, no NVIDIA driver, and a pip that nobody configured: `wants_small_torch` says yes."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(course.shutil, "which", lambda _: None)  # no nvidia-smi
    monkeypatch.setattr(course.Path, "exists", lambda _: False)  # no driver
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert course.wants_small_torch()


@pytest.mark.parametrize("source", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"])
def test_whoever_configured_pip_gets_torch_from_there(plain_linux, monkeypatch, source):
    monkeypatch.setenv(source, "/somewhere")
    assert not course.wants_small_torch()


def test_no_small_torch_where_there_is_a_gpu_or_pypi_has_the_small_one(plain_linux, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(course.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
        assert not course.wants_small_torch()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not course.wants_small_torch()


def test_if_the_index_for_small_torch_does_not_answer_the_usual_one_is_asked(pip, monkeypatch):
    def only_usual(arguments):
        if course.TORCH_CPU_INDEX in arguments:
            raise ConnectionError
        pip.append(arguments)

    monkeypatch.setattr(course, "pip_install", only_usual)
    monkeypatch.setattr(course, "wants_small_torch", lambda: True)
    course.prepare("lab")
    assert pip[1] == course.requirements("lab")[0]


def test_the_library_is_found_by_a_relative_path(folder):
    packages = course.VENV / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    course.link_library()
    line = (packages / "eqssl_edu.pth").read_text()
    assert line.isascii() and (packages / line.strip()).resolve() == folder


@posix_only
def test_the_second_waits_says_so_and_installs_nothing(pip, monkeypatch, capsys):
    second = threading.Thread(target=course.prepare, args=("lab",))

    def slow_create():
        second.start()
        time.sleep(0.3)
        pip.append("venv")

    monkeypatch.setattr(course, "create_venv", slow_create)
    course.prepare("lab")
    second.join(timeout=10)
    assert not second.is_alive() and pip.count("venv") == 1
    said = capsys.readouterr().out
    assert said.count("waiting for it to finish") == 1 and said.count("The environment is ready") == 1


@posix_only
def test_the_lock_lasts_as_long_as_pip_does(folder):
    with course.lock():  # as if course.py was killed, and the pip that it had started went on
        pip = course.start([sys.executable, "-c", "import time; time.sleep(0.6)"])
    began = time.monotonic()
    with course.lock():
        waited = time.monotonic() - began
    pip.wait()
    assert waited > 0.4


@posix_only
def test_a_folder_that_cannot_be_written_gives_one_sentence(folder, monkeypatch, capsys):
    monkeypatch.setattr(course, "ROOT", folder / "absent")
    monkeypatch.setattr(course, "ready", lambda _: False)
    assert course.run(["lab"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_children_see_nothing_of_other_pythons_and_jupyters(folder, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "/other/jupyter")
    monkeypatch.setenv("JUPYTER_TOKEN", "")  # would switch the token off
    monkeypatch.setenv("PYTHONPATH", "/other/packages")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example")  # whereas pip's configuration counts
    seen = course.environment()
    assert not {"JUPYTER_PATH", "JUPYTER_TOKEN", "PYTHONPATH"} & seen.keys()
    assert seen["PIP_INDEX_URL"] == "https://mirror.example"
    assert seen["JUPYTER_CONFIG_DIR"].startswith(str(folder / ".venv"))


@posix_only
def test_a_child_ends_with_its_parent(folder, monkeypatch):
    monkeypatch.setattr(course, "GRACE", 0.1)
    child = course.start([sys.executable, "-c", "import time; time.sleep(60)"])
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            course.finish(child)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert child.poll() is not None


def test_the_lab_is_opened_on_the_tour_for_this_machine_alone(folder, monkeypatch):
    monkeypatch.setattr(course, "prepare", lambda wanted: None)
    shown = f"import sys; open({str(folder / 'asked')!r}, 'w').write(repr(sys.argv))"
    monkeypatch.setattr(
        course, "start", lambda command: subprocess.Popen([sys.executable, "-c", shown, *command])
    )
    assert course.lab(["--no-browser"]) == 0
    asked = (folder / "asked").read_text()
    assert "--ServerApp.ip=127.0.0.1" in asked
    assert "--LabApp.default_url=/lab/tree/notebooks/00_tour.ipynb" in asked
    assert asked.endswith("'--no-browser']")


def fetch(url):
    """What the server answers; it prints its address a moment before it listens."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=30) as reply:
                return reply.read()
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            time.sleep(0.1)
    raise TimeoutError(url)


@posix_only
def test_the_lab_survives_a_taken_port_and_wants_its_token(folder, monkeypatch):
    monkeypatch.setattr(course, "prepare", lambda wanted: None)
    monkeypatch.setattr(course, "call", lambda command: 0)  # the files of the environment are whole
    began, children = course.start, []

    def start(command):
        children.append(began(command, stderr=subprocess.PIPE, text=True))
        return children[0]

    monkeypatch.setattr(course, "start", start)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lab = threading.Thread(target=course.lab, args=(["--no-browser", f"--port={port}"],))
        lab.start()
        while not children:
            time.sleep(0.01)
        try:
            line = next(line for line in children[0].stderr if "token=" in line)
            address, used, token = re.search(r"(http://127\.0\.0\.1:(\d+))/\S*\?token=(\w+)", line).groups()
            assert int(used) != port
            assert "kernels" in json.loads(fetch(f"{address}/api/status?token={token}"))
            with pytest.raises(urllib.error.HTTPError, match="403"):
                fetch(f"{address}/api/status")
        finally:
            children[0].terminate()
            children[0].communicate()
            lab.join(timeout=30)
    assert not lab.is_alive()


def test_the_doctor_names_the_command_that_makes_the_environment(folder, capsys):
    assert course.run(["doctor"]) == 1
    said = capsys.readouterr().out
    assert f"MEND  environment: missing, incomplete or out of date  ->  {course.COMMAND} lab" in said
    assert not (folder / ".venv").exists()


def test_an_old_python_gets_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert course.run(["lab"]) == 1
    assert capsys.readouterr().err == "The course needs Python 3.11 or newer; this is Python 3.9.\n"


def test_the_file_can_be_read_by_an_old_python():
    import ast

    ast.parse((course.ROOT / "course.py").read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize(("words", "status"), [([], 2), (["lib"], 2), (["--help"], 0)])
def test_whoever_gives_no_word_or_a_wrong_one_is_told_the_words(capsys, words, status):
    assert course.run(words) == status
    said = capsys.readouterr().out
    assert all(f"course.py {word} " in said for word in ("lab", "doctor", *course.TOOLS))


def test_the_words_of_the_tools_run_them_inside_the_environment(monkeypatch):
    asked = []
    monkeypatch.setattr(course, "prepare", asked.append)
    monkeypatch.setattr(course, "call", lambda command: asked.append(command) or 3)
    assert course.run(["bench", "layers"]) == 3
    assert asked == ["test", [course.venv_python(), "-m", "tools.run_benchmarks", "layers"]]
    assert all((course.ROOT / "tools" / f"{name}.py").exists() for name in course.TOOLS.values())
    del asked[:]
    course.run(["site"])
    assert asked[0] == "site"  # neither browsers nor kernels for a GPU
    del asked[:]
    course.run(["test", "--help"])
    assert asked == [[sys.executable, "-m", "tools.run_tests", "--help"]]  # no environment is needed


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    monkeypatch.setattr(course, "prepare", fails_with(KeyboardInterrupt))
    assert course.run(["lab", "--no-browser"]) == 130
    said = capsys.readouterr().err.strip()
    assert said == f"Interrupted. Run `{course.COMMAND} lab --no-browser` again to go on."


def test_what_may_not_be_read_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(course, "main", fails_with(PermissionError(13, "denied", "/home/ada/.venv")))
    assert course.run(["lab"]) == 1
    assert capsys.readouterr().err == "/home/ada/.venv is another user's: delete .venv and run this again.\n"


def test_the_lab_does_not_open_where_files_are_missing(folder, monkeypatch):
    course.write_state(installed("lab"))
    called = []
    monkeypatch.setattr(course, "call", lambda command: called.append(command[-1]) or 1)
    monkeypatch.setattr(course, "start", fails_with(AssertionError))
    assert course.lab([]) == 1 and called == ["whole"]
