# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 10b · What a loss buys
#
# After this notebook you can
#
# - write the symmetrisation of any network, and say what the soft loss is the distance to;
# - compare losses that ask for equivariance, each by the action that it really bought;
# - find the monitor that lies, and change its denominator.
#
# **Seen before:** notebooks 8 and 10. **Time:** {minutes} minutes.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_10b as lesson

import torch

SEED = 0  # of all weights, batches and views
C4 = cyclic(4)

# %% [markdown]
# ## 10b.1 A slide to one's own symmetrisation
#
# The last rung of the ladder, *a known action*, has a loss of its own. **Soft equivariance** asks, on all turned images $y = hx$ and
# for all $g$, that the features move by the regular representation:
#
# $$ \operatorname{mean}_{x, h, g}\; \lVert f(g y) - \rho(g) f(y) \rVert^2, \qquad y = h x. $$
#
# What is it the distance *to*? Every $f$ has an equivariant neighbour. Ask all turned copies, and turn back what each one says:
#
# $$ S f(x) = \operatorname{mean}_g\; \rho(g)^{-1} f(g x). $$
#
# ### Exercise 1 · The symmetrisation
#
# `f` makes features `(B, C, |G|)` of images; `group.transform(images, g)` is $gx$, `group.transform_features(z, g)` is $\rho(g) z$,
# and `int(group.inverse[g])` is $g^{-1}$.


# %%
def symmetrised(group, f, images):
    """S f of the images: (B, C, |G|)."""
    # BEGIN SOLUTION
    turned = [f(group.transform(images, g)) for g in group.elements]
    back = [group.transform_features(z, int(group.inverse[g])) for g, z in enumerate(turned)]
    return torch.stack(back).mean(dim=0)
    # END SOLUTION


check("10.symmetrised", symmetrised)

# %% tags=["solution-only"]
assert check("10.symmetrised", symmetrised).ok

# %% [markdown]
# ### Exercise 2 · The soft loss
#
# One number: the mean over the images, all $h$ and all $g$. A squared length is a sum over `(C, |G|)`.


# %%
def soft_loss(group, f, images):
    """The mean of |f(gy) - rho(g) f(y)|^2 over all turned images y and all g."""
    # BEGIN SOLUTION
    parts = []
    for h in group.elements:
        y = group.transform(images, h)
        for g in group.elements:
            difference = f(group.transform(y, g)) - group.transform_features(f(y), g)
            parts.append(difference.square().sum(dim=(1, 2)).mean())
    return torch.stack(parts).mean()
    # END SOLUTION


check("10.soft_loss", soft_loss)

# %% tags=["solution-only"]
assert check("10.soft_loss", soft_loss).ok

# %% [markdown]
# Now slide from $f$, an untrained plain CNN whose 64 numbers are read as a table `(16, 4)`, to its $S f$. The pictures are
# $\rho(g)^{-1} f(g x)$ for a seven: what each turned copy says of the upright one.

# %%
f = lesson.tables_of(lesson.new_networks(SEED)["plain CNN"])
lesson.slide(f, symmetrised, soft_loss)

# %% [markdown]
# **Seen:** At each place of the slider the soft loss is twice the mean squared distance to $S f$, up to rounding. At the end it
# is zero up to rounding, and the four tables are equal. With the quarter turn alone it is another number, between one and two times
# as large.
#
# **Why:** what the four copies say is four points for each image. The mean squared distance of two of them, over all pairs, is twice
# that to their mean, and the mean is $S f$. So to minimise the soft loss is to walk towards $S f$, a step at a time.
# `SymmetrizedEncoder` stands there before the first step, at |G| times the cost of $f$; a group network at the cost of $f$.

# %% tags=["fold"]
# Holds: At each place of the slider the soft loss is twice the mean squared distance to $S f$, up to rounding.
# Holds: At the end it is zero up to rounding, and the four tables are equal.
# Holds: With the quarter turn alone it is another number, between one and two times as large.
from eqssl_edu.data import digits
from eqssl_edu.learned import SoftEquivariance, turned_back

z, s = lesson.two_orbits(f, digits(16).test.images[:40].double(), symmetrised)
for part in range(11):
    mixed = (1 - part / 10) * z + part / 10 * s
    soft, away = SoftEquivariance(C4)(mixed), 2 * (mixed - s).square().sum(dim=2).mean()
    one = SoftEquivariance(C4, generator=1)(mixed)
    assert abs(soft - away) < 1e-12 * (1 + soft)
    assert part == 10 or soft * 1.001 < one < 2 * soft
back = turned_back(C4, s)
assert soft < 1e-20 and (back - back[:, :1]).abs().max() < 1e-12

# %% [markdown]
# ## 10b.2 The relatives, side by side
#
# One small plain CNN, one contrastive loss (InfoNCE on upright views of letters), and what each relative adds. The losses are
# *reductions* of those in the papers; `eqssl_edu.learned` says of each what was left out.
#
# | name | asks | after |
# |---|---|---|
# | turned | nothing, but the views are turned | |
# | E-SSL | a head tells $g$ from $f(gx)$ | arXiv 2111.00899 |
# | Gram | equal Gram matrices of the batch and the turned batch | CARE, arXiv 2306.13924 |
# | by contrast | $R_g$, fitted to half of the batch, finds its partners in the other half | EbC, arXiv 2510.21706 |
# | soft | $f(gx) = \rho(g) f(x)$ | SER, arXiv 2603.06693 |
# | built in | nothing: a C4 network, as many multiplications | |

