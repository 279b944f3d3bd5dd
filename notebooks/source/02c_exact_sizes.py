# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 2c · What may stand between
#
# After this notebook you can
#
# - put a norm and a nonlinearity between group convolutions without breaking them;
# - choose sizes, windows and strides that keep the symmetry exact, and name the rule behind it.
#
# **Seen before:** notebook 2b (group convolutions). **Time:** {minutes} minutes.

# %%
from eqssl_edu import layers
from eqssl_edu.data import digits
from eqssl_edu.exercises import check
from eqssl_edu.exercises.between_layers import STEPS
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons.notebook_02 import measured_strides, plane_norm_errors, strides
from eqssl_edu.widgets import ExactnessLab

import torch
from torch import nn

# %%
torch.set_default_dtype(torch.float64)
SEED = 0  # of all weights
torch.manual_seed(SEED)
C4 = cyclic(4)
lifting = layers.LiftingConv2d(C4, 1, 2, kernel_size=3, padding=1)
maps = torch.relu(lifting(digits(16).test.images[:8])).detach()  # (8, 2, |G|, 16, 16)

# %% [markdown]
# ## 2c.1 Norm and nonlinearity
#
# A function of each number by itself, such as ReLU, does not care where the number stands: turn and shift the numbers
# first or last, it is the same. Batch norm does care. It takes a mean and a variance for each plane, and on the C|G| planes
# of our maps the obvious `nn.BatchNorm2d` has |G| of them for each channel.
#
# **Predict.** It has learned from one small batch. Now the whole batch is turned by one g. Is it equivariant in training mode, when
# it takes its statistics from the batch? In evaluation mode, when it uses those that it remembers?

# %%
plane_norm_errors(maps)

# %% [markdown]
# **Seen:** A trap: if the whole batch turns by one g, the error is rounding in training mode, and it is not in evaluation
# mode. If each image turns by its *own* g, training mode fails too.
#
# **Why:** when the whole batch turns, each plane takes its statistics along. Remembered statistics stay in their places,
# and the planes move on. A test in one mode proves nothing about the other.

# %% tags=["fold"]
# Holds: A trap: if the whole batch turns by one g, the error is rounding in training mode, and it is not in evaluation
#   mode.
# Holds: If each image turns by its *own* g, training mode fails too.
found = plane_norm_errors(maps)
assert found["training mode, one g"] < 1e-12
assert min(found["evaluation mode, one g"], found["training mode, each its own g"]) > 1e-3

# %% [markdown]
# ### Exercise · The norm over the group axis
#
# The cure: one mean, one variance, one scale and one shift for all |G| maps of a channel. Write it. The parent class
# normalises maps `(B, C, H, W)`, channel by channel. The check runs the four tests in both modes.


