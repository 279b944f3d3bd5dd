"""Numbers that tell whether a network does what its group promises, and whether its features have collapsed."""

from eqssl_edu.diagnostics.collapse import orbit_collapse, orbit_spread, pooled_spread, rank_me, spread
from eqssl_edu.diagnostics.equivariance import equivariance_error, rotation_error
from eqssl_edu.diagnostics.geometry import alignment, matched_temperature, uniformity
from eqssl_edu.diagnostics.group_axis import GroupAxis
from eqssl_edu.diagnostics.irreps import irrep_energy, irrep_projectors
from eqssl_edu.diagnostics.orders import find_order
from eqssl_edu.diagnostics.report import equivariance_report
from eqssl_edu.diagnostics.turning import nearest_element, turn_features, turn_maps

__all__ = [
    "GroupAxis",
    "alignment",
    "equivariance_error",
    "equivariance_report",
    "find_order",
    "irrep_energy",
    "irrep_projectors",
    "matched_temperature",
    "nearest_element",
    "orbit_collapse",
    "orbit_spread",
    "pooled_spread",
    "rank_me",
    "rotation_error",
    "spread",
    "turn_features",
    "turn_maps",
    "uniformity",
]
