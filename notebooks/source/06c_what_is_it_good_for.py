# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 6c · What is it good for?
#
# After this notebook you can
#
# - say why one pretrains at all: accuracy against the number of labels, beside the network that never pretrained;
# - freeze an encoder, probe it, and compare seed by seed with an interval;
# - read a probe upright and turned, and stop a training and resume it to the last bit.
#
# **Seen before:** notebooks 6 and 6b. **Time:** {minutes} minutes, of which the computer needs about one.

# %%
from string import ascii_uppercase

from eqssl_edu.evaluation import linear_probe
from eqssl_edu.exercises import check
from eqssl_edu.lessons import few_labels as few
from eqssl_edu.lessons import notebook_06c as lesson
from eqssl_edu.widgets import EmbeddingExplorer, LiveTraining

import torch

SEED = 0  # of all weights, batches and draws of what runs here
OWN = SEED + 5  # the shipped runs have the seeds 0 to 4

# %% [markdown]
# ## 6c.1 Few labels
#
# A pretext task is a means. Pictures are cheap and labels are dear: of 4,000 letters somebody reads 2 of each, or 10, 40,
# 120. Four ways to use that:
#
# | method | encoder | learns from the labels |
# |---|---|---|
# | from scratch, 300 or 920 steps | random weights | all weights |
# | pretrained, fine-tuned | learned rotation on all 4,000 pictures, without a label | all weights |
# | pretrained, linear probe | the same, *frozen* | a linear classifier on its features |
# | random, linear probe | random weights, frozen (its batch norms know the pictures) | a linear classifier |
#
# The last one is the control that is often forgotten: random features are features too. And who pretrains has taken 620
# steps before the 300 with labels: so from scratch there are two runs. All start from the same weights of one $C_4$ network
# and see the same labelled pictures. First the pretraining (and that of a CNN, for later).

# %%
letters = few.letters()  # 4,000 to learn from, 1,000 to choose by, 1,000 to test with
runs = {kind: few.new_run(letters.train.images, OWN, plain=kind == "plain CNN") for kind in lesson.KINDS}
live = LiveTraining(runs, title="By how much was the letter turned?")
live

# %% [markdown]
# ### Exercise 1 · Freeze and read
#
# Write what a probe reads: the features of an encoder, `(B, C, |G|)`, as rows `(B, C |G|)`. Frozen means that the encoder
# is in evaluation mode (its norms do not learn from these images) and that no gradient flows back.


# %%
def frozen(encoder, images):
    """Images (B, 1, S, S) -> features (B, C |G|), in evaluation mode and without gradients."""
    # BEGIN SOLUTION
    with torch.no_grad():
        return encoder.eval()(images).flatten(1)
    # END SOLUTION


verdict = check("06.frozen", frozen)
read = frozen if verdict else few.read
verdict

# %% tags=["solution-only"]
assert check("06.frozen", frozen).ok

# %%
live.wait()
encoder, known = runs["C4 network"].model.encoder, few.chosen(letters.train, 10, OWN)  # 10 of each
x, held, test = (read(encoder, part.images) for part in (known, letters.validation, letters.test))
probe = linear_probe(x, known.labels, (held, letters.validation.labels))
score = probe.score(test, letters.test.labels)
score

# %% [markdown]
# **Predict.** Order the methods by accuracy: with 2 labels of each letter, and with 120.
#
# Then the pretrained network is fine-tuned with 10 labels of each. It and your probe become stars among the five seeds.

# %%
scratch, longer, tuned, frozen_probe, random_probe = few.METHODS
mine = few.learn(tuned, encoder, letters, 10, OWN)
few.runs_chart((10, frozen_probe, score), (10, tuned, mine))

# %% [markdown]
# **Seen:** in the mean of five seeds the pretrained probe is ahead of all others with 2 labels of each letter. With 120 the
# network from scratch with 920 steps is ahead of all.
#
# ### Exercise 2 · Seed by seed
#
# A seed sets the first weights and which pictures have labels, for all methods alike. What it does to two methods
# cancels in their difference. Write the interval of the mean difference: with $n$ differences $d_i$ and their standard
# deviation $s$ (with $n - 1$),
#
# $$ \bar d \pm t \, s / \sqrt n. $$
#
# Student's t is given (2.776 for five seeds).


# %%
def paired(values, reference, t):
    """Two lists of numbers, entry i of both from seed i -> (mean, low, high) of values - reference."""
    # BEGIN SOLUTION
    # GAP: return ...
    d = torch.tensor(values) - torch.tensor(reference)
    half = t * d.std() / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half
    # END SOLUTION


verdict = check("06.paired", paired)
interval = paired if verdict else lesson.paired
verdict

# %% tags=["solution-only"]
assert check("06.paired", paired).ok

# %%
ahead = lesson.differences(interval, [(tuned, scratch), (tuned, longer), (frozen_probe, random_probe)])
ahead

# %% [markdown]
# **Seen:** against 300 steps from scratch, fine-tuning is ahead at every number of labels, by a difference that five seeds can
# tell. Against 920 steps it is ahead by such a difference with 10 and with 40 labels of each, and *behind* with 120. The
# pretrained probe is ahead of the random one at every number of labels.
#
# So the pretext task has taught something about letters, or the probes would not differ. It is worth labels where labels
# are few. Where they are many, what looked like its gain was its steps: before you believe such a curve, ask who did
# more work. And not on all data: on digits, which are easy, the probe on random features does not
# separate from the one on pretrained features (`docs/results/rotation-digits.md`).

