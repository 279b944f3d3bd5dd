# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 5c · Patches and tiles
#
# After this notebook you can
#
# - derive how the labels of a pair of patches and of a jigsaw move;
# - carry several parts of an image through a group network without breaking the symmetry;
# - name two shortcuts that give such a task away.
#
# **Seen before:** notebooks 5 (labels that move, the universal head) and 1b (G-sets). **Time:** {minutes} minutes.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_05c as lesson
from eqssl_edu.pretext import JigsawTask, RelativeLocationTask, lift_parts
from eqssl_edu.widgets import LabelActionExplorer

import torch

SEED = 0  # of the textures and of the network's weights
C4, D4 = cyclic(4), dihedral(4)

# %% [markdown]
# ## 5c.1 A patch and its neighbour
#
# C. Doersch, A. Gupta and A. Efros (arXiv 1505.05192) cut a patch out of an image, and one of its eight neighbours. The
# network gets both and says which neighbour it was.
#
# **Predict.** It was the north one. Now the pair of patches is turned by 90 degrees to the left. Which pair of which
# image is that?

# %%
lesson.turn_the_pair()

# %% [markdown]
# **Seen:** the turned pair is a pair of the turned image, at the place to which the turn carries the neighbour.
#
# So g moves the eight labels as it moves the eight places around the middle: `GSet.neighbours`. They are two orbits, four
# edges and four corners.

# %% tags=["fold"]
# Holds: the turned pair is a pair of the turned image, at the place to which the turn carries the neighbour.
# Holds: They are two orbits, four edges and four corners.
location = RelativeLocationTask(D4, patch=5, gap=0, jitter=0)
eight, labels = lesson.scene().expand(8, -1, -1, -1), torch.arange(8)
for g in D4.elements:  # all pairs at once, bit for bit
    turned = D4.transform(location.apply(eight, labels), g)
    assert torch.equal(turned, location.apply(D4.transform(eight, g), location.labels.action[g]))
assert location.labels.orbits == [(0, 2, 5, 7), (1, 3, 4, 6)]

# %% [markdown]
# ## 5c.2 Two patches in one network
#
# The encoder sees each patch by itself, with the same weights, and gives regular features $F^1$ and $F^2$, both
# `(B, C, |G|)`. Turn the pair by g: both patches turn, so both tables move in the same way,
# $F^i[c, h]$ becomes $F^i[c, g^{-1}h]$.
#
# ### Exercise 1 · A pair
#
# The head wants *one* table of regular features. Make it of both, and lose nothing.


# %%
def pair(first, second):
    """Features (B, C, |G|) of the two patches -> regular features of the pair, (B, 2C, |G|)."""
    # BEGIN SOLUTION
    return torch.cat([first, second], dim=1)
    # END SOLUTION


check("05.pair", pair)

# %% tags=["solution-only"]
assert check("05.pair", pair).ok

# %% [markdown]
# On top goes the universal head of notebook 5, with the labels `GSet.neighbours(group)`: the whole network is equivariant.
#
# ## 5c.3 What gives a task away
#
# Whoever solves the task should have to *know* something. Here are 300 pictures that show nothing: blurred noise, lit a
# little more from the upper left. Each is cut into four tiles, and two rules say how they lay. *Borders*: borders that meet
# differ least. *Brightness*: the brightest tile was upper left, then upper right, lower left, lower right.
#
# **Predict** how often each names the right one of 24 orders. Then cut off a gap, and normalise each tile: mean 0, standard
# deviation 1.

# %%
lesson.shortcuts(SEED)

# %% [markdown]
# **Seen:** without a gap the borders tell the order of more than nine pictures in ten, and the brightness that of more than
# two in three. With a gap of 3 pixels the brightness still tells one in three. Without a gap, normalised borders still tell
# one in three. With the gap *and* normalised tiles both rules are below one in eight.
#
# Against such **shortcuts** Doersch and others leave a gap and jitter, and M. Noroozi and P. Favaro (arXiv 1603.09246)
# normalise each tile by itself. So do our tasks. That no third shortcut is left, we have not shown.

# %% tags=["fold"]
# Holds: without a gap the borders tell the order of more than nine pictures in ten, and the brightness that of more than
#   two in three.
# Holds: With a gap of 3 pixels the brightness still tells one in three.
# Holds: Without a gap, normalised borders still tell one in three.
# Holds: With the gap *and* normalised tiles both rules are below one in eight.
textures = lesson.textures(SEED)
raw, cut, normal, both = (
    lesson.shortcut_accuracies(textures, gap, normalised)
    for gap, normalised in ((0, False), (3, False), (0, True), (3, True))
)
assert raw["borders"] > 0.9 and raw["brightness"] > 2 / 3
assert cut["brightness"] > 1 / 3 and normal["borders"] > 1 / 3
assert max(both.values()) < 1 / 8

# %% [markdown]
# ## 5c.4 The jigsaw
#
# Noroozi and Favaro move the n x n tiles of an image: the tile at position p goes to σ[p], and is not turned. The network
# names the permutation σ. Now the whole puzzle is turned.
#
# **Predict.** The turned puzzle is a puzzle of the turned image. Which permutation made it? Tiles are numbered row by row.

# %%
lesson.which_permutation()

# %% [markdown]
# Let $\pi_g$ be the permutation of the *positions* that turning by g causes. Follow the tile of gx at position q.
#
# 1. Before the turn it lay at $\pi_g^{-1}[q]$.
# 2. The puzzle moved it from there to $\sigma[\pi_g^{-1}[q]]$.
# 3. The turn of the whole carried it to $\pi_g[\sigma[\pi_g^{-1}[q]]]$.
#
# The tile itself is turned in either case. With $S_\sigma$ for "move the tiles by σ" this is the **jigsaw identity**:
#
# $$ g \cdot S_\sigma x = S_{\pi_g \sigma \pi_g^{-1}} (g \cdot x). $$
#
# ### Exercise 2 · The right action
#
# `GSet.grid(group, n).action[g]` is $\pi_g$, a tensor with the new position of every position.


