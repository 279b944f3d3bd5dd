# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 10 · Equivariance that is learned
#
# After this notebook you can
#
# - fit to any network the linear action that explains its features best, from the right pairs of images;
# - say why "equivariant to some action" says nothing;
# - say what each of four demands adds: a linear action, an orthogonal one, the group law, a known action.
#
# **Seen before:** notebooks 1b (the regular representation) and 2. **Time:** {minutes} minutes.

# %%
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import learned_action
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import notebook_10 as lesson

import torch

SEED = 0  # of all weights, batches and views
C4 = cyclic(4)

# %% [markdown]
# ## 10.1 Can it be learned?
#
# Until now equivariance was *built in*: layers that share their weights over the group. Many papers do without such layers. They
# take a plain network and add a loss, or more data, and hope that its features learn how to turn. What would it mean that they
# have? That a turn of the image moves the features in a way that one can *write down*. The simplest way is a matrix for each turn:
#
# $$ f(g x) = R_g\, f(x) \quad \text{for all images } x. $$
#
# Nobody tells us $R_g$. We fit it. The pairs matter: not only $x$ and $gx$, but $hx$ and $ghx$ for **all** $h$, both turned.
# For a turned image is an image too. And the mean is no part of what a turn does, so it goes first:
#
# $$ R_g = \mathrm{argmin}_R \sum_{x, h} \lVert \bar f(g h x) - R\, \bar f(h x) \rVert^2, \qquad \bar f = f - \mu, \quad
# \mu = \text{mean over all } x \text{ and } h. $$
#
# ### Exercise 1 · Fit the action
#
# `z` has the shape `(B, |G|, D)`: `z[:, h]` are the features of the images turned by `h`. `group.product[g]` lists $gh$ for all
# $h$. `torch.linalg.lstsq(before, after).solution` is the $X$ with the least $\lVert \text{before}\, X - \text{after} \rVert$.


# %%
def fitted_maps(group, z):
    """For each g the matrix R_g that fits all pairs f(hx), f(ghx) best: (|G|, D, D)."""
    # BEGIN SOLUTION
    # GAP: # centred = ...                           (B, |G|, D)
    # GAP: # for each g: all pairs as rows, and least squares
    # GAP: ...
    centred = z - z.mean(dim=(0, 1))
    before = centred.flatten(0, 1)
    afters = [centred[:, group.product[g]].flatten(0, 1) for g in group.elements]
    return torch.stack([torch.linalg.lstsq(before, after).solution.T for after in afters])
    # END SOLUTION


check("10.fitted_maps", fitted_maps)

# %% tags=["solution-only"]
assert check("10.fitted_maps", fitted_maps).ok

# %% [markdown]
# Two *untrained* networks with 64 numbers in a feature: a plain CNN, and one with $C_4$ built in. **Predict.** We take 32 digits.
# How well can matrices be fitted to the CNN, from the pairs $(x, gx)$ with $x$ upright alone? And from all turns?

# %%
networks = lesson.new_networks(SEED)
lesson.two_fits(networks["plain CNN"], fitted_maps)

# %% [markdown]
# **Seen:** The upright pairs are fitted up to rounding. Of all turns of the same digits these maps miss more than a quarter of what
# moves, and the group law $R_g R_h = R_{gh}$ is off by more than a quarter.
#
# **Why:** 32 pairs and 64 numbers: a matrix fits them *whatever the network is*. Only what was not asked for shows that nothing was
# found. What ties the maps to each other are the turned images:
#
# $$ \lVert (R_g R_h - R_{gh})\, f(x) \rVert \;\leq\; \lVert R_g \rVert\, \varepsilon_h(x) + \varepsilon_g(hx) +
# \varepsilon_{gh}(x), $$
#
# with $\varepsilon_g(y)$ the error at $y$. The middle one is the error at an image that is already turned. An upright fit says
# nothing of it. Small errors at *all* turns make the law small for nothing.
#
# The library's `learned_action` fits as you do, and reports on images that were not fitted. Its errors are shares of the energy
# that *moves* when an image is turned (why, is a question of 10b). First the C4 network, then the CNN; each stands beside an
# untrained copy, which here is just another untrained network.

# %%
images = digits(16).train.images[:600].double()
actions = {name: learned_action(network, images, C4) for name, network in networks.items()}
actions["C4 network"]

# %%
actions["plain CNN"]

# %% [markdown]
# **Seen:** Of the C4 network the maps miss less than a millionth of a millionth of what moves, and its law is off by less than
# that. Of the plain CNN they miss more than a tenth.
#
# The first needs no training and no luck: the maps that were found *are* the regular representation, in 64 numbers. The
# second has not learned anything yet. Notice that it does not miss everything: convolutions and pooling of an upright and of a
# turned image have much in common. An error is worth something beside that of an untrained network only.

# %% tags=["fold"]
# Holds: The upright pairs are fitted up to rounding.
# Holds: Of all turns of the same digits these maps miss more than a quarter of what moves, and the group law
#   $R_g R_h = R_{gh}$ is off by more than a quarter.
# Holds: Of the C4 network the maps miss less than a millionth of a millionth of what moves, and its law is off by less
#   than that.
# Holds: Of the plain CNN they miss more than a tenth.
first, second, _, law = lesson.two_fits(networks["plain CNN"], fitted_maps)[
    "fitted to upright digits"
].values()
assert first < 1e-12 and min(second, law) > 0.25
built_in, plain = actions["C4 network"].plain, actions["plain CNN"].plain
assert built_in.error < 1e-12 and built_in.law_largest < 1e-12 and plain.error > 0.1

