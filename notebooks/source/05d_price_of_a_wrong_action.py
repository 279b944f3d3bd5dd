# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 5d · The price of a wrong action
#
# After this notebook you can
#
# - read entropies and mutual information off a table of counts;
# - compute the lowest loss that an equivariant network can reach with a wrong action, before any training;
# - say what a training loss below that floor means.
#
# **Seen before:** notebook 5c (the jigsaw, its three actions). **Time:** {minutes} minutes.

# %%
import itertools

from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_05d as lesson
from eqssl_edu.theory import inconsistency_floor

import torch

SEED = 0  # of the networks and their pictures: change it and run again
C4, D4 = cyclic(4), dihedral(4)

# %% [markdown]
# ## 5d.1 Two rows
#
# How low can a cross entropy be? Count. A table has a row for each picture and a column for each label; an entry says how
# often they come together. The best answer to a picture are the shares $p$ of its row, and it costs the row's **entropy**
# $-\sum_l p_l \log p_l$: 0 if there is one label, $\log 2 = 0.693$ nats if there are two equally often. The mean over the
# rows, each weighted by how often it is seen, is the **conditional entropy** $H(l \mid y)$ of the label l given the
# picture y: no network can do better.
#
# Below are two such tables, for pictures that were turned by e or by r, and their sum: the table of somebody who is not
# told which of the two it was.
#
# **Predict.** At the right end of the slider both tables alone are certain, 0 nats. And the sum?

# %%
lesson.two_tables()

# %% [markdown]
# **Seen:** at 4 each of the two tables costs nothing, and the sum costs 0.347 nats. At 2 the second table costs something by
# itself, and the sum still more than the two on average.
#
# What knowing g would have saved is the **mutual information** of label and g, given the picture:
# $I(l; g \mid y) = H(l \mid y) - H(l \mid y, g)$. In the first term the tables are mixed, in the second apart.

# %% tags=["fold"]
# Holds: at 4 each of the two tables costs nothing, and the sum costs 0.347 nats.
# Holds: At 2 the second table costs something by itself, and the sum still more than the two on average.
tables = lesson.two_tables()
tables.set_state(other_label=4)
assert tables.readout.count("0.000 nats") == 2 and "mixed: 0.347 nats" in tables.readout
tables.set_state(other_label=2)
assert "g = r: 0.347 nats" in tables.readout and "Mixed 0.281, apart on average 0.173" in tables.readout

# %% [markdown]
# ### Exercise 1 · The conditional entropy
#
# Write it. (`torch.xlogy(p, p)` is $p \log p$, and 0 where p is 0.)


# %%
def conditional_entropy(counts):
    """counts (pictures, labels), every picture is seen -> H(label | picture) in nats."""
    # BEGIN SOLUTION
    seen = counts.sum(dim=1)
    p = counts / seen[:, None]
    return (seen * -torch.xlogy(p, p).sum(dim=1)).sum() / seen.sum()
    # END SOLUTION


check("05.conditional_entropy", conditional_entropy)

# %% tags=["solution-only"]
assert check("05.conditional_entropy", conditional_entropy).ok

# %% [markdown]
# ## 5d.2 What an equivariant network cannot tell apart
#
# Let $g \cdot l$ be how the label really moves, and $g * l$ how the head *assumes* that it moves. The head makes sure that
# $o(gy)[g * l] = o(y)[l]$: the network treats (y, l) and (gy, g * l) alike. So its loss is its loss on all of these,
# mixed, and nobody tells it g.
#
# The data: an upright picture is turned by h, drawn from a subgroup H (the identity alone: upright data; all of G: data of
# all orientations). Its tiles are moved by l. Turned by g, it shows (gh, $g \cdot l$). The label that comes with it is
# $g * l$.
#
# ### Exercise 2 · Mix
#
# Count that. The picture (k, m) has the row `k * size + m`.


# %%
def mixed_counts(true, assumed, H):
    """True and assumed GSet, subgroup H -> counts (|G| * |L|, |L|): turned pictures, labels that the head assumes."""
    group, size = true.group, true.size
    counts = torch.zeros(group.order * size, size)
    # BEGIN SOLUTION
    # GAP: # for every g, every h in H, every l: counts[row of the picture, label] += 1
    # GAP: return ...
    for g, h, l in itertools.product(group.elements, H, range(size)):
        row = group.product[g, h] * size + true.action[g, l]
        counts[row, assumed.action[g, l]] += 1
    # END SOLUTION
    return counts


verdict = check("05.mixed_counts", mixed_counts)
count = mixed_counts if verdict else lesson.mixed_counts
verdict

# %% tags=["solution-only"]
assert check("05.mixed_counts", mixed_counts).ok

# %% [markdown]
# **Predict** for the three actions of the jigsaw: which one costs something on upright pictures? On pictures of all
# orientations?

# %%
lesson.show_floors(count)

