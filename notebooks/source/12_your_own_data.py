# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 12 · Your own data
#
# After this notebook you can
#
# - read your own pictures in one line, from folders, arrays, a parquet file or the hub;
# - *measure* which symmetry your data have, and choose task and labels by it;
# - stop a training, and go on with it, to the same weights.
#
# **Seen before:** notebooks 5c to 6b (actions of labels, prices, which task for which data). **Time:** {minutes} minutes.

# %%
import math

from eqssl_edu.data import load_images
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_12 as lesson
from eqssl_edu.pretext import JigsawTask, verify
from eqssl_edu.widgets import LiveTraining

import torch

SEED = 0  # of all weights, batches, coins and draws
C4, D4 = cyclic(4), dihedral(4)

# %% [markdown]
# ## 12.1 Your pictures in one line
#
# This page draws four small sets and writes them to files: **scenes** in folders of classes, **storms** of one hemisphere from above
# in a folder without classes, **tissue** as arrays, **galaxies** as parquet files (as arrays, where `pyarrow` is not installed). One function reads
# them all. Yours goes into `sources`: a folder with the folders `train` and `test`, or a name of the hub.

# %%
place = lesson.on_disk()  # a folder, which goes when the kernel stops
sources = {name: place / name for name in lesson.SYMMETRY}
# sources["mine"] = "/home/you/photos"  # yours; or a name of the hub, such as "ylecun/mnist"

worlds = {
    name: {part: load_images(source, part, size=24, limit=2000) for part in ("train", "test")}
    for name, source in sources.items()
}
lesson.show(worlds)

# %% [markdown]
# `load_images` takes the largest square in the middle, `size` pixels wide. It gives images `(N, C, H, W)` with values from 0 to 1,
# labels (or None), and names of classes. It never guesses. Ask it wrongly:

# %%
lesson.ask_wrongly(place)

# %% [markdown]
# **Seen:** All four sets are tensors of one shape, 800 images to train and 400 to test. Storms have no labels. Each
# wrong question is answered by a sentence that says what is there or what is wanted.

# %% tags=["fold"]
# Holds: All four sets are tensors of one shape, 800 images to train and 400 to test.
# Holds: Storms have no labels.
# Holds: Each wrong question is answered by a sentence that says what is there or what is wanted.
for name in lesson.SYMMETRY:
    for part, count in {"train": 800, "test": 400}.items():
        assert worlds[name][part].images.shape == (count, 1, 24, 24)
assert worlds["storms"]["train"].labels is None and worlds["tissue"]["train"].labels is not None
questions = lesson.ask_wrongly(place)
for state in questions.frozen_states():
    questions.set_state(**state)
    assert "Error" in questions.readout and " must " in questions.readout

# %% [markdown]
# ## 12.2 A measurement, not a belief
#
# "Seen from above there is no up", one says. Is it so for *your* pictures? Data **have the symmetry** g if gX is as likely as X,
# for every picture X. Try to see it yourself:

# %%
lesson.be_the_network(worlds)

# %% [markdown]
# A network has more patience: a plain CNN with nothing built in. It sees each training picture changed by one of the eight elements:
# which one? (This is the rotation task, with mirror images.)

# %%
live = lesson.which_copy(worlds, SEED)
live

# %% [markdown]
# Now a test that needs no trust in the network. Throw a coin for each *test* picture. If it shows True, change the picture by g. The
# network guesses the coin: True, if its score for g is larger than that for the identity.
#
# If the data have the symmetry g, picture and coin are independent. **Then every network is right with probability one half**, the
# cleverest as well. If it is right too often, the data do not have this symmetry.
#
# ### Exercise 1 · Throw the coins
#
# `coins` are booleans `(B,)`; `scores` is a function from pictures to scores `(B, |G|)`. Count how many coins are guessed right.
# (`group.transform(images, g)` changes all images; it also takes an element for each image, `(B,)`.)


# %%
def hits(group, g, images, coins, scores):
    """Images (B, C, H, W), changed by g where their coin is True -> how many coins the scores guess."""
    # BEGIN SOLUTION
    # GAP: # the pictures; their scores; the guesses; how many equal the coin
    # GAP: ...
    pictures = torch.where(coins[:, None, None, None], group.transform(images, g), images)
    z = scores(pictures)
    return int(((z[:, g] > z[:, 0]) == coins).sum())
    # END SOLUTION


