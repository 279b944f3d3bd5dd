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


def symmetrised(back=lambda group, g: int(group.inverse[g]), image=lambda g: g, reduce=torch.mean):
    """A function with the signature of 10.symmetrised."""
    return lambda group, f, images: reduce(
        torch.stack(
            [
                group.transform_features(f(group.transform(images, image(g))), back(group, g))
                for g in group.elements
            ]
        ),
        dim=0,
    )


def the_other_way_round(group, f, images):
    """The mean of rho(g) f(g^-1 x), in one pass."""
    turned = torch.cat([group.transform(images, int(g)) for g in group.inverse])
    z = f(turned).unflatten(0, (group.order, -1))
    return sum(group.transform_features(z[g], g) for g in group.elements) / group.order


def soft(
    turns=lambda group: group.elements,
    elements=lambda group: group.elements,
    size=lambda d: d.square().sum(),
    sense=lambda group, g: g,
):
    """A function with the signature of 10.soft_loss, by loops over single images."""

    def answer(group, f, images):
        found = []
        for x in images:
            for h in turns(group):
                y = group.transform(x[None], h)
                for g in elements(group):
                    z = group.transform_features(f(y), sense(group, g))
                    found.append(size(f(group.transform(y, g)) - z))
        return torch.stack(found).mean()

    return answer


def by_distance(group, f, images):
    """Twice the distance to S f, over all turns."""
    away = []
    for h in group.elements:
        y = group.transform(images, h)
        away.append((f(y) - the_other_way_round(group, f, y)).square().sum(dim=(1, 2)))
    return float(2 * torch.cat(away).mean())


def energy(centre, size=lambda z: z.square().sum(dim=2).mean()):
    """A function with the signature of 10.moving_energy."""
    return lambda z: size(z - centre(z))


def of_orbit(z):
    return z.mean(dim=1, keepdim=True)


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
    "10.symmetrised": {
        "take the mean": symmetrised(reduce=torch.sum),
        "turn them back": symmetrised(back=lambda group, g: 0),
        "further, not back": symmetrised(back=lambda group, g: g),
        "f itself": lambda group, f, images: f(images),
        "turn the image by g": symmetrised(image=lambda g: 0),
        "as f gives them": lambda group, f, images: symmetrised()(group, f, images).flatten(1),
    },
    "10.soft_loss": {
        "Only upright images": soft(turns=lambda group: [0]),
        "One g is not enough": soft(elements=lambda group: [1]),
        "the sum over (C, |G|)": soft(size=lambda d: d.square().mean()),
        "it is a mean": lambda group, f, images: soft()(group, f, images) * group.order,
        "The identity is one": soft(elements=lambda group: group.elements[1:]),
        "wrong sense": soft(sense=lambda group, g: int(group.inverse[g])),
        "the loss is twice that": lambda group, f, images: by_distance(group, f, images) / 2,
        "f of the turned image, minus": soft(size=lambda d: d.abs().sum()),
        "one number": lambda group, f, images: f(images),
    },
    "10.moving_energy": {
        "Each image has a mean of its own": energy(lambda z: z.mean(dim=(0, 1))),
        "nothing was taken away": energy(lambda z: 0),
        "That is the mean over images": energy(lambda z: z.mean(dim=0)),
        "not their mean": energy(of_orbit, lambda z: z.square().mean()),
        "it is a mean": energy(of_orbit, lambda z: z.square().sum()),
        "Divide by |G|": lambda z: z.var(dim=1).sum(dim=1).mean(),
        "no root": energy(of_orbit, lambda z: z.norm(dim=2).mean()),
        "Minus the mean over dim=1": energy(lambda z: z[:, :1]),
        "one number": energy(of_orbit, lambda z: z.square().sum(dim=2)),
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
    "10.symmetrised": [symmetrised(), the_other_way_round],
    "10.soft_loss": [soft(), by_distance],
    "10.moving_energy": [
        lambda z: z.var(dim=1, correction=0).sum(dim=1).mean(),
        lambda z: float((z.square().sum(2).mean(1) - z.mean(1).square().sum(1)).mean()),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("10_learned_equivariance", "10b_what_a_loss_buys")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
