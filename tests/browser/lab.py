"""The real JupyterLab and a real browser, with the network closed to everything but loopback. Tests and benchmarks
drive them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
START_SECONDS = 60  # for the server, and for the page
RUN_SECONDS = 60  # for all cells of a notebook


def find_chromium() -> str | None:
    """The browser on the PATH, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Lab:
    """A running JupyterLab."""

    url: str
    token: str
    folder: Path

    def write(self, name: str, cells: list, kernel: str = "python3", view: str = "doc") -> str:
        """Write a notebook of these cells; its address; in the view "lab" with the side bar."""
        (self.folder / name).write_text(json.dumps(as_notebook(cells, kernel)))
        return f"{self.url}{view}/tree/{name}?token={self.token}"


def theme_name(dark: bool) -> str:
    return "JupyterLab Dark" if dark else "JupyterLab Light"


def as_notebook(cells: list, kernel: str = "python3") -> dict:
    """The JSON of a notebook of these cells: code, or whole cells of another notebook.

    Without a kernelspec in it, JupyterLab would open a dialog.
    """
    import nbformat

    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells],
        metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
    )


@dataclass
class NotebookPage:
    """A notebook that is open in the browser, and what the page did that it should not do."""

    page: object
    console_errors: list[str] = field(default_factory=list)
    external_requests: list[str] = field(default_factory=list)

    def look(self, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """The size of the window and the theme, in the page that is open."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.evaluate(
            """async (theme) => {
                 await jupyterapp.commands.execute("apputils:change-theme", { theme });
               }""",
            theme_name(dark),
        )
        self.page.wait_for_function(f"document.body.dataset.jpThemeName === '{theme_name(dark)}'")

    def show(self, cells: list, **look) -> NotebookPage:
        """Put these cells into the notebook that is open. The kernel goes on: what it has imported stays."""
        self.console_errors.clear()
        self.external_requests.clear()
        self.page.set_default_timeout(RUN_SECONDS * 1000)
        self.page.emulate_media(reduced_motion="no-preference")
        self.look(**look)
        self.page.evaluate(
            """async (cells) => {
                 const panel = jupyterapp.shell.currentWidget, { kernel } = panel.sessionContext.session;
                 for (let waits = 0; kernel.status !== "idle"; waits++) {
                   if (waits > 100) await kernel.restart(); // a test that failed has left it at work
                   await new Promise((resolve) => setTimeout(resolve, 100));
                 }
                 const code = "from ipywidgets import Widget; Widget.close_all()";
                 await kernel.requestExecute({ code, store_history: false }).done;
                 panel.content.model.fromJSON(cells);
                 panel.content.activeCellIndex = 0;
                 await panel.content.scrollToItem(0);
               }""",
            as_notebook(cells),
        )
        return self

    def run_all(self) -> None:
        """Run every cell and wait until the last one is done."""
        self.page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")

    def start_all(self) -> None:
        """Run every cell and come back at once, while the last ones are still waiting."""
        self.page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")

    def start_cell(self, cell: int) -> None:
        """Run one cell and come back at once."""
        self.page.evaluate(
            """(cell) => {
                 jupyterapp.shell.currentWidget.content.activeCellIndex = cell;
                 void jupyterapp.commands.execute('notebook:run-cell');
               }""",
            cell,
        )

    def run_last_cell(self, source: str) -> None:
        """Put this source into the last cell and run it, as a user would to steer a widget from a cell."""
        self.page.evaluate(
            """async (source) => {
                 const notebook = jupyterapp.shell.currentWidget.content;
                 notebook.activeCellIndex = notebook.widgets.length - 1;
                 notebook.activeCell.model.sharedModel.setSource(source);
                 await jupyterapp.commands.execute('notebook:run-cell');
               }""",
            source,
        )

    def output(self, cell: int):
        """The output area of a code cell (a locator): look in it by role or by class, never by text alone."""
        return self.page.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea-output")

    def assert_clean(self) -> None:
        """No error on the console, no request to anywhere but this machine."""
        assert self.console_errors == []
        assert self.external_requests == []


@contextlib.contextmanager
def browser() -> Iterator[object]:
    """A headless Chromium with no network of its own."""
    from playwright.sync_api import sync_playwright

    arguments = [
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
    ]
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=find_chromium(), args=arguments)
        yield running
        running.close()


@contextlib.contextmanager
def running_lab(home: Path, prefix: str = "/") -> Iterator[Lab]:
    """JupyterLab on loopback, on a free port, with a token, in an empty home; its paths begin with the prefix."""
    folders = {
        name: home / name for name in ("notebooks", "config", "data", "runtime", "settings", "workspaces")
    }
    for folder in folders.values():
        folder.mkdir()
    apputils = folders["settings"] / "@jupyterlab" / "apputils-extension"
    apputils.mkdir(parents=True)
    silent = {"fetchNews": "false", "checkForUpdates": False}
    (apputils / "notification.jupyterlab-settings").write_text(json.dumps(silent))
    environment = {
        **os.environ,
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(folders["config"]),
        "JUPYTER_DATA_DIR": str(folders["data"]),
        "JUPYTER_RUNTIME_DIR": str(folders["runtime"]),
        "JUPYTERLAB_SETTINGS_DIR": str(folders["settings"]),
        "JUPYTERLAB_WORKSPACES_DIR": str(folders["workspaces"]),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    token = secrets.token_hex(16)
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": 0,
        "ServerApp.base_url": prefix,
        "ServerApp.open_browser": False,
        "ServerApp.root_dir": folders["notebooks"],
        "ServerApp.allow_root": True,
        "ServerApp.kernel_websocket_connection_class": "eqssl_edu.jupyter.PromptConnection",  # as course.py does
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
        "LabApp.extension_manager": "readonly",
    }
    settings = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "jupyter", "lab", *settings]
    log = home / "server.log"
    with log.open("w") as sink:
        server = subprocess.Popen(command, env=environment, stdout=sink, stderr=subprocess.STDOUT, cwd=home)
    try:
        yield Lab(_wait_for_url(server, folders["runtime"], log), token, folders["notebooks"])
    finally:
        server.terminate()
        try:
            server.wait(10)  # it stops its kernels first
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for_url(server: subprocess.Popen, runtime: Path, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        for description in runtime.glob("jpserver-*.json"):
            text = description.read_text()
            if text.endswith("}"):  # else it is being written
                return json.loads(text)["url"]
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start within {START_SECONDS} s:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def open_notebook(
    chromium, lab: Lab, name: str, cells: list, kernel: str = "python3", view: str = "doc"
) -> Iterator[NotebookPage]:
    """A notebook of these cells, open in a window of its own."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = watch(context, set())
    page = opened.page
    page.goto(lab.write(name, cells, kernel, view), timeout=START_SECONDS * 1000)
    page.wait_for_selector(".jp-CodeCell", timeout=START_SECONDS * 1000)
    # The kernel is there: what is run now, runs at once.
    page.wait_for_function(
        "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
        timeout=START_SECONDS * 1000,
    )
    page.set_default_timeout(RUN_SECONDS * 1000)
    try:
        yield opened
    finally:
        context.close()


@contextlib.contextmanager
def open_file(
    chromium, path: Path, width: int = 1280, height: int = 900, dark: bool = False, **options
) -> Iterator[NotebookPage]:
    """A page that is a file: no server, no kernel."""
    scheme = "dark" if dark else "light"
    options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, **options}
    context = chromium.new_context(**options)
    opened = watch(context, {"file"})
    opened.page.goto(path.as_uri())
    opened.page.wait_for_selector(".eqssl[data-painted]")
    try:
        yield opened
    finally:
        context.close()


def watch(context, schemes: set[str]) -> NotebookPage:
    """A new page of a browser context that writes down errors, and requests to anywhere but this machine."""
    page = context.new_page()
    opened = NotebookPage(page)

    def guard(route):
        address = urlsplit(route.request.url)
        if address.scheme in schemes | {"data", "blob"} or address.hostname == "127.0.0.1":
            route.continue_()
        else:
            opened.external_requests.append(route.request.url)
            route.abort()

    def listen(message):
        if message.type == "error":
            opened.console_errors.append(f"{message.text} {message.location}")

    context.route("**/*", guard)
    page.on("console", listen)
    page.on("pageerror", lambda problem: opened.console_errors.append(str(problem)))
    page.set_default_timeout(15_000)
    return opened
