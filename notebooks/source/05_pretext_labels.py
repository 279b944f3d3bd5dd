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
# **Seen before:** notebooks 1b (orbits, cosets, G-sets) and 2d (a whole network). **Time:** about 90 minutes.

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
    print(f"{name:31} {len(L.orbits):2} orbits of labels, {tied.size:3} weights, {len(tied.orbits):3} free")

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
# Nothing was chosen on the way: this is *every* equivariant linear map from regular features to the labels. So we call it
# **the universal head**. What is special about a task is its G-set, and nothing else.

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

# %%
import itertools

from eqssl_edu.data.letters import letters
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.layers import InvariantHead
from eqssl_edu.permutations import action_table
from eqssl_edu.plots import COLOURS, TEMPLATE, picture, row
from eqssl_edu.pretext import JigsawTask, PretextModel, RelativeLocationTask, Task, verify
from eqssl_edu.theory import equivariant_floor, inconsistency_floor
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import ByHand, LabelActionExplorer, LiveTraining

import plotly.graph_objects as go
import torch.nn.functional as F

data, label_sets = digits(16), lesson.label_sets()
images, names = data.test.images[:8].double(), [D4.element_name(t) for t in D4.elements]


def noise(*shape, seed=0):
    """Random numbers that are the same in every run, in double precision."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def seen_and_labels(labels_of, H, group):
    """counts[s, l]: how often the picture s x has the label l, if the image is h x with h in H."""
    counts = torch.zeros(group.order, max(labels_of) + 1, dtype=torch.float64)
    for t in group.elements:  # the task applies t and gives the label of t
        for h in H:  # after the pipeline has applied h
            counts[group.product[t, h], labels_of[t]] += 1
    return counts


def floor_and_cap(counts):
    """The lowest cross entropy in nats and the best accuracy: per row, the best answer is the row itself."""
    p = counts / counts.sum(dim=1, keepdim=True)
    weight = counts.sum(dim=1) / counts.sum()
    nats = (weight * -torch.xlogy(p, p).sum(dim=1)).sum()
    return float(nats.clamp(min=0)), float((weight * p.amax(dim=1)).sum())


def chart(title, x, y, height=420):
    """An empty figure with a title and named axes."""
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": height, "width": 780})
    return figure.update_xaxes(title=x).update_yaxes(title=y)


# %% [markdown]
# ## 5.5 Relative location: derive the action
#
# A second task. Cut out the patch in the middle, and one of its eight neighbours. The network gets both patches and
# says which neighbour it was.
#
# **Predict.** The neighbour was the north one (label 1). Now the pair of patches is turned by 90 degrees to the left. Which
# pair of which image is that?


# %%
PLACES = [p for p in itertools.product((-1, 0, 1), repeat=2) if p != (0, 0)]  # row by row, without the middle


def two_patches(image, label, side=5):
    """The middle patch of an image (H, W) and its neighbour number `label`: (2, side, side)."""
    start = (image.shape[-1] - side) // 2
    down, right = PLACES[label]
    corners = [(start, start), (start + side * down, start + side * right)]
    return torch.stack([image[top : top + side, left : left + side] for top, left in corners])


scene = F.interpolate(letters()["R"][None, None, :, :], size=(15, 15))[0, 0] + noise(15, 15).float() * 0.1
neighbours = GSet.neighbours(D4)


def turn_the_pair(neighbour, g):
    label = neighbours.names.index(neighbour)
    moved = int(neighbours.action[g, label])
    pair, gx, name = two_patches(scene, label), D4.transform(scene, g), neighbours.names[moved]

    def line(image, caption, patches, captions, text=""):
        boxes = [picture(patch, words) for patch, words in zip(patches, captions, strict=True)]
        return row([picture(image, caption), *boxes], text)

    text = f"The pair turned by {D4.element_name(g)} is the pair ({name}) of the turned image."
    return (
        line(scene, "image x", pair, ("middle", neighbour))
        + line(gx, "image gx", D4.transform(pair, g), ("turned middle", "turned neighbour"))
        + line(gx, "image gx", two_patches(gx, moved), ("its middle", name), text)
    )


ByHand(turn_the_pair, neighbour=neighbours.names, g=range(8), start={"neighbour": "north", "g": 1})

# %% [markdown]
# **Seen:** the turned pair is a pair of the turned image, at the place to which the turn carries the neighbour. So g moves the
# eight labels exactly as it moves the eight places around the middle. Bit for bit, for all labels and elements, and for the
# library's task:

# %%
for g, label in itertools.product(D4.elements, range(8)):
    moved = int(neighbours.action[g, label])
    assert torch.equal(D4.transform(two_patches(scene, label), g), two_patches(D4.transform(scene, g), moved))

location = RelativeLocationTask(D4, patch=5, gap=0, jitter=0)
library_pairs = location.apply(scene.expand(8, 1, 15, 15), torch.arange(8))  # (8, 2, 1, 5, 5)
assert torch.equal(library_pairs[:, :, 0], torch.stack([two_patches(scene, label) for label in range(8)]))

# %% [markdown]
# The eight labels are two orbits: four edges, four corners. **Predict.** Are edges and corners the same kind of orbit?
# Turn the compass by 45 degrees, and edges become corners. Does the group notice?

# %%
for group in (C4, D4):
    L = GSet.neighbours(group)
    edge, corner = L.names.index("north"), L.names.index("north-east")
    for label in (edge, corner):
        fixed_by = [group.element_name(g) for g in L.stabilizer(label)]
        print(f"{group.name}: {L.names[label]:10} is left in place by {fixed_by}")
    print("    the same kind of orbit:", L.isomorphic(edge, corner))
    assert L.orbits == [(0, 2, 5, 7), (1, 3, 4, 6)] and L.isomorphic(edge, corner) == (group == C4)
assert L.stabilizer(edge) == (0, 4) and L.stabilizer(corner) == (0, 7)  # D4: flips along an axis, a diagonal

# %% [markdown]
# **Seen:** under $C_4$ both orbits are copies of the group, and no one notices. Under $D_4$ an edge is left in place by a
# flip along the axis, a corner by a flip along a diagonal. These are different kinds of reflections, so the orbits are **not
# isomorphic**: no relabelling that respects the group turns edges into corners. One bias per orbit is all a head may have,
# and here the edges and the corners each get their own.
#
# ## 5.6 The jigsaw identity
#
# Third task. Cut the image into n x n tiles, and move them: the tile at position p goes to position σ[p]. Tiles are moved,
# not turned. The network says which permutation σ it was. Now the whole puzzle is turned by g.
#
# **Predict.** The turned puzzle is a puzzle of the turned image. Which permutation made it? Tiles are numbered row by
# row. Try to find a rule for `g = 1` by hand, then read on.


# %%
def shuffle(image, sigma, n):
    """Move the tile at position p of an image (H, W) to position sigma[p]; positions are row by row."""
    tiles = [tile for line in image.chunk(n, dim=0) for tile in line.chunk(n, dim=1)]
    moved = [None] * len(tiles)
    for p, tile in enumerate(tiles):
        moved[sigma[p]] = tile
    return torch.cat([torch.cat(moved[n * i : n * i + n], dim=1) for i in range(n)], dim=0)


four = [F.pad(letters()[name], (0, 1, 0, 1)) + 0.15 * k for k, name in enumerate("FGRJ")]
puzzle = torch.cat(
    [torch.cat(four[:2], dim=1), torch.cat(four[2:], dim=1)]
)  # (20, 20): a letter on each tile
orders = ["".join(map(str, order)) for order in itertools.permutations(range(4))]


def which_permutation(sigma, g):
    order = [int(digit) for digit in sigma]
    turned = D4.transform(shuffle(puzzle, order, 2), g)
    made = [
        name
        for name in orders
        if torch.equal(shuffle(D4.transform(puzzle, g), [int(d) for d in name], 2), turned)
    ]
    pictures = [
        (puzzle, "x"),
        (shuffle(puzzle, order, 2), "tiles moved"),
        (turned, f"then {D4.element_name(g)}"),
    ]
    line = row([picture(plane, caption, side=110) for plane, caption in pictures])
    text = f"The same puzzle, made from gx: of all 24 permutations only {' and '.join(made)} gives it."
    other = [
        picture(D4.transform(puzzle, g), "gx", side=110),
        picture(turned, f"tiles moved by {made[0]}", side=110),
    ]
    return line + row(other, text)


ByHand(which_permutation, sigma=orders, g=range(8), start={"sigma": "0132", "g": 1})

# %% [markdown]
# Now derive it. Let $\pi_g$ be the permutation of the *positions* that turning by g causes (notebook 1b: the grid is a G-set).
# Follow one tile of gx that lies at position q.
#
# 1. Before the turn it lay at $\pi_g^{-1}[q]$.
# 2. The puzzle moved it from there to $\sigma[\pi_g^{-1}[q]]$.
# 3. The turn of the whole carried it to $\pi_g[\sigma[\pi_g^{-1}[q]]]$.
#
# The tile itself is turned in either case. So the permutation that makes the turned puzzle out of gx is
#
# $$ g \cdot S_\sigma x = S_{\pi_g \sigma \pi_g^{-1}} (g \cdot x). $$
#
# ### Exercise 3 · The right action
#
# Write it. `GSet.grid(group, n).action[g]` is $\pi_g$, a tensor with the new position of every position.


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
for n, sigmas in ((2, list(itertools.permutations(range(4)))), (3, [torch.randperm(9) for _ in range(30)])):
    x = noise(6 * n, 6 * n, seed=n)
    for sigma, g in itertools.product(sigmas, D4.elements):
        made = moved_permutation(torch.as_tensor(sigma), D4, n, g).tolist()
        assert torch.equal(D4.transform(shuffle(x, sigma, n), g), shuffle(D4.transform(x, g), made, n))

# %% [markdown]
# The library's jigsaw task is the same function, and `verify` compares every turned input with what the action table says,
# **bit for bit**: **T8**.

# %%
jigsaw = JigsawTask(D4, grid=2)
mine = torch.stack([shuffle(puzzle, sigma.tolist(), 2) for sigma in jigsaw.labels.permutations])
assert len({tuple(made.flatten().tolist()) for made in mine}) == 24  # no two puzzles are alike
assert torch.equal(jigsaw.apply(puzzle.expand(24, 1, 20, 20), torch.arange(24))[:, 0], mine)

for group, n in ((C4, 2), (D4, 2)):
    verdict = verify(JigsawTask(group, grid=n), images, tolerance=0.0)
    print(verdict)
    assert verdict.ok and verdict.difference == 0

# %% [markdown]
# ### Three actions
#
# Conjugation is right for every image. Two other actions are in use.
#
# - **left**, $\pi_g \sigma$: "the label names, for each tile of the *upright* picture, where it lies now."
# - **trivial**, $\sigma$: "the label does not move", the output is invariant.
#
# Play with all three. **Predict** for each: for which turns and permutations does it tell the truth?

# %%
explorable = {
    "jigsaw": jigsaw,
    "relative location": RelativeLocationTask(D4, patch=4),
    "rotation": RotationTask(D4),
}
explorer = LabelActionExplorer(explorable, image=data.test.images[3])
explorer.set_state(task="jigsaw", element=1)
explorer

# %% tags=["fold"]
# Holds: conjugation is always right.
# Holds: *Left* is wrong after every turn, for every permutation.
# Holds: *Trivial* is right only for the few permutations that commute with the turn: 4 of 24 for a quarter turn, 8 for a half turn.
true, left, trivial = (GSet.jigsaw(D4, 2, way).action for way in ("conjugation", "left", "trivial"))
assert not (left[1:] == true[1:]).any()
assert [int((trivial[turn] == true[turn]).sum()) for turn in (1, 2)] == [4, 8]
for label in range(24):
    explorer.set_state(task="jigsaw", element=1, label=label)
    same = bool(trivial[1, label] == true[1, label])
    assert explorer.verdicts() == {"conjugation": True, "left": False, "trivial": same}

# %% [markdown]
# **Seen:** conjugation is always right. *Left* is wrong after every turn, for every permutation. *Trivial* is right
# only for the few permutations that commute with the turn: 4 of 24 for a quarter turn, 8 for a half turn.
#
# Are they useless then? Not quite: they promise something about *turned pictures*, and if every picture of the data is upright,
# a turned one never comes. `verify` cannot know that; it says which assumption would save the action.

# %%
for action, right in (("left", [24, 0, 0, 0]), ("trivial", [24, 4, 8, 4])):
    true, assumed = GSet.jigsaw(C4, 2).action, GSet.jigsaw(C4, 2, action).action  # (4, 24)
    assert (true == assumed).sum(dim=1).tolist() == right
    print(f"{action}: after e, r90, r180, r270 right for {right} of 24 permutations")
    verdict = verify(JigsawTask(C4, grid=2, action=action), images)
    print(f"{verdict}\n")
    assert not verdict.ok and "upright" in str(verdict)

# %% [markdown]
# ## 5.7 The price of a wrong action
#
# What does a wrong action cost, if the assumption does *not* hold? Let the image be hx with x upright and h uniform in a subgroup
# H (data that look the same under H). The true action moves labels by $g \cdot l$, the head assumes $g * l$.
#
# An equivariant network treats (y, l) and (gy, g * l) alike. So its loss is its loss on the data *mixed over all g*. Count
# again what is seen and which label comes with it: the picture $(gh, g \cdot l)$ comes with the label $g * l$.


# %%
def price(true, assumed, H, mixed=None):
    """(nats, accuracy): the best answer if all g in `mixed` look alike; an equivariant network mixes all of G."""
    group, size = true.group, true.size
    counts = torch.zeros(group.order * size, size, dtype=torch.float64)
    for g, h, label in itertools.product(mixed or group.elements, H, range(size)):
        seen = int(group.product[g, h]) * size + int(true.action[g, label])
        counts[seen, assumed.action[g, label]] += 1
    counts = counts[counts.sum(dim=1) > 0]
    return floor_and_cap(counts)


cases = [
    (C4, (0,), "upright"),
    (C4, tuple(range(4)), "all orientations"),
    (D4, tuple(range(8)), "all, and mirrored"),
    (D4, (0, 4), "upright, mirrored"),
]
for (group, H, what), action in itertools.product(cases, ("conjugation", "left", "trivial")):
    true, assumed = GSet.jigsaw(group, 2), GSet.jigsaw(group, 2, action)
    nats, accuracy = price(true, assumed, H)
    print(f"{group.name}, {what:18} {action:12} floor {nats:.3f} nats, cap {accuracy:.3f}")
    library = inconsistency_floor(true, assumed, H)
    assert abs(nats - library.nats) < 1e-9 and abs(accuracy - library.accuracy) < 1e-9
    assert (nats < 1e-9) == (accuracy > 1 - 1e-9) == (action == "conjugation" or H == (0,))
    if len(H) == group.order and action != "conjugation":
        assert abs(nats - math.log(group.order)) < 1e-9 if action == "left" else nats < math.log(group.order)
    assert price(true, assumed, H, mixed=(0,))[0] < 1e-9  # a network that is not equivariant pays nothing

# %% [markdown]
# **Seen:** conjugation costs nothing anywhere. On upright data nothing costs anything. On data of all orientations the
# left action costs $\log |G|$, 1.386 or 2.079 nats, and the trivial one less, 1.040 or 1.329. This is **T4**: the loss
# of an equivariant network is at least
#
# $$ H_p(l \mid y) + I(l'; g \mid y'), \qquad (y', l') = (g \cdot y, \; g * l). $$
#
# The first term is what nobody can know (section 5.4); here it is 0. The second is the price of the wrong action, and
# **a network that is not equivariant does not pay it**. That is what "the task must not contradict the network" means,
# as a number.
#
# ### The calculator
#
# Choose with the sliders. The bar is the floor, from 0 to guessing. **Predict** before you move: does a larger group make it
# better or worse?

# %%
DATA = {
    "upright": [0],
    "mirrored": [0, 4],
    "turned by 180 degrees": [0, 2],
    "turned by quarters": [0, 1, 2, 3],
    "turned and mirrored": list(range(8)),
}
ACTIONS = [
    "jigsaw 2x2, conjugation",
    "jigsaw 2x2, left",
    "jigsaw 2x2, trivial",
    "location, true",
    "location, trivial",
    "rotation, elements",
    "rotation, cosets of the mirror",
    "rotation, trivial",
]


def floor_and_guess(action, group, data):
    """(the floor, number of labels) of a task with a label action, for a group and the data's symmetry."""
    G = {"C4": C4, "D4": D4}[group]
    H = tuple(h for h in DATA[data] if h < G.order)  # a mirror image is just another image for C4
    task, how = action.split(", ")
    if task == "rotation":  # the picture shows t h alone: count, as in section 5.4
        K = (0, 4) if how == "cosets of the mirror" and G == D4 else (0,)
        label_of = [next(i for i, coset in enumerate(G.left_cosets(K)) if t in coset) for t in G.elements]
        counts = seen_and_labels(label_of, H, G)
        labels = GSet.trivial(G, counts.shape[1]) if how == "trivial" else GSet.quotient(G, K)
        return equivariant_floor(counts / counts.sum(), GSet.regular(G), labels), labels.size
    if task == "location":
        true = GSet.neighbours(G)
        assumed = true if how == "true" else GSet.trivial(G, 8)
    else:
        true, assumed = GSet.jigsaw(G, 2), GSet.jigsaw(G, 2, how)
    return inconsistency_floor(true, assumed, H), true.size


