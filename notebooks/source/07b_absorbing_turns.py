# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 7b · A similarity that absorbs turns
#
# After this notebook you can
#
# - write the orbit correlation of two batches, for any group, as one matrix product;
# - prove that a similarity does not change when *each* view is turned by *its own* element;
# - say why a turn that comes last then teaches nothing.
#
# **Seen before:** notebook 7; the regular representation (notebook 1b). **Time:** {minutes} minutes.

# %%
from eqssl_edu.contrastive import orbit_correlation, orbit_similarity
from eqssl_edu.exercises import check
from eqssl_edu.exercises.notebook_07 import MEASURES
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_07b as lesson

import torch

SEED = 0  # of all random numbers: change it and run again
torch.manual_seed(SEED)
C4, D4 = cyclic(4), dihedral(4)

# %% [markdown]
# ## 7b.1 All inner products at once
#
# Notebook 7 ended with a view that was turned. Its features are a table $w$ of shape `(C, |G|)`, and a turn by $g$ moves
# the columns: it gives $\rho(g)\,w$, the regular representation. The inner product with another table $z$ compares place by
# place, and takes one's own partner for a stranger. So we do not ask for one number. We try *every* turn of $w$:
#
# $$ \kappa(z, w)[g] = \langle z, \rho(g)\,w \rangle, \qquad g \in G. $$
#
# This is the **orbit correlation**, |G| numbers for each pair of views. In notebook 0b you wrote it for $C_4$, with a loop
# of four products. Now for any group, and with **one** product: the copies of $w$ are put below each other.
#
# ### Exercise 1 · One matrix product
#
# `z` has the shape `(B, C, |G|)`, `w` the shape `(B', C, |G|)`. `group.transform_features(w, g)` is $\rho(g)\,w$.


# %%
def kappa(group, z, w):
    """All inner products of z with the turned copies of w: (B, B', |G|)."""
    # BEGIN SOLUTION
    # GAP: # copies = torch.stack(...)                (|G|, B', C, |G|)
    # GAP: # products = (a matrix (B, C|G|)) @ (a matrix (C|G|, |G|B'))
    # GAP: # ... and back to (B, B', |G|)
    # GAP: ...
    copies = torch.stack([group.transform_features(w, g) for g in group.elements])
    products = z.flatten(1) @ copies.flatten(0, 1).flatten(1).T  # (B, |G|B')
    return products.unflatten(1, (group.order, len(w))).movedim(1, 2)
    # END SOLUTION


check("07.kappa", kappa)

# %% tags=["solution-only"]
assert check("07.kappa", kappa).ok

# %% [markdown]
# The library's `orbit_correlation` is the same function; from here on we use it.
#
# ## 7b.2 The bars only change places
#
# Two random tables `(5, 8)` of length 1 and the group $D_4$: the turns e, r90, r180, r270, and each after a mirror. Below,
# $z$ is moved by the element *first*, $w$ by the element *second*. A bar keeps its letter and its colour.
#
# **Predict.** What do the eight bars do with *first* = 1? Is it the same with *second* = 1? And with both?

# %%
z, w = torch.randn(2, 5, 8)
lesson.eight_bars(D4, z, w)

# %% [markdown]
# **Seen:** All eight letters are always there, each with its own value. With *first* = 1 the turns a to d move one place
# down, and the mirrors e to h as well. With *second* = 1 the turns move up, and the mirrors still down. With both equal to
# 2 every letter is where it was.
#
# In a commutative group, the second move would undo the first one for every bar. $D_4$ does not commute; only the half turn
# commutes with everything.

# %% tags=["fold"]
# Holds: All eight letters are always there, each with its own value.
# Holds: With *first* = 1 the turns a to d move one place down, and the mirrors e to h as well.
# Holds: With *second* = 1 the turns move up, and the mirrors still down.
# Holds: With both equal to 2 every letter is where it was.
stands = {(a, b): lesson.origins(D4, z, w, a, b) for a in D4.elements for b in D4.elements}
assert all(sorted(places) == list(range(8)) for places in stands.values())
assert stands[1, 0] == [3, 0, 1, 2, 7, 4, 5, 6] and stands[0, 1] == [1, 2, 3, 0, 7, 4, 5, 6]
assert [pair for pair, places in stands.items() if places == list(range(8))] == [(0, 0), (2, 2)]

# %% [markdown]
# ### Exercise 2 · Where was it before?
#
# $\rho$ is orthogonal, $\langle \rho(a)z, x \rangle = \langle z, \rho(a^{-1})x \rangle$. So with $z$ moved by $a$ and
# $w$ by $b$
#
# $$ \langle \rho(a) z,\; \rho(g)\, \rho(b) w \rangle = \langle z,\; \rho(\,?\,)\, w \rangle . $$
#
# Which old value stands at $g$ now? Write it with the tables `group.product[g, h]` and `group.inverse[g]`.


# %%
def origin(group, g, a, b):
    """The element whose value of kappa comes to stand at g when z is moved by a and w by b."""
    # BEGIN SOLUTION
    return int(group.product[group.product[group.inverse[a], g], b])
    # END SOLUTION


check("07.origin", origin)

# %% tags=["solution-only"]
assert check("07.origin", origin).ok
assert all([origin(D4, g, a, b) for g in range(8)] == places for (a, b), places in stands.items())

