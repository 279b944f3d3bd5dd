# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 5 · A task that contradicts the network
#
# After this notebook you can
#
# - say what an invariant network can reach when it is asked by how much an image was turned, and prove it;
# - build a head whose logits move as the labels do, for *every* set of labels on which the group acts;
# - say of an image how well anybody can tell its orientation.
#
# **Seen before:** notebooks 1b (orbits, cosets, G-sets) and 2d (a whole network). **Time:** {minutes} minutes.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_05 as lesson
from eqssl_edu.plots import image_grid
from eqssl_edu.pretext import RotationTask, image_caps

import torch

SEED = 0  # of all weights, and of the training
C4, D4 = cyclic(4), dihedral(4)

# %% [markdown]
# ## 5.1 Which way up?
#
# Labels cost work. *Self-supervised* learning makes up a task whose labels cost nothing, a **pretext task**: who solves it
# has to learn something about images on the way. A well-known one: turn each image by 0, 90, 180 or 270 degrees, and ask
# *by how much* (Gidaris, Singh and Komodakis, arXiv 1803.07728).
#
# Now take a network whose output does not change when the image turns: an **invariant** one. Any network can be made
# invariant: ask it about all four turned copies, and take the largest answers. Here with a small CNN whose weights are random.

# %%
cnn = lesson.small_cnn(SEED)  # images (B, 1, H, W) -> logits (B, 4)


def invariant(images):
    return torch.stack([cnn(C4.transform(images, g)) for g in C4.elements]).amax(dim=0)


lesson.turn_and_ask(invariant, cnn)

# %% [markdown]
# Turn the digit, and watch the logits of both networks. **Predict.** The invariant network is asked for the angle. Which
# accuracy can it reach, after any amount of training?
#
# **Seen:** the logits of the invariant network stand still, bit for bit. Those of the CNN inside change with every turn.
#
# **Why that decides it:** it gives one answer for the four copies, and they have four different labels. The answer
# is right for one copy and wrong for three. This is *the cap of an invariant output*: **over the |G| turned copies of an
# image its accuracy is exactly 1/|G|.** For $C_4$ that is 25 %, with any weights.

# %% tags=["fold"]
# Holds: the logits of the invariant network stand still, bit for bit.
# Holds: Those of the CNN inside change with every turn.
from eqssl_edu.data import digits

eight = digits(16).test.images[:8].double()
for g in (1, 2, 3):
    turned = C4.transform(eight, g)
    assert torch.equal(invariant(turned), invariant(eight))
    assert (cnn(turned) - cnn(eight)).norm() > 1e-3 * cnn(eight).norm()

# %% [markdown]
# And the loss? Suppose that the network is sure of one answer, with the probability that the slider says, and shares the
# rest between the other three. Which is the lowest mean that you can reach?

# %%
lesson.try_to_beat()

# %% [markdown]
# **Seen:** the mean is lowest at 25 %. There it is $\log 4 = 1.386$ nats, the loss of guessing.
#
# **Proof**, for any answer $p$ of four probabilities. The mean of the four losses is $-\frac14 \sum_k \log p_k$, which is
# minus the logarithm of their *geometric* mean. That is at most the arithmetic mean, 1/4. So the loss is at least $\log 4$,
# with equality for four equal probabilities alone. The gradient at the logits is $p_k - \frac14$: there it is zero, and
# nothing is left to learn.

# %% tags=["fold"]
# Holds: the mean is lowest at 25 %.
# Holds: There it is $\log 4 = 1.386$ nats, the loss of guessing.
import math

means = {c: sum(lesson.over_the_orbit(c / 100)) / 4 for c in range(5, 100, 5)}
assert (
    min(means, key=means.get) == 25
    and abs(means[25] - math.log(4)) < 1e-12
    and round(math.log(4), 3) == 1.386
)