def calculator(action, group, data):
    floor, size = floor_and_guess(action, group, data)
    guess = math.log(size)
    bar = (
        '<div style="width:360px;height:16px;border:1px solid #767b84;background:white">'
        f'<div style="width:{360 * floor.nats / guess:.0f}px;height:16px;background:{COLOURS[1]}"></div></div>'
    )
    words = "Below the orange bar no equivariant network can come."
    if floor.nats < 1e-9:
        words = "The action costs nothing here."
    return (
        f"{bar}<p><b>Loss at least {floor.nats:.3f} nats, accuracy at most {floor.accuracy:.3f}.</b> {words} "
        f"Guessing: {guess:.3f} nats, accuracy {1 / size:.3f}.</p>"
    )


chosen = ByHand(
    calculator,
    action=tuple(ACTIONS),
    group=("C4", "D4"),
    data=tuple(DATA),
    start={"action": "jigsaw 2x2, left", "data": "turned by quarters"},
)
chosen

# %% [markdown]
# **Seen:** what counts are the orientations that the data hold *and* the group knows. Upright data forgive every action of
# jigsaw and location. $C_4$ does not know mirror images, so they cost it nothing; $D_4$ pays for them. The rotation task is in
# the list too, and forgives less: with the trivial action (an invariant head) it costs $\log |G|$ even on upright data, as we
# saw in 5.1. And its cosets save what the elements lose on mirrored data, as in 5.4.

