# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 8b · Without negatives
#
# After this notebook you can
#
# - say what keeps a loss without negatives from collapsing, having switched it off part by part;
# - find a head that breaks the symmetry in silence, with a test of three lines;
# - say of a number that watches for collapse over *what* it is a variance, and so which collapse it cannot see.
#
# **Seen before:** notebooks 7d (the collapses) and 8. **Time:** {minutes} minutes.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.lessons import notebook_08b as lessons

import torch

# %%
SEED = 0  # of all weights, batches and views

# %% [markdown]
# ## 8b.1 What keeps it from collapsing?
#
# InfoNCE pushes strangers apart. A loss that only pulls two views together has a cheap minimum: the same features for every
# image. **SimSiam** (X. Chen and K. He, arXiv 2011.10566) has two tricks. A small network, the *predictor*, guesses the features of
# one view from those of the other. And what is guessed gets **no gradient**: it stands still while the guess moves.
#
# ### Exercise 1 · The loss of SimSiam
#
# `similarity(p, z)` gives `(B,)`: here the largest cosine with the turned copies of z, so turns are absorbed. `stop(z)` is z
# without a gradient. Each view guesses the other; the loss is minus the mean of all similarities.


# %%
def siamese_loss(predictor, stop, similarity, z1, z2):
    """z1, z2: features (B, C, |G|) of two views -> the loss, a scalar."""
    # BEGIN SOLUTION
    # GAP: # the guess of each view beside the other view, which is stopped
    # GAP: ...
    forth, back = similarity(predictor(z1), stop(z2)), similarity(predictor(z2), stop(z1))
    return -(forth + back).mean() / 2
    # END SOLUTION


check("08.siamese_loss", siamese_loss)

# %% tags=["solution-only"]
assert check("08.siamese_loss", siamese_loss).ok

# %% [markdown]
# Your loss learns from turned views of the letters: whole, and with a part switched off (`stop` returns z itself; the predictor
# is the identity). The projector ends in a batch norm; the last run goes without that, too.
#
# Two numbers are taken from the *projector's* features of test letters, scaled to length 1. The usual monitor, **spread**, is the
# standard deviation over the *batch* of all entries together: 0 if all features are the same, 1 if their mean is 0. The
# **orbit spread** is the same in the metric of orbits, where turned copies have no distance.
#
# **Predict.** Which run reaches the lowest loss? Which of them have collapsed, and which number says so?

# %%
live = lessons.train_siamese(siamese_loss, SEED)
live

# %%
numbers = lessons.numbers(live)
read = lessons.what_they_read(live, SEED)

# %% [markdown]
# **Seen:** Without predictor the loss ends lower than that of the whole SimSiam, and without stop-gradient and last norm, too. Without
# stop-gradient and last norm the orbit spread is below 0.1, and the spread below 0.4: **complete collapse**, or nearly. Without predictor the spread is above 0.8, and the orbit
# spread below 0.2: all letters are one table in different poses, and the usual monitor calls it healthy. The whole SimSiam keeps
# the highest orbit spread.
#
# **Why:** without the stop both sides move towards each other, and the shortest way is one point (in some runs its poses are
# still apart at the end). The batch norm forbids a
# point: it keeps the variance of each channel over batch *and* group at 1. But one table varies along the group. So the norm allows
# **orbit collapse**, and only a number in the metric of orbits, or of an invariant, sees it.
#
# Open is not yet learned: look at what the *encoders* read. After so short a training SimSiam's is not far from the untrained one. And
# an encoder in front of a collapsed projector may still read letters: say which of the two a number reads.

# %% tags=["fold"]
# Holds: Without predictor the loss ends lower than that of the whole SimSiam, and without stop-gradient and last norm, too.
# Holds: Without stop-gradient and last norm the orbit spread is below 0.1, and the spread below 0.4: **complete collapse**, or
#   nearly.
# Holds: Without predictor the spread is above 0.8, and the orbit spread below 0.2: all letters are one table in different poses, and
#   the usual monitor calls it healthy.
# Holds: The whole SimSiam keeps the highest orbit spread.
whole, no_predictor, no_stop, neither = numbers.values()
if not live.stopped:
    assert max(no_predictor["loss"], neither["loss"]) < whole["loss"]
    assert neither["orbit spread"] < 0.1 and neither["spread"] < 0.4
    assert no_predictor["spread"] > 0.8 and no_predictor["orbit spread"] < 0.2
    assert whole["orbit spread"] == max(each["orbit spread"] for each in numbers.values())

# %% [markdown]
# ## 8b.2 A head that is wrong in silence
#
# Predictors are usually linear maps with `nn.BatchNorm1d` on *flattened* features: `FlatMLP`. `GroupMLP` has linear maps on the
# group, and one mean and one variance for each channel.
#
# ### Exercise 2 · The test that finds it
#
# A loss absorbs the turns if it does not change when *each* table of *each* view is turned by an element of its own.
# `torch.randint(n, (B,), generator=draws)` draws numbers from 0 to n - 1; `group.transform_features(z, elements)` takes one
# element for each sample.


# %%
def change_under_turns(loss, group, z1, z2, draws):
    """How far the loss moves when every sample of both views is turned by its own random element."""
    # BEGIN SOLUTION
    # GAP: # draw elements for z1, and others for z2; turn both; compare
    # GAP: ...
    a, b = (torch.randint(group.order, (len(z1),), generator=draws) for _ in range(2))
    moved = loss(group.transform_features(z1, a), group.transform_features(z2, b))
    return (moved - loss(z1, z2)).abs().item()
    # END SOLUTION


