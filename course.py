#!/usr/bin/env python3
"""Set the course up and run it: `python3 course.py lab`, `python3 course.py test`. Standard library only.

The first command makes `.venv` beside this file and installs the tested set of packages into it; later ones
find it ready. It is brought up to date when pyproject.toml or constraints.txt change, and made anew after an
installation that was cut short. All that Jupyter reads or writes lies in `.venv` too, so a person's own
settings and kernels cannot get in the way. Delete the folder `.venv` and the set-up is gone. Here is what has
to work before there is an environment; what runs inside it is in tools/.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STATE = VENV / "course.json"  # what is installed; written last: a cut-off installation never looks whole
WINDOWS = os.name == "nt"
COMMAND = "python course.py" if WINDOWS else "python3 course.py"
OLDEST_PYTHON = (3, 11)
TOUR = "notebooks/00_tour.ipynb"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
GRACE = 3  # seconds that a child has to end in its own way after Ctrl-C
NO_NETWORK = r"Retrying \(|NewConnectionError|ConnectTimeout|ReadTimeout|NameResolution|ProxyError"


class CourseError(Exception):
    """Something that the person at the keyboard has to know: one sentence."""


def venv_python() -> Path:
    """The interpreter of `.venv`."""
    return VENV / "Scripts" / "python.exe" if WINDOWS else VENV / "bin" / "python"


def environment() -> dict:
    """Environment variables of every child: `.venv` first, Jupyter's folders inside it, no other Python."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PIP_USER", "IPYTHONDIR")
    kept = {k: v for k, v in os.environ.items() if k not in foreign and not k.startswith("JUPYTER")}
    return {
        **kept,
        "VIRTUAL_ENV": str(VENV),
        "PATH": str(venv_python().parent) + os.pathsep + os.environ.get("PATH", ""),
        "JUPYTER_CONFIG_DIR": str(VENV / "jupyter" / "config"),
        "JUPYTER_DATA_DIR": str(VENV / "jupyter" / "data"),
        "IPYTHONDIR": str(VENV / "jupyter" / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel `python3` is the one of .venv
        "PYTHONNOUSERSITE": "1",
    }


def start(command: list, **options) -> subprocess.Popen:
    """Start a child in the course's folder. Inheritable descriptors go along: see `lock`."""
    options = {"env": environment(), "cwd": ROOT, "close_fds": False, **options}
    return subprocess.Popen([str(word) for word in command], **options)


def finish(child: subprocess.Popen) -> int:
    """Wait for a child; if this process is told to stop, the child stops as well."""
    try:
        return child.wait()
    except BaseException:
        # Ctrl-C in a terminal reaches the child too: let it end in its own way.
        for patience, insist in ((GRACE, child.terminate), (10, child.kill)):
            try:
                child.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                insist()
        child.wait()
        raise


def call(command: list) -> int:
    """Run a command, its output shown; returns the exit status."""
    sys.stdout.flush()
    return finish(start(command))


# The extras of pyproject.toml behind each set; it holds those before it. Of those in the second list only the package
# itself is installed: what it asks for cannot be had everywhere and is never used.
EXTRAS = {"lab": (["lab", "command"], ["escnn"]), "site": (["lab", "command", "site"], ["escnn"])}
EXTRAS["test"] = (["lab", "command", "site", "data", "onnx", "gpu", "test"], ["escnn", "lightly"])


def requirements(wanted: str) -> tuple:
    """The requirements of pyproject.toml for a set, and those to install without dependencies."""
    import tomllib  # Python 3.11: imported here so that an older Python still gets to its sentence in `main`

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    whole, alone = ([text for name in names for text in extras[name]] for names in EXTRAS[wanted])
    return [*project["dependencies"], *whole], alone


def stamp() -> dict:
    """What an environment that is up to date was made from, and where."""
    lists = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return {"fingerprint": hashlib.sha256(b"\0".join(lists)).hexdigest(), "folder": str(VENV)}


def read_state() -> dict:
    """What the last run wrote about `.venv`; empty if there is nothing to read."""
    try:
        return json.loads(STATE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_state(state: dict) -> None:
    """Replace the state file in one step."""
    new = STATE.with_suffix(".new")
    write(new, json.dumps(state))
    os.replace(new, STATE)


def ready(wanted: str) -> bool:
    """Is the set installed, up to date, and in the folder where it was made?"""
    state = read_state()
    return stamp().items() <= state.items() and wanted in state["sets"] and venv_python().exists()


def prepare(wanted: str) -> None:
    """Make the environment ready for a set; takes no time when it is."""
    if ready(wanted):
        return
    with lock():
        if not ready(wanted):  # another run may have done it while this one waited
            began = time.monotonic()
            install(wanted)
            print(f"The environment is ready ({time.monotonic() - began:.0f} s).", flush=True)


@contextlib.contextmanager
def lock():
    """One installation at a time. A child that outlives this process keeps the lock until it ends."""
    try:
        handle = open(ROOT / ".venv.lock", "a")  # noqa: SIM115 (held open for as long as the lock is)
    except OSError as error:
        raise CourseError(f"The course needs to write into its folder {ROOT}: {error.strerror}.") from None
    os.set_inheritable(handle.fileno(), True)
    with handle:
        if not taken(handle):
            print("Another course.py is installing packages: waiting for it to finish ...", flush=True)
            while not taken(handle):
                time.sleep(0.5)
        yield


def taken(handle) -> bool:
    """Take the lock, if nobody has it."""
    try:
        if WINDOWS:
            import msvcrt

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, (BlockingIOError, PermissionError))  # a file system without locks: go on
    return True


def install(wanted: str) -> None:
    """Create `.venv` if there is no usable one, and bring its packages to the tested set."""
    before = read_state()
    fresh = before.get("unfinished") or before.get("folder", str(VENV)) != str(VENV) or not healthy()
    print(f"Setting up {VENV} for `{wanted}`: about a minute with a good connection.", flush=True)
    if fresh:
        remove_venv()
        write_state({"unfinished": True})
        create_venv()
    link_library()
    configure_jupyter()
    packages, alone = requirements(wanted)
    try:
        if offline(packages, alone[:1]):
            raise ConnectionError
        write_state({"unfinished": True})
        if wants_small_torch():
            install_small_torch()
        pip_install(packages)
        pip_install(["--no-deps", *alone])
    except ConnectionError:
        if not fresh:
            write_state(before)  # pip downloads before it changes anything: the environment is as it was
        raise CourseError("No package index answers: connect to the network and run this again.") from None
    write_state({**stamp(), "sets": list(EXTRAS)[: list(EXTRAS).index(wanted) + 1]})


def healthy() -> bool:
    """Does `.venv` hold a Python that runs, is new enough, and has pip?"""
    code = f"import sys, pip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        asked = subprocess.run([venv_python(), "-c", code], env=environment(), capture_output=True)
        return asked.returncode == 0
    except OSError:
        return False


def remove_venv() -> None:
    """Delete `.venv`."""
    if not VENV.exists() and not VENV.is_symlink():
        return
    print("The environment in .venv is incomplete or does not work: making it anew.", flush=True)
    try:
        shutil.rmtree(VENV)
    except OSError as error:
        raise CourseError(f"{VENV} cannot be removed ({error.strerror}): close what uses it.") from None


def create_venv() -> None:
    """Make the virtual environment with pip. Debian's bare python3 has no ensurepip: its pip reaches in."""
    with_pip = importlib.util.find_spec("ensurepip") is not None
    options = [] if with_pip else ["--without-pip"]
    if call([sys.executable, "-m", "venv", *options, VENV]) != 0:
        raise CourseError("Python could not make a virtual environment: see its message above.")
    if not with_pip and call([sys.executable, "-m", "pip", "--python", venv_python(), "install", "pip"]) != 0:
        raise CourseError("This Python has no pip: on Debian, `sudo apt-get install python3-venv`.")


def link_library() -> None:
    """Make `import eqssl_edu` work everywhere: a path file, relative so that no folder's name breaks it."""
    for folder in VENV.glob("Lib/site-packages" if WINDOWS else "lib/python3*/site-packages"):
        write(folder / "eqssl_edu.pth", os.path.relpath(ROOT, folder) + "\n")


def configure_jupyter() -> None:
    """JupyterLab asks nothing and looks nothing up on the network when it starts; kernels report errors."""
    quiet = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
    write(VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json", json.dumps(quiet))
    # Each kernel warns that it talks to the server unencrypted: nobody hears that on the loopback interface.
    kernel = "c.IPKernelApp.log_level = 'ERROR'\n"
    write(VENV / "jupyter" / "ipython" / "profile_default" / "ipython_kernel_config.py", kernel)


def write(path: Path, text: str) -> None:
    """Write a small file, its folders made first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def pip_command(arguments: list) -> list:
    """`pip install` within the tested set. Byte code is left to the first import: that halves the time."""
    options = ["--no-compile", "--disable-pip-version-check", "--constraint", ROOT / "constraints.txt"]
    return [venv_python(), "-m", "pip", "install", *options, *arguments]


def lacks_network(messages: str) -> bool:
    """Did pip fail because it reached nobody?"""
    return re.search(NO_NETWORK, messages) is not None


def offline(packages: list, small: list) -> bool:
    """Is something missing, and no index there to give it? A pip that is not heard asks for a small package first."""

    def ask(*arguments: str) -> subprocess.CompletedProcess:
        command = pip_command(["--dry-run", *arguments])
        return subprocess.run(command, env=environment(), capture_output=True, text=True)

    asked = ask("--no-deps", "--ignore-installed", "--retries", "2", *small)
    if asked.returncode == 0 or not lacks_network(asked.stderr):
        return False
    there = ask("--no-index", *packages)
    return there.returncode != 0 or "Would install" in there.stdout


def pip_install(arguments: list) -> None:
    """Install, pip's progress shown. ConnectionError if the index did not answer, else CourseError."""
    sys.stdout.flush()
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        status = finish(start(pip_command(arguments), stderr=said))
        said.seek(0)
        messages = said.readlines()
    if status == 0:
        return
    if lacks_network("".join(messages)):
        raise ConnectionError
    dull = ("WARNING", "  WARNING", "[notice]")
    sys.stderr.write("".join([line for line in messages if not line.startswith(dull)][-20:]))
    raise CourseError("pip could not install the packages: see its message above, then run this again.")


def wants_small_torch() -> bool:
    """Linux without an NVIDIA driver, and pip asks PyPI, whose torch brings several GB for such a GPU."""
    if sys.platform != "linux" or shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists():
        return False
    command = [venv_python(), "-m", "pip", "config", "list"]
    configured = subprocess.run(command, env=environment(), capture_output=True, text=True).stdout
    return not any(source in configured for source in ("index-url", "find-links", "no-index"))


def install_small_torch() -> None:
    """Take torch's CPU build from its makers. If their index does not answer, PyPI's build will do."""
    source = ["--no-deps", "--index-url", TORCH_CPU_INDEX, "--retries", "1", "--timeout", "10"]
    try:
        pip_install([*source, "torch"])  # the tested version: see pip_command
    except (ConnectionError, CourseError):
        print("  PyTorch's index for CPU builds did not help: taking torch from PyPI.", flush=True)


def lab(arguments: list) -> int:
    """JupyterLab for this machine alone, with its token, open on the tour. Arguments go on to JupyterLab."""
    prepare("lab")
    if call([venv_python(), "-m", "tools.doctor", "whole"]) != 0:
        return 1
    options = ["--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=50", f"--ServerApp.root_dir={ROOT}"]
    options += ["--ServerApp.kernel_websocket_connection_class=eqssl_edu.jupyter.PromptConnection"]
    options += [f"--LabApp.default_url=/lab/tree/{TOUR}", "--Application.log_level=ERROR"]
    if not WINDOWS and os.geteuid() == 0:
        options.append("--allow-root")  # a container; JupyterLab would refuse
    print("Starting JupyterLab; its address follows. Ctrl-C stops it.", flush=True)
    child = start([venv_python(), "-m", "jupyterlab", *options, *arguments])
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # JupyterLab got it too, and asks whether to stop
        except SystemExit:
            child.terminate()
            child.wait()
            raise


def doctor() -> int:
    """Look at the set-up; 1 if something that the course needs is broken. Changes nothing."""
    if not ready("lab"):
        print(f"MEND  environment: missing, incomplete or out of date  ->  {COMMAND} lab")
        return 1
    return call([venv_python(), "-m", "tools.doctor"])


def use_tool(name: str, arguments: list) -> int:
    """Run tools/NAME.py inside the environment. Its help needs none."""
    if "--help" in arguments and name == "run_tests":
        return call([sys.executable, "-m", "tools.run_tests", *arguments])
    prepare("site" if name == "build_site" else "test")
    return call([venv_python(), "-m", f"tools.{name}", *arguments])


HELP = f"""Set the course up and run it:

  {COMMAND} lab      open JupyterLab on the tour; further words go to JupyterLab, such as --no-browser
  {COMMAND} test     run every test; `test --help` says how to run a part
  {COMMAND} doctor   say what works here, and how to mend what does not
  {COMMAND} build    write the notebooks from notebooks/source; --check compares, --repository URL names the address
  {COMMAND} site     write the course as pages that need no kernel and no network
  {COMMAND} bench    run the benchmarks, or the ones named
"""
TOOLS = {"test": "run_tests", "build": "build_notebooks", "site": "build_site", "bench": "run_benchmarks"}


def main(arguments: list) -> int:
    """Read the command line and do what its first word says."""
    if sys.version_info < OLDEST_PYTHON:
        needed, found = (".".join(map(str, version[:2])) for version in (OLDEST_PYTHON, sys.version_info))
        raise CourseError(f"The course needs Python {needed} or newer; this is Python {found}.")
    word, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if word == "lab":
        return lab(rest)
    if word == "doctor":
        return doctor()
    if word in TOOLS:
        return use_tool(TOOLS[word], rest)
    print(HELP, end="")
    return 0 if word in ("--help", "-h") else 2


def run(arguments: list) -> int:
    """`main`, with every expected trouble as one sentence."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return main(arguments)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except PermissionError as error:
        print(
            f"{error.filename or VENV} is another user's: delete .venv and run this again.", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted. Run `{COMMAND} {' '.join(arguments)}` again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
