#!/usr/bin/env python3
"""Set the course up and run it: `python3 course.py lab`, `python3 course.py test`. Standard library only.

The first command makes `.venv` beside this file and installs the tested set of packages into it; later ones
find it ready. It is brought up to date when pyproject.toml or constraints.txt change, and made anew after an
installation that was cut short. All that Jupyter reads or writes lies in `.venv` too, so a person's own
settings and kernels cannot get in the way. Delete the folder `.venv` and the set-up is gone.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STATE = VENV / "course.json"  # what is installed; written last: a cut-off installation never looks whole
WINDOWS = os.name == "nt"
COMMAND = "python course.py" if WINDOWS else "python3 course.py"
REBUILD = f"rmdir /s /q .venv & {COMMAND} lab" if WINDOWS else f"rm -rf .venv; {COMMAND} lab"
OLDEST_PYTHON = (3, 11)
TOUR = "notebooks/00_tour.ipynb"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CELL_TIMEOUT, TEST_TIMEOUT = 300, 600  # seconds; only there to end a test that hangs
GRACE = 3  # seconds that a child has to end in its own way after Ctrl-C
NETWORK_ERRORS = (
    "Retrying (",
    "NewConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "NameResolution",
    "ProxyError",
)


class CourseError(Exception):
    """Something that the person at the keyboard has to know: one sentence."""


# ------------------------------------------------------------------------------------------------------------
# Child processes


def venv_python() -> Path:
    """The interpreter of `.venv`."""
    return VENV / "Scripts" / "python.exe" if WINDOWS else VENV / "bin" / "python"


def environment(**variables: str) -> dict:
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
        **variables,
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
        try:
            child.wait(timeout=GRACE)  # Ctrl-C in a terminal reaches the child too: let it end in its own way
        except subprocess.TimeoutExpired:
            child.terminate()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        raise


def call(command: list, **variables: str) -> int:
    """Run a command, its output shown; returns the exit status."""
    sys.stdout.flush()
    return finish(start(command, env=environment(**variables)))


# ------------------------------------------------------------------------------------------------------------
# The environment


# The extras of pyproject.toml behind each set; of those in the second list only the package itself is installed, since
# what it asks for cannot be had everywhere and is never used.
EXTRAS = {"lab": ([], ["escnn"]), "test": (["data", "gpu", "test"], ["escnn", "lightly"])}


def requirements(wanted: str) -> tuple:
    """The requirements of pyproject.toml for the set `lab` or `test`, and those to install without dependencies."""
    project = read_project()
    whole, alone = (
        [text for name in names for text in project["optional-dependencies"][name]]
        for names in EXTRAS[wanted]
    )
    return [*project["dependencies"], *whole], alone


def read_project() -> dict:
    """The table `project` of pyproject.toml."""
    import tomllib  # Python 3.11: imported here so that an older Python still gets to its sentence in `main`

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def fingerprint() -> str:
    """Changes when the list of dependencies or the tested set changes."""
    files = (ROOT / "pyproject.toml", ROOT / "constraints.txt")
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def read_state() -> dict:
    """What the last run wrote about `.venv`; empty if there is nothing to read."""
    try:
        state = json.loads(STATE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(state: dict) -> None:
    """Replace the state file in one step."""
    STATE.parent.mkdir(exist_ok=True)
    new = STATE.with_suffix(".new")
    new.write_text(json.dumps(state), encoding="utf-8")
    os.replace(new, STATE)


def ready(wanted: str) -> bool:
    """Is the set installed, up to date, and in the folder where it was made?"""
    state = read_state()
    return (
        state.get("fingerprint") == fingerprint()
        and state.get("folder") == str(VENV)
        and wanted in state.get("sets", [])
        and venv_python().exists()
    )


def prepare(wanted: str) -> None:
    """Make the environment ready for the set `lab` or `test`; takes no time when it is."""
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
    waiting = False
    with handle:
        while True:
            try:
                if WINDOWS:
                    import msvcrt

                    handle.seek(0)
                    msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                if not waiting:
                    print(
                        "Another course.py is installing packages: waiting for it to finish ...", flush=True
                    )
                waiting = True
                time.sleep(0.5)
            except OSError:
                break  # a file system without locks: go on without
        yield


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
        if not index_answers(alone[:1]) and not satisfied(packages):
            raise ConnectionError
        write_state({"unfinished": True})
        if wants_small_torch():
            install_small_torch()
        pip_install(packages)
        pip_install(["--no-deps", *alone])
    except ConnectionError:
        if not fresh:
            write_state(before)  # pip downloads before it changes anything: the environment is as it was
        raise CourseError(
            "The packages could not be downloaded because the package index does not answer: "
            "connect to the network and run the same command again."
        ) from None
    sets = ["lab"] if wanted == "lab" else ["lab", "test"]
    write_state({"fingerprint": fingerprint(), "folder": str(VENV), "sets": sets})


def healthy() -> bool:
    """Does `.venv` hold a Python that runs, is new enough, and has pip?"""
    code = f"import sys, pip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        return (
            subprocess.run([venv_python(), "-c", code], env=environment(), capture_output=True).returncode
            == 0
        )
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
        raise CourseError(
            f"{VENV} cannot be removed ({error.strerror}): close what uses it, or delete it."
        ) from None


def create_venv() -> None:
    """Make the virtual environment with pip. Debian's bare python3 has no ensurepip: its pip reaches in."""
    with_pip = importlib.util.find_spec("ensurepip") is not None
    options = [] if with_pip else ["--without-pip"]
    if call([sys.executable, "-m", "venv", *options, VENV]) != 0:
        raise CourseError("Python could not make a virtual environment: see its message above.")
    if not with_pip and call([sys.executable, "-m", "pip", "--python", venv_python(), "install", "pip"]) != 0:
        raise CourseError(
            "This Python has neither ensurepip nor pip: on Debian, `sudo apt-get install python3-venv`."
        )


