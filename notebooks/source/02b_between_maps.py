# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 2b · Group convolution
#
# After this notebook you can
#
# - derive and write the layer between two regular maps;
# - tell a right layer from one that passes every test but the last, and write that test;
# - count how many equivariant layers there are.
#
# **Seen before:** notebook 2 (lifting). **Time:** {minutes} minutes.

# %%
from eqssl_edu import layers
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons.notebook_02 import kernel_rank, left_and_right, twist_and_shift

import torch
import torch.nn.functional as F
from torch import nn

# %%
torch.set_default_dtype(torch.float64)
SEED = 0  # of all weights
torch.manual_seed(SEED)
C4, D4 = cyclic(4), dihedral(4)
lifting = layers.LiftingConv2d(C4, 1, 2, kernel_size=3, padding=1)
maps = torch.relu(lifting(digits(16).test.images[:8])).detach()  # (8, 2, |G|, 16, 16)

# %% [markdown]
# ## 2b.1 The second layer
#
# Its input is maps of shape `(B, C, |G|, H, W)`. A turn by a acts on them by $(a \cdot z)[h] = a \cdot (z[a^{-1}h])$:
# the map at h comes from $a^{-1}h$ and is turned. The output has to move in the same way.
#
# It is not enough to do as in lifting, with one free filter for each of the C|G| input planes and the |G| *turned* copies of
# it: a filter that belongs to plane h has to go along when the planes move. So let the filter $\psi$ have a group axis of
# its own, a stack of |G| planes, and let its copy g be moved *as maps are moved*: turned, and shifted along the axis. This
# is called **twist and shift**:
#
# $$ f(z)[g] \;=\; \sum_h (g \cdot \psi)[h] \star z[h] \;=\; \sum_h \big(g \cdot \psi[g^{-1}h]\big) \star z[h] . $$
#
# To see it, we put letters where the weights are. **Predict**, for g = r90: where does the plane of `e` go? And under
# $D_4$, for the mirror m?

# %%
twist_and_shift(C4)

# %%
twist_and_shift(D4)

# %% [markdown]
# **Seen:** The plane of e, moved by g, stands at g. Under $C_4$ the planes step along the row; under $D_4$ the mirror swaps
# them in pairs.

# %% tags=["fold"]
# Holds: The plane of e, moved by g, stands at g.
# Holds: Under $C_4$ the planes step along the row; under $D_4$ the mirror swaps them in pairs.
for group in (C4, D4):
    stack = torch.randn(group.order, 3, 3)
    for g in group.elements:
        assert torch.equal(group.transform_maps(stack, g)[g], group.transform(stack[0], g))
assert all(C4.product[g, h] == (g + h) % 4 for g in C4.elements for h in C4.elements)
mirror = D4.product[4]
assert torch.equal(mirror[mirror], torch.arange(8)) and not torch.equal(mirror, (torch.arange(8) + 4) % 8)

# %% [markdown]
# **Why it is equivariant.** Three lines and one new trick, the re-indexing $h \to ah$: when h runs through the group, so
# does $ah$.
#
# $$ \begin{aligned}
# f(a \cdot z)[g] &= \sum_h \big(g \cdot \psi[g^{-1}h]\big) \star \big(a \cdot z[a^{-1}h]\big) && \text{definitions} \\
# &= \sum_h \big(g \cdot \psi[g^{-1}ah]\big) \star \big(a \cdot z[h]\big) && h \to ah \\
# &= a \cdot \sum_h \big(a^{-1}g \cdot \psi[(a^{-1}g)^{-1}h]\big) \star z[h] && (a \cdot \varphi) \star (a \cdot x) = a \cdot (\varphi \star x) \\
# &= a \cdot \big(f(z)[a^{-1}g]\big) = (a \cdot f(z))[g]. && \text{definitions, backwards}
# \end{aligned} $$
#
# ### Exercise · Write the layer
#
# Only the copy is missing: how does g move a filter that has a group axis?