# %%
for group, data_are, wanted in (
    ("C4", "turned by quarters", 4),
    ("D4", "turned by quarters", 4),
    ("D4", "turned and mirrored", 8),
    ("D4", "upright", 1),
    ("C4", "mirrored", 1),
    ("D4", "mirrored", 2),
):
    for action in ("rotation, elements", "jigsaw 2x2, left"):
        assert abs(floor_and_guess(action, group, data_are)[0].nats - math.log(wanted)) < 1e-9
for data_are, group in itertools.product(DATA, ("C4", "D4")):
    order = {"C4": 4, "D4": 8}[group]
    assert abs(floor_and_guess("rotation, trivial", group, data_are)[0].nats - math.log(order)) < 1e-9  # T1
    for action in ("jigsaw 2x2, conjugation", "location, true"):
        assert "costs nothing" in calculator(action, group, data_are)
assert "costs nothing" in calculator("rotation, cosets of the mirror", "D4", "mirrored")
for action in ACTIONS[:5]:  # jigsaw and location
    for group, data_are in (("C4", "upright"), ("D4", "upright"), ("C4", "mirrored")):
        assert "costs nothing" in calculator(action, group, data_are)
    wrong = action not in ("jigsaw 2x2, conjugation", "location, true")
    assert (floor_and_guess(action, "D4", "mirrored")[0].nats > 0.4) == wrong

