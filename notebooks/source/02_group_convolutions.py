# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 2 · Lifting
#
# After this notebook you can
#
# - measure whether a layer is equivariant, and derive on paper why a convolution is, or is not;
# - write the first layer of a network that turns its features when its input is turned;
# - say what a feature map on $\mathbb{Z}^2 \rtimes C_4$ is.
#
# **Seen before:** notebooks 1 and 1b (groups, orbits, the regular representation) and `torch.nn`.
# **Time:** {minutes} minutes.

# %%
from eqssl_edu import layers
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons.notebook_02 import filter_and_turn, lifted
from eqssl_edu.widgets import KernelExplorer

import torch
import torch.nn.functional as F
from torch import nn

# %%
torch.set_default_dtype(torch.float64)  # double precision: an error of 1e-15 is rounding, one of 1e-3 is not
SEED = 0  # of all weights
torch.manual_seed(SEED)
C4, D4 = cyclic(4), dihedral(4)
images = digits(16).test.images[:8]  # (8, 1, 16, 16): handwritten digits

# %% [markdown]
# ## 2.1 What a convolution commutes with
#
# $$ (\psi \star x)(p) \;=\; \sum_q \psi(q)\, x(p + q) $$
#
# lays a filter $\psi$ over the image x at the pixel p, multiplies and adds. (Mathematicians call this
# *cross-correlation*; networks say convolution.) Pixels are pairs of integers, $p \in \mathbb{Z}^2$.
#
# A **translation** by t moves the image: $(t \cdot x)(p) = x(p - t)$. The convolution goes along:
#
# $$ \begin{aligned}
# (\psi \star (t \cdot x))(p) &= \sum_q \psi(q)\, x(p + q - t) && \text{definition of } t \cdot x \\
# &= (\psi \star x)(p - t) && \text{definition of } \star \text{ at } p - t \\
# &= (t \cdot (\psi \star x))(p). && \text{definition of } t \cdot
# \end{aligned} $$
#
# Moving first or last is the same. A map f with $f(g \cdot x) = g \cdot f(x)$ for all g of a group is called
# **equivariant**. A convolution is equivariant under the group of translations.
#
# **Predict.** Filter an image and then turn the result. Or turn the image and then filter it. Is that the same too?

# %%
kernel = torch.randn(1, 1, 3, 3)
kernel -= kernel.mean()  # it answers to edges, and to an even surface with 0


def convolve(x):
    """The image goes on at the opposite border, so that translations lose nothing."""
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), kernel)


filter_and_turn(convolve, images[:1], C4)

# %% [markdown]
# **Seen:** Two different results. Their difference is more than half as large as the results.
#
# **Why:** a filter prefers one direction. In a turned image it meets edges that it was not made for.

# %% tags=["fold"]
# Holds: The convolution goes along:
# Holds: Two different results.
# Holds: Their difference is more than half as large as the results.
assert torch.allclose(convolve(images.roll(3, dims=-1)), convolve(images).roll(3, dims=-1))
turned_last, turned_first = C4.transform(convolve(images), 1), convolve(C4.transform(images, 1))
assert (turned_first - turned_last).norm() > 0.5 * max(turned_first.norm(), turned_last.norm())

# %% [markdown]
# ### Exercise · Write the test first
#
# We want a number for this. The **error** of f under g is
#
# $$ \frac{\lVert f(g \cdot x) - g \cdot f(x) \rVert}{\lVert f(x) \rVert}. $$
#
# Write it as a function. `group.transform(x, g)` turns images `(B, C, H, W)`.


# %%
def my_error(f, x, group, g):
    """The relative error of f under the element g; f takes images and returns images."""
    # BEGIN SOLUTION
    expected = group.transform(f(x), g)
    return (f(group.transform(x, g)) - expected).norm() / f(x).norm()
    # END SOLUTION


check("02.equivariance_error", my_error)

# %% tags=["solution-only"]
assert check("02.equivariance_error", my_error).ok

