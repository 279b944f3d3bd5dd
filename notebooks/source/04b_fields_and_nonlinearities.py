# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 4b · What may follow: nonlinearities on fields
#
# After this notebook you can
#
# - prove for which fields ReLU is allowed, and break the rule to see what happens;
# - write a nonlinearity for arrows, and one for functions on the circle;
# - read a group axis in the basis in which every turn, by any angle, is simple.
#
# **Seen before:** notebook 4. **Time:** {minutes} minutes.

# %%
import math

from eqssl_edu.diagnostics import turn_features
from eqssl_edu.exercises import check
from eqssl_edu.exercises.notebook_04 import sampled
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_04 as lesson
from eqssl_edu.lessons.notebook_04 import FIELDS
from eqssl_edu.plots import image_grid
from eqssl_edu.steerable import gspaces

import torch

C8 = cyclic(8)

# %% [markdown]
# ## 4b.1 ReLU breaks arrows
#
# Convolutions alone make a linear network. After each one stands a nonlinearity $\sigma$, and it must commute with the
# turns: $\sigma(\rho(g) v) = \rho(g)\, \sigma(v)$ for the numbers $v$ at each place. In notebook 2c that was ReLU. Does ReLU
# do for a field of arrows?
#
# **Predict.** An arrow goes through ReLU and a quarter turn, in both orders. For which directions is the result the same?

# %%
lesson.arrow_and_relu()

# %% [markdown]
# **Seen:** Only for arrows along the x-axis the two orders agree. For the others on the slider they are more than 0.2 apart.
#
# *Why, and for which fields is ReLU allowed?* Let $M = \rho(g)$ and $\mathrm{ReLU}(Mv) = M\,\mathrm{ReLU}(v)$ for all $v$ and $g$.
#
# 1. Put $v = -e_j$, the $j$-th unit vector with a minus. Then $M\,\mathrm{ReLU}(v) = 0$, so $\mathrm{ReLU}(-M_{ij}) = 0$ for
#    every $i$: no entry of $M$ is negative.
# 2. The same holds for $M^{-1} = \rho(g^{-1})$. A matrix without negative entries whose inverse has none either holds one
#    positive number in each row and column. (If row $i$ of $M$ were positive in columns $j$ and $k$, then $MM^{-1} = 1$ would
#    leave rows $j$ and $k$ of $M^{-1}$ no entry but that in column $i$: they would be dependent.)
# 3. If the matrices are orthogonal, as all of ours are, these numbers are 1: $M$ is a **permutation**.
#
# The other direction is plain: to take ReLU of each number does not care in which order they stand. So ReLU is allowed on
# permutation representations only, such as our group axis. That is what the regular field is for.

# %% tags=["fold"]
# Holds: Only for arrows along the x-axis the two orders agree.
# Holds: For the others on the slider they are more than 0.2 apart.
turn = FIELDS["arrow"][1]
for degrees in range(0, 360, 15):
    v = torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    apart = float((turn @ torch.relu(v) - torch.relu(turn @ v)).norm())
    assert apart < 1e-6 if degrees % 180 == 0 else apart > 0.2

# %% [markdown]
# ## 4b.2 What arrows allow: norms and gates
#
# No turn changes the *length* of an arrow. A **norm nonlinearity** changes the length alone (Worrall and others took this
# one in *Harmonic Networks*, arXiv 1612.04642), with a learned bias $b$ for each channel:
#
# $$ \sigma(v) = \mathrm{ReLU}(|v| - b)\, \frac{v}{|v|}. $$
#
# A **gate** takes the factor from a number field $s$ that the layer computes beside the arrows:
# $\sigma(v, s) = \mathrm{sigmoid}(s)\, v$. Both commute with a turn by any angle, since lengths and numbers do not turn. The
# price: the *direction* passes through the nonlinearity untouched.
#
# ### Exercise 1 · Write the norm nonlinearity
#
# Arrows are `(B, C, 2, H, W)`, the bias is `(C,)`. Arrows of length 0 stay 0.


# %%
def norm_relu(v, bias):
    """Arrows (B, C, 2, H, W) with the lengths ReLU(|v| - bias)."""
    # BEGIN SOLUTION
    length = v.norm(dim=2, keepdim=True)
    return v * torch.relu(length - bias[:, None, None, None]) / length.clamp(min=1e-9)
    # END SOLUTION