# %% [markdown]
# **Seen:** conjugation costs nothing anywhere. On upright data no action costs anything. On data of all orientations *left*
# costs $\log |G|$, 1.386 nats for $C_4$ and 2.079 for $D_4$, and *trivial* less, 1.040 and 1.329.
#
# That is *the price of a wrong action* (`docs/theory.md`). On any data, with $y' = gy$ and $l' = g * l$, the loss of an equivariant network is
# at least
#
# $$ H(l \mid y) + I(l'; g \mid y'). $$
#
# The first term is what nobody can know; here it is 0. The second is the price, and **a network that is not equivariant does
# not pay it**. Y. Mukuta and T. Harada (arXiv 2303.04427) ask that a pretext task not contradict the network's equivariance;
# this is how much it does.

# %% tags=["fold"]
# Holds: conjugation costs nothing anywhere.
# Holds: On upright data no action costs anything.
# Holds: On data of all orientations *left* costs $\log |G|$, 1.386 nats for $C_4$ and 2.079 for $D_4$, and *trivial* less, 1.040 and 1.329.
import math

floors = {}
for (kind, (group, H)), how in itertools.product(lesson.KINDS.items(), lesson.HOWS):
    case = GSet.jigsaw(group, 2), GSet.jigsaw(group, 2, how), H
    counts = count(*case).double()
    floors[kind, how] = float(lesson.law_floor(counts).nats)
    assert abs(floors[kind, how] - inconsistency_floor(*case).nats) < 1e-6
    assert floors[kind, how] < 1e-9 or (how != "conjugation" and not kind.endswith("upright"))
for group, kind, trivial in ((C4, "C4, all orientations", 1.040), (D4, "D4, all, and mirrored", 1.329)):
    assert abs(floors[kind, "left"] - math.log(group.order)) < 1e-6
    assert round(floors[kind, "trivial"], 3) == trivial

# %% [markdown]
# ## 5d.3 The calculator
#
# The same for other tasks. The bar is the floor, from 0 to guessing. Does a larger group make it better or worse?

# %%
lesson.calculator()

# %% [markdown]
# **Seen:** upright data forgive every action of jigsaw and location. Mirrored data cost $C_4$ nothing there, and $D_4$ pays for
# every wrong action. Rotation with the trivial action costs $\log |G|$ on all data.
#
# What counts are orientations that the data hold *and* the group knows: to $C_4$ a mirror image is just another image.

# %% tags=["fold"]
# Holds: upright data forgive every action of jigsaw and location.
# Holds: Mirrored data cost $C_4$ nothing there, and $D_4$ pays for every wrong action.
# Holds: Rotation with the trivial action costs $\log |G|$ on all data.
for action in lesson.ACTIONS[:5]:
    assert all(lesson.floor_of(action, group, "upright")[0].nats < 1e-9 for group in ("C4", "D4"))
    assert lesson.floor_of(action, "C4", "mirrored")[0].nats < 1e-9
    wrong = not action.endswith(("conjugation", "true"))
    assert (lesson.floor_of(action, "D4", "mirrored")[0].nats > 0.4) == wrong
for data, (group, order) in itertools.product(lesson.DATA, (("C4", 4), ("D4", 8))):
    assert abs(lesson.floor_of("rotation, trivial", group, data)[0].nats - math.log(order)) < 1e-9

# %% [markdown]
# ### Exercise 3 · Turn the sliders
#
# The jigsaw with the *trivial* action under $D_4$: which data make the loss at least 1.0 nats with as few elements of
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
# ## 5d.4 Does training obey?
#
# Three $C_4$ networks, the same but for the action of their heads, learn the jigsaw of four letters. In each step the
# puzzles have fresh noise and are freshly turned, so none can be learned by heart.
#
# **Predict** the three losses at the end.

# %%
live = lesson.train_three(SEED)
live

# %%
live.wait()
lesson.show_losses(live)

# %% [markdown]
# **Seen:** no curve ever goes below its floor. At the end each is within 0.2 nats of it.
#
# More steps, more channels, a better optimiser: nothing will help. The wrong head does not learn slowly; it learns
# *something else*.

# %% tags=["fold"]
# Holds: no curve ever goes below its floor.
# Holds: At the end each is within 0.2 nats of it.
for run in live.runs.values():
    losses, floor = [loss for _, loss in run.model.orbit_losses], run.model.floor
    assert min(losses) >= floor - 1e-6
    assert live.stopped or losses[-1] < floor + 0.2

# %% [markdown]
# ## 5d.5 A loss below the floor
#
# The floor holds for data of all orientations. Now the left head learns *six fixed pictures*, each in one orientation.

# %%
live_pupil = lesson.train_on_six(SEED)
live_pupil

# %%
live_pupil.wait()
lesson.show_memory(live_pupil, SEED)

# %% [markdown]
# **Seen:** on its six pictures the loss goes below the floor. On the same six orientations with other noise it is above.
#
# It knows each picture by its noise, and remembers in which orientation *that one* was shown: for it the data are upright
# again. A training loss below the floor is no miracle. It is memory.

# %% tags=["fold"]
# Holds: on its six pictures the loss goes below the floor.
# Holds: On the same six orientations with other noise it is above.
own, others = lesson.remembered(live_pupil, SEED)
assert live_pupil.stopped or own < math.log(4) < others

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can say before any training what a wrong action will cost, and what a loss below the floor means. We do not know yet
# which permutations of nine tiles to take, nor how to make a task of our own.
#
# Next: **5e · Choosing permutations, and a task of your own**.
