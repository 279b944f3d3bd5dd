"""Numbers that tell whether a network does what its group promises, and whether its features have collapsed."""

from eqssl_edu.diagnostics.action_table import ActionErrors, LearnedAction
from eqssl_edu.diagnostics.collapse import orbit_collapse, orbit_spread, pooled_spread, rank_me, spread
from eqssl_edu.diagnostics.equivariance import equivariance_error, rotation_error
from eqssl_edu.diagnostics.frequencies import FrequencyErrors, equivariance_by_frequency
from eqssl_edu.diagnostics.geometry import alignment, matched_temperature, uniformity
from eqssl_edu.diagnostics.group_axis import GroupAxis
from eqssl_edu.diagnostics.irreps import irrep_energy, irrep_projectors
from eqssl_edu.diagnostics.learned_action import learned_action
from eqssl_edu.diagnostics.orders import find_order
from eqssl_edu.diagnostics.report import equivariance_report
from eqssl_edu.diagnostics.turning import nearest_element, turn_features, turn_maps
from eqssl_edu.diagnostics.untrained import untrained_copy

__all__ = [
    "ActionErrors",
    "FrequencyErrors",
    "GroupAxis",
    "LearnedAction",
    "alignment",
    "equivariance_by_frequency",
    "equivariance_error",
    "equivariance_report",
    "find_order",
    "irrep_energy",
    "irrep_projectors",
    "learned_action",
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
    "untrained_copy",
]
