# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 6 · Training pretext tasks
#
# After this notebook you can
#
# - write the loss of rotation prediction, and train networks on it with no label of a human;
# - compare fairly: with networks of as many weights, with as many multiplications, and with the same symmetry by other means;
# - leave out three quarters of the usual work, and say for which networks this changes nothing.
#
# **Seen before:** notebook 5 and what follows it (labels that move, heads, caps). **Time:** {minutes} minutes, of which the
# computer needs less than one.

# %%
from eqssl_edu.data import digits, glyphs
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_06 as lesson
from eqssl_edu.pretext import RotationTask
from eqssl_edu.theory import label_cap

import torch
import torch.nn.functional as F

SEED = 0  # of all weights, batches and turns: change it and run again
C4, rotation = cyclic(4), RotationTask(cyclic(4))
data = digits(12)  # handwritten digits

# %% [markdown]
# ## 6.1 The loss
#
# Turn each image by its own random quarter turn, and ask the network by which. S. Gidaris, P. Singh and N. Komodakis
# (*Unsupervised Representation Learning by Predicting Image Rotations*, ICLR 2018, arXiv 1803.07728) train networks in
# this way: whoever can tell which way up a thing is, they reason, knows something of the thing. The label costs nothing,
# since the computer did the turning.
#
# ### Exercise 1 · The loss
#
# `turns` holds one of the elements 0 to |G| - 1 for each image. Turn the images by them (`group.transform(images, turns)`
# turns each by its own), ask the model for its logits, `(B, |G|)`, and return the mean cross-entropy: one number, through
# which gradients flow.


# %%
def rotation_loss(model, images, group, turns):
    """Images (B, C, H, W), each to be turned by its own element of turns (B,) -> the mean loss in nats."""
    # BEGIN SOLUTION
    return F.cross_entropy(model(group.transform(images, turns)), turns)
    # END SOLUTION


check("06.rotation_loss", rotation_loss)

# %% tags=["solution-only"]
assert check("06.rotation_loss", rotation_loss).ok
model, both = (
    lesson.build(rotation, "equivariant", SEED),
    [torch.Generator().manual_seed(SEED) for _ in range(2)],
)
theirs = model.training_step(data.train.images[:64], both[0])["loss"]
turns = torch.randint(4, (64,), generator=both[1])
assert torch.equal(theirs, rotation_loss(model, data.train.images[:64], C4, turns))

# %% [markdown]
# The library's `RotationTask` draws the turns and does the same. Every model here is an encoder and a head:
#
# | name | encoder | head |
# |---|---|---|
# | equivariant | group network for $C_4$, features `(B, 12, 4)` | universal head: its logits move as the labels do |
# | invariant head | the same | pools over the group first |
# | free head | the same | any linear map of all 48 features |
# | CNN, equal weights | plain CNN, as many weights | any linear map |
# | CNN, equal compute | plain CNN, as many multiplications | any linear map |
# | symmetrised CNN | the first CNN on all four turned copies | universal head |
#
# Why three CNNs? A group network uses each weight in four copies. So with equal weights it does more work, and with equal
# work it has fewer weights: a fair comparison needs both. The third has the symmetry, but no special layer.

# %%
lesson.costs(rotation, data.test.images)

# %% [markdown]
# ## 6.2 Which way up is a digit?
#
# **Predict.** Five of the six learn to tell by how much a digit was turned, one cannot. Which one, and where will its loss
# stand still? (*Stop* ends a training early, and the notebook goes on with what was learned.)

# %%
six = {kind: (rotation, kind) for kind in lesson.KINDS}
live = lesson.train(six, data.train.images, 5, "By how much was the digit turned?", SEED)
live

# %%
on_digits = lesson.results(lesson.trained(live), data.test.images)  # kind: (loss, accuracy)
title = "Rotation of digits: 300 test digits, all four turns"
lesson.accuracy_bars(on_digits, {"invariant head": 1 / 4}, rotation.chance, title)

# %%
limits = {"invariant head": label_cap(rotation.labels, C4.elements)}
lesson.curves(live, limits, "Rotation of digits: the invariant head stands at log 4")

# %% [markdown]
# **Seen:** the invariant head has 25 %, exactly, and a loss of at least $\log 4 = 1.386$ nats. The other five are above
# 50 %. The equivariant model and the symmetrised CNN are ahead of the free head and of both plain CNNs.
#
# **Why:** an invariant head gives the four copies one answer, and it is right for one of them (*the cap of an invariant
# output*). (The curve scatters around its lines, for a point is a few batches of drawn labels; the bar counts all copies.)
# To pass the cap it is enough not to be invariant: the free head does, on the same encoder, and so do the plain CNNs. What
# equivariance adds is speed: what such a model learns of one copy it knows of all four. And the symmetrised CNN shows that
# it is the symmetry that helps and not a special layer.

# %% tags=["fold"]
# Holds: the invariant head has 25 %, exactly, and a loss of at least $\log 4 = 1.386$ nats.
# Holds: The other five are above 50 %.
# Holds: The equivariant model and the symmetrised CNN are ahead of the free head and of both plain CNNs.
from math import log

