"""ExactnessLab: size, window, stride and padding of a layer by hand; does it commute with a quarter turn?"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from eqssl_edu.errors import typed
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import nearest_sizes
from eqssl_edu.tables import table
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.frozen_page import product_of

__all__ = ["LIMITS", "ExactnessLab", "compute", "measured_error"]

# What the sliders offer: the smallest size holds the largest window.
LIMITS = {"size": (7, 40), "kernel_size": (1, 7), "stride": (1, 4), "padding": (0, 3)}
TOLERANCE = 1e-9  # of a relative error in float64; far above rounding, far below what a wrong setting does


def compute(state: dict[str, int], rule: bool = True) -> dict[str, Any]:
    """What the lab shows in a state.

    Arguments:
        state: see ``ExactnessLab``.
        rule: also give what rule E1 says.

    Returns:
        "side" of the padded square; "starts", the first pixel of each window along one axis; "left_over",
        how many pixels behind the last window are never read; "matched" of "windows": how many windows of the
        upright image are windows again after the turn; "error", measured, and whether it is "exact"; with the
        rule "remainder" and "nearest", the sizes nearest to this one that are exact.
    """
    size, kernel, stride, padding = (state[key] for key in LIMITS)
    side = size + 2 * padding
    starts = list(range(0, side - kernel + 1, stride))
    # A turn sends one axis to its mirror image.
    stays = sum(side - kernel - start in starts for start in starts)
    error = measured_error(size, kernel, stride, padding)
    values = {
        "state": dict(state),
        "side": side,
        "starts": starts,
        "left_over": side - kernel - starts[-1],
        "windows": len(starts) ** 2,
        "matched": stays * len(starts),
        "error": error,
        "exact": error < TOLERANCE,
    }
    if rule:
        values["remainder"] = (side - kernel) % stride
        values["nearest"] = nearest_sizes(size, kernel, stride, padding)
    return values


@table
def measured_error(size: int, kernel_size: int, stride: int, padding: int) -> float:
    """The relative error of a strided lifting convolution with random weights when noise is turned by 90°."""
    group, generator = cyclic(4), torch.Generator().manual_seed(0)
    kernel = torch.randn(1, kernel_size, kernel_size, generator=generator, dtype=torch.float64)
    image = torch.randn(1, size, size, generator=generator, dtype=torch.float64)
    copies = torch.stack([group.transform(kernel, g) for g in group.elements])
    upright, turned = (
        F.conv2d(x, copies, stride=stride, padding=padding) for x in (image, torch.rot90(image, 1, (1, 2)))
    )
    return float((turned - group.transform_maps(upright, 1)).norm() / upright.norm())


class ExactnessLab(Explorer):
    """Size, window, stride and padding by hand: does the layer commute with a quarter turn?

    The picture shows where the windows stand, before and after the turn. The error is measured: a layer with
    random weights runs on noise. The verdict is that measurement; the rule E1 is written beside it.

    The state: ``size`` (7 .. 40 pixels), ``kernel_size`` (1 .. 7), ``stride`` (1 .. 4), ``padding`` (0 .. 3).

    Arguments:
        size, kernel_size, stride, padding: the first setting.
        rule: False hides the rule (the remainder and the nearest sizes), for readers who want to find it.

    Example:
        >>> lab = ExactnessLab(size=16, kernel_size=3, stride=2, padding=1)
        >>> lab.values["exact"], lab.values["nearest"]
        (False, [15, 17])
    """

    _esm, _css = front_end("exactness_lab")

    @typed
    def __init__(
        self, size: int = 16, kernel_size: int = 3, stride: int = 2, padding: int = 1, rule: bool = True
    ) -> None:
        self.rule = rule
        self.choices = {key: range(low, high + 1) for key, (low, high) in LIMITS.items()}
        state = {"size": size, "kernel_size": kernel_size, "stride": stride, "padding": padding}
        super().__init__({"limits": {k: list(v) for k, v in LIMITS.items()}, "rule": rule}, self.check(state))

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What the state looks like, and the sentence that says it."""
        values = compute(state, self.rule)
        setting = "Size {size}, kernel {kernel_size}, stride {stride}, padding {padding}".format(**state)
        verdict = "exact" if values["exact"] else "not exact"
        error = f"{values['error']:.0e} (rounding)" if values["exact"] else f"{100 * values['error']:.0f} %"
        sentence = f"{setting}: {verdict}. Measured error {error}. "
        sentence += f"{values['matched']} of {values['windows']} windows are windows again after the turn."
        if self.rule:
            sentence += f" Remainder {values['remainder']}."
            if not values["exact"]:
                sentence += f" Nearest exact sizes: {' and '.join(map(str, values['nearest']))}."
        return values, sentence

    def frozen_states(self) -> list[dict[str, Any]]:
        """Every setting that the sliders offer."""
        return product_of(**self.choices)
