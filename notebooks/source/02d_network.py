# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 2d · The network, and whether it pays
#
# After this notebook you can
#
# - halve and pool without breaking the symmetry, and build a whole equivariant network;
# - say what such a network buys, what it costs, and what it can no longer see, with five seeds and intervals.
#
# **Seen before:** notebooks 2 to 2c. **Time:** {minutes} minutes.

# %%
from eqssl_edu import layers
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons.notebook_02 import two_letters
from eqssl_edu.lessons.reading_digits import runs_chart, train_one
from eqssl_edu.plots import image_grid

import torch
from torch import nn

# %%
SEED = 0  # of all weights, and of the training
torch.manual_seed(SEED)
C4, D4 = cyclic(4), dihedral(4)
images = digits(16).test.images[:8].double()  # (8, 1, 16, 16)

# %% [markdown]
# ## 2d.1 Smaller maps
#
# Networks halve their maps on the way. By rule E1 (s divides S + 2p - k) a window that fits even sizes does not fit odd ones.
#
# ### Exercise · Halve
#
# Write it for every size, by means over windows with a stride of 2. No pixel may be ignored. (The zeros of a padding do not
# belong into a mean: `F.avg_pool2d(..., count_include_pad=False)`.)


# %%
def halve(maps):
    """Maps (B, C, |G|, S, S) -> means on half the grid, exact for even and for odd S."""
    # BEGIN SOLUTION
    # GAP: window, padding = 2, 0
    odd = maps.shape[-1] % 2
    window, padding = 2 + odd, odd
    # END SOLUTION
    planes = maps.flatten(1, 2)  # (B, C|G|, S, S)
    planes = nn.functional.avg_pool2d(planes, window, stride=2, padding=padding, count_include_pad=False)
    return planes.unflatten(1, maps.shape[1:3])


check("02.halve", halve)

# %% tags=["solution-only"]
assert check("02.halve", halve).ok

# %% [markdown]
# ## 2d.2 Not too early
#
# One may also pool over the *group*: the largest of the |G| numbers at each pixel. The result has no
# group axis that moves: it turns only as an image does, and its mean over the grid is **invariant**.
#
# **Predict.** Two letters; in the second image *one* of them is turned about its own centre. Which network sees the
# difference: one that pools over the group first and over the grid then, or one that does it the other way round?

# %%
maps = torch.relu(layers.LiftingConv2d(C4, 1, 8, 3, padding=1)(two_letters())).detach()  # (2, 8, |G|, 20, 20)
group_first = maps.amax(dim=2).mean(dim=(-2, -1))  # (2, 8)
grid_first = maps.mean(dim=(-2, -1)).amax(dim=2)
print("group first:", group_first.diff(dim=0).norm(), "grid first:", grid_first.diff(dim=0).norm())
image_grid(two_letters()[:, 0], ["both upright", "one turned"])

# %% [markdown]
# **Seen:** Pooled over the group first, both images have the same features. Pooled over the grid first, they differ.
#
# **Why:** if the group goes first, every place chooses its own orientation. (The letters stand further apart than the
# window, so no window sees both.) So pool over the group as late as you can, and in this course often not at all.

# %% tags=["fold"]
# Holds: Pooled over the group first, both images have the same features.
# Holds: Pooled over the grid first, they differ.
assert torch.allclose(group_first[0], group_first[1], atol=1e-5)
assert (grid_first[1] - grid_first[0]).norm() > 1e-3

# %% [markdown]
# ## 2d.3 The network
#
# ### Exercise · Build it
#
# Lift to 8 channels; norm, ReLU, halve; group convolution to 16; norm, ReLU, halve; to 32; norm, ReLU. At the end the mean
# over the grid gives regular features `(B, 32, |G|)`. Three convolutions, random weights: is the *whole* network equivariant?


# %%
class Network(nn.Module):
    """Images (B, 1, S, S) -> regular features (B, 32, |G|)."""

    def __init__(self, group):
        super().__init__()
        self.group = group
        self.stages = nn.Sequential(
            layers.LiftingConv2d(group, 1, 8, kernel_size=3, padding=1, bias=False),
            layers.GroupBatchNorm2d(group, 8),
            nn.ReLU(),
            # BEGIN SOLUTION
            # GAP: # two more stages: layers.HalvingPool2d(), layers.GroupConv2d(...), norm, ReLU
            *(layers.HalvingPool2d(), layers.GroupConv2d(group, 8, 16, 3, padding=1, bias=False)),
            *(layers.GroupBatchNorm2d(group, 16), nn.ReLU()),
            *(layers.HalvingPool2d(), layers.GroupConv2d(group, 16, 32, 3, padding=1, bias=False)),
            *(layers.GroupBatchNorm2d(group, 32), nn.ReLU()),
            # END SOLUTION
        )

    def forward(self, images):
        return self.stages(images).mean(dim=(-2, -1))


check("02.network", Network)

# %% tags=["solution-only"]
assert check("02.network", Network).ok
mine, theirs = Network(D4).double(), GroupCNN(D4, channels=(8, 16, 32)).double()
theirs.load_state_dict(mine.state_dict())
assert torch.equal(mine(images), theirs(images))

# %% [markdown]
# The library's `GroupCNN` is this network. Over the group with one element it is an ordinary CNN.

# %%
plain = GroupCNN(cyclic(1)).double()
print(equivariance_error(GroupCNN(D4).double(), images))
print(equivariance_error(plain, images, D4, transform_outputs=lambda features, g: features))

# %% [markdown]
# **Seen:** The errors of the network are rounding, for all eight elements. The features of the CNN change with every turn.