# %% [markdown]
# ## 7b.3 The theorem
#
# For fixed $a$ and $b$ the map $g \mapsto a^{-1} g\, b$ is undone by $g \mapsto a\, g\, b^{-1}$. So it takes each value once:
# it **permutes** the group. That proves
#
# > **Turns permute the orbit correlation.** Every function of $\kappa$ that does not care about the order of its |G| values
# > is unchanged when each of the two inputs is transformed by its own element.
#
# The mean, the maximum, a sum of powers do not care. The *plain* similarity $\kappa[e]$ reads one fixed place. We measure the
# change, with 32 tables that are each moved by an element of their own:

# %%
z, w = torch.randn(2, 16, 5, 8, dtype=torch.float64)
a, b = torch.randint(8, (2, 16))
for kind in ("plain", "mean", "max", "soft", "power3"):
    before = orbit_similarity(D4, z, w, kind)  # (16, 16)
    after = orbit_similarity(D4, D4.transform_features(z, a), D4.transform_features(w, b), kind)
    print(f"{kind:7} changes by up to {(after - before).abs().max():.0e}")

# %% [markdown]
# **Seen:** *Plain* changes by more than 1. The others change by less than a millionth of a millionth of their largest value.
#
# Nobody has to know $a$ and $b$, and nothing was turned back: the similarity **absorbs** the turns. A contrastive loss that
# absorbs the transformation of each input was proposed by Y. Mukuta and T. Harada (arXiv 2303.04427); this construction is
# the course's own. (Elsewhere "invariant contrastive learning" mostly means that the *features* become invariant. Here the
# *loss* is, and the features go on turning.)

# %% tags=["fold"]
# Holds: *Plain* changes by more than 1.
# Holds: The others change by less than a millionth of a millionth of their largest value.
for kind in ("plain", "mean", "max", "soft", "power3"):
    before = orbit_similarity(D4, z, w, kind)
    after = orbit_similarity(D4, D4.transform_features(z, a), D4.transform_features(w, b), kind)
    change = (after - before).abs().max()
    assert change > 1 if kind == "plain" else change < 1e-12 * before.abs().max()
maps = D4.product[D4.product[D4.inverse[:, None], torch.arange(8)][:, None, :], torch.arange(8)[:, None]]
assert torch.equal(
    maps.sort(dim=2).values, torch.arange(8).expand(8, 8, 8)
)  # all 64 maps, each a permutation

# %% [markdown]
# ### Exercise 3 · Think
#
# Which of these measures of two tables absorb *independent* turns of both? Some are functions of $\kappa$, some are not. Decide
# first; the check then measures all eight, under $C_4$ and under $D_4$.

# %%
print("\n".join(MEASURES))

# BEGIN SOLUTION
# GAP: absorbing = ...  # a list of some of the names above
absorbing = [
    "the second largest value of kappa",
    "the standard deviation of kappa",
    "cosine after sorting each channel along the group axis",
    "the number of values of kappa above 0",
]
# END SOLUTION
check("07.absorbing", absorbing)

# %% tags=["solution-only"]
assert check("07.absorbing", absorbing).ok

# %% [markdown]
# ## 7b.4 A last turn does nothing
#
# People turn their training images at random, so that the network sees more. What does this do here?
#
# **Predict.** The encoder is equivariant, the loss is InfoNCE with a similarity that absorbs turns, and each view is turned
# by its own element *after* all its other changes. How much does the gradient at the weights of the network change? And if
# the turn comes *before* the other changes?

# %%
lesson.change_of_gradient(SEED)

# %% [markdown]
# **Seen:** Turned last, the gradients of *mean*, *max* and *soft* change by rounding. That of *plain* changes by more than a
# hundredth. Turned first, all four change by more than a hundredth.
#
# **Why:** turning a view turns its features, *whatever the weights are*. The loss does not see it. So it is the same function of
# the weights, and has the same gradient: **a last turn does nothing**. For these losses, augmentation by turns of the group does
# not exist, and one need not pay for it. Turned *first*, a view is shifted in another direction: that is another view, not a
# turned one. (T. A. Keller, X. Suau and L. Zappella, arXiv 2211.08282, go further on this way: they compute losses in the
# features of an equivariant encoder *instead* of changing its inputs.)

# %% tags=["fold"]
# Holds: Turned last, the gradients of *mean*, *max* and *soft* change by rounding.
# Holds: That of *plain* changes by more than a hundredth.
# Holds: Turned first, all four change by more than a hundredth.
changes = lesson.change_of_gradient(SEED)
assert all(changes[kind]["turned last"] < 1e-10 for kind in ("mean", "max", "soft"))
assert changes["plain"]["turned last"] > 0.01
assert all(row["turned first"] > 0.01 for row in changes.values())

# %% [markdown]
# ## 7b.5 What it costs
#
# The plain similarities of all pairs are one matrix product too, of `(B, C|G|)` and `(C|G|, B)`. With the copies below each other
# the second matrix is |G| times wider. So $\kappa$ needs exactly |G| times as many multiplications, $B^2\,|G| \cdot C|G|$; to turn is
# only to copy. Let us count for $B = 64$, $C = 32$ and $C_4$:

# %%
counted = lesson.multiply_adds(orbit_correlation, C4, 64, 32)
print(f"{counted:,} = {64**2 * 4 * 32 * 4:,}")

# %% [markdown]
# In a training step the encoder costs so much more that this hardly shows (`benchmarks/results/contrastive_step-cpu.md`). The
# library's losses go through the pairs in parts, so that the $B^2|G|$ numbers never have to be stored.
#
# ## What we can now do, and what not yet
#
# We can absorb the turn of each view, and we know why it is exact. *Which* function of $\kappa$ shall we take? Each one forgets
# something else, and each one teaches something else. (`docs/theory.md` has the statements of this notebook, each with its
# tests.)
#
# Next: **7c · A family of similarities**.
