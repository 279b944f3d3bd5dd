# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 7c · A family of similarities
#
# After this notebook you can
#
# - write five similarities that absorb the turn of each view, from pooling to the maximum;
# - say of each what it cannot tell apart, and prove it for the power spectrum;
# - say on what a temperature is matched, and why random numbers are the wrong place.
#
# **Seen before:** notebook 7b ($\kappa$ and how turns permute it). **Time:** {minutes} minutes.

# %%
from eqssl_edu.contrastive import orbit_similarity
from eqssl_edu.diagnostics import matched_temperature
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_07c as lesson

import torch

# %%
SEED = 0  # of all random numbers: change it and run again
C4, C8, D4 = cyclic(4), cyclic(8), dihedral(4)
generator = torch.Generator().manual_seed(SEED)
z, w = torch.randn(2, 16, 5, 8, dtype=torch.float64, generator=generator)  # features over D4, (16, 5, 8) each

# %% [markdown]
# ## 7c.1 Which symmetric function?
#
# Turns of the views only permute the |G| values of $\kappa(z, w)[g] = \langle z, \rho(g)\,w \rangle$. So every function of
# $\kappa$ that does not care about their order absorbs all turns. Five of them:
#
# | kind | formula |
# |---|---|
# | *mean*, *power2*, *power3* | the mean over $g$ of $\kappa[g]^p$, for $p = 1, 2, 3$ |
# | *soft* | $t \log$ of the mean over $g$ of $\exp(\kappa[g] / t)$, with a temperature $t$ |
# | *max* | the largest $\kappa[g]$ |
#
# ### Exercise 1 · Five similarities


# %%
POWERS = {"mean": 1, "power2": 2, "power3": 3}


def similarity(kappa, kind, t=0.2):
    """One number for each pair, from its values of kappa (..., |G|)."""
    # BEGIN SOLUTION
    # GAP: if kind in POWERS:
    # GAP:     return ...
    # GAP: if kind == "soft":
    # GAP:     return ...
    # GAP: return ...  # max
    if kind in POWERS:
        return kappa.pow(POWERS[kind]).mean(dim=-1)
    if kind == "soft":
        return t * (kappa / t).exp().mean(dim=-1).log()
    return kappa.amax(dim=-1)  # max
    # END SOLUTION


check("07.similarity", similarity)

# %% tags=["solution-only"]
assert check("07.similarity", similarity).ok

# %% [markdown]
# The library's `orbit_similarity(group, z, w, kind)` makes $\kappa$ and then does this.
#
# **Mean is pooling**: a mean of inner products with all turned copies is an inner product of means.

# %%
pooled_z, pooled_w = z.mean(dim=2), w.mean(dim=2)  # (16, 5): the group axis is gone
(orbit_similarity(D4, z, w, "mean") - 8 * pooled_z @ pooled_w.T).abs().max()

# %% [markdown]
# **Seen:** up to rounding, *mean* is |G| times the inner product of the pooled features.
#
# Many do this with a group network: pool, then use any loss. It throws away everything but one number per channel.

# %% tags=["fold"]
# Holds: up to rounding, *mean* is |G| times the inner product of the pooled features.
assert (orbit_similarity(D4, z, w, "mean") - 8 * pooled_z @ pooled_w.T).abs().max() < 1e-12

# %% [markdown]
# ## 7c.2 What each cannot tell apart
#
# The simplest regular features: one channel, group $C_8$. Such a table `(1, 8)` can be painted as a wheel, sector 0 on the
# right, the next ones anticlockwise.

# %%
lesson.show_wheels()

# %% [markdown]
# **Predict.** Which of the five others can be turned into the first?
#
# Choose one, and turn the first by hand. The numbers are the similarities of the two, relative to what the first wheel has
# with itself. **[1.000] means: this similarity takes the one for the other.**

# %%
lesson.compare_wheels()

# %% [markdown]
# **Seen:** only *turned* can be turned into the first. *Mean* takes all wheels but the negative one for it. *Power2* takes
# the mirrored, the rephased and the negative one for it, and sees the other order. *Power3*, *soft* and *max* take only
# the turned one for it. No number moves while you turn.
#
# - *Mean* knows the mean value and nothing else.
# - *Power2* knows how strong each frequency is, the **power spectrum**, and no phases (*rephased*: one frequency shifted by 120
#   degrees).
# - *Power3* compares **triple correlations**; their Fourier transform is the bispectrum (R. Kakarala, arXiv 0902.0196). S. Sanborn
#   and N. Miolane (NeurIPS 2023, arXiv 2310.18564) pool group networks with it: of the complete polynomial invariants it has the
#   lowest degree.
# - *Max* against a fixed table is a **max filter** (J. Cahill and others, arXiv 2205.14039): a suitable bank of them tells all
#   orbits apart.