check("04.norm_relu", norm_relu)

# %% tags=["solution-only"]
assert check("04.norm_relu", norm_relu).ok
arrows, bias = lesson.noise(2, 3, 2, 5, 5), torch.tensor([0.5, 1.0, 1.5])
for turn in FIELDS["arrow"]:
    turned = torch.einsum("ij,bcjhw->bcihw", turn, arrows)
    expected = torch.einsum("ij,bcjhw->bcihw", turn, norm_relu(arrows, bias))
    assert (norm_relu(turned, bias) - expected).abs().max() < 1e-6

# %% tags=["fold"]
# Holds: Both commute with a turn by any angle, since lengths and numbers do not turn.
v, s, bias = lesson.noise(2, 9), lesson.noise(9, seed=1), 0.5
for degrees in (10, 90, 200):
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.tensor([[cos, -sin], [sin, cos]])
    for factor in (lambda v: torch.relu(v.norm(dim=0) - bias) / v.norm(dim=0), lambda v: torch.sigmoid(s)):
        assert ((turn @ v) * factor(turn @ v) - turn @ (v * factor(v))).abs().max() < 1e-5
    assert (torch.relu(turn @ v) - turn @ torch.relu(v)).abs().max() > 0.1

# %% [markdown]
# ## 4b.3 The group axis in another basis
#
# A quarter turn shifts the four numbers on a group axis by one place. escnn stores with each representation a change of
# basis $Q$ that makes all these shifts as simple as they can be. Here it is for the regular representation of $C_4$.
#
# **Predict.** Each column of $Q$ holds four numbers on the group axis. What do they look like, from left to right?

# %%
regular = gspaces.rot2dOnR2(4).regular_repr
Q = torch.tensor(regular.change_of_basis).float()  # (4, 4)
simple = Q.T @ FIELDS["group axis"][1] @ Q  # the quarter turn in the new basis
names = ["shift by one", "new basis Q", "shift in the new basis"]
image_grid(torch.stack([FIELDS["group axis"][1], Q, simple]), names, columns=3, signed=True)

# %% [markdown]
# **Seen:** The columns of $Q$ are the waves of the discrete Fourier transform on four places: constant, cosine, sine, and the
# one that alternates. In the new basis the shift falls apart into 1, a turn of two numbers by 90 degrees, and -1.
#
# **Why:** a shift by $\alpha$ multiplies the $m$-th Fourier coefficient by $e^{-im\alpha}$. That is notebook 4's addition
# theorem once more. So $C_4$'s new basis *is* the DFT. The smallest pieces (here the frequencies 0, 1 and 2) are the
# **irreducible** representations, and an arrow field is the piece of frequency 1.
#
# On the group axis of $C_n$ stand $n$ samples of a function $z(\theta)$ on the circle. If its frequencies stay below $n/2$,
# the samples determine it everywhere. Then *every* angle acts on them, also one that is not in $C_n$.

# %% tags=["fold"]
# Holds: The columns of $Q$ are the waves of the discrete Fourier transform on four places: constant, cosine, sine,
#   and the one that alternates.
# Holds: In the new basis the shift falls apart into 1, a turn of two numbers by 90 degrees, and -1.
waves = torch.tensor([[1.0, 1, 0, 1], [1, 0, 1, -1], [1, -1, 0, 1], [1, 0, -1, -1]])
assert torch.allclose(Q, waves / waves.norm(dim=0), atol=1e-6)
both_ways = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]])  # m and 4 - m
assert torch.equal((torch.fft.fft(waves.T).abs() > 1e-6).long(), both_ways)
pieces = torch.block_diag(torch.ones(1, 1), FIELDS["arrow"][1], -torch.ones(1, 1))
assert torch.allclose(simple, pieces, atol=1e-6)

# %% [markdown]
# ### Exercise 2 · Shift by any angle
#
# For samples `(..., n)`, `torch.fft.rfft(z)` gives the coefficients of $m = 0, 1, 2, \dots$ in a tensor `(..., n // 2 + 1)`,
# and `torch.fft.irfft(coefficients, n=n)` the samples again.


