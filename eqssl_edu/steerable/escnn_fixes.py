"""escnn modules that can be copied, pickled, cast and loaded in train and in eval mode."""

from __future__ import annotations

import copy
import copyreg

from torch import nn

from eqssl_edu.steerable.escnn_import import enn, escnn, gspaces

__all__ = ["FixedEscnn"]

BasisManager = enn.modules.basismanager.BasisManager  # escnn.nn exports its children, and not this class

# escnn's groups and representations are singletons full of local functions, which pickle refuses. They are known by
# a few plain values, so a copy or a pickle needs those alone. (copy.deepcopy asks copyreg as well.)


def _irrep(group, name: tuple):
    return group.irrep(*name)


def _representation(group, name, attributes, *rest):
    known = group.representations.get(name)
    return known or escnn.group.Representation(group, name, *rest, **attributes)


def _parts_of_representation(r: escnn.group.Representation) -> tuple:
    return r.group, r.name, r.attributes, r.irreps, r.change_of_basis, r.supported_nonlinearities


KNOWN_BY = {
    escnn.group.CyclicGroup: lambda group: (escnn.group.cyclic_group, (group.N,)),
    escnn.group.DihedralGroup: lambda group: (escnn.group.dihedral_group, (group.rotation_order,)),
    escnn.group.SO2: lambda group: (escnn.group.so2_group, ()),
    escnn.group.O2: lambda group: (escnn.group.o2_group, ()),
    escnn.group.IrreducibleRepresentation: lambda irrep: (_irrep, (irrep.group, irrep.id)),
    escnn.group.Representation: lambda r: (_representation, _parts_of_representation(r)),
    # Its argument ``sg_id`` is kept without a public name; ``rotations_order`` and ``flips_order`` lose the axis.
    gspaces.GSpace2D: lambda space: (gspaces.GSpace2D, (space._sg_id,)),
    # It keeps the hash of a string, which is another one in every process.
    enn.FieldType: lambda fields: (enn.FieldType, (fields.gspace, fields.representations)),
}
for kind, reducer in KNOWN_BY.items():
    copyreg.pickle(kind, reducer)


class FixedEscnn(nn.Module):
    """Holds an escnn module and repairs its three flaws, in place.

    1. In eval mode escnn's layers with weights keep an expanded copy of them. It enters the state dict (whose keys
       then depend on the mode), it is part of a graph (which cannot be copied), and it goes stale when weights are
       loaded. Here those layers stay in train mode, in which they expand their weights at every call; they do nothing
       else that depends on the mode.
    2. All layers of the process that have the same basis share one buffer, so ``.double()`` on one network breaks
       the others. Here every module owns its bases.
    3. They could not be pickled (see above).
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
        self.train(module.training)

    def train(self, mode: bool = True) -> FixedEscnn:
        super().train(mode)
        for layer in self.module.modules():
            if hasattr(layer, "expand_parameters"):
                layer.train(True)
        return self
