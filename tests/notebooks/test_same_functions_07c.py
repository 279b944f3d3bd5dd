"""The functions that notebooks 07c and 07d build are the library's, over many groups, and so are their gradients."""

import pytest
from same import assert_same, noise, over_groups

from eqssl_edu.contrastive import orbit_correlation, orbit_similarity
from eqssl_edu.contrastive import orbit_distance as library_distance
from eqssl_edu.diagnostics import pooled_spread
from eqssl_edu.groups import cyclic

SOURCE = "07[cd]_*.py"


@pytest.mark.parametrize("temperature", [0.05, 0.2, 2.0])
@pytest.mark.parametrize("kind", ["mean", "power2", "power3", "soft", "max"])
@over_groups
def test_family(notebook, group, kind, temperature):
    notebook["POWERS"] = {"mean": 1, "power2": 2, "power3": 3}  # the fixture keeps no such line
    assert_same(
        lambda z, w: notebook["similarity"](orbit_correlation(group, z, w), kind, temperature),
        lambda z, w: orbit_similarity(group, z, w, kind, temperature),
        0.3 * noise(4, 3, group.order),
        0.3 * noise(5, 3, group.order, seed=1),
    )


@pytest.mark.parametrize("order", [1, 2, 4, 5, 8])
def test_power_spectrum(notebook, order):
    assert_same(
        notebook["power2_by_spectrum"],
        lambda z, w: orbit_similarity(cyclic(order), z[None], w[None], "power2")[0, 0],
        noise(3, order),
        noise(3, order, seed=1),
    )


@over_groups
def test_orbit_distance(notebook, group):
    assert_same(
        lambda z, w: notebook["orbit_distance"](group, z, w),
        lambda z, w: library_distance(group, z, w),
        noise(4, 3, group.order),
        noise(5, 3, group.order, seed=1),
    )


@over_groups
def test_monitor(notebook, group):
    z = noise(20, 3, group.order)
    assert abs(float(notebook["monitor"](z)) - pooled_spread(group, z)) < 1e-12