# %% [markdown]
# ## 10.2 Equivariant to something
#
# Why ask for matrices? Why not for *any* action? Take the most useless $f$ that one can think of: scramble the pixels, each image
# in an order of its own, which its values decide. The values are still there, so the scrambling can be undone. And so
# there is an action on the scrambled pictures that does what a turn does to the digit.
#
# ### Exercise 2 · Any action
#
# `f` makes features of images, `back` makes the images of the features, and `turn` turns images by some $g$. Here are features
# $z = f(x)$. Write $f(gx)$.


# %%
def any_action(f, back, turn, z):
    """What the features z = f(x) become when x is turned."""
    # BEGIN SOLUTION
    return f(turn(back(z)))
    # END SOLUTION


check("10.any_action", any_action)

# %% tags=["solution-only"]
assert check("10.any_action", any_action).ok

# %%
lesson.look_up(any_action)

# %% [markdown]
# **Seen:** For every digit and every turn the action makes of the scrambled picture, bit for bit, the scrambled picture of the
# turned digit. It obeys the group law. No linear maps explain it: they miss more than nine tenths of what moves.
#
# So scrambled pixels are *equivariant*, to the action $\rho(g) = f \circ g \circ f^{-1}$. So is every $f$ that gives different
# images different features. That a network "is equivariant to some action" says that it forgets nothing, and no more. Whoever claims that equivariance was learned has
# to say: to **which kind** of action.

# %% tags=["fold"]
# Holds: For every digit and every turn the action makes of the scrambled picture, bit for bit, the scrambled picture of
#   the turned digit.
# Holds: It obeys the group law.
# Holds: No linear maps explain it: they miss more than nine tenths of what moves.
some = lesson.scramble(digits(8).test.images[:8].double())
for g in C4.elements:
    assert torch.equal(lesson.moved(some, g), lesson.scramble(C4.transform(lesson.unscramble(some), g)))
    for h in C4.elements:
        assert torch.equal(lesson.moved(lesson.moved(some, h), g), lesson.moved(some, int(C4.product[g, h])))
assert learned_action(lesson.Scrambled(), digits(8).train.images[:300].double(), C4).plain.error > 0.9

# %% [markdown]
# ## 10.3 A ladder
#
# Four demands, and a name for features that meet them:
#
# 1. **linear**: a matrix for each $g$, seen from upright images, $f(gx) = R_g f(x)$;
# 2. **orthogonal**: matrices that keep lengths and angles. Then the inner products of a batch are those of the turned batch,
#    and the other way round: this is what a loss on *Gram matrices* asks for;
# 3. **group law**: $R_g R_h = R_{gh}$. A turn by 90 degrees, twice, is the turn by 180;
# 4. **a known action**: not any matrices that obey the law, but these: $R_g = \rho(g)$, the regular representation.
#
# ### Exercise 3 · The group law
#
# `maps` has the shape `(|G|, D, D)`, `group.product[g, h]` is $gh$. How long is $R_g R_h - R_{gh}$, for all $g$ and $h$? Take the
# Frobenius norm, the root of the sum of all squares.


# %%
def law_defect(group, maps):
    """The norm of R_g R_h - R_gh for all g and h: (|G|, |G|)."""
    # BEGIN SOLUTION
    return torch.linalg.matrix_norm(maps[:, None] @ maps - maps[group.product])
    # END SOLUTION


check("10.law_defect", law_defect)

# %% tags=["solution-only"]
assert check("10.law_defect", law_defect).ok

# %% [markdown]
# Seven kinds of features, made by hand from eight random numbers $x$ for each image. Turned by $k$ they are: *scrambled*
# $P_x \rho(k) x$, with another permutation for each image; *four matrices* $S_k x$ and *four rotations* $Q_k x$, any four; *skewed*
# $S \rho(k) x$ and *hidden* $Q \rho(k) x$, the regular action in another basis, which is orthogonal or not; *regular* $\rho(k) x$;
# *still* the mean over $k$ of $\rho(k) x$.
#
# **Predict.** Which demands does each one meet?

# %%
lesson.climb(law_defect, SEED)

# %% [markdown]
# **Seen:** *Scrambled* meets none. *Four matrices* are linear and nothing else; *four rotations* are orthogonal too, and obey no law.
# *Skewed* obeys the law and is not orthogonal. *Hidden* meets all but the last, *regular* meets all. And *still* meets all.
#
# So *orthogonal* and *group law* are two demands, neither brings the other. Equal Gram matrices do not make a group, since they
# compare images of one and the same turn. A law does not make an action that you know. But all four are met by features that *do not move at all*:
# whoever counts demands counts those among the best.

# %% tags=["fold"]
# Holds: *Scrambled* meets none.
# Holds: *Four matrices* are linear and nothing else; *four rotations* are orthogonal too, and obey no law.
# Holds: *Skewed* obeys the law and is not orthogonal.
# Holds: *Hidden* meets all but the last, *regular* meets all.
# Holds: And *still* meets all.
met = {}
for name, z in lesson.kinds_of_features(SEED).items():
    values = lesson.rungs(
        z, law_defect if check("10.law_defect", law_defect) else lesson.library_law
    ).values()
    assert all(value < 1e-9 or value > 1e-3 for value in values)
    met[name] = "".join("yes " if value < 1e-9 else "no " for value in values)
assert list(met.values()) == [
    "no no no no ",
    "yes no no no ",
    "yes yes no no ",
    "yes no yes no ",
    "yes yes yes no ",
    "yes yes yes yes ",
    "yes yes yes yes ",
]

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can fit an action to any network, and test it on what was not asked for. We know that "equivariant" without saying to which kind of
# action is an empty word, and four kinds. (`docs/theory.md` has the statements.) Nothing was learned yet. Losses that
# ask for each of these demands have names, and papers.
#
# Next: **10b · What a loss buys**.