# %% tags=["fold"]
# Holds: only *turned* can be turned into the first.
# Holds: *Mean* takes all wheels but the negative one for it.
# Holds: *Power2* takes the mirrored, the rephased and the negative one for it, and sees the other order.
# Holds: *Power3*, *soft* and *max* take only the turned one for it.
# Holds: No number moves while you turn.
wheels = lesson.wheels()
first, copies = wheels["first"], [C8.transform_features(wheels["first"], g) for g in C8.elements]
of_one_orbit = {name for name, wheel in wheels.items() if any(torch.allclose(wheel, copy) for copy in copies)}
assert of_one_orbit == {"first", "turned"}
taken = {kind: set() for kind in lesson.FAMILY}
for name, wheel in wheels.items():
    for copy in copies:
        for kind, value in lesson.relative_similarities(C8, copy, wheel).items():
            assert abs(value - lesson.relative_similarities(C8, first, wheel)[kind]) < 1e-12
            if abs(value - 1) < 1e-9:
                taken[kind].add(name)
assert taken["mean"] == set(wheels) - {"negative"}
assert taken["power2"] == set(wheels) - {"other order"}
assert taken["power3"] == taken["soft"] == taken["max"] == of_one_orbit

# %% [markdown]
# ## 7c.3 The power spectrum, and all that it is blind to
#
# ### Exercise 2 · Without turning anything
#
# For $C_n$ the Fourier transform of $\kappa$ is $\hat\kappa[k] = \sum_c \hat z[c, k]\,\overline{\hat w[c, k]}$ (or its
# conjugate), and Parseval says $\sum_g \kappa[g]^2 = \frac1n \sum_k |\hat\kappa[k]|^2$. Write *power2* of one pair of tables
# `(C, n)` with `torch.fft.fft`.


# %%
def power2_by_spectrum(z, w):
    """The mean of kappa squared, for z and w of shape (C, n), group C_n."""
    # BEGIN SOLUTION
    n = z.shape[1]
    spectrum = (torch.fft.fft(z) * torch.fft.fft(w).conj()).sum(dim=0)  # (n,)
    return spectrum.abs().square().sum() / n**2
    # END SOLUTION


check("07.power2", power2_by_spectrum)

# %% tags=["solution-only"]
assert check("07.power2", power2_by_spectrum).ok

# %% [markdown]
# Now prove the blindness. Multiply $\hat z[c, k]$ by a phase $e^{i \varphi_k}$, the same for all channels: then
# $|\hat\kappa[k]|$ stays. **One phase for each frequency is lost, in common for all channels**; phases of channels relative to
# each other are not. And $-z$ is the phase 180 degrees everywhere.
#
# For $D_4$ a frequency becomes an **irreducible representation**: orthogonal matrices $\rho(g)$ that multiply as the elements do.
# There are five: four with one row, a sign for each element, and one with 2 x 2 matrices, the moves of the plane. The
# coefficients of a channel are $\hat z_c = \sum_h z[c, h]\,\rho(h)$, those of $\kappa$ are $\sum_c \hat z_c \hat w_c^T$, and
# with $d$ rows in $\rho$
#
# $$ \tfrac1{|G|} \sum_g \kappa[g]^2 = \tfrac1{|G|^2} \sum_\rho d\, \lVert \sum_c \hat z_c \hat w_c^T \rVert^2 . $$
#
# An orthogonal matrix $U_\rho$ to the left of all $\hat z_c$ changes no norm. So what is lost is **one orthogonal matrix for
# each irreducible representation**: four signs, and a turn or mirror of the plane by *any* angle. (A move by $g$ is the
# choice $U_\rho = \rho(g)$ for all five.)
#
# **Predict.** Below, $w$ is $z$ with its coefficients in the plane turned by an angle, and no others. At which angles is $w$
# one of the eight moved copies of $z$?

# %%
lesson.spectrum_by_hand(z[:1])  # five channels

# %% [markdown]
# **Seen:** *power2* says [1.000] at every angle. $w$ is a moved copy of $z$ at 0, 180 and 360 degrees only.
#
# At 180 degrees all five are those of the half turn. At 90 two of the four signs would have to change as well.

# %% tags=["fold"]
# Holds: *power2* says [1.000] at every angle.
# Holds: $w$ is a moved copy of $z$ at 0, 180 and 360 degrees only.
for degrees in range(0, 361, 15):
    other = lesson.moved_spectrum(z[:1], float(degrees))
    assert abs(lesson.relative_similarities(D4, z[:1], other)["power2"] - 1) < 1e-9
    moved = [torch.allclose(other, D4.transform_features(z[:1], g)) for g in D4.elements]
    assert any(moved) == (degrees % 180 == 0)

# %% [markdown]
# ### Can the wheel be rebuilt?
#
# A power gives a squared distance, $s(z,z) + s(w,w) - 2\,s(z,w)$. Let 40 random wheels roll downhill until theirs to the first
# wheel is zero. **Predict** what comes out for $p = 1$, 2 and 3.