# %%
def moved_permutation(sigma, group, n, g):
    """The permutation of the turned puzzle: sigma is a LongTensor (n * n,), g an element."""
    # BEGIN SOLUTION
    positions = GSet.grid(group, n).action
    there, back = positions[g], positions[int(group.inverse[g])]
    return there[sigma[back]]
    # END SOLUTION


check("05.moved_permutation", moved_permutation)

# %% tags=["solution-only"]
assert check("05.moved_permutation", moved_permutation).ok

# %% [markdown]
# That is **conjugation**. Two other actions are in use: **left**, $\pi_g \sigma$, "where each tile of the *upright* picture lies
# now"; and **trivial**, $\sigma$, "the label does not move".

# %%
LabelActionExplorer({"jigsaw": JigsawTask(D4, grid=2)}, image=lesson.letter_puzzle()[0])

# %% [markdown]
# **Seen:** conjugation is right for all 24 permutations and all eight elements. *Left* is wrong after every turn, for every
# permutation. *Trivial* is right only for the few permutations that commute with the turn: 4 of 24 for a quarter turn, 8
# for a half turn.
#
# Useless? Not where all pictures are upright: a turned puzzle never comes. Notebook 5d says what they cost elsewhere.

# %% tags=["fold"]
# Holds: conjugation is right for all 24 permutations and all eight elements.
# Holds: *Left* is wrong after every turn, for every permutation.
# Holds: *Trivial* is right only for the few permutations that commute with the turn: 4 of 24 for a quarter turn, 8 for a half turn.
puzzles, every = lesson.letter_puzzle().expand(24, -1, -1, -1), torch.arange(24)
jigsaw = JigsawTask(D4, grid=2)
true, left, trivial = (GSet.jigsaw(D4, 2, way).action for way in ("conjugation", "left", "trivial"))
for g in D4.elements:  # bit for bit
    turned = D4.transform(jigsaw.apply(puzzles, every), g)
    assert torch.equal(turned, jigsaw.apply(D4.transform(puzzles, g), true[g]))
assert len(jigsaw.apply(puzzles, every).flatten(1).unique(dim=0)) == 24  # no two puzzles look alike
assert not (left[1:] == true[1:]).any()
assert [int((trivial[turn] == true[turn]).sum()) for turn in (1, 2)] == [4, 8]

# %% [markdown]
# ## 5c.5 Tiles in one network: the lift
#
# The encoder gives a table for each tile, $F$: `(B, P, C, |G|)`. A turn by g takes the tile at q to $g \cdot q$, *and* moves
# its table. Side by side, as the pair was, the tiles would change channels. We want a table in which a turn moves the group
# axis and nothing else, the **lift**:
#
# $$ U[(q, c), h] = F_{h \cdot q}[c, h] \qquad U: (B, P C, |G|). $$
#
# **Why** this is one: after the turn the tile at p is the one that was at $g^{-1} \cdot p$, so
# $U'[(q, c), h] = F_{g^{-1}h \cdot q}[c, g^{-1}h] = U[(q, c), g^{-1}h]$.
#
# ### Exercise 3 · The lift


# %%
def lift(features, action):
    """Features (B, P, C, |G|) of the parts, action (|G|, P) with action[h, q] = h.q -> (B, P * C, |G|)."""
    # BEGIN SOLUTION
    columns = [features[:, action[h], :, h] for h in range(len(action))]  # each (B, P, C)
    return torch.stack(columns, dim=3).flatten(1, 2)
    # END SOLUTION


verdict = check("05.lift", lift)
my_lift = lift if verdict else lambda features, action: lift_parts(features, GSet(C4, action))
verdict

# %% tags=["solution-only"]
assert check("05.lift", lift).ok
random = torch.randn(2, 4, 3, 8)
assert torch.equal(lift(random, GSet.grid(D4, 2).action), lift_parts(random, GSet.grid(D4, 2)))

# %% [markdown]
# Four tiles, one channel. What does a turn do to F and to U?

# %%
lesson.watch_lift(my_lift)

# %% [markdown]
# A whole network with random weights: is it equivariant? And with tiles side by side?

# %%
task, encoder, head = lesson.parts_of_a_network(SEED)  # for C4 and four tiles


def network(puzzles, lift):
    tiles = task.parts(puzzles)  # (B, 4, 1, 10, 10), normalised
    features = encoder(tiles.flatten(0, 1)).unflatten(0, (-1, 4))  # (B, 4, 8, |G|)
    return head(lift(features, task.positions.action))  # (B, 24)


lesson.errors_of(network, {"lift": my_lift, "side by side": lesson.side_by_side})

# %% [markdown]
# **Seen:** with the lift the error of the whole network is rounding. Side by side, it is above one percent.
#
# A pair is this lift with places that stay: $h \cdot q = q$. The library's `PretextModel` does all of this; its
# `lift_parts` is your function.

# %% tags=["fold"]
# Holds: with the lift the error of the whole network is rounding.
# Holds: Side by side, it is above one percent.
errors = lesson.errors_of(network, {"lift": my_lift, "side by side": lesson.side_by_side})
assert errors["lift"] < 1e-12 and errors["side by side"] > 0.01

# %% [markdown]
# ## What we can now do, and what not yet
#
# We know how these labels move, and how parts of an image go through a network. We do not know yet what a wrong action
# costs (5d), nor which of the 362,880 permutations of nine tiles to take (5e).
#
# Next: **5d · The price of a wrong action**.
