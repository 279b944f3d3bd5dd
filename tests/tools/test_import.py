"""The library stays light: what is only needed somewhere is only imported there."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from eqssl_edu.gsets import GSet

LIGHT = "errors tables groups gsets layers encoders theory pretext contrastive data views diagnostics"
# The names that notebooks and other people's code rely on.
DESIGN = {
    "groups": "cyclic dihedral FiniteGroup",
    "gsets": "GSet",
    "layers": "LiftingConv2d GroupConv2d GroupBatchNorm2d GroupPool GSetHead exactness_violations",
    "encoders": "GroupCNN GroupResNet SymmetrizedEncoder",
    "pretext": "RotationTask RelativeLocationTask JigsawTask PretextModel",
    "contrastive": "orbit_correlation orbit_similarity InfoNCE SimSiam BYOL MoCo VICReg BarlowTwins",
    "theory": "inconsistency_floor",
    "diagnostics": "equivariance_error orbit_collapse rank_me irrep_energy",
    "evaluation": "linear_probe knn_probe",
    "data": "digits glyphs load_images",
    "training": "Pretrainer",
    "widgets": "FieldExplorer OrbitExplorer KernelExplorer ExactnessLab LabelActionExplorer EmbeddingExplorer ByHand",
    "exercises": "check",
}
ROOT = Path(__file__).parents[2]
HEAVY = "escnn sklearn plotly jupyterlab ipywidgets IPython lightning_fabric anywidget matplotlib"


def loaded_after(statement):
    """The top-level modules that a fresh Python has loaded after a statement."""
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_the_package_alone_imports_nothing():
    loaded = loaded_after("import eqssl_edu")
    assert "eqssl_edu" in loaded
    assert not loaded.intersection([*HEAVY.split(), "torch", "jaxtyping"])


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [("OMP_WAIT_POLICY", "PASSIVE", "ACTIVE"), ("OPENBLAS_THREAD_TIMEOUT", "4", "26")],
)
def test_the_library_decides_how_threads_wait_unless_the_environment_does(monkeypatch, name, ours, theirs):
    shown = f"import os, eqssl_edu; print(os.environ['{name}'])"
    monkeypatch.delenv(name, raising=False)
    for wanted in (ours, theirs):
        said = subprocess.run(
            [sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert said.stdout.split() == [wanted]
        monkeypatch.setenv(name, theirs)


def imported_first(tree):
    """The top-level packages that a module imports, in their order."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            yield from (name.split(".")[0] for name in names)


@pytest.mark.parametrize(
    "source", sorted((ROOT / "notebooks/source").glob("*.py")), ids=lambda path: path.stem
)
def test_a_notebook_imports_the_library_before_torch(source):
    names = list(imported_first(ast.parse(source.read_text(encoding="utf-8"))))
    assert names.index("eqssl_edu") < names.index("torch")


def test_the_light_modules_import_nothing_heavy():
    loaded = loaded_after("; ".join(f"import eqssl_edu.{name}" for name in LIGHT.split()))
    assert "torch" in loaded
    assert not loaded.intersection(HEAVY.split())


def test_a_heavy_import_would_be_seen():
    assert "plotly" in loaded_after("import eqssl_edu, plotly")


@pytest.mark.parametrize("room", DESIGN)
def test_names_of_the_design_and_all_that_are_public_exist(room):
    module = importlib.import_module(f"eqssl_edu.{room}")
    assert [name for name in [*DESIGN[room].split(), *module.__all__] if not hasattr(module, name)] == []


def test_the_kinds_of_gsets_exist():
    for name in ("regular", "trivial", "quotient", "grid", "neighbours", "jigsaw"):
        assert callable(getattr(GSet, name))