# %% [markdown]
# ## 5.2 Labels that move
#
# The task asks for what the network has thrown away. So the logits must be allowed to move. *How*, the labels say: if
# an image with the label $t$ is turned further by $g$, its label is $gt$. The set of labels carries an action of the
# group. It is a **G-set**, as in notebook 1b, and the output $o(y) \in \mathbb{R}^{|L|}$ for an input $y$ should obey
#
# $$ o(g \cdot y)[g \cdot l] = o(y)[l] \qquad \text{for all } g \in G,\ l \in L. $$
#
# Mukuta and Harada (arXiv 2303.04427) call such labels *equivariant pretext labels*. The last layer, the **head**, makes
# $o$ from regular features $F$, `(B, C, |G|)`. They move by $F(g \cdot y)[c, h] = F(y)[c, g^{-1}h]$. The head is linear:
# for each channel it has a table of |L| x |G| weights.
#
# **Predict.** For $D_4$ and 24 labels that are 192 weights for each channel. How many of them are free?

# %%
for name, L in lesson.label_sets().items():
    tied = L.times(GSet.regular(D4))  # the weights at (l, h) and at (g.l, gh) have to be equal
    print(f"{name:30} orbits of labels {len(L.orbits)}, weights {tied.size:3}, free {len(tied.orbits):2}")

# %% [markdown]
# **Seen:** in each of the five sets there are as many free weights as labels.
#
# **Why:** put the action on $F$ into the equation above, and compare: the weight at $(l, h)$ has to be the one at $(g \cdot l,
# gh)$, for every $g$. So there is one free weight for each orbit of such pairs. Take $g = h^{-1}$: each orbit holds
# exactly one pair with $h = e$. Call the weight there $W[c, l]$; then the weight at $(l, h)$ is $W[c, h^{-1} \cdot l]$, and
#
# $$ o[l] = \sum_{c, h} F[c, h] \; W[c, h^{-1} \cdot l] \;+\; b_{\mathrm{orbit}(l)}
#    \qquad F: (B, C, |G|), \quad W: (C, |L|). $$
#
# with one bias for each orbit of labels. Nothing was chosen on the way: this is *every* equivariant linear map from regular
# features to the labels. So we call it **the universal head**. What is special about a task is its G-set, and nothing else.

# %% tags=["fold"]
# Holds: in each of the five sets there are as many free weights as labels.
sets = lesson.label_sets().values()
assert len(sets) == 5 and all(len(L.times(GSet.regular(D4)).orbits) == L.size for L in sets)

# %% [markdown]
# ### Exercise 1 · The universal head
#
# Write it, without the bias. `labels.action` is the table `(|G|, |L|)` of $g \cdot l$, and `labels.group.inverse` holds
# the inverses `(|G|,)`.


# %%
def universal_logits(features, weight, labels):
    """features (B, C, |G|), weight (C, |L|), labels a GSet -> logits (B, |L|)."""
    # BEGIN SOLUTION
    index = labels.action[labels.group.inverse]  # (|G|, |L|): h^-1 . l
    return torch.einsum("bch,chl->bl", features, weight[:, index])
    # END SOLUTION


check("05.universal_logits", universal_logits)

# %% tags=["solution-only"]
assert check("05.universal_logits", universal_logits).ok

# %% [markdown]
# ## 5.3 Three heads
#
# Somebody else says: "Just do not pool. Flatten `(B, C, 4)` to `(B, 4C)`, and take any linear layer." That is the **free
# head**. Your head (until it is right, the library's), the free one and an *invariant* one (the largest value over the
# group, then a linear layer) learn to tell by how much digits were turned. Their encoders begin with the same weights.
#
# **Predict** three accuracies. And whose logits will move as the labels do, after the training?

# %%
live = lesson.train_heads(universal_logits, SEED)
live

# %%
lesson.compare_heads(live)

