# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 1b · Orbits and features
#
# After this notebook you can
#
# - read off the orbit and the stabiliser of a picture, and predict the size of one from the other;
# - say what a G-set is, and test whether a map between two of them is equivariant;
# - turn features as the networks of this course do, by the regular representation.
#
# **Seen before:** notebook 1. **Time:** {minutes} minutes.

# %%
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_01 as pictures
from eqssl_edu.widgets import OrbitExplorer

import torch

G = dihedral(4)
names = [G.element_name(g) for g in G.elements]

# %% [markdown]
# ## 1b.1 Orbits and stabilisers
#
# Two questions about one picture $x$:
#
# - Which pictures can it become? Their set is its **orbit**, $\{g \cdot x : g \in G\}$.
# - Which elements do *not* change it? They are its **stabiliser**, $\{g : g \cdot x = x\}$.
#
# In the explorer the buttons apply an element. The map has a place for each element, with the picture that it makes; places with
# the same number show the same picture. The green `=` marks the stabiliser.
#
# **Predict.** How large are the orbits and the stabilisers of F, A, N and O? Which rule connects the two sizes?

# %%
explorer = OrbitExplorer(G, "A")
explorer

# %% [markdown]
# **Seen:** F has eight pictures, and one element keeps it. A and N have four pictures, and two elements keep each. O has one
# picture, and all eight elements keep it.

# %% tags=["fold"]
# Holds: F has eight pictures, and one element keeps it.
# Holds: A and N have four pictures, and two elements keep each.
# Holds: O has one picture, and all eight elements keep it.
for letter, size, kept in (("F", 8, 1), ("A", 4, 2), ("N", 4, 2), ("O", 1, 8)):
    explorer.set_state(picture=letter, element=0)
    assert (len(explorer.orbit()), len(explorer.stabilizer())) == (size, kept)
explorer.set_state(picture="A", element=0)

# %% [markdown]
# Now thirty letters, sorted by their stabiliser. **Predict.** Can one of them have three elements?

# %%
pictures.letters_by_stabilizer()

# %% [markdown]
# **Seen:** No letter has a stabiliser of three elements. The sizes are 1, 2, 4 and 8.

# %% tags=["fold"]
# Holds: No letter has a stabiliser of three elements.
# Holds: The sizes are 1, 2, 4 and 8.
from eqssl_edu.data.letters import letters

sizes = set()
for letter in letters():
    explorer.set_state(picture=letter, element=0)
    sizes.add(len(explorer.stabilizer()))
assert sizes == {1, 2, 4, 8}
explorer.set_state(picture="A", element=0)

# %% [markdown]
# ### With pencil and paper
#
# Prove the **orbit-stabiliser theorem**, |orbit| x |stabiliser| = |G|. Hint: when do $g$ and $g'$ make the same picture of $x$?
#
# <details><summary>Answer</summary>
#
# $g \cdot x = g' \cdot x$ says $g^{-1}g' \cdot x = x$: the element $s = g^{-1}g'$ is in the stabiliser $S$, and $g' = gs$. So exactly
# the elements $gS = \{gs : s \in S\}$ make the picture $g \cdot x$. There are $|S|$ of them, since $gs = gs'$ gives $s = s'$. The
# group falls into one such packet for each picture of the orbit, and all packets have $|S|$ elements.
#
# </details>
#
# Such a packet $gS$ is called a **coset** of $S$. Packets of equal size fill the group, so their size divides $|G|$: three
# does not divide eight. Here are the cosets of the stabiliser of A, each with its picture.

# %%
pictures.cosets("A")

# %% [markdown]
# **Seen:** Each picture of A is made by exactly two elements.

# %% tags=["fold"]
# Holds: Each picture of A is made by exactly two elements.
assert [len(makers) for makers in explorer.values["makers"]] == [2, 2, 2, 2]

# %% [markdown]
# The letters b, d, p and q lie in one orbit. A network that is *invariant* gives them one and the same answer: it is blind to what
# tells them apart. The networks of this course keep a number for each element of the group instead, and section 1b.4 says how these
# numbers move.
#
# ## 1b.2 G-sets: labels that move
#
# Orbits never asked what a picture *is*. They need a table alone: element $g$, thing $l$, and the thing $g \cdot l$. A finite set
# $L$ with such a table is a **G-set** if it keeps two promises, $e \cdot l = l$ and $(gh) \cdot l = g \cdot (h \cdot l)$. Three of
# them:
#
# - the nine **places** of a 3 x 3 grid, row by row, which move when the image turns;
# - the **group itself**, with $g \cdot h = gh$: the regular G-set;
# - the **product** $L \times M$ of two G-sets, the pairs with $g \cdot (l, m) = (g \cdot l,\; g \cdot m)$.

