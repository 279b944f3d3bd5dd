"""The energy of regular features in each irreducible representation of the group."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_instance, need_integer, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import fine
from eqssl_edu.tables import table

__all__ = ["irrep_energy", "irrep_projectors"]


@torch.no_grad()
def irrep_energy(group: FiniteGroup, z: Float[Tensor, "*batch group"]) -> dict[str, float]:
    r"""The energy of each irreducible part, $\lVert P z \rVert^2$ summed over the channels, mean over the batch.

    The energies add up to the mean of $\lVert z \rVert^2$, and no turn of any sample changes one of them. A *group
    collapse* shows as an energy of zero everywhere but in "trivial", the part that is constant along the group axis.

    Arguments:
        group: G.
        z: regular features, the batch first and the group axis last.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> energy = irrep_energy(cyclic(4), torch.tensor([[1.0, 0, -1, 0], [1.0, 1, 1, 1]]))
        >>> {name: round(value, 6) for name, value in energy.items()}
        {'trivial': 2.0, 'frequency 1': 1.0, 'frequency 2': 0.0}
    """
    need_instance("group", group, FiniteGroup)
    need_shape("z", z, "...", "B", group.order, floating=True)
    need_integer("len(z)", len(z), least=1)
    flat = fine(z).reshape(-1, group.order)
    gram = flat.T @ flat / len(z)  # ||P z||^2 = trace(P z z^T) of a projector P
    return {
        name: float((projector.to(gram) * gram).sum()) for name, projector in irrep_projectors(group).items()
    }


@typed
@lru_cache(maxsize=64)
@table
def irrep_projectors(group: FiniteGroup) -> dict[str, Float[Tensor, "group group"]]:
    r"""The orthogonal projectors of the regular representation onto its irreducible parts (real, in float64).

    From the characters $\chi$: $P = \frac{d}{|G|} \sum_g \chi(g) \rho(g)$, that is $P[h, h'] = \frac{d}{|G|}
    \chi(h h'^{-1})$. Rotation k of n has frequency j where it acts by the angle $2 \pi j k / n$. The frequencies 0 and
    n/2 of D_n come in two kinds: the flip m acts on them as +1 ("mirror-even") or -1 ("mirror-odd").

    Example:
        >>> from eqssl_edu.groups import dihedral
        >>> {name: round(P.trace().item()) for name, P in irrep_projectors(dihedral(3)).items()}
        {'trivial': 1, 'frequency 0, mirror-odd': 1, 'frequency 1': 4}
    """
    need_integer("group.order", group.order, most=256)  # about |G|^3 / 2 numbers
    n, g = group.rotations, torch.arange(group.order)
    reflection = g >= n
    projectors = {}
    for j in range(n // 2 + 1):
        wave = torch.cos(2 * torch.pi * j * (g % n).double() / n)
        if 2 * j % n:
            # Two conjugate characters of C_n together, one two-dimensional one of D_n: 0 at reflections.
            kinds = {f"frequency {j}": 2 * wave / n * ~reflection}
        elif group.reflections:
            even = "trivial" if j == 0 else f"frequency {j}, mirror-even"
            odd = wave.where(~reflection, -wave)
            kinds = {even: wave / group.order, f"frequency {j}, mirror-odd": odd / group.order}
        else:
            kinds = {"trivial" if j == 0 else f"frequency {j}": wave / n}
        projectors |= {name: weight[group.product[:, group.inverse]] for name, weight in kinds.items()}
    return projectors
