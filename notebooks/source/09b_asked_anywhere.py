# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 9b · Trained upright, asked anywhere
#
# After this notebook you can
#
# - read off one curve over all angles which group a network has, and say how large a wedge of examples it needs;
# - write $\kappa$ for every angle from two spectra, and say what its samples miss;
# - tell what is exact in the algebra from what is left of it on pixels, frequency by frequency.
#
# **Seen before:** notebook 9; the orbit correlation (7b). **Time:** {minutes} minutes, of which the computer needs one.

# %%
from eqssl_edu.circle import so2, turn_features
from eqssl_edu.exercises import check
from eqssl_edu.lessons import notebook_09b as lesson

import torch

SEED = 0  # of all weights, of the order of images and of the views

# %% [markdown]
# ## 9b.1 The curve draws the group
#
# We train on *upright* letters alone. The label is 0 in every step: a strange task, which a plain network solves by always saying 0. Then we ask about
# letters that were turned by any angle $\theta$. Four networks: a plain CNN, $C_4$, $C_8$ and SO(2), the last three with an arrow of type 1 that turns with the features.
#
# For the measure, one thing has to be right: 350 and 10 degrees are 20 degrees apart.
#
# ### Exercise 1 · The error at every angle
#
# `answer` gives arrows `(B, 2)` of images, `turn(images, angle)` turns all of them. The letters are upright: turned by an angle, that angle is right.


# %%
def angle_curve(answer, turn, images, degrees):
    """The mean error over the images, in degrees, when they are turned by each of these angles: (A,)."""
    # BEGIN SOLUTION
    errors = []
    for angle in degrees:
        arrows = answer(turn(images, angle))
        said = torch.atan2(arrows[:, 1], arrows[:, 0]).rad2deg()
        away = (said - angle) % 360
        errors.append(torch.minimum(away, 360 - away).mean())
    return torch.stack(errors)
    # END SOLUTION


check("09.angle_curve", angle_curve)

# %% tags=["solution-only"]
assert check("09.angle_curve", angle_curve).ok

# %% [markdown]
# **Predict.** Draw the four curves, from 0 to 360 degrees. Where does each touch its lowest value again?

# %%
live = lesson.train_upright(SEED)
live

# %%
curves = lesson.upright_curves(live, angle_curve)
lesson.show_curves(curves)

# %% [markdown]
# Thick: your runs. Thin: eight shipped ones of each network.
#
# **Seen:** The curve of $C_4$ starts again after every 90 degrees, exactly, and those of $C_8$ and SO(2) do too. The CNN is off by the angle itself, to
# 5 degrees. In every shipped run the curve of SO(2) is flat to 12 degrees; the curve of $C_4$ climbs by more than 30. In the mean of the shipped runs
# $C_8$ has the smallest error.
#
# **Why:** a network over $C_n$ with the right head knows at $\theta + 360/n$ what it knows at $\theta$. In between nothing was promised. So the curve of a network draws its
# group. (At 45 degrees $C_8$ owes its value to kernels that are steered, not turned on the grid: it is near what it is at 0, not equal.)
#
# **SO(2) does not win here.** $C_8$ has as many channels and makes smaller errors. What SO(2) claims is the *flat* curve: no angle is worse than
# another, though it saw one of them only. (Trained longer, SO(2) is ahead of $C_8$ where both saw upright letters alone, $C_8$ where both saw all angles:
# `docs/results/every-angle.md`, ten seeds.)

# %% tags=["fold"]
# Holds: The curve of $C_4$ starts again after every 90 degrees, exactly, and those of $C_8$ and SO(2) do too.
# Holds: The CNN is off by the angle itself, to 5 degrees.
# Holds: In every shipped run the curve of SO(2) is flat to 12 degrees; the curve of $C_4$ climbs by more than 30.
# Holds: In the mean of the shipped runs $C_8$ has the smallest error.
asked = torch.tensor(lesson.ASKED, dtype=torch.float64)
for group in ("C4", "C8", "SO(2)"):
    assert (curves[group] - curves[group].roll(12)).abs().max() < 0.02