def link_library() -> None:
    """Make `import eqssl_edu` work everywhere: a path file, relative so that no folder's name breaks it."""
    purelib = list(VENV.glob("lib/python3*/site-packages")) or [VENV / "Lib" / "site-packages"]
    for folder in purelib:
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


def index_answers(requirement: list) -> bool:
    """Ask pip, without a word, for a small package: a pip without network would say much and little of use."""
    options = ["--dry-run", "--no-deps", "--ignore-installed", "--retries", "2"]
    return not lacks_network(pip_quietly([*options, *requirement]))


def satisfied(requirements: list) -> bool:
    """Is everything there already? Then no network is needed."""
    asked = pip_quietly(["--dry-run", "--no-index", *requirements])
    return asked.returncode == 0 and "Would install" not in asked.stdout


def pip_quietly(arguments: list) -> subprocess.CompletedProcess:
    """Run `pip install` and keep what it says."""
    return subprocess.run(pip_command(arguments), env=environment(), capture_output=True, text=True)


def lacks_network(ended: subprocess.CompletedProcess) -> bool:
    """Did pip fail because it reached nobody?"""
    return ended.returncode != 0 and any(name in ended.stderr for name in NETWORK_ERRORS)


def pip_install(arguments: list) -> None:
    """Install, pip's progress shown. ConnectionError if the index did not answer, else CourseError."""
    sys.stdout.flush()
    child = start(pip_command(arguments), stderr=subprocess.PIPE, text=True, errors="replace")
    messages = []
    listener = threading.Thread(target=lambda: messages.extend(child.stderr))
    listener.start()
    try:
        status = finish(child)
    finally:
        listener.join()
    if lacks_network(subprocess.CompletedProcess(child.args, status, stderr="".join(messages))):
        raise ConnectionError
    if status != 0:
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
    pin = next(line for line in read_constraints() if line.startswith("torch=="))
    source = ["--index-url", TORCH_CPU_INDEX, "--retries", "1", "--timeout", "10"]
    try:
        pip_install(["--no-deps", *source, pin])
    except (ConnectionError, CourseError):
        print("  PyTorch's index for CPU builds did not help: taking torch from PyPI.", flush=True)