# %% [markdown]
# ### Exercise 4 · Turn the sliders
#
# For the jigsaw with the **trivial** action under $D_4$: which data make the loss at least 1.0 nats with as *few* elements of
# symmetry as possible? Give the floor in nats, as the calculator shows it.

# %%
# BEGIN SOLUTION
# GAP: floor_read = ...
floor_read = 1.040
# END SOLUTION
check("05.calculator", floor_read)

# %% tags=["solution-only"]
assert check("05.calculator", floor_read).ok

# %% [markdown]
# ### Does training obey?
#
# Three networks, the same but for the action of their heads, learn the jigsaw on data of all orientations. A fourth one
# learns **what your sliders say now** (leave them where they were, and there are three). The picture is the puzzle of
# letters, with fresh noise and freshly turned by a random element of H in every step. So no network can learn a picture by
# heart.
#
# In every tenth step we measure the loss over *all* orientations of the data and all labels of fresh pictures.


# %%
class Puzzles(PretextModel):
    """A network that learns one choice of the calculator on fresh noisy puzzles, or on pictures that stay as they are."""

    def __init__(self, action, group, data, fresh=True):
        torch.manual_seed(SEED)
        G = {"C4": C4, "D4": D4}[group]
        kind, how = action.split(", ")
        cosets = (0, 4) if how == "cosets of the mirror" and G == D4 else (0,)
        task = {
            "jigsaw 2x2": lambda: JigsawTask(G, 2, how),
            "location": lambda: RelativeLocationTask(G, patch=4),
            "rotation": lambda: RotationTask(G, cosets),
        }[kind]()
        pooled = how == "trivial" and kind != "jigsaw 2x2"  # an invariant head is the trivial action
        super().__init__(
            GroupCNN(G, channels=(6, 12)), task, InvariantHead(task.labels, 12) if pooled else None
        )
        self.limit, self.fresh = floor_and_guess(action, group, data)[0], fresh
        self.register_buffer("H", torch.tensor([h for h in DATA[data] if h < G.order]))
        self.register_buffer("clean", puzzle.clone())
        self.steps, self.orbit_losses = 0, []

    @property
    def cap(self):
        """What the live chart draws as the cap."""
        return self.limit.accuracy

    def fresh_puzzles(self, count, generator):
        """(count, 1, 20, 20): each with its own noise, turned by its own element of H."""
        noisy = self.clean + 0.1 * torch.randn(count, 1, 20, 20, generator=generator, device=self.H.device)
        turn = torch.randint(len(self.H), (count,), generator=generator, device=self.H.device)
        return self.task.group.transform(noisy, self.H[turn])

    @torch.no_grad()
    def loss_on(self, pictures):
        """The mean loss over these pictures and all labels, in eval mode."""
        self.eval()
        inputs, labels = self.task.every_input(pictures)
        logits = self(inputs.flatten(0, 1))
        self.train()
        return F.cross_entropy(logits, labels.repeat_interleave(len(pictures))).item()

    def orbit_loss(self, pictures):
        """The same over these pictures turned by all of H."""
        return self.loss_on(torch.cat([self.task.group.transform(pictures, h) for h in self.H.tolist()]))

    def training_step(self, images, generator):
        self.steps += 1
        if self.steps % 10 == 1:
            self.orbit_losses.append((self.steps, self.orbit_loss(self.fresh_puzzles(2, generator))))
        return super().training_step(
            self.fresh_puzzles(len(images), generator) if self.fresh else images, generator
        )


