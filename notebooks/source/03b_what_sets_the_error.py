# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 3b · What sets the error between the quarter turns
#
# After this notebook you can
#
# - turn the kernels of a layer by every angle of $C_8$, in two ways;
# - take apart by a 2 x 2 design what sets the error at 45 degrees: the band limits of picture and kernel;
# - turn regular maps back by any angle, and say what is mathematics there and what is convention.
#
# **Seen before:** notebook 3 (the masked error, the curves). **Time:** {minutes} minutes.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_03 as lesson
from eqssl_edu.rotate import rotate

import torch
from torch.nn.functional import pad

SEED = 0  # of the kernels and the noise: change it and run again
C8 = cyclic(8)
generator = torch.Generator().manual_seed(SEED)

# %% [markdown]
# ## 3b.1 Eight kernels out of one
#
# One layer by itself: no training, no ReLU, no batch norm. The lifting layer of $C_8$ needs each kernel at the eight
# angles 0, 45, ..., 315. The first way to turn it: a kernel is a small picture, and `rotate` turns pictures.
#
# ### Exercise 1 · Turn the kernels
#
# Each copy is the upright kernel, turned *once* by its own angle, `group.degrees(g)`. (Turned by 45 degrees again and
# again, it would smear.)


# %%
def turned_kernels(kernels, group):
    """Kernels (C, 1, k, k), turned as pictures by each rotation of C_n: (C, |G|, 1, k, k)."""
    # BEGIN SOLUTION
    return torch.stack([rotate(kernels, group.degrees(g)) for g in group.elements], dim=1)
    # END SOLUTION


verdict = check("03.turned_kernels", turned_kernels)
turned = turned_kernels if verdict else lesson.turned_kernels
verdict

# %% tags=["solution-only"]
assert check("03.turned_kernels", turned_kernels).ok

# %% [markdown]
# Eight kernels of 5 x 5 random numbers, turned. Look at the corners at 45 degrees.

# %%
heights = torch.randn(8, 1, 5, 5, generator=generator)
white = torch.randn(2, 1, 65, 65, generator=generator)  # two pictures: noise
lesson.show_copies(turned(heights, C8))

# %% [markdown]
# The corners are gone: a square window has no room for its own diagonal. So we give the same 25 numbers more room,
# 11 x 11 pixels with zeros around, and measure both layers at 45 degrees, on noise that is blurred by 2 pixels.

# %%
smooth_noise, roomy = lesson.blur(white, 2.0), pad(heights, [3] * 4)
[lesson.error_at_45(turned(kernels, C8), smooth_noise) for kernels in (heights, roomy)]

# %% [markdown]
# **Seen:** the error of the 5 x 5 window is above 20 %. With room for the corners it is less than 0.6 times that.
#
# From here on every window has room.

# %% tags=["fold"]
# Holds: the error of the 5 x 5 window is above 20 %.
# Holds: With room for the corners it is less than 0.6 times that.
tight, wide = (lesson.error_at_45(turned(kernels, C8), smooth_noise) for kernels in (heights, roomy))
assert tight > 0.2 and wide < 0.6 * tight

# %% [markdown]
# ## 3b.2 Two questions, four layers
#
# What about the rest? One answer comes to mind: *an interpolated kernel is another kernel.* But our kernels are random as
# well, and two suspects in one experiment convict nobody. So we change one at a time. The kernels are sums of 25 bumps,
# at the pixels $p$ of a 5 x 5 grid, with the random heights $a_p$ from above:
#
# $$ k(x) = \sum_p a_p \, e^{-|x - p|^2 / 2 \sigma^2}. $$
#
# *Random* kernels have $\sigma = 0.3$ pixels: a bump is one pixel. *Smooth* kernels have $\sigma = 1$. And there are two
# ways to turn: *as a picture*, your function; or *by formula* (one says *steered*): turn the 25 centres $p$, and read the
# new sum off at the pixels. Nothing is interpolated.
#
# **Predict** for the blurred noise: does the formula save the random kernels? Does interpolation spoil the smooth ones?

# %%
random, smooth = lesson.bumps(heights, 0.3), lesson.bumps(heights, 1.0)
layers = {
    "random, as a picture": turned(random, C8),
    "random, by formula": lesson.turned_by_formula(heights, 0.3),
    "smooth, as a picture": turned(smooth, C8),
    "smooth, by formula": lesson.turned_by_formula(heights, 1.0),
}
lesson.show_kernels(layers, white)

# %% [markdown]
# Blur the picture by hand, and change the layer. Then all of it at once:

# %%
errors = lesson.errors_by_blur(layers, white)
lesson.show_blur_curves(errors)

