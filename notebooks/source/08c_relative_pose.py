# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 8c · Relative pose
#
# After this notebook you can
#
# - read from $\kappa$ by how much two views are turned against each other, though the loss absorbed every turn;
# - tell what a reader can see from what the features hold: pooled features and nearest orbits;
# - name a case in which the plain loss wins.
#
# **Seen before:** notebooks 7 to 8b. **Time:** {minutes} minutes.

# %%
from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.exercises import check
from eqssl_edu.lessons import notebook_08c as lessons
from eqssl_edu.lessons.notebook_08 import train_similarities

import torch

# %%
SEED = 0  # of all weights, batches and views

# %% [markdown]
# ## 8c.1 Absorbed is not forgotten
#
# A similarity that absorbs turns does not say how two views are turned. $\kappa$ still does. If view 1 was turned by $a$ and
# view 2 by $b$, then $\kappa(z_1, z_2)[g]=\langle z_1,\rho(g)z_2\rangle$ is largest where view 2, turned further, meets view
# 1: at $g=ab^{-1}$.
#
# ### Exercise 1 · Read the turn
#
# For a batch of pairs: view $i$ of the first batch with view $i$ of the second.


# %%
def relative_turn(group, z1, z2):
    """For each i the element g at which kappa(z1[i], z2[i])[g] is largest: (B,)."""
    # BEGIN SOLUTION
    pairs = torch.arange(len(z1))
    return orbit_correlation(group, z1, z2)[pairs, pairs].argmax(dim=1)
    # END SOLUTION


check("08.relative_turn", relative_turn)

# %% tags=["solution-only"]
assert check("08.relative_turn", relative_turn).ok

# %% [markdown]
# The same four trainings as in notebook 8. Then two turned views of each *test* letter; your function reads the *projector*.
# Guessing is right in 25 %.
#
# The letters H, I, N, O, S, X and Z look alike upside down: count them apart. A letter with *exactly* this symmetry has a cap of
# one half (*the cap of a symmetric image*). **Predict.** Does the cap hold for letters of typefaces? And who reads more turns,
# *max* or a network that has learned nothing?

# %%
live = train_similarities(SEED)
live

# %%
turns = lessons.turns_of_one_letter(live, relative_turn, SEED)

# %% [markdown]
# **Seen:** Every network reads more than four of ten turns of the other letters, the untrained one as well. In the mean of the shipped
# runs *max* reads more of them than the untrained network, and so does *plain* with upright views. Of the letters HINOSXZ no run
# reads three quarters; but not all stay below a half.
#
# **Why:** equivariance alone says much about the turn, for nothing. A letter of a typeface is symmetric to the eye only, so there
# is no exact cap: one edge is a pixel off, and where that shows, the turn is known.

# %% tags=["fold"]
# Holds: Every network reads more than four of ten turns of the other letters, the untrained one as well.
# Holds: In the mean of the shipped runs *max* reads more of them than the untrained network, and so does *plain* with upright views.
# Holds: Of the letters HINOSXZ no run reads three quarters; but not all stay below a half.
from statistics import fmean

from eqssl_edu.lessons import contrastive_letters as shipped

of_others, of_symmetric = (
    {way: shipped.found(*way, measure) for way in shipped.WAYS} for measure in ("turns", "turns of HINOSXZ")
)
assert live.stopped or min(each["other letters"] for each in turns.values()) > 0.4
assert min(map(min, of_others.values())) > 0.4
untrained, _, _, ours, upright = (fmean(each) for each in of_others.values())
assert min(ours, upright) > untrained
assert live.stopped or max(each["HINOSXZ"] for each in turns.values()) < 0.75
assert 0.5 < max(map(max, of_symmetric.values())) < 0.75

# %% [markdown]
# ## 8c.2 Two letters
#
# Now a question whose answer is *only* a relation: an F, and an R that is turned by a pose of 0 to 3 quarters more. The pair as
# a whole is turned at random, so neither letter alone says anything.

# %%
lessons.show_pairs(SEED)