def read_constraints() -> list:
    """The pins of constraints.txt, comments and empty lines left out."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


# ------------------------------------------------------------------------------------------------------------
# lab, build, site, bench


def lab(arguments: list) -> int:
    """JupyterLab for this machine alone, with its token, open on the tour. Arguments go on to JupyterLab."""
    prepare("lab")
    page = f"/lab/tree/{TOUR}" if (ROOT / TOUR).exists() else "/lab"
    options = ["--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=50", f"--ServerApp.root_dir={ROOT}"]
    options += ["--ServerApp.kernel_websocket_connection_class=eqssl_edu.jupyter.PromptConnection"]
    options += [f"--LabApp.default_url={page}", "--Application.log_level=ERROR"]
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


def build(arguments: list) -> int:
    """Write the notebooks from notebooks/source; `--check` only compares."""
    prepare("test")
    return call([venv_python(), ROOT / "tools" / "build_notebooks.py", *arguments])


def site(arguments: list) -> int:
    """Write pages that need no kernel and no network into site/, from the solved notebooks."""
    prepare("test")
    return call([venv_python(), ROOT / "tools" / "build_site.py", *arguments])


def bench(names: list) -> int:
    """Run benchmarks/NAME.py one after the other: every file that can be run, if no name is given."""
    files = sorted((ROOT / "benchmarks").glob("*.py"))
    scripts = {file.stem: file for file in files if "__main__" in file.read_text(encoding="utf-8")}
    unknown = [name for name in names if name not in scripts]
    if unknown:
        raise CourseError(
            f"There is no benchmark {unknown[0]!r}; there is: {', '.join(scripts) or 'none yet'}."
        )
    prepare("test")
    failed = []
    for name in names or scripts:
        print(f"---- {name}", flush=True)
        began = time.monotonic()
        if call([venv_python(), scripts[name]]) != 0:
            failed.append(name)
        print(f"---- {name}: {time.monotonic() - began:.0f} s", flush=True)
    if failed:
        raise CourseError(f"Failed: {', '.join(failed)}.")
    return 0


# ------------------------------------------------------------------------------------------------------------
# test

PARTS = ("style", "library", "notebooks", "browser")
TEST_HELP = f"""Run every test, or one part of them:

  {COMMAND} test                              everything
  {COMMAND} test style                        ruff: rules and layout, notebooks included
  {COMMAND} test library                      the library's tests (pytest)
  {COMMAND} test library tests/test_groups.py -k cyclic    further words go to pytest
  {COMMAND} test notebooks                    notebooks agree with their sources; every cell of each one runs
  {COMMAND} test notebooks 00_tour            one notebook (student's and solution), by the start of its name
  {COMMAND} test browser                      the notebooks in a real browser (needs chromium)
"""


class Report:
    """What the parts of the test run gave: lines of the summary, counts over all of them."""

    def __init__(self):
        self.lines = []
        self.counts = dict.fromkeys(("failed", "passed", "skipped"), 0)
        self.began = time.monotonic()

    def add(
        self, name: str, seconds: float, failed: int = 0, passed: int = 0, skipped: int = 0, note: str = ""
    ) -> None:
        """One line of the summary, its tests counted."""
        counts = {"failed": failed, "passed": passed, "skipped": skipped}
        for key, value in counts.items():
            self.counts[key] += value
        said = ", ".join(f"{value} {key}" for key, value in counts.items() if value) or "nothing to run"
        self.lines.append(f"{name:34} {seconds:7.1f} s   {said}{f' ({note})' if note else ''}")

    def text(self) -> str:
        """The summary; its last line is written as pytest writes its own."""
        said = ", ".join(f"{value} {key}" for key, value in self.counts.items() if value) or "no tests ran"
        last = f" {said} in {time.monotonic() - self.began:.2f}s "
        return "\n".join(["", f"{' course.py test ':=^100}", *self.lines, f"{last:=^100}"])


def test(arguments: list) -> int:
    """Run the parts one after the other; 1 if anything failed."""
    part, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if part and part not in PARTS:
        raise CourseError(
            f"There is no part {part!r}; there is: {', '.join(PARTS)}. `{COMMAND} test --help` says more."
        )
    prepare("test")
    report = Report()
    for name in [part] if part else PARTS:
        print(f"{f' {name} ':=^100}", flush=True)
        RUN_PART[name](report, rest)
    print(report.text(), flush=True)
    return 1 if report.counts["failed"] else 0


def run_style(report: Report, arguments: list) -> None:
    """Ruff's rules, and its layout."""
    for name, command in (("check", ["check"]), ("format", ["format", "--check"])):
        began = time.monotonic()
        status = call([venv_python(), "-m", "ruff", *command, *(arguments or ["."])])
        report.add(
            f"style: ruff {name}", time.monotonic() - began, failed=int(status != 0), passed=int(status == 0)
        )


def run_library(report: Report, arguments: list) -> None:
    """The tests of the library and of the set-up."""
    if not arguments:
        arguments = [side_by_side()]
    chosen = any((ROOT / word.split("::")[0]).exists() for word in arguments)
    default = ["tests", "--ignore=tests/browser", "--ignore=tests/tools/test_notebooks.py"]
    slowest = ["--durations=10", "--durations-min=2"]
    pytest(report, "library", [*slowest, *([] if chosen else default), *arguments], OMP_NUM_THREADS="1")


def run_notebooks(report: Report, names: list) -> None:
    """Do the notebooks agree with their sources, and does every cell run?"""
    if not names:
        pytest(report, "notebooks: as built", ["tests/tools/test_notebooks.py"])
    found = [*sorted(ROOT.glob("notebooks/*.ipynb")), *sorted(ROOT.glob("notebooks/solutions/*.ipynb"))]
    chosen = [path for path in found if not names or any(path.stem.startswith(name) for name in names)]
    if not chosen:
        if names:
            raise CourseError(
                f"No notebook begins with {', '.join(names)}; there is: {', '.join(p.stem for p in found)}."
            )
        print("There are no notebooks yet.", flush=True)
        return
    options = [
        "--nbval",
        "--nbval-current-env",
        f"--nbval-cell-timeout={CELL_TIMEOUT}",
        "--timeout=0",
        "--tb=short",
    ]
    if len(chosen) > 1:  # side by side, each notebook whole in one process
        options += [side_by_side(), "--dist=loadfile"]
    paths = [path.relative_to(ROOT) for path in chosen]
    pytest(report, "notebook", [*options, *paths], by_file=True, OMP_NUM_THREADS="1")


def run_browser(report: Report, arguments: list) -> None:
    """The notebooks in a real browser."""
    if not (ROOT / "tests" / "browser").exists():
        report.add("browser", 0, note="there are no browser tests yet")
    elif not chromium():
        print("Skipped: there is no chromium here.", flush=True)
        report.add("browser", 0, skipped=1, note="no chromium found")
    else:
        arguments = arguments or [
            side_by_side(),
            "--dist=loadfile",
        ]  # each process with a JupyterLab of its own
        pytest(report, "browser", ["tests/browser", *arguments], OMP_NUM_THREADS="1")


RUN_PART = {"style": run_style, "library": run_library, "notebooks": run_notebooks, "browser": run_browser}


def side_by_side() -> str:
    """pytest's option for several processes; each gets one thread, which small tensors like best."""
    return f"--numprocesses={min(4, os.cpu_count() or 1)}"


def pytest(report: Report, name: str, arguments: list, by_file: bool = False, **variables: str) -> None:
    """One run of pytest; its counts go into the report, and a run that broke off counts as a failure.

    With `by_file` each file has a line of its own, whose time is that of its tests.
    """
    counted = VENV / "pytest.xml"
    counted.unlink(missing_ok=True)
    began = time.monotonic()
    options = [f"--timeout={TEST_TIMEOUT}", f"--junit-xml={counted}"]
    status = call([venv_python(), "-m", "pytest", *options, *arguments], **variables)
    lines: dict = {}
    for case in ElementTree.parse(counted).iter("testcase") if counted.exists() else ():
        # nbval calls the file notebooks.solutions.00_tour.ipynb.
        file = case.get("classname", "").removeprefix("notebooks.").removesuffix(".ipynb").replace(".", "/")
        line = f"{name}: {file}" if by_file else name
        counts = lines.setdefault(line, {"seconds": 0.0, "failed": 0, "passed": 0, "skipped": 0})
        kinds = {child.tag for child in case}
        kind = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        counts[kind] += 1
        counts["seconds"] += float(case.get("time", 0))
    if not by_file and name in lines:
        lines[name]["seconds"] = time.monotonic() - began
    if not any(counts["failed"] for counts in lines.values()) and (status != 0 or not lines):
        lines[f"{name} (broke off)"] = {"seconds": time.monotonic() - began, "failed": 1}
    for line, counts in sorted(lines.items()):
        report.add(line, **counts)


def chromium() -> str:
    """The browser that the browser tests drive; empty if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")


# ------------------------------------------------------------------------------------------------------------
# doctor


def doctor(arguments: list) -> int:
    """Look at the set-up; 1 if something that the course needs is broken. Changes nothing."""
    if Path(sys.prefix) != VENV:  # the answers are those of the environment, so it has to be asked
        good = show("Python", True, f"{sys.version.split()[0]} ({sys.executable})")
        if not ready("lab"):
            show("environment", False, "missing, incomplete or out of date", f"{COMMAND} lab")
            return 1
        good &= show("environment", True, f"{VENV} holds: {', '.join(read_state()['sets'])}")
        return call([venv_python(), ROOT / "course.py", "doctor"]) or int(not good)
    checks = (check_torch, check_kernel, check_anywidget, check_escnn, check_chromium)
    results = []
    for check in checks:
        try:
            results.append(check())
        except Exception as error:  # whatever breaks is the finding
            name = check.__name__.removeprefix("check_")
            results.append(show(name, False, f"{type(error).__name__}: {error}", REBUILD))
    return 0 if all(results) else 1


def show(name: str, good: bool, finding: str, mend: str = "", needed: bool = True) -> bool:
    """One line of the doctor; False if the course cannot do without."""
    word = "ok  " if good else "MEND" if needed else "note"
    print(f"{word}  {name}: {finding}{f'  ->  {mend}' if mend else ''}", flush=True)
    return good or not needed


def check_torch() -> bool:
    """Does torch compute, and where?"""
    import torch

    torch.ones(2) @ torch.ones(2)
    good = show("torch", True, torch.__version__)
    if torch.cuda.is_available():
        device = f"CUDA, {torch.cuda.get_device_name()}"
    elif torch.backends.mps.is_available():
        device = "MPS (Apple)"
    else:
        device = f"CPU, {torch.get_num_threads()} threads"
        if shutil.which("nvidia-smi"):
            show(
                "device",
                False,
                "an NVIDIA GPU that this torch cannot use",
                "https://pytorch.org/get-started",
                needed=False,
            )
    return good & show("device", True, device)


def check_kernel() -> bool:
    """Start the kernel that the notebooks name, and ask where it lives and whether it finds the library."""
    from jupyter_client.manager import start_new_kernel

    printed = []
    manager, client = start_new_kernel(kernel_name="python3", cwd=os.path.expanduser("~"))
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


def check_anywidget() -> bool:
    """Two halves have to be there: the Python package, and the extension that JupyterLab finds."""
    import anywidget
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_federated_extensions

    found = get_federated_extensions(jupyter_path("labextensions"))
    absent = [name for name in ("anywidget", "@jupyter-widgets/jupyterlab-manager") if name not in found]
    if absent:
        return show("anywidget", False, f"JupyterLab does not find {', '.join(absent)}", REBUILD)
    return show("anywidget", True, f"{anywidget.__version__}, and JupyterLab finds its extension")


def check_escnn() -> bool:
    """Which way escnn goes about rotations in three dimensions, and what `pip check` says about it."""
    import importlib.metadata

    import eqssl_edu

    version = importlib.metadata.version("escnn")
    routes = {
        "lie_learn.representations.SO3.wigner_d": "lie_learn's Wigner matrices",
        "py3nj": "py3nj's coefficients",
    }
    whole = [route for module, route in routes.items() if imports(module)]
    if importlib.util.find_spec(f"{eqssl_edu.__name__}.steerable"):
        importlib.import_module(f"{eqssl_edu.__name__}.steerable")
    asked = (word.split(";")[0].split("(")[0].strip() for word in importlib.metadata.requires("escnn"))
    absent = [name for name in asked if not distributed(name)]
    finding = f"{version} with {' and '.join(whole) or 'stand-ins for lie_learn and py3nj'}"
    if absent:
        finding += (
            f"; `pip check` reports {', '.join(absent)} as missing: "
            "they serve rotations in three dimensions, and the course needs none of them"
        )
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
    import importlib.metadata

    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_chromium() -> bool:
    """Only the browser tests need it."""
    path = chromium()
    mend = "sudo apt-get install chromium" if sys.platform == "linux" else "install Chrome or Chromium"
    if not path:
        return show("chromium", False, "not found: the browser tests will be skipped", mend, needed=False)
    return show("chromium", True, path)


# ------------------------------------------------------------------------------------------------------------
# Command line

VERBS = {
    "lab": (lab, "open JupyterLab on the tour (further arguments go to JupyterLab, e.g. --no-browser)"),
    "test": (test, f"run every test, or one part: {', '.join(PARTS)}"),
    "doctor": (doctor, "say what works here, and how to mend what does not"),
    "build": (build, "write the notebooks from notebooks/source (--check: only compare)"),
    "site": (site, "write the solved notebooks as pages that need no kernel and no network"),
    "bench": (bench, "run the benchmarks, or the ones named"),
}


def main(arguments: list) -> int:
    """Read the command line and run the verb."""
    if sys.version_info < OLDEST_PYTHON:
        needed, found = (".".join(map(str, version[:2])) for version in (OLDEST_PYTHON, sys.version_info))
        raise CourseError(
            f"The course needs Python {needed} or newer; this is Python {found}: use a newer one."
        )
    verbs = "\n".join(f"  {verb:8}{what}" for verb, (_, what) in VERBS.items())
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=f"Set the course up and run it:\n\n{verbs}",
        epilog=f"`{COMMAND} test --help` shows how to run one part of the tests.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{COMMAND} VERB ...",
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="one of the above")
    verb = parser.parse_args(arguments[:1]).verb
    rest = arguments[1:]
    if verb == "test" and rest[:1] in (["--help"], ["-h"]):
        print(TEST_HELP)
        return 0
    return VERBS[verb][0](rest)


def run(arguments: list) -> int:
    """`main`, with every expected trouble as one sentence."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return main(arguments)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted. Run `{COMMAND} {' '.join(arguments)}` again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