check("12.hits", hits)

# %% tags=["solution-only"]
assert check("12.hits", hits).ok

# %% [markdown]
# How likely has a guesser *at least* so many hits? Of the $2^n$ ways in which n coins fall, add up those with so many heads. Who asks
# often is fooled often: let an element count as **told** only if this chance is below one in ten thousand.
#
# **Predict.** m changes left and right. For each of the four sets: which of the seven elements are told?

# %%
table = lesson.coin_table(live, worlds, hits, SEED)
table

# %% [markdown]
# **Seen:** Of scenes every element is told but m. Of storms all four mirror images are told, and no turn. Of tissue and of galaxies
# nothing is told.
#
# Storms and galaxies look alike. But all storms of a hemisphere wind the same way, and galaxies are seen from either side. And
# in scenes left and right are drawn alike.

# %% tags=["fold"]
# Holds: Of scenes every element is told but m.
# Holds: Of storms all four mirror images are told, and no turn.
# Holds: Of tissue and of galaxies nothing is told.
if not live.stopped:
    told = {
        name: [g for g in D4.elements[1:] if table[name][D4.element_name(g)] < lesson.LEVEL] for name in table
    }
    assert told["scenes"] == [1, 2, 3, 5, 6, 7] and told["storms"] == [4, 5, 6, 7]
    assert told["tissue"] == told["galaxies"] == []

# %% [markdown]
# ### Exercise 2 · From elements to a group
#
# If gX is as likely as X, and hX as well, then so is ghX: the symmetries of data are a *subgroup* H. Tests are not so tidy: one may tell
# the half turn and miss the quarter turn. Return a largest subgroup without elements that were told (any, if there are several).


# %%
def symmetry(group, told):
    """The elements that were told -> the elements of a largest subgroup without them."""
    # BEGIN SOLUTION
    # GAP: # group.subgroups() lists them all
    # GAP: ...
    return max((H for H in group.subgroups() if not set(H) & set(told)), key=len)
    # END SOLUTION


check("12.symmetry", symmetry)

# %% tags=["solution-only"]
assert check("12.symmetry", symmetry).ok

# %%
found = lesson.symmetries(table, symmetry)
found

# %% [markdown]
# What is told is told; **what is not told is not proven**. Another network, or more pictures, may tell it. And *your* set was
# tested, not the world: galaxies that somebody has sorted have lost their mirror.

# %% [markdown]
# ## 12.3 What it costs
#
# The calculator of notebooks 5b and 5d needs H. Rotation can be solved only up to H; an equivariant head whose labels
# move wrongly pays.

# %%
lesson.prices(found)

# %% [markdown]
# **Seen:** The more symmetric the data, the less is left of the rotation task: one half, one quarter, one eighth. The jigsaw with
# conjugation costs nothing on any data. With the left action it costs the logarithm of the number of symmetries.
#
# The curves of 12.2, whose task it was, stand at $\log |H|$.
#
# | your data have | so |
# |---|---|
# | no symmetry | every task |
# | some, H | rotation with labels up to H, `RotationTask(D4, stabilizer=H)`; jigsaw or location with the true action |
# | all of G | no rotation, no left action; jigsaw with conjugation, location, or a contrastive loss that absorbs turns (notebook 7b) |
#
# And the *network*: build in the symmetry that the data have.

# %% tags=["fold"]
# Holds: The more symmetric the data, the less is left of the rotation task: one half, one quarter, one eighth.
# Holds: The jigsaw with conjugation costs nothing on any data.
# Holds: With the left action it costs the logarithm of the number of symmetries.
for cells in lesson.prices(lesson.SYMMETRY).values():
    H = cells["symmetry"]
    assert cells["rotation, at best"] == 1 / H and H in (2, 4, 8)
    assert cells["jigsaw, conjugation"] < 1e-12 and abs(cells["jigsaw, left"] - math.log(H)) < 1e-12
