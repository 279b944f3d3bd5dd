# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 2 · Group convolutions
#
# After this notebook you can
#
# - build a network that turns its features when its input is turned, layer by layer, and prove it to twelve digits;
# - tell a right layer from three wrong ones, one of which passes every test but the last;
# - choose sizes, windows and strides that keep the symmetry exact, and name the rule behind it.
#
# **Seen before:** notebook 1 (groups, orbits, the regular representation) and `torch.nn`. **Time:** about 60 minutes.
#
# Each class that we write here is compared, at the end of its section, with the library's layer of the same kind.
# After this notebook you can read `eqssl_edu/layers/convolutions.py` and `norm_pooling.py`, and find nothing new
# but speed.

# %%
from eqssl_edu import layers
from eqssl_edu.data import digits
from eqssl_edu.data.letters import letters
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.encoders import GroupCNN, count_parameters, matched_cnn
from eqssl_edu.exercises import check
from eqssl_edu.exercises.notebook_02 import STEPS
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.plots import image_grid, picture, row
from eqssl_edu.widgets import ByHand, ExactnessLab, KernelExplorer
from eqssl_edu.widgets.shared.scenarios import walk

import torch
import torch.nn.functional as F
from IPython.display import HTML
from torch import nn

torch.set_default_dtype(torch.float64)  # identities are proven in double precision
SEED = 0  # of the first weights of all layers, and of the training
torch.manual_seed(SEED)
C4, D4 = cyclic(4), dihedral(4)
data = digits(16)
images = data.test.images[:8].double()  # (8, 1, 16, 16): handwritten digits