assert live.stopped or (curves["CNN"] - torch.minimum(asked, 360 - asked)).abs().max() < 5
shipped = {group: lesson.shipped_curves(group, 0.01) for group in lesson.GROUPS}
climbs = {group: curve.amax(dim=1) - curve.amin(dim=1) for group, curve in shipped.items()}
assert climbs["SO(2)"].max() < 12 and climbs["C4"].min() > 30
assert min(shipped, key=lambda group: shipped[group].mean()) == "C8"

# %% [markdown]
# ## 9b.2 Narrow the wedge
#
# Over $C_n$ all angles are copies of those in a wedge of width $360/n$. So $C_4$ needs examples between -45 and 45 degrees, and then knows them all; SO(2) needs one angle.
# **Predict.** At which slider value does $C_4$ break? And the CNN?

# %%
lesson.narrow()

# %%
lesson.mean_errors()

# %% [markdown]
# **Seen:** With turns of at most 45 degrees, $C_4$ is off by less than 15 degrees over all angles; the CNN by more than 80. With upright letters alone $C_4$ is off by more than
# twice as much, and SO(2) by hardly more than before. For the CNN nothing in the table helps.

# %% tags=["fold"]
# Holds: With turns of at most 45 degrees, $C_4$ is off by less than 15 degrees over all angles; the CNN by more than 80.
# Holds: With upright letters alone $C_4$ is off by more than twice as much, and SO(2) by hardly more than before.
# Holds: For the CNN nothing in the table helps.
means = lesson.mean_errors()
assert means["C4"]["±45°"] < 15 and means["CNN"]["±45°"] > 80
assert means["C4"]["upright"] > 2 * means["C4"]["±45°"]
assert means["SO(2)"]["upright"] < 1.25 * means["SO(2)"]["±45°"]
assert min(means["CNN"].values()) > 80

# %% [markdown]
# ## 9b.3 $\kappa$ becomes a wave
#
# Two views of an image, turned by hidden angles $a$ and $b$. For a finite group $\kappa$ was a list of |G| numbers. Now there is one for every angle:
#
# $$ \kappa(\theta) = \langle z, \rho(\theta)\, w \rangle = K_0 + 2 \,\mathrm{Re} \sum_{m=1}^{L} K_m\, e^{i m \theta}, \qquad K_m = \frac1n \sum_c Z[c, m]\, \overline{W[c, m]}. $$
#
# A real wave of $L$ frequencies, known from $L + 1$ complex numbers a pair. If $z$ is turned by $a$ and $w$ by $b$, it slides by $a - b$, and that is all.
#
# ### Exercise 2 · The wave
#
# From two spectra (`torch.fft.rfft`), at any angles.


# %%
def kappa(z, w, degrees):
    """Functions z and w on the circle, (C, n) each, and angles (A,) in degrees -> kappa at each angle, (A,)."""
    # BEGIN SOLUTION
    # GAP: # the spectra, K_m, the sum: K_0 counts once, every other frequency twice
    # GAP: ...
    Z, W = torch.fft.rfft(z), torch.fft.rfft(w)
    K = (Z * W.conj()).sum(dim=0) / z.shape[1]
    phases = torch.exp(1j * torch.deg2rad(degrees)[:, None] * torch.arange(len(K)))
    parts = (K * phases).real  # (A, m)
    return parts[:, 0] + 2 * parts[:, 1:].sum(dim=1)
    # END SOLUTION


check("09.kappa", kappa)

# %% tags=["solution-only"]
assert check("09.kappa", kappa).ok

# %% [markdown]
# **Predict.** Below, *first* and *second* are the hidden turns. Which of the three maxima stay when you move them: over the four dots of $C_4$, the eight of $C_8$, the wave?

# %%
lesson.explore(live)

# %%
changes = lesson.changes_of_maxima(SEED)

# %% [markdown]
# **Seen:** Over 200 random pairs the largest value of the wave changes by rounding. The largest of eight samples changes by more than 0.02 (for features of length 1), the largest of four by more.
#
# So a similarity that looks at samples does not absorb a turn between them. The library knows: over SO(2) `InfoNCE(encoder.group, "max")` takes the maximum of the wave (samples, then Newton's method), and with
# this encoder it refuses a loss over $C_8$. How much a wave can rise between $N$ samples is known, at most $R\,(1 - \cos(\pi L / N))$ with half its range $R$ (`theory.between_samples`).