# %%
places = GSet.grid(G, 3)  # places.action is a LongTensor (8, 9): row g, column l, entry g.l
pairs = places.times(GSet.regular(G))  # 9 x 8 = 72 pairs
print(places.action)

# %% [markdown]
# ### Exercise 1 · Find the orbits
#
# Write the orbits of any G-set, from its action table alone. Where in the table above is the orbit of place 5?


# %%
def orbits(action):
    """action: LongTensor (|G|, n) with action[g, l] = g.l; returns a list of lists: the labels of each orbit."""
    found = []
    for label in range(action.shape[1]):
        # BEGIN SOLUTION
        # GAP: orbit = [label, ...]  # and all other labels that some element makes of it
        orbit = action[:, label].unique().tolist()
        # END SOLUTION
        if orbit not in found:
            found.append(orbit)
    return found


check("01.orbits", orbits)

# %% tags=["solution-only"]
assert check("01.orbits", orbits).ok

# %%
pictures.coloured_orbits([places, pairs], rows=[3, 9])

# %% [markdown]
# **Seen:** The places have three orbits: four corners, four edges, and the centre. The 72 pairs, on the right a row for each place
# and a column for each element, have nine orbits of eight.

# %% tags=["fold"]
# Holds: The places have three orbits: four corners, four edges, and the centre.
# Holds: The 72 pairs, on the right a row for each place and a column for each element, have nine orbits of eight.
assert places.orbits == [(0, 2, 6, 8), (1, 3, 5, 7), (4,)]
assert pairs.size == 72 and [len(orbit) for orbit in pairs.orbits] == 9 * [8]

# %% [markdown]
# **Why:** the second entry of a pair takes every value once when $g$ runs through the group. So each orbit holds one pair
# $(l, e)$, and there are as many orbits as places. (Such orbits will be the weights of a layer.)
#
# ## 1b.3 Equivariant maps
#
# A map $f$ from one G-set to another is **equivariant** if it does not matter whether one moves first or maps first:
#
# $$ f(g \cdot l) = g \cdot f(l) \qquad \text{for all } g \text{ and } l. $$
#
# An **isomorphism** is an equivariant map that is one-to-one and onto, a **bijection**. Then the two G-sets differ in their
# names only. (A homomorphism asks the same of products; an equivariant map asks it of an action.)
#
# Example: the eight neighbours of a tile. Let $f$ step from each to the next one, counter-clockwise: from an edge (north) to a
# corner (north-west), from there to an edge (west).
#
# **Predict.** Is $f$ equivariant under the turns $C_4$? Under $D_4$?

# %%
step = torch.tensor([3, 0, 1, 5, 2, 6, 7, 4])  # north-west is 0, north is 1, ..., row by row
for group in (cyclic(4), dihedral(4)):
    around = GSet.neighbours(group)
    print(group.name, torch.equal(step[around.action], around.action[:, step]))  # f(g.l) and g.f(l)

# %% [markdown]
# **Seen:** Under $C_4$ the step is an isomorphism that carries edges to corners. Under $D_4$ none of the 24 bijections from edges to
# corners is equivariant.

# %% tags=["fold"]
# Holds: Under $C_4$ the step is an isomorphism that carries edges to corners.
# Holds: Under $D_4$ none of the 24 bijections from edges to corners is equivariant.
from itertools import permutations

turns, around = GSet.neighbours(cyclic(4)), GSet.neighbours(G)
corners, edges = map(list, around.orbits)
assert torch.equal(step[turns.action], turns.action[:, step]) and sorted(step.tolist()) == list(range(8))
assert sorted(step[edges].tolist()) == corners
for images in permutations(corners):
    f = torch.full((8,), -1)
    f[edges] = torch.tensor(images)
    assert not torch.equal(f[around.action[:, edges]], around.action[:, f[edges]])

# %% [markdown]
# **Why:** if $g$ keeps $l$, then $g \cdot f(l) = f(g \cdot l) = f(l)$, so $g$ keeps $f(l)$ as well. The upright mirror `m` keeps
# north, and it keeps no corner.
#
# ## 1b.4 The regular representation
#
# A network computes with numbers. Give each label a number and you have a vector; moving the labels moves its entries, which is a
# matrix $\rho(g)$ with a single 1 in each row and column. These matrices multiply as the elements do, $\rho(g)\,\rho(h) =
# \rho(gh)$: a homomorphism to matrices, called a **representation**.
#
# The most important one gives a number to each *element*. It is the **regular representation**. Features in this course have the
# shape `(B, C, |G|)`, and their last axis moves like this: the number that stood at $h$ goes to $gh$. In a formula,
#
# $$ (\rho(g)\,z)[h] = z[g^{-1}h]. $$
#
# ### Exercise 2 · Move the features
#
# Write it. `group.product[g, h]` is $gh$, `group.inverse[g]` is $g^{-1}$, and a tensor can be indexed by a list of places.


