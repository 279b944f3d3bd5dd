# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 4 · Kernels that can be steered
#
# After this notebook you can
#
# - turn a kernel by *any* angle without interpolation, and say what sets the limit;
# - derive the constraint on the kernel of every equivariant layer, and find notebook 2b's layer in it;
# - solve that constraint, in code and with a pencil.
#
# **Seen before:** notebooks 1b, 2, 2b and 3b. **Time:** {minutes} minutes.

# %%
import math

from eqssl_edu.data import digits
from eqssl_edu.exercises import check
from eqssl_edu.exercises.notebook_04 import KERNELS, projected
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GroupConv2d
from eqssl_edu.lessons import notebook_04 as lesson
from eqssl_edu.lessons.notebook_04 import FIELDS
from eqssl_edu.rotate import rotate

import torch
import torch.nn.functional as F

C4 = cyclic(4)

# %% [markdown]
# ## 4.1 Turn the function, not the pixels
#
# In notebook 3b the *band limit* decided; with smooth kernels the formula was better than the picture. Here are the
# formulas that steerable networks use. A kernel is a function of the radius $r$ and the angle $\theta$ (and 0 at the centre), a wave around a ring,
#
# $$ \psi(r, \theta) = e^{-(r - 1.5)^2 / 2 \sigma^2} \cos(m \theta), \qquad \sigma = 0.6. $$
#
# We turn the *function*, $\psi(r, \theta - \alpha)$, and only then read it off at the 25 pixels: a tensor `(5, 5)`.
#
# **Predict.** How many kernels are enough for every angle $\alpha$?

# %%
lesson.two_ways()

# %% [markdown]
# **Seen:** Up to frequency 3 the kernel that is turned as a function keeps its size, to 6 %, at every angle of the slider.
# Except at the quarter turns, interpolation takes more than 7 % of it.
#
# **Why:** two kernels are enough for all angles. By the addition theorem
#
# $$ \cos(m(\theta - \alpha)) = \cos(m\alpha)\,\cos(m\theta) + \sin(m\alpha)\,\sin(m\theta), $$
#
# the turned kernel is a mixture of the cosine wave and the sine wave, with weights that depend on $\alpha$ alone. W. Freeman
# and E. Adelson (*The design and use of steerable filters*, 1991) called such kernels **steerable**. Worrall and others built networks of them (*Harmonic Networks*,
# arXiv 1612.04642).

# %% tags=["fold"]
# Holds: Up to frequency 3 the kernel that is turned as a function keeps its size, to 6 %, at every angle of the slider.
# Holds: Except at the quarter turns, interpolation takes more than 7 % of it.
for m in range(4):
    for angle in range(0, 361, 15):
        assert 0.99 < lesson.wave(m, float(angle)).norm() / lesson.wave(m).norm() < 1.06
        if angle % 90:
            assert rotate(lesson.wave(m), float(angle)).norm() < 0.93 * lesson.wave(m).norm()

# %% [markdown]
# ### Exercise 1 · Steer it
#
# Write the mixture.


# %%
def steer(cosine, sine, m, degrees):
    """The wave of frequency m turned by an angle, from its two kernels (H, W)."""
    # BEGIN SOLUTION
    angle = math.radians(degrees)
    return math.cos(m * angle) * cosine + math.sin(m * angle) * sine
    # END SOLUTION


check("04.steer", steer)

# %% tags=["solution-only"]
assert check("04.steer", steer).ok
assert (steer(lesson.wave(3), lesson.wave(3, 30.0), 3, 90) - torch.rot90(lesson.wave(3))).abs().max() < 1e-6

# %% [markdown]
# ## 4.2 The price
#
# The eight places of a 3 x 3 kernel around its centre can carry slow waves. What about fast ones?
#
# **Predict.** Which is the first frequency that cannot be steered there? Remember that steering takes two waves.

# %%
lesson.aliases()

# %% [markdown]
# **Seen:** Frequency 4 has a cosine, but its sine is zero at all eight places. From 5 on, waves look like slower ones:
# 5 like 3, 6 like 2, 7 like 1, 8 like 0.
#
# **Why:** at the places $45° \cdot j$ the waves $m$ and $8 - m$ have the same cosine, and sines of opposite sign: wave 5
# seems to turn backwards. So a steerable layer leaves fast waves out. For 3 x 3
# kernels the library escnn stops at frequency 2 unless told otherwise. That makes six kernels: the centre, one wave 0, two waves
# 1 and two waves 2. (There are nine pixels. Notebook 4c opens the limit.)

