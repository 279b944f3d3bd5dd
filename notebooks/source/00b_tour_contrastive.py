# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 0b · The tour: a loss that absorbs the turns
#
# After this notebook you can write a similarity that absorbs the turns of two views, and read a table of probes with
# its controls.
#
# **Seen before:** `00_tour`. **Time:** {minutes} minutes.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.lessons import notebook_00 as lessons

import torch

SEED = 0  # change it and run again: no sentence below depends on luck

# %% [markdown]
# ## 0b.1 Four inner products
#
# *Contrastive learning* makes two *views* of each image and asks which belong together. How alike are two views? Their
# features $z$ and $w$ are tables `(C, 4)`; the **plain** similarity is their inner product. If a view turns, its
# columns move, and the product changes.
#
# ### Exercise 1: the orbit correlation
#
# Take all four: $\kappa[g]=\langle z,g\,w\rangle$, for each pair of views.


# %%
def kappa(z, w):
    """Features (B, C, 4) and (B', C, 4) -> their inner products with all turned copies of w, (B, B', 4)."""
    # BEGIN SOLUTION
    # GAP: # for each g: turn w, then multiply and add up over channels and columns (torch.einsum)
    # GAP: ...
    return torch.stack([torch.einsum("bcg,dcg->bd", z, w.roll(g, dims=2)) for g in range(4)], dim=2)
    # END SOLUTION


check("00.kappa", kappa)

# %% tags=["solution-only"]
assert check("00.kappa", kappa).ok

# %%
lessons.turn_two_views(SEED)

# %% [markdown]
# **Seen:** A turn moves the values of $\kappa$ and changes none. The *plain* loss changes. The losses of *mean* and
# *max* stand still.
#
# The loss is **InfoNCE** (van den Oord, Li and Vinyals, arXiv 1807.03748; this form: Chen and others, arXiv
# 2002.05709), the cross-entropy in nats of finding the partner $i'$ of view $i$ by similarity $s$ of tables of length 1:
#
# $$-\log\frac{e^{s_{ii'}/t}}{\sum_{k\ne i}e^{s_{ik}/t}}.$$
#
# The *temperature* $t$, here 0.2, says which difference of $s$ counts.

# %% tags=["fold"]
# Holds: A turn moves the values of $\kappa$ and changes none.
# Holds: The *plain* loss changes.
# Holds: The losses of *mean* and *max* stand still.
explorer = lessons.turn_two_views(SEED)
upright = explorer.values["kappa"]
for first, second in ((1, 0), (0, 2), (3, 1)):
    explorer.set_state(first=first, second=second)
    turned, change = explorer.values["kappa"], explorer.changes()
    assert all(abs(a - b) < 1e-5 for a, b in zip(sorted(turned), sorted(upright), strict=True))
    assert max(abs(a - b) for a, b in zip(turned, upright, strict=True)) > 1e-4
    assert abs(change["plain"]) > 1e-3 and abs(change["mean"]) < 1e-5 and abs(change["max"]) < 1e-5

# %% [markdown]
# ### Exercise 2: a similarity of your own
#
# Make one number of the four. It minds no turn, is larger for alike pairs, and is not *mean*, *max* or *soft*, a smooth
# maximum.


# %%
def similarity(kappa):
    """kappa (B, B', 4) -> similarities (B, B')."""
    # BEGIN SOLUTION
    # GAP: # a function of the four values that does not care about their order
    # GAP: ...
    return kappa.amax(dim=2) - kappa.amin(dim=2)
    # END SOLUTION


check("00.similarity", similarity)

# %% tags=["solution-only"]
assert check("00.similarity", similarity).ok

# %% [markdown]
# Does it find partners? 300 digits, two views each, an untrained network:

# %%
lessons.find_partners(similarity, SEED)

# %% [markdown]
# **Seen:** *Max* finds more than four of five partners. *Plain* finds less than half. *Mean* finds still fewer.
#
# **Why:** *Plain* is right if both views happen to be turned alike: one case of four. *Mean* absorbs the turns, but
# adds up the columns and cannot see how they differ.

# %% tags=["fold"]
# Holds: *Max* finds more than four of five partners.
# Holds: *Plain* finds less than half.
# Holds: *Mean* finds still fewer.
found = {name: row["partners found"] for name, row in lessons.find_partners(similarity, SEED).items()}
assert found["max"] > 0.8 and found["mean"] < found["plain"] < 0.5

# %% [markdown]
# ## 0b.2 What is learned
#
# Networks now learn from views that are also shifted, scaled and faded. Then, from each frozen encoder, a linear
# *probe*, $Wz+b$, reads the digit from its pooled features $z$. The controls are random networks,
# **recalibrated**: their batch norms $(x-\mu)/\sigma$ have measured $\mu$ and $\sigma$ on the digits, no weight has
# learned. *Worst* is the worst orientation.
#
# **Predict.** After training with *plain*, will a turn change the features more than before, or less?

# %%
live = lessons.train_losses(similarity, SEED)
live

# %%
lessons.what_was_learned(live, SEED)

# %% [markdown]
# **Seen:** *Max* finds more partners than *plain*. With *plain*, a turn changes the features less than before the
# training, with *max* more. For every group network, the probe's *worst* is its *upright*, to within a point. The CNN loses
# more than ten points. The random group network is within ten points of the best probe.
#
# **Why:** With *plain*, partners match only if features are alike in all orientations: the network forgot the turn.
# Pooled features of a group network ignore turns. Digits are easy: a solved task is no better network.
#
# **Next:** `01_groups_and_images`.

# %% tags=["fold"]
# Holds: *Max* finds more partners than *plain*.
# Holds: With *plain*, a turn changes the features less than before the training, with *max* more.
# Holds: For every group network, the probe's *worst* is its *upright*, to within a point.
# Holds: The CNN loses more than ten points.
# Holds: The random group network is within ten points of the best probe.
rows = list(lessons.what_was_learned(live, SEED).values())
(found, change, upright, worst) = (
    list(column) for column in zip(*(row.values() for row in rows), strict=True)
)
cnn, network, of_max, of_plain = range(4)
assert live.stopped or found[of_max] > found[of_plain]
assert live.stopped or change[of_plain] < change[network] < change[of_max]
assert all(after > before - 0.01 for before, after in zip(upright[network:], worst[network:], strict=True))
assert worst[cnn] < upright[cnn] - 0.1
assert upright[network] > max(upright) - 0.1
