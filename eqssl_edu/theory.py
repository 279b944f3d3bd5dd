"""What an equivariant network can reach: caps, floors, and the price of a wrong label action.

All losses are cross entropies in nats, against uniform where the label is an angle. Nothing here looks at a network:
the numbers follow from the action of the group on the inputs, the labels and the data alone (docs/theory.md has the
statements and their tests).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_choice, need_integer, need_number, need_shape, typed
from eqssl_edu.gsets import GSet
from eqssl_edu.tables import table

__all__ = [
    "AngleFloor",
    "EquivariantFloor",
    "Floor",
    "angle_floor",
    "between_samples",
    "equivariant_floor",
    "frequency_floor",
    "inconsistency_floor",
    "label_cap",
    "number_floor",
    "wedge_cosine",
]


class Floor(NamedTuple):
    """The best that can be reached."""

    nats: float  # the lowest cross entropy
    accuracy: float  # the highest accuracy


class AngleFloor(NamedTuple):
    """The best that can be reached where the label is an angle."""

    nats: float  # what the symmetry costs: so much above what narrow peaks at the right angles would reach
    degrees: float  # the lowest mean error of one answer


class EquivariantFloor(NamedTuple):
    r"""The best that an equivariant network can reach, and why it is no better: ``nats = uncertainty + price``.

    The uncertainty $H_p(l \mid y)$ is what no network could know; the price $I(l'; g \mid y')$ is what the action
    costs, and only equivariant networks pay.
    """

    nats: float
    accuracy: float
    uncertainty: float
    price: float


def law_floor(law: Float[Tensor, "inputs labels"]) -> Floor:
    r"""The best that any network can reach: the distribution of the labels given the input, $H(l \mid y)$ nats.

    Arguments:
        law: p(y, l), or how often each input comes with each label.
    """
    # An input may never come; xlogy is 0 where the probability is; + 0.0 turns -0.0 into 0.0.
    given = law / law.sum(dim=1, keepdim=True).clamp_min(torch.finfo(law.dtype).tiny)
    nats = -torch.special.xlogy(law, given).sum() / law.sum() + 0.0
    return Floor(nats.item(), (law.amax(dim=1).sum() / law.sum()).item())


@typed
def label_cap(labels: GSet, symmetry: Iterable[int], label: int = 0) -> Floor:
    r"""The best answer if the label is known only up to a symmetry: $1 / |S \cdot l|$ and $\log |S \cdot l|$.

    The label l and all s.l are then equally good. Three cases of this one count:

    - the output is invariant: ``symmetry`` is the whole group;
    - the input looks the same after s: ``symmetry`` is its stabiliser;
    - the input is t x with the label t.l, and the *images* look the same on average after s: ``symmetry`` is
      the symmetry of the data. With the label set G/S (label 0 is S itself) nothing is lost.

    Arguments:
        labels: the G-set.
        symmetry: a subgroup S, as its elements.
        label: l.

    Example:
        >>> from eqssl_edu.groups import dihedral
        >>> label_cap(GSet.regular(dihedral(4)), (0, 4)).accuracy  # mirror images in the data
        0.5
        >>> label_cap(GSet.quotient(dihedral(4), (0, 4)), (0, 4)).accuracy
        1.0
    """
    symmetry = labels.group.subgroup(symmetry, "symmetry")
    label = need_integer("label", label, 0, labels.size - 1)
    size = len(labels.action[list(symmetry), label].unique())
    return Floor(math.log(size), 1 / size)


@typed
def equivariant_floor(law: Float[Tensor, "inputs labels"], inputs: GSet, labels: GSet) -> EquivariantFloor:
    r"""The best that an equivariant network can reach on a finite law of inputs and labels: uncertainty and price.

    $$ \min_o \, E_p[-\log o(y)_l] = H_p(l \mid y) + I(l'; g \mid y'), \quad (y', l') = (g y, g \cdot l) $$

    with g uniform. Why: an equivariant network answers (y, l) and (g y, g.l) equally well, so its loss is its loss
    on the law of (y', l'), which all g have mixed. On that law the best answer of *any* network is
    $p(l' \mid y')$, and it is equivariant. Its loss is $H(l' \mid y')$; of that, $H(l' \mid y', g) = H_p(l \mid y)$
    was there before.

    Arguments:
        law: p(y, l), probabilities that sum to 1.
        inputs: how g moves the inputs, as a G-set.
        labels: how the head assumes that g moves the labels.

    Example: a quarter turn that the head takes for no turn at all.
        >>> from eqssl_edu.groups import cyclic
        >>> G = cyclic(4)
        >>> law = torch.eye(4, dtype=torch.float64) / 4  # the label is the turn itself
        >>> equivariant_floor(law, GSet.regular(G), GSet.trivial(G, 4)).accuracy
        0.25
        >>> equivariant_floor(law, GSet.regular(G), GSet.regular(G)).accuracy
        1.0
    """
    need_choice("labels.group", labels.group, [inputs.group])
    need_shape("law", law, inputs.size, labels.size, floating=True)
    law = law.double()
    need_number("law.min()", law.min().item(), least=0)
    need_number("law.sum()", law.sum().item(), least=1 - 1e-6, most=1 + 1e-6)
    mixed = torch.zeros_like(law)
    for g in inputs.group.elements:
        mixed[inputs.action[g][:, None], labels.action[g]] += law / inputs.group.order
    best, uncertainty = law_floor(mixed), law_floor(law).nats
    return EquivariantFloor(*best, uncertainty, max(0.0, best.nats - uncertainty))


@table
@typed
def inconsistency_floor(true_labels: GSet, assumed_labels: GSet, data_symmetry: Iterable[int]) -> Floor:
    r"""The best that an equivariant network can reach if its head moves the labels by the wrong action.

    The images are h x with h uniform in a subgroup H, and x upright without a symmetry of its own: H = {0} is
    upright data, H = G rotation-invariant data. The label l is uniform, and the input a(h x, l) shows both h and l
    to an unconstrained network, which therefore reaches 0 nats. Really
    $g \cdot a(x, l) = a(g x, g \cdot l)$; the head assumes $g * l$.

    A turned input shows k = g h and m = g.l, but not g, which is any element of $k H$. The head's label is
    $l' = g * l = g * (g^{-1} \cdot m)$. So the network cannot do better than (the price of a wrong action)

    $$ H(l' \mid k, m) = \frac{1}{|L|} \sum_m H\big(h * (h^{-1} \cdot m), \; h \text{ uniform in } H\big). $$

    Upright data forgive every action; so does the true action on any data. Here labels are of the kind whose image
    turns along and whose input shows both, as patches and tiles. The rotation task is not: its input t h x shows the
    product t h alone, so that an invariant output is capped on upright data too. Use ``label_cap`` for it, or
    ``equivariant_floor`` with the elements as inputs. (Only the left action on poses, which really move by conjugation
    $g t g^{-1}$, costs the same by both counts: $\log |H|$.)

    Arguments:
        true_labels: how the labels really move, $g \cdot l$.
        assumed_labels: how the head moves them, $g * l$; the same group and number of labels.
        data_symmetry: H, as its elements.

    Example: the left action for a jigsaw, on images of all orientations.
        >>> from eqssl_edu.groups import cyclic
        >>> true, left = (GSet.jigsaw(cyclic(4), 2, action) for action in ("conjugation", "left"))
        >>> floor = inconsistency_floor(true, left, data_symmetry=(0, 1, 2, 3))
        >>> round(floor.nats, 3), floor.accuracy
        (1.386, 0.25)
        >>> inconsistency_floor(true, left, data_symmetry=(0,))
        Floor(nats=0.0, accuracy=1.0)
    """
    group, size = true_labels.group, true_labels.size
    need_choice("assumed_labels.group", assumed_labels.group, [group])
    need_choice("assumed_labels.size", assumed_labels.size, [size])
    symmetry = torch.tensor(group.subgroup(data_symmetry, "data_symmetry"))
    before = true_labels.action[group.inverse[symmetry]]  # [h, m] = h^-1 . m
    answers = assumed_labels.action[symmetry[:, None], before]  # [h, m] = h * (h^-1 . m)
    times = torch.zeros(size, size, dtype=torch.float64)  # [m, l']
    return law_floor(times.scatter_add_(1, answers.T, torch.ones_like(answers.T, dtype=torch.float64)))


@typed
def angle_floor(symmetry: int) -> AngleFloor:
    r"""The best answer to "which angle?" where the input looks the same after 360/k degrees: log k, and degrees.

    An equivariant output of frequency m is then 0 unless k divides m, so that there are k equally good answers. One
    answer is wrong by 90 degrees on average for even k, by $90 (1 - 1/k^2)$ for odd k: hardly better than no answer.
    A density with k narrow peaks loses log k nats. A label of type k loses nothing.

    An *invariant* output is the limit of many k: 90 degrees, and a loss of at least 0 nats against uniform. The best
    constant *number* has a root mean square error of $180 / \sqrt 3$ = 103.9 degrees.

    Arguments:
        symmetry: k, 1 for an input without a symmetry.

    Example:
        >>> angle_floor(1)
        AngleFloor(nats=0.0, degrees=0.0)
        >>> angle_floor(3).degrees
        80.0
    """
    k = need_integer("symmetry", symmetry, 1, 2**31)
    return AngleFloor(math.log(k), 90.0 * (k * k - k % 2) / (k * k))


@typed
def frequency_floor(order: int, frequency: int) -> float:
    r"""The lowest loss of a head of frequency k for the label "angle" (frequency 1) over C_n: $\log(n / \gcd(n, k-1))$.

    In nats above what the right head reaches, on images turned by all multiples of 360/n degrees. The head turns its
    answer by $k \theta$ where the label turns by $\theta$; so what it learns at one angle is off by $(k - 1) \theta$
    at the others. k = 0 is an invariant head, k = -1 one that turns in the wrong sense. Over SO(2) a wrong k loses
    everything: the loss is at least 0 against uniform (``wedge_cosine`` says what is left on a wedge).

    Arguments:
        order: n.
        frequency: k, any integer.

    Example:
        >>> [round(frequency_floor(24, k), 3) for k in (1, 0, 2, -1, 5, 13)]
        [0.0, 3.178, 3.178, 2.485, 1.792, 0.693]
    """
    n, k = need_integer("order", order, 1, 2**31), need_integer("frequency", frequency)
    return math.log(n // math.gcd(n, k - 1))


@typed
def wedge_cosine(frequency: int, within: float) -> float:
    r"""The best mean cosine between answer and angle for a head of frequency k: $|\sin((k-1) a) / ((k-1) a)|$.

    For turns uniform in -a .. a. So on a narrow wedge a wrong head hardly shows: the data are nearly upright.

    Arguments:
        frequency: k, any integer.
        within: a, in degrees; 180 for all turns.

    Example: the wrong sense.
        >>> [round(wedge_cosine(-1, a), 3) for a in (15, 45, 90, 180)]
        [0.955, 0.637, 0.0, 0.0]
    """
    turn = need_integer("frequency", frequency) - 1
    angle = math.radians(turn * need_number("within", within, above=0, most=180))
    return abs(math.sin(angle) / angle) if angle else 1.0


@typed
def number_floor(slope: float) -> float:
    """The lowest mean error in degrees of an angle that is answered as a *number*: 90 / (K + 1).

    As the image turns once around, a continuous answer comes back to the number where it began. So at some angle of
    every image it is wrong by 180 degrees, and to be wrong on a short stretch alone it must fall steeply there.

    Arguments:
        slope: the number falls by at most K degrees a degree of the turn.

    Example:
        >>> number_floor(0.0), number_floor(9.0)
        (90.0, 9.0)
    """
    return 90 / (need_number("slope", slope, least=0) + 1)


@typed
def between_samples(frequency: int, samples: int) -> float:
    r"""How much higher than at its samples a wave can rise between them: $1 - \cos(\pi L / N)$, in half ranges.

    For a real trigonometric polynomial of degree L with the half range R = (max - min) / 2 and N >= L samples at equal
    distances

    $$ 0 \le \max_\theta \kappa(\theta) - \max_j \kappa(2 \pi j / N) \le R\, (1 - \cos(\pi L / N)), $$

    because near its maximum it stays above the cosine of frequency L that has the same maximum and minimum (Riesz's
    lemma), and some sample is at most pi / N away. Reached where L divides N. It says when the largest of C_N's
    correlations is as good as that of all angles, for features of a limited frequency.

    Arguments:
        frequency: L, at least 1.
        samples: N, at least L.

    References:
        M. Riesz, Eine trigonometrische Interpolationsformel, Jahresbericht der DMV 23 (1914).

    Example:
        >>> [round(between_samples(frequency, 8), 3) for frequency in (1, 2, 3)]
        [0.076, 0.293, 0.617]
    """
    need_integer("frequency", frequency, least=1)
    need_integer("samples", samples, least=frequency)
    return 1 - math.cos(math.pi * frequency / samples)
