# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A1c · Numbers that mislead
#
# After this notebook you can
#
# - find out whether an image's feature depends on its neighbours in the batch;
# - run an A/A test, and say what has to be repeated before you draw an error bar.
#
# **Seen before:** notebooks A1 and 6c (probes). **Time:** {minutes} minutes.
#
# The last two exhibits of the museum are about evaluation. Nothing here is broken: each line does what it says, and the number
# answers another question than the one that was asked.

# %%
import itertools

from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.evaluation import extract, interval
from eqssl_edu.exercises import check
from eqssl_edu.exercises.notebook_A1 import STUDIES
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_A1 as museum

import torch

# %%
SEED = 0  # of all weights and trainings
C4, images = cyclic(4), digits(16).test.images  # (300, 1, 16, 16)

# %% [markdown]
# ## A1c.1 The probe in training mode
#
# **What it looks like.** A function that computes features for a probe of nearest neighbours. "No gradients are needed, so `no_grad`."


# %%
@torch.no_grad()
def features_of(encoder, images):
    return torch.cat(
        [encoder(batch).mean(dim=2) for batch in images.split(60)]
    )  # (N, C), pooled over the group


torch.manual_seed(SEED)
encoder = GroupCNN(C4, channels=(8, 16))
accuracies = museum.two_orders(features_of, encoder)
print("mixed:", accuracies["mixed"])

# %% [markdown]
# **Predict.** The same test images, sorted by class, as many data sets store them. Which accuracy do you expect?

# %%
print(accuracies)

# %% [markdown]
# **Seen:** The order of the test images changes the accuracy, by more than five points.
#
# **Symptom:** a number that is a little off, and another one when the data come in another order.

# %% tags=["fold"]
# Holds: The order of the test images changes the accuracy, by more than five points.
assert abs(accuracies["mixed"] - accuracies["sorted by class"]) > 0.05

# %% [markdown]
# ### Exercise 1 · Alone and in company
#
# A feature belongs to an image. Write the test: compute the features of all images at once, and of each image alone. Return the
# size of the difference, relative to that of the features.


# %%
def company(encoder, images):
    """A number: 0 if no image's feature, encoder(images) (B, C, |G|), depends on the images beside it."""
    # BEGIN SOLUTION
    # GAP: # images[i : i + 1] is a batch with one image; torch.no_grad() helps
    # GAP: return ...
    with torch.no_grad():
        together = encoder(images)
        alone = torch.cat([encoder(image) for image in images.split(1)])
    return (together - alone).norm() / together.norm()
    # END SOLUTION


check("A1.company", company)

# %% tags=["solution-only"]
assert check("A1.company", company).ok

# %%
print("training mode:", company(encoder.train(), images[:8]))
print("evaluation mode:", company(encoder.eval(), images[:8]))

# %% [markdown]
# **Why:** in training mode a batch norm uses the mean of the *batch*. A batch of sevens is centred on seven. Worse, each pass moves the
# running statistics: looking at the test set changes the encoder.
#
# **Repair.** `encoder.eval()` before, and the old mode after. `evaluation.extract` does both.

# %%
museum.two_orders(lambda encoder, images: extract(encoder, images).mean(dim=2), encoder)

# %% [markdown]
# **Seen:** In evaluation mode the order makes no difference. In training mode a look at the test images changes the encoder's state.
#
# > **Moral:** compute a feature alone and in company, and compare.

# %% tags=["fold"]
# Holds: In evaluation mode the order makes no difference.
# Holds: In training mode a look at the test images changes the encoder's state.
orders = museum.two_orders(lambda encoder, images: extract(encoder, images).mean(dim=2), encoder)
assert abs(orders["mixed"] - orders["sorted by class"]) < 0.01
before = {name: value.clone() for name, value in encoder.train().state_dict().items()}
features_of(encoder, images)
assert any(not torch.equal(value, before[name]) for name, value in encoder.state_dict().items())