# %% tags=["fold"]
# Holds: Frequency 4 has a cosine, but its sine is zero at all eight places.
# Holds: From 5 on, waves look like slower ones: 5 like 3, 6 like 2, 7 like 1, 8 like 0.
assert [lesson.looks_like(frequency) for frequency in range(10)] == [None] * 5 + [3, 2, 1, 0, 1]
cosine, sine = lesson.two_waves(4, lesson.PLACES)
assert cosine.abs().min() > 0.9 and sine.abs().max() < 1e-5

# %% [markdown]
# ### Exercise 2 · Six kernels
#
# Which of these five can be mixed from escnn's six kernels so that less than a fifth of the norm is lost? The corners lie
# farther out, where its waves are half as strong: double them first.

# %%
for name, values in KERNELS.items():
    print(f"{name:13}", values.int().tolist())

# BEGIN SOLUTION
# GAP: within_reach = ...  # a list of names
within_reach = ["blur", "edge", "saddle"]
# END SOLUTION
check("04.within_reach", within_reach)

# %% tags=["solution-only"]
assert check("04.within_reach", within_reach).ok

# %% [markdown]
# ## 4.3 Fields: numbers, arrows, group axes
#
# How do the input and the output of a layer turn? A grey image has a number at each place, which moves: $(gf)(x) = f(g^{-1}x)$. A **field of arrows** has two numbers at
# each place, `(B, 2, H, W)`. An arrow moves *and turns*:
#
# $$ (gf)(x) = \rho(g)\, f(g^{-1} x). $$
#
# The matrices $\rho(g)$, a tensor `(|G|, d, d)`, are a **representation**: $\rho(gh) = \rho(g)\rho(h)$. For a number
# $\rho(g) = 1$ (trivial). For our group axis $\rho(g)$ is a permutation (regular). A list of representations, one for
# each channel, is a **field type**.
#
# **Predict.** Arrows that point uphill on a digit. The digit turns by 90 degrees; is it enough to move them?


# %%
def act(rho, field, g):
    """(gf)(x) = rho(g) f(g^-1 x), for a field (B, d, H, W) of C4."""
    return torch.einsum("ij,bjhw->bihw", rho[g], C4.transform(field, g))


print({name: rho[1].int().tolist() for name, rho in FIELDS.items()})  # a quarter turn
lesson.turned_arrows()

# %% [markdown]
# **Seen:** Arrows that are only moved point the wrong way after a quarter turn. Moved and turned, they are the arrows of
# the turned digit.

# %% tags=["fold"]
# Holds: Arrows that are only moved point the wrong way after a quarter turn.
# Holds: Moved and turned, they are the arrows of the turned digit.
digit = digits(8).test.images[:1]
for g in range(4):
    uphill, turned = lesson.gradient(digit), lesson.gradient(C4.transform(digit, g))
    assert (act(FIELDS["arrow"], uphill, g) - turned).abs().max() < 1e-6
    assert g == 0 or (C4.transform(uphill, g) - turned).abs().max() > 0.5

# %% [markdown]
# ## 4.4 The constraint, in three lines
#
# A layer with kernel $k$ gives $(k * f)(x) = \sum_y k(y - x)\, f(y)$; each $k(x)$ is a matrix, the tensor
# `(out, in, k, k)`. Turn its input, and put $y = gu$:
#
# $$ (k * gf)(x) = \sum_y k(y - x)\,\rho_{in}(g)\, f(g^{-1}y) = \sum_u k(gu - x)\,\rho_{in}(g)\, f(u). $$
#
# Turn its output: $\; (g(k * f))(x) = \rho_{out}(g) \sum_u k(u - g^{-1}x)\, f(u).$
#
# With $v = u - g^{-1}x$ the first holds $k(gv)\,\rho_{in}(g)$, the second $\rho_{out}(g)\,k(v)$. They agree for every $f$
# and $x$ exactly if, for all $g$ and every offset $v$ (called $x$ from here on),
#
# $$ \boxed{\; k(gx) = \rho_{out}(g)\, k(x)\, \rho_{in}(g)^{-1} \;} $$
#
# This is the **kernel constraint** of steerable CNNs (Cohen and Welling, arXiv 1612.08498). Weiler and Cesa solved it for
# every representation of the subgroups of E(2) (arXiv 1911.08251).
#
# *Our layer is its regular case.* There $\rho(g)$ sends plane $h$ to plane $gh$, so $k_{ga,\,gb}(gx) = k_{a,b}(x)$. With
# $g = a^{-1}$ this reads $k_{a,b}(x) = k_{e,\,a^{-1}b}(a^{-1}x)$: everything follows from the free kernel
# $\psi_h = k_{e,h}$, and the re-indexing by $a^{-1}b$ is the group convolution of notebook 2b.
#
# ## 4.5 Solve it by averaging
#
# Any kernel becomes a solution, if we average over the group:
#
# $$ \bar k(x) = \frac{1}{|G|} \sum_g \rho_{out}(g)\, k(g^{-1}x)\, \rho_{in}(g)^{-1}. $$
#
# (For $h$ in the group, $\rho_{out}(h)\,\bar k(x)\,\rho_{in}(h)^{-1} = \frac{1}{|G|} \sum_g \rho_{out}(hg)\, k(g^{-1}x)\,
# \rho_{in}(hg)^{-1} = \bar k(hx)$: call $hg$ again $g$.)
#
# ### Exercise 3 · Project
#
# Write it. `group.transform(kernel, g)` is $k(g^{-1}x)$.


