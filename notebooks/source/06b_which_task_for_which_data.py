# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 6b · Which task for which data
#
# After this notebook you can
#
# - say which pretext task can work on symmetric images, on upright ones and on data without an orientation;
# - grade a network by the truth, and not by the action that it assumes;
# - tell where equivariance helps from where a plain CNN does better.
#
# **Seen before:** notebook 6, and from notebook 5 on: caps, floors, actions of the jigsaw. **Time:** {minutes} minutes.

# %%
from eqssl_edu.data import digits, glyphs
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_06 as lesson
from eqssl_edu.lessons import notebook_06b as pictures
from eqssl_edu.pretext import JigsawTask, RelativeLocationTask, RotationTask
from eqssl_edu.theory import label_cap

import torch

SEED = 0  # of all weights, batches and draws
C4, rotation, jigsaw = cyclic(4), RotationTask(cyclic(4)), JigsawTask(cyclic(4), 2)
data = digits(12)

# %% [markdown]
# ## 6b.1 Symmetric images
#
# If $s\,x = x$ for an element s, then two labels of the rotation task belong to one picture, and nobody can do better than
# guess between them. So each *image* has its cap: one over the number of labels that cannot be told apart (*the cap of a
# symmetric image*).
#
# ### Exercise 1 · Make digits symmetric
#
# Lay the copies of an image under a subgroup over one another and keep the brightest pixel: then every element of the
# subgroup leaves the picture as it is, bit for bit.


# %%
def symmetrised(images, group, subgroup):
    """Images (B, C, H, W) -> images of the same shape that every element of the subgroup leaves as they are."""
    # BEGIN SOLUTION
    return torch.stack([group.transform(images, h) for h in subgroup]).amax(dim=0)
    # END SOLUTION


verdict = check("06.symmetrised", symmetrised)
make_symmetric = symmetrised if verdict else pictures.symmetrised
verdict

# %% tags=["solution-only"]
assert check("06.symmetrised", symmetrised).ok

# %%
subgroups = {"as they are": (0,), "half turn": (0, 2), "quarter turn": (0, 1, 2, 3)}
versions = {name: make_symmetric(data.test.images, C4, H) for name, H in subgroups.items()}
pictures.show_versions(versions)

# %% [markdown]
# A network learns rotation on digits as they are. Then make a digit symmetric by hand, and turn it: what are its answers?

# %%
live = lesson.train({"digits": (rotation, "equivariant")}, data.train.images, 5, "Rotation of digits", SEED)
turner = lesson.trained(live)["digits"]
pictures.ask_about_digit(turner, versions)

# %%
table = pictures.version_table(turner, versions)
table

# %% [markdown]
# **Seen:** in no row the accuracy passes the cap, or the loss the floor. With a half turn the network reaches its cap, to
# one point: it finds the axis, and guesses between the two ends. With all four symmetries exactly one copy in four is right.

# %% tags=["fold"]
# Holds: in no row the accuracy passes the cap, or the loss the floor.
# Holds: With a half turn the network reaches its cap, to one point: it finds the axis, and guesses between the two ends.
# Holds: With all four symmetries exactly one copy in four is right.
assert all(r["accuracy"] <= r["cap"] + 1e-9 and r["loss"] >= r["floor"] - 1e-9 for r in table.values())
assert [round(r["cap"], 9) for r in table.values()] == [1, 1 / 2, 1 / 4]
assert live.stopped or table["half turn"]["accuracy"] > 0.49
assert abs(table["quarter turn"]["accuracy"] - 1 / 4) < 1e-9

# %% [markdown]
# Real pictures are never *exactly* symmetric: the cap of each is 1. But a noisy H that stands on its head is a noisy H, and
# just as likely. So the *data* of this class have the symmetry, and the cap is there again, on average. A network that
# learned rotation on letters sets them upright:

# %%
letters = glyphs(counts=(1600, 300, 600), size=16)
live_letters = lesson.train({"letters": (rotation, "equivariant")}, letters.train.images, 5, "Letters", SEED)
answers = pictures.letter_answers(lesson.trained(live_letters)["letters"], letters.test)
pictures.show_answers(answers)

# %% [markdown]
# **Seen:** of the letters HINOSXZ more than 85 % are set upright or upside down, the two about equally often. Of the other
# letters more are set upright than upside down. And yet HINOSXZ are not the hardest: fewer A's are set upright than of
# them.
#
# An A on its head is no letter, so this is no cap but a mistake, and a better network could tell.

