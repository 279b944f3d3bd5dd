# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 7 · Invariant contrastive loss
#
# After this notebook you can
#
# - build a similarity of two views that does not change when *each* view is turned by *its own* element, and prove it;
# - choose one of a whole family of such similarities, and say what each member keeps, what it loses, and what it
#   teaches;
# - tell a healthy representation from two collapses that the usual monitor does not see.
#
# **Seen before:** notebooks 1 and 2 (groups, the regular representation); the idea of contrastive learning: two views
# of an image should be alike, views of two images should not. **Time:** about 60 minutes.

# %%
import time
from itertools import pairwise
from statistics import median

from eqssl_edu.contrastive import (
    InfoNCE,
    canonicalize,
    orbit_correlation,
    orbit_distance,
    orbit_similarity,
)
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import irrep_energy, matched_temperature, orbit_collapse
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.exercises import check
from eqssl_edu.exercises.notebook_07 import MEASURES
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.plots import COLOURS, TEMPLATE, image_grid, picture, row
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import ByHand, OrbitCorrelationExplorer

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from IPython.display import HTML
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

C4, D4, C8 = cyclic(4), dihedral(4), cyclic(8)
data = digits(16)


def noise(*shape, seed=0):
    """Random numbers in double precision that are the same in every run."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def elements(group, count, seed=0):
    """One random element of the group for each of `count` samples."""
    return torch.randint(group.order, (count,), generator=torch.Generator().manual_seed(seed))


def unit(z):
    """Features (B, C, |G|), each divided by its length."""
    return z / z.flatten(1).norm(dim=1)[:, None, None]


# %% [markdown]
# ## 7.1 Two views, two sliders
#
# We need an encoder that minds how an image is turned. So we let a $C_4$ network learn for a few seconds which way up a
# digit is (notebook 5 says how). Then it stays as it is: this notebook is about what we do with its features.
#
# Each digit gets two **views**: shifted, scaled and noisy copies.

# %%
torch.manual_seed(0)
pretext = PretextModel(GroupCNN(C4, channels=(8, 16, 16)), RotationTask(C4))
Pretrainer(pretext, data.train.images, epochs=3, batch_size=64, lr=1e-2).fit()
encoder = pretext.encoder.cpu().double().eval()  # it may have learned on a GPU

images = data.test.images[:200].double()  # (200, 1, 16, 16)
draws = torch.Generator().manual_seed(0)
views1, views2 = (RandomView(noise=0.05)(images, draws) for _ in range(2))


class Centred(nn.Module):
    """An encoder whose features lack what all images have in common."""

    def __init__(self, encoder, images):
        super().__init__()
        self.encoder, self.group = encoder, encoder.group
        average = encoder(images).detach().mean(dim=(0, 2), keepdim=True)  # (1, 16, 1): no turn changes it
        self.register_buffer("average", average)

    def forward(self, x):
        return self.encoder(x) - self.average


centred = Centred(encoder, images)


@torch.no_grad()
def features(x):
    """Features (B, 16, 4) of length 1."""
    return unit(centred(x))


z1, z2 = features(views1), features(views2)
print("one view:", tuple(views1[:1].shape), " its features:", tuple(z1[:1].shape))

# %% [markdown]
# The features of the two views are tables $z$ and $w$ of shape `(16, 4)`. The polar plot below shows four numbers,
# $\kappa[g] = \langle z, \rho(g)\,w \rangle$: the inner product of $z$ with each turned copy of $w$.
#
# **Predict.** Turn the first view by 90 degrees. What happens to the four bars? And then the second view as well?

# %%
views = OrbitCorrelationExplorer(centred, images[:16], (views1[:16], views2[:16]))
views

# %% [markdown]
# **Seen:** the bars change places, and no bar changes its length. Turn both views by the same angle, and the bars are
# where they were. The loss with the *plain* similarity moves, because it reads one fixed bar. The others stand still.

# %%
for first, second in ((1, 0), (1, 3), (2, 2)):
    views.set_state(first=first, second=second)
    changes = views.changes()
    print(first, second, {kind: f"{change:+.1e}" for kind, change in changes.items()})
    for kind, change in changes.items():
        if kind != "plain":
            assert abs(change) < 1e-12
        elif first != second:
            assert abs(change) > 0.01
assert torch.allclose(
    torch.tensor(views.values["kappa_before"]).double(), orbit_correlation(C4, z1, z2)[0, 0]
)
views.set_state(image=0, first=0, second=0)

# %% [markdown]
# ## 7.2 What the plain similarity punishes
#
# A contrastive loss asks: is the partner of a view more like it than a stranger? Let us look at the plain similarity
# $\langle z, w \rangle$ of partners, of partners where one view is turned, and of strangers.
#
# **Predict.** Where will the turned partners lie: with the partners, or with the strangers?

# %%
turns = torch.randint(1, 4, (200,), generator=draws)  # 1, 2 or 3 quarter turns: one for each image
z2_turned = features(C4.transform(views2, turns))  # (200, 16, 4)


def kinds_of_pairs(kind):
    """The similarities of partners, of partners of which one is turned, and of strangers."""
    table = orbit_similarity(C4, z1, z2, kind)  # (200, 200)
    turned = orbit_similarity(C4, z1, z2_turned, kind).diagonal()
    return {
        "partners": table.diagonal(),
        "turned by 90° or 270°": turned[turns != 2],
        "turned by 180°": turned[turns == 2],
        "strangers": table[~torch.eye(200, dtype=torch.bool)][::199],
    }


def boxes(kind):
    figure = go.Figure(layout={"template": TEMPLATE, "height": 320, "width": 780, "showlegend": False})
    for (name, values), colour in zip(kinds_of_pairs(kind).items(), COLOURS, strict=False):
        figure.add_box(x=values, name=name, marker_color=colour, boxpoints="all", jitter=0.6, marker_size=3)
    figure.update_layout(title=f"The {kind} similarity of partners, turned partners and strangers")
    return figure.update_xaxes(title="similarity").update_yaxes(
        title={"text": "pairs", "standoff": 30}, automargin=True
    )


boxes("plain")

# %% [markdown]
# **Seen:** after a quarter turn the partners lie far *below* the strangers. A stranger that stands upright counts as
# more alike than one's own turned copy. After a half turn they lie among the strangers: to this network many digits
# look alike upside down. A network that is trained so has two ways out: forget which way up an image is, or lose.
#
# How often is the partner the most similar of the 200?


# %%
def finds_partner(kind, w):
    """How often view i of the first kind finds view i among all w."""
    return (orbit_similarity(C4, z1, w, kind).argmax(dim=1) == torch.arange(200)).double().mean().item()


found = {kind: (finds_partner(kind, z2), finds_partner(kind, z2_turned)) for kind in ("plain", "max")}
for kind, (upright, turned) in found.items():
    print(f"{kind:5} finds the partner in {upright:.0%} of the cases, and turned in {turned:.0%}")

medians = {name: float(values.median()) for name, values in kinds_of_pairs("plain").items()}
print("medians:", {name: round(value, 2) for name, value in medians.items()})
assert medians["turned by 90° or 270°"] < medians["strangers"] - 0.5
assert abs(medians["turned by 180°"] - medians["strangers"]) < 0.25
assert found["plain"][1] < 0.5 * found["plain"][0]
assert found["max"][0] == found["max"][1]

# %% [markdown]
# ## 7.3 The bars only change places
#
# Now we build $\kappa$ ourselves, for whole batches. For $z$ of shape `(B, C, |G|)` and $w$ of shape `(B', C, |G|)`
#
# $$ \kappa(z, w)[g] = \langle z, \rho(g)\,w \rangle, \qquad \text{shape } (B, B', |G|). $$
#
# ### Exercise 0 · Three lines
#
# `group.transform_features(w, g)` is $\rho(g)\,w$. Stack the copies, and multiply: in `torch.einsum`, the letters that
# are missing after the arrow are summed.


# %%
def my_kappa(group, z, w):
    """All inner products of z (B, C, |G|) with the turned copies of w (B', C, |G|): (B, B', |G|)."""
    # BEGIN SOLUTION
    # GAP: # copies = torch.stack([...])  and then  return torch.einsum("...,...->...", z, copies)
    # GAP: ...
    copies = torch.stack([group.transform_features(w, g) for g in group.elements])  # (|G|, B', C, |G|)
    return torch.einsum("bch,gdch->bdg", z, copies)
    # END SOLUTION


check("07.kappa", my_kappa)

# %% tags=["solution-only"]
assert check("07.kappa", my_kappa).ok
for group in (C4, D4):
    z, w = noise(5, 3, group.order), noise(7, 3, group.order, seed=1)
    assert torch.allclose(my_kappa(group, z, w), orbit_correlation(group, z, w), rtol=0, atol=1e-12)

# %% [markdown]
# The library's `orbit_correlation` is the same function; from here on we use it.
#
# Take the group $D_4$, with eight elements: four rotations (0 to 3) and four reflections (4 to 7). Below, $z$ is
# moved by the element *first* and $w$ by the element *second*. Each bar keeps its colour and its letter.
#
# **Predict.** What do the bars do with *first* = 1? Is it the same with *second* = 1?

# %%
LETTERS = "abcdefgh"
INKS = (*COLOURS[:6], "#888888", "#b8960c")
left_z, right_w = unit(noise(1, 4, 8, seed=688)), unit(noise(1, 4, 8, seed=689))
eight = orbit_correlation(D4, left_z, right_w)[0, 0]  # (8,): kappa before anything moves


def bars(values, names, inks):
    """Eight numbers as bars of HTML; bars to the right are positive."""
    lines = []
    for g, (value, name, ink) in enumerate(zip(values.tolist(), names, inks, strict=True)):
        length, start = abs(value) * 300, 150 + min(value, 0) * 300
        bar = f"position:absolute;left:{start:.0f}px;width:{length:.0f}px;height:16px;background:{ink}"
        lines.append(
            f'<div style="display:flex;gap:10px;line-height:20px"><span style="width:70px">κ[{g}] = </span>'
            f'<span style="width:60px">{value:+.3f}</span><b style="width:14px">{name}</b>'
            f'<span style="position:relative;width:300px;height:16px"><span style="{bar}"></span></span></div>'
        )
    return "".join(lines)


def moved(first, second):
    """kappa after z was moved by `first` and w by `second`, and where each of its values was before."""
    after = orbit_correlation(
        D4, D4.transform_features(left_z, first), D4.transform_features(right_w, second)
    )[0, 0]
    origin = [int((eight - value).abs().argmin()) for value in after]
    return after, origin


def eight_bars(first, second):
    after, origin = moved(first, second)
    text = (
        f"plain: <b>{after[0]:+.3f}</b>, mean: <b>{after.mean():+.3f}</b>, largest: <b>{after.max():+.3f}</b>"
    )
    return row([f"<div>{bars(after, [LETTERS[h] for h in origin], [INKS[h] for h in origin])}</div>"], text)


ByHand(eight_bars, first=range(8), second=range(8))

# %% [markdown]
# **Seen:** all eight letters are always there, each with its own length. With *first* = 1 the rotations a to d move
# one place, and the reflections e to h as well. With *second* = 1 the rotations move the other way, and the
# reflections as before. In a commutative group *second* would undo *first* for every bar; $D_4$ does not commute.

# %%
assert "".join(LETTERS[h] for h in moved(1, 0)[1]) == "dabchefg"
assert "".join(LETTERS[h] for h in moved(0, 1)[1]) == "bcdahefg"
assert all(sorted(moved(a, b)[1]) == list(range(8)) for a in D4.elements for b in D4.elements)

# %% [markdown]
# The rule follows in one line, because $\rho$ is orthogonal. With $z$ moved by $a$ and $w$ by $b$,
#
# $$ \langle \rho(a) z, \rho(g) \rho(b) w \rangle = \langle z, \rho(a^{-1} g b)\, w \rangle . $$
#
# ### Exercise 1 · Where was it before?
#
# So which old value stands at $g$ now? Write it with the tables `group.product[g, h]` and `group.inverse[g]`.


# %%
def origin(group, g, a, b):
    """The element whose value of kappa comes to stand at g when z is moved by a and w by b."""
    # BEGIN SOLUTION
    return int(group.product[group.product[group.inverse[a], g], b])
    # END SOLUTION


check("07.origin", origin)

# %% tags=["solution-only"]
assert check("07.origin", origin).ok
assert all(
    moved(a, b)[1] == [origin(D4, g, a, b) for g in range(8)] for a in D4.elements for b in D4.elements
)

# %% [markdown]
# For fixed $a$ and $b$, the map $g \mapsto a^{-1} g b$ takes each value once: it **permutes** the group. So we have
# the theorem of this notebook:
#
# > Every function of $\kappa$ that does not care about the order of its values is unchanged when each input is
# > transformed by its own element.
#
# The cell that proves it: 16 features against 16, each of the 32 moved by an element of its own, to twelve digits.

# %%
z, w = unit(noise(16, 5, 8)), unit(noise(16, 5, 8, seed=1))
a, b = elements(D4, 16, seed=2), elements(D4, 16, seed=3)
z_moved, w_moved = D4.transform_features(z, a), D4.transform_features(w, b)

before, after = orbit_correlation(D4, z, w), orbit_correlation(D4, z_moved, w_moved)
for i in range(16):
    for j in range(16):
        place = D4.product[D4.product[D4.inverse[a[i]]], b[j]]  # (8,): a^-1 g b for all g
        assert torch.allclose(after[i, j], before[i, j, place], rtol=0, atol=1e-12)

for kind in ("plain", "mean", "max", "soft", "power2", "power3"):
    change = (orbit_similarity(D4, z_moved, w_moved, kind) - orbit_similarity(D4, z, w, kind)).abs().max()
    print(f"{kind:7} changes by up to {change:.0e}")
    assert change > 0.1 if kind == "plain" else change < 1e-12

# %% [markdown]
# ## 7.4 One family, from pooling to the maximum
#
# Which symmetric function? Here are five, as functions of $\kappa$ of shape `(..., |G|)`. The first three are one
# formula with $p = 1, 2, 3$; *soft* has a temperature $t$.


# %%
def similarity(kappa, kind, t=0.2):
    """One number for each pair, from its |G| values."""
    if kind in ("mean", "power2", "power3"):
        p = {"mean": 1, "power2": 2, "power3": 3}[kind]
        return kappa.pow(p).mean(dim=-1)
    if kind == "soft":
        return t * (kappa / t).exp().mean(dim=-1).log()
    return kappa.amax(dim=-1)  # max


FAMILY = ("mean", "power2", "power3", "soft", "max")
for kind in FAMILY:
    assert torch.allclose(similarity(before, kind), orbit_similarity(D4, z, w, kind), rtol=0, atol=1e-12)

# %% [markdown]
# ### p = 1 is pooling
#
# **Predict.** The mean of $\kappa$ needs |G| inner products of `(C, |G|)` tables. Is there a cheaper way to the same
# number?

# %%
pooled_z, pooled_w = z.mean(dim=2), w.mean(dim=2)  # (16, 5): the group axis is gone
assert torch.allclose(similarity(before, "mean"), 8 * pooled_z @ pooled_w.T, rtol=0, atol=1e-12)

# %% [markdown]
# **Seen:** it is the inner product of the *pooled* features, times |G|. This is what most people do with a group
# network: pool over the group, then use any loss. It absorbs all turns. It also throws away everything but one number
# per channel.
#
# ### Wheels
#
# To see what the others throw away, take the simplest regular features: one channel, group $C_8$. Such a table `(1,
# 8)` can be painted as a wheel with eight sectors. Turning the wheel moves the table round.
#
# **Predict.** Which of these five wheels can be turned into the first?


# %%
def wheel(z, side=96):
    """A picture (side, side) of features (1, |G|): sector h has the value z[0, h]."""
    place = torch.linspace(-1, 1, side, dtype=torch.float64)
    y, x = -place[:, None], place[None, :]
    sector = (torch.atan2(y, x) / (2 * torch.pi) * z.shape[1]).round().long() % z.shape[1]
    return z[0, sector] * (x**2 + y**2 < 1)


def painted(plane, name, values, *looks):
    """A picture whose text for screen readers has the numbers that it shows."""
    numbers = ", ".join(f"{value:.1f}" for value in values.flatten().tolist())
    return picture(plane, name, *looks).replace(f'alt="{name}"', f'alt="{name}: {numbers}"')


def rephased(z, degrees):
    """Wheels (C, 8) whose second frequency has been shifted in phase: same strengths of all frequencies."""
    spectrum = torch.fft.rfft(z)  # (C, 5) complex: frequencies 0 to 4
    phase = torch.ones(5, dtype=torch.complex128)
    phase[2] = torch.polar(torch.ones(1).double(), torch.tensor([degrees]).double().deg2rad())[0]
    return torch.fft.irfft(spectrum * phase, n=8)


wheel_1 = torch.tensor([[1.0, 0.6, -0.4, 0.2, -0.1, -0.8, 0.4, -0.5]], dtype=torch.float64)
wheels = {
    "first": wheel_1,
    "turned": C8.transform_features(wheel_1, 3),
    "other order": wheel_1[:, [0, 2, 1, 4, 3, 7, 5, 6]],
    "mirrored": wheel_1.flip(1),
    "rephased": rephased(wheel_1, 120.0),
}
reach = (-1.1, 1.1)
key = "Sector 0 is on the right, the next ones follow anticlockwise. Blue is negative, white 0, orange positive."
HTML(row([painted(wheel(z), name, z, True, reach, 120) for name, z in wheels.items()], key))

# %% [markdown]
# Only the second. (The others have the same eight values in another order, or the same length.) The next table
# compares each of them with the first wheel, relative to what the first wheel has with itself. **1.000 means: this
# similarity cannot tell the two wheels apart.**

# %%
own = {kind: orbit_similarity(C8, wheel_1[None], wheel_1[None], kind)[0, 0] for kind in FAMILY}
against_first = {
    name: {
        kind: float(orbit_similarity(C8, wheel_1[None], z[None], kind)[0, 0] / own[kind]) for kind in FAMILY
    }
    for name, z in wheels.items()
}


def as_table(rows, mark):
    """Numbers as an HTML table; those that `mark` says yes to are framed and bold."""
    columns = next(iter(rows.values()))
    head = "".join(f"<th>&nbsp;&nbsp;{column}</th>" for column in columns)
    lines = []
    for name, numbers in rows.items():
        cells = "".join(
            f'<td style="text-align:right">{f"<b>[{v:.3f}]</b>" if mark(v) else f"{v:.3f}"}</td>'
            for v in numbers.values()
        )
        lines.append(f'<tr><th style="text-align:left">{name}</th>{cells}</tr>')
    return f"<table><tr><th></th>{head}</tr>{''.join(lines)}</table>"


def alike(value):
    return abs(value - 1) < 1e-9


HTML(as_table(against_first, alike))

# %% [markdown]
# **Seen:** the first three see more and more, and the last two as much as the third.
#
# - *mean* (p = 1) cannot tell any of the five apart: it knows the mean value and nothing else.
# - *power2* knows how strong each frequency is, the **power spectrum**. It is blind to phases: to the mirrored wheel
#   and to the rephased one. Two different pictures, the same power spectrum. (Of several channels it knows the phases
#   relative to each other; it is blind only to a phase that all of them have in common.)
# - *power3* also knows how the phases of different frequencies hang together: the **triple correlation**, or
#   bispectrum. Only the turned wheel is the same to it. *Soft* and *max* agree.

# %%
blind = {kind: {name for name in wheels if alike(against_first[name][kind])} for kind in FAMILY}
assert blind["mean"] == set(wheels)
assert blind["power2"] == {"first", "turned", "mirrored", "rephased"}
assert blind["power3"] == blind["soft"] == blind["max"] == {"first", "turned"}
assert torch.allclose(torch.fft.rfft(wheel_1).abs(), torch.fft.rfft(wheels["rephased"]).abs())

two_wheels = torch.cat([wheel_1, wheels["other order"]])  # (2, 8): two channels
one_shifted = torch.cat([rephased(two_wheels[:1], 120.0), two_wheels[1:]])
itself, both, one = (
    orbit_similarity(C8, two_wheels[None], z[None], "power2")[0, 0]
    for z in (two_wheels, rephased(two_wheels, 120.0), one_shifted)
)
assert alike(both / itself) and not alike(one / itself)

# %% [markdown]
# Move the phase by hand. **Predict** which of the five numbers will never move.


# %%
def by_phase(phase):
    other = rephased(wheel_1, float(phase))
    kappa = orbit_correlation(C8, wheel_1[None], other[None])[0, 0]
    numbers = "; ".join(f"{kind} <b>{similarity(kappa, kind) / own[kind]:.3f}</b>" for kind in FAMILY)
    shown = [
        painted(wheel(z), name, z, True, reach, 130) for name, z in (("first", wheel_1), ("rephased", other))
    ]
    return row(shown, f"{phase} degrees: {numbers}")


ByHand(by_phase, phase=range(0, 361, 15))

# %% [markdown]
# ### Can the wheel be rebuilt?
#
# A similarity $s$ gives a squared distance, $s(z,z) + s(w,w) - 2\,s(z,w)$. For the powers it is a true one: it
# compares $M_p(z)$ with $M_p(w)$, where $M_p$ is the mean over all turns of the $p$-fold products of entries. If it
# is zero, then $w$ has all that $p$ keeps of $z$.
#
# So start with random wheels and let each roll downhill until its distance to the first wheel is zero. **Predict**
# what comes out for $p = 1$, 2 and 3.


# %%
def rebuild(kind, starts=40, steps=500):
    """Random wheels (starts, 1, 8), moved by gradient descent until `kind` takes them for the first one."""
    w = (0.6 * noise(starts, 1, 8, seed=4)).requires_grad_()
    optimizer = torch.optim.Adam([w], lr=0.2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        itself = similarity(orbit_correlation(C8, w, w).diagonal().T, kind)
        distance = own[kind] + itself - 2 * similarity(orbit_correlation(C8, w, wheel_1[None])[:, 0], kind)
        optimizer.zero_grad()
        distance.sum().backward()
        optimizer.step()
        schedule.step()
    return w.detach(), distance.detach().abs() / own[kind]


rebuilt = {kind: rebuild(kind) for kind in ("mean", "power2", "power3")}
rows = [row([painted(wheel(wheel_1), "the first wheel", wheel_1, True, reach, 90)])]
for kind, (w, left) in rebuilt.items():
    best = left.argsort()[:6]
    away = orbit_distance(C8, w, wheel_1[None])[:, 0]
    shown = [painted(wheel(w[i]), f"{away[i]:.2f} away", w[i], True, reach, 90) for i in best]
    rows.append(row(shown, f"<b>{kind}</b>: six wheels that it takes for the first one"))
HTML("".join(rows))

# %% [markdown]
# **Seen:** *mean* accepts anything with the right mean value, and *power2* accepts wheels that are clearly others.
# Each wheel that *power3* accepts **is** the first wheel, turned. For almost all features $p = 3$ is complete: no
# higher power is needed.


# %%
for kind, (w, left) in rebuilt.items():
    accepted = w[left < 1e-6]
    away = orbit_distance(C8, accepted, wheel_1[None])[:, 0]
    print(f"{kind:7} {len(accepted)} of {len(w)} arrive, the farthest is {away.max():.3f} from the orbit")
    assert len(accepted) >= 6
    assert away.max() < 0.03 if kind == "power3" else away.median() > 0.3

# %% [markdown]
# ### Soft is between mean and max
#
# $s = t \log \mathrm{mean}_g \exp(\kappa[g] / t)$. **Predict** the value for a very small and a very large
# temperature $t$.

# %%
kappa = torch.tensor([0.8, 0.1, 0.35, -0.2], dtype=torch.float64)
temperatures = torch.logspace(-2.5, 2, 60)
figure = go.Figure(layout={"template": TEMPLATE, "height": 360, "width": 780})
soft = [float(similarity(kappa, "soft", t)) for t in temperatures]
figure.add_scatter(x=temperatures, y=soft, name="soft", line_color=COLOURS[0])
for value, name, colour in ((kappa.max(), "max", COLOURS[1]), (kappa.mean(), "mean", COLOURS[2])):
    figure.add_scatter(
        x=[0.003, 100], y=[float(value)] * 2, name=name, mode="lines", line={"color": colour, "dash": "dash"}
    )
figure.update_layout(title="The soft similarity of κ = (0.8, 0.1, 0.35, −0.2)")
figure.update_xaxes(title="temperature t", type="log", tickvals=[0.01, 0.1, 1, 10, 100])
figure.update_yaxes(title="similarity")
figure

# %% [markdown]
# **Seen:** the maximum for small $t$, the mean for large $t$, and never outside. With *max* one turned copy of the
# partner is the positive; with *soft* all |G| copies are, each as much as it fits.

# %%
assert all(earlier >= later for earlier, later in pairwise(soft))
assert abs(similarity(kappa, "soft", 1e-2) - kappa.max()) < 0.02
assert abs(similarity(kappa, "soft", 1e3) - kappa.mean()) < 1e-3

# %% [markdown]
# ### A shortcut that loses something
#
# Why not take the maximum of *each channel* over the group, and the cosine of what remains? It absorbs all turns, and
# it is cheap.
#
# Two channels of $C_4$: the first answers to the letter F, the second to the letter R, in each of four orientations.
# Image 1 shows both upright. In image 2 the R alone is turned by 90 degrees. **Predict** what the shortcut says about
# the two.

# %%
answer_of_F = torch.tensor([1.0, 0.2, 0.0, 0.2], dtype=torch.float64)
answer_of_R = torch.tensor([0.9, 0.1, 0.3, 0.1], dtype=torch.float64)
both_upright = unit(torch.stack([answer_of_F, answer_of_R])[None])  # (1, 2, 4)
r_turned = unit(torch.stack([answer_of_F, answer_of_R.roll(1)])[None])
both_turned = C4.transform_features(both_upright, 1)

pairs = {"both letters turned": both_turned, "R alone turned": r_turned}
rows = {
    name: {
        kind: float(
            orbit_similarity(C4, both_upright, other, kind) / orbit_similarity(C4, *[both_upright] * 2, kind)
        )
        for kind in (*FAMILY, "maxpool")
    }
    for name, other in pairs.items()
}
tables = [
    painted(z[0], name, z, False, (0, 0.75), 120)
    for name, z in {"both upright": both_upright, **pairs}.items()
]
key = "Channel F above, channel R below; four orientations. Dark blue is 0, yellow the strongest answer."
HTML(row(tables, key) + as_table(rows, alike))

# %% [markdown]
# **Seen:** each channel picks its own $g$, so the *relative* orientation of F and R is lost. The mean has lost it as
# well. The others turn all channels *together* and see the difference.

# %%
assert all(alike(value) for value in rows["both letters turned"].values())
assert {kind for kind, value in rows["R alone turned"].items() if alike(value)} == {"mean", "maxpool"}

# %% [markdown]
# ## 7.5 Canonicalisation, and how it jumps
#
# There is another way to absorb a turn: bring every $z$ into a *canonical* pose first, for instance so that its
# largest entry comes first. Then the plain similarity will do, and it needs $B^2$ products instead of $B^2 |G|$.
#
# A wheel with two bright sectors. The left one grows, slowly, from darker than the right one to brighter. We compare
# with a fixed wheel that has one bright sector and a dimmer one beside it.
#
# **Predict** the two curves: the canonical similarity, and the maximum of $\kappa$.


# %%
def two_bright(height):
    z = torch.tensor([[1.0, 0.4, 0, 0, 0, 0, 0, 0]], dtype=torch.float64)
    z[0, 4] = height
    return z


fixed = unit(two_bright(0.0)[None])
heights = [0.8 + 0.01 * step for step in range(41)]
curves = {
    kind: [float(orbit_similarity(C8, unit(two_bright(h)[None]), fixed, kind)) for h in heights]
    for kind in ("canonical", "max")
}
figure = go.Figure(layout={"template": TEMPLATE, "height": 360, "width": 780})
for (kind, values), colour in zip(curves.items(), COLOURS[1::-1], strict=True):
    figure.add_scatter(x=heights, y=values, name=kind, mode="lines+markers", line_color=colour)
figure.update_layout(title="A wheel changes slowly: two similarities with a fixed wheel")
figure.update_xaxes(title="brightness of the left sector (the right one has 1)")
figure.update_yaxes(title="similarity")
display(figure)
shown = {"fixed wheel": 0.0} | {f"left sector {height}": height for height in (0.8, 1.0, 1.2)}
key = "Dark blue is 0, yellow the brightest."
HTML(
    row([painted(wheel(z := two_bright(h)), name, z, False, (0, 1.2), 90) for name, h in shown.items()], key)
)

# %% [markdown]
# **Seen:** at 1.0, where the largest entry changes its place, the canonical similarity *jumps*; the wheel itself
# hardly changed. The maximum of $\kappa$ goes on smoothly there. Later, at 1.16, another turn fits better, and it has a
# kink, but no jump. Both absorb every turn. But near a tie a canonical pose is luck, and a gradient does not know about
# the jump.

# %%
steps = {kind: max(abs(x - y) for x, y in pairwise(c)) for kind, c in curves.items()}
print({kind: f"largest step {step:.3f}" for kind, step in steps.items()})
assert steps["canonical"] > 0.05 and steps["max"] < 0.01
jump = max(range(40), key=lambda i: abs(curves["canonical"][i + 1] - curves["canonical"][i]))
bends = [abs(x - 2 * y + z) for x, y, z in zip(*(curves["max"][i:] for i in range(3)), strict=False)]
kink = heights[1 + bends.index(max(bends))]
assert heights[jump] < 1.011 and heights[jump + 1] > 0.999 and abs(kink - 1.16) < 0.011
turned = C8.transform_features(z := noise(20, 3, 8), elements(C8, 20))
assert torch.equal(canonicalize(C8, turned), canonicalize(C8, z))

# %% [markdown]
# ## 7.6 Which channels learn?
#
# All members of the family absorb the turns. They differ in what they *teach*. We take the real features of our 200
# pairs, InfoNCE over the batch, and look at the gradient at the unit features. The regular representation of $C_4$
# splits into three parts: *trivial* (constant along the group axis), *frequency 1* and *frequency 2*. Which parts
# does the gradient reach?
#
# **Predict** the answer for *mean*.


# %%
def gradient(kind, t=0.2):
    """The gradient of InfoNCE with a similarity of unit features, at the first views: (200, 16, 4)."""
    u = z1.clone().requires_grad_()
    logits = orbit_similarity(C4, u, z2, kind, t) / t
    F.cross_entropy(logits, torch.arange(200)).backward()
    return u.grad


shares = {}
for kind in ("plain", *FAMILY):
    energy = irrep_energy(C4, gradient(kind))
    shares[kind] = {part: value / sum(energy.values()) for part, value in energy.items()}
figure = go.Figure(layout={"template": TEMPLATE, "height": 360, "width": 780, "barmode": "stack"})
for part, colour in zip(energy, COLOURS, strict=False):
    figure.add_bar(x=list(shares), y=[s[part] for s in shares.values()], name=part, marker_color=colour)
figure.update_layout(title="Where the gradient goes")
figure.update_xaxes(title="similarity")
figure.update_yaxes(title="share of the gradient's energy")
figure

# %% [markdown]
# **Seen:** with *mean* the whole gradient lies in the trivial part. Whatever the network knows about orientation gets
# no lesson: those channels learn nothing. With the others the orientation takes part in the learning. (When features
# are normalised before the loss, there is one more effect: they can grow only at each other's cost, so what is not
# taught shrinks. Section 7.11 shows it.)

# %%
for kind, share in shares.items():
    print(f"{kind:7}", "  ".join(f"{part} {abs(value):.3f}" for part, value in share.items()))
assert shares["mean"]["trivial"] > 1 - 1e-12
assert all(shares[kind]["trivial"] < 0.95 for kind in ("power2", "power3", "soft", "max"))

# %% [markdown]
# ### Turning the views changes no gradient
#
# **Predict.** People turn training images at random, so that the network sees more. What does this do here, with a
# loss that absorbs turns and an equivariant network?
#
# We compute the gradient at *every weight of the network* twice: with the views as they are, and with each of the 200
# views turned by its own element.


# %%
def weight_gradient(kind, first, second):
    """The gradient of InfoNCE at all weights of the encoder, as one vector."""
    loss = InfoNCE(C4, kind)(encoder(first), encoder(second))
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(encoder.parameters()))])


turned1 = C4.transform(views1, elements(C4, 200, seed=1))
turned2 = C4.transform(views2, elements(C4, 200, seed=2))
for kind in ("plain", "mean", "soft", "max"):
    upright = weight_gradient(kind, views1[:100], views2[:100])
    turned = weight_gradient(kind, turned1[:100], turned2[:100])
    change = float((turned - upright).norm() / upright.norm())
    print(f"{kind:7} the gradient changes by {change:.0e} of its size")
    assert change > 0.1 if kind == "plain" else change < 1e-10

# %% [markdown]
# **Seen:** nothing, to ten digits. For these losses, rotation augmentation by elements of the group is not weak or
# strong; it does *not exist*. One need not pay for it.
#
# ## 7.7 The temperature is not the same temperature
#
# **Predict.** Random features of two unrelated images have plain similarity 0 on average. And the maximum over |G|
# values that are 0 on average?

# %%
orders = (1, 2, 4, 8, 16)
by_size = {}
for size in (32, 256):  # numbers in a feature: C times |G|
    by_size[size] = []
    for n in orders:
        z, w = unit(noise(200, size // n, n)), unit(noise(200, size // n, n, seed=1))
        by_size[size].append(float(orbit_similarity(cyclic(n), z, w, "max").mean()))
figure = go.Figure(layout={"template": TEMPLATE, "height": 360, "width": 780})
for (size, values), colour in zip(by_size.items(), COLOURS, strict=False):
    figure.add_scatter(x=orders, y=values, name=f"C·|G| = {size}", mode="lines+markers", line_color=colour)
figure.update_layout(title="The max similarity of strangers with random features")
figure.update_xaxes(title="order of the group", type="log", tickvals=orders)
figure.update_yaxes(title="mean of max κ", rangemode="tozero")
figure

# %% [markdown]
# **Seen:** it rises with the size of the group, and more so for small features. A stranger may choose its best pose.
# So between a perfect positive (similarity 1) and a stranger there is *less room* for *max* than for *plain*, and at
# one temperature the two losses are not equally strict. To compare them, give each the temperature at which the gap,
# in units of the temperature, is the same:

# %%
for values in by_size.values():
    assert all(smaller < larger for smaller, larger in pairwise(values))
assert abs(by_size[32][2] - 0.18) < 0.02 and abs(by_size[256][2] - 0.064) < 0.01

random_features = noise(300, 8, 4)
for kind in ("plain", "soft", "max"):
    t = matched_temperature(C4, random_features, kind, 0.2)
    similarities = orbit_similarity(C4, unit(random_features), unit(random_features), kind, t)
    gap = similarities.diagonal().mean() - similarities[~torch.eye(300, dtype=torch.bool)].mean()
    print(f"{kind:6} t = {t:.3f}: gap {gap:.3f}, gap / t = {gap / t:.2f}")
    assert abs(gap / t - 5.0) < 0.05  # plain: a gap of 1 at t = 0.2
assert matched_temperature(C4, random_features, "max", 0.2) < 0.18

# %% [markdown]
# ## 7.8 A distance between orbits
#
# For unit vectors $\lVert z - \rho(g) w \rVert^2 = 2 - 2\,\kappa[g]$. So the maximum of $\kappa$ belongs to
#
# $$ d(z, w) = \min_g \lVert z - \rho(g)\,w \rVert . $$
#
# This is a **metric on orbits**: zero only for $w$ in the orbit of $z$, symmetric, and with the triangle inequality.
#
# **Predict.** Is $d^2$ a metric as well?

# %%
points = torch.cat([noise(20, 2, 4) * scale for scale in (0.3, 1, 3)])  # (60, 2, 4), short and long ones
d = orbit_distance(C4, points, points)


def triangle_violations(d):
    """How many triples i, j, k have d[i, k] > d[i, j] + d[j, k]."""
    return int((d[:, None, :] > d[:, :, None] + d[None, :, :] + 1e-6).sum())


turned = C4.transform_features(points, elements(C4, 60))
assert orbit_distance(C4, points, turned).diagonal().max() < 1e-6  # zero on an orbit
assert d[~torch.eye(60, dtype=torch.bool)].min() > 0.1  # and only there
assert torch.allclose(d, d.T, rtol=0, atol=1e-7)
assert torch.allclose(
    orbit_distance(C4, turned, points), d, rtol=0, atol=1e-6
)  # the pose of a point does not matter
print(
    f"triangle inequality violated: by d in {triangle_violations(d)} triples, by d² in {triangle_violations(d**2)}"
)
assert triangle_violations(d) == 0 < triangle_violations(d**2)

# %% [markdown]
# A metric is what nearest neighbours, spread and clustering need. Who are the neighbours of a digit that lies on its
# side?
#
# **Predict** for the plain distance and for the distance of orbits.

# %%
library, queries = data.train.images[:600].double(), images
queries_turned = C4.transform(queries, turns)
z_library, z_queries, z_turned = (features(x) for x in (library, queries, queries_turned))


def plain_distance(group, z, w):
    return torch.cdist(z.flatten(1), w.flatten(1))


def nearest(distance, z, count=1):
    """The indices of the nearest images of the library."""
    return distance(C4, z, z_library).topk(count, largest=False).indices


def neighbours(query, pose):
    z, shown = (z_turned, queries_turned) if pose == "turned" else (z_queries, queries)
    rows = []
    for name, distance in (("plain distance", plain_distance), ("distance of orbits", orbit_distance)):
        found = nearest(distance, z[query : query + 1], 6)[0]
        pictures = [picture(shown[query, 0], "query", side=76)]
        pictures += [picture(library[i, 0], f"a {data.train.labels[i]}", side=76) for i in found]
        rows.append(row(pictures, f"<b>{name}</b>: the query and its six nearest images"))
    return "".join(rows)


ByHand(neighbours, query=range(0, 40), pose=["turned", "upright"])

# %%
score = {}
for name, distance in (("plain", plain_distance), ("orbits", orbit_distance)):
    for pose, z in (("upright", z_queries), ("turned", z_turned)):
        found = data.train.labels[nearest(distance, z)[:, 0]]
        score[name, pose] = float((found == data.test.labels[:200]).double().mean())
        print(f"{name:7} {pose:8} nearest neighbour has the right label: {score[name, pose]:.1%}")
assert score["orbits", "upright"] == score["orbits", "turned"]
assert score["plain", "turned"] < score["plain", "upright"] - 0.1

# %% [markdown]
# **Seen:** the distance of orbits finds the same neighbours in every pose. (It has no better features; it compares
# them in a better way.)
#
# ## 7.9 What does it cost?
#
# All $B^2 |G|$ values of $\kappa$ are **one matrix product**: put the |G| turned copies of $z$ below each other,
# `(B|G|, C|G|)`, and multiply with $w$, `(C|G|, B)`. Turning is only copying. **Predict** the ratio of its time to
# that of a bare matrix product of this size.

# %%
B, C = 512, 128
z, w = noise(B, C, 4).float(), noise(B, C, 4, seed=1).float()
left, right = noise(4 * B, 4 * C).float(), noise(4 * C, B).float()
with FlopCounterMode(display=False) as counter:
    orbit_correlation(C4, z, w)
products = B * B * 4 * (4 * C)
print(f"multiply-adds: {counter.get_total_flops() // 2:,}; B² |G| D = {products:,}")
assert counter.get_total_flops() == 2 * products


def times_as_long(ours, other, rounds=15):
    """The ratio of two times, each round measured side by side; the median, since computers do other things too."""
    ratios = []
    for _ in range(rounds):
        moments = [time.perf_counter()]
        for work in (ours, other):
            work()
            moments.append(time.perf_counter())
        ratios.append((moments[1] - moments[0]) / (moments[2] - moments[1]))
    return median(ratios)


ratio = times_as_long(lambda: orbit_correlation(C4, z, w), lambda: left @ right)
print(f"orbit correlation / bare matrix product: {ratio:.2f} times")

# %% [markdown]
# **Seen:** little more than the bare product: between 1 and 1.3 on a quiet machine (`benchmarks/results/`). What is
# below 1 is noise.
#
# The plain similarity needs $B^2 D$ multiply-adds, |G| times fewer. In a training step the encoder costs so much more
# that this hardly shows; and the losses go through the pairs in chunks, so that $B^2 |G|$ numbers never have to be
# stored.
#
# ## 7.10 Orbit collapse
#
# A network can cheat. If every image gets the *same* features, all views agree: **collapse**. Everybody knows it, so
# everybody watches a monitor: the spread (standard deviation) of the normalised features. 0 is collapse, 1 is
# healthy.
#
# But our similarities absorb turns. **Predict.** Can all images be alike to *max*, and the usual monitor still read a
# healthy 1?
#
# Let us ask gradient descent. 64 free feature tables `(4, 4)`; the loss wants all of them to be alike in the distance
# of orbits, and it wants the usual monitor to stay high.

# %%
torch.manual_seed(0)
z = noise(64, 4, 4).requires_grad_()
start = z.detach().clone()
optimizer = torch.optim.Adam([z], lr=0.05)
history = []
for step in range(301):
    u = unit(z)
    orbits_apart = 1 - orbit_similarity(C4, u, u, "max").mean()
    usual_monitor = (u - u.mean(dim=0)).square().sum(dim=(1, 2)).mean().sqrt()
    if step % 10 == 0:
        history.append((step, orbit_collapse(C4, z.detach())))
    optimizer.zero_grad()
    (orbits_apart - usual_monitor).backward()
    optimizer.step()
collapsed = z.detach()

lines = {
    "spread (the usual monitor)": [c.spread for _, c in history],
    "orbit spread": [c.orbit_spread for _, c in history],
    "spread of pooled features": [c.pooled_spread for _, c in history],
}
figure = go.Figure(layout={"template": TEMPLATE, "height": 380, "width": 780})
for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
    figure.add_scatter(x=[step for step, _ in history], y=values, name=name, line_color=colour)
figure.update_layout(title="Three monitors during a collapse")
figure.update_xaxes(title="step")
figure.update_yaxes(title="spread", range=[0, 1.05])
figure

# %%
order = orbit_correlation(C4, collapsed, collapsed[:1])[:, 0].argmax(dim=1).argsort()  # sorted by pose
tables = torch.stack([unit(start).flatten(1)[order], unit(collapsed).flatten(1)[order]])
image_grid(
    tables.transpose(1, 2),
    ["before", "after"],
    "64 features, one in each column: 4 channels × 4 elements",
    columns=1,
    signed=True,
    axes=("image", "entry"),
).update_layout(height=420, width=780)

# %% [markdown]
# **Seen:** 64 "different" features, and only *four* different columns: one table $v$ in four poses, $z_i =
# \rho(g_i)\,v$. This is **orbit collapse**. There is no content left at all: the only thing that a feature says is a
# random pose. And the usual monitor reads 1.0, better than before.
#
# The spread in the metric of orbits sees it, the spread of pooled features sees it, and so does the rank, which
# cannot exceed |G|.

# %%
healthy, report = orbit_collapse(C4, start), orbit_collapse(C4, collapsed)
for name, result in (("before", healthy), ("after", report)):
    print(
        f"{name:7} spread {result.spread:.2f}, orbit spread {result.orbit_spread:.2f}, "
        f"rank {result.rank:.1f}: {result.verdict}"
    )
assert report.spread > 0.99 and report.orbit_spread < 0.05 and report.pooled_spread < 0.05
assert report.rank < 4.1 < healthy.rank
assert healthy.verdict == "none" and report.verdict == "orbit collapse"

# %% [markdown]
# ### Exercise 2 · A monitor that sees it
#
# Write a monitor of features `(B, C, |G|)`: one number that is (nearly) 0 in every complete collapse and every orbit
# collapse, large for random features, and that does not depend on the length of the features. Not with
# `orbit_distance`: find an *invariant* first, then its spread.


# %%
def monitor(z):
    """A spread that is 0 if all features lie in one orbit."""
    # BEGIN SOLUTION
    # GAP: # 1. something that no turn changes (B, C)   2. its length   3. its standard deviation over the batch
    # GAP: ...
    pooled = F.normalize(z.amax(dim=2), dim=1)
    return (pooled - pooled.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    # END SOLUTION


check("07.monitor", monitor)

# %% tags=["solution-only"]
assert check("07.monitor", monitor).ok
assert monitor(collapsed) < 0.05 and monitor(start) > 0.2

# %% [markdown]
# ## 7.11 Group collapse
#
# The opposite failure. Take 48 free tables again. Each is its own class; both views are the same table, turned by
# *two independent elements*. We minimise InfoNCE with three similarities, and watch how much of the energy is
# *trivial*, that is, constant along the group axis. Random features start at 1/4.
#
# **Predict** where each of the three will go: *plain*, *mean*, *max*.


# %%
def trivial_share(similarity_kind, count=48, steps=200):
    """Free features under InfoNCE with turned views: their trivial energy, every ten steps, and the features."""
    z = noise(count, 4, 4, seed=5).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.03)
    loss, track = InfoNCE(C4, similarity_kind), []
    for step in range(steps + 1):
        if step % 10 == 0:
            energy = irrep_energy(C4, unit(z.detach()))
            track.append(energy["trivial"] / sum(energy.values()))
        first, second = (
            C4.transform_features(z, elements(C4, count, seed=2 * step + view)) for view in range(2)
        )
        optimizer.zero_grad()
        loss(first, second).backward()
        optimizer.step()
    return track, z.detach()


tracks = {kind: trivial_share(kind) for kind in ("plain", "mean", "max")}
figure = go.Figure(layout={"template": TEMPLATE, "height": 360, "width": 780})
for (kind, (track, _)), colour in zip(tracks.items(), COLOURS, strict=False):
    figure.add_scatter(x=list(range(0, 201, 10)), y=track, name=kind, mode="lines+markers", line_color=colour)
figure.update_layout(title="How much of the features forgets the orientation")
figure.update_xaxes(title="step")
figure.update_yaxes(title="trivial share of the energy", range=[0, 1.05])
figure

# %% [markdown]
# **Seen:** under *plain* the features become constant along the group axis: the only way to be like one's own turned
# copy is to have no orientation. This is **group collapse**. Classes survive, everything equivariant is gone, and an
# equivariant task that comes later has nothing to work with. *Mean* goes the same way for another reason: only the
# trivial part counts, so it grows. With *max* the share rises a little and stays below a half.

# %%
for kind, (track, features) in tracks.items():
    result = orbit_collapse(C4, features)
    print(f"{kind:6} trivial share {track[-1]:.2f}, orbit spread {result.orbit_spread:.2f}: {result.verdict}")
    assert result.orbit_spread > 0.5  # the classes are told apart
    assert result.verdict == ("none" if kind == "max" else "group collapse")
assert tracks["max"][0][0] < 0.3 < tracks["max"][0][-1] <= max(tracks["max"][0]) < 0.5

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can absorb the turn of each view, in five ways, and we know what each way forgets and teaches. We can see both
# collapses. We have not yet trained a real network with any of this: notebook 8 does, and asks what remains of these
# differences at the end.
#
# What we cannot do: say which member is best for *your* images. No theorem says so.
#
# ## Exercises
#
# ### 1 · Turn the slider
#
# In section 7.3, with the eight bars of $D_4$: there is one setting of the two sliders, other than (0, 0), at which
# *every* bar stands at its old place. Which? (Then ask the formula why.)

# %%
# BEGIN SOLUTION
# GAP: setting = ...  # (first, second)
setting = (2, 2)
# END SOLUTION
check("07.all_at_home", setting)

# %% tags=["solution-only"]
assert check("07.all_at_home", setting).ok
assert [(a, b) for a in D4.elements for b in D4.elements if moved(a, b)[1] == list(range(8))] == [
    (0, 0),
    (2, 2),
]

# %% [markdown]
# ### 2 · Write five lines
#
# For $C_n$ the power-2 similarity can be had without turning anything. The Fourier transform of $\kappa$ is
# $\hat\kappa[k] = \sum_c \hat z[c, k]\,\overline{\hat w[c, k]}$ (or its conjugate), and Parseval says $\sum_g
# \kappa[g]^2 = \frac1n \sum_k |\hat\kappa[k]|^2$. Write the similarity of one pair of tables `(C, n)` with
# `torch.fft.fft`.


# %%
def power2_by_spectrum(z, w):
    """The mean of kappa squared, for z and w of shape (C, n), group C_n."""
    # BEGIN SOLUTION
    n = z.shape[1]
    spectrum = (torch.fft.fft(z) * torch.fft.fft(w).conj()).sum(dim=0)  # (n,)
    return spectrum.abs().square().sum() / n**2
    # END SOLUTION


check("07.power2", power2_by_spectrum)

# %% tags=["solution-only"]
assert check("07.power2", power2_by_spectrum).ok

# %% [markdown]
# ### 3 · Think
#
# Which of these measures of two feature tables absorb *independent* turns of both? Decide first; then the check
# measures all eight, under $C_4$ and $D_4$.

# %%
print("\n".join(MEASURES))

# BEGIN SOLUTION
# GAP: absorbing = ...  # a list of some of the names above
absorbing = [
    "the second largest value of kappa",
    "the standard deviation of kappa",
    "cosine after sorting each channel along the group axis",
    "the number of values of kappa above 0",
]
# END SOLUTION
check("07.absorbing", absorbing)

# %% tags=["solution-only"]
assert check("07.absorbing", absorbing).ok

# %% [markdown]
# ## Where to read on
#
# - `eqssl_edu/contrastive/similarity.py`: the family, in one page; `eqssl_edu/diagnostics/collapse.py`: the monitors.
# - R. Kakarala, *The bispectrum as a source of phase-sensitive invariants for Fourier descriptors* (arXiv 0902.0196):
#   why p = 3 is enough.
# - T. Wang and P. Isola, *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere* (arXiv 2005.10242): the two forces, there with the plain distance.
# - Next: **8 · Training with contrastive losses**.
