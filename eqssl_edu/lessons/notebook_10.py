"""Notebook 10: maps that are fitted, an empty kind of equivariance, and a ladder of four demands."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive.features import unit
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import recalibrated
from eqssl_edu.exercises import check
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.learned import GramLoss, SoftEquivariance
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.plots import picture, row
from eqssl_edu.shapes import Images
from eqssl_edu.widgets import ByHand

__all__ = [
    "FEATURES",
    "RUNGS",
    "Scrambled",
    "climb",
    "kinds_of_features",
    "library_law",
    "library_maps",
    "look_up",
    "moved",
    "new_networks",
    "orbits",
    "rungs",
    "scramble",
    "two_fits",
    "unscramble",
    "upright_maps",
]

C4 = cyclic(4)
Orbits = Float[Tensor, "batch group dimension"]
"""f(kx) at [:, k]."""


# -- 10.1 ----------------------------------------------------------------------------------------------------------


@typed
def new_networks(seed: int) -> dict[str, GroupCNN]:
    """A plain CNN and one that has C4 built in, both with 64 numbers in a feature, untrained, in double precision."""
    torch.manual_seed(seed)
    images, plain = digits(16).train.images[:200].double(), GroupCNN(cyclic(1), 1, (16, 32, 64))
    networks = {"plain CNN": plain, "C4 network": GroupCNN(C4, 1, (4, 8, 16))}
    return {name: recalibrated(network.double(), images).eval() for name, network in networks.items()}


@typed
def orbits(network: Callable[[Images], Tensor], images: Images) -> Orbits:
    """The features of all turns of each image, flattened: f(kx) at [:, k]."""
    with torch.no_grad():
        return torch.stack([network(C4.transform(images, k)).flatten(1) for k in C4.elements], dim=1)


@typed
def upright_maps(z: Orbits) -> Float[Tensor, "group dimension dimension"]:
    """For each g the smallest matrix that fits the pairs f(x), f(gx) best, with x upright alone; not centred."""
    return torch.stack([(torch.linalg.pinv(z[:, 0]) @ z[:, g]).T for g in C4.elements])


def _energy(z: Tensor) -> float:
    return float(z.square().sum(dim=-1).mean())


def _moving(z: Orbits) -> float:
    return _energy(z - z.mean(dim=1, keepdim=True))


def _missed(maps: Tensor, z: Orbits, turns: Sequence[int]) -> float:
    """What the maps miss of f(ghx), over all g but the identity and these h, in units of the energy that moves."""
    turned = z[:, C4.product[1:, list(turns)]]  # (B, g, h, D)
    guessed = torch.einsum("gde,bhe->bghd", maps[1:], z[:, list(turns)])
    return _energy(turned - guessed) / _moving(z)


@typed
def two_fits(network: nn.Module, fitted_maps: Callable) -> Table:
    """Maps from 32 upright digits and from all their turns, and how far they are wrong there, and on other digits.

    Arguments:
        network: images to features.
        fitted_maps: yours; as long as the check does not accept it, the library's.
    """
    images = digits(16).train.images.double()
    z, others = orbits(network, images[:32]), orbits(network, images[32:432])
    centre = z.mean(dim=(0, 1))
    maps = fitted_maps(C4, z) if check("10.fitted_maps", fitted_maps) else library_maps(z)
    fits = {
        "upright digits": (upright_maps(z - centre), [0]),
        "all their turns": (maps, C4.elements),
    }
    rows = {}
    for name, (R, turns) in fits.items():
        defects = R[:, None] @ R - R[C4.product]
        law = _energy(torch.einsum("ghde,be->ghbd", defects[1:, 1:], z[:, 0] - centre)) / _moving(z)
        rows[f"fitted to {name}"] = {
            "missed of the fitted pairs": _missed(R, z - centre, turns),
            "missed of all turns of these digits": _missed(R, z - centre, C4.elements),
            "missed of other digits": _missed(R, others - centre, C4.elements),
            "group law": law,
        }
    said = dict.fromkeys(next(iter(rows.values())), "{:.2g}".format)
    return Table(
        rows, "32 digits, 64 features: errors as shares of the energy that moves when a digit is turned", said
    )


@typed
def library_maps(z: Orbits) -> Float[Tensor, "group dimension dimension"]:
    """The same as ``fitted_maps``."""
    centred = z - z.mean(dim=(0, 1))
    before = centred.flatten(0, 1)
    after = [centred[:, C4.product[g]].flatten(0, 1) for g in C4.elements]
    return torch.stack([torch.linalg.lstsq(before, each).solution.T for each in after])


# -- 10.2: equivariant to something --------------------------------------------------------------------------------


def _order(pixels: Tensor) -> Tensor:
    """A random order that the values decide, wherever they stand."""
    digest = hashlib.sha256(pixels.flatten().sort().values.numpy().tobytes()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))
    return torch.randperm(pixels.numel(), generator=generator)


@typed
def scramble(images: Images) -> Images:
    """Each image with its pixels in another order, which the values of its pixels decide."""
    return torch.stack([x.flatten()[_order(x)].view_as(x) for x in images])


@typed
def unscramble(z: Images) -> Images:
    """Back from ``scramble``: the values are still there, so the order is known."""
    return torch.stack([x.flatten()[_order(x).argsort()].view_as(x) for x in z])


class Scrambled(nn.Module):
    """``scramble`` as a network."""

    def forward(self, images: Images) -> Images:
        return scramble(images)


@typed
def moved(z: Images, g: int) -> Images:
    """What scrambled pictures become when the pictures are turned."""
    return scramble(C4.transform(unscramble(z), g))


@typed
def look_up(any_action: Callable) -> ByHand:
    """A digit and the turned one, both scrambled; with what an action on scrambled pictures makes of the first.

    Arguments:
        any_action: yours; as long as the check does not accept it, the library's.
    """
    own = bool(check("10.any_action", any_action))
    images = digits(8).test.images[:8].double()

    def draw(digit: int, turn: int) -> str:
        x = images[digit][None]
        gx = C4.transform(x, turn)
        z = scramble(x)
        w = any_action(scramble, unscramble, lambda x: C4.transform(x, turn), z) if own else moved(z, turn)
        planes = {"x": x, "f(x)": z, f"the action of {90 * turn}° on f(x)": w}
        planes |= {"f(g x): scrambled only now": scramble(gx), f"g x: x turned by {90 * turn}°": gx}
        shown = [picture(each[0, 0], name, limits=(0, 1), side=120) for name, each in planes.items()]
        said = "are the same, bit for bit" if torch.equal(w, scramble(gx)) else "are <b>not</b> the same"
        return row(shown, f"The third picture and the fourth {said}.")

    return ByHand(draw, {"digit": 3, "turn": 1}, digit=range(8), turn=C4.elements)


# -- 10.3: a ladder ------------------------------------------------------------------------------------------------

FEATURES = ("scrambled", "four matrices", "four rotations", "skewed", "hidden", "regular", "still")
RUNGS = ("linear on upright images", "orthogonal", "group law", "the known action")


@typed
def kinds_of_features(seed: int) -> dict[str, Orbits]:
    r"""Features of 60 images and their turns, (60, 4, 8), made by hand.

    With x random, $\rho$ the regular action of C4 on two channels, S a matrix, Q orthogonal ones, P permutations:
    "scrambled" $P_x \rho(k) x$, "four matrices" $S_k x$, "four rotations" $Q_k x$, "skewed" $S \rho(k) x$, "hidden"
    $Q \rho(k) x$, "regular" $\rho(k) x$, "still" the mean of $\rho(k) x$.
    """
    draws = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=draws)

    x = normal(60, 2, 4)
    regular = torch.stack([C4.transform_features(x, k).flatten(1) for k in C4.elements], dim=1)
    orders = torch.rand(60, 8, generator=draws).argsort(dim=1)
    matrices = torch.eye(8) + 0.3 * normal(4, 8, 8)
    rotations = torch.linalg.qr(normal(4, 8, 8)).Q
    return {
        "scrambled": regular.gather(2, orders[:, None].expand(-1, 4, -1)),
        "four matrices": torch.einsum("kde,be->bkd", matrices, x.flatten(1)),
        "four rotations": torch.einsum("kde,be->bkd", rotations, x.flatten(1)),
        "skewed": regular @ matrices[0].T,
        "hidden": regular @ rotations[0].T,
        "regular": regular,
        "still": regular.mean(dim=1, keepdim=True).expand(-1, 4, -1),
    }


@typed
def rungs(z: Orbits, law_defect: Callable) -> dict[str, float]:
    """How far the features are from each rung: four numbers, 0 where they stand on it. In units of all energy.

    Arguments:
        z: features of all turns.
        law_defect: of maps, (|G|, |G|).
    """
    maps = upright_maps(z)
    return {
        RUNGS[0]: _energy(z - torch.einsum("gde,be->bgd", maps, z[:, 0])) / _energy(z),
        RUNGS[1]: float(GramLoss(C4)(unit(z.flatten(0, 1)).view_as(z))),
        RUNGS[2]: float(law_defect(C4, maps).max()),
        RUNGS[3]: float(SoftEquivariance(C4)(z)) / _energy(z),
    }


@typed
def climb(law_defect: Callable, seed: int) -> ByHand:
    """Choose features: their four fitted matrices as pictures, and which rungs they stand on.

    Arguments:
        law_defect: yours; as long as the check does not accept it, the library's.
        seed: of the features.
    """
    law = law_defect if check("10.law_defect", law_defect) else library_law
    kinds = kinds_of_features(seed)

    def draw(features: str) -> str:
        z = kinds[features]
        R = upright_maps(z)
        planes = {"R₁": R[1], "R₁ R₁ᵀ": R[1] @ R[1].T, "R₁ R₁": R[1] @ R[1], "R₂": R[2]}
        shown = [picture(each, name, True, (-1.5, 1.5), 130) for name, each in planes.items()]
        values = rungs(z, law)
        said = (
            f"{name}: <b>yes</b>" if value < 1e-9 else f"{name}: no ({value:.2g})"
            for name, value in values.items()
        )
        return row(shown, "; ".join(said))

    return ByHand(draw, features=list(FEATURES))


@typed
def library_law(group: FiniteGroup, maps: Float[Tensor, "group D D"]) -> Float[Tensor, "group group"]:
    """The same as ``law_defect``."""
    return torch.linalg.matrix_norm(maps[:, None] @ maps - maps[group.product])