# %%
KINDS = ["turned", "E-SSL", "Gram", "by contrast", "soft", "built in"]
live = lesson.train_relatives(KINDS, SEED)
live

# %% [markdown]
# Now fit $R$ for the quarter turn, and apply it one to four times. Four quarter turns are none: the path should close where it began.
# *Transfer* carries the fitted maps over to digits, which no network has seen. **Predict.** Which paths close?

# %%
lesson.apply_by_hand(live)

# %%
mine = lesson.own_runs(live, SEED)
lesson.runs_chart(mine, "error", "four times")

# %% [markdown]
# Each dot is a shipped run, the star is yours. (*Split* and *predictor* are reductions of SIE, arXiv 2302.10283, and EquiMod, arXiv
# 2211.01244; *upright* has no further loss.)
#
# **Seen:** In every shipped run of every loss the maps miss more than two hundredths of what moves, and four quarter turns
# lead more than two hundredths away. Of the network that has the group built in, both are zero up to rounding, in every run and
# in yours.
#
# A loss asks on the images that it sees, for as long as it pays. The architecture does not have to ask. (Do not read the chart as a
# ranking of the papers: one small network, one training, weights of the losses that nobody tuned.)

# %% tags=["fold"]
# Holds: In every shipped run of every loss the maps miss more than two hundredths of what moves, and four quarter turns lead
#   more than two hundredths away.
# Holds: Of the network that has the group built in, both are zero up to rounding, in every run and in yours.
from eqssl_edu.lessons.learned_runs import KINDS as ALL
from eqssl_edu.lessons.learned_runs import found

for kind in ALL:
    away = found(kind, "error") + found(kind, "four times")
    assert max(away) < 1e-9 if kind == "built in" else min(away) > 0.02
[own] = [run for run in mine if run["kind"] == "built in"]
assert max(own["error"], own["four times"]) < 1e-9

# %% [markdown]
# ## 10b.3 The monitors that lie
#
# Notebook 10 ended with features that do not move at all, and meet each demand. That is no curiosity. A contrastive loss on turned
# views *wants* them. And what a monitor divides by decides whether it notices.
#
# ### Exercise 3 · What moves
#
# `z` has the shape `(B, |G|, D)`, with $f(kx)$ at `z[:, k]`. Each image has a mean over its own turns. How far, squared, is
# $f(kx)$ from it, in the mean over images and turns?


# %%
def moving_energy(z):
    """The mean squared distance of f(kx) from its mean over k."""
    # BEGIN SOLUTION
    return (z - z.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()
    # END SOLUTION


check("10.moving_energy", moving_energy)

# %% tags=["solution-only"]
assert check("10.moving_energy", moving_energy).ok

# %% [markdown]
# A slider to cheat with. To the features of the network *soft* we add numbers that do not move at all, louder and louder: nothing is
# learned, nothing of what was there changes. Three monitors watch: the Gram loss (of features of length 1), and the error of the
# fitted maps in units of all energy, and in units of what moves. **Predict.** Which of them believe in progress?

# %%
lesson.louder(live.runs["soft"].model.encoder, moving_energy)

# %% [markdown]
# **Seen:** The Gram loss and the error in units of all energy fall to less than a tenth of where they began. The error in units of
# what moves does not change.
#
# Now look at the runs again, with both denominators:

# %%
lesson.runs_chart(mine, "of all", "error", "still")

# %% [markdown]
# **Seen:** In units of all energy training on turned views looks like progress: in the mean of the runs its maps miss less than those
# of an *untrained* network. In units of what moves they miss more, in every run. More than eight tenths of its energy stand still.
#
# So three rules of measuring, which `learned_action` keeps. Fit on one set, and report on another. Divide by what moves, and say
# beside it how much does not; where nothing moves there is no error, not a lucky zero. And show an untrained network.
#
# ## What we can now do, and what not yet
#
# We know what each demand costs as a loss and what it is the distance to, and we can catch the monitor that lies. Not yet: does what
# was bought hold on *other* images? Do more images help? And why may a label take away the need to know the turn?
#
# Next: **10c · What data buy, and what architecture gives**.

# %% tags=["fold"]
# Holds: The Gram loss and the error in units of all energy fall to less than a tenth of where they began.
# Holds: The error in units of what moves does not change.
# Holds: In units of all energy training on turned views looks like progress: in the mean of the runs its maps miss less than
#   those of an *untrained* network.
# Holds: In units of what moves they miss more, in every run.
# Holds: More than eight tenths of its energy stand still.
from statistics import fmean

first, last = lesson.loud_ends(live.runs["soft"].model.encoder)
gram, of_all, moving = (last[name] / first[name] for name in first)
assert max(gram, of_all) < 0.1 and abs(moving - 1) < 1e-9
assert fmean(found("turned", "of all")) < fmean(found("untrained", "of all"))
assert all(a > b for a, b in zip(found("turned", "error"), found("untrained", "error"), strict=True))
assert min(found("turned", "still")) > 0.8
