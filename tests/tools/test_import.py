"""The library stays light: what is only needed somewhere is only imported there."""

import subprocess
import sys
from pathlib import Path

import pytest

LIGHT = [
    "errors",
    "layers.weight_copies",
    "layers.convolutions",
    "groups",
    "gsets",
    "permutations",
    "layers.mlp",
    "rotate",
    "tables",
    "theory",
    "layers",
    "layers.exactness",
    "encoders",
    "diagnostics",
    "data",
    "views",
]
LIGHT += ["pretext", "contrastive"]
HEAVY = [
    "escnn",
    "sklearn",
    "plotly",
    "jupyterlab",
    "ipywidgets",
    "IPython",
    "lightning",
    "anywidget",
    "matplotlib",
]


def loaded_after(statement):
    """The top-level modules that a fresh Python has loaded after a statement."""
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_the_package_alone_imports_nothing():
    loaded = loaded_after("import eqssl_edu")
    assert "eqssl_edu" in loaded
    assert not loaded.intersection([*HEAVY, "torch", "jaxtyping"])


def test_the_light_modules_import_nothing_heavy():
    loaded = loaded_after("; ".join(f"import eqssl_edu.{name}" for name in LIGHT))
    assert "torch" in loaded
    assert not loaded.intersection(HEAVY)


def test_a_heavy_import_would_be_seen():
    """The must-fail twin."""
    assert "sklearn" in loaded_after("import eqssl_edu.evaluation")


@pytest.mark.parametrize("name", LIGHT)
def test_public_names_exist(name):
    module = __import__(f"eqssl_edu.{name}", fromlist=["__all__"])
    assert all(hasattr(module, public) for public in module.__all__)


def test_names_of_the_design():
    """The contract of names that notebooks rely on, as far as the mathematical core goes."""
    from eqssl_edu.diagnostics import equivariance_error  # noqa: F401
    from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder  # noqa: F401
    from eqssl_edu.groups import FiniteGroup, cyclic, dihedral  # noqa: F401
    from eqssl_edu.gsets import GSet
    from eqssl_edu.layers import (  # noqa: F401
        GroupBatchNorm2d,
        GroupConv2d,
        GroupPool,
        GSetHead,
        LiftingConv2d,
        exactness_violations,
    )

    for name in ("regular", "trivial", "quotient", "grid", "neighbours", "jigsaw"):
        assert callable(getattr(GSet, name))