# %% tags=["fold"]
# Holds: of the letters HINOSXZ more than 85 % are set upright or upside down, the two about equally often.
# Holds: Of the other letters more are set upright than upside down.
# Holds: And yet HINOSXZ are not the hardest: fewer A's are set upright than of them.
if not live_letters.stopped:
    symmetric = torch.stack([answers[name] for name in "HINOSXZ"]).mean(dim=0)
    others = torch.stack([answers[name] for name in answers if name not in "HINOSXZ"]).mean(dim=0)
    assert symmetric[[0, 2]].sum() > 0.85 and abs(symmetric[0] - symmetric[2]) < 0.25
    assert others[0] > others[2] + 0.1 and answers["A"][0] < symmetric[0]

# %% [markdown]
# ## 6b.2 Upright digits, and an honest grade
#
# The jigsaw: four tiles in one of 24 orders. Conjugation is its true action under turns; *left* is right only if no turned
# picture ever comes (notebook 5c). Both learn on upright digits, beside two plain CNNs that assume nothing.

# %%
left = JigsawTask(C4, 2, "left")
puzzlers = {"conjugation": (jigsaw, "equivariant"), "left": (left, "equivariant")}
puzzlers |= {kind: (jigsaw, kind) for kind in ("CNN, equal weights", "CNN, equal compute")}
live_puzzlers = lesson.train(puzzlers, data.train.images, 6, "The jigsaw on upright digits", SEED)
live_puzzlers

# %% [markdown]
# How good is each of them on *turned* digits? `model.evaluate(images)` returns (loss, accuracy) over all turned inputs, *and
# moves the labels along by the action that the head assumes*: a wrong action is graded by its own book.
#
# ### Exercise 2 · Grade by the truth
#
# Turn the *images* by each g, make puzzles of these, and ask which order was really applied:
# `model.evaluate(..., turned=False)`. Return the mean accuracy over the group.


# %%
def turned_accuracy(model, images, group):
    """Mean accuracy over the images turned by every element, with true labels."""
    # BEGIN SOLUTION
    pairs = [model.evaluate(group.transform(images, g), turned=False) for g in group.elements]
    return sum(accuracy for _, accuracy in pairs) / group.order
    # END SOLUTION


verdict = check("06.turned_accuracy", turned_accuracy)
in_truth = turned_accuracy if verdict else lesson.turned_accuracy
verdict

# %% tags=["solution-only"]
assert check("06.turned_accuracy", turned_accuracy).ok

# %% [markdown]
# **Predict** for each of the four: of the three accuracies, on upright digits, on turned ones by its own book, and on these
# in truth, which are equal?

# %%
graded = lesson.graded(lesson.trained(live_puzzlers), in_truth, data.test.images)
graded

# %% [markdown]
# **Seen:** each network has the same accuracy upright and by its own book, if it is one for $C_4$. For conjugation the truth
# is within eight points of it (other orders were drawn), and for left it is lower by more than 20 points. Upright, the CNN
# with equal compute is ahead of both. On turned digits, in truth, conjugation is ahead of all, and left is behind both CNNs.
#
# **Why:** an equivariant network says of a turned input what its action promises, and its own book believes it. **On turned
# data a wrong label action makes it worse than a plain CNN** that has never seen a turned digit. And **upright the CNNs
# win**: where no turned picture comes, symmetry buys little, and the same work pays for four times the weights.

# %% tags=["fold"]
# Holds: each network has the same accuracy upright and by its own book, if it is one for $C_4$.
# Holds: For conjugation the truth is within eight points of it (other orders were drawn), and for left it is lower by more
#   than 20 points.
# Holds: Upright, the CNN with equal compute is ahead of both.
# Holds: On turned digits, in truth, conjugation is ahead of all, and left is behind both CNNs.
as_they_are, own_book, truth = ({name: row[grade] for name, row in graded.items()} for grade in lesson.GRADES)
for action in ("conjugation", "left"):
    assert abs(as_they_are[action] - own_book[action]) < 1e-9
assert abs(truth["conjugation"] - as_they_are["conjugation"]) < 0.08
if not live_puzzlers.stopped:
    assert truth["left"] < as_they_are["left"] - 0.2
    assert as_they_are["CNN, equal compute"] > max(as_they_are["conjugation"], as_they_are["left"])
    ours, wrong, *plain = truth.values()
    assert ours > max(plain) and min(plain) > wrong