# %% [markdown]
# Each letter goes through the frozen *encoder*; the features of both, side by side as channels, are `(B, 48, |G|)`. If the pair
# turns, the whole table turns. If the R alone turns, half of the channels turn. Two readers:
#
# - the **pooled probe**: mean and maximum over the group of *each channel*, then a linear classifier, as always so far;
# - **nearest orbits**: the pose of the known pair whose features are nearest, $d(z,w)=\min_g\lVert z-\rho(g)w\rVert$.
#
# **Predict.** Which reader can see the pose at all? For which of the trained networks?
#
# ### Exercise 2 · Nearest orbits
#
# Known pairs `known` (K, C, |G|) with `labels` (K,), new ones `z` (B, C, |G|), all of length 1. Then
# $d^2=2-2\max_g\kappa[g]$.


# %%
def nearest_orbit(group, known, labels, z):
    """For each z the label of the known features whose orbit is nearest: (B,)."""
    # BEGIN SOLUTION
    # GAP: # kappa with all known ones, the best turn of each, the best of all: its label
    # GAP: ...
    alike = orbit_correlation(group, z, known).amax(dim=2)  # (B, K)
    return labels[alike.argmax(dim=1)]
    # END SOLUTION


check("08.nearest_orbit", nearest_orbit)

# %% tags=["solution-only"]
assert check("08.nearest_orbit", nearest_orbit).ok

# %%
mine = lessons.poses_of_two_letters(live, nearest_orbit, SEED)
lessons.runs_chart(*mine)

# %% [markdown]
# Dots are shipped runs, bars their means, stars your runs; the dotted line is guessing.
#
# **Seen:** The pooled probe guesses, behind every network. By nearest orbits the pose is read from all of them, from the untrained
# one least. In the mean of the shipped runs *max* is ahead of *plain* and *mean* with turned views, and *plain* with upright views
# is ahead of *max*.
#
# **Why:** a channel belongs to one letter. Pooled over the group it does not say how that letter stood, and so no channel says how
# the two stand to each other. That is exact, for any network: the probe guesses. The distance of orbits turns all channels
# by *one and the same* element, and so the relation stays.

# %% tags=["fold"]
# Holds: The pooled probe guesses, behind every network.
# Holds: By nearest orbits the pose is read from all of them, from the untrained one least.
# Holds: In the mean of the shipped runs *max* is ahead of *plain* and *mean* with turned views, and *plain* with upright views is
#   ahead of *max*.

pair = shipped.pairs("test", 2, SEED)
alone = pair._replace(second=shipped.C4.transform(pair.second, 1))
network = shipped.untrained_model(SEED).encoder
before, after = (shipped.pair_features(network, each).amax(dim=2) for each in (pair, alone))
assert (after - before).abs().max() < 1e-5
assert all(abs(mean - 0.25) < 0.05 for mean in lessons.means("pooled probe").values())
assert all(0.1 < run["pooled probe"] < 0.4 for run in mine)
untrained, plain, mean, ours, upright = lessons.means("nearest orbits").values()
assert 0.3 < untrained < min(plain, mean, ours, upright)
assert max(plain, mean) < ours < upright

# %% [markdown]
# ## 8c.3 What may be said
#
# - A loss that absorbs turns need not forget them. *Mean* asks for nothing that turns, *plain* on turned views asks that nothing
#   turns; what they still read is what equivariance left over.
# - **Where views are not turned, plain is the right loss**: nothing has to be absorbed, and it may use what absorbing gives away.
#   If your images have an up, do not turn your views only because your network is equivariant.
# - What a reader cannot see may be there. Before you say that features have lost something, change the reader.
#
# What none of our pages shows: that a loss of this kind is better on photographs, or with more data. What was tried, and where
# nothing came of it, stands in `docs/results/`.
#
# - R. Dangovski and others, *Equivariant Contrastive Learning* (arXiv 2111.00899): what should be absorbed, and what kept.
# - Next: **9 · Every angle**: turns by more than quarters.
