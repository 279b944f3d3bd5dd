"""Fixtures of the browser tests: a browser, JupyterLab, notebooks and pages that are open."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import lab as environment
import pytest


class Shared(contextlib.ExitStack):
    """What stays open from one file to the next: to start a browser and to open a notebook, which imports torch, takes
    seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: dict[str, object] = {}

    def get(self, name: str, opening: Callable[[], contextlib.AbstractContextManager]):
        """What ``opening()`` enters, at the first time of asking."""
        if name not in self.opened:
            self.opened[name] = self.enter_context(opening())
        return self.opened[name]

    def close(self) -> None:
        super().close()
        self.opened.clear()


SHARED = Shared()


@pytest.hookimpl(trylast=True)  # after the fixtures
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """While playwright runs, its event loop stands in the way of other tests."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        SHARED.close()


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium with no network of its own."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if environment.find_chromium() is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    return SHARED.get("browser", environment.browser)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> environment.Lab:
    """JupyterLab on loopback, on a free port, with a token, in an empty home."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    return SHARED.get("lab", lambda: environment.running_lab(tmp_path_factory.mktemp("lab")))


@pytest.fixture(scope="module")
def notebook(chromium, lab: environment.Lab) -> environment.NotebookPage:
    """One notebook for all tests, with one kernel."""
    return SHARED.get("notebook", lambda: environment.open_notebook(chromium, lab, "notebook.ipynb", [""]))


@pytest.fixture
def open_notebook(notebook) -> Callable[..., environment.NotebookPage]:
    """open_notebook(cells, width=1280, height=900, dark=False) -> NotebookPage."""
    return notebook.show


@pytest.fixture
def open_page(chromium) -> Iterator[Callable[..., environment.NotebookPage]]:
    """open_page(path, width=1280, height=900, dark=False, **context options) -> NotebookPage: a file, no server."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(
            environment.open_file(chromium, *arguments, **options)
        )