stuck, blind = on_digits["invariant head"]
assert (
    blind == lesson.trained(live)["invariant head"].cap == 1 / 4
    and stuck >= log(4) - 1e-9
    and f"{log(4):.3f}" == "1.386"
)
if not live.stopped:
    reached = {kind: accuracy for kind, (_, accuracy) in on_digits.items()}
    assert min(value for kind, value in reached.items() if kind != "invariant head") > 0.5
    with_symmetry, without = ("equivariant", "symmetrised CNN"), ("free head", *lesson.KINDS[3:5])
    assert min(reached[kind] for kind in with_symmetry) > max(reached[kind] for kind in without)

# %% [markdown]
# ## 6.3 And a letter?
#
# The letters come on textured grounds, dark or light, and the test letters in typefaces that nobody trained on. Some of
# them (H, I, N, O, S, X, Z) look the same or nearly the same upside down.
#
# **Predict.** Will the accuracies be higher or lower than on digits? In which order?

# %%
letters = glyphs(counts=(1600, 300, 600), size=16)
four = {kind: (rotation, kind) for kind in lesson.KINDS if "head" not in kind}
live_letters = lesson.train(four, letters.train.images, 5, "By how much was the letter turned?", SEED)
live_letters

# %%
on_letters = lesson.results(lesson.trained(live_letters), letters.test.images)
lesson.accuracy_bars(
    on_letters, {}, rotation.chance, "Rotation of letters in unseen typefaces, all four turns"
)

# %% [markdown]
# **Seen:** letters are harder than digits for all four. The equivariant model is ahead of both plain CNNs, in typefaces
# that none of them has seen.
#
# One run says little about a few points. `docs/results/rotation.md` has ten seeds of larger networks, with intervals: there the
# equivariant head is ahead of both plain CNNs and of the free head, and the symmetrised CNN does not separate from it. All
# this is about the *task*. Whether such a network is good for anything else is the question of notebook 6c, and there
# the order is another one.

# %% tags=["fold"]
# Holds: letters are harder than digits for all four.
# Holds: The equivariant model is ahead of both plain CNNs, in typefaces that none of them has seen.
if not live_letters.stopped:
    plain = [on_letters[kind][1] for kind in lesson.KINDS[3:5]]
    assert on_letters["equivariant"][1] > max(plain)
    assert live.stopped or all(on_letters[kind][1] < on_digits[kind][1] for kind in four)

# %% [markdown]
# ## 6.4 The orbit is free
#
# The usual recipe shows each image in all four orientations in every step: four times the work. Your loss shows one, drawn
# at random.
#
# ### Exercise 2 · All copies
#
# Write the usual recipe: all turned copies of all images, and their labels. `group.transform(images, g)` with a single
# element g turns the whole batch.


# %%
def all_copies(images, group):
    """Images (B, C, H, W) -> inputs (|G| B, C, H, W) and labels (|G| B,), the elements that turned them."""
    # BEGIN SOLUTION
    # GAP: # one batch for each element, then torch.cat; the labels in the same order
    # GAP: return ...
    inputs = torch.cat([group.transform(images, g) for g in group.elements])
    labels = torch.arange(group.order).repeat_interleave(len(images))
    return inputs, labels
    # END SOLUTION


verdict = check("06.all_copies", all_copies)
copies = all_copies if verdict else lesson.all_copies
verdict

# %% tags=["solution-only"]
assert check("06.all_copies", all_copies).ok
inputs, labels = all_copies(data.train.images[:5], C4)
wanted, cases = rotation.every_input(data.train.images[:5])
assert torch.equal(inputs, wanted.flatten(0, 1)) and torch.equal(labels, cases.repeat_interleave(5))

# %% [markdown]
# **Predict.** We take one step both ways, in float64: with one copy of each image, and with all four. For which of three
# models, with random weights, does it change the loss and the gradients: the equivariant one, the free head on the same
# encoder, the plain CNN?

# %%
batch = data.train.images[:96].double()
turns = torch.randint(4, (96,), generator=torch.Generator().manual_seed(SEED))
one, every = (C4.transform(batch, turns), turns), copies(batch, C4)
kinds = ("equivariant", "free head", "CNN, equal weights")
changes = {kind: lesson.two_steps(lesson.build(rotation, kind, SEED).double(), one, every) for kind in kinds}
changes

# %% [markdown]
# **Seen:** for the equivariant model both change by rounding, whatever turns were drawn. For the free head and the CNN the
# gradients change by more than a hundredth of their size. Its step with one copy takes less than two thirds of the time.
#
# This is *the orbit is free* (notebook 5b), in a training: an equivariant model with labels that move knows the loss of
# all four copies from any one. It needs the head as well as the encoder: to the free head each copy is news. (The step is
# not four times faster, since some of its work does not grow with the batch.)

# %% tags=["fold"]
# Holds: for the equivariant model both change by rounding, whatever turns were drawn.
# Holds: For the free head and the CNN the gradients change by more than a hundredth of their size.
# Holds: Its step with one copy takes less than two thirds of the time.
ours, *others = changes.values()
assert ours["loss"] < 1e-12 and ours["gradients"] < 1e-10 and ours["times faster"] > 1.5
assert min(other["gradients"] for other in others) > 0.01

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can train rotation prediction, know before each training where its curve has to end, and do not pay for copies that
# say nothing new. We have not asked yet on which *data* such a task can work at all.
#
# Next: **6b · Which task for which data**.
