# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 10c · What data buy, and what architecture gives
#
# After this notebook you can
#
# - try a learned action on images of another kind, and say what carried over;
# - say what forty times as many images change, and what they do not;
# - compute how a label explains a turn away.
#
# **Seen before:** notebooks 10 and 10b; conditional entropy (5d). **Time:** {minutes} minutes.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_10c as lesson

import torch

SEED = 0  # of all weights, batches and views
C4 = cyclic(4)

# %% [markdown]
# ## 10c.1 From digits to letters
#
# Maps that were fitted to the features of digits say what a quarter turn does to *digits*. If the network has really learned to
# turn, they say it of letters too: nobody turns a letter in another way than a digit. So we keep the maps, and change the images.
#
# ### Exercise 1 · What given maps miss
#
# `maps` has the shape `(|G|, D, D)`, `z` the shape `(B, |G|, D)`, with $f(hx)$ at `z[:, h]`: other images than those of the fit.
# As `learned_action` does, take away the mean of *this* set over all images and turns. Then the mean over $x$, $h$ and all $g$ but
# the identity, in units of what moves:
#
# $$ \frac{\operatorname{mean}_{x, h, g \neq e} \lVert \bar f(g h x) - R_g\, \bar f(h x) \rVert^2}
#     {\operatorname{mean}_{x, k} \lVert f(kx) - \operatorname{mean}_k f(kx) \rVert^2} . $$


