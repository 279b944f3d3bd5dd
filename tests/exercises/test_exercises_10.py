"""The checks of notebooks 10 to 10c."""

import torch
from exercise_checks import ExerciseChecks


def fit(pairs, centre=lambda z: z - z.mean(dim=(0, 1)), turn=lambda X: X.T):
    """A function with the signature of 10.fitted_maps; ``pairs``: (group, z, g) -> both sides, as rows."""

    def answer(group, z):
        z = centre(z)
        sides = [pairs(group, z, g) for g in group.elements]
        return torch.stack(
            [turn(torch.linalg.lstsq(a.flatten(0, -2), b.flatten(0, -2)).solution) for a, b in sides]
        )

    return answer


def both_turned(group, z, g):
    return z, z[:, group.product[g]]


def upright(group, z, g):
    return z[:, 0], z[:, g]


def by_normal_equations(group, z):
    """One pair of turns after the other, and the formula."""
    z = z - z.mean(dim=(0, 1))
    covariance = torch.einsum("bhi,bhj->ij", z, z)
    maps = []
    for g in group.elements:
        cross = sum(z[:, int(group.product[g, h])].T @ z[:, h] for h in group.elements)
        maps.append(cross @ covariance.inverse())
    return torch.stack(maps)


def law(order=lambda R, g, h: R[g] @ R[h], target=lambda group, g, h: group.product[g, h], norm=torch.norm):
    """A function with the signature of 10.law_defect, by loops."""
    return lambda group, R: torch.stack(
        [
            torch.stack([norm(order(R, g, h) - R[target(group, g, h)]) for h in group.elements])
            for g in group.elements
        ]
    )


MISTAKES = {
    "10.fitted_maps": {
        "R_g transposed": fit(both_turned, turn=lambda X: X),
        "Only pairs with x upright": fit(upright),
        "are not centred": fit(both_turned, centre=lambda z: z),
        "What differs from image to image is to stay": fit(
            both_turned, centre=lambda z: z - z.mean(dim=1, keepdim=True)
        ),
        "turned back": lambda group, z: by_normal_equations(group, z)[group.inverse],
        "g after h": fit(lambda group, z, g: (z, z[:, group.product[:, g]])),
        "one matrix for each g": lambda group, z: by_normal_equations(group, z)[0],
        "one least squares over the pairs": lambda group, z: 2 * by_normal_equations(group, z),
    },
    "10.law_defect": {
        "take the root": law(norm=lambda x: x.square().sum()),
        "does h first": law(order=lambda R, g, h: R[h] @ R[g]),
        "entry by entry": law(order=lambda R, g, h: R[g] * R[h]),
        "minus the matrix of the product": law(target=lambda group, g, h: (g + h) % group.order),
        "there it is 0": law(target=lambda group, g, h: g),
        "one number for each g and h": lambda group, R: (R[:, None] @ R - R[group.product]).norm(),
    },
    "10.any_action": {
        "the turned image": lambda f, back, turn, z: turn(back(z)),
        "Nothing is turned": lambda f, back, turn, z: z,
        "as if they were images": lambda f, back, turn, z: f(turn(z)),
        "Back to the image": lambda f, back, turn, z: f(turn(turn(back(z)))),
    },
}

ALSO_RIGHT = {
    "10.fitted_maps": [
        by_normal_equations,
        fit(both_turned, turn=lambda X: X.mT.contiguous()),
        lambda group, z: torch.stack(
            [
                (
                    torch.linalg.pinv((z - z.mean((0, 1))).flatten(0, 1))
                    @ (z - z.mean((0, 1)))[:, group.product[g]].flatten(0, 1)
                ).T
                for g in group.elements
            ]
        ),
    ],
    "10.law_defect": [law(), lambda group, R: law()(group, R).float()],
    "10.any_action": [lambda f, back, turn, z: torch.stack([f(turn(back(x[None])))[0] for x in z]).float()],
}


class TestChecks(ExerciseChecks):
    notebooks = ("10_learned_equivariance",)
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
