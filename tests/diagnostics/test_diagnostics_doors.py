"""What the doors of the diagnostics refuse, naming the argument."""

import pytest
import torch

from eqssl_edu.diagnostics import (
    alignment,
    equivariance_error,
    irrep_energy,
    matched_temperature,
    nearest_element,
    orbit_collapse,
    orbit_spread,
    pooled_spread,
    rank_me,
    rotation_error,
    turn_features,
    turn_maps,
    uniformity,
)
from eqssl_edu.groups import cyclic

Z = torch.randn(3, 2, 4)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("z", lambda: orbit_collapse(cyclic(4), torch.randn(5, 3))),
        (r"len\(z\)", lambda: orbit_collapse(cyclic(4), Z[:1])),
        ("z", lambda: orbit_spread(cyclic(4), torch.randn(5, 3, 8))),
        ("group", lambda: pooled_spread("C4", Z)),
        ("z", lambda: rank_me(torch.randn(5))),
        ("z", lambda: rank_me([1.0])),
        ("z2", lambda: alignment(cyclic(4), Z, Z[:2])),
        (r"len\(z\)", lambda: uniformity(cyclic(4), Z[:1])),
        ("kind", lambda: matched_temperature(cyclic(4), Z, "best")),
        ("temperature", lambda: matched_temperature(cyclic(4), Z, "max", -1)),
        ("group", lambda: irrep_energy(4, Z)),
        ("z", lambda: irrep_energy(cyclic(4), torch.randn(4))),
        (r"len\(z\)", lambda: irrep_energy(cyclic(4), Z[:0])),
        ("group", lambda: equivariance_error(abs, Z)),
        ("model", lambda: equivariance_error(lambda x: 0 * x, Z, cyclic(4), cyclic(4).transform_features)),
        ("maps", lambda: rotation_error(torch.randn(1, 2, 8, 8), torch.randn(1, 2, 9, 9), 90)),
        ("maps", lambda: rotation_error(torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 9, 9), 90)),
        ("margin", lambda: rotation_error(torch.ones(1, 1, 9, 9), torch.ones(1, 1, 9, 9), 90, margin=5)),
        ("maps", lambda: turn_maps(None, torch.randn(1, 2, 8, 9), 90)),
        ("maps", lambda: turn_maps(cyclic(4), torch.randn(1, 4, 9, 9), 90)),
        ("z", lambda: turn_features(cyclic(4), torch.randn(2, 5), 90)),
        ("degrees", lambda: turn_features(cyclic(4), Z, "90")),
        ("group", lambda: nearest_element("C4", 90)),
        ("degrees", lambda: nearest_element(cyclic(4), float("nan"))),
    ],
)
def test_malformed_input_is_named(as_a_user, argument, call):
    with pytest.raises((TypeError, ValueError), match=f"^{argument} must"):
        call()
