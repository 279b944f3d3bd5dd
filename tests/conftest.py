"""What every test shares: annotations of the library are checked at run time."""

import os
import sys
from pathlib import Path

import eqssl_edu  # noqa: F401 (before torch: it decides how torch's threads wait, for tests as for notebooks)

# isort: split
import pytest
import torch
from jaxtyping import config, install_import_hook

sys.path.insert(0, str(Path(__file__).parent))
from elsewhere import elsewhere, needs_gpu

install_import_hook("eqssl_edu", "typechecker.check")
if not torch.cuda.is_available():  # before Triton's kernels are made: its interpreter runs them
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture
def as_a_user():
    """Run a test without the annotation checks, as users run the library: its own errors must catch bad input."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(params=["pretended", pytest.param("cuda", marks=needs_gpu)])
def device(request):
    """A device that is not the CPU: a pretended one, and a GPU where there is one."""
    if request.param == "cuda":
        with torch.backends.cudnn.flags(allow_tf32=False):  # its convolutions are compared with the CPU's
            yield torch.device("cuda")
    else:
        with elsewhere() as pretended:
            yield pretended