def training_of(model, pictures, epochs=11):
    """20 steps of 48 pictures an epoch."""
    pictures = pictures.repeat(960 // len(pictures), 1, 1, 1)
    return Pretrainer(model, pictures, epochs=epochs, batch_size=48, lr=2e-2, seed=SEED)


fixed = {f"jigsaw 2x2, {how}": ("C4", "turned by quarters") for how in ("conjugation", "trivial", "left")}
learners = {action: Puzzles(action, *rest) for action, rest in fixed.items()}
choice = chosen.state()
if fixed.get(choice["action"]) != (choice["group"], choice["data"]):
    learners["your choice: " + ", ".join(choice.values())] = Puzzles(**choice)
runs = {name: training_of(model, puzzle[None, None]) for name, model in learners.items()}
live_puzzles = LiveTraining(runs, title="Each curve stops at its own cap")
live_puzzles

# %% [markdown]
# **Predict** where the curves end, then wait for the picture of their loss.

# %%
live_puzzles.wait()
title = "The jigsaw on data of all orientations: each curve stops at its floor"
figure = chart(title, "training step", "loss over the orbit (nats)")
dashes = ("solid", "dash", "dashdot", "longdash")
for (name, model), colour, dash in zip(learners.items(), COLOURS, dashes, strict=False):
    steps, losses = zip(*model.orbit_losses, strict=True)
    label = f"{name}: floor {model.limit.nats:.3f}"
    figure.add_scatter(x=steps, y=losses, name=label, line={"color": colour, "dash": dash})
    figure.add_hline(model.limit.nats, line={"color": colour, "dash": "dot"})
figure.update_layout(legend={"orientation": "h", "y": -0.3})
figure.update_yaxes(rangemode="tozero")

# %% [markdown]
# **Seen:** each curve falls to its own dotted line, comes within 0.05 nats of it, and never crosses it. More steps, more
# channels, a better optimiser: nothing will help. The wrong head does not learn slowly. It learns *something else*.
# Move the sliders, and run the training and its picture again.

# %%
for name, model in learners.items():
    losses, floor = [loss for _, loss in model.orbit_losses], model.limit.nats
    print(f"{name}: floor {floor:.3f}, lowest orbit loss {min(losses):.3f}, last {losses[-1]:.3f}")
    assert all(loss >= floor - 1e-6 for loss in losses)  # never below
    assert live_puzzles.stopped or name not in fixed or losses[-1] < floor + 0.05  # and close to it

# %% [markdown]
# ### Can the training loss be lower?
#
# The floor holds for the loss over whole orbits. A *fixed* set of pictures, each in one orientation, is another matter.
# **Predict.** We take six fixed noisy puzzles and train the left head on them for long.

# %%
pupil = Puzzles("jigsaw 2x2, left", "C4", "turned by quarters", fresh=False)
draws, turns = torch.Generator().manual_seed(7), torch.tensor([0, 1, 2, 3, 1, 2])
six = C4.transform(puzzle + 0.1 * torch.randn(6, 1, 20, 20, generator=draws), turns)
memory = training_of(pupil, six, epochs=10)
live_memory = LiveTraining({"six fixed pictures": memory}, title="Six fixed pictures, the left action")
live_memory

# %%
live_memory.wait()
floor = pupil.limit.nats
steps, batch_losses = zip(*((record["step"], record["loss"]) for record in memory.history), strict=True)
orbit_steps, orbit_losses = zip(*pupil.orbit_losses, strict=True)
figure = chart("Six fixed pictures, the left action", "training step", "loss (nats)")
figure.add_scatter(x=steps, y=batch_losses, name="the six pictures", line={"color": COLOURS[0]})
figure.add_scatter(
    x=orbit_steps, y=orbit_losses, name="fresh, all turns", line={"color": COLOURS[1], "dash": "dash"}
)
words = {"text": f"floor {floor:.3f}", "x": 0.98, "xanchor": "right"}
figure.add_hline(floor, line={"color": COLOURS[6], "dash": "dot"}, annotation=words)
figure.update_yaxes(rangemode="tozero")

# %% [markdown]
# **Seen:** on its six pictures the network dives below the floor (and the live chart above its "cap"). It knows each
# picture by its noise, and remembers in which orientation *that one* was shown: for it the data are upright again. On
# fresh pictures of all orientations it stays far above. Is it really the noise? The cell below shows the same
# orientations with other noise: far above as well. So a training loss below the floor is no miracle. It is memory.

# %%
others = C4.transform(puzzle + 0.1 * torch.randn(60, 1, 20, 20, generator=draws), turns.repeat(10))
own, other_noise = (pupil.loss_on(pictures.to(pupil.clean.device)) for pictures in (six, others))
print(
    f"its six pictures {own:.3f}, the same orientations with other noise {other_noise:.3f}, floor {floor:.3f}"
)
assert live_memory.stopped or own < floor - 0.3 < floor + 0.5 < other_noise
assert min(orbit_losses) >= floor - 1e-6
assert live_memory.stopped or (min(batch_losses) < floor - 0.3 and min(orbit_losses) > floor + 0.5)

# %% [markdown]
# ## 5.8 Choosing permutations
#
# A 3 x 3 jigsaw has 9! = 362,880 permutations. One takes a few, far apart from each other so that the task is clear. The
# published recipe is greedy: take the permutation whose *mean* Hamming distance to those taken so far is largest. (The Hamming
# distance of two permutations is the number of positions where they differ.)
#
# **Predict.** Take 24 in this way. What does an equivariant head need of such a set, and is it given?

# %%
everything = torch.tensor(list(itertools.permutations(range(9))), dtype=torch.int8)  # (362880, 9)
generator = torch.Generator().manual_seed(0)
chosen = [int(torch.randint(len(everything), (1,), generator=generator))]
total = torch.zeros(len(everything))
while len(chosen) < 24:
    total += (everything != everything[chosen[-1]]).sum(dim=1)
    total[chosen[-1]] = -1e9  # not again
    chosen.append(int(total.argmax()))
greedy = everything[chosen].long()


def smallest_distance(permutations):
    distance = (permutations[:, None] != permutations).sum(dim=2)
    return int((distance + 99 * torch.eye(len(permutations)).long()).min())


grid = GSet.grid(C4, 3).action
members = {tuple(sigma) for sigma in greedy.tolist()}
moved = grid[1][greedy[:, grid[3]]]  # conjugation by a quarter turn: there after sigma after back
inside = sum(tuple(sigma) in members for sigma in moved.tolist())
print(
    f"smallest distance {smallest_distance(greedy)} of 9; a quarter turn sends {inside} of 24 to labels of the set"
)
assert inside <= 2 and smallest_distance(greedy) < 4  # and so with seven other seeds

# %% [markdown]
# **Seen:** turn a puzzle, and nearly always its new permutation has *no label*. The set is not **closed**. There is no
# action table, so there is no G-set and no equivariant head: it would not be bad, it cannot be defined. The library
# says so.

# %%
try:
    action_table(C4, 3, "conjugation", greedy)
except ValueError as problem:
    print(problem)
else:
    raise AssertionError("an unclosed set was accepted")

# %% [markdown]
# So take whole orbits. The Hamming distance does not change when both permutations are moved by g, so orbits have distances as
# well: take the farthest orbit, again and again, and leave out orbits whose own members are too close.

# %%
closed = {action: GSet.jigsaw(C4, 3, action, count=24) for action in ("conjugation", "left")}
for action, L in closed.items():
    sizes = [len(orbit) for orbit in L.orbits]
    print(
        f"{action:12} {L.size} labels, {len(sizes)} orbits, smallest distance {smallest_distance(L.permutations)}"
    )
    assert L.size >= 24 and smallest_distance(L.permutations) > smallest_distance(greedy)
    assert torch.equal(action_table(C4, 3, action, L.permutations), L.action)
assert verify(JigsawTask(C4, grid=3, count=24), images[:1], tolerance=0.0).ok  # T8 for nine tiles

# %% [markdown]
# **Seen:** closed, and even farther apart than the greedy set by mean distance, which looks at means and may take two that are
# close. This is **T10**.
#
# ### Counting without looking: Burnside
#
# How many orbits are there to choose from? Counting 362,880 permutations orbit by orbit is slow. First a small case: paint the
# four tiles of a 2 x 2 board black or white. There are 16 boards. **Predict:** if a turned or flipped board counts as the same
# board, how many are left? (It is not 16 / 8.) Move the slider: which boards does each element leave as they are?

# %%
values = 2 ** torch.arange(4)  # board number i has the binary digits of i as tiles
boards = (torch.arange(16)[:, None] // values % 2).reshape(16, 2, 2)
painted = GSet(
    D4, torch.stack([(D4.transform(boards, g).flatten(1) * values).sum(dim=1) for g in D4.elements])
)


def kept_boards(g):
    kept = [i for i in range(16) if painted.action[g, i] == i]
    drawn = [picture(boards[i].double(), f"{i}", limits=(0, 1), side=72) for i in kept]
    return row(drawn, f"<b>{names[g]}</b> keeps <b>{len(kept)}</b> of the 16 boards.")


kept = (painted.action == torch.arange(16)).sum(dim=1)
assert kept.tolist() == [16, 2, 4, 2, 4, 8, 4, 8] and kept.sum() == 8 * len(painted.orbits)
assert [len(orbit) for orbit in painted.orbits] == [1, 4, 4, 2, 4, 1]
ByHand(kept_boards, g=range(8), start={"g": 4})

# %% [markdown]
# **Seen:** six boards are left, in orbits of 1, 4, 4, 2, 4 and 1. The mean of what the eight elements keep is
# (16 + 2 + 4 + 2 + 4 + 8 + 4 + 8) / 8 = 6 as well. That is **Burnside's lemma**: *the number of orbits is the mean, over the group,
# of the number of labels that g leaves in place.* Why? Count the pairs (g, l) with $g \cdot l = l$. For each l there are |Stab(l)| =
# |G| / |orbit of l| of them, so each orbit contributes |G|. Divide by |G|.
#
# ### Exercise 5 · Write one line: Burnside's count
#
# Write it for any action table.


# %%
def count_orbits(action):
    """action: LongTensor (|G|, n) with action[g, l] = g.l -> the number of orbits."""
    # BEGIN SOLUTION
    return int((action == torch.arange(action.shape[1])).sum()) // len(action)
    # END SOLUTION


check("05.count_orbits", count_orbits)

# %% tags=["solution-only"]
assert check("05.count_orbits", count_orbits).ok
for L in label_sets.values():
    assert count_orbits(L.action) == len(L.orbits)

# %% [markdown]
# For conjugation the permutations left in place by g are those that commute with $\pi_g$. If $\pi_g$ has m cycles of length k,
# these are the product of all $k^m \, m!$. No list of permutations is needed:


# %%
def commuting(positions):
    """How many permutations commute with this one: the product of k^m m! over its cycle lengths k."""
    lengths, left = [], set(range(len(positions)))
    while left:
        start = p = left.pop()
        length = 1
        while (p := int(positions[p])) != start:
            left.remove(p)
            length += 1
        lengths.append(length)
    return math.prod(k ** lengths.count(k) * math.factorial(lengths.count(k)) for k in set(lengths))


for n, group in itertools.product((2, 3), (C4, D4)):
    conjugation = sum(commuting(p) for p in GSet.grid(group, n).action) // group.order
    left = math.factorial(n * n) // group.order  # only the identity leaves a permutation in place
    print(f"{n} x {n}, {group.name}: {conjugation} orbits by conjugation, {left} by the left action")
    if n == 2:
        assert (conjugation, left) == tuple(
            len(GSet.jigsaw(group, 2, a).orbits) for a in ("conjugation", "left")
        )
    else:
        assert (conjugation, left) == {"C4": (90832, 90720), "D4": (45560, 45360)}[group.name]

# %% [markdown]
# ## 5.9 A task of your own, in three lines
#
# A task is a G-set of labels and a function that makes the input of an image and a label. Here: *from which side does
# the light come?* The image is made brighter towards one of its four sides. **Predict** how the four labels (top, left,
# bottom, right) move under a quarter turn to the left.


# %%
def shade(images, labels):
    """Brighter towards one side: label 0 the top, 1 the left, 2 the bottom, 3 the right."""
    ramp = torch.linspace(1, 0, images.shape[-1])[:, None].expand(images.shape[-2:])  # bright at the top
    ramps = torch.stack([C4.transform(ramp, g) for g in range(4)])  # and its quarter turns
    return images + ramps[labels, None]


sides = GSet(C4, C4.product, names=["top", "left", "bottom", "right"])
light = Task(sides, shade)
verdict = verify(light, data.test.images[:4])
print(verdict)
assert verdict.ok

# %% [markdown]
# Three lines (if the light is not counted), and the task is ready for any encoder: `PretextModel(encoder, light)`. What
# if we had been careless and said that the label does not move?

# %%
careless = Task(GSet(C4, torch.arange(4).repeat(4, 1), names=sides.names), shade)
verdict = verify(careless, data.test.images[:4])
assert not verdict.ok and verdict.counter_example.found == verdict.counter_example.g == 1
assert verdict.counter_example.label == verdict.counter_example.promised == 0
verdict

# %% [markdown]
# **Seen:** a picture of the counter-example. The turned input is lit from the left, and the table promised the top. And we know
# what the mistake would have cost, on upright images and on images of all orientations:

# %%
for H in ((0,), (0, 1, 2, 3)):
    floor = inconsistency_floor(sides, careless.labels, H)
    print(f"images look the same under {H}: at least {floor.nats:.3f} nats")
assert abs(inconsistency_floor(sides, careless.labels, (0, 1, 2, 3)).nats - math.log(4)) < 1e-9
assert inconsistency_floor(sides, careless.labels, (0,)).nats == 0

# %% [markdown]
# ### Exercise 6 · Your action table
#
# A task of two marks: a white line is drawn through the middle of the image, label 0 "upright", label 1 "lying", 2 "diagonal
# from lower left to upper right", 3 "diagonal from upper left to lower right". Write the action table of $C_4$ on the four
# labels, `(4, 4)`: row g, entry l is $g \cdot l$.

# %%
# BEGIN SOLUTION
# GAP: table = ...
table = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2], [0, 1, 2, 3], [1, 0, 3, 2]])
# END SOLUTION
check("05.action_table", table)

