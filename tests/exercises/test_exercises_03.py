"""The checks of notebooks 03 and 03b."""

import numpy as np
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.diagnostics import nearest_element, rotation_error, turn_maps
from eqssl_edu.groups import cyclic
from eqssl_edu.rotate import disc_mask, rotate


def error(formula):
    """A function with the signature of 03.masked_error; the formula takes f(x), f(R x), R f(x) and the mask."""

    def answer(f, x, degrees):
        return formula(f(x), f(rotate(x, degrees)), rotate(f(x), degrees), disc_mask(f(x).shape[-1]))

    return answer


def mask_of_the_images(f, x, degrees):
    return disc_mask(x.shape[-1]) * f(x)


def inside_alone(f, x, degrees):
    """Right: the pixels of the disc, picked out."""
    expected = rotate(f(x), degrees)
    mask = disc_mask(expected.shape[-1])
    difference = (f(rotate(x, degrees)) - expected)[..., mask]
    return float(difference.square().sum().sqrt() / expected[..., mask].square().sum().sqrt())


def curve(entry, gather=list):
    """A function with the signature of 03.error_curve; ``entry`` takes f(R x), f(x), the angle and the group."""

    def answer(f, x, angles, group):
        return gather(entry(f(rotate(x, a)), f(x), a, group) for a in angles)

    return answer


def turned_again(f, x, angles, group):
    upright, errors = f(x), []
    for angle in angles:
        x = rotate(x, angle)
        errors.append(rotation_error(f(x), upright, angle, group))
    return errors


def curve_without_the_library(f, x, angles, group):
    """Right: with turn_maps and a mask."""
    errors = []
    for angle in angles:
        expected = turn_maps(group, f(x), angle)
        mask = disc_mask(expected.shape[-1])
        errors.append(((f(rotate(x, angle)) - expected) * mask).norm() / (expected * mask).norm())
    return torch.stack(errors)


def copies(angle, dim=1):
    """A function with the signature of 03.turned_kernels; the angle is a function of the group and g."""
    return lambda kernels, group: torch.stack([rotate(kernels, angle(group, g)) for g in group.elements], dim)


def filled(kernels, group):
    """Right: an empty tensor, filled copy by copy; each sample of a batch of copies has its own angle."""
    many = kernels[:, None].repeat(1, group.order, 1, 1, 1)
    angles = torch.tensor([group.degrees(g) for g in group.elements]).repeat(len(kernels))
    return rotate(many.flatten(0, 1), angles).unflatten(0, many.shape[:2])


def copies_of_copies(kernels, group):
    turned = [kernels]
    for _ in range(group.order - 1):
        turned.append(rotate(turned[-1], 360 / group.order))
    return torch.stack(turned, dim=1)


def stabilised(angle, element, group_axis=True, grid=True, back=True):
    """A function with the signature of 03.stabilised that turns by ``angle`` and moves by ``element`` times degrees."""

    def answer(maps, degrees, group):
        if group_axis:
            g = round(element * degrees * group.rotations / 360) % group.rotations
            maps = group.transform_features(maps.movedim(2, -1), g).movedim(-1, 2 if back else -1)
        return rotate(maps, angle * degrees) if grid else maps

    return answer


def grid_first(maps, degrees, group):
    """Right: the grid first, then a gather along the group axis: entry h of the result is entry g h."""
    g = nearest_element(group, degrees)
    return rotate(maps, -degrees)[:, :, group.product[g]]


