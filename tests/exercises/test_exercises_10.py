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


def of_group(group):
    return group.elements


def away(
    centre=lambda z: z - z.mean(dim=(0, 1)),
    turns=of_group,
    elements=lambda group: group.elements[1:],
    target=lambda group, g, h: int(group.product[g, h]),
    act=lambda R, z: z @ R.T,
    size=lambda d: d.square().sum(dim=1),
    unit=lambda z: energy(of_orbit)(z),
):
    """A function with the signature of 10.missed, by loops."""

    def answer(group, maps, z):
        z = centre(z)
        parts = [
            size(z[:, target(group, g, h)] - act(maps[g], z[:, h]))
            for g in elements(group)
            for h in turns(group)
        ]
        return torch.stack(parts).mean() / unit(z)

    return answer


def nats(p):
    return -torch.xlogy(p, p).sum()


def told(form):
    """A function with the signature of 10.information; ``form`` is of the entropies of A, C, X together."""

    def answer(counts):
        p = counts / counts.sum()

        def entropy(names):
            rest = [axis for axis, name in enumerate("acx") if name not in names]
            return nats(p.sum(dim=rest) if rest else p)

        return form(entropy)

    return answer


def picture_by_picture(counts):
    """The mean over pictures of the information of turn and letter in each."""
    total = 0.0
    for x in range(counts.shape[2]):
        table = counts[:, :, x]
        if table.sum() > 0:
            p = table / table.sum()
            total += float(table.sum() / counts.sum() * (nats(p.sum(1)) + nats(p.sum(0)) - nats(p)))
    return total


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
    "10.missed": {
        "not centred": away(centre=lambda z: z),
        "not by all energy": away(unit=lambda z: z.square().sum(dim=2).mean()),
        "Nothing was divided": away(unit=lambda z: 1),
        "leave g = e out": away(elements=of_group),
        "Only upright images": away(turns=lambda group: [0]),
        "g after h": away(target=lambda group, g, h: int(group.product[h, g])),
        "a sum over D": away(size=lambda d: d.square().mean(dim=1)),
        "used transposed": away(act=lambda R, z: z @ R),
        "centred; the mean": away(size=lambda d: d.norm(dim=1)),
        "one number": lambda group, maps, z: z,
    },
    "10.information": {
        "in bits": told(lambda H: (H("ax") + H("cx") - H("x") - H("acx")) / torch.tensor(2.0).log()),
        "without the picture": told(lambda H: H("a") + H("c") - H("ac")),
        "what the picture leaves open": told(lambda H: H("ax") - H("x")),
        "when both are known": told(lambda H: H("acx") - H("cx")),
        "That is H(C | X)": told(lambda H: H("cx") - H("x")),
        "never negative": told(lambda H: H("x") + H("acx") - H("ax") - H("cx")),
        "H(A | C, X) = ": told(lambda H: H("acx")),
        "xlogy": lambda counts: (lambda p: -(p * p.log()).sum())(counts / counts.sum()),
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
    "10.missed": [away(), lambda group, maps, z: float(away()(group, maps, z + 5))],
    "10.information": [
        told(lambda H: H("ax") + H("cx") - H("x") - H("acx")),
        picture_by_picture,
        lambda counts: picture_by_picture(counts.transpose(0, 1)),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("10_learned_equivariance", "10b_what_a_loss_buys", "10c_data_and_architecture")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