# %%
def project(kernel, group, rho_out, rho_in):
    """The average of a kernel (out, in, k, k) over the group; rho_out (|G|, out, out), rho_in (|G|, in, in)."""
    # BEGIN SOLUTION
    total = torch.zeros_like(kernel)
    for g in group.elements:
        turned = group.transform(kernel, g)
        total += torch.einsum("ij,jkhw,kl->ilhw", rho_out[g], turned, torch.linalg.inv(rho_in[g]))
    return total / group.order
    # END SOLUTION


check("04.project", project)

# %% tags=["solution-only"]
assert check("04.project", project).ok

# %% [markdown]
# What the average leaves unchanged is what the constraint allows. (`projected` is the same function.) Here are all
# independent 3 x 3 kernels from a grey image.

# %%
print(lesson.dimensions(projected))
lesson.solutions(projected)

# %% [markdown]
# **Seen:** From group axis to group axis there are 36: the $4 \cdot 3^2$ weights that notebook 2b counted. The average leaves
# the kernels of `GroupConv2d` as they are. A convolution with an averaged kernel is equivariant; with the kernel it was
# made of, it is not.

# %% tags=["fold"]
# Holds: From group axis to group axis there are 36: the $4 \cdot 3^2$ weights that notebook 2b counted.
# Holds: The average leaves the kernels of `GroupConv2d` as they are.
# Holds: A convolution with an averaged kernel is equivariant; with the kernel it was made of, it is not.
assert lesson.dimensions(projected)["group axis -> group axis"] == 36
expanded, regular = GroupConv2d(C4, 1, 1, 3).expanded_weight().detach(), FIELDS["group axis"]
assert (projected(expanded, C4, regular, regular) - expanded).abs().max() < 1e-6
for source, target in (("number", "arrow"), ("arrow", "arrow"), ("arrow", "group axis")):
    rho_in, rho_out = FIELDS[source], FIELDS[target]
    raw = lesson.noise(rho_out.shape[1], rho_in.shape[1], 3, 3)
    field = lesson.noise(2, rho_in.shape[1], 9, 9, seed=1)
    for kernel, low, high in ((projected(raw, C4, rho_out, rho_in), 0, 1e-5), (raw, 0.1, 99)):
        turned, expected = F.conv2d(act(rho_in, field, 1), kernel), act(rho_out, F.conv2d(field, kernel), 1)
        assert low <= (turned - expected).abs().max() < high

# %% [markdown]
# ## With a pencil
#
# Solve the constraint of $C_4$ from numbers to arrows, on 3 x 3. How many free numbers are there, and what stands in the
# centre?
#
# <details><summary>A worked answer</summary>
#
# Here $\rho_{in} = 1$, so $k(gx) = \rho(g) k(x)$ with the rotation matrix $\rho(g)$. Orbit by orbit:
#
# - *Right, top, left, bottom.* Choose the arrow on the right freely: 2 numbers. The other three are the same arrow, moved
#   and turned.
# - *Four corners.* Likewise 2 numbers.
# - *Centre.* $gx = x$, so $k(0) = \rho(g) k(0)$: an arrow that a quarter turn leaves alone. Only 0 does.
#
# Together 4, as in the picture. For the regular case: two orbits with $4 \cdot 4$ free numbers
# each; in the centre a $4 \times 4$ matrix that commutes with the shifts, 4 numbers: 36.
# </details>
#
# ## What we can now do, and what not yet
#
# We can build any equivariant convolution. Which nonlinearities may follow a field of arrows?
#
# Next: **4b · What may follow: nonlinearities on fields**.
