"""Is there a linear action in a network's features? Fit one, and say how much of what moves it explains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.diagnostics.action_table import ActionErrors, LearnedAction
from eqssl_edu.diagnostics.irreps import irrep_projectors
from eqssl_edu.diagnostics.untrained import CHUNK, untrained_copy
from eqssl_edu.errors import got, need_exact, need_instance, need_integer, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import fine
from eqssl_edu.shapes import Images
from eqssl_edu.twins import Twin

__all__ = ["Orbits", "action_alone", "halves", "learned_action", "moving_energy", "orbit_features"]

ROUNDING = 16  # units of the last place of a feature's length: what varies less does not vary
Orbits = Float[Tensor, "batch group dimension"]  # the features of all turns of each image


@typed
def learned_action(
    encoder: nn.Module,
    images: Images,
    group: FiniteGroup,
    report: Float[Tensor, "others channel height width"] | Mapping[str, Any] | None = None,
    *,
    untrained: nn.Module | None = None,
    seed: int = 0,
) -> LearnedAction | dict[str, LearnedAction]:
    r"""Fit linear maps to what turns of the image do to the features, and judge them on other images.

    The fit, by least squares over *both-turned* pairs, all x and all h in G:

    $$ R_g = \mathrm{argmin}_R \sum_{x, h} \lVert \bar f(g h x) - R \bar f(h x) \rVert^2, \qquad \bar f = f - \mu $$

    with $\mu$ the mean over all images and turns of a set, which an action leaves where it is. From pairs $(x, gx)$
    with x upright alone the maps need not multiply as the group does, however small their error. In whitened
    coordinates the covariance is 1, so $R_g$ is simply the mean of $\bar f(ghx)\, \bar f(hx)^T$; directions without
    variance (dead channels) have no part in it.

    Errors are energies in units of the *moving* energy, $E \lVert f(kx) - \mathrm{mean}_k f(kx) \rVert^2$ of the
    images on which they are measured. In units of all energy each network that hardly moves would look equivariant.
    A network whose features do not move has no error (None), not 0. Always beside it: an untrained copy.

    Arguments:
        encoder: images (B, C, S, S) to features of any shape, flattened per image. A copy runs, in evaluation mode.
        images: on which the maps are fitted.
        group: C1, C2, C4, D1, D2 or D4.
        report: other images on which the errors are reported, about their own mean; of another kind, they say what
            carries over. Several sets with their names are judged by one fit, each with a ``LearnedAction`` of its
            own. By default a random half of ``images`` is kept for that.
        untrained: the network to stand beside; by default ``untrained_copy(encoder, images, seed)``.
        seed: of the halves, and of the untrained copy.

    Raises:
        ValueError: if the images are so few that maps would fit any features: there must be twice as many pairs (images
            times |G|) as directions in which the features vary.

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> encoder = GroupCNN(cyclic(4), channels=(2, 4)).double()
        >>> images = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> action = learned_action(encoder, images, cyclic(4))
        >>> action.plain.error < 1e-12, {name: round(value) for name, value in action.content.items()}
        (True, {'trivial': 4, 'frequency 1': 8, 'frequency 2': 4})
    """
    need_exact(group)
    need_integer("seed", seed, 0, 2**63 - 1)
    need_shape("images", images, "B", "C", "S", "S", floating=True, finite=True)
    need_integer("len(images)", len(images), least=2)
    share = 1
    if report is None:
        share = 2
        images, report = halves(images, seed)
    named = isinstance(report, Mapping)
    need_integer("len(report)", len(report), least=1)
    sets = dict(report) if named else {"": report}
    for key, others in sets.items():
        name = f"report[{key!r}]" if named else "report"
        need_shape(name, others, "B", *images.shape[1:], floating=True, finite=True)
        need_integer(f"len({name})", len(others), least=1)
    if untrained is None:
        untrained = untrained_copy(encoder, images, seed)
    beside = action_alone(untrained, images, group, sets, "untrained", share)
    found = action_alone(encoder, images, group, sets, share=share)
    found = {key: replace(action, untrained=beside[key]) for key, action in found.items()}
    return found if named else found[""]


def halves(images: Images, seed: int) -> tuple[Tensor, Tensor]:
    """A random half to fit maps on, and the other images."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images[order].chunk(2)


