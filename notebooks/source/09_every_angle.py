# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 9 · Every angle
#
# After this notebook you can
#
# - say what a feature is if it is to turn by *any* angle, and why samples of it are enough;
# - prove that an angle must not be answered as a number, and write the loss that takes an arrow;
# - write the arrow that turns with the image, and say what its length means;
# - name the floor of an arrow that turns otherwise.
#
# **Seen before:** notebook 5 (labels that move); 4b (SO(2)) helps. **Time:** {minutes} minutes, of which the computer needs one.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.lessons import notebook_09 as lesson

import torch

SEED = 0  # of all weights, of the order of letters and of the angles

# %% [markdown]
# ## 9.1 C4 knows four angles
#
# The features of a $C_4$ network are four numbers a channel, $z[c, g]$. A quarter turn of the image moves them one place on. And a
# turn by 45 degrees? There is no place between two places. Nothing that we have says what then happens.
#
# So let a feature be a *function on the circle*, $z_c(\varphi)$ for every angle $\varphi$, and let a turn by $\theta$ shift it:
#
# $$ (\rho(\theta)\, z)(\varphi) = z(\varphi - \theta), \qquad Z[c, m] \mapsto e^{-i m \theta}\, Z[c, m]. $$
#
# $Z[c, m]$ are its Fourier coefficients. We keep the frequencies $0 \ldots L$, here $L = 3$. Then $n \ge 2 L + 1$ samples say everything:
# a tensor `(B, C, n)`, as for a finite group. But the group is another one, all rotations, SO(2). `SteerableCNN("SO(2)")` of the course
# makes such features (notebook 4c), and `turn_features` shifts them between the samples.
#
# **Predict.** Turn the letter. When will the four numbers of $C_4$ be the old ones at other places?

# %%
lesson.turn_function(SEED)

# %%
for degrees in (45.0, 90.0):
    for name in ("C4", "SO(2)"):
        share = lesson.carried_error(name, degrees, SEED)
        print(f"{name:6} at {degrees:.0f} degrees: off by {share:.1%} of what moves")

# %% [markdown]
# **Seen:** At 90 degrees both are exact to a thousandth. At 45 degrees no shift of the four numbers comes near the new ones. The
# function of SO(2) goes along, off by less than half of what moves.
#
# In the algebra that would be exact. But pixels do not turn, they are interpolated; how exact it is, frequency by frequency, is a
# question of notebook 9b.

# %% tags=["fold"]
# Holds: At 90 degrees both are exact to a thousandth.
# Holds: At 45 degrees no shift of the four numbers comes near the new ones.
# Holds: The function of SO(2) goes along, off by less than half of what moves.
off = {(name, a): lesson.carried_error(name, a, SEED) for name in ("C4", "SO(2)") for a in (45.0, 90.0)}
assert max(off["C4", 90.0], off["SO(2)", 90.0]) < 1e-3
assert off["SO(2)", 45.0] < 0.5 < off["C4", 45.0]

# %% [markdown]
# ## 9.2 The label is a circle
#
# A pretext task for all angles: turn a letter by $\alpha$, and ask by how much. What shall the network answer? The obvious answer is
# *one number*, say 203 degrees. Another one is a *vector* along $(\cos \alpha, \sin \alpha)$, of any length: an **arrow** $o$.
#
# **Both need a loss.** For an arrow we take the density of angles that it means, $p(\alpha) \propto e^{\langle o, u(\alpha) \rangle}$, due to von Mises:
# the longer the arrow, the narrower. Its negative logarithm, in nats *against the uniform density*, is
#
# $$ \ell(o, \alpha) = \log I_0(|o|) - \langle o, u(\alpha) \rangle, \qquad u(\alpha) = (\cos \alpha, \sin \alpha). $$
#
# $I_0$ is a Bessel function, the mean of $e^{|o| \cos}$ over the circle. Who knows nothing answers $o = 0$ and has 0 nats. A number
# $f$ is put onto the circle as $c \cdot u(f)$ with one learned $c$, so that both have the same loss.
#
# ### Exercise 1 · The loss of an arrow
#
# `torch.special.i0` is $I_0$; it overflows at 714. `torch.special.i0e(r)` is $I_0(r)\, e^{-r}$, and never does.


# %%
def von_mises(arrows, degrees):
    """Arrows (B, 2) and the right angles in degrees (B,) -> the loss of each, in nats against uniform: (B,)."""
    # BEGIN SOLUTION
    angle = torch.deg2rad(degrees)
    length = torch.linalg.vector_norm(arrows, dim=1)
    agreement = arrows[:, 0] * angle.cos() + arrows[:, 1] * angle.sin()
    return torch.special.i0e(length).log() + length - agreement
    # END SOLUTION