# %% [markdown]
# The library's function does this for all elements at once. We tell it how the outputs move.

# %%
equivariance_error(convolve, images, D4, transform_outputs=D4.transform)

# %% [markdown]
# ## 2.2 Turn the filter too
#
# An element a of $C_4$ or $D_4$ acts on pixels by a matrix, and on images by $(a \cdot x)(p) = x(a^{-1}p)$, as in
# notebook 1 (pixel 0 is the centre of the image; where the size is even, p is a pair of halves). What if *both* the image and the filter are turned?
#
# $$ \begin{aligned}
# \big((a \cdot \psi) \star (a \cdot x)\big)(p)
# &= \sum_q \psi(a^{-1}q)\; x\big(a^{-1}(p + q)\big) && \text{definitions of } \star \text{ and } a \cdot \\
# &= \sum_r \psi(r)\; x(a^{-1}p + r) && r = a^{-1}q \text{ runs over the same pixels} \\
# &= (\psi \star x)(a^{-1}p) \;=\; \big(a \cdot (\psi \star x)\big)(p). && \text{definitions, read backwards}
# \end{aligned} $$
#
# So $\;(a \cdot \psi) \star (a \cdot x) = a \cdot (\psi \star x)$. (The second line uses that a matrix may be taken into
# a sum: $a^{-1}(p + q) = a^{-1}p + a^{-1}q$.) All layers of this course follow from this one line.
#
# **A first use.** If the filter does not change when it is turned, $a \cdot \psi = \psi$, then
# $\psi \star (a \cdot x) = a \cdot (\psi \star x)$: it is equivariant. In notebook 1b the nine places of a 3 x 3 grid fell
# into three orbits under $D_4$. Give all places of an orbit the same number.

# %%
orbits = GSet.grid(D4, 3).orbit_index.reshape(3, 3)
isotropic = torch.randn(3)[orbits].reshape(1, 1, 3, 3)
equivariance_error(lambda x: F.conv2d(x, isotropic, padding=1), images, D4, transform_outputs=D4.transform)

# %% [markdown]
# **Seen:** Its error is rounding. But only 3 of its 9 numbers are free. It answers to upright stripes with exactly the
# numbers that it gives to lying ones.
#
# A free filter fails, a symmetric filter is poor. There is a third way.

# %% tags=["fold"]
# Holds: So $\;(a \cdot \psi) \star (a \cdot x) = a \cdot (\psi \star x)$.
# Holds: Its error is rounding.
# Holds: But only 3 of its 9 numbers are free.
# Holds: It answers to upright stripes with exactly the numbers that it gives to lying ones.
for a in D4.elements:
    both = F.conv2d(D4.transform(images, a), D4.transform(kernel, a), padding=1)
    assert torch.allclose(both, D4.transform(F.conv2d(images, kernel, padding=1), a), rtol=0, atol=1e-12)