# %% tags=["fold"]
# Holds: The errors of the network are rounding, for all eight elements.
# Holds: The features of the CNN change with every turn.
assert equivariance_error(GroupCNN(D4).double(), images).max() < 1e-12
assert equivariance_error(plain, images, D4, transform_outputs=lambda features, g: features)[1:].min() > 1e-3

# %% [markdown]
# ### Exercise · An exact size
#
# Somebody insists on strides: three layers in a row, each with kernel 3, stride 2 and padding 1. What is the smallest image
# of at least 30 pixels at which all three are exact? Each output has (S + 2p - k) / s + 1 pixels, rounded down.

# %%
# BEGIN SOLUTION
# GAP: size = ...
size = 33
# END SOLUTION
check("02.exact_size", size)

# %% tags=["solution-only"]
assert check("02.exact_size", size).ok

# %% [markdown]
# ## 2d.4 Does it pay?
#
# A $C_4$ network uses each weight in four copies: few weights, many multiplications. So it meets a plain CNN with equally many
# *weights* and one with equally many *multiplications*, as `matched_cnn` makes them. The fourth is a plain CNN that
# looks at the four turned copies of an image and keeps the largest answers: invariant too, as many weights *and* as many
# multiplications as the first. They learn to read 50, 250 or all 1,297 digits, upright, or each turned at random in every
# step. Steps, batches and learning rate are the same for all (the rate was chosen on other images than the tested ones).
#
# **Predict.** Trained upright and tested upright: who is ahead? Who is ahead when training and test images are turned?
#
# Train one run yourself; it becomes a star among the five seeds of each.

# %%
mine = train_one("C4 network", count=250, turned=False, seed=SEED + 5)  # others: "CNN, equal parameters", ...
runs_chart(mine)

# %% [markdown]
# **Seen:** Upright, both plain CNNs are ahead of the $C_4$ network with 250 and with 1,297 images; with 50, five seeds cannot
# tell. The $C_4$ network takes an upright 6 for a 9, or a 9 for a 6, more often than both. Both are ahead of it,
# in the mean, on the other eight digits too. On turned images it is ahead of
# both at every number of images, by six points or more. Trained on 250 upright images it reads all four turns better than a
# plain CNN that has seen all 1,297 turned. The CNN on four copies is never behind it by a difference that five seeds can
# tell, and once ahead.
#
# **Why:** symmetry pays where the data have it. Upright digits do not: their orientation tells a 6 from a 9, and an invariant
# network has thrown it away. (What the other digits lost with it we have not measured.) For turned digits the plain CNN must learn every digit four times, and even 1,297 images
# do not teach it that. What pays is the symmetry and not the way to build it: four copies of an ordinary CNN do as well, for the
# same price. And there is a price: 3.8 times the multiplications of the CNN with equally many weights.

# %% tags=["fold"]
# Holds: Upright, both plain CNNs are ahead of the $C_4$ network with 250 and with 1,297 images; with 50, five seeds cannot
#   tell.
# Holds: The $C_4$ network takes an upright 6 for a 9, or a 9 for a 6, more often than both.
# Holds: Both are ahead of it, in the mean, on the other eight digits too.
# Holds: On turned images it is ahead of both at every number of images, by six points or more.
# Holds: Trained on 250 upright images it reads all four turns better than a plain CNN that has seen all 1,297 turned.
# Holds: The CNN on four copies is never behind it by a difference that five seeds can tell, and once ahead.
# Holds: And there is a price: 3.8 times the multiplications of the CNN with equally many weights.
from statistics import fmean

from eqssl_edu.evaluation import paired_interval
from eqssl_edu.lessons.reading_digits import COUNTS, NETWORKS, found, runs


def ahead(other, how, measure, n):
    """By how much another network is ahead of the C4 network, seed by seed."""
    return paired_interval(*(found(f"{how}, {n}", name, measure) for name in (other, NETWORKS[0])))


ours, *plain, copies = NETWORKS
for other in plain:
    assert [ahead(other, "upright", "upright", n).low > 0 for n in COUNTS] == [False, True, True]
    assert not ahead(other, "upright", "upright", 50).excludes_zero
    assert all(ahead(other, "upright", "swapped", n).mean < 0 for n in COUNTS)
    assert all(ahead(other, "upright", "others", n).mean > 0 for n in COUNTS)
    assert all(ahead(other, "turned", "turned", n).mean < -0.06 for n in COUNTS)
    assert all(ahead(other, "turned", "turned", n).high < 0 for n in COUNTS)
    assert fmean(found("turned, 1297", other, "turned")) < fmean(found("upright, 250", ours, "turned"))
of_copies = [ahead(copies, how, how, n) for how in ("upright", "turned") for n in COUNTS]
assert min(each.high for each in of_copies) > 0 and sum(each.low > 0 for each in of_copies) == 1
cost = {run["method"]: run["multiplications"] for run in runs()}
assert round(cost[ours] / cost[plain[0]], 1) == 3.8

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can build exactly equivariant networks for $C_4$ and $D_4$, test each layer with four tests, and say when that pays. We
# cannot yet say what happens *between* the quarter turns (notebook 3), nor use finer groups (notebook 4). And what such a
# network should *learn* without labels is the rest of the course.
#
# - `docs/results/does-it-pay.md`: the runs, with all intervals; `python -m experiments does-it-pay` makes them again.
# - M. Weiler and others, *Equivariant and Coordinate Independent Convolutional Networks*: the whole theory, as a book.
# - Next: **3 · Seeing equivariance**, where the slider stops at every angle.
