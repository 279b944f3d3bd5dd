"""The exercises of notebooks 03 and 03b: the masked error and its curve, kernels and maps turned by any angle."""

import re
from functools import partial

import torch
import torch.nn.functional as F

from eqssl_edu.diagnostics import nearest_element, rotation_error, turn_maps
from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import (
    ask,
    integers,
    judge,
    keyed,
    need,
    need_shape,
    noise,
    number,
    scalar,
    several,
)
from eqssl_edu.exercises.verdict import Wrong, second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.rotate import disc_mask, rotate

__all__ = [
    "error_curve",
    "exact_angles",
    "masked_error",
    "smooth_enough",
    "stabilised",
    "turned_kernels",
]


@second_hint(
    "Three lines: R f(x) is rotate(f(images), degrees); the mask is made for its last axis; the norm of the masked "
    "difference is divided by the norm of the masked R f(x)."
)
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
            hint = "f may change the size. For which size does the mask have to be made?"
            raise Wrong(reason, hint) from problem
        value = scalar(answered, "The result has the shape {shape}.", hint)
        y_turned, expected = convolution(rotate(x, degrees)), rotate(y, degrees)
        wanted, difference = rotation_error(y_turned, y, degrees), y_turned - expected
        inside, size = (difference * mask).norm(), (y * mask).norm()
        half_masked = [inside / expected.norm(), inside / y.norm()]
        unturned, unmasked = ((y_turned - y) * mask).norm() / size, difference.norm() / expected.norm()
        hints = {
            "This is the error without the mask: the corners count.": unmasked,
            "The mask has to stand in the denominator as well as in the numerator.": half_masked,
            "Below the line stands R f(x), not f(x).": inside / size,
            "You compared f(R x) with f(x). A turned input should give a turned output.": unturned,
            "That is an absolute error; it grows with the weights. Divide by the size of R f(x).": inside,
            "You squared the norms, or forgot a root.": wanted**2,
            "Read the formula from the inside: what is compared, what is masked, what divides?": True,
        }
        reason = f"For a random convolution and a turn by {degrees:g} degrees it gave {value:.4f}; it is {wanted:.4f}."
        judge(value, wanted, reason, hints)
    return "Right at three angles, on and off the grid."


@second_hint(
    "Compute f(images) once. Then a list: for each angle rotation_error of f(rotate(images, angle)) and that, with the "
    "angle and the group."
)
def error_curve(answer: object) -> str:
    """A function (f, images, angles, group) -> the error of the regular maps f(images) at each angle."""
    group, angles = cyclic(4), [0.0, 45.0, 90.0, 200.0]
    x, kernels = noise(2, 1, 9, 9), group.transform_maps(noise(1, 3, 4, 3, 3, seed=1), 1).flatten(1, 2)[0]

    def f(images):  # random kernels, equivariant to nothing
        return F.conv2d(images, kernels[:, None]).unflatten(1, (3, 4))

    said = ask(answer, f, x, angles, group)
    hint = "One number for each angle, and nothing else."
    reason = f"{len(angles)} angles should give a list of {len(angles)} numbers, {got(said)}."
    said = several(said.tolist() if hasattr(said, "tolist") else said, reason, hint)
    need(len(said) == len(angles), reason, hint)
    found = [float(scalar(each, "An entry is no number, {got}.", hint)) for each in said]
    y, piled, again = f(x), [], x
    for angle in angles:
        again = rotate(again, angle)
        piled.append(rotation_error(f(again), y, angle, group))

    def curve(error):
        return torch.tensor([error(f(rotate(x, angle)), angle) for angle in angles])

    wanted = curve(lambda z, angle: rotation_error(z, y, angle, group))
    hints = {
        "The maps have a group axis, and it did not move.": curve(lambda z, a: rotation_error(z, y, a)),
        "f(R x) comes first, f(x) second.": curve(lambda z, a: rotation_error(y, z, a, group)),
        "You turned images that were turned already. Each angle starts from the upright ones.": torch.tensor(
            piled
        ),
        "You compared as if the maps should not turn.": curve(lambda z, a: rotation_error(z, y, 0.0, group)),
        "The images themselves have to turn.": curve(lambda z, a: rotation_error(y, y, a, group)),
        "Take one angle alone. Which two maps are compared, and by how much should they differ?": True,
    }
    judge(found, wanted, f"At the angles {angles} the errors are others.", hints)
    return "Right on and off the grid, and on and off the group."


