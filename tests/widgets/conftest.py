"""What the tests of the explorers share: errors in handlers are raised, unless a test wants to see what a user sees."""

import pytest

from eqssl_edu.widgets.shared import base


@pytest.fixture(autouse=True)
def loud(monkeypatch):
    monkeypatch.setattr(base, "RAISE_ERRORS", True)


@pytest.fixture
def quiet(monkeypatch, loud):
    """Errors in handlers are shown only, as for a user."""
    monkeypatch.setattr(base, "RAISE_ERRORS", False)