# %% tags=["solution-only"]
assert check("05.action_table", table).ok

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can tell a task that contradicts a network from one that does not, before any training: derive the action, `verify` it, and
# read the floor. We know what rotation prediction learns, why its four copies are one, and which label set to take if the data
# hold mirror images. We have not yet seen what such tasks are *worth*: whether what is learned helps with another task.
#
# ## Exercises
#
# The seven exercises stand where they belong: caps (0), the head (1), data symmetry (2), the jigsaw action (3), the
# calculator (4), Burnside (5), your own table (6). One to think about without a check:
#
# ### 7 · Think
#
# A colleague has a jigsaw with the left action, photographs that are upright, and rotation augmentation *before* the
# puzzle is made, "because it cannot hurt". Which loss will her curve stop at, for $C_4$?
#
# <details><summary>Answer</summary>Her augmentation makes the data look the same in all orientations, and the left action needs upright
# data: log 4 = 1.386 nats, accuracy 25 %. With conjugation the same augmentation would change nothing at all.</details>
#
# ## Where to read on
#
# - `eqssl_edu/pretext/`: the tasks, `verify`, and the lift that carries tiles to a regular field; `eqssl_edu/theory.py`: floors.
# - Mukuta and Harada, *Self-Supervised Learning for Group Equivariant Neural Networks* (arXiv 2303.04427): the idea.
# - Gidaris, Singh and Komodakis, *Unsupervised Representation Learning by Predicting Image Rotations* (arXiv 1803.07728).
# - Doersch, Gupta and Efros, *Unsupervised Visual Representation Learning by Context Prediction* (arXiv 1505.05192).
# - Noroozi and Favaro, *Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles* (arXiv 1603.09246).
# - Next: **6 · Training pretext tasks**, where all of them learn live.
