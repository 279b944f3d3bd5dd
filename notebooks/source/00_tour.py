# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 0 · The tour
#
# After this notebook you can
#
# - point at *equivariance* in a picture, and write it down;
# - say why a network that forgets rotations cannot predict them, and build a head that can.
#
# **Seen before:** a convolutional network, cross-entropy. **Time:** {minutes} minutes.

# %%
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_00 as lessons

import torch
from torch import nn

SEED = 0  # change it and run again: no sentence below depends on luck
torch.manual_seed(SEED)
network = GroupCNN(cyclic(4), in_channels=1, channels=(8, 16, 32))
cnn = matched_cnn(network, by="parameters")

# %% [markdown]
# ## 0.1 Turn a digit by hand
#
# $C_4$ is the group of the turns by 0, 90, 180 and 270 degrees: elements 0 to 3. Above we made a *group-convolutional*
# network for it (Cohen and Welling, arXiv 1602.07576), and a CNN with as many parameters, all weights random. Here are
# maps of their second convolutions: `(16, 4, 16, 16)`, channels, elements, height, width, a row for each channel; the
# CNN's are `(32, 16, 16)`. Turn the digit.

# %%
lessons.turn_by_hand(network, cnn)

# %% [markdown]
# **Seen:** At 90 degrees the maps of the group network turn and move one place along the row; no value changes. The
# maps of the CNN turn too, but their values change.
#
# That is **equivariance**: $f(g\,x) = g\,f(x)$, with image $x$, maps $f(x)$, element $g$. The *error* is
# $\|f(g\,x) - g\,f(x)\| / \|f(x)\|$.
#
# *Features* are means of the last maps over height and width, `(32, 4)`. Turn again.

# %% tags=["fold"]
# Holds: At 90 degrees the maps of the group network turn and move one place along the row; no value changes.
# Holds: The maps of the CNN turn too, but their values change.
from eqssl_edu.data import digits

images, relative = digits(size=32).test.images[:20], lambda a, b: float((a - b).norm() / b.norm())
turned_images = cyclic(4).transform(images, 1)
with torch.no_grad():
    maps, moved = (network.eval().stages[:5](x) for x in (images, turned_images))
    of_cnn, after = (cnn.eval().stages[:5](x) for x in (images, turned_images))
assert relative(moved, cyclic(4).transform_maps(maps, 1)) < 1e-5
assert 0.05 < relative(after, cyclic(4).transform(of_cnn, 1)) < relative(after, of_cnn)

# %%
lessons.turn_features(network)

# %% [markdown]
# ### Exercise 1: how features turn
#
# Make the features of turned images without the network.


# %%
def turned(features, a):
    """Features (B, C, 4) of images -> the features of these images turned by element a."""
    # BEGIN SOLUTION
    # GAP: # where does each column go?
    # GAP: ...
    return features.roll(a, dims=2)
    # END SOLUTION


check("00.turned", turned)

# %% tags=["solution-only"]
assert check("00.turned", turned).ok

# %% [markdown]
# ## 0.2 Labels that move with the input
#
# A task without a teacher (Gidaris, Singh and Komodakis, arXiv 1803.07728): turn an image by a random element $g$, ask
# by which. Turned further, by $a$, the image has the label $a\,g$.
#
# A *head* makes four logits from features `(B, 32, 4)`. The usual one pools over the elements first: the **invariant
# head**, whose logits stand still. Yours shall move.
#
# ### Exercise 2: an equivariant head
#
# Learn a *template*, shaped like the features of one image. Logit $a$ is the inner product of the features and the
# template turned by $a$. Four tests judge your head: not trivial, equivariant, all weights there, none idle.


# %%
class Head(nn.Module):
    """Features (B, channels, 4) -> logits (B, 4), one for each element."""

    def __init__(self, channels):
        super().__init__()
        # BEGIN SOLUTION
        # GAP: self.template = nn.Parameter(0.1 * torch.randn(channels, 1))  # which shape?
        self.template = nn.Parameter(0.1 * torch.randn(channels, 4))
        # END SOLUTION

    def forward(self, features):
        # BEGIN SOLUTION
        # GAP: # logit a: features times the template turned by a, added up over channels and columns
        # GAP: ...
        fits = [(features * self.template.roll(a, dims=1)).sum(dim=(1, 2)) for a in range(4)]
        return torch.stack(fits, dim=1)
        # END SOLUTION


check("00.head", Head)

# %% tags=["solution-only"]
assert check("00.head", Head).ok

# %% [markdown]
# **Predict.** Your head (until it is right, the library's) and the invariant one learn from the same digits. How often
# will each be right?

# %%
live = lessons.train_heads(Head, SEED)
live

# %%
lessons.compare_heads(live)

# %% [markdown]
# **Seen:** The invariant head is right in exactly 25 % of the cases. Its loss is not below $\log 4 = 1.386$. The other
# head is right in more than 90 %.
#
# **Why:** The invariant head gives the four copies of a digit one answer, right for one of them. $\log 4$ is the
# cross-entropy of guessing, in *nats*: with the natural logarithm. The head threw away what the task asks for.
#
# A label on which the group acts is an **equivariant pretext label** (Mukuta and Harada, arXiv 2303.04427); notebook 05
# finds the action for other tasks.
#
# **Next:** `00b_tour_contrastive`, a loss that absorbs the turns.

# %% tags=["fold"]
# Holds: The invariant head is right in exactly 25 % of the cases.
# Holds: Its loss is not below $\log 4 = 1.386$.
# Holds: The other head is right in more than 90 %.
import math

other, invariant = lessons.compare_heads(live).values()
assert invariant["accuracy"] == 1 / 4
assert invariant["loss"] >= math.log(4) - 1e-9
assert live.stopped or other["accuracy"] > 0.9