# %% tags=["fold"]
# Holds: Over 200 random pairs the largest value of the wave changes by rounding.
# Holds: The largest of eight samples changes by more than 0.02 (for features of length 1), the largest of four by more.
assert changes["SO(2)"] < 1e-12
assert 0.02 < changes["C8"] < changes["C4"]

# %% [markdown]
# Does it matter? Letters, each view turned by *any* angle; a view has to find its partner among 207. The angle between two views is read where $\kappa$ is largest.

# %%
pairs = lesson.train_pairs(SEED)
pairs

# %%
lesson.pairs_chart(lesson.own_pairs(pairs, SEED))

# %% [markdown]
# **Seen:** In the mean of the shipped runs *max* over SO(2) finds more partners than *plain* on the same network and more than *max* over $C_4$, and reads the angle to less than 15 degrees.
# *Max* over $C_8$ finds about as many, and reads the angle less well.
#
# Nobody told any network an angle. That eight samples find as many partners is no surprise: the wave of three frequencies rises little between them.

# %% tags=["fold"]
# Holds: In the mean of the shipped runs *max* over SO(2) finds more partners than *plain* on the same network and more than *max* over $C_4$, and reads
#   the angle to less than 15 degrees.
# Holds: *Max* over $C_8$ finds about as many, and reads the angle less well.
from statistics import fmean

partners = {way: fmean(lesson.shipped_pairs(*way, "partners")) for way in lesson.WAYS}
assert partners["SO(2)", "max"] > max(partners["SO(2)", "plain"], partners["C4", "max"])
assert abs(partners["SO(2)", "max"] - partners["C8", "max"]) < 0.05
degrees = {way: fmean(lesson.shipped_pairs(*way, "degrees")) for way in lesson.WAYS}
assert degrees["SO(2)", "max"] < min(15, degrees["C8", "max"])

# %% [markdown]
# ## 9b.4 Exact in the algebra, approximate on pixels
#
# `turn_features` is exact: turn random features eighteen times by 20 degrees, and they are back.

# %%
z = around = lesson.functions(4, SEED)
for _ in range(18):
    around = turn_features(so2(3), around, 20.0)
print(f"off by {(around - z).abs().max():.0e}")

# %% [markdown]
# The network is not: an image turned by 45 degrees is interpolated, and a kernel of 5 x 5 pixels is no function on the plane. How far off is it? **One number for all features misleads**: most of a feature is its mean over the
# circle, frequency 0, which does not turn at all.

# %%
errors = lesson.frequency_errors(live, SEED)
lesson.show_frequencies(errors)

# %% [markdown]
# **Seen:** In untrained networks (the median of eight), on sharp letters and on smooth ones, the error of all features together is less than that of frequency 1,
# of 2 and of 3; on smooth ones less than half. There frequency 0 has the smallest error and frequency 3 the largest. On smooth letters the frequencies 2 and 3 are carried better than on sharp ones.
#
# So report an error for each frequency that is used; an arrow of type 1 reads frequency 1 alone. (N. Gruver and others, arXiv
# 2210.02984, measure by the derivative, at angle 0.)

# %% tags=["fold"]
# Holds: In untrained networks (the median of eight), on sharp letters and on smooth ones, the error of all features together is less than that of
#   frequency 1, of 2 and of 3; on smooth ones less than half.
# Holds: There frequency 0 has the smallest error and frequency 3 the largest.
# Holds: On smooth letters the frequencies 2 and 3 are carried better than on sharp ones.
sharp, smooth, _ = errors.values()
assert (around - z).abs().max() < 1e-12
for found, part in ((sharp, 1), (smooth, 0.5)):
    assert found.total[0] < part * found.frequencies[0, 1:].min()
    assert found.frequencies[0].argmin() == 0 and found.frequencies[0].argmax() == 3
assert (smooth.frequencies[0, 2:] < sharp.frequencies[0, 2:]).all()

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can build for every angle what notebooks 5 to 8 built for four: labels, losses, similarities. All of it was *built in*. Can it be learned instead, from a loss?
#
# Next: **10 · Learned equivariance**.
