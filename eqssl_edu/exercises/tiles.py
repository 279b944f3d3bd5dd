"""The exercises of notebooks 05c to 05e: patches and tiles, the price of a wrong action, sets of permutations."""

from collections.abc import Callable

import torch
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, judge, need, noise
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.permutations import move

__all__ = ["lift", "moved_permutation", "pair"]

C4, D4 = cyclic(4), dihedral(4)
EXACT = 1e-5  # also in float32


def _need_field(value: object, shape: tuple[int, ...], hints: dict[tuple[int, ...], str]) -> Tensor:
    """``value``, if it is a regular field of this shape; other shapes have hints of their own."""
    need(isinstance(value, Tensor), f"The answer must be a tensor, {got(value)}.", "Return one tensor.")
    reason = f"The result has the shape {tuple(value.shape)}; wanted was {shape}."
    need(value.shape == shape, reason, hints.get(tuple(value.shape), "The axes are (B, channels, |G|)."))
    need(
        value.isfinite().all(), "It gives NaN or infinity.", "Every number of the result is one of the input."
    )
    return value


def _need_nothing_lost(f: Callable[[Tensor], Tensor], shape: tuple[int, ...], hint: str) -> None:
    """A unit in each of the places of the input: are the results independent?"""
    size = torch.Size(shape).numel()
    units = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    rank = int(torch.linalg.matrix_rank((f(units) - f(torch.zeros_like(units))).double().flatten(1)))
    reason = f"Something is lost: of the {size} numbers of an input only {rank} can be told from the result."
    need(rank == size, reason, hint)


@second_hint("The group axis stays as it is. Which axis may get longer? torch.cat does that.")
def pair(answer: object) -> str:
    """A function (first (B, C, |G|), second (B, C, |G|)) -> one regular field (B, 2C, |G|) that loses nothing."""
    for group in (C4, D4):
        n = group.order
        first, second = noise(5, 3, n), noise(5, 3, n, seed=1)
        hints = {
            (10, 3, n): "These are twice as many images. A pair is one image with more channels.",
            (
                5,
                3,
                2 * n,
            ): "The group axis has |G| places, and the group moves just these. Which axis may grow?",
            (5, 2, 3, n): "The two patches have an axis of their own. Put it into the channels: flatten.",
            (5, 6 * n): "The group axis is gone, and with it what the group acts on.",
            (5, 3, n): "Which patch came first can no longer be told.",
        }
        value = _need_field(ask(answer, first, second), (5, 6, n), hints)
        for g in group.elements:
            turned = ask(answer, *(group.transform_features(z, g) for z in (first, second)))
            wish = group.transform_features(value, g)
            error = float((turned.double() - wish).norm() / wish.norm())
            reason = f"Over {group.name}, both patches turned by {group.element_name(g)}, it is off by {error:.2g}."
            need(
                error < EXACT, reason, "Both patches turn by the same g: leave their group axes side by side."
            )
        hint = "Both patches must be in the result, whole, each in channels of its own."
        _need_nothing_lost(lambda z: ask(answer, z[:, 0], z[:, 1]), (2, 3, n), hint)
    return "One regular field of both patches, over C4 and D4: any group layer and the universal head may follow."


def moved_permutation(answer: object) -> str:
    """A function (sigma LongTensor (n*n,), group, n, g) -> the permutation that makes the turned puzzle."""
    for group, n, g in ((C4, 2, 1), (D4, 3, 1), (D4, 3, 7), (D4, 2, 5)):
        sigma = torch.randperm(n * n, generator=torch.Generator().manual_seed(g + 2))
        value = torch.as_tensor(ask(answer, sigma, group, n, g))
        wanted = move(group, n, "conjugation", g, sigma[None])[0]
        positions = GSet.grid(group, n).action
        there, back = positions[g], positions[int(group.inverse[g])]
        swapped = back[sigma[there]]
        hints = {
            "There and back are exchanged: the inverse comes first, so it stands inside: sigma[back].": swapped,
            "That is the left action: the tile is followed from its old place, not from gx.": there[sigma],
            "Step 3 is missing: the turn carries the tile on, by pi_g.": sigma[back],
            "The permutation has not moved. Follow the three steps above.": sigma,
            "p goes to there[sigma[back[p]]], and tensors can be indexed by tensors.": True,
        }
        reason = (
            f"For {n} x {n} tiles, {group.element_name(g)} and sigma = {sigma.tolist()} it gave {value.tolist()}; "
            f"the turned puzzle is {wanted.tolist()}."
        )
        judge(value, wanted, reason, hints, "the positions of the tiles, row by row")
    return "Conjugation: right for 2 x 2 and 3 x 3 tiles, turns and reflections."


def turned_parts(features: Tensor, group: FiniteGroup, places: Tensor, g: int) -> Tensor:
    """The features (B, P, C, |G|) of a turned input: the part at q goes to g.q, and its group axis moves."""
    return group.transform_features(features, g)[:, places[group.inverse[g]]]


@second_hint(
    "For one h: features[:, action[h], :, h] has all q at once, (B, P, C). Stack these along a last axis."
)
def lift(answer: object) -> str:
    """A function (features (B, P, C, |G|), action (|G|, P)) -> one regular field (B, P C, |G|) that loses nothing."""
    for places in (GSet.grid(C4, 2), GSet.grid(D4, 3), GSet.trivial(C4, 2)):
        group, table, size = places.group, places.action, places.size
        features, n = noise(4, size, 3, group.order), group.order
        shape = (4, 3 * size, n)
        shapes = {
            (4, size, 3, n): "The tiles have an axis of their own. Put it into the channels: flatten(1, 2).",
            (4, 3, n): "Which tile lay where can no longer be told. Each q gets channels of its own.",
            (4, 3 * size * n): "The group axis is gone. Flatten tiles and channels alone.",
            (4, n, 3 * size): "The group axis comes last.",
        }
        value = _need_field(ask(answer, features, table), shape, shapes)
        right = torch.stack([features[:, table[h], :, h] for h in group.elements], dim=3)
        by_inverse = torch.stack([features[:, table[group.inverse[h]], :, h] for h in group.elements], dim=3)
        shifted = torch.stack([features[:, table[h], :, 0] for h in group.elements], dim=3)
        mistakes = {
            "That lays the tiles side by side. But a turn makes them change places: which tile holds row q of "
            "column h?": features.flatten(1, 2),
            "At h take the tile at h.q, not at the inverse.": by_inverse.flatten(1, 2),
            "The tile is right, but its own group axis must be read at h too.": shifted.flatten(1, 2),
            "U[(q, c), h] = F of the tile at h.q, at [c, h].": True,
        }
        for g in group.elements:
            turned = ask(answer, turned_parts(features, group, table, g), table).double()
            wish = group.transform_features(value.double(), g)
            error = float((turned - wish).norm() / wish.norm())
            reason = f"For {places!r}, turned by {group.element_name(g)}, it is off by {error:.2g}."
            if not error < EXACT:
                judge(value, right.flatten(1, 2), reason, mistakes)
        hint = "Each number of F must be in U, once."
        _need_nothing_lost(lambda z, table=table: ask(answer, z, table), (size, 3, n), hint)
    return "One regular field of all parts: for four tiles, for nine under D4, and for a pair, which keeps its places."
