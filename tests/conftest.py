"""What every test shares: annotations of the library are checked at run time."""

import sys
from pathlib import Path

import pytest
from jaxtyping import config, install_import_hook

sys.path.insert(0, str(Path(__file__).parent))
install_import_hook("eqssl_edu", "typechecker.check")


@pytest.fixture
def as_a_user():
    """Run a test without the annotation checks, as users run the library: its own errors must catch bad input."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