# %% [markdown]
# **Seen:** the invariant head is right in exactly 25 % of the cases. Both others are right in more than 70 %. Only the logits
# of the universal head move as the labels do, up to rounding. The free head has four times as many weights.
#
# So the free head passes the cap as well: the cap binds an output that stands still, not the network below it. What the
# free head loses is the symmetry. Nothing ties its answer for a turned image to the one for the upright image, so what it
# learned in one orientation it may not know in another. What that costs, notebook 6 measures.

# %% tags=["fold"]
# Holds: the invariant head is right in exactly 25 % of the cases.
# Holds: Both others are right in more than 70 %.
# Holds: Only the logits of the universal head move as the labels do, up to rounding.
# Holds: The free head has four times as many weights.
table = lesson.compare_heads(live)
universal, free, invariant_head = (table[f"{name} head"] for name in ("universal", "free", "invariant"))
assert invariant_head["accuracy"] == 1 / 4
assert live.stopped or min(universal["accuracy"], free["accuracy"]) > 0.7
assert universal["error of equivariance"] < 1e-12
assert live.stopped or min(free["error of equivariance"], invariant_head["error of equivariance"]) > 0.01
task, weights = RotationTask(C4), {name: run.model.head for name, run in live.runs.items()}
assert weights["free head"].weight.numel() == 4 * weights["universal head"].weight.numel()

# %% [markdown]
# ## 5.4 A cap for each image
#
# 25 % was the fault of the network. Some images have a cap of their own, whatever the network.
#
# **Predict.** How well can anybody tell by which element of $C_4$ each of these pictures was moved? And of $D_4$?

# %%
symmetric = lesson.symmetric_letters()  # (6, 1, 24, 24)
image_grid(symmetric[:, 0], lesson.KINDS, "One letter, repeated around the centre: six symmetries", columns=6)

# %% [markdown]
# ### Exercise 2 · The cap of an image
#
# If $s$ leaves the picture $x$ as it is, then $tx$ and $tsx$ are one picture with two labels, $t$ and $ts$. How many elements
# leave the picture as it is? They are equally likely, so the best accuracy is one over their number.


# %%
def image_cap(image, group):
    """The best accuracy for "which element was applied?" over all copies of one image (C, H, W)."""
    # BEGIN SOLUTION
    same = [torch.equal(group.transform(image, g), image) for g in group.elements]
    return 1 / sum(same)
    # END SOLUTION


check("05.image_cap", image_cap)

# %% tags=["solution-only"]
assert check("05.image_cap", image_cap).ok

# %% [markdown]
# The library counts the same for every task:

# %%
[image_caps(RotationTask(group), symmetric).tolist() for group in (C4, D4)]

# %% [markdown]
# **Seen:** under $C_4$ the caps are 1, 1, 1/2, 1/2, 1/4 and 1/4. Under $D_4$ they are 1, 1/2, 1/2, 1/4, 1/4 and 1/8.
#
# This is *the cap of a symmetric image*: **if the elements $s$ of a subgroup leave an input as it is, an equivariant
# network gives all labels $s \cdot l$ the same logit. So its accuracy there is at most one over the number of these labels,
# and its loss at least the logarithm of that number.** A perfectly round 0 has no orientation. A mirror symmetry costs
# nothing under $C_4$, which has no reflections. So look at the caps of your images before you blame the network.

# %% tags=["fold"]
# Holds: under $C_4$ the caps are 1, 1, 1/2, 1/2, 1/4 and 1/4.
# Holds: Under $D_4$ they are 1, 1/2, 1/2, 1/4, 1/4 and 1/8.
assert image_caps(RotationTask(C4), symmetric).tolist() == [1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 4]
assert image_caps(RotationTask(D4), symmetric).tolist() == [1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 8]

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can say before any training whether a task contradicts a network, prove the cap, and build the head that has none. We
# have not asked yet *what* such a network learns, what turning the training images does to it, and which set of labels is
# the right one when the data have a symmetry.
#
# - `docs/theory.md` has each statement and its tests.
# - Next: **5b · Labels that move with the input**.