# %%
def shift(z, degrees):
    """The samples (..., n) of a function on the circle, turned by an angle."""
    # BEGIN SOLUTION
    coefficients = torch.fft.rfft(z)
    m = torch.arange(coefficients.shape[-1])
    factors = torch.exp(-1j * m * math.radians(degrees))
    return torch.fft.irfft(factors * coefficients, n=z.shape[-1])
    # END SOLUTION


check("04.shift", shift)

# %% tags=["solution-only"]
assert check("04.shift", shift).ok

# %% [markdown]
# ## 4b.4 The Fourier nonlinearity
#
# For *all* rotations, SO(2), no tensor has an axis with every angle. A feature is kept as the $2L + 1$ Fourier coefficients
# of frequencies up to $L$. ReLU of coefficients is not allowed: they are no permutation. So go back and forth (Cesa, Lang
# and Weiler, *A Program to Build E(N)-Equivariant Steerable CNNs*, 2022): the values at $n$ angles, the function at each of
# them, and back to the frequencies $0 \dots L$.
#
# ### Exercise 3 · There and back
#
# Write it for $L = 3$, whose functions we keep as 8 samples. With `norm="forward"` in every transform the coefficients do
# not depend on the number of samples. `torch.fft.irfft(c, n=n, norm="forward")` also makes more samples than there were.


# %%
def fourier(z, n, function):
    """A pointwise function, taken at n angles: samples (..., 8) of frequencies 0 .. 3 -> samples (..., 8)."""
    # BEGIN SOLUTION
    coefficients = torch.fft.rfft(z, norm="forward")[..., :4]
    values = function(torch.fft.irfft(coefficients, n=n, norm="forward"))
    cut = torch.fft.rfft(values, norm="forward")[..., :4]
    return torch.fft.irfft(cut, n=8, norm="forward")
    # END SOLUTION


check("04.fourier", fourier)

# %% tags=["solution-only"]
assert check("04.fourier", fourier).ok

# %% [markdown]
# With $n$ samples it is exact for shifts by multiples of $360° / n$. What about other angles?
#
# **Predict.** The function is the square, $z \mapsto z^2$. How many samples are enough for *every* angle, if $L = 3$?

# %%
lesson.cost_of_sampling(sampled)  # `sampled` is the function of the exercise

# %% [markdown]
# **Seen:** The error of the square is zero up to rounding from 10 samples on, and above 10 % with fewer. ReLU's error falls
# from above 20 % at 7 samples to below 1 % at 32, and is zero nowhere on the curve.
#
# **Why:** the square of frequencies up to $L$ has frequencies up to $2L$. With $n$ samples, frequency $m$ looks like $n - m$.
# The fastest, $2L$, lands outside what is kept if $n - 2L > L$: from $n = 3L + 1 = 10$ on. ReLU has a kink, and a kink has
# all frequencies. More samples mean smaller errors, and more work: that is what sampling costs.

# %% tags=["fold"]
# Holds: With $n$ samples it is exact for shifts by multiples of $360° / n$.
# Holds: The error of the square is zero up to rounding from 10 samples on, and above 10 % with fewer.
# Holds: ReLU's error falls from above 20 % at 7 samples to below 1 % at 32, and is zero nowhere on the curve.
z = sampled(lesson.noise(5, 8).double(), 8, lambda values: values)
for n in range(7, 33):
    shifted = sampled(turn_features(C8, z, 360 / n), n, torch.relu)
    assert (shifted - turn_features(C8, sampled(z, n, torch.relu), 360 / n)).abs().max() < 1e-12
    error = lesson.sampling_error(sampled, n, torch.square)
    assert error < 1e-12 if n >= 10 else error > 0.1
    assert lesson.sampling_error(sampled, n, torch.relu) > 1e-3
assert lesson.sampling_error(sampled, 7, torch.relu) > 0.2
assert lesson.sampling_error(sampled, 32, torch.relu) < 0.01

# %% [markdown]
# ## What we can now do, and what not yet
#
# We know what may stand between two steerable layers: ReLU on permutations, norms and gates on arrows, sampling on
# functions. All pieces of a network for every rotation are there. We have not yet put them together, nor trained one.
#
# ## Where to read on
#
# - M. Weiler and G. Cesa, *General E(2)-Equivariant Steerable CNNs* (arXiv 1911.08251): these nonlinearities compared.
# - Next: **4c · Networks in escnn, and all rotations**.