@second_hint(
    "Among 0, 5, 10, ..., 30 the error falls at each step. Stop at the first that shows less than 5 %."
)
def smooth_enough(answer: object) -> str:
    """The first position of the slider (tenths of a pixel, steps of 5) with an error below 5 %: 10."""
    tenths = number(answer, "The answer must be a number", "It is the number beside the slider.")
    hints = {
        f"You said {tenths:g}.\nThe slider counts tenths of a pixel.": 1,
        f"{tenths:g} is no position of the slider.\nThe slider stops at 0, 5, 10, ..., 30.": tenths
        not in range(0, 31, 5),
        f"At {tenths:g} tenths the error is still above 5 %.\nMove on, and read the bold number.": tenths
        < 10,
        f"At {tenths:g} tenths the error is below 5 %, but not for the first time.\nMove the slider back.": True,
    }
    judge(tenths, 10, "", hints)
    return "One pixel of blur takes the error from more than a tenth to about 3 %."


@second_hint(
    "rotate(kernels, group.degrees(g)) is the copy for g. Make one for each g of group.elements, and stack them along "
    "a new axis that stands second."
)
def turned_kernels(answer: object) -> str:
    """A function (kernels (C, 1, k, k), group) -> (C, |G|, 1, k, k), each copy turned once by its angle."""
    for group in map(cyclic, (4, 8, 6)):
        kernels, degrees = noise(3, 1, 5, 5), [group.degrees(g) for g in group.elements]

        def copies(angles, kernels=kernels):
            return torch.stack([rotate(kernels, angle) for angle in angles], dim=1)

        again = [kernels]
        for _ in degrees[1:]:
            again.append(rotate(again[-1], degrees[1]))
        hints = {
            "You turned copies that were turned already. Turn the upright kernel, once.": torch.stack(
                again, dim=1
            ),
            "The copies turn clockwise.": copies([-angle for angle in degrees]),
            f"Element g of {group.name} does not turn by 45 g degrees.": copies(
                [45.0 * g for g in group.elements]
            ),
            "All copies are upright: nothing depends on g.": copies([0.0] * group.order),
            "Take g = 1 alone. What should stand at index 1 of the second axis?": True,
        }
        axes = "channel, group element, 1, height and width of the kernel"
        reason = f"For {group.name} the copies are others."
        judge(ask(answer, kernels, group), copies(degrees), reason, hints, axes)
    return "Right for C4, C8 and C6."


@second_hint(
    "Move the group axis to the end (movedim), act on it with nearest(group, -degrees), move it back, and rotate the "
    "result by -degrees."
)
def stabilised(answer: object) -> str:
    """A function (maps, degrees, group) that turns maps of an image turned by ``degrees`` back."""
    for group, degrees in ((cyclic(4), 90.0), (cyclic(8), 130.0), (dihedral(4), 250.0)):
        maps = noise(2, 3, group.order, 9, 9)
        forth, grid = turn_maps(group, maps, degrees), rotate(maps, -degrees)
        features = maps.movedim(2, -1)
        axis_on = group.transform_features(features, nearest_element(group, degrees)).movedim(-1, 2)
        axis_back = group.transform_features(features, nearest_element(group, -degrees)).movedim(-1, 2)
        mixed, on = rotate(axis_on, -degrees), rotate(axis_back, degrees)
        hints = {
            "You turned on instead of back: the angle needs a minus sign, in both places.": forth,
            "The grid is right. The group axis has not moved.": grid,
            "The grid turns back, but the group axis moves on.": mixed,
            "The group axis moves back, but the grid turns on.": on,
            "The group axis is right. The grid has not turned.": axis_back,
            "Nothing has moved.": maps,
            "Two things have to be undone: the turn of the grid, and the move along the group axis.": True,
        }
        said = ask(answer, maps, degrees, group)
        lost = "The maps keep their shape. If you moved the group axis to the end, it has to come back."
        shape = getattr(said, "shape", None)
        need(
            shape is None or shape == maps.shape,
            f"Maps {tuple(maps.shape)} became {tuple(shape or ())}.",
            lost,
        )
        axes = "image, channel, group element, height and width"
        reason = f"For {group.name} and {degrees:g} degrees the result is not the maps turned back."
        judge(need_shape(said, maps.shape, axes), turn_maps(group, maps, -degrees), reason, hints)
    return "Right for C4, C8 and D4, on the group's angles and between them."


@second_hint(
    "Two conditions: the angle is one of the group's own rotations, and it maps a square grid to itself."
)
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
            reason = f"C8: at {extra[0]} degrees the error is not zero."
            hint = "The group has that rotation. Has the square grid?"
        elif name.startswith("D"):
            hint = f"{name} has as many rotations as C{name[1]}. A reflection is not a turn."
        need(not extra, reason, hint)
        reason = f"{name}: {min(missing, default=0)} degrees is missing."
        need(not missing, reason, "A rotation in the group that maps the grid to itself is exact.")
    return "The exact angles are the group's own rotations that the grid has too."