# %%
class GroupConvolution(nn.Module):
    """Regular maps (B, C, |G|, H, W) -> regular maps (B, C', |G|, H', W')."""

    def __init__(self, group, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        super().__init__()
        self.group, self.stride, self.padding = group, stride, padding
        self.weight = nn.Parameter(
            torch.randn(out_channels, in_channels, group.order, kernel_size, kernel_size)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def copy(self, g):
        """The filters of output plane g, twisted and shifted: (C', C, |G|, k, k)."""
        # BEGIN SOLUTION
        # GAP: return self.weight  # neither twisted nor shifted
        return self.group.transform_maps(self.weight, g)
        # END SOLUTION

    def expanded_weight(self):
        """The weight of an ordinary convolution, (C'|G|, C|G|, k, k)."""
        return torch.stack([self.copy(g) for g in self.group.elements], dim=1).flatten(0, 1).flatten(1, 2)

    def forward(self, z):
        bias = None if self.bias is None else self.bias.repeat_interleave(self.group.order)
        planes = F.conv2d(z.flatten(1, 2), self.expanded_weight(), bias, self.stride, self.padding)
        return planes.unflatten(1, (-1, self.group.order))


check("02.group_convolution", GroupConvolution)

# %% tags=["solution-only"]
assert check("02.group_convolution", GroupConvolution).ok
mine, theirs = (kind(C4, 2, 3, 3, padding=1) for kind in (GroupConvolution, layers.GroupConv2d))
theirs.load_state_dict(mine.state_dict())
assert torch.allclose(mine(maps), theirs(maps), rtol=0, atol=1e-12)

# %% [markdown]
# The library's `GroupConv2d` computes the same.
#
# ## 2b.2 A layer that is equivariant and still wrong
#
# A careful colleague has another idea for the copies: "Plane h of the input and plane g of the output are 0, 90 or 180
# degrees apart. That angle chooses the plane of the filter. Then I turn it."
#
# **Predict.** Does the test of equivariance catch this layer?


# %%
class AngleOnly(GroupConvolution):
    def copy(self, g):
        angles = [min((h - g) % 4, (g - h) % 4) for h in range(4)]  # in quarter turns; C4 only
        return self.group.transform(self.weight[:, :, angles], g)


colleagues = AngleOnly(C4, 2, 3, kernel_size=3, padding=1)
equivariance_error(colleagues, maps, C4, C4.transform_maps, C4.transform_maps)

# %% [markdown]
# **Seen:** The errors are rounding. Its output is not zero, and it has the right number of weights.
#
# Would you ship it? One question is left: *does it reach all the kernels that it should?*

# %% tags=["fold"]
# Holds: The errors are rounding.
# Holds: Its output is not zero, and it has the right number of weights.
assert equivariance_error(colleagues, maps, C4, C4.transform_maps, C4.transform_maps).max() < 1e-12
assert colleagues(maps).abs().max() > 0.1
assert colleagues.weight.shape == layers.GroupConv2d(C4, 2, 3, 3).weight.shape

# %% [markdown]
# ### Exercise · Write the last test
#
# The map from weights to expanded kernels is linear. So set one weight after the other to 1 and all others to 0, write the
# expanded kernels side by side, and ask for the **rank**.


# %%
def my_rank(layer):
    """How many independent kernels a layer can reach; layer.weight may have any shape."""
    kernels = []
    with torch.no_grad():
        for i in range(layer.weight.numel()):
            # BEGIN SOLUTION
            # GAP: layer.weight.zero_()  # and number i of the flattened weights?
            layer.weight.zero_().view(-1)[i] = 1
            # END SOLUTION
            kernels.append(layer.expanded_weight().flatten())
    return int(torch.linalg.matrix_rank(torch.stack(kernels)))


check("02.rank", my_rank)

# %% tags=["solution-only"]
assert check("02.rank", my_rank).ok

# %%
pair = {"right": layers.GroupConv2d(C4, 1, 1, 3, padding=1), "colleague's": AngleOnly(C4, 1, 1, 3, padding=1)}
print({name: kernel_rank(layer) for name, layer in pair.items()})
left_and_right(pair)

# %% [markdown]
# **Seen:** The right layer reaches 36 dimensions, the colleague's only 27. Light up one pixel in the plane to the left of
# e, or one in the plane to the right: the colleague's output plane e is the same.
#
# **Why:** 90 degrees to the left and to the right were given the same plane of the filter, and one plane of the weights is
# never used. The layer cannot tell *left* from *right*, however long it is trained. So *equivariance alone does not prove
# a layer right*. A layer's test has **four parts**: it is not trivial, it is equivariant, its weights are
# counted, **and the rank is full**. The checks of your layers ask for all four.

# %% tags=["fold"]
# Holds: The right layer reaches 36 dimensions, the colleague's only 27.
# Holds: Light up one pixel in the plane to the left of e, or one in the plane to the right: the colleague's output
#   plane e is the same.
assert [kernel_rank(layer) for layer in pair.values()] == [36, 27]
pixels = torch.zeros(2, 1, 4, 5, 5)
pixels[0, 0, 1, 2, 2] = pixels[1, 0, 3, 2, 2] = 1
answers, right = (pair[name](pixels)[:, 0, 0] for name in ("colleague's", "right"))
assert torch.equal(answers[0], answers[1]) and not torch.allclose(right[0], right[1])

# %% [markdown]
# ## 2b.3 There is no other layer
#
# How many free weights should there be? Take *any* linear map from regular maps to regular maps that commutes with
# translations. It has a number K(g, h, p) for each output plane g, input plane h and offset p. Equivariance says
# $K(ag, ah, a \cdot p) = K(g, h, p)$ for all a: K is free to choose one number for each **orbit** of triples, and nothing
# else. Let us count the orbits.

# %%
for group in (C4, D4):
    plane, pixel = GSet.regular(group), GSet.grid(group, 3)
    orbits, layer = plane.times(plane).times(pixel).orbits, layers.GroupConv2d(group, 1, 1, 3)
    print(group.name, len(orbits), "orbits;", layer.weight.numel(), "weights, rank", kernel_rank(layer))

# %% [markdown]
# **Seen:** 36 orbits, 36 weights and rank 36 over $C_4$; 72, 72 and 72 over $D_4$.
#
# This is a proof, for 3 x 3 windows. All group convolutions are equivariant, by the lines above. Their weights are
# independent, since copy e is the filter itself. And there are as many of them as orbits. So **every linear map between
# regular maps that is equivariant, under translations too, is a group convolution.** Kondor and Trivedi (2018) proved that
# for compact groups, Cohen, Geiger and Weiler (2019) for fields of any type. Asking for symmetry excludes what contradicts
# it, and nothing else.
#
# **With a pencil.** Why is it exactly |G| k² for every k, and never a fraction? And how many has lifting?
#
# <details><summary>A worked answer</summary>
#
# There are |G|·|G|·k² triples (g, h, p). If a leaves a triple in place, then $ag = g$, so $a = e$: each orbit has |G|
# triples. That makes |G|·|G|·k² / |G| = |G|k² orbits, and one of each has $g = e$: the filter $\psi[h](p) = K(e, h, p)$. Lifting
# has pairs (g, p): |G|·k² / |G| = k² orbits, every pixel of the filter. Nothing is lost there. (An isotropic filter has
# p alone, and then elements do leave pixels in place: 3 orbits of 9 under $D_4$.)
#
# </details>

# %% tags=["fold"]
# Holds: 36 orbits, 36 weights and rank 36 over $C_4$; 72, 72 and 72 over $D_4$.
# Holds: each orbit has |G| triples.
for group, count in ((C4, 36), (D4, 72)):
    element, window = GSet.regular(group), GSet.grid(group, 3)
    orbits = element.times(element).times(window).orbits
    layer = layers.GroupConv2d(group, 1, 1, 3)
    assert len(orbits) == layer.weight.numel() == kernel_rank(layer) == count
    assert {len(orbit) for orbit in orbits} == {group.order}
    assert len(element.times(window).orbits) == 9

# %% [markdown]
# ## What we can now do, and what not yet
#
# We have the layers that carry weights, and we know that there are no others. What may stand between them?
#
# - R. Kondor and S. Trivedi (arXiv 1802.03690); T. Cohen, M. Geiger and M. Weiler (arXiv 1811.02017): the theorem.
# - D. Knigge, *Regular Group Convolutions* (UvA Deep Learning 2), and E. Bekkers' course (uvagedl.github.io): the same
#   layers, with the theory of groups in front.
# - Next: **2c · What may stand between**: norms, nonlinearities, and sizes that are exact.