check("08.change_under_turns", change_under_turns)

# %% tags=["solution-only"]
assert check("08.change_under_turns", change_under_turns).ok

# %% [markdown]
# On random features, since a network that has forgotten all turns would hide the mistake:

# %%
change = lessons.change_behind_heads(change_under_turns, SEED)

# %% [markdown]
# **Seen:** Neither head raises an error. Behind `GroupMLP` turns change the loss by rounding, behind `FlatMLP` by more than a
# millionth.

# %% tags=["fold"]
# Holds: Neither head raises an error.
# Holds: Behind `GroupMLP` turns change the loss by rounding, behind `FlatMLP` by more than a millionth.
if check("08.change_under_turns", change_under_turns):
    assert change["GroupMLP"] < 1e-12 and change["FlatMLP"] > 1e-6

# %% [markdown]
# ## 8b.3 The variance of what?
#
# **VICReg** (A. Bardes, J. Ponce and Y. LeCun, arXiv 2105.04906) has no predictor. It pulls views together, keeps a *variance* of
# each channel above 1, and pushes *covariances* of channels to 0. The library takes the variance over batch and group, because
# no turn changes it. Its term is 0 if the variance is large enough, and 1 if there is none.
#
# ### Exercise 3 · A variance that no collapse passes
#
# Write another one for features `(B, C, |G|)`: no turn of any sample may change it; one and the same table for all images, in
# one pose *or* turned, must have none; and with |G| = 1 it must be the usual variance over the batch.


# %%
def variances(z):
    """z (B, C, |G|) -> one variance for each channel, (C,)."""
    # BEGIN SOLUTION
    # GAP: # first something that no turn changes, then its variance over the batch
    # GAP: ...
    return z.amax(dim=2).var(dim=0)
    # END SOLUTION


check("08.variances", variances)

# %% tags=["solution-only"]
assert check("08.variances", variances).ok

# %%
statistics = {
    "over batch and group": lambda z: z.var(dim=(0, 2)),
    "over the batch": lambda z: z.var(dim=0).mean(dim=1),
    "yours": variances,
}
terms = lessons.variance_terms(statistics, SEED)

# %% [markdown]
# **Seen:** One table for all images in *one* pose, complete collapse, has over batch and group the same variance as turned ones, and
# passes. The variance over the batch sees it, but not the turned table. The variance of an invariant sees both.

# %% tags=["fold"]
# Holds: One table for all images in *one* pose, complete collapse, has over batch and group the same variance as turned ones,
#   and passes.
# Holds: The variance over the batch sees it, but not the turned table.
# Holds: The variance of an invariant sees both.
one_pose, turned = terms["one table, one pose"], terms["one table, turned"]
both, batch, yours = statistics
assert abs(one_pose[both] - turned[both]) < 1e-3 and one_pose[both] < 0.3
assert one_pose[batch] > 0.98 and turned[batch] < 0.3
if check("08.variances", variances):
    assert min(one_pose[yours], turned[yours]) > 0.98 and terms["healthy"][yours] < 0.3

# %% [markdown]
# Is it the better one for training, too? We take the covariance away, which also sees collapse: one table has too few directions.
# **RankMe** (Q. Garrido and others, arXiv 2210.02885) counts them; all numbers read the projector.

# %%
live_vicreg = lessons.train_vicreg(variances, SEED)
live_vicreg

# %%
of_vicreg = lessons.numbers(live_vicreg)
lessons.show_variance_runs()

# %% [markdown]
# The last lines are shipped runs *with* covariance, three seeds each: the library's variance, and two of invariants. How many letters
# are read from the encoder, and how many poses of two letters (notebook 8c)?
#
# **Seen:** Without covariance, and with the library's variance, the spread is above 0.9, and the orbit spread below 0.4:
# orbit collapse once more. The whole loss has the highest RankMe, and an orbit spread above 0.4. In the shipped runs the library's variance reads most letters and most poses.
#
# **Why:** the variance over batch and group is content with one table. The covariance is not: turned copies of one table fill at most
# $|G|$ directions. And the cheapest variety of an invariant is a constant along the group, which says nothing of poses. A good monitor
# is not yet a good loss.

# %% tags=["fold"]
# Holds: Without covariance, and with the library's variance, the spread is above 0.9, and the orbit spread below 0.4: orbit
#   collapse once more.
# Holds: The whole loss has the highest RankMe, and an orbit spread above 0.4.
# Holds: In the shipped runs the library's variance reads most letters and most poses.
if not live_vicreg.stopped:
    with_covariance, without, own = of_vicreg.values()
    assert without["spread"] > 0.9 and without["orbit spread"] < 0.4 < with_covariance["orbit spread"]
    assert with_covariance["RankMe"] > max(without["RankMe"], own["RankMe"])
from statistics import fmean

for measure in ("probe", "poses"):
    library, *invariants = (fmean(run[measure] for run in runs) for runs in lessons.variance_runs().values())
    assert library > max(invariants)

# %% [markdown]
# ## What we can now do, and what not yet
#
# | number | a variance of what | misses |
# |---|---|---|
# | spread | entries, over the batch | orbit collapse |
# | VICReg's variance, batch norm | entries, over batch and group | complete and orbit collapse |
# | orbit spread; variance of an invariant | orbits, over the batch | group collapse |
# | trivial share of the energy | (no variance) | complete and orbit collapse, if the table has no mean |
#
# No number sees everything: look at several. Which of these losses is best we cannot say: one network, one set of letters, a minute
# of training.
#
# - Next: **8c · Relative pose**: what is still there after a turn has been absorbed.