# %% [markdown]
# ## 6b.3 Data without an orientation
#
# Now the letters lie at any angle, each at its own: such are satellite pictures, cells under a microscope, galaxies. Two
# equivariant models learn, one the rotation, one the jigsaw.

# %%
anyhow = glyphs(counts=(1600, 100, 600), size=16, upright=False)
both = {"rotation": (rotation, "equivariant"), "jigsaw": (jigsaw, "equivariant")}
live_anyhow = lesson.train(both, anyhow.train.images, 4, "Letters at any angle", SEED)
live_anyhow.wait()
lesson.curves(live_anyhow, {"rotation": label_cap(rotation.labels, C4.elements)}, "Letters at any angle")

# %% [markdown]
# **Seen:** the rotation curve ends within 0.1 of $\log 4$. The jigsaw's ends more than half a nat below its beginning. On a
# population that holds each picture in all four orientations, the rotation network has exactly 25 %.
#
# **Why:** a letter seen at 30 degrees may have lain there and not been turned, or lain at 300 degrees and been turned by 90.
# Both are equally likely, so on such a population *every* network has 25 %, with any head. The jigsaw asks how tiles lie to
# each other, and that has nothing to do with where up is.

# %% tags=["fold"]
# Holds: the rotation curve ends within 0.1 of $\log 4$.
# Holds: The jigsaw's ends more than half a nat below its beginning.
# Holds: On a population that holds each picture in all four orientations, the rotation network has exactly 25 %.
from math import log
from statistics import fmean

population = torch.cat([C4.transform(anyhow.test.images[:50], g) for g in C4.elements])
assert abs(lesson.trained(live_anyhow)["rotation"].evaluate(population)[1] - 1 / 4) < 1e-9
if not live_anyhow.stopped:
    losses = {name: [record["loss"] for record in run.history] for name, run in live_anyhow.runs.items()}
    assert abs(fmean(losses["rotation"][-10:]) - log(4)) < 0.1
    assert fmean(losses["jigsaw"][-10:]) < losses["jigsaw"][0] - 0.5

# %% [markdown]
# ## 6b.4 Relative location
#
# Two patches are cut from an image; on which of eight sides of the first did the second one lie? (C. Doersch, A. Gupta and
# A. Efros, arXiv 1505.05192.) Turn both, and north becomes west. The eight labels are two orbits, four edges and four
# corners. At any angle an invariant head can tell an edge from a corner, and no more: its cap is 25 %.
#
# **Predict.** Which of the other four pass these 25 %?

# %%
tilted = glyphs(counts=(1600, 100, 600), size=24, upright=False)
task, kinds = RelativeLocationTask(C4, patch=6), [kind for kind in lesson.KINDS if kind != "symmetrised CNN"]
live_tilted = lesson.train({k: (task, k) for k in kinds}, tilted.train.images, 8, "Letters", SEED)
on_tilted = lesson.results(lesson.trained(live_tilted), tilted.test.images)
lesson.accuracy_bars(
    on_tilted, {"invariant head": 1 / 4}, task.chance, "Letters at any angle: on which side?"
)

# %% [markdown]
# **Seen:** the equivariant model and the free head pass 25 %, and the invariant head does not.
#
# To pass the cap it takes no equivariance, only a head that is not invariant. (And on upright pictures nothing bars the
# invariant head: its cap is 100 %.)

# %% tags=["fold"]
# Holds: the equivariant model and the free head pass 25 %, and the invariant head does not.
assert on_tilted["invariant head"][1] <= 1 / 4
if not live_tilted.stopped:
    assert min(on_tilted["equivariant"][1], on_tilted["free head"][1]) > 1 / 4

# %% [markdown]
# ## What we can now do, and what not yet
#
# We know before a training which data a task can use, and whom to believe afterwards: the truth, on new pictures. Whether a
# network that solves its task is good for anything *else* we have not asked.
#
# **To think about.** A $C_4$ network for satellite pictures, from all directions and never mirrored: which tasks would you train?
#
# <details><summary>Answer</summary>Not rotation, not location with an invariant head, not the jigsaw with the left action:
# each has a cap of 1/4. Location with an equivariant head, or the jigsaw with conjugation.</details>
#
# Next: **6c · What is it good for?**
