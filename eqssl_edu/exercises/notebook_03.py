"""The exercises of notebook 03: the masked error, a blur that is enough, turning maps back, exact angles."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from eqssl_edu.diagnostics import nearest_element, rotation_error, turn_maps
from eqssl_edu.errors import got
from eqssl_edu.exercises.verdict import Wrong, ask, filled_in, need_shape, same
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.rotate import disc_mask, rotate

__all__ = ["exact_angles", "masked_error", "smooth_enough", "stabilised"]


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers in float64, the same every time."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def masked_error(answer: Callable[..., Any]) -> str:
    """A function (f, images, degrees) -> relative error of f(R x) against R f(x) inside the disc."""
    x, kernel = noise(2, 1, 9, 9), noise(3, 1, 3, 3, seed=1)

    def convolution(images: Tensor) -> Tensor:
        return F.conv2d(images, kernel)  # without padding: the maps are smaller than the images

    y = convolution(x)
    mask = disc_mask(y.shape[-1])
    for degrees in (30.0, 90.0, 225.0):
        value = torch.as_tensor(_ask_with_map_size(answer, convolution, x, degrees))
        if value.numel() != 1:
            raise Wrong(
                f"The result has the shape {tuple(value.shape)}.",
                "Give one number for the whole batch: .norm() without arguments takes all axes together.",
            )
        value = value.squeeze()
        wanted = rotation_error(convolution(rotate(x, degrees)), y, degrees)
        if same(value, wanted):
            continue
        y_turned, expected = convolution(rotate(x, degrees)), rotate(y, degrees)
        difference = y_turned - expected
        reason = f"For a random convolution and a turn by {degrees:g} degrees it gave {value:.4f}; it is {wanted:.4f}."
        if same(value, difference.norm() / expected.norm()):
            raise Wrong(reason, "Without the mask the corners count. Multiply both sides by disc_mask(size).")
        if same(value, (difference * mask).norm() / expected.norm()) or same(
            value, (difference * mask).norm() / y.norm()
        ):
            raise Wrong(reason, "The mask has to stand in the denominator as well as in the numerator.")
        if same(value, (difference * mask).norm() / (y * mask).norm()):
            raise Wrong(reason, "Below the line stands R f(x), not f(x).")
        if same(value, ((y_turned - y) * mask).norm() / (y * mask).norm()):
            raise Wrong(reason, "You compared f(R x) with f(x). A turned input should give a turned output.")
        if same(value, (difference * mask).norm()):
            raise Wrong(
                reason, "That is an absolute error; it grows with the weights. Divide by the size of R f(x)."
            )
        raise Wrong(
            reason, "Turn f(x) by the angle, compare it with f of the turned images, and mask both norms."
        )
    return "Right at three angles, on and off the grid."


def _ask_with_map_size(
    answer: Callable[..., Any], f: Callable[[Tensor], Tensor], x: Tensor, degrees: float
) -> Any:
    """What the answer gives; a mask of the wrong size gets its own hint."""
    try:
        return ask(answer, f, x, degrees)
    except RuntimeError as problem:
        sizes = {str(x.shape[-1]), str(f(x).shape[-1])}
        if sizes <= set(re.findall(r"\d+", str(problem))):
            raise Wrong(
                f"The images have {x.shape[-1]} x {x.shape[-1]} pixels, the maps {f(x).shape[-1]} x {f(x).shape[-1]}.",
                "f may change the size: make the mask for f(x), disc_mask(f(x).shape[-1]).",
            ) from problem
        raise


def smooth_enough(answer: Any) -> str:
    """The first position of the slider (tenths of a pixel, steps of 5) with an error below 10 %: 10."""
    if isinstance(answer, bool) or not isinstance(answer, (int, float)):
        raise Wrong(f"The answer must be a number, {got(answer)}.", "It is the number beside the slider.")
    if answer == 10:
        return "One pixel of blur takes the error from more than a quarter to about 6 %."
    if answer in (1, 1.0):
        raise Wrong(f"You said {answer:g}.", "The slider counts tenths of a pixel: one pixel is 10.")
    if answer not in range(0, 31, 5):
        raise Wrong(f"{answer:g} is no position of the slider.", "The slider stops at 0, 5, 10, ..., 30.")
    if answer < 10:
        raise Wrong(
            f"At {answer:g} tenths the error is still above 10 %.",
            "Move on, and read the bold number of the C8 layer.",
        )
    raise Wrong(
        f"At {answer:g} tenths the error is below 10 %, but not for the first time.", "Move the slider back."
    )


def stabilised(answer: Callable[..., Any]) -> str:
    """A function (maps, degrees, group) that turns maps of an image turned by ``degrees`` back."""
    for group, degrees in ((cyclic(4), 90.0), (cyclic(8), 130.0), (dihedral(4), 270.0)):
        maps = noise(2, 3, group.order, 9, 9)
        value = need_shape(
            ask(answer, maps.clone(), degrees, group),
            tuple(maps.shape),
            "image, channel, group element, height and width",
        )
        if same(value, turn_maps(maps, -degrees, group)):
            continue
        reason = f"For {group.name} and {degrees:g} degrees the result is not the maps turned back."
        if same(value, turn_maps(maps, degrees, group)):
            raise Wrong(
                reason, "You turned on instead of back: the angle needs a minus sign, in both places."
            )
        if same(value, rotate(maps, -degrees)):
            raise Wrong(
                reason, "The grid is right. The group axis has not moved: use group.transform_features."
            )
        g = nearest_element(group, degrees)
        if same(value, rotate(_along_group(maps, g, group), -degrees)):
            raise Wrong(
                reason,
                "The grid turns back, but the group axis moves on: use the nearest element of -degrees.",
            )
        if same(value, _along_group(maps, nearest_element(group, -degrees), group)):
            raise Wrong(
                reason, "The group axis is right. The grid has not turned: use rotate(..., -degrees)."
            )
        raise Wrong(
            reason,
            "Move the group axis to the end, act on it by nearest(group, -degrees), move it back, rotate.",
        )
    return "Right for C4, C8 and D4, on the group's angles and between them."


def _along_group(maps: Tensor, g: int, group) -> Tensor:
    return group.transform_features(maps.movedim(2, -1), g).movedim(-1, 2)


EXACT = {
    "C1": (0,),
    "D1": (0,),
    "C2": (0, 180),
    "D2": (0, 180),
    "D4": (0, 90, 180, 270),
    "C8": (0, 90, 180, 270),
}


def exact_angles(answer: Any) -> str:
    """For each group the multiples of 45 degrees at which its network is exact: its rotations that fit the grid."""
    if not isinstance(answer, dict) or set(answer) != set(EXACT):
        raise Wrong(
            f"The answer must be a dictionary with the keys {', '.join(EXACT)}.", "Keep the keys of the stub."
        )
    for name, exact in EXACT.items():
        named = filled_in(answer[name])
        named = {named} if isinstance(named, int) else set(named)
        if not named <= set(range(0, 360, 45)):
            raise Wrong(f"{name}: got {sorted(named)}.", "The angles are 0, 45, 90, ..., 315.")
        if named == set(exact):
            continue
        if 0 not in named:
            raise Wrong(f"{name}: 0 is missing.", "Not to turn at all is an element of every group.")
        extra = sorted(named - set(exact))
        if extra and name == "C8":
            raise Wrong(
                f"C8: at {extra[0]} degrees the error is small, not zero.",
                "The group has that rotation, but the square grid has not: look at the dips of its curve.",
            )
        if extra and name.startswith("D"):
            raise Wrong(
                f"{name}: at {extra[0]} degrees nothing is promised.",
                f"{name} has as many rotations as C{name[1]}. A reflection is not a turn.",
            )
        if extra:
            raise Wrong(
                f"{name}: at {extra[0]} degrees nothing is promised.",
                f"{name} has {name[1]} rotation{'s' if name[1] != '1' else ''}. Which angles are they?",
            )
        raise Wrong(
            f"{name}: {min(set(exact) - named)} degrees is missing.",
            "A rotation in the group that maps the grid to itself is exact.",
        )
    return "The exact angles are the group's own rotations that the grid has too."