check("09.von_mises", von_mises)

# %% tags=["solution-only"]
assert check("09.von_mises", von_mises).ok

# %% [markdown]
# Your loss trains two plain CNNs, whose last layer gives one number or two. Six letters (G, P, Q, R, h, k) in 14
# typefaces; four others are for the test.
#
# **Predict.** A letter turns once around, through 360 degrees. How large is the *largest* error of the number on the way? Of the vector?

# %%
live = lesson.train_number_and_vector(von_mises, SEED)
live

# %%
lesson.follow(live)

# %%
found = lesson.worst_errors(live)

# %% [markdown]
# **Seen:** For every test letter there is an angle at which the number is wrong by 180 degrees, to a thousandth of a degree. The vector's
# error is smaller in the mean, and its worst error, in the mean over the letters, is less than two thirds of the number's.
#
# **Why:** look at the orange curve. After one turn the image is the same, and so is the number: $f(360°) = f(0°)$. The truth
# has gone up by 360. So the difference $D(\theta) = f(\theta) - \theta$ has *fallen* by 360. It is continuous, for a network is; so it
# takes every value in between, and one of them means "wrong by 180 degrees". This holds **for every image and all weights**, trained or not:
#
# > **No section.** A continuous network that answers an angle as a number is wrong by exactly 180 degrees at some angle of every image.
#
# Training can only make the fall steep. If $f$ falls by at most $K$ degrees a degree, the mean error is at least $90 / (K + 1)$ degrees. The
# circle of arrows has no seam: they come back as they went out. (Y. Zhou and others, arXiv 1812.07035, say which other rotations need
# how many numbers.)

# %% tags=["fold"]
# Holds: For every test letter there is an angle at which the number is wrong by 180 degrees, to a thousandth of a degree.
# Holds: The vector's error is smaller in the mean, and its worst error, in the mean over the letters, is less than two thirds of the
#   number's.
assert found["number"]["seam"] > 179.999
assert live.stopped or found["vector"]["mean"] < found["number"]["mean"]
assert live.stopped or found["vector"]["worst"] < 2 / 3 * found["number"]["worst"]

# %% [markdown]
# ## 9.3 An arrow that turns
#
# A plain CNN has to learn at every angle anew how its arrow points. An equivariant network need not, if its head is right. When the
# image turns by $\theta$, $Z[c, k]$ is multiplied by $e^{-i k \theta}$, its conjugate by $e^{+i k \theta}$. So
#
# $$ o_k(z) = \frac1n \sum_c a_c\, \overline{Z[c, k]}, \qquad o_k(\rho(\theta) z) = e^{i k \theta}\, o_k(z), $$
#
# for any complex weights $a_c$. This is an **arrow of type $k$**: it turns $k$ times as fast as the image. The label $\alpha$ is of type 1.
# There is no other linear head that turns so: each coefficient has its own speed.
#
# ### Exercise 2 · An arrow of type k
#
# `torch.fft.rfft` transforms the last axis, and `torch.view_as_real` makes `(B, 2)` of complex `(B,)`.


# %%
def arrow(z, weight, k):
    """Features (B, C, n), complex weights (C,) and k >= 0 -> the arrow of type k, (B, 2)."""
    # BEGIN SOLUTION
    coefficients = torch.fft.rfft(z)[..., k]  # (B, C)
    o = (weight * coefficients.conj()).sum(dim=1) / z.shape[2]
    return torch.view_as_real(o)
    # END SOLUTION


check("09.arrow", arrow)

# %% tags=["solution-only"]
assert check("09.arrow", arrow).ok

# %%
lesson.turn_arrow(arrow, SEED)

# %% [markdown]
# Nobody trained this network, and the weights are random: the arrow turns because it must.
#
# Three trainings with your arrow. The *symmetric letters* are drawn twice, the second one upside down: such a picture
# is the same after half a turn. Their angle is asked once with an arrow of type 1, and once, modulo 180 degrees, with one of type 2.
#
# **Predict.** What will the loss of the second training be, after the first step and at the end?

# %%
arrows = lesson.train_arrows(arrow, SEED)
arrows

# %%
print({name: f"{run[0]:+.5f} ... {run[-1]:+.5f}" for name, run in lesson.losses(arrows).items()})
lesson.arrow_lengths(arrow, SEED)

