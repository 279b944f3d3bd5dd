"""ExactnessLab without a screen: the measurement, the rule and the picture agree."""

import pytest
import torch

from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import LiftingConv2d, is_exact, nearest_sizes
from eqssl_edu.widgets import ExactnessLab
from eqssl_edu.widgets.exactness_lab import LIMITS, TOLERANCE, compute, measured_error

START = {"size": 16, "kernel_size": 3, "stride": 2, "padding": 1}


def some_settings():
    """Every kernel, stride and padding, with sizes that take every remainder."""
    kernels, strides, paddings = (range(low, high + 1) for low, high in list(LIMITS.values())[1:])
    cases = [(k, s, p) for k in kernels for s in strides for p in paddings]
    return [(size, *cases[i]) for i in range(len(cases)) for size in (7 + i % 5, 12 + i % 7)]


def test_measurement_rule_and_picture_agree():
    verdicts = set()
    for setting in some_settings():
        values = compute(dict(zip(LIMITS, setting, strict=True)))
        assert values["exact"] == is_exact(*setting) == (values["remainder"] == 0), setting
        assert values["exact"] == (values["matched"] == values["windows"]), setting
        assert values["exact"] == (values["left_over"] == 0)
        assert values["error"] < 1e-12 or values["error"] > 1e-2  # nothing in between
        verdicts.add(values["exact"])
    assert verdicts == {True, False}


@pytest.mark.parametrize("setting", [(16, 3, 2, 1), (15, 3, 2, 1), (16, 2, 2, 0), (10, 5, 3, 2)])
def test_the_error_is_that_of_a_lifting_layer(setting):
    """Other weights, the same verdict; and both errors are of the same size."""
    size, kernel, stride, padding = setting
    torch.manual_seed(0)
    layer = LiftingConv2d(cyclic(4), 1, 1, kernel, stride, padding).double()
    image = torch.randn(1, 1, size, size, dtype=torch.float64)
    error = equivariance_error(layer, image, cyclic(4), transform_outputs=cyclic(4).transform_maps)[1]
    assert (error < TOLERANCE) == (measured_error(*setting) < TOLERANCE)
    assert error < 1e-12 or 0.3 < error / measured_error(*setting) < 3


def test_nearest_sizes_are_exact_and_no_nearer_one_is():
    for size, *rest in some_settings()[::3]:
        sizes = nearest_sizes(size, *rest)
        lowest = max(1, rest[0] - 2 * rest[2])
        exact = [other for other in range(lowest, 60) if is_exact(other, *rest)]
        below = [other for other in exact if other <= size][-1:]
        above = [other for other in exact if other >= size][:1]
        assert sizes == sorted({*below, *above})


def test_windows_stand_where_torch_puts_them():
    values = compute({"size": 10, "kernel_size": 3, "stride": 3, "padding": 1})
    assert (values["side"], values["starts"], values["left_over"]) == (12, [0, 3, 6, 9], 0)
    values = compute({"size": 11, "kernel_size": 3, "stride": 3, "padding": 1})
    assert (values["starts"], values["left_over"], values["matched"]) == ([0, 3, 6, 9], 1, 0)


def test_readout_says_the_verdict_and_the_rule():
    lab = ExactnessLab()
    assert lab.readout.startswith("Size 16, kernel 3, stride 2, padding 1: not exact. Measured error 122 %. ")
    assert lab.readout.endswith("Remainder 1. Nearest exact sizes: 15 and 17.")
    lab.set_state(size=17)
    assert ": exact. Measured error " in lab.readout and "e-16 (rounding). " in lab.readout
    assert lab.readout.endswith("Remainder 0.")


def test_the_rule_can_be_hidden():
    lab = ExactnessLab(rule=False)
    assert not {"remainder", "nearest"} & lab.values.keys()
    assert "Remainder" not in lab.readout and "Nearest" not in lab.readout
    assert lab.values["exact"] is False
    assert lab.facts["rule"] is False


def test_the_random_numbers_of_the_user_are_left_alone():
    before = torch.get_rng_state()
    ExactnessLab().set_state(size=12)
    assert torch.equal(torch.get_rng_state(), before)
