"""The import of escnn, with stand-ins for what it needs in three dimensions alone."""

from __future__ import annotations

import importlib
import sys
import types
import warnings

__all__ = ["enn", "escnn", "escnn_route", "gspaces"]

WIGNER = "lie_learn.representations.SO3.wigner_d"


def _no_so3(*_arguments, **_options):
    """Takes the place of lie_learn's ``wigner_D_matrix``."""
    raise NotImplementedError(
        "rotations in three dimensions need lie_learn, which cannot be imported here; eqssl_edu offers the groups of "
        "the plane alone: C_n, D_n, SO(2), O(2)"
    )


def _imports(name: str) -> bool:
    # An extension built for another numpy may raise anything, not ImportError alone.
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True


def _import_escnn() -> tuple[bool, bool]:
    """Import escnn with what is there; returns whether lie_learn and py3nj are the real ones."""
    real = _imports(WIGNER), _imports("py3nj")
    stand_ins = {}
    if not real[0]:
        stand_ins[WIGNER] = types.ModuleType(WIGNER)
        stand_ins[WIGNER].wigner_D_matrix = _no_so3
    if not real[1]:
        stand_ins["py3nj"] = None  # to Python: cannot be imported. escnn knows how to do without it
    sys.modules.update(stand_ins)
    try:
        with warnings.catch_warnings():
            # of py3nj that is not there, and of escapes in escnn's own strings
            warnings.simplefilter("ignore")
            import escnn.nn  # noqa: F401
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"eqssl_edu.steerable needs escnn: pip install --no-deps escnn==1.0.11 (and scipy and joblib); {missing}"
        ) from missing
    finally:
        for name in stand_ins:
            del sys.modules[name]  # nobody else shall meet them
    return real


_real = _import_escnn()

import escnn.group  # noqa: E402
import escnn.nn as enn  # noqa: E402
from escnn import gspaces  # noqa: E402

# escnn computes the Clebsch-Gordan coefficients of D_n and O(2) with scikit-learn's randomized_svd where it finds
# that, and scikit-learn refuses the np.matrix that it hands over. Its other way, scipy's exact SVD, is taken instead.
# No public name chooses between the two.
escnn.group._numerical.randomized_svd = None


def escnn_route() -> str:
    """How escnn was imported, in words.

    Example:
        >>> escnn_route().startswith("escnn")
        True
    """
    names = zip(("lie_learn", "py3nj"), _real, strict=True)
    found = ", ".join(f"{name}: {'the real one' if real else 'a stand-in'}" for name, real in names)
    rest = "" if all(_real) else "; every group of the plane works, SO(3) does not"
    return f"escnn {escnn.__version__} ({found}{rest})"