def action_alone(
    encoder: nn.Module,
    images: Images,
    group: FiniteGroup,
    reports: Mapping[str, Float[Tensor, "_ channel height width"]],
    name: str = "encoder",
    share: int = 1,
) -> dict[str, LearnedAction]:
    """One fit, judged on each of these sets, and no network beside it: for tables with untrained networks of their own.

    Errors call the network by the ``name``, and the images of the user are ``share`` times those that are fitted.
    """
    z, ulp = orbit_features(name, encoder, images, group)
    rounding = ROUNDING * ulp * float(z.square().sum(dim=2).mean().sqrt())
    centre, count = z.mean(dim=(0, 1)), z.shape[0] * z.shape[1]
    _, values, axes = torch.linalg.svd((z - centre).flatten(0, 1), full_matrices=False)
    deviations = values / math.sqrt(count)
    kept = deviations > rounding
    basis, deviations = axes[kept].T, deviations[kept]
    if count < 2 * len(deviations):
        enough = share * math.ceil(2 * z.shape[2] / group.order)
        raise ValueError(
            f"images must be {enough} or more, or maps would fit whatever the features are ({count} pairs in "
            f"{len(deviations)} directions), got {share * len(images)}"
        )
    y = (z - centre) @ basis / deviations
    maps = [torch.einsum("bhi,bhj->ij", y[:, group.product[g]], y) / count for g in group.elements]
    maps = torch.stack(maps)  # the covariance of y is 1

    def seen(z: Orbits) -> _Seen:
        z = z - z.mean(dim=(0, 1))
        y = z @ basis / deviations
        # Where the fitted images have no variance the maps can say nothing.
        unseen = _energy(z - z @ basis @ basis.T)
        return _Seen(z, y, _missed(group, maps, y), unseen, moving_energy(z) > rounding**2)

    fitted, found = seen(z), {}
    for key, others in reports.items():
        reported = seen(orbit_features(name, encoder, others, group)[0])
        laws = _laws(group, maps, reported.y)
        found[key] = LearnedAction(
            group=group,
            counts=(len(images), len(others)),
            dimension=z.shape[2],
            centre=centre,
            basis=basis,
            deviations=deviations,
            whitened_maps=maps,
            plain=_errors(fitted, reported, laws, deviations.square(), whitened=False),
            whitened=_errors(fitted, reported, laws, torch.ones_like(deviations), whitened=True),
            content=_content(group, maps),
        )
    return found


class _Seen(NamedTuple):
    """A set of images: features about their mean, their whitened coordinates, what the maps miss in and beside them."""

    z: Orbits
    y: Orbits
    missed: Float[Tensor, "group direction"]
    unseen: float
    moves: bool


def orbit_features(name: str, encoder: nn.Module, images: Images, group: FiniteGroup) -> tuple[Orbits, float]:
    """The features of all turns in double precision, and the unit of the last place that they were computed with."""
    like, twin = next(encoder.parameters(), images), Twin(encoder).settle()
    found = []
    for some in images.split(CHUNK):
        turned = torch.cat([group.transform(some, g) for g in group.elements]).to(like)
        z = twin.run(turned)
        need_instance(f"the output of {name}", z, Tensor)
        if len(z) != len(turned) or not z.is_floating_point():
            raise ValueError(f"{name} must give floating-point features for each image, {got(z)}")
        found.append(z.flatten(1).unflatten(0, (group.order, -1)).transpose(0, 1).cpu())
    z = torch.cat(found)
    if not z.isfinite().all():
        raise ValueError(f"{name} must give finite features, got NaN or infinity")
    return fine(z), torch.finfo(z.dtype).eps


def _energy(z: Tensor) -> float:
    return float(z.square().sum(dim=-1).mean())


def moving_energy(z: Orbits) -> float:
    """The energy about the mean of each orbit."""
    return _energy(z - z.mean(dim=1, keepdim=True))


def _missed(group: FiniteGroup, maps: Tensor, y: Orbits) -> Float[Tensor, "group dimension"]:
    """For each g the mean square of y(ghx) - R_g y(hx) along each direction."""
    missed = (y[:, group.product[g]] - y @ maps[g].T for g in group.elements)
    return torch.stack([each.square().mean(dim=(0, 1)) for each in missed])


def _laws(group: FiniteGroup, maps: Tensor, y: Orbits) -> Float[Tensor, "group group dimension"]:
    """For each g and h the mean square of (R_g R_h - R_gh) y along each direction."""
    gram = torch.einsum("bhi,bhj->ij", y, y) / (y.shape[0] * y.shape[1])
    defects = maps[:, None] @ maps - maps[group.product]
    return (defects @ gram * defects).sum(dim=-1)


def _errors(
    fitted: _Seen,
    reported: _Seen,
    laws: Float[Tensor, "group group direction"],
    weights: Float[Tensor, " direction"],
    whitened: bool,
) -> ActionErrors:
    """Errors in the metric in which the directions have these weights."""

    def features(each: _Seen) -> Orbits:
        return each.y if whitened else each.z

    def moving(each: _Seen) -> float:
        # Images of which no fitted direction sees anything move in the plain metric alone.
        return moving_energy(features(each)) if each.moves else 0.0

    def shares(each: _Seen) -> tuple[float, ...] | None:
        unit, outside = moving(each), 0.0 if whitened else each.unseen
        return tuple(((each.missed @ weights + outside) / unit).tolist()) if unit else None

    unit = moving(reported)
    if not unit:
        return ActionErrors(1.0, shares(fitted), None, None)
    broken = tuple(map(tuple, (laws @ weights / unit).tolist()))
    return ActionErrors(1 - unit / _energy(features(reported)), shares(fitted), shares(reported), broken)


def _content(group: FiniteGroup, maps: Tensor) -> dict[str, float]:
    """Dimensions of each isotypic part: the trace of its projector, sum_g weight(g) R_g."""
    traces = maps.diagonal(dim1=1, dim2=2).sum(dim=1)
    return {name: float(P[:, 0].to(traces) @ traces) for name, P in irrep_projectors(group).items()}