def noise(*shape, seed=0):
    """Random numbers that are the same in every run."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# %% [markdown]
# ## 2.1 Why an ordinary convolution is not enough
#
# A convolution looks for the same thing everywhere. Shift the image, and the result is shifted along: it *commutes*
# with shifts.
#
# **Predict.** Filter an image and then turn the result. Or turn the image and then filter it. Is it the same?

# %%
kernel = noise(1, 1, 3, 3, seed=2)


def convolve(x):
    """A 3 x 3 convolution; the image continues at the opposite border, so that shifts lose nothing."""
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), kernel)


assert torch.allclose(convolve(images.roll(3, dims=-1)), convolve(images).roll(3, dims=-1))  # shifts are fine

x = images[:1]
filter_then_turn = C4.transform(convolve(x), 1)
turn_then_filter = convolve(C4.transform(x, 1))
four = torch.cat([x, filter_then_turn, turn_then_filter, turn_then_filter - filter_then_turn])[:, 0]
titles = ["image", "filter, then turn", "turn, then filter", "difference"]
print("norms:", "; ".join(f"{title}: {plane.norm():.1f}" for title, plane in zip(titles, four, strict=True)))
assert four[3].norm() > 0.5 * four[2].norm()
image_grid(four, titles, "A random filter and a quarter turn", signed=True)

# %% [markdown]
# **Seen:** two different results, and the difference is as large as the results themselves. The filter prefers one
# direction. Turn the image, and the filter meets edges that it was not made for.
#
# We want a number for this. A map f is **equivariant** if $f(g \cdot x) = g \cdot f(x)$, and its **error** is
#
# $$ \frac{\lVert f(g \cdot x) - g \cdot f(x) \rVert}{\lVert f(x) \rVert}. $$
#
# ### Exercise 0 · Write the test first
#
# Write the error as a function. `group.transform(x, g)` turns images of shape `(B, C, H, W)`.


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
# The library has the same function, for all elements of a group at once. We tell it how inputs and outputs transform.

# %%
errors = equivariance_error(convolve, images, D4, transform_outputs=D4.transform)
print("random filter:", [f"{error:.2f}" for error in errors])
assert errors[0] == 0 and errors[1:].min() > 0.5  # only the identity passes

# %% [markdown]
# ### A filter that passes
#
# The filter would not mind the turn if it looked the same after it. In notebook 1 we saw that the nine places of a
# 3 x 3 grid fall into three orbits under $D_4$. Give all places of an orbit the same number.
#
# **Predict.** Does such a filter pass? What can it no longer do?

# %%
orbits = GSet.grid(D4, 3).orbit_index.reshape(3, 3)
isotropic = noise(3)[orbits].reshape(1, 1, 3, 3)


def convolve_isotropic(x):
    return F.conv2d(x, isotropic, padding=1)


errors = equivariance_error(convolve_isotropic, images, D4, transform_outputs=D4.transform)
print("isotropic filter:", [f"{error:.0e}" for error in errors])
assert errors.max() < 1e-12

for size in (3, 5, 7):
    print(f"{size} x {size}: {len(GSet.grid(D4, size).orbits)} free numbers instead of {size**2}")

stripes = (torch.arange(16) // 4 % 2).double().expand(1, 1, 16, 16)  # upright stripes
upright, lying = convolve_isotropic(stripes), convolve_isotropic(C4.transform(stripes, 1))
assert torch.allclose(upright.flatten().sort().values, lying.flatten().sort().values)
print("answers to upright and to lying stripes: both", f"{upright.min():.2f} .. {upright.max():.2f}")
filters = torch.cat([isotropic[0], kernel[0]])
print("different weights:", [len(weights.unique()) for weights in filters])
image_grid(filters, ["isotropic", "random"], "Two filters", signed=True, value="weight")

# %% [markdown]
# **Seen:** the isotropic filter passes, to the last digit. But only 3 of 9 weights are free, and it answers to
# upright stripes with exactly the same numbers as to lying ones. A network needs filters that tell directions apart.
#
# So: a free filter fails, a symmetric filter is poor. There is a third way.
#
# ## 2.2 Lifting: use all turned copies of the filter
#
# Keep the filter free. But apply it in *all four* orientations, and keep all four results. The output is no longer
# one map for each channel but one **for each element of the group**: `(B, C', |G|, H, W)`.
#
# **Predict.** Four copies of an edge filter give four maps of a digit. Now turn the *image* by 90 degrees, and apply the
# same four copies. Which of the new maps looks like the old map `e`? Move the slider and see.

# %%
edge = torch.tensor([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]).reshape(1, 1, 3, 3)  # bright above, dark below
copies = torch.stack([C4.transform(edge[0], g) for g in C4.elements])  # (|G|, 1, 3, 3)
titles = [C4.element_name(g) for g in C4.elements]


def lifted(digit, g):
    def line(image, text):
        planes = F.conv2d(image, copies, padding=1)[0]  # |G| maps
        drawn = [
            picture(plane, f"map {t}", True, (-4, 4), side=130)
            for plane, t in zip(planes, titles, strict=True)
        ]
        return row([picture(image[0, 0], "image", side=130), *drawn], text)

    upright = images[digit : digit + 1]
    filters = [
        picture(copy[0], f"filter {t}", True, side=130) for copy, t in zip(copies, titles, strict=True)
    ]
    text = f"The image turned by {titles[g]}: the old map e is now map {titles[g]}, and it is turned."
    return (
        row(
            [picture(edge[0, 0], "the filter", True, side=130), *filters],
            "Blue is negative, orange is positive.",
        )
        + line(upright, "The image and its four maps.")
        + line(C4.transform(upright, g), text)
    )


ByHand(lifted, digit=range(8), g=range(4), start={"g": 1})

# %% [markdown]
# **Seen:** every map is turned, *and* it moves one place along the group axis. What copy e saw in the upright image,
# copy r90 sees in the image that is turned by 90 degrees. Nothing is lost and nothing is new.
#
# This is the regular representation of notebook 1, with a turn of the grid on top. In the library the action is called
# `transform_maps`. First for the four maps above, then as a layer:
#
# $$ y[c', g] \;=\; \sum_c (g \cdot \psi_{c', c}) \star x[c] \;+\; b_{c'} $$
#
# - $\psi$ is the weight, `(C', C, k, k)`: one free filter for each pair of channels. $\star$ is the ordinary
#   convolution, $g \cdot \psi$ the turned filter.
# - the bias b has one number for each channel `(C',)`, the same for all |G| maps.

# %%
maps = F.conv2d(images, copies, padding=1)  # (8, |G|, 16, 16)
for g in C4.elements:
    assert torch.allclose(F.conv2d(C4.transform(images, g), copies, padding=1), C4.transform_maps(maps, g))


class Lifting(nn.Module):
    """Images (B, C, H, W) -> regular maps (B, C', |G|, H', W')."""

    def __init__(self, group, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        super().__init__()
        self.group, self.stride, self.padding = group, stride, padding
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(shape) / kernel_size)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def expanded_weight(self):
        """All turned copies of all filters: the weight of an ordinary convolution, (C'|G|, C, k, k)."""
        copies = [self.group.transform(self.weight, g) for g in self.group.elements]
        return torch.stack(copies, dim=1).flatten(0, 1)

    def forward(self, x):
        bias = None if self.bias is None else self.bias.repeat_interleave(self.group.order)
        planes = F.conv2d(x, self.expanded_weight(), bias, self.stride, self.padding)  # (B, C'|G|, H', W')
        return planes.unflatten(1, (-1, self.group.order))  # (B, C', |G|, H', W')


# %% [markdown]
# Is it right? Three questions. Is it equivariant, under all eight elements of $D_4$? Does the test *fail* where it
# should? And is it the library's layer?


# %%
def randomise(layer):
    """Move every parameter off its first value. A bias of zeros, for one, would hide a mistake."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += torch.randn_like(parameter) / 4


def same_function(mine, theirs, x):
    """Give both layers the same random parameters, and compare what they compute."""
    randomise(mine)
    theirs.load_state_dict(mine.state_dict())
    return torch.allclose(mine(x), theirs(x), rtol=0, atol=1e-12)


lifting = Lifting(D4, 1, 6, kernel_size=5, padding=2)
print(f"{tuple(images.shape)} -> {tuple(lifting(images).shape)}")

errors = equivariance_error(lifting, images, D4, transform_outputs=D4.transform_maps)
forgot_to_shift = equivariance_error(lifting, images, D4, transform_outputs=D4.transform)
print(f"largest error {errors.max():.0e}; if only the grid is turned {forgot_to_shift.max():.2f}")
assert errors.max() < 1e-12 < forgot_to_shift[1:].min()

assert same_function(lifting, layers.LiftingConv2d(D4, 1, 6, kernel_size=5, padding=2), images)

# %% [markdown]
# ### Change the filter by hand
#
# The library's layer with one filter. Drag a weight up or down, or use the arrow keys. Move the window over the digit.
# **Predict:** the weight in the upper left corner grows. Which weight of copy r90 grows?

# %%
one_filter = layers.LiftingConv2d(C4, 1, 1, kernel_size=3, padding=1)
by_hand = KernelExplorer(one_filter)
by_hand

# %% [markdown]
# **Seen:** one weight of the filter is one weight in *each* copy, and the frame shows where it stands. All four
# answers change. The explorer works on the layer itself: `one_filter.weight` is what your hand has made of it.

# %%
for sentence in walk(by_hand):  # a filter of edges, one of zeros, and back; each step is proved
    print(sentence)

by_hand.set_state(kernel=edge.flatten().tolist(), row=5, column=9)
assert torch.equal(one_filter.weight, edge)
answer = one_filter(by_hand.image[None])[0, 0, :, 5, 9]  # (|G|,): what the layer itself says at that place
assert torch.allclose(answer, torch.tensor(by_hand.responses()))

# %% [markdown]
# ## 2.3 Group convolution: the second layer
#
# The first layer is done. The second one gets maps of shape `(B, C, |G|, H, W)`, and has to return maps of the same
# kind. Flattened, its input has C|G| planes and its output C'|G| planes.
#
# **Predict.** Which of these is equivariant? (a) Any ordinary convolution from C|G| to C'|G| planes. (b) One free
# filter for each input plane, and the |G| *turned* copies of it, as in lifting.

# %%
maps = lifting(images)[:, :2, :4]  # (8, 2, 4, 16, 16): of two channels the four maps of the turns
free = noise(3, 2, 4, 3, 3)  # one filter for each input plane, (C', C, |G|, 3, 3)


def a_plain(maps):
    return F.conv2d(maps.flatten(1, 2), noise(3 * 4, 2 * 4, 3, 3), padding=1).unflatten(1, (3, 4))


def b_turned_copies(maps):
    turned = torch.stack([C4.transform(free, g) for g in C4.elements], dim=1)  # (C', |G|, C, |G|, 3, 3)
    return F.conv2d(maps.flatten(1, 2), turned.flatten(0, 1).flatten(1, 2), padding=1).unflatten(1, (3, 4))


for layer in (a_plain, b_turned_copies):
    errors = equivariance_error(layer, maps, C4, C4.transform_maps, C4.transform_maps)
    print(layer.__name__, [f"{error:.2f}" for error in errors])
    assert errors[1:].min() > 0.1

# %% [markdown]
# **Seen:** neither. Turned copies were enough for images, but maps do more than turn: they also move along the group
# axis. So the filter must do the same.
#
# A filter of the second layer has a group axis of its own: $\psi$ is `(|G|, k, k)` for each pair of channels, a little
# stack of maps. Its copy number g is the filter **acted on like a feature map**: every plane is turned, and the planes
# move along the axis. This is called *twist and shift*.
#
# To see it, we put letters where the weights are. **Predict**, for g = r90: where does the plane of `e` go?


# %%
def twist_and_shift(group, g):
    names = [group.element_name(h) for h in group.elements]
    stack = torch.stack([letters()[letter] for letter in "FGJPRbKE"[: group.order]])  # (|G|, 9, 9)
    copy = group.transform_maps(stack, g)
    came_from = [f"{names[h]}: from {names[group.product[group.inverse[g], h]]}" for h in group.elements]
    before = [picture(plane, name, side=90) for plane, name in zip(stack, names, strict=True)]
    after = [picture(plane, text, side=90) for plane, text in zip(copy, came_from, strict=True)]
    text = f"Copy {names[g]}: every plane is moved by {names[g]}. The plane of e stands at {names[g]} now."
    return row(before, "The filter itself: one plane for each element.") + row(after, text)


ByHand(lambda g: twist_and_shift(C4, g), g=range(4), start={"g": 1})

# %% [markdown]
# **Seen:** the letters turn, and they step along the row. The plane at h came from $g^{-1}h$, as in notebook 1.
#
# **Predict.** And with $D_4$, for g = m? Do the planes still step along the row?

# %%
for group in (C4, D4):
    stack = noise(group.order, 3, 3)
    for g in group.elements:
        for h in group.elements:
            moved = group.transform_maps(stack, g)[group.product[g, h]]
            assert torch.equal(moved, group.transform(stack[h], g))  # the plane of h, turned, stands at gh

ByHand(lambda g: twist_and_shift(D4, g), g=range(8), start={"g": 4})

# %% [markdown]
# **Seen:** the mirror swaps planes, and the steps are less regular: the order of the product matters. As a formula and
# as a layer:
#
# $$ y[c', g] \;=\; \sum_{c,\,h} \big(g \cdot \psi_{c', c}[g^{-1}h]\big) \star x[c, h] \;+\; b_{c'} $$
#
# The only new line below is the one that makes the copies.


# %%
class GroupConvolution(nn.Module):
    """Regular maps (B, C, |G|, H, W) -> regular maps (B, C', |G|, H', W')."""

    def __init__(self, group, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        super().__init__()
        self.group, self.stride, self.padding = group, stride, padding
        shape = (out_channels, in_channels, group.order, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(shape) / kernel_size / group.order**0.5)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def copy(self, g):
        """The filters for output plane g, twisted and shifted: (C', C, |G|, k, k)."""
        return self.group.transform_maps(self.weight, g)

    def expanded_weight(self):
        """The weight of an ordinary convolution, (C'|G|, C|G|, k, k)."""
        copies = [self.copy(g) for g in self.group.elements]
        return torch.stack(copies, dim=1).flatten(0, 1).flatten(1, 2)

    def forward(self, x):
        bias = None if self.bias is None else self.bias.repeat_interleave(self.group.order)
        planes = F.conv2d(x.flatten(1, 2), self.expanded_weight(), bias, self.stride, self.padding)
        return planes.unflatten(1, (-1, self.group.order))


# %%
def map_error(layer, maps, group):
    """The largest equivariance error of a layer from regular maps to regular maps."""
    return equivariance_error(layer, maps, group, group.transform_maps, group.transform_maps).max().item()


maps = torch.relu(lifting(images))  # (8, 6, 8, 16, 16)
convolution = GroupConvolution(D4, 6, 4, kernel_size=3, padding=1)
print(f"{tuple(maps.shape)} -> {tuple(convolution(maps).shape)}")
print(f"largest error {map_error(convolution, maps, D4):.0e}")

assert map_error(convolution, maps, D4) < 1e-12
assert same_function(convolution, layers.GroupConv2d(D4, 6, 4, kernel_size=3, padding=1), maps)

# %% [markdown]
# The same explorer with a group convolution. Its input is the four maps of a digit. **Predict:** you drag a weight of
# plane A. In how many of the sixteen pictures below does something change?

# %%
second_layer = layers.GroupConv2d(C4, 1, 1, kernel_size=3, padding=1)
KernelExplorer(second_layer)

# %% [markdown]
# **Seen:** in four of them, one weight in each copy. Follow the letter A down the rows: it turns by 90 degrees, and it
# moves one place to the right.

# %%
with torch.no_grad():
    before = second_layer.expanded_weight().reshape(4, 4, 3, 3)  # output plane, input plane, k, k
    second_layer.weight[0, 0, 0, 0, 0] += 1  # a weight of plane A
    changed = (second_layer.expanded_weight().reshape(4, 4, 3, 3) != before).sum(dim=(2, 3))
print(changed)  # for each of the sixteen pictures, how many of its weights
assert torch.equal(changed, torch.eye(4, dtype=torch.int64))

# %% [markdown]
# ## 2.4 A layer that is equivariant and still wrong
#
# Every step of *twist and shift* can go wrong. Here are three layers, each with one mistake in the copies.
#
# - `TwistOnly` forgets to move the planes.
# - `ShiftOnly` forgets to turn them.
# - `AngleOnly` was written by a careful colleague: "Plane h of the input and plane g of the output are some angle apart,
#   0, 90 or 180 degrees. That angle decides which plane of the filter links them. Then I turn it."
#
# **Predict.** Which of the three does the equivariance test catch?


# %%
class TwistOnly(GroupConvolution):
    def copy(self, g):
        return self.group.transform(self.weight, g)


class ShiftOnly(GroupConvolution):
    def copy(self, g):
        return self.weight[:, :, self.group.product[self.group.inverse[g]]]


class AngleOnly(GroupConvolution):
    def copy(self, g):
        angles = [min((h - g) % 4, (g - h) % 4) for h in range(4)]  # in quarter turns; C4 only
        return self.group.transform(self.weight[:, :, angles], g)


four_maps = torch.relu(Lifting(C4, 1, 2, 3, padding=1)(images))
for kind in (GroupConvolution, TwistOnly, ShiftOnly, AngleOnly):
    layer = kind(C4, 2, 3, kernel_size=3, padding=1)
    error, count, output = map_error(layer, four_maps, C4), count_parameters(layer), layer(four_maps)
    print(
        f"{kind.__name__:17} error {error:.0e}   {count} parameters   largest output {output.abs().max():.1f}"
    )
    assert (error < 1e-12) == (kind in (GroupConvolution, AngleOnly))
    assert count == 3 * 2 * 4 * 9 + 3 and output.abs().max() > 0.1

# %% [markdown]
# **Seen:** the test catches the first two. The colleague's layer is equivariant to the last digit, its output is not
# zero, and it has the right number of parameters. Would you ship it?
#
# One question is left: *does it reach all the kernels that it should?* The map from weights to expanded kernel is
# linear. So set one weight after the other to 1, write the kernels side by side, and ask for the **rank**.


# %%
def rank(layer):
    """How many independent kernels a layer can reach."""
    kernels = []
    with torch.no_grad():
        for i in range(layer.weight.numel()):
            layer.weight.zero_()
            layer.weight.view(-1)[i] = 1
            kernels.append(layer.expanded_weight().flatten())
    return int(torch.linalg.matrix_rank(torch.stack(kernels)))


kinds = (GroupConvolution, TwistOnly, ShiftOnly, AngleOnly)
ranks = {kind.__name__: rank(kind(C4, 1, 1, 3)) for kind in kinds}
print(ranks, "of", GroupConvolution(C4, 1, 1, 3).weight.numel())
assert ranks["GroupConvolution"] == 36 and ranks["AngleOnly"] == 27

# %% [markdown]
# **Seen:** the right layer reaches 36 dimensions, the colleague's only 27. Every fourth one is missing. 90 degrees to
# the left and 90 degrees to the right were given the same filter plane, and one plane of the weights is never used.
#
# What does that cost? Light up one pixel in the plane to the left of g, or in the plane to the right of g. The
# colleague's output in plane g is the same: the layer cannot tell *left* from *right*, however long it is trained.

# %%
right_layer, colleagues = GroupConvolution(C4, 1, 1, 3, padding=1), AngleOnly(C4, 1, 1, 3, padding=1)
to_the_left, to_the_right = torch.zeros(2, 1, 1, 4, 5, 5)
to_the_left[0, 0, 1, 2, 2] = 1  # plane r90
to_the_right[0, 0, 3, 2, 2] = 1  # plane r270

assert torch.equal(colleagues(to_the_left)[:, :, 0], colleagues(to_the_right)[:, :, 0])
assert not torch.allclose(right_layer(to_the_left)[:, :, 0], right_layer(to_the_right)[:, :, 0])

lines = []
for layer, text in ((right_layer, "the right layer"), (colleagues, "the colleague's layer")):
    outputs = [layer(pixel)[0, 0, 0].detach() for pixel in (to_the_left, to_the_right)]  # output plane e
    captions = ("pixel in r90", "pixel in r270")
    drawn = [picture(plane, c, True, side=120) for plane, c in zip(outputs, captions, strict=True)]
    lines.append(row(drawn, f"Output plane e of {text}"))
HTML("".join(lines))

# %% [markdown]
# ### How many should it be?
#
# Notebook 1 knows. An expanded kernel has a number for each output plane g, input plane h and pixel p. Equivariance
# says that the number at (ag, ah, a·p) is the number at (g, h, p). So the free numbers are the **orbits** of these
# triples.
#
# **Predict.** How many orbits do the triples have under $C_4$, with 3 x 3 pixels? Under $D_4$?

# %%
for group in (C4, D4):
    element, pixel = GSet.regular(group), GSet.grid(group, 3)
    isotropic_filters, lifting_filters = len(pixel.orbits), len(element.times(pixel).orbits)
    group_filters = len(element.times(element).times(pixel).orbits)
    print(f"{group.name}: isotropic {isotropic_filters}, lifting {lifting_filters}, group {group_filters}")
    assert rank(Lifting(group, 1, 1, 3)) == rank(layers.LiftingConv2d(group, 1, 1, 3)) == lifting_filters
    assert rank(GroupConvolution(group, 1, 1, 3)) == rank(layers.GroupConv2d(group, 1, 1, 3)) == group_filters

# %% [markdown]
# **Seen:** 3 for one isotropic filter, 9 for lifting, 36 or 72 for a group convolution. Lifting loses nothing: all nine
# weights are free. We call this rule **E2**: *equivariance alone does not prove a layer right.* The test of a
# convolution has four parts: the output is more than its bias, it is equivariant, the parameters are counted, **and the
# rank is full**. As code:


# %%
def fault(layer, maps, orbits):
    """The first of the four tests that a layer fails, or nothing. orbits: of the triples, for a pair of channels."""
    randomise(layer)
    wanted = layer.weight.shape[0] * layer.weight.shape[1] * orbits
    if torch.equal(layer(maps), layer(0 * maps)):
        return "the output is nothing but its bias"
    if map_error(layer, maps, layer.group) > 1e-12:
        return "not equivariant"
    if layer.weight.numel() != wanted:
        return f"{layer.weight.numel()} weights instead of {wanted}"
    if rank(layer) != wanted:
        return f"rank {rank(layer)} instead of {wanted}"
    return ""


faults = {kind.__name__: fault(kind(C4, 2, 3, 3, padding=1), four_maps, orbits=36) for kind in kinds}
for name, found in faults.items():
    print(f"{name:17}", found or "passes all four")
assert list(faults.values()) == ["", "not equivariant", "not equivariant", "rank 162 instead of 216"]
assert not fault(GroupConvolution(D4, 2, 1, 3, padding=1), maps[:, :2], orbits=72)

# %% [markdown]
# ## 2.5 Normalisation
#
# Pointwise functions such as ReLU do not care where a number stands. Batch norm does: it has a mean and a variance for
# each plane. On C|G| planes, the obvious `nn.BatchNorm2d` has |G| of them for each channel.
#
# **Predict.** Its running mean and variance have seen upright digits. Its scales and shifts are still 1 and 0. The whole
# batch is turned by one g. Is it equivariant in training mode? In evaluation mode?

# %%
plane_norm = nn.BatchNorm2d(2 * 4)


def norm_each_plane(maps):
    return plane_norm(maps.flatten(1, 2)).unflatten(1, (2, 4))


lift = Lifting(C4, 1, 2, 3, padding=1)
with torch.no_grad():
    for batch in data.train.images[:640].double().split(64):
        norm_each_plane(torch.relu(lift(batch)))  # the running mean and variance learn


def error_in_its_mode(layer, maps, group, g):
    """The error under g, one element or one for each image. The library's function tests in evaluation mode alone."""
    with torch.no_grad():
        expected = group.transform_maps(layer(maps), g)
        return ((layer(group.transform_maps(maps, g)) - expected).norm() / expected.norm()).item()


training_error = max(error_in_its_mode(norm_each_plane, four_maps, C4, g) for g in C4.elements)
plane_norm.eval()
evaluation_error = max(error_in_its_mode(norm_each_plane, four_maps, C4, g) for g in C4.elements)
print(f"training mode {training_error:.0e}, evaluation mode {evaluation_error:.0e}")
assert training_error < 1e-12 < 1e-3 < evaluation_error

# %% [markdown]
# **Seen:** a trap. In training mode the whole batch was turned, so each plane took its statistics along, and the error
# is zero. In evaluation mode the statistics stay in their places, and the planes move. A test in one mode proves
# nothing about the other.
#
# **Predict.** Even training mode was lucky, twice. What if each image is turned by its *own* g? And what if an optimiser
# has moved the scales and shifts, of which each plane has its own?


# %%
own = torch.arange(len(four_maps)) % 4  # image i is turned by element i mod 4
plane_norm.train()
own_error = error_in_its_mode(norm_each_plane, four_maps, C4, own)
randomise(plane_norm)
moved_error = max(error_in_its_mode(norm_each_plane, four_maps, C4, g) for g in C4.elements)
print(f"training mode: own turns {own_error:.2f}, other scales and shifts {moved_error:.2f}")
assert min(own_error, moved_error) > 1e-2

# %% [markdown]
# **Seen:** as soon as an optimiser has moved the scales and shifts, or each image turns by its own g, training mode fails
# too.
#
# The cure: one mean, one variance, one scale and one shift for all |G| maps of a channel. Glue those maps together into
# one tall picture, and the ordinary batch norm does the rest.


# %%
class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm of regular maps (B, C, |G|, H, W), with statistics for each channel over (B, |G|, H, W)."""

    def forward(self, maps):
        tall = maps.flatten(2, 3)  # (B, C, |G|H, W)
        return super().forward(tall).reshape(maps.shape)


norm, library_norm = SharedBatchNorm(2), layers.GroupBatchNorm2d(C4, 2)
for mode in (True, False):
    for layer in (norm, library_norm):
        layer.train(mode)
    assert same_function(norm, library_norm, four_maps)  # with random scales and shifts
    assert max(error_in_its_mode(norm, four_maps, C4, g) for g in (*C4.elements, own)) < 1e-12
print("shared statistics: equivariant in both modes, under own turns too, and the library's function")

# %% [markdown]
# ## 2.6 The exactness lab
#
# So far every layer had stride 1. Networks also make their maps smaller, with a stride of 2 or more. Is that harmless?
#
# The lab shows a square image (yellow) with zeros around it. The blue frame is the first window, **dots** are the
# centres of all windows. On the right the image has been turned: **rings** are where the turn has moved the dots.
# The error is measured: a convolution with random weights really runs on noise.
#
# **Predict.** size 16, kernel 3, stride 2, padding 1 is the most common way to halve a map. Exact or not? Then play:
# change one slider at a time, and look for the settings that turn green.

# %%
lab = ExactnessLab(size=16, kernel_size=3, stride=2, padding=1, rule=False)
lab

# %% [markdown]
# Not exact! And it is not off by a little: the error is above 100 %, larger than the result itself. No ring has a dot.
#
# One setting at a time will not show the rule. Let us measure *all* settings, 792 of them, and look at them together:
# a row for each size, a column for each kernel. **Predict** the pattern for stride 3, then move the slider.


# %%
def turn_error(size, kernel, stride, padding):
    """The error of a strided lifting layer when noise is turned by 90 degrees."""
    layer, x = Lifting(C4, 1, 1, kernel, stride, padding), noise(1, 1, size, size)
    return equivariance_error(layer, x, C4, transform_outputs=C4.transform_maps)[1].item()


cases = [(S, k, s, p) for S in range(6, 17) for k in range(1, 7) for s in range(1, 5) for p in range(3)]
exact = {case: turn_error(*case) < 1e-9 for case in cases}


GREEN, ORANGE = "background:#00704f;color:white", "background:#f0c9a8;color:#333"


def verdicts(stride, padding):
    def cell(size, kernel):
        mark, style = ("exact", GREEN) if exact[size, kernel, stride, padding] else ("off", ORANGE)
        return f'<td style="{style};padding:2px 12px;text-align:center">{mark}</td>'

    head = "".join(f"<th>&nbsp;kernel {k}</th>" for k in range(1, 7))
    lines = [f"<tr><th>size {S}</th>{''.join(cell(S, k) for k in range(1, 7))}</tr>" for S in range(6, 17)]
    return f"<table><tr><th></th>{head}</tr>{''.join(lines)}</table>"


ByHand(verdicts, stride=range(1, 5), padding=range(3), start={"stride": 2, "padding": 1})

# %% [markdown]
# **Seen:** stride 1 is all green. Stride 2 is a chess board. Stride 3 has diagonal stripes, one green in three. Changing
# the padding moves the stripes sideways, or not at all.
#
# **Predict.** Which number stays the same along a stripe? Write your rule. The first guess, `s == 1`, is too careful. Try
# until no case is wrong.


# %%
def my_rule(S, k, s, p):
    """True where a layer with size S, kernel k, stride s and padding p is exact, by my rule."""
    # BEGIN SOLUTION
    # GAP: return s == 1
    return (S + 2 * p - k) % s == 0
    # END SOLUTION


wrong = [case for case in cases if my_rule(*case) != exact[case]]
print(f"my rule is wrong in {len(wrong)} of {len(cases)} cases; (S, k, s, p) of the first: {wrong[:4]}")

# %% tags=["solution-only"]
assert not wrong

# %% [markdown]
# When you are done, compare your rule with some others.

# %%
rules = {
    "the size is odd": lambda S, k, s, p: S % 2 == 1,
    "size and kernel are both odd or both even": lambda S, k, s, p: (S - k) % 2 == 0,
    "s divides S": lambda S, k, s, p: S % s == 0,
    "s divides S - k": lambda S, k, s, p: (S - k) % s == 0,
    "s divides S + 2p - k": lambda S, k, s, p: (S + 2 * p - k) % s == 0,
}
mistakes = {text: sum(rule(*case) != exact[case] for case in cases) for text, rule in rules.items()}
for text, count in mistakes.items():
    print(f"{text:42} wrong in {count:3} of {len(cases)} cases")

assert len(cases) == 792
assert [text for text, count in mistakes.items() if count == 0] == ["s divides S + 2p - k"]

# %% [markdown]
# This is rule **E1**: *a window of side k with stride s on a square of side S with padding p commutes with quarter turns
# exactly if s divides S + 2p - k.*
#
# Why? The first window stands at the left border. The windows step by s. If S + 2p - k is a multiple of s, the last
# window ends at the right border. If not, some columns are left over *on the right*. Turn the image, and they are on
# top, but the layer still leaves them out on the right. In the lab below (and in the one above) that strip is hatched,
# and hatched the other way where the turn has moved it. This one knows the rule as well.

# %%
lab = ExactnessLab(size=16, kernel_size=3, stride=2, padding=1)
for size in lab.values["nearest"]:
    lab.set_state(size=size)
    assert lab.values["exact"]
for sentence in walk(lab):  # five settings, each proved
    print(sentence)
lab.set_state(size=16, kernel_size=3, stride=2, padding=1)
assert not lab.values["exact"]
lab

# %% [markdown]
# "Use odd sizes" is right for odd windows only. And every wrong layer is silent: no error, no warning. So the library
# has a function that looks at any torch network, names the layers that break the rule, and says which input sizes of
# that layer would keep it.

# %%
usual = nn.Sequential(
    nn.Conv2d(3, 16, kernel_size=3, stride=2, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),
)
mended = nn.Sequential(
    nn.Conv2d(3, 16, kernel_size=4, stride=2, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, kernel_size=4, stride=2, padding=1),
)
print("usual: ", layers.exactness_violations(usual, 32))
print("mended:", layers.exactness_violations(mended, 32))
assert list(layers.exactness_violations(usual, 32)) == ["0", "3"]
assert not layers.exactness_violations(mended, 32)

# %% [markdown]
# ## 2.7 Pooling
#
# Two kinds. Over the **grid**: halve the maps by means. By rule E1 a window of 2 fits even sizes. For odd sizes take a
# window of 3 and a padding of 1. Over the **group**: keep the largest of the |G| maps. The result no longer remembers the
# orientation: it is *invariant* along the group axis.


# %%
class Halve(nn.Module):
    """Means over windows that fit: (B, C, |G|, S, S) -> (B, C, |G|, S/2, S/2), rounded up."""

    def forward(self, maps):
        odd = maps.shape[-1] % 2
        planes = F.avg_pool2d(maps.flatten(1, 2), 2 + odd, stride=2, padding=odd, count_include_pad=False)
        return planes.unflatten(1, maps.shape[1:3])


class PoolOverGroup(nn.Module):
    """The largest value along the group axis: (B, C, |G|, ...) -> (B, C, ...)."""

    def forward(self, maps):
        return maps.amax(dim=2)


for size in (15, 16):
    maps = noise(2, 3, 8, size, size)
    assert map_error(Halve(), maps, D4) < 1e-12
    assert same_function(Halve(), layers.HalvingPool2d(), maps)
    # after pooling over the group only the grid still turns
    pooled = equivariance_error(PoolOverGroup(), maps, D4, D4.transform_maps, D4.transform)
    assert pooled.max() < 1e-12
    assert same_function(PoolOverGroup(), layers.GroupPool(D4), maps)

# %% [markdown]
# ### Not too early
#
# **Predict.** An image with two letters. In the second image *one* of them is turned about its own centre. Which network
# sees the difference: one that pools over the group first and over the grid then, or one that does it the other way
# round?


# %%
def two_letters(g):
    parts = [letters()["F"], C4.transform(letters()["F"], g)]
    return F.pad(torch.cat(parts, dim=1), (1, 1, 5, 6))[None, None]  # (1, 1, 20, 20)


lift = Lifting(C4, 1, 8, 3, padding=1)


def group_first(x):
    return PoolOverGroup()(torch.relu(lift(x))).mean(dim=(-2, -1))


def grid_first(x):
    return PoolOverGroup()(torch.relu(lift(x)).mean(dim=(-2, -1)))


both, one_turned = two_letters(0), two_letters(1)
assert torch.allclose(group_first(both), group_first(one_turned), rtol=0, atol=1e-12)
assert not torch.allclose(grid_first(both), grid_first(one_turned))
HTML(row([picture(both[0, 0], "both upright", side=120), picture(one_turned[0, 0], "one turned", side=120)]))

# %% [markdown]
# **Seen:** pooling over the group first lets every place choose its own orientation. The features of both images are
# the same, to twelve digits: the letters stand further apart than the 3 x 3 window, so no window sees both. Pooling over
# the grid first keeps one orientation for the whole image, and sees the difference. So: **pool over the group as late as
# you can**, and in this course often not at all.
#
# ## 2.8 The network
#
# All parts are there: lift once, then norm, ReLU, halve, group convolution, and so on. At the end the mean over the grid
# gives regular features `(B, C, |G|)`.


# %%
class Network(nn.Module):
    """Images (B, C, H, W) -> regular features (B, C', |G|)."""

    def __init__(self, group, in_channels=1, channels=(8, 16, 32)):
        super().__init__()
        self.group = group
        width = channels[0]
        lifting = Lifting(group, in_channels, width, 3, padding=1, bias=False)
        stages = [lifting, SharedBatchNorm(width), nn.ReLU()]
        for wider in channels[1:]:
            convolution = GroupConvolution(group, width, wider, 3, padding=1, bias=False)
            stages += [Halve(), convolution, SharedBatchNorm(wider), nn.ReLU()]
            width = wider
        self.stages = nn.Sequential(*stages)

    def feature_maps(self, x):
        return self.stages(x)

    def forward(self, x):
        return self.feature_maps(x).mean(dim=(-2, -1))


network = Network(D4)
print(tuple(images.shape), "->", tuple(network.feature_maps(images).shape))
print(tuple(images.shape), "->", tuple(network(images).shape))

# %% [markdown]
# **Predict.** Three convolutions, random weights, double precision. How large is the equivariance error of the whole
# network, in training mode and in evaluation mode? And of an ordinary CNN, if we ask it to be invariant?

# %%
plain = GroupCNN(cyclic(1))  # the same architecture over the group with one element: an ordinary CNN
for mode in (True, False):
    network.train(mode)
    plain.train(mode)
    error = equivariance_error(network, images).max()
    plain_error = equivariance_error(plain, images, D4, transform_outputs=lambda features, g: features).max()
    print(f"{'training' if mode else 'evaluation'} mode: network {error:.0e}, ordinary CNN {plain_error:.2f}")
    assert error < 1e-12 < 1e-2 < plain_error
    assert same_function(network, GroupCNN(D4).train(mode), images)

# %% [markdown]
# **Seen:** twelve digits and more, for all eight elements, in both modes. And it *is* the library's `GroupCNN`,
# parameter for parameter. From here on we may use the library and know what is inside.
#
# ### Does it pay?
#
# Two networks with the same number of parameters learn to read **upright** digits, for four epochs and for ten. Then
# they are tested on digits in four orientations.
#
# **Predict** the eight accuracies after four epochs.


# %%
def train_and_test(encoder, epochs):
    """Train on upright digits; returns the accuracy on test digits that are turned by 0, 90, 180 and 270 degrees."""
    encoder = encoder.float()  # training needs no double precision
    known, unseen = (part.images.float() for part in (data.train, data.test))
    head = nn.Linear(encoder.out_channels, 10, dtype=torch.float32)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.02)
    steps = 21 * epochs  # 21 batches an epoch
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    generator = torch.Generator().manual_seed(SEED)
    for _ in range(epochs):
        for batch in torch.randperm(len(known), generator=generator).split(64):
            logits = head(encoder(known[batch]).amax(dim=2))  # pooled over the group: invariant
            optimizer.zero_grad()
            F.cross_entropy(logits, data.train.labels[batch]).backward()
            optimizer.step()
            schedule.step()
    encoder.eval()
    with torch.no_grad():
        logits = [head(encoder(C4.transform(unseen, g)).amax(dim=2)) for g in C4.elements]
    return [(answer.argmax(dim=1) == data.test.labels).double().mean().item() for answer in logits]


lead = {}
for epochs in (4, 10):
    torch.manual_seed(SEED)  # the same first weights
    turning = GroupCNN(C4, channels=(8, 16, 16))
    ordinary = matched_cnn(turning)  # C1, wider: about as many parameters
    print(f"{count_parameters(turning)} and {count_parameters(ordinary)} parameters, {epochs} epochs")
    accuracy = {
        "C4 network": train_and_test(turning, epochs),
        "ordinary CNN": train_and_test(ordinary, epochs),
    }
    for name, values in accuracy.items():
        print(f"{name:13}", "  ".join(f"{value:.3f}" for value in values))
    assert max(accuracy["C4 network"]) - min(accuracy["C4 network"]) < 0.01
    assert max(accuracy["ordinary CNN"][1:]) < 0.6 < min(accuracy["C4 network"])
    lead[epochs] = accuracy["ordinary CNN"][0] - accuracy["C4 network"][0]

assert 0 < lead[4] > lead[10] and lead[10] < 0.04

# %% [markdown]
# **Seen:** the $C_4$ network has never seen a turned digit, and its accuracy is the same in all four orientations. The
# ordinary CNN falls apart. On *upright* digits the ordinary CNN is ahead after four epochs. Most of that lead is speed:
# after ten epochs it is about one point. This small experiment with one seed shows what the architecture
# guarantees. It does not show which network is best.
#
# ## What we can now do, and what not yet
#
# We can build exactly equivariant networks for $C_4$ and $D_4$ and prove each convolution right, with four tests instead
# of one. We cannot yet say what happens *between* the quarter turns (notebook 3), nor use finer groups such as $C_8$
# (notebook 4). And we have not yet asked what such a network should *learn*: that is the rest of the course.
#
# ## Exercises
#
# ### 1 · Turn the slider
#
# Three layers in a row, each with kernel 3, stride 2 and padding 1. What is the smallest image size of at least 30
# pixels at which all three are exact? Use the exactness lab: each layer's output has (S + 2p - k) / s + 1 pixels,
# rounded down.

# %%
# BEGIN SOLUTION
# GAP: size = ...
size = 33
# END SOLUTION
check("02.exact_size", size)

# %% tags=["solution-only"]
assert check("02.exact_size", size).ok

# %% [markdown]
# ### 2 · Write five lines
#
# There is a second way to lift: never turn the filter. For each g, turn the *image* back by $g^{-1}$, convolve it with
# the one filter, and turn the result by g. Write it, without bias and padding.


# %%
def lift_by_turning_images(x, kernel, group):
    """x: (B, C, H, W), kernel: (C', C, k, k) -> maps (B, C', |G|, H', W')."""
    # BEGIN SOLUTION
    maps = []
    for g in group.elements:
        turned_back = group.transform(x, int(group.inverse[g]))
        maps.append(group.transform(F.conv2d(turned_back, kernel), g))
    return torch.stack(maps, dim=2)
    # END SOLUTION


check("02.lifting", lift_by_turning_images)

# %% tags=["solution-only"]
assert check("02.lifting", lift_by_turning_images).ok

# %% [markdown]
# ### 3 · Think
#
# Which of these steps may stand between two group convolutions, on maps of 16 x 16 pixels, without breaking the
# equivariance? Name them. (Decide first. Then the check measures each of the eight.)

# %%
print("\n".join(STEPS))

# BEGIN SOLUTION
# GAP: harmless = ...  # a list of some of the names above
harmless = [
    "ReLU",
    "softmax over the group axis",
    "one bias for each channel",
    "max-pool 2 x 2, stride 2",
    "subtract the mean of each map",
]
# END SOLUTION
check("02.harmless", harmless)

# %% tags=["solution-only"]
assert check("02.harmless", harmless).ok

# %% [markdown]
# ## Where to read on
#
# - `eqssl_edu/layers/convolutions.py` and `norm_pooling.py`: the same, faster.
# - `eqssl_edu/layers/exactness.py`: rule E1 for any torch network.
# - T. Cohen and M. Welling, *Group Equivariant Convolutional Networks* (arXiv 1602.07576): where this began.
# - M. Weiler and others, *Equivariant and Coordinate Independent Convolutional Networks*: the whole theory, as a book.
# - Next: **3 · Seeing equivariance**, where the slider stops at every angle.
