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


_no_wigner = types.ModuleType(WIGNER)
_no_wigner.wigner_D_matrix = _no_so3
# None says to Python: cannot be imported. escnn knows how to do without py3nj.
_stand_ins = {name: put for name, put in ((WIGNER, _no_wigner), ("py3nj", None)) if not _imports(name)}
sys.modules.update(_stand_ins)
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of py3nj that is not there, and of escapes in escnn's own strings
        import escnn.group
        import escnn.nn as enn
        from escnn import gspaces
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"eqssl_edu.steerable needs escnn: pip install --no-deps escnn==1.0.11 (and scipy and joblib); {missing}"
    ) from missing
finally:
    for name in _stand_ins:
        del sys.modules[name]  # nobody else shall meet them

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
    modules = {"lie_learn": WIGNER, "py3nj": "py3nj"}
    found = [f"{name}: {'a stand-in' if modules[name] in _stand_ins else 'the real one'}" for name in modules]
    rest = "; every group of the plane works, SO(3) does not" if _stand_ins else ""
    return f"escnn {escnn.__version__} ({', '.join(found)}{rest})"