# %%
found = {kind: lesson.rebuilt(kind, SEED) for kind in POWERS}
lesson.show_rebuilt(found)

# %% [markdown]
# **Seen:** half of the wheels that *mean* or *power2* accept are more than 0.3 away from the first, however one turns it.
# Each wheel that *power3* accepts is the first one, turned, up to 0.03.

# %% tags=["fold"]
# Holds: half of the wheels that *mean* or *power2* accept are more than 0.3 away from the first, however one turns it.
# Holds: Each wheel that *power3* accepts is the first one, turned, up to 0.03.
assert all(len(accepted) >= 6 for accepted, _ in found.values())
assert min(found[kind][1].median() for kind in ("mean", "power2")) > 0.3
assert found["power3"][1].max() < 0.03

# %% [markdown]
# ## 7c.4 Soft, and two shortcuts
#
# *Soft* lies between the ends of the family:

# %%
lesson.show_soft(torch.tensor([0.8, 0.1, 0.35, -0.2], dtype=torch.float64))

# %% [markdown]
# With *max* one moved copy of the partner is the positive, with *soft* all are, each as much as it fits.
#
# **Shortcut 1: max pooling.** Take the maximum of *each channel* over the group, then the cosine. One channel answers to the
# letter F, one to R, in four orientations:

# %%
lesson.compare_tables()

# %% [markdown]
# **Seen:** when the R alone is turned, *maxpool* and *mean* notice nothing, and the other four do.
#
# Each channel picks its own $g$, and the *relative* orientation of F and R is lost.

# %% tags=["fold"]
# Holds: when the R alone is turned, *maxpool* and *mean* notice nothing, and the other four do.
upright, _, alone = lesson.letter_tables().values()
said = lesson.relative_similarities(C4, upright, alone, (*lesson.FAMILY, "maxpool"))
assert {kind for kind, value in said.items() if abs(value - 1) < 1e-9} == {"mean", "maxpool"}

# %% [markdown]
# **Shortcut 2: a canonical pose.** Turn every $z$ so that its largest entry comes first; then *plain* will do.

# %%
lesson.show_jump()

# %% [markdown]
# **Seen:** the wheel changes in small steps, and so does *max*, by less than 0.01 each. *Canonical* jumps by more than 0.05
# where the largest entry changes its place.
#
# Both absorb every turn. But near a tie a canonical pose is luck, and no gradient knows about the jump.

# %% tags=["fold"]
# Holds: the wheel changes in small steps, and so does *max*, by less than 0.01 each.
# Holds: *Canonical* jumps by more than 0.05 where the largest entry changes its place.
curves = lesson.jumping()
steps = {kind: torch.tensor(values).diff().abs() for kind, values in curves.items()}
assert steps["height"].max() < 0.011 and steps["max"].max() < 0.01
jump = int(steps["canonical"].argmax())
assert steps["canonical"][jump] > 0.05
assert curves["height"][jump] < 1.001 and curves["height"][jump + 1] > 0.999  # the other sector has 1

# %% [markdown]
# ## 7c.5 The temperature is not the same temperature
#
# A loss sees $s / t$. Its scale is the **gap**, in the mean: the similarity of a feature with itself minus that with a stranger. For
# *max* a stranger may choose its best pose, for *mean* one's own other poses count: both gaps are smaller than that of *plain*. To
# **match** temperatures is to give each similarity the $t$ at which gap / t is that of *plain* at 0.2 (`matched_temperature`). But
# the gap of *which* features?
#
# **Predict.** We match on features of random numbers. Will gap / t be equal on the features of an untrained network, too?

# %%
numbers = torch.randn(300, 32, 4, dtype=torch.float64, generator=generator)
features = {"random numbers": numbers, "untrained network": lesson.untrained(SEED)}
lesson.show_gaps(features)

# %% [markdown]
# **Seen:** on random numbers all are 5. On the untrained network *mean* and the powers are at least 1.3 times as strict as *plain*.
#
# **Why:** of random numbers *mean* sees a quarter of the energy. In a network's features the part that is constant along the group
# is stronger. A comparison matched on random numbers is one of temperatures. So match on the features that a training starts
# from, and look at the whole curve over $t$: notebook 8.

# %% tags=["fold"]
# Holds: on random numbers all are 5.
# Holds: On the untrained network *mean* and the powers are at least 1.3 times as strict as *plain*.
temperatures = {
    kind: matched_temperature(C4, features["random numbers"], kind, 0.2) for kind in ("plain", *lesson.FAMILY)
}
matched, on_network = (lesson.gaps(z, temperatures) for z in features.values())
assert all(abs(value - 5) < 0.05 for value in matched.values())
assert min(on_network[kind] for kind in ("mean", "power2", "power3")) > 1.3 * on_network["plain"]

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can absorb turns in five ways, and know what each cannot tell apart. No theorem says which is best for *your* images. What
# each *teaches*, and how a training can cheat, comes next.
#
# Next: **7d · Geometry and collapse**.