# %% [markdown]
# **Seen:** On symmetric letters, the loss of type 1 is 0 at every step, to a millionth of a nat. With type 2 it falls below $-1$, and so it
# does with type 1 on letters. Over $C_4$, in float64, the arrow of type 1 of a symmetric letter is 0 to rounding; over SO(2) it is
# shorter than a thousandth of the others.
#
# **Why:** if a half turn does not change $x$, it must not change $o_1$; but it turns $o_1$ around. Only $o_1 = 0$ does both. An arrow of
# type 2 turns once around meanwhile, and may be long. So: **what looks the same after $1/k$ of a turn has a label of type $k$**, an angle modulo $360/k$. With
# the wrong type there is no gradient and nothing to learn, whatever the network. (escnn makes its kernels in float32:
# hence not 0 to rounding.)

# %% tags=["fold"]
# Holds: On symmetric letters, the loss of type 1 is 0 at every step, to a millionth of a nat.
# Holds: With type 2 it falls below $-1$, and so it does with type 1 on letters.
# Holds: Over $C_4$, in float64, the arrow of type 1 of a symmetric letter is 0 to rounding; over SO(2) it is shorter than a
#   thousandth of the others.
letters, nothing, repaired = lesson.losses(arrows).values()
assert max(map(abs, nothing)) < 1e-6
assert arrows.stopped or max(min(letters), min(repaired)) < -1
lengths = lesson.arrow_lengths(arrow, SEED)["symmetric letters"]
assert lengths["C4, type 1"] < 1e-12 and lengths["SO(2), type 1"] < 1e-3

# %% [markdown]
# **The length is the confidence.** Let a letter fade into the mean of itself and its half turn, before the trained network:

# %%
lesson.fade(arrows)

# %% [markdown]
# **Seen:** At 100 % the arrow is gone, and the density is flat. No training was needed to make the network so honest.

# %% tags=["fold"]
# Holds: At 100 % the arrow is gone, and the density is flat.
# Holds: No training was needed to make the network so honest.
left = lesson.faded_lengths(arrows, SEED)  # of a trained network and of a new one
assert max(left.values()) < 1e-4

# %% [markdown]
# ## 9.4 The wrong sense of rotation
#
# A head with a wrong sign is easily written: forget the conjugate. Its arrow turns with $k = -1$, against the image. Nothing fails. $k = 0$ is an invariant head, $k = 2$ runs too fast. The label still goes with $k = 1$.
#
# What such a head has learned at one angle is off by $(k - 1)\,\theta$ at the others, and over all $\theta$ every direction is equally wrong. So over
# SO(2) **everything is lost**: the loss is at least 0 nats, for all $k \ne 1$ (over $C_n$, at least $\log \frac{n}{\gcd(n, k - 1)}$ above the right head's:
# `theory.frequency_floor`).

# %%
types = lesson.train_types(SEED)
types

# %%
lesson.show_types(arrows, types)

# %%
means = lesson.orbit_losses(arrows, types)

# %% [markdown]
# **Seen:** Type 1 falls below $-0.5$ nats on the test letters. The three others stay within 0.05 of their floor, 0. The mean loss over four copies
# a quarter turn apart is never below 0 for them, at any of the angles and for any letter.
#
# The last sentence is exact even on pixels: over four quarter turns the four errors $(k - 1)\,\theta$ cancel.
#
# Why does nobody notice? Because most images stand upright. If turns are at most $\pm a$, a wrong type can reach a mean cosine of
# $|\sin((k-1)a) / ((k-1)a)|$ between answer and truth:

# %%
lesson.show_wedges()

# %% [markdown]
# **Seen:** With turns of at most 15 degrees the wrong sense reaches a cosine of 0.955, with 45 degrees 0.637, with 90 degrees 0.
#
# A test set that is nearly upright is no test of a head. Turn it through all angles.

# %% tags=["fold"]
# Holds: Type 1 falls below $-0.5$ nats on the test letters.
# Holds: The three others stay within 0.05 of their floor, 0.
# Holds: The mean loss over four copies a quarter turn apart is never below 0 for them, at any of the angles and for any letter.
# Holds: With turns of at most 15 degrees the wrong sense reaches a cosine of 0.955, with 45 degrees 0.637, with 90 degrees 0.
from eqssl_edu.theory import wedge_cosine

right, *others = means.values()
assert arrows.stopped or right["mean"] < -0.5
assert types.stopped or max(abs(other["mean"]) for other in others) < 0.05
assert min(other["least"] for other in others) > -1e-4
assert [round(wedge_cosine(-1, a), 3) for a in (15, 45, 90)] == [0.955, 0.637, 0]

# %% [markdown]
# ## What we can now do, and what not yet
#
# We have labels for every angle and a head that obeys them, know what symmetric images do to it, and what a wrong sign costs. We have
# not used what equivariance gives for nothing: a network that was trained upright and is asked at any angle.
#
# Next: **9b · Trained upright, asked anywhere**.
