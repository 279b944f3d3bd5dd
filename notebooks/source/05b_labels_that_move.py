# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 5b · Labels that move with the input
#
# After this notebook you can
#
# - say what an equivariant network learns when it predicts rotations: one function;
# - say what it does to a pretext task if images are turned before it, or finished inputs after it;
# - choose the set of labels that fits data with a symmetry.
#
# **Seen before:** notebook 5. **Time:** {minutes} minutes.

# %%
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_05b as lesson

import torch

SEED = 0  # of all weights, and of the training
C4, D4 = cyclic(4), dihedral(4)
turn, rotations = C4.transform, GSet.regular(C4)
images = digits(16).test.images[:8].double()  # (8, 1, 16, 16)

# %% [markdown]
# ## 5b.1 One scorer
#
# Take rotation prediction, with the labels $L = G$. The logits obey $o(g y)[g h] = o(y)[h]$. For $C_4$ there are four. How
# many different functions of the image does a network have to learn for them?
#
# One. Put $g = h^{-1}$: the logit $o(y)[h]$ is $o(h^{-1} y)[e]$. With the **scorer** $s(y) = o(y)[e]$ that reads
#
# $$ o(y)[h] = s(h^{-1} y). $$
#
# The scorer says *how upright* a picture looks, and the four logits are its scores of the picture turned back by each
# element. The other direction is true as well: from *any* function $s$ of images this formula makes equivariant logits
# (put $gy$ and $gh$ in, and see).
#
# ### Exercise 1 · Logits from a scorer
#
# `scorer` takes images `(B, 1, H, W)` and gives one number for each, `(B,)`. `group.inverse` holds the inverses.


# %%
def turned_logits(scorer, images, group):
    """Images (B, 1, H, W) -> logits (B, |G|)."""
    # BEGIN SOLUTION
    return torch.stack([scorer(group.transform(images, int(h))) for h in group.inverse], dim=1)
    # END SOLUTION


verdict = check("05.turned_logits", turned_logits)
logits_of = turned_logits if verdict else lesson.turned_logits
verdict

# %% tags=["solution-only"]
assert check("05.turned_logits", turned_logits).ok

# %% [markdown]
# Our scorer is an ordinary CNN with random weights.

# %%
scorer = lesson.new_scorer(SEED)
equivariance_error(lambda x: logits_of(scorer, x, C4), images, C4, transform_outputs=rotations.transform)

# %% [markdown]
# **Seen:** the logits are equivariant up to rounding, for all four elements.
#
# So an ordinary network on turned copies is an equivariant network too, at |G| times its price. Who compares group
# networks with others has to compare them with this one as well.

# %% tags=["fold"]
# Holds: the logits are equivariant up to rounding, for all four elements.
how = {"transform_outputs": rotations.transform}
errors = equivariance_error(lambda x: logits_of(scorer, x, C4), images, C4, **how)
assert len(errors) == 4 and errors.max() < 1e-12
assert logits_of(scorer, images, C4).std(dim=1).min() > 1e-6  # and they do move

# %% [markdown]
# ## 5b.2 Turned before, turned after
#
# "Turn the training images at random, it cannot hurt." Here it can be done at two places. The image may be turned by some
# element $r$ *before* the task turns it by $t$ and asks for $t$. Or the finished input is turned by $r$ *after* the task,
# and its label moves along, from $t$ to $rt$.

# %%
ways = {  # image x, elements t and r -> input, label
    "turned by the task alone": lambda x, t, r: (turn(x, t), t),
    "image turned before": lambda x, t, r: (turn(turn(x, r), t), t),
    "input turned after, label along": lambda x, t, r: (turn(turn(x, t), r), rotations.act(r, t)),
}

# %% [markdown]
# Three scorers with the same first weights see the same digits, with the same $t$ and $r$. **Predict** their three curves.

# %%
live = lesson.train_ways(ways, logits_of, SEED)
live