if not live.stopped:
    assert found == lesson.SYMMETRY | {name: found[name] for name in found if name not in lesson.SYMMETRY}
    for name, H in lesson.SYMMETRY.items():
        ends = [record["loss"] for record in live.runs[name].history[-10:]]
        assert abs(sum(ends) / 10 - math.log(len(H))) < 0.15

# %% [markdown]
# Is the action of a task right? `verify` turns inputs and compares. First jigsaw with the left action:

# %%
some = worlds["storms"]["test"].images[:8]
verify(JigsawTask(C4, 2, "left"), some)

# %% [markdown]
# Pictures have to be able to show it. Empty ones show nothing:

# %%
verify(JigsawTask(C4, 2), 0 * some)

# %% [markdown]
# **Seen:** On storms conjugation tells the truth, and left does not. Empty pictures are no witnesses, and prove nothing.

# %% tags=["fold"]
# Holds: On storms conjugation tells the truth, and left does not.
# Holds: Empty pictures are no witnesses, and prove nothing.
assert verify(JigsawTask(C4, 2), some).ok and not verify(JigsawTask(C4, 2, "left"), some).ok
empty = verify(JigsawTask(C4, 2), 0 * some)
assert not empty.ok and "no witnesses" in str(empty)

# %% [markdown]
# ## 12.4 A run that is stopped
#
# With a `folder` a run keeps itself on disk: weights, optimiser, history. Here the jigsaw of storms is left after 25 of its 72 steps, and a
# *new* run goes on, beside one that was never stopped.

# %%
images, folder = worlds["storms"]["train"].images, place / "runs" / "storms"
first = lesson.jigsaw_run(images, SEED, folder=folder)
lesson.stopped_at(25, first)
later = lesson.jigsaw_run(images, SEED, folder=folder, resume=True)
never = lesson.jigsaw_run(images, SEED)
sorted(path.name for path in folder.iterdir()), later.step

# %% [markdown]
# **Predict.** How different are the weights at the end?

# %%
both = LiveTraining({"stopped and resumed": later, "never stopped": never}, title="The jigsaw of storms")
both

# %%
both.wait()
lesson.largest_difference(later, never)

# %% [markdown]
# **Seen:** The resumed run begins where the other one was left. On a CPU the weights at the end are the same, bit for bit, and so are
# the curves.
#
# Order and draws follow from the seed and the number of the step. The curves can be read again, from the folder alone:

# %% tags=["fold"]
# Holds: The resumed run begins where the other one was left.
# Holds: On a CPU the weights at the end are the same, bit for bit, and so are the curves.
assert first.step == 25 and [record["step"] for record in later.history[:25]] == list(range(1, 26))
if not both.stopped and later.device.startswith("CPU"):
    assert later.step == never.step == 72 and lesson.largest_difference(later, never) == 0
    assert [record["loss"] for record in later.history] == [record["loss"] for record in never.history]

# %%
LiveTraining({"read again": folder})

# %% [markdown]
# Loss and accuracy on storms that it never saw, in every orientation (a guesser finds one order in 24):

# %%
later.model.evaluate(worlds["storms"]["test"].images)

# %% [markdown]
# **The same from the shell**, on your machine or a cluster (`docs/command.md`; outside this lab `pip install 'eqssl-edu[command]'`):
#
# ```bash
# python -m eqssl_edu pretrain --data photos --size 24 --task jigsaw --group C4 --folder runs/mine --resume
# python -m eqssl_edu evaluate runs/mine  # with labels
# ```
#
# Ctrl-C stops it; the same line goes on. `LiveTraining({"mine": "runs/mine"})` shows its curves here.
#
# ## What we can now do, and what not yet
#
# We can read our pictures, say which symmetries a test contradicts, and choose a task by that. Angles between the
# quarter turns we have not tested: turned pictures are interpolated, and a network sees *that* (notebook 3b).
#
# **To think about.** A colleague turns every training picture at random, and then runs our test on such pictures. What will it say?
#
# <details><summary>Answer</summary>Nothing is told: random turns give the set their symmetry, whatever the pictures had.</details>
#
# Next: **A1 · The bug museum**, or your own pictures.