symmetric = F.conv2d(images, isotropic, padding=1)
turned = F.conv2d(C4.transform(images, 1), isotropic, padding=1)
assert (turned - C4.transform(symmetric, 1)).norm() < 1e-12 * symmetric.norm()
assert len(isotropic.unique()) == 3
stripes = (torch.arange(16) // 4 % 2).double().expand(1, 1, 16, 16)
answers = [F.conv2d(x, isotropic, padding=1).flatten().sort().values for x in (stripes, stripes.mT)]
assert torch.allclose(*answers, rtol=0, atol=1e-12)

# %% [markdown]
# ## 2.3 Lifting: all turned copies of a free filter
#
# Keep the filter free, but apply it in *all* orientations and keep all results:
#
# $$ f(x)[g] \;=\; (g \cdot \psi) \star x . $$
#
# The output has not one map for each channel but one **for each element of the group**: `(B, C', |G|, H, W)`.
#
# **Predict.** Four copies of an edge filter give four maps of a digit. Now the *image* is turned by 90 degrees. Which of
# the new maps looks like the old map `e`? Move the slider g and see.

# %%
edge = torch.tensor([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]).reshape(1, 1, 3, 3)  # bright above, dark below
lifted(edge)

# %% [markdown]
# **Seen:** Every map is turned, *and* it moves along the group axis. What copy e saw in the upright image, copy r90 sees
# in the image that is turned by 90 degrees.
#
# **Why:** three lines, with the identity above.
#
# $$ \begin{aligned}
# f(a \cdot x)[g] &= (g \cdot \psi) \star (a \cdot x) && \text{definition of } f \\
# &= a \cdot \big((a^{-1}g \cdot \psi) \star x\big) && \text{the identity, for the filter } a^{-1}g \cdot \psi \\
# &= a \cdot \big(f(x)[a^{-1}g]\big). && \text{definition of } f
# \end{aligned} $$
#
# The map at g comes from $a^{-1}g$ and is turned. This is the regular representation of notebook 1b, $(\rho(a)z)[g] =
# z[a^{-1}g]$, with a turn of the grid on top. The library calls it `transform_maps`.

# %% tags=["fold"]
# Holds: Every map is turned, *and* it moves along the group axis.
# Holds: What copy e saw in the upright image, copy r90 sees in the image that is turned by 90 degrees.
copies = torch.stack([C4.transform(edge[0], g) for g in C4.elements])  # (|G|, 1, 3, 3)
maps = F.conv2d(images, copies, padding=1)  # (8, |G|, 16, 16)
for g in C4.elements:
    assert torch.allclose(F.conv2d(C4.transform(images, g), copies, padding=1), C4.transform_maps(maps, g))
of_turned = F.conv2d(C4.transform(images, 1), copies, padding=1)
assert torch.allclose(of_turned[:, 1], C4.transform(maps[:, 0], 1))

# %% [markdown]
# ### Exercise · Write the layer
#
# For C channels the copies of $\psi_{c',c}$ are summed over c, and each output channel has one bias. In code this is an
# ordinary convolution with a wide weight. Only the line with the copies is missing. The check does not compare numbers:
# it asks for four things. The output depends on the image; the layer is equivariant; it has as many weights as can be
# chosen freely; and each of them does something of its own. (Why the last one is needed is a story in notebook 2b.)


# %%
class Lifting(nn.Module):
    """Images (B, C, H, W) -> regular maps (B, C', |G|, H', W')."""

    def __init__(self, group, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        super().__init__()
        self.group, self.stride, self.padding = group, stride, padding
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def expanded_weight(self):
        """All turned copies of all filters: the weight of an ordinary convolution, (C'|G|, C, k, k)."""
        # BEGIN SOLUTION
        # GAP: copies = [self.weight for g in self.group.elements]  # |G| copies, but none is turned
        copies = [self.group.transform(self.weight, g) for g in self.group.elements]
        # END SOLUTION
        return torch.stack(copies, dim=1).flatten(0, 1)

    def forward(self, x):
        bias = None if self.bias is None else self.bias.repeat_interleave(self.group.order)
        planes = F.conv2d(x, self.expanded_weight(), bias, self.stride, self.padding)  # (B, C'|G|, H', W')
        return planes.unflatten(1, (-1, self.group.order))


check("02.lifting", Lifting)

# %% tags=["solution-only"]
assert check("02.lifting", Lifting).ok
mine, theirs = (kind(D4, 1, 6, 5, padding=2) for kind in (Lifting, layers.LiftingConv2d))
theirs.load_state_dict(mine.state_dict())
assert torch.allclose(mine(images), theirs(images), rtol=0, atol=1e-12)

# %% [markdown]
# The library's `LiftingConv2d` computes the same. Tell the test that only the grid turns.

# %%
layer = layers.LiftingConv2d(D4, 1, 6, kernel_size=5, padding=2)
print(equivariance_error(layer, images, D4, transform_outputs=D4.transform_maps))
print(equivariance_error(layer, images, D4, transform_outputs=D4.transform))

# %% [markdown]
# **Seen:** All eight errors are rounding. If only the grid turns, every element but the identity fails.

# %% tags=["fold"]
# Holds: All eight errors are rounding.
# Holds: If only the grid turns, every element but the identity fails.
assert equivariance_error(layer, images, D4, transform_outputs=D4.transform_maps).max() < 1e-12
assert equivariance_error(layer, images, D4, transform_outputs=D4.transform)[1:].min() > 1e-2

# %% [markdown]
# ### Change the filter by hand
#
# Drag a weight up or down, or use the arrow keys. Move the window over the digit. **Predict:** the weight in the upper
# left corner grows. Which weight of copy r90 grows?

# %%
one_filter = layers.LiftingConv2d(C4, 1, 1, kernel_size=3, padding=1)
KernelExplorer(one_filter)

# %% [markdown]
# **Seen:** One weight of the filter is one weight in *each* copy. In copy r90 the upper left one stands at the lower left.
#
# The explorer works on the layer itself: `one_filter.weight` is what your hand has made of it.

# %% tags=["fold"]
# Holds: One weight of the filter is one weight in *each* copy.
# Holds: In copy r90 the upper left one stands at the lower left.
with torch.no_grad():
    before = one_filter.expanded_weight().flatten(1)
    one_filter.weight[0, 0, 0, 0] += 1
    changed = (one_filter.expanded_weight().flatten(1) != before).reshape(4, 3, 3)
assert changed.sum(dim=(1, 2)).tolist() == [1, 1, 1, 1] and changed[1, 2, 0]

# %% [markdown]
# ## 2.4 What lives on such maps
#
# A regular map has a number for each pixel t and each element g: it is a function on the pairs (t, g) of notebook 1, "turn by
# g, then translate by t", which form the semidirect product $\mathbb{Z}^2 \rtimes C_4$, called **p4** (with the mirrors of
# $D_4$: **p4m**). Lifting takes an image, a function on $\mathbb{Z}^2$, to a function on p4. It commutes with all of p4:
# with translations, since each map is a convolution, and with turns, by the three lines above.
#
# Cohen and Welling (2016) introduced these layers as *group equivariant convolutional networks*; in the same year
# Dieleman, De Fauw and Kavukcuoglu turned feature maps instead of filters.
#
# **With a pencil.** Show that one may lift without turning any filter: turn the image back by $g^{-1}$, convolve with
# the one filter, turn the result by g.
#
# <details><summary>A worked answer</summary>
#
# Take the identity $(a \cdot \psi) \star (a \cdot y) = a \cdot (\psi \star y)$ with $a = g$ and $y = g^{-1} \cdot x$. On
# the left stands $(g \cdot \psi) \star (g \cdot g^{-1} \cdot x) = (g \cdot \psi) \star x = f(x)[g]$. On the right stands
# $g \cdot (\psi \star (g^{-1} \cdot x))$: turn the image back, convolve, turn the result by g. It costs the same; it is
# how a network that is not ours to change can be made equivariant (notebook 6 does so).
#
# </details>

# %% tags=["fold"]
# Holds: On the right stands $g \cdot (\psi \star (g^{-1} \cdot x))$: turn the image back, convolve, turn the result by g.
turned_back = [F.conv2d(C4.transform(images, int(C4.inverse[g])), edge, padding=1) for g in C4.elements]
again = [C4.transform(convolved, g) for g, convolved in zip(C4.elements, turned_back, strict=True)]
assert torch.allclose(torch.cat(again, dim=1), maps, rtol=0, atol=1e-12)

# %% [markdown]
# ## What we can now do, and what not yet
#
# We have the first layer, derived and measured. The second one gets maps on p4 as its input, and must move along the
# group axis as well.
#
# - T. Cohen and M. Welling, *Group Equivariant Convolutional Networks* (arXiv 1602.07576).
# - S. Dieleman and others, *Exploiting Cyclic Symmetry in Convolutional Neural Networks* (arXiv 1602.02660).
# - Next: **2b · Group convolution**, the layer between.
