# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 8 · Training with a contrastive loss
#
# After this notebook you can
#
# - train an equivariant network with InfoNCE, and say *exactly* what a turn of the views does to the training;
# - choose a temperature fairly, and say what a comparison of two losses shows and what not.
#
# **Seen before:** notebooks 7 to 7d ($\kappa$, the similarities, the two collapses). **Time:** {minutes} minutes.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.lessons import notebook_08 as lessons

# %%
SEED = 0  # of all weights, batches and views

# %% [markdown]
# ## 8.1 Letters, and two views of each
#
# The data: the capital letters in 14 typefaces, 364 images; 104 more, in four other typefaces, are kept for tests. A view
# is shifted, scaled, cropped a little, turned by a few degrees, made noisy, and a texture of its own is mixed in. What a
# view changes, the network learns to ignore; what all views keep, it may rely on.
#
# *Turned* views are then, as the last change, turned by a random element of $C_4$ each.

# %%
lessons.show_views(SEED)

# %% [markdown]
# **Seen:** The turned views in the last two rows are the upright ones above them, each with a turn of its own.
#
# ## 8.2 One step, and a turn that comes last
#
# ### Exercise 1 · The loss of a step
#
# `network` makes features `(B, C, |G|)` of images, `loss` compares the features of two views, and `views(images, draws)`
# draws one view of each image with the random numbers of the generator `draws`.


# %%
def step_loss(network, loss, views, images, draws):
    """The loss of one training step on these images."""
    # BEGIN SOLUTION
    # GAP: # two views of the images, their features, the loss
    # GAP: ...
    first, second = (network(views(images, draws)) for _ in range(2))
    return loss(first, second)
    # END SOLUTION


check("08.step_loss", step_loss)

# %% tags=["solution-only"]
assert check("08.step_loss", step_loss).ok

# %% [markdown]
# Now four short trainings with your step, in float64: InfoNCE with *max* and with *plain*, with upright and with turned
# views. All four have the same first weights, the same batches and the same other random numbers: the turns are the only
# difference.
#
# **Predict.** For which similarity will the two curves differ, and when for the first time?

# %%
curves = lessons.loss_curves(step_loss, SEED)
lessons.show_loss_curves(curves)

# %% [markdown]
# **Seen:** The two curves of *max* lie on each other: they differ by rounding, in the last of 20 steps as in the first. Those
# of *plain* differ from the first step on, and by more than a tenth of a nat.
#
# **Why:** *a last turn does nothing* (`docs/theory.md`). Turned views have turned
# features, since the network is equivariant, its batch norms included. *Max* gives them the same loss *and the same gradient
# for every weight*. So after the step the weights are the same, and so on. It holds for every similarity that absorbs the
# turns. A comparison of *max* "with turned views" and "with upright views" compares a training with itself. (A turn that
# comes *first* would be followed by other changes, in another frame.)

# %% tags=["fold"]
# Holds: The turned views in the last two rows are the upright ones above them, each with a turn of its own.
# Holds: The two curves of *max* lie on each other: they differ by rounding, in the last of 20 steps as in the first.
# Holds: Those of *plain* differ from the first step on, and by more than a tenth of a nat.
from eqssl_edu.lessons import contrastive_letters as shipped

import torch

some = shipped.letters("train").images[6:15]
of_upright, of_turned = (torch.Generator().manual_seed(SEED) for _ in range(2))
for _ in range(2):
    upright, (turned, elements) = (
        shipped.VIEWS["upright"](some, of_upright),
        shipped.VIEWS["turned"].sample(some, of_turned),
    )
    assert torch.equal(turned, shipped.C4.transform(upright, elements))
apart = {
    kind: [
        abs(a - b)
        for a, b in zip(curves[f"{kind}, upright views"], curves[f"{kind}, turned views"], strict=True)
    ]
    for kind in ("max", "plain")
}
assert max(apart["max"]) < 1e-9
assert apart["plain"][0] > 1e-6 and max(apart["plain"]) > 0.1

# %% [markdown]
# ## 8.3 Which temperature?
#
# What a loss sees is $s/t$. *Max* and *mean* have another range than *plain*, so at one and the same temperature they are
# not equally strict. What counts is the **gap**: how much more alike a letter is to itself than to a stranger, in units
# of $t$.
#
# ### Exercise 2 · Strictness
#
# `s` holds the similarities of B different letters with each other, `(B, B)`. Mean similarity to oneself minus mean
# similarity to the others, over $t$:


# %%
def strictness(s, t):
    """The gap of the similarities s (B, B), in units of the temperature."""
    # BEGIN SOLUTION
    # GAP: # own: the mean of the diagonal; others: the mean of everything else
    # GAP: ...
    own, others = s.diagonal().mean(), (s.sum() - s.trace()) / (len(s) * (len(s) - 1))
    return (own - others) / t
    # END SOLUTION


check("08.strictness", strictness)

# %% tags=["solution-only"]
assert check("08.strictness", strictness).ok

# %% [markdown]
# We give each similarity the temperature that makes its gap that of *plain* at 0.2. This depends on the features that are
# asked. **Predict.** The temperatures are matched on *random* features: are they matched on those of an untrained network?

# %%
table = lessons.gaps(strictness, SEED)
lessons.gap_chart(table)

