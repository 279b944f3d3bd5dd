"""A rehearsal: a training notebook as students use it, on every kind of kernel; nothing dies, and Stop is quick."""

import json
import os
import subprocess
import sys
import time

import lab as environment
import pytest
from test_live_training import SETTING_UP, STOP, drawn, printed, status

from tools.reliability import record

KERNELS = {"6.31": "ipykernel==6.31.*", "7.3": "ipykernel==7.3.*", "newest": "ipykernel"}
TITLE = "A training notebook on three kernels"
HEAD = """Seconds from the press of Stop, or of the kernel's interrupt, to the page that says so.

| ipykernel | Stop, no cell runs | Stop, `live.wait()` runs | interrupt |
| --- | --- | --- | --- |"""
MEASURED: dict[str, str] = {}

SETUP = f"""{SETTING_UP}
import os, threading
import ipykernel

def trainings():
    return sum(thread.name == "eqssl_edu training" for thread in threading.enumerate())
"""
FRESH = "trained = run(5000)\nlive = LiveTraining({'one': trained}, title='A training')\nlive"
SAME = "again = LiveTraining({'one': run_of(trained.model)}, title='The same model')\nagain"
FAILS = "bad = LiveTraining({'bad': run(50, fails_at=30)}, title='It fails')\nbad"
WAIT = "print('waits', flush=True)\nlive.wait()\nprint('waited')"
RUN_OF = """
def run_of(model):
    return Pretrainer(model, torch.randn(200, 1, 4, 4), epochs=5000, batch_size=20, lr=0.02, accelerator="cpu")
"""
BUSY = (
    """(cell) => document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')[cell].textContent.includes('*')"""
)
WAITS = """(cell) => document.querySelectorAll('.jp-CodeCell')[cell]
  .querySelector('.jp-OutputArea-output')?.textContent.trim() === 'waits'"""
IDLE = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"


@pytest.fixture(params=KERNELS)
def notebook(request, chromium, lab, tmp_path_factory):
    """The notebook, on a kernel whose ipykernel lies in a folder of its own."""
    name, folder = f"ipykernel-{request.param}", tmp_path_factory.mktemp("ipykernel")
    wanted = [KERNELS[request.param], "nest-asyncio", "psutil"]  # 6.31 needs them; the rest is here
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *wanted]
    subprocess.run(command, check=True, timeout=300)
    paths = [str(folder), str(environment.ROOT), os.environ.get("PYTHONPATH", "")]
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": name,
        "language": "python",
        "env": {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"},
    }
    place = lab.folder.parent / "data" / "kernels" / name
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    cells = [SETUP + RUN_OF, FRESH, SAME, FAILS, WAIT, ""]
    with environment.open_notebook(chromium, lab, f"{name}.ipynb", cells, name) as opened:
        opened.kernel_name = request.param
        opened.look(1366, 768)
        yield opened


def ask(notebook, source: str):
    """What a cell says, through JSON."""
    notebook.run_last_cell(f"print(json.dumps([{source}]))")
    return printed(notebook, 5)


def view(notebook, cell: int, expected: str):
    """The widget below a cell, once it says so."""
    found = notebook.output(cell).locator(f'.eqssl-live[data-status="{expected}"]')
    found.wait_for()
    return found


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_training_notebook_as_students_use_it(notebook, tmp_path):
    page, seconds = notebook.page, {}
    notebook.start_cell(0)
    version, pid = ask(notebook, "ipykernel.__version__, os.getpid()")
    assert notebook.kernel_name in ("newest", version.rpartition(".")[0])

    def picture(name):
        folder = os.environ.get("EQSSL_EDU_PICTURES")
        if folder:
            page.screenshot(path=f"{folder}/{notebook.kernel_name}-{name}.png")

    # Twice, and out of order.
    for cell in (1, 1, 2, 2, 1, 2):
        notebook.start_cell(cell)
        view(notebook, cell, "running")
    view(notebook, 2, "running").locator('path[d*="L"]').first.wait_for(state="attached")
    assert ask(notebook, "trainings()") == [1]
    assert "had been trained for" in view(notebook, 2, "running").inner_text()
    assert "new training" in view(notebook, 1, "stopped").inner_text()
    picture("twice")

    # Stop while no cell runs, and while one waits.
    notebook.start_cell(1)
    view(notebook, 1, "running")
    ask(notebook, "again.close()")
    seconds["idle"] = min(stop_and_go(notebook) for _ in range(3))
    waits = []
    for _ in range(3):
        notebook.start_cell(4)
        page.wait_for_function(BUSY, arg=4)
        waits.append(page.evaluate(STOP))
        page.wait_for_function(f"cell => !({BUSY})(cell)", arg=4)
        assert notebook.output(4).inner_text().split() == ["waits", "waited"]
        page.get_by_role("button", name="Resume", exact=True).click()
        status(page, "running")
    seconds["wait()"] = min(waits)
    picture("stopped")

    # An interrupt, and the cell once more.
    notebook.start_cell(4)
    page.wait_for_function(BUSY, arg=4)
    page.wait_for_function(WAITS, arg=4)  # a kernel that is idle ignores interrupts
    start = time.monotonic()
    page.evaluate("void jupyterapp.commands.execute('notebook:interrupt-kernel')")
    assert "interrupt of the kernel" in view(notebook, 1, "stopped").inner_text()
    seconds["interrupt"] = time.monotonic() - start
    notebook.output(4).get_by_text("KeyboardInterrupt").first.wait_for()
    picture("interrupted")
    settle(page)
    notebook.start_cell(1)
    view(notebook, 1, "running")

    # An error, and the cell once more.
    for _ in range(2):
        notebook.start_cell(3)
        assert "no such page" in view(notebook, 3, "failed").inner_text()
    page.evaluate("jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")

    # The picture is taken away while it trains; then the widget is closed.
    assert ask(notebook, "live.running, os.getpid()") == [True, pid]
    assert ask(notebook, "live.close(), trainings()") == [None, 0]
    notebook.start_cell(1)
    view(notebook, 1, "running")

    # The kernel starts anew while it trains, and all is as at first.
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    settle(page)
    page.evaluate("jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    notebook.run_last_cell("import json, os\nprint(json.dumps([os.getpid()]))")
    printed(notebook, 5)  # the page has taken up the new kernel: until then it may drop a widget
    notebook.start_cell(0)
    notebook.start_cell(1)
    view(notebook, 1, "running")
    drawn(page)
    other, running = ask(notebook, "os.getpid(), trainings()")
    assert other != pid and running == 1
    picture("restarted")
    assert notebook.external_requests == []
    MEASURED[version] = " | ".join(f"{value:.2f}" for value in seconds.values())
    rows = "\n".join(f"| {name} | {figures} |" for name, figures in MEASURED.items())
    record(TITLE, f"{HEAD}\n{rows}")
    assert max(seconds["idle"], seconds["wait()"]) < 0.5


def stop_and_go(notebook) -> float:
    """Seconds from Stop to the page that says so; then Resume."""
    page = notebook.page
    status(page, "running")
    seconds = page.evaluate(STOP)
    page.get_by_role("button", name="Resume", exact=True).click()
    status(page, "running")
    return seconds


def settle(page) -> None:
    """Until the kernel answers. With an error it drops, in silence, what was asked of it until then."""
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestKernelInfo()")
    page.wait_for_function(IDLE)