# %%
class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm of regular maps (B, C, |G|, H, W), with statistics for each channel over (B, |G|, H, W)."""

    def forward(self, maps):
        # BEGIN SOLUTION
        # GAP: return maps  # nothing is normalised yet; super().forward(...) takes (B, C, H, W)
        tall = maps.flatten(2, 3)  # (B, C, |G|H, W): the maps of a channel, one below the other
        return super().forward(tall).reshape(maps.shape)
        # END SOLUTION


check("02.norm", SharedBatchNorm)

# %% tags=["solution-only"]
assert check("02.norm", SharedBatchNorm).ok

# %% [markdown]
# ### Exercise · Think
#
# Which of these steps may stand between two group convolutions? Decide first; then the check measures each.

# %%
print("\n".join(STEPS))

# BEGIN SOLUTION
# GAP: harmless = ...  # a list of some of the names above
harmless = [
    "ReLU",
    "softmax over the group axis",
    "one bias for each channel",
    "one matrix that mixes the channels",
    "subtract the mean of each map",
]
# END SOLUTION
check("02.harmless", harmless)

# %% tags=["solution-only"]
assert check("02.harmless", harmless).ok

# %% [markdown]
# ## 2c.2 The exactness lab
#
# So far every layer had stride 1. Networks also make their maps smaller, with a stride of 2 or more. Is that harmless?
#
# The lab shows a square image (yellow) with zeros around it. The blue frame is the first window, **dots** are the
# centres of all windows. On the right the image has been turned: **rings** are where the turn has moved the dots.
# The error is measured: a convolution with random weights really runs on noise.
#
# **Predict.** Size 16, kernel 3, stride 2, padding 1 is the most common way to halve a map. Exact or not? Then play: change
# one slider at a time, and look for settings that turn green.

# %%
lab = ExactnessLab(size=16, kernel_size=3, stride=2, padding=1, rule=False)
lab

# %% [markdown]
# **Seen:** The most common way is not exact. It is off by more than 100 %.
#
# Such a layer is silent: no error, no warning. Edixhoven, Lengyel and van Gemert (2023) show how one pixel more or less of
# the input turns exact into approximate equivariance, through such strides.

# %% tags=["fold"]
# Holds: The most common way is not exact.
# Holds: It is off by more than 100 %.
first = ExactnessLab(size=16, kernel_size=3, stride=2, padding=1).values
assert not first["exact"] and first["error"] > 1

# %% [markdown]
# One setting at a time will not show the rule. So 792 settings were measured, one after the other; here they are, a row for
# each size S and a column for each kernel k. **Predict** the pattern for stride 3, then move the slider.

# %%
strides()

# %% [markdown]
# **Seen:** Stride 1 is all green. With stride 2, a setting and its neighbour in the row are never both green. With stride 3,
# exactly one of three neighbours in a row is.

# %% tags=["fold"]
# Holds: Stride 1 is all green.
# Holds: With stride 2, a setting and its neighbour in the row are never both green.
# Holds: With stride 3, exactly one of three neighbours in a row is.
exact = measured_strides()
assert all(green for (S, k, s, p), green in exact.items() if s == 1)
for S, k, s, p in exact:
    if s > 1 and (S, k + s - 1, s, p) in exact:
        assert sum(exact[S, k + i, s, p] for i in range(s)) == 1

# %% [markdown]
# ### Exercise · Find the rule
#
# Which number stays the same along a green stripe? The first guess below is too careful. Try until no case is wrong.


# %%
def my_rule(S, k, s, p):
    """True where a layer with size S, kernel k, stride s and padding p is exact, by my rule."""
    # BEGIN SOLUTION
    # GAP: return s == 1
    return (S + 2 * p - k) % s == 0
    # END SOLUTION


check("02.exact_rule", my_rule)

# %% tags=["solution-only"]
assert check("02.exact_rule", my_rule).ok
assert all(my_rule(*case) == green for case, green in measured_strides().items())

# %% [markdown]
# <details><summary>The rule, and why</summary>
#
# Rule **E1**: *a window of side k with stride s on a square of side S with padding p commutes with quarter turns exactly if
# s divides S + 2p - k.* The first window stands at the left border, and the windows step by s. If S + 2p - k is a multiple
# of s, the last one ends at the right border. If not, some columns are left over *on the right*. Turn the image, and they
# are on top, but the layer still leaves them out on the right. In the lab that strip is hatched.
#
# (Rule **E2** was notebook 2b's: equivariance alone does not prove a layer right.)
#
# "Use odd sizes" is right for odd windows only: a window of 2 or 4 with stride 2 wants even sizes.
#
# </details>
#
# The library has a function that looks at any torch network, names the layers that break the rule, and says which sizes of
# their inputs would keep it. Here a window of 4 would do as well.

# %%
usual = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2))
print(layers.exactness_violations(usual, 32))

# %% tags=["fold"]
# Holds: Here a window of 4 would do as well.
mended = nn.Sequential(nn.Conv2d(3, 16, 4, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2))
assert list(layers.exactness_violations(usual, 32)) == ["0"] and not layers.exactness_violations(mended, 32)

# %% [markdown]
# ## What we can now do, and what not yet
#
# We know what breaks the symmetry between two layers, and can name the rule for sizes. We have not yet built a network.
#
# - T. Edixhoven, A. Lengyel and J. van Gemert, *Using and Abusing Equivariance* (arXiv 2308.11316).
# - `eqssl_edu/layers/norm_pooling.py` and `exactness.py`: the same in the library.
# - Next: **2d · The network, and whether it pays**, and whether it pays.