# %% [markdown]
# ## A1c.2 The bar that measures the wrong thing
#
# **What it looks like.** "We pretrained both methods, and trained five probes on each. Method B is better, and the 95 % intervals
# do not overlap." The probe is a linear layer with a random start; each method was pretrained once.

# %%
for name, bar in museum.two_methods(SEED).items():
    print(f"{name}: {bar.mean:.1f} %, from {bar.low:.1f} to {bar.high:.1f}")

# %% [markdown]
# **Predict.** Is B better than A?
#
# The test is called A/A: run *the same* method twice. And that is what we did. A and B are one program with one set of
# hyper-parameters, and two pretraining seeds, the worst and the best of six. Most authors try two seeds, not six; so count
# all pairs.
#
# ### Exercise 2 · False alarms
#
# `restarts` holds accuracies, `(seeds, restarts)`, all of one method. For each pair of seeds, take the 95 % interval over the restarts of
# both. Which share of the pairs do not overlap? For a bar that measures the right thing it would be nearly none.


# %%
def false_alarms(restarts):
    """Accuracies (seeds, restarts) of one method -> the share, 0 to 1, of pairs of seeds whose intervals do not overlap."""
    # BEGIN SOLUTION
    # GAP: # interval(restarts[0].tolist()) has .low and .high; itertools.combinations(..., 2) makes pairs
    # GAP: return ...
    bars = [interval(values.tolist()) for values in restarts]
    pairs = list(itertools.combinations(bars, 2))
    return sum(one.high < other.low or other.high < one.low for one, other in pairs) / len(pairs)
    # END SOLUTION


check("A1.false_alarms", false_alarms)

# %% tags=["solution-only"]
assert check("A1.false_alarms", false_alarms).ok

# %%
restarts = museum.six_seeds(SEED)  # (6, 5) in %, worst seed first
print("false alarms:", false_alarms(restarts))
museum.seeds_chart(restarts)

# %% [markdown]
# **Seen:** The intervals of A and of B do not overlap, and there is no difference at all. So it is for more than half of the pairs. The
# restarts of one seed lie close together, the seeds lie further apart.
#
# **Why:** the bar of five restarts answers "what if I trained the *probe* again?" Nobody had asked. The orange band is the interval over
# pretrainings.
#
# **Repair.** One number for each pretraining seed (the mean of its restarts, if you like), the interval over these, and
# paired where both methods saw the same seeds (`evaluation.paired_interval`).
#
# > **Moral:** repeat what your claim is about, from its first random number on.

# %% tags=["fold"]
# Holds: The intervals of A and of B do not overlap, and there is no difference at all.
# Holds: So it is for more than half of the pairs.
# Holds: The restarts of one seed lie close together, the seeds lie further apart.
bars = museum.two_methods(SEED)
assert bars["method A"].high < bars["method B"].low
each = [interval(values.tolist()) for values in restarts]
apart = [one.high < other.low or other.high < one.low for one, other in itertools.combinations(each, 2)]
assert sum(apart) > len(apart) / 2
assert restarts.mean(dim=1).std() > 1.5 * restarts.std(dim=1).mean()

# %% [markdown]
# ### Exercise 3 · What must be repeated?
#
# Five claims. For each, write what has to be repeated for its error bar: `"pretraining"`, `"probe"` or `"test images"`.

# %%
print("\n".join(STUDIES))
# BEGIN SOLUTION
# GAP: repeated = dict.fromkeys(STUDIES, ...)
answers = ["pretraining", "test images", "probe", "pretraining", "pretraining"]
repeated = dict(zip(STUDIES, answers, strict=True))
# END SOLUTION
check("A1.what_to_repeat", repeated)

# %% tags=["solution-only"]
assert check("A1.what_to_repeat", repeated).ok

# %% [markdown]
# ## Where to read on
#
# - `tests/` of this course: tests like these, with twins that must fail.
# - `docs/results/`: ten pretraining seeds each, paired intervals, and what did not separate.
#
# **One to think:** which of the eight tests of the museum does your own code have?
#
# Next: your own network. `equivariance_report` of `eqssl_edu.diagnostics` is a museum guide for it.