# %%
def missed(group, maps, z):
    """What the maps miss of these features, in units of what moves: one number."""
    # BEGIN SOLUTION
    # GAP: # centred, guessed: R_g f(hx) for all g and h; the true ones are z[:, group.product]
    # GAP: ...
    centred = z - z.mean(dim=(0, 1))
    guessed = torch.einsum("gde,bhe->bghd", maps[1:], centred)
    moving = (z - z.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()
    return (centred[:, group.product[1:]] - guessed).square().sum(dim=3).mean() / moving
    # END SOLUTION


check("10.missed", missed)

# %% tags=["solution-only"]
assert check("10.missed", missed).ok

# %% [markdown]
# Two networks, trained on 1,297 digits: the plain one with the soft loss, and the one that has $C_4$ built in.

# %%
encoders = {kind: lesson.trained(kind, SEED) for kind in ("soft", "built in")}
lesson.carried_over(encoders, missed)

# %% [markdown]
# Now many runs. One colour are networks that had 32 digits to learn from, the other those that had 1,297; the number of training
# steps is the same. The three panels: maps fitted to digits and tried on other digits; fitted to *augmented* digits (as in training:
# textures, crops, noise) and tried on others of the kind; and the maps of the first panel, tried on letters.
#
# **Predict.** What costs a learned action more: that its network saw forty times fewer images, or that it is asked about letters?

# %%
mine = [lesson.one_run("soft", "digits", count, SEED) for count in (32, 1297)]
lesson.transfer_chart(mine)

# %% [markdown]
# **Seen:** In every run of every loss the maps miss of letters more than a fifth of what moves, and more than they miss of digits; of
# augmented digits, too, they miss more than of clean ones. Forty times as many digits change the mean error of each loss on digits by
# less than a third. The network that has the group built in misses nothing, up to rounding, on each kind of image, and with 32
# digits as with 1,297.
#
# So a learned action is an action *on images like those that were seen*. More of the same images help a little here, and not
# where another kind is asked for. An architecture does not know which images it is shown. (How a fit is asked is a part
# of the number: an untrained network, too, turns digits better than letters.)

# %% tags=["fold"]
# Holds: In every run of every loss the maps miss of letters more than a fifth of what moves, and more than they miss of
#   digits; of augmented digits, too, they miss more than of clean ones.
# Holds: Forty times as many digits change the mean error of each loss on digits by less than a third.
# Holds: The network that has the group built in misses nothing, up to rounding, on each kind of image, and with 32 digits
#   as with 1,297.
from statistics import fmean

from eqssl_edu.learned import RELATIVES
from eqssl_edu.lessons.learned_runs import COUNTS, found

means = {}
for kind in RELATIVES:
    for count in COUNTS:
        error, views, letters = (
            found(kind, each, "digits", count) for each in ("error", "views", "transfer")
        )
        if kind == "built in":
            assert max(error + views + letters) < 1e-9
        else:
            assert min(letters) > 0.2
            assert all(a < b and a < c for a, b, c in zip(error, views, letters, strict=True))
            means[kind, count] = fmean(error)
few, many = COUNTS
assert all(abs(means[kind, few] / means[kind, many] - 1) < 0.5 for kind in RELATIVES[:-1])
assert all(abs(means[kind, many] / means[kind, few] - 1) < 1 / 3 for kind in RELATIVES[:-1])

# %% [markdown]
# ## 10c.2 What a label explains away
#
# Many recipes train both at once: to name the class $C$, and to tell the turn $A$. Every turn is as likely for each letter: class and
# turn say *nothing* of each other. Do they stay strangers when one looks at the picture $X$? Take the letters b, d, p, q, and
# choose a picture. Then let somebody name the letter.

# %%
lesson.explain_by_hand()

# %% [markdown]
# **Seen:** Sixteen pairs of a letter and a turn make eight pictures. Each picture has two causes, with different turns. With
# the letter named there is one cause or none.
#
# ### Exercise 2 · How much does the letter tell?
#
# The information of turn and letter *when the picture is seen*:
#
# $$ I(A; C \mid X) = H(A \mid X) - H(A \mid C, X), $$
#
# in nats. `counts[a, c, x]` says how often turn, letter and picture came together. The joint entropy of a table of shares $p$ is
# $-\sum p \log p$, with `torch.xlogy(p, p)` for $p \log p$; and $H(A \mid X) = H(A, X) - H(X)$.


# %%
def information(counts):
    """I(turn; letter | picture) in nats, of a table (turns, letters, pictures)."""

    # BEGIN SOLUTION
    # GAP: # p, the shares; the entropies of four tables; one sum
    # GAP: ...
    def entropy(p):
        return -torch.xlogy(p, p).sum()

    p = counts / counts.sum()
    of_turn = entropy(p.sum(dim=1)) - entropy(p.sum(dim=(0, 1)))  # H(A | X)
    return of_turn - (entropy(p) - entropy(p.sum(dim=0)))  # less H(A | C, X)
    # END SOLUTION


check("10.information", information)

# %% tags=["solution-only"]
assert check("10.information", information).ok

# %% [markdown]
# **Predict** the number for b, d, p, q; and what it is if nobody looks at a picture (then there is one picture for all).

# %%
counts = lesson.counts_of(lesson.b_d_p_q())  # (4, 4, 8)
lesson.print_information(information, counts)

# %% [markdown]
# **Seen:** Without the picture letter and turn tell nothing of each other. With the picture they tell $\log 2 = 0.693$ nats: all
# that the picture leaves open.
#
# This is **explaining away**. Two causes that have nothing to do with each other become dependent as soon as one sees what both have
# made. For a network it means: on such letters no head can tell the turn better than with a loss of $\log 2$, whatever the
# features and the architecture; and whoever has learned the class gets the turn for nothing. A better score of the turn, beside a
# classifier, need not be better equivariance. (And the reverse: in a world of F and mirrored F the picture leaves nothing open, and
# there is nothing to explain away.)

# %% tags=["fold"]
# Holds: Sixteen pairs of a letter and a turn make eight pictures.
# Holds: Each picture has two causes, with different turns.
# Holds: With the letter named there is one cause or none.
# Holds: Without the picture letter and turn tell nothing of each other.
# Holds: With the picture they tell $\log 2 = 0.693$ nats: all that the picture leaves open.
import math

assert counts.sum() == 16 and counts.shape == (4, 4, 8)
assert (counts.sum(dim=(0, 1)) == 2).all() and (counts.sum(dim=1) <= 1).all() and counts.sum(dim=0).max() == 1
assert abs(lesson.library_information(counts.sum(dim=2, keepdim=True))) < 1e-12
p = counts.sum(dim=1) / 16  # turn and picture; the eight pictures are equally likely
left_open = float(-torch.xlogy(p, p).sum()) - math.log(8)
assert abs(lesson.library_information(counts) - math.log(2)) < 1e-12 and abs(left_open - math.log(2)) < 1e-12

# %% [markdown]
# ## 10c.3 What is bought, and what is given
#
# | question | a loss, or data | the architecture |
# |---|---|---|
# | is there a linear action? | nearly, after training | yes, the regular one |
# | does it obey the group law? | loosely; by how much, one has to measure | up to rounding |
# | since when? | it comes with the training | before the first step |
# | on which images? | on images like those that were seen | on all |
# | for which groups? | any that one can apply to an image | those that one can build |
# | what does it cost? | steps, and a weight to choose | layers of another kind |
#
# The last two lines are why the left column exists. Nobody builds a layer for the turn of a chair in space, for the seasons of a
# landscape, or for an action that is known from pairs alone. There a loss is the only way, and these notebooks say how to find out
# what it bought: fit on both-turned pairs, on other images, in units of what moves, beside an untrained network.
#
# What these runs do **not** say: which paper is best (reductions, one small network, weights that nobody tuned), or that an equivariant
# network reads letters better. `docs/results/learned-equivariance.md` has ten seeds of larger networks, with intervals.
#
# **To think about.** A network has been trained with each image turned at random, and its classifier is right for every turn. Is it
# equivariant? What would you measure first?
#
# Next: **11 · What was learned**, or your own network, with `learned_action`.

# %% [markdown] tags=["solution-only"]
# First the share that does not move. A classifier is right for every turn if the features do not move at all: invariant, and equivariant
# only in the sense that says nothing. Then the moving error of what is left, beside an untrained copy.
