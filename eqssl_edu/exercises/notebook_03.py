"""The exercises of notebook 03: the masked error, a blur that is enough, turning maps back, exact angles."""

import re
from functools import partial

import torch.nn.functional as F

from eqssl_edu.diagnostics import nearest_element, rotation_error, turn_maps
from eqssl_edu.exercises.judging import ask, integers, judge, keyed, need, noise, number, scalar
from eqssl_edu.exercises.verdict import Wrong
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.rotate import disc_mask, rotate

__all__ = ["exact_angles", "masked_error", "smooth_enough", "stabilised"]


def masked_error(answer: object) -> str:
    """A function (f, images, degrees) -> relative error of f(R x) against R f(x) inside the disc."""
    x, kernel = noise(2, 1, 9, 9), noise(3, 1, 3, 3, seed=1)
    convolution = partial(F.conv2d, weight=kernel)  # without padding: the maps are smaller than the images
    y = convolution(x)
    mask = disc_mask(y.shape[-1])
    for degrees in (30.0, 90.0, 225.0):
        hint = "Give one number for the whole batch: .norm() without arguments takes all axes together."
        try:
            answered = ask(answer, convolution, x, degrees)
        except RuntimeError as problem:  # about a mask of the wrong size?
            if not {"7", "9"} <= set(re.findall(r"\d+", str(problem))):
                raise
            reason = "The images have 9 x 9 pixels, the maps 7 x 7."
            hint = "f may change the size: make the mask for f(x), disc_mask(f(x).shape[-1])."
            raise Wrong(reason, hint) from problem
        value = scalar(answered, "The result has the shape {shape}.", hint)
        y_turned, expected = convolution(rotate(x, degrees)), rotate(y, degrees)
        wanted, difference = rotation_error(y_turned, y, degrees), y_turned - expected
        inside, size = (difference * mask).norm(), (y * mask).norm()
        half_masked = [inside / expected.norm(), inside / y.norm()]
        unturned, unmasked = ((y_turned - y) * mask).norm() / size, difference.norm() / expected.norm()
        hints = {
            "Without the mask the corners count. Multiply both sides by disc_mask(size).": unmasked,
            "The mask has to stand in the denominator as well as in the numerator.": half_masked,
            "Below the line stands R f(x), not f(x).": inside / size,
            "You compared f(R x) with f(x). A turned input should give a turned output.": unturned,
            "That is an absolute error; it grows with the weights. Divide by the size of R f(x).": inside,
            "Turn f(x) by the angle, compare it with f of the turned images, and mask both norms.": True,
        }
        reason = f"For a random convolution and a turn by {degrees:g} degrees it gave {value:.4f}; it is {wanted:.4f}."
        judge(value, wanted, reason, hints)
    return "Right at three angles, on and off the grid."


def smooth_enough(answer: object) -> str:
    """The first position of the slider (tenths of a pixel, steps of 5) with an error below 10 %: 10."""
    tenths = number(answer, "The answer must be a number", "It is the number beside the slider.")
    hints = {
        f"You said {tenths:g}.\nThe slider counts tenths of a pixel: one pixel is 10.": 1,
        f"{tenths:g} is no position of the slider.\nThe slider stops at 0, 5, 10, ..., 30.": tenths
        not in range(0, 31, 5),
        f"At {tenths:g} tenths the error is still above 10 %.\n"
        "Move on, and read the bold number of the C8 layer.": tenths < 10,
        f"At {tenths:g} tenths the error is below 10 %, but not for the first time.\nMove the slider back.": True,
    }
    judge(tenths, 10, "", hints)
    return "One pixel of blur takes the error from more than a quarter to about 6 %."


def stabilised(answer: object) -> str:
    """A function (maps, degrees, group) that turns maps of an image turned by ``degrees`` back."""
    for group, degrees in ((cyclic(4), 90.0), (cyclic(8), 130.0), (dihedral(4), 270.0)):
        maps = noise(2, 3, group.order, 9, 9)
        forth, grid = turn_maps(group, maps, degrees), rotate(maps, -degrees)
        features = maps.movedim(2, -1)
        axis_on = group.transform_features(features, nearest_element(group, degrees)).movedim(-1, 2)
        axis_back = group.transform_features(features, nearest_element(group, -degrees)).movedim(-1, 2)
        mixed = rotate(axis_on, -degrees)
        hints = {
            "You turned on instead of back: the angle needs a minus sign, in both places.": forth,
            "The grid is right. The group axis has not moved: use group.transform_features.": grid,
            "The grid turns back, but the group axis moves on: use the nearest element of -degrees.": mixed,
            "The group axis is right. The grid has not turned: use rotate(..., -degrees).": axis_back,
            "Move the group axis to the end, act on it by nearest(group, -degrees), move it back, rotate.": True,
        }
        reason = f"For {group.name} and {degrees:g} degrees the result is not the maps turned back."
        axes = "image, channel, group element, height and width"
        judge(ask(answer, maps, degrees, group), turn_maps(group, maps, -degrees), reason, hints, axes)
    return "Right for C4, C8 and D4, on the group's angles and between them."


def exact_angles(answer: object) -> str:
    """For each group the multiples of 45 degrees at which its network is exact: its rotations that fit the grid."""
    half, quarters = (0, 180), (0, 90, 180, 270)
    fitting = {"C1": (0,), "D1": (0,), "C2": half, "D2": half, "D4": quarters, "C8": quarters}
    for name, said in keyed(answer, fitting, f"with the keys {', '.join(fitting)}").items():
        hint = "The angles are 0, 45, 90, ..., 315."
        named = set(integers(said, range(0, 360, 45), f"{name}: got {said}.", hint))
        extra, missing = sorted(named - set(fitting[name])), sorted(set(fitting[name]) - named)
        need(0 in named, f"{name}: 0 is missing.", "Not to turn at all is an element of every group.")
        reason = f"{name}: at {extra[0]} degrees nothing is promised." if extra else ""
        hint = f"{name} has {name[1]} rotation{'s' if name[1] != '1' else ''}. Which angles are they?"
        if extra and name == "C8":
            reason = f"C8: at {extra[0]} degrees the error is small, not zero."
            hint = "The group has that rotation, but the square grid has not: look at the dips of its curve."
        elif name.startswith("D"):
            hint = f"{name} has as many rotations as C{name[1]}. A reflection is not a turn."
        need(not extra, reason, hint)
        reason = f"{name}: {min(missing, default=0)} degrees is missing."
        need(not missing, reason, "A rotation in the group that maps the grid to itself is exact.")
    return "The exact angles are the group's own rotations that the grid has too."
