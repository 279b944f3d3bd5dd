"""Fixtures of the browser tests: a browser, JupyterLab, notebooks and pages that are open."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import lab as environment
import pytest


@pytest.fixture(scope="module")  # while playwright runs, its event loop stands in the way of other tests
def chromium():
    """A headless Chromium with no network of its own."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if environment.find_chromium() is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    with environment.browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[environment.Lab]:
    """JupyterLab on loopback, on a free port, with a token, in an empty home."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    with environment.running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def notebook(chromium, lab: environment.Lab) -> Iterator[environment.NotebookPage]:
    """One notebook for all tests of a file, with one kernel for all files: to open and to import takes seconds."""
    with environment.open_notebook(chromium, lab, "notebook.ipynb", [""]) as opened:
        yield opened
        opened.show([])  # or the page of the next file would restore the explorers of this one


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