# %% tags=["fold"]
# Holds: in the mean of five seeds the pretrained probe is ahead of all others with 2 labels of each letter.
# Holds: With 120 the network from scratch with 920 steps is ahead of all.
# Holds: against 300 steps from scratch, fine-tuning is ahead at every number of labels, by a difference that five seeds can
#   tell.
# Holds: Against 920 steps it is ahead by such a difference with 10 and with 40 labels of each, and *behind* with 120.
# Holds: The pretrained probe is ahead of the random one at every number of labels.
from statistics import fmean

means = {count: {method: fmean(few.found(count, method)) for method in few.METHODS} for count in few.COUNTS}
assert max(means[2], key=means[2].get) == frozen_probe and max(means[120], key=means[120].get) == longer
rows = list(
    lesson.differences(
        lesson.paired, [(tuned, scratch), (tuned, longer), (frozen_probe, random_probe)]
    ).values()
)
assert all(row["from"] > 0 for row in rows[:4] + rows[5:7] + rows[8:]) and rows[7]["to"] < 0
assert len(few.found(2, tuned)) == 5

# %% [markdown]
# ## 6c.2 Upright, and in every orientation
#
# *Pooled* over the group, features do not change when a letter turns. A probe on 32 such features learns from all 4,000
# labels, upright, and is tested in four orientations. Beside it a plain CNN with as many multiplications.
#
# **Predict.** Who is ahead on upright letters? And in the worst orientation?

# %%
table = lesson.probe_table(runs, OWN)
table

# %% [markdown]
# **Seen:** the rows of the $C_4$ network hold the same number three times, to one point. On upright letters the plain CNN is
# ahead of the $C_4$ network, trained or not. In its worst orientation it is far behind.
#
# So **upright the CNNs win**: where up is says much about a letter, and pooling throws it away. Ten seeds say the same, with
# intervals (`docs/results/rotation.md`). And an equivariant network that is *not* pooled, as in 6c.1, keeps its
# orientation: there its probe on all features is ahead of both CNNs. What the probe may read decides more than the task.

# %% tags=["fold"]
# Holds: the rows of the $C_4$ network hold the same number three times, to one point.
# Holds: On upright letters the plain CNN is ahead of the $C_4$ network, trained or not.
# Holds: In its worst orientation it is far behind.
for state in ("random", "pretrained"):
    ours, theirs = table[f"C4 network, {state}"], table[f"plain CNN, {state}"]
    assert max(ours.values()) - min(ours.values()) < 0.01
    if not live.stopped:
        assert theirs["upright"] > ours["upright"] and theirs["worst"] < ours["worst"] - 0.05

# %% [markdown]
# ## 6c.3 The same by eye
#
# A map of the test letters, as the pretrained network sees them. Each letter stands at the place of its features.
#
# Turn one letter. Does its point move with *regular* features, `(B, 32, 4)` flattened? With *pooled* ones?

# %%
atlas = EmbeddingExplorer(
    encoder, letters.test.images[:400], letters.test.labels[:400], names=ascii_uppercase
)
atlas

# %% [markdown]
# **Seen:** with regular features the point walks along its orbit, and comes back after four turns. With pooled features it
# stands still, for every letter.

# %% tags=["fold"]
# Holds: with regular features the point walks along its orbit, and comes back after four turns.
# Holds: With pooled features it stands still, for every letter.
C4, turns = encoder.group, encoder.group.elements
atlas.set_state(features="regular", image=0)
walked = [atlas.set_state(element=turn) or atlas.moved() for turn in turns]
assert walked[0] == 0 and min(walked[1:]) > 1e-3
atlas.set_state(element=0)
pooled = [
    read(encoder, C4.transform(letters.test.images, turn)).unflatten(1, (-1, 4)).mean(dim=2) for turn in turns
]
assert all(torch.allclose(vectors, pooled[0], atol=1e-3) for vectors in pooled)

# %% [markdown]
# ## 6c.4 Stop, and go on
#
# Here a training is cut after seven steps. A *new* run gets its state and goes on.
#
# **Predict.** How different are the final weights from those of a run that was never cut?

# %%
cut, later, whole = (lesson.short_run(SEED) for _ in range(3))  # 40 steps each, none done yet
lesson.go_on(cut, until=7)
later.load_state_dict(cut.state_dict())  # or from a file: torch.save and torch.load
largest = (lesson.go_on(later) - lesson.go_on(whole)).abs().max()
largest

# %% [markdown]
# **Seen:** on a CPU none, bit for bit.
#
# The order of the images and all draws depend on the seed and the number of the step alone.

# %% tags=["fold"]
# Holds: on a CPU none, bit for bit.
assert later.step == whole.step == 40 and cut.step == 7
assert largest == 0 or not later.device.startswith("CPU")

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can train pretext tasks, foresee where their curves end, and say with five seeds what is left of it for another task. We have no task that
# works on *every* kind of data. The next notebooks look at the other idea: losses that compare two views and absorb the
# turns.
#
# - `docs/results/number-of-labels.md`: all runs with intervals; `python -m experiments number-of-labels` makes them again.
# - Next: **7 · Contrastive learning**.