# %%
def regular_action(z, g, group):
    """z: features (..., |G|), g: an element; returns rho(g) z, of the same shape."""
    # BEGIN SOLUTION
    return z[..., group.product[group.inverse[g]]]
    # END SOLUTION


check("01.regular_action", regular_action)

# %% tags=["solution-only"]
assert check("01.regular_action", regular_action).ok

# %%
pictures.regular_by_hand()

# %% [markdown]
# **Predict.** Why $g^{-1}h$, and not $gh$? Drop the inverse. Who notices that this is no representation, $C_4$ or $D_4$?

# %%
for group in (cyclic(4), dihedral(4)):
    wrong = torch.stack([torch.eye(group.order)[group.product[g]] for g in group.elements])  # reads z[gh]
    print(group.name, torch.equal(wrong[:, None] @ wrong, wrong[group.product]))  # rho(g) rho(h) = rho(gh)?

# %% [markdown]
# **Seen:** $C_4$ accepts the formula without the inverse, $D_4$ does not.

# %% tags=["fold"]
# Holds: $C_4$ accepts the formula without the inverse, $D_4$ does not.
for group in (cyclic(4), dihedral(4)):
    for formula, accepted in ((group.inverse, True), (torch.arange(group.order), group == cyclic(4))):
        rho = torch.stack([torch.eye(group.order)[group.product[formula[g]]] for g in group.elements])
        assert torch.equal(rho[:, None] @ rho, rho[group.product]) == accepted

# %% [markdown]
# **Why:** reading z at $gh$ is moving it by $g^{-1}$, and inverses swap the order, $(gh)^{-1} = h^{-1}g^{-1}$. A group that commutes
# cannot notice. So **test your code on a group that does not commute**.
#
# ## 1b.5 What is inside
#
# Take four numbers $z$ on $C_4$. Their mean does not change when they move. Their alternating sum changes at most its sign. The two
# differences $z[e] - z[r180]$ and $z[r90] - z[r270]$ are mixed with each other. In a basis made of these the four matrices become:

# %%
pictures.blocks_of_c4()

# %% [markdown]
# **Seen:** In the new basis all four matrices have blocks at the same places, 1 x 1, 1 x 1 and 2 x 2. The last block of r90 turns
# the plane by 90 degrees. The rows of the new basis are the real and the imaginary parts of the discrete Fourier transform, up to
# sign and length.

# %% tags=["fold"]
# Holds: In the new basis all four matrices have blocks at the same places, 1 x 1, 1 x 1 and 2 x 2.
# Holds: The last block of r90 turns the plane by 90 degrees.
# Holds: The rows of the new basis are the real and the imaginary parts of the discrete Fourier transform, up to sign
#   and length.
C4 = cyclic(4)
rho = torch.stack([C4.transform_features(torch.eye(4), g).T for g in C4.elements])
blocks = pictures.C4_BASIS @ rho @ pictures.C4_BASIS.T
outside = torch.block_diag(torch.ones(1, 1), torch.ones(1, 1), torch.ones(2, 2)) == 0
assert blocks[:, outside].abs().max() < 1e-6
assert torch.allclose(blocks[1, 2:, 2:], torch.tensor([[0.0, -1], [1, 0]]), atol=1e-6)
wave = torch.fft.fft(torch.eye(4))  # (4, 4): row h, frequency k
parts = torch.stack([wave[:, 0].real, wave[:, 2].real, wave[:, 1].real, -wave[:, 1].imag])
assert torch.allclose(parts / parts.norm(dim=1, keepdim=True), pictures.C4_BASIS, atol=1e-6)

# %% [markdown]
# Blocks that real numbers cannot cut any further are **irreducible**. Later they become a measuring device: if all energy of a
# network's features sits in the first block, the mean, the network has forgotten the orientation.
#
# ## What we can now do, and what not yet
#
# We can turn images, labels and features, and say when a map goes along with it. We have no *network* yet that does.
#
# **To read on:** `eqssl_edu/gsets.py`; D. Knigge, *Regular Group Convolutions* (UvA Deep Learning 2 notebooks).
#
# Next: **2 · Lifting**, where these tables become weights.