# %% [markdown]
# **Seen:** at a blur of 2 pixels both smooth layers are below 5 %, and both random ones above. The formula makes the
# random kernels worse, at every blur. It makes the smooth kernels better, at every blur. On noise that is not blurred
# all four are above 10 %.
#
# So interpolation alone is not the reason. **The error is set by the band limits of the picture and of the kernel.** Pixels
# cannot hold what is finer than themselves: a bump that is narrower than a pixel falls between the pixels when its centre
# turns. Only where both are smooth, the way of turning is what is left of the error. And a test of such a layer on noise
# says nothing about the layer.
#
# This is *aliasing*. A. Azulay and Y. Weiss (arXiv 1805.12177) describe it for shifts. N. Gruver and others (ICLR
# 2023, arXiv 2210.02984) link to it what networks lack in equivariance, and find it in pointwise nonlinearities too. T.
# Karras and others (arXiv 2106.12423) design a network around the band limit. The $C_8$ network of notebook 3 has smooth
# kernels that turn by formula: waves on rings (notebook 4).

# %% tags=["fold"]
# Holds: at a blur of 2 pixels both smooth layers are below 5 %, and both random ones above.
# Holds: The formula makes the random kernels worse, at every blur.
# Holds: It makes the smooth kernels better, at every blur.
# Holds: On noise that is not blurred all four are above 10 %.
random_picture, random_formula, smooth_picture, smooth_formula = errors.values()
assert max(smooth_picture[2], smooth_formula[2]) < 0.05 < min(random_picture[2], random_formula[2])
assert all(random_formula[width] > random_picture[width] for width in random_picture)
assert all(smooth_formula[width] < smooth_picture[width] for width in smooth_picture)
assert min(by_width[0] for by_width in errors.values()) > 0.1

# %% [markdown]
# ### Exercise 2 · Turn the slider
#
# In the picture that the hand moves, choose *smooth, by formula*. Which is the first *position* of the slider (in
# tenths of a pixel) at which its error is below 5 %?

# %%
# BEGIN SOLUTION
# GAP: tenths = ...
tenths = 10
# END SOLUTION
check("03.smooth_enough", tenths)

# %% tags=["solution-only"]
assert check("03.smooth_enough", tenths).ok

# %% [markdown]
# ## 3b.3 And the group axis?
#
# When the picture turns, regular maps also move along the group axis. By how many places? We try all eight, for each
# angle from 0 to 180 degrees, with the best of our layers.
#
# **Predict** what you will see at 45 degrees, and at 22.5.

# %%
lesson.show_places(layers["smooth, by formula"], smooth_noise)

# %% [markdown]
# **Seen:** at 45 degrees one place, and no other, explains the maps: its error is below 2 %, the others are above 20 %.
# At 22.5 degrees two places are equally good, and both are above 10 %.
#
# At 45 degrees the maps move by an element of the group: that is the action. At 22.5 degrees no element is this turn, so
# **there is no action on the group axis**. To take the nearest one is a convention, and here not even that decides. So an
# error between the angles of the group is an error of the convention too. (In notebook 4b every angle has its action, on
# features over SO(2).)

# %% tags=["fold"]
# Holds: at 45 degrees one place, and no other, explains the maps: its error is below 2 %, the others are above 20 %.
# Holds: At 22.5 degrees two places are equally good, and both are above 10 %.
best = layers["smooth, by formula"]
at_45, at_22 = (lesson.errors_by_place(best, smooth_noise, angle) for angle in (45.0, 22.5))
assert at_45[1] < 0.02 and min(at_45[:1] + at_45[2:]) > 0.2
assert abs(at_22[0] - at_22[1]) < 0.03 * at_22[0] and 0.1 < min(at_22[:2]) < 0.6 * min(at_22[2:])

# %% [markdown]
# ### Exercise 3 · Turn the maps back
#
# *Stabilised* in the explorer undoes a turn: the grid turns back by the angle, and the group axis moves back by the
# nearest element. Write it for maps `(B, C, |G|, H, W)`. `group.transform_features(z, g)` acts on the *last* axis of z.


# %%
def nearest(group, degrees):
    """The rotation of the group that is nearest to an angle."""
    return round(degrees * group.rotations / 360) % group.rotations


def stabilised(maps, degrees, group):
    """The maps of an image turned by `degrees`, turned back."""
    # BEGIN SOLUTION
    g = nearest(group, -degrees)
    moved_back = group.transform_features(maps.movedim(2, -1), g).movedim(-1, 2)
    return rotate(moved_back, -degrees)
    # END SOLUTION


check("03.stabilised", stabilised)

# %% tags=["solution-only"]
assert check("03.stabilised", stabilised).ok

# %% [markdown]
# ## What we can now do, and what not yet
#
# We know what to expect of a layer at any angle. Exact zeros where the group and the grid agree. An approximation where
# the group has an angle that the grid has not: as good as picture and kernel are smooth. Elsewhere nothing, not even an
# action. We cannot say yet *which* kernels turn by formula and fit $C_8$, nor follow every angle.
#
# Next: **4 · Kernels that can be steered**.
