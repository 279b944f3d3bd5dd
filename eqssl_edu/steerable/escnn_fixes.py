"""escnn, made to work here: imported without what it needs in three dimensions alone, and its modules mended."""

from __future__ import annotations

import contextlib
import copy
import copyreg
import importlib
import sys
import types
import warnings

import torch
from torch import nn

__all__ = ["FixedEscnn", "enn", "escnn", "escnn_route", "gspaces"]

WIGNER = "lie_learn.representations.SO3.wigner_d"


def _no_so3(*_arguments, **_options):
    """Takes the place of lie_learn's ``wigner_D_matrix``."""
    raise NotImplementedError(
        "rotations in three dimensions need lie_learn, which cannot be imported here; eqssl_edu offers the groups of "
        "the plane alone: C_n, D_n, SO(2), O(2)"
    )


def _imports(name: str) -> bool:
    with contextlib.suppress(Exception):  # an extension built for another numpy may raise anything
        return importlib.import_module(name) is not None
    return False


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
        f"eqssl_edu.steerable needs escnn: pip install --no-deps escnn==1.0.11 joblib ({missing})"
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


BasisManager = enn.modules.basismanager.BasisManager  # escnn.nn exports what is made of it, not this class

# escnn's groups and representations are singletons full of local functions, which pickle refuses. They are known by
# a few plain values, so a copy or a pickle needs those alone. (copy.deepcopy asks copyreg as well.)


def _irrep(group, name: tuple):
    return group.irrep(*name)


def _representation(group, name, attributes, *rest):
    known = group.representations.get(name)
    return known or escnn.group.Representation(group, name, *rest, **attributes)


KNOWN_BY = {
    escnn.group.CyclicGroup: lambda group: (escnn.group.cyclic_group, (group.N,)),
    escnn.group.DihedralGroup: lambda group: (escnn.group.dihedral_group, (group.rotation_order,)),
    escnn.group.SO2: lambda group: (escnn.group.so2_group, ()),
    escnn.group.O2: lambda group: (escnn.group.o2_group, ()),
    escnn.group.IrreducibleRepresentation: lambda irrep: (_irrep, (irrep.group, irrep.id)),
    escnn.group.Representation: lambda r: (
        _representation,
        (r.group, r.name, r.attributes, r.irreps, r.change_of_basis, r.supported_nonlinearities),
    ),
    # Its argument ``sg_id`` is kept without a public name; ``rotations_order`` and ``flips_order`` lose the axis.
    gspaces.GSpace2D: lambda space: (gspaces.GSpace2D, (space._sg_id,)),
    # It keeps the hash of a string, which is another one in every process.
    enn.FieldType: lambda fields: (enn.FieldType, (fields.gspace, fields.representations)),
}
for kind, reducer in KNOWN_BY.items():
    copyreg.pickle(kind, reducer)


def _forget_expanded(_layer: nn.Module, state: dict, prefix: str, *_) -> None:
    """A state dict that was saved in eval mode holds the expanded weights too: they follow from the others."""
    for name in ("filter", "expanded_bias", "matrix"):
        state.pop(prefix + name, None)


class FixedEscnn(nn.Module):
    """Holds an escnn module and repairs its four flaws, in place. A state dict of either mode can be loaded.

    1. In eval mode escnn's layers with weights keep an expanded copy of them. It enters the state dict (whose keys
       then depend on the mode), it is part of a graph (which cannot be copied), and it goes stale when weights are
       loaded. Here those layers stay in train mode, in which they expand their weights at every call; they do nothing
       else that depends on the mode.
    2. All layers of the process that have the same basis share one buffer, so ``.double()`` on one network breaks
       the others. Here every module owns its bases.
    3. They could not be pickled (see above).
    4. Its layers with weights have no ``reset_parameters``, as PyTorch's have it.
    """

    def __init__(self, module: enn.EquivariantModule) -> None:
        super().__init__()
        self.module = module
        memo = {}
        for parent in module.modules():
            for name, child in parent.named_children():
                if isinstance(child, BasisManager) and hasattr(child, "sampled_basis"):
                    # The analytic basis behind the samples is never changed: that one may be shared.
                    memo[id(child.basis)] = child.basis
                    setattr(parent, name, copy.deepcopy(child, memo))
            if hasattr(parent, "expand_parameters"):
                parent.register_load_state_dict_pre_hook(_forget_expanded)
        self.train(module.training)

    def train(self, mode: bool = True) -> FixedEscnn:
        super().train(mode)
        for layer in self.module.modules():
            if hasattr(layer, "expand_parameters"):
                layer.train(True)
        return self

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """New random weights for the layers with a basis, as escnn makes them; its norms do that themselves."""
        for layer in self.module.modules():
            if hasattr(layer, "basisexpansion"):
                enn.init.generalized_he_init(layer.weights, layer.basisexpansion)
                if getattr(layer, "bias", None) is not None:
                    layer.bias.zero_()