# %%
lesson.show_losses(live)

# %% [markdown]
# **Seen:** with the input turned after the task, its label along, the curve lies on the one of the task alone: at no step
# are they 0.00001 nats apart. With the image turned before the task, the mean of the last ten losses is within
# 0.02 of $\log 4 = 1.386$. The other two means are below 0.6.
#
# **Why after does nothing:** equivariance says $o(ry)[rt] = o(y)[t]$. So each sample has the same loss as before, for
# *all* weights. Then the gradients are the same as well, and so are the weights after each step. We call this *the orbit
# is free*: the usual four copies of each image in a batch say what one copy says, for four times the work. (With batch norm
# as well, if its statistics are shared over the group. A network that is not equivariant gets other samples; but $rt$ is
# as uniform as $t$, so they are drawn by the same law.)
#
# **Why before is fatal:** what is seen is $tr\,x$. If $r$ is uniform, $tr$ is uniform whatever $t$ is. So the input says
# nothing about its label, and *no* network can learn anything. Nothing warns you: the program runs, and the loss stays at
# $\log 4$. (Notebook A1 finds it with a test.) The same holds for data that come in all orientations by themselves.

# %% tags=["fold"]
# Holds: with the input turned after the task, its label along, the curve lies on the one of the task alone: at no step
#   are they 0.00001 nats apart.
# Holds: With the image turned before the task, the mean of the last ten losses is within 0.02 of $\log 4 = 1.386$.
# Holds: The other two means are below 0.6.
import math

alone, before, after = lesson.losses(live).values()
assert max(abs(a - b) for a, b in zip(alone, after, strict=False)) < 1e-5
assert live.stopped or abs(sum(before[-10:]) / 10 - math.log(4)) < 0.02
assert live.stopped or max(sum(alone[-10:]), sum(after[-10:])) / 10 < 0.6

# %% [markdown]
# What has the scorer learned? Here are the eight test digits whose upright copy is ahead of the other three by most, and
# the eight of which it is least sure: their best copy is hardly ahead of the second.

# %%
lesson.show_leads(live.runs["turned by the task alone"].model.scorer)

# %% [markdown]
# **Seen:** the fifty digits of which it is least sure are, in the mean, more like a turned copy of themselves than the
# fifty whose upright copy is furthest ahead.

# %% tags=["fold"]
# Holds: the fifty digits of which it is least sure are, in the mean, more like a turned copy of themselves than the
#   fifty whose upright copy is furthest ahead.
lead, sure, alike = lesson.leads_and_likeness(live.runs["turned by the task alone"].model.scorer)
furthest, unsure = alike[lead.argsort()[-50:]].mean(), alike[sure.argsort()[:50]].mean()
assert live.stopped or unsure > furthest

# %% [markdown]
# ## 5b.3 What cannot be known
#
# Many pipelines hold a line such as `RandomHorizontalFlip()`: half of the images become their mirror image. Then comes the
# task: one of the eight elements $t$ of $D_4$ is applied, and the network is asked for $t$.
#
# **Predict** the best accuracy. Whose fault is it: the network's, the head's, or the task's?

# %%
flip = (0, 4)  # the identity and the mirror image, elements of D4
lesson.show_seen_with(labels=D4.elements, symmetry=flip)

# %% [markdown]
# **Seen:** each picture comes with two labels, equally often.
#
# **Why:** before the task there is $x$ or its mirror image $mx$, so $t$ makes $tx$ or $tmx$. The picture $tx$ comes from $x$
# with the label $t$, and from $mx$ with the label $tm$ (as $m m = e$). No network can tell them apart: accuracy
# is at most 1/2, the loss at least $\log 2$. It is the task's fault. It asks for what the data do not hold.
#
# So ask for less. The two labels are together a left **coset** $t H$ of $H = \{e, m\}$. There are four, and $G$ acts on
# them: $g \cdot tH = (gt)H$. They are *the right label set*:
#
# > If the data look the same under a subgroup $H$, then $t$ can be known up to $tH$ only. The right labels are the cosets
# > $G/H$. With all of $G$ as labels, accuracy is at most $1/|H|$ and the loss at least $\log |H|$.
#
# ### Exercise 2 · Labels for cosets
#
# Give each element $t$ a label, so that two elements have the same one exactly if they lie in the same left coset $tH$.
# `group.product[t, h]` is $th$.