QUARTERS = (0, 90, 180, 270)
ZEROS = {"C1": (0,), "D1": (0,), "C2": (0, 180), "D2": (0, 180), "D4": QUARTERS, "C8": QUARTERS}
# Typical mistakes, each with words of the reason or the hint that is made for it.
MISTAKES = {
    "03.masked_error": {
        "without the mask": error(lambda y, t, e, m: (t - e).norm() / e.norm()),
        "as well as in the numerator": error(lambda y, t, e, m: ((t - e) * m).norm() / y.norm()),
        "A turned input should give a": error(lambda y, t, e, m: ((t - y) * m).norm() / (y * m).norm()),
        "Divide by the size": error(lambda y, t, e, m: ((t - e) * m).norm()),
        "forgot a root": error(lambda y, t, e, m: ((t - e) * m).norm() ** 2 / (e * m).norm() ** 2),
        "from the inside": error(lambda y, t, e, m: t.norm() / (e * m).norm()),
        "stands R f(x), not f(x)": error(lambda y, t, e, m: ((t - e) * m).norm() / (y * m).norm()),
        "one number for the whole batch": error(lambda y, t, e, m: ((t - e) * m).norm(dim=(1, 2))),
        "which size does the mask": mask_of_the_images,
    },
    "03.error_curve": {
        "it did not move": curve(lambda t, y, a, group: rotation_error(t, y, a)),
        "f(R x) comes first": curve(lambda t, y, a, group: rotation_error(y, t, a, group)),
        "turned already": turned_again,
        "as if the maps should not turn": curve(lambda t, y, a, group: rotation_error(t, y, 0.0, group)),
        "The images themselves": curve(lambda t, y, a, group: rotation_error(y, y, a, group)),
        "Take one angle alone": curve(lambda t, y, a, group: 0.5),
        "One number for each angle": curve(rotation_error, gather=sum),
        "An entry is no number, got a torch.float64 tensor": curve(lambda t, y, a, group: t - y),
    },
    "03.smooth_enough": {
        "counts tenths of a pixel": 1,
        "Move on": 5,
        "Move the slider back": 20,
        "The slider stops at": 8,
        "number beside the slider": "10",
    },
    "03.turned_kernels": {
        "turned already": copies_of_copies,
        "clockwise": copies(lambda group, g: -group.degrees(g)),
        "does not turn by 45 g degrees": copies(lambda group, g: 45.0 * g),
        "nothing depends on g": copies(lambda group, g: 0.0),
        "changes the tensor": lambda kernels, group: filled(kernels.mul_(1 / 2) * 2, group),
        "Take g = 1 alone": copies(lambda group, g: group.degrees(g) / 3),
        "the dim of torch.stack": copies(lambda group, g: group.degrees(g), dim=0),
    },
    "03.stabilised": {
        "needs a minus sign": lambda maps, degrees, group: turn_maps(group, maps, degrees),
        "The group axis has not moved": stabilised(-1, 0),
        "but the group axis moves on": stabilised(-1, 1),
        "but the grid turns on": stabilised(1, -1),
        "The grid has not turned": stabilised(0, -1, grid=False),
        "Nothing has moved": lambda maps, degrees, group: maps,
        "it has to come back": stabilised(0, -1, grid=False, back=False),
        "For D4 and 250 degrees": lambda maps, degrees, group: turn_maps(
            group, maps, -degrees if group.name == "C8" else -90.0 * round(degrees / 90)
        ),
        "Two things have to be undone": lambda maps, degrees, group: 2 * maps,
    },
    "03.exact_angles": {
        "Has the square grid?": {**ZEROS, "C8": tuple(range(0, 360, 45))},
        "A reflection is not a turn": {**ZEROS, "D1": (0, 180)},
        "element of every group": {**ZEROS, "C2": (180,)},
        "Which angles are they": {**ZEROS, "C2": (0, 90, 180, 270)},
        "maps the grid to itself is exact": {**ZEROS, "D4": (0, 180)},
        "The angles are": {**ZEROS, "C1": (360,)},
    },
}
ALSO_RIGHT = {
    "03.masked_error": [
        error(lambda y, t, e, m: ((e - t) * m).square().sum().sqrt() / (m * e).norm()),
        inside_alone,
    ],
    "03.error_curve": [
        curve(rotation_error, gather=tuple),
        curve(rotation_error, gather=iter),
        curve(rotation_error, gather=lambda entries: np.array(list(entries))),
        curve_without_the_library,
    ],
    "03.smooth_enough": [10.0, np.float32(10), torch.tensor(10)],
    "03.turned_kernels": [
        filled,
        copies(lambda group, g: 360 / group.order * g),
        copies(lambda group, g: group.degrees(g) - 360),
    ],
    "03.stabilised": [
        grid_first,
        lambda maps, degrees, group: turn_maps(group, maps, -degrees),
        stabilised(-1, -1),
    ],
    "03.exact_angles": [
        {name: np.array(angles) for name, angles in ZEROS.items()},
        {**ZEROS, "C1": 0},
        {name: {float(angle) for angle in angles} for name, angles in ZEROS.items()},
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("03_seeing_equivariance", "03b_what_sets_the_error")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT


def test_copies_that_are_turned_again_are_right_where_every_turn_is_exact():
    kernels = torch.rand(2, 1, 5, 5)
    torch.testing.assert_close(copies_of_copies(kernels, cyclic(4)), filled(kernels, cyclic(4)))