# %% [markdown]
# **Seen:** On random features all four have the same gap. On those of the network that of *plain* is less than 4, and that of
# *power3* more than twice as large as that of *plain*.
#
# **Why:** in an untrained network all letters look alike, and hardly turn: most of each table is the part that all have in
# common. Random numbers have no such part. (Why then *power3*? It cubes what is near 1, and there a cube is steep.)

# %% tags=["fold"]
# Holds: On random features all four have the same gap.
# Holds: On those of the network that of *plain* is less than 4, and that of *power3* more than twice as large as that of
#   *plain*.
random, network = (
    [line[f"gap / t there, {where}"] for line in table.values()]
    for where in ("random features", "untrained network")
)
assert max(random) - min(random) < 0.1
assert network[0] < 4 and network[3] > 2 * network[0]

# %% [markdown]
# So we match on the untrained network. But matched at the beginning is not matched at the end, and no matching says
# which temperature a similarity *likes*. Whoever compares losses has to look at the whole curve. Here are shipped runs at
# each of five temperatures, with turned views. Measured is how many letters a linear probe reads from the *encoder's* pooled
# features (its mean and maximum over the group). Train one run yourself; it becomes a star.
#
# **Predict.** Does the temperature matter more than the similarity?

# %%
mine = lessons.one_run("max", "turned", 0.1, SEED)  # or "plain", "mean"; any temperature
lessons.temperature_chart(mine)

# %% [markdown]
# **Seen:** In the mean of these runs *max* reads more letters than *plain* at every temperature. The temperature of *plain* makes
# more difference than the similarity at each one's best.
#
# **Why** does a small $t$ harm? Only the most alike stranger then counts, and a stranger that is most alike is often the same letter
# in another typeface.

# %% tags=["fold"]
# Holds: In the mean of these runs *max* reads more letters than *plain* at every temperature.
# Holds: The temperature of *plain* makes more difference than the similarity at each one's best.
from statistics import fmean

read = {
    kind: [fmean(shipped.found(kind, "turned", "probe", t)) for t in shipped.TEMPERATURES]
    for kind in shipped.KINDS
}
assert all(ours > plain for ours, plain in zip(read["max"], read["plain"], strict=True))
best = [max(each) for each in read.values()]
assert max(read["plain"]) - min(read["plain"]) > max(best) - min(best)

# %% [markdown]
# ## 8.4 Many runs, and yours
#
# *Plain*, *mean* and *max*, each at its matched temperature, with turned views; and *plain* with upright ones. (*Max* needs no second
# run: see 8.2.) While they learn, watch the first diagnostic. It reads the *projector's* features, where the loss
# works: the share of their energy that is constant along the group. Near 1 there is little left that turns: **group
# collapse** (notebook 7d).

# %%
live = lessons.train_similarities(SEED)
live

# %%
mine = lessons.own_runs(live, SEED)
lessons.runs_chart(*mine)

# %% [markdown]
# Each dot is a shipped run; the seeds of a column go from left to right, the bar is their mean, the star your run. One run says
# little: look how far the dots of one column reach.
#
# **Seen:** With every seed *max* finds more partners than *plain* and *mean* do with turned views, and so it does in your run. In the
# mean of the runs, more than nine tenths of the energy of *plain* and *mean* is constant along the group; of *max*, and of *plain*
# with upright views, less than eight tenths. *Max* reads more letters than *plain* from turned views: the 95 % interval of the
# difference, seed by seed, lies above zero.
#
# **Why:** *plain* has to make turned views of a letter alike, and can do so only by features that do not turn. *Mean* sees only
# the constant part, so nothing else is asked for. *Max* may use what turns to tell letters apart.

# %% tags=["fold"]
# Holds: With every seed *max* finds more partners than *plain* and *mean* do with turned views, and so it does in your run.
# Holds: In the mean of the runs, more than nine tenths of the energy of *plain* and *mean* is constant along the group; of *max*,
#   and of *plain* with upright views, less than eight tenths.
# Holds: *Max* reads more letters than *plain* from turned views: the 95 % interval of the difference, seed by seed, lies above
#   zero.
from eqssl_edu.evaluation import paired_interval

partners = {kind: shipped.found(kind, "turned", "partners") for kind in shipped.KINDS}
assert all(
    ours > max(others)
    for ours, *others in zip(partners["max"], partners["plain"], partners["mean"], strict=True)
)
own = {run["similarity"]: run["partners"] for run in mine if run["views"] == "turned"}
assert live.stopped or own["max"] > max(own["plain"], own["mean"])
constant = {way: fmean(shipped.found(*way, "trivial energy")) for way in shipped.WAYS[1:]}
plain, mean, ours, upright = constant.values()
assert min(plain, mean) > 0.9 and max(ours, upright) < 0.8
assert paired_interval(*(shipped.found(kind, "turned", "probe") for kind in ("max", "plain"))).low > 0

# %% [markdown]
# ## What may be said
#
# - "Here, with turned views, *max* finds more partners than *plain* and *mean*": yes, of this network and these letters.
# - "Invariant losses give better features": no. Where views stay upright nothing has to be absorbed, and *plain* does no worse (8c).
# - "The loss makes the network robust to turns": no. The pooled features of *every* row ignore a quarter turn, the untrained
#   network's as well. That is the architecture.
#
# `docs/results/contrastive.md` asks the same with more data, and chooses each temperature on validation images.
#
# - Next: **8b · Without negatives**, where nothing but two small tricks keeps a network from collapsing.