# %%
def coset_labels(group, H):
    """A label for each element of the group, in their order: |G| numbers."""
    # BEGIN SOLUTION
    return [min(int(group.product[t, h]) for h in H) for t in group.elements]  # the smallest element of tH
    # END SOLUTION


verdict = check("05.coset_labels", coset_labels)
labels_of = coset_labels if verdict else lesson.coset_labels
verdict

# %% tags=["solution-only"]
assert check("05.coset_labels", coset_labels).ok

# %%
lesson.show_seen_with(labels_of(D4, flip), symmetry=flip)

# %% [markdown]
# **Seen:** each picture comes with one label. So it is for all ten subgroups of $D_4$; with the eight elements as labels the
# best accuracy is one over the number of elements of the subgroup.

# %% tags=["fold"]
# Holds: each picture comes with two labels, equally often.
# Holds: each picture comes with one label.
# Holds: So it is for all ten subgroups of $D_4$; with the eight elements as labels the best accuracy is one over the
#   number of elements of the subgroup.
two = lesson.seen_with(D4.elements, flip)
assert ((two == 1).sum(dim=1) == 2).all() and ((two == 0).sum(dim=1) == 6).all()
assert len(D4.subgroups()) == 10
for H in D4.subgroups():
    assert ((lesson.seen_with(labels_of(D4, H), H) > 0).sum(dim=1) == 1).all()
    assert lesson.best_answer(lesson.seen_with(D4.elements, H)) == 1 / len(H)

# %% [markdown]
# ### Exercise 3 · Pictures of text
#
# Upright pages of text are photographed. For each pipeline, which subgroup $H$ of $D_4$ leaves its data looking the same,
# on average? Write its elements: 0 is the identity, 1, 2, 3 are the turns by 90, 180, 270 degrees, 4 is the mirror image left
# to right, 6 turns upside down (first 4, then 2). Each flip comes in half of the cases.

# %%
# BEGIN SOLUTION
# GAP: symmetry = {
# GAP:     "as they are": ...,
# GAP:     "RandomHorizontalFlip": ...,
# GAP:     "RandomVerticalFlip": ...,
# GAP:     "both flips, one after the other": ...,
# GAP:     "from one of four sides of the table, by chance": ...,
# GAP: }
symmetry = {
    "as they are": (0,),
    "RandomHorizontalFlip": (0, 4),
    "RandomVerticalFlip": (0, 6),
    "both flips, one after the other": (0, 2, 4, 6),
    "from one of four sides of the table, by chance": (0, 1, 2, 3),
}
# END SOLUTION
check("05.data_symmetry", symmetry)

# %% tags=["solution-only"]
assert check("05.data_symmetry", symmetry).ok

# %% [markdown]
# Why text? Because its mirror image is never a text. With photographs of streets or faces the first answer would not be so
# clear: mirrored, they are as likely, nearly. What tells them from their mirror images is called *visual chirality* (Lin, Sun,
# Davis and Snavely, CVPR 2020, arXiv 2006.09512): text above all, and subtle cues. A network that is asked for all eight
# elements has to live on these.
#
# ## What we can now do, and what not yet
#
# We can say what rotation prediction learns, why four copies are one, and where a turn in a pipeline is fatal. We can choose
# the labels for data with a symmetry. All that was about *one* task, whose labels are the group itself or its cosets. For other
# tasks we have yet to find out how their labels move.
#
# Next: **5c · Patches and tiles**.
