# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 1 · Groups and images
#
# After this notebook you can
#
# - say in words and in code what a group is, and prove that a table is one;
# - write the Cayley table of the symmetries of the square, from pictures alone;
# - calculate with shifts and turns together, in the groups p4 and p4m.
#
# **Seen before:** tensors and indexing in PyTorch. No group theory is needed. **Time:** {minutes} minutes.
#
# Where you read *Predict*, guess before you run the next cell. A cell that shows only a line `# Holds: ...`
# would fail if that sentence were wrong. Open it if in doubt.

# %%
from eqssl_edu.data.letters import letters
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_01 as pictures

import torch

G = dihedral(4)  # the group of this notebook: all symmetries of the square
names = [G.element_name(g) for g in G.elements]
F = letters()["F"]  # (9, 9), zeros and ones

# %% [markdown]
# ## 1.1 Eight ways to put a square back
#
# You cut a square out of paper and put it back into its hole. You may turn it and flip it over. In how many
# ways does it fit?

# %%
copies = [G.transform(F, g) for g in G.elements]
pictures.side_by_side(copies, [f"{g}: {name}" for g, name in zip(G.elements, names, strict=True)])

# %% [markdown]
# **Seen:** Eight pictures of the letter F, no two of them equal. The first four are turned counter-clockwise by 0, 90,
# 180 and 270 degrees. The element `m` flips left and right. The element `r90 m` flips *first* and turns *then*.

# %% tags=["fold"]
# Holds: Eight pictures of the letter F, no two of them equal.
# Holds: The first four are turned counter-clockwise by 0, 90, 180 and 270 degrees.
# Holds: The element `m` flips left and right.
# Holds: The element `r90 m` flips *first* and turns *then*.
assert len({tuple(copy.flatten().tolist()) for copy in copies}) == len(copies) == 8
assert all(torch.equal(copies[k], torch.rot90(F, k)) for k in range(4))
assert names[4:6] == ["m", "r90 m"] and torch.equal(copies[4], F.flip(-1))
assert torch.equal(copies[5], torch.rot90(F.flip(-1)))

# %% [markdown]
# A symmetry is a number `0 .. 7` in this course. The set of all eight is called $D_4$, the first four alone are $C_4$.
#
# Number the pixels of a small image, and turn the numbers.

# %%
numbers = torch.arange(9).reshape(3, 3)
print(numbers, G.transform(numbers, 1), sep="\n\n")

# %% [markdown]
# **Seen:** Pixel 0 went to the lower left. Each of the nine numbers is still there, once.

# %% tags=["fold"]
# Holds: Pixel 0 went to the lower left.
# Holds: Each of the nine numbers is still there, once.
assert G.transform(numbers, 1)[2, 0] == 0
assert all(sorted(G.transform(numbers, g).flatten().tolist()) == list(range(9)) for g in G.elements)

# %% [markdown]
# So a symmetry of the square is a **permutation** of the pixels: it moves them and mixes none.
# Which letters can become *another* letter?

# %%
pictures.turn_a_letter()

# %% [markdown]
# **Seen:** N lies down and is a Z. M stands on its head and is a W. The letters b, d, p and q all become each other.

# %% tags=["fold"]
# Holds: N lies down and is a Z.
# Holds: M stands on its head and is a W.
# Holds: The letters b, d, p and q all become each other.
ABC = letters()
assert torch.equal(G.transform(ABC["N"], 1), ABC["Z"]) and torch.equal(G.transform(ABC["M"], 2), ABC["W"])
for one in "bdpq":
    for other in "bdpq":
        assert any(torch.equal(G.transform(ABC[one], g), ABC[other]) for g in G.elements)

# %% [markdown]
# ## 1.2 One after the other: the Cayley table
#
# Flip the F, then turn it by 90 degrees. Or turn it first, then flip it.

# %%
flip_then_turn = G.transform(G.transform(F, 4), 1)
turn_then_flip = G.transform(G.transform(F, 1), 4)
pictures.side_by_side([F, flip_then_turn, turn_then_flip], ["F", "flip, then turn", "turn, then flip"])

# %% [markdown]
# **Seen:** The two pictures differ. Both are among the eight pictures above.

# %% tags=["fold"]
# Holds: The two pictures differ.
# Holds: Both are among the eight pictures above.
assert not torch.equal(flip_then_turn, turn_then_flip)
for both in (flip_then_turn, turn_then_flip):
    assert any(torch.equal(both, copy) for copy in copies)

# %% [markdown]
# The order matters: $D_4$ does not *commute*. Two symmetries, one after the other, are again one
# symmetry. We write $gh$ for *first h, then g*, as one writes $g(h(x))$. The table with the entry $gh$ in row $g$ and column
# $h$ is the **Cayley table**, here `(8, 8)`.
#
# ### Exercise 1 · The Cayley table
#
# Find each product from pictures.


# %%
def cayley_table(group, picture):
    """A table (|G|, |G|): the entry in row g, column h is the element that does the same as first h, then g."""
    copies = [group.transform(picture, g) for g in group.elements]

    def product(g, h):
        # BEGIN SOLUTION
        # GAP: return ...  # make the picture, and find it among the copies (torch.equal)
        both = group.transform(copies[h], g)
        return next(k for k in group.elements if torch.equal(copies[k], both))
        # END SOLUTION

    return [[product(g, h) for h in group.elements] for g in group.elements]


check("01.cayley_table", cayley_table)

# %% tags=["solution-only"]
assert check("01.cayley_table", cayley_table).ok
assert cayley_table(G, F) == G.product.tolist()

# %% [markdown]
# The library calls this table `G.product`, and shows it:

# %%
G

# %% [markdown]
# **Seen:** A turn times a turn is a turn. A turn times a flip is a flip. A *flip times a flip is a turn*. Each row and each
# column holds every element once.

# %% tags=["fold"]
# Holds: A turn times a turn is a turn.
# Holds: A turn times a flip is a flip.
# Holds: A *flip times a flip is a turn*.
# Holds: Each row and each column holds every element once.
flips = G.product >= 4
assert not flips[:4, :4].any() and flips[:4, 4:].all() and flips[4:, :4].all() and not flips[4:, 4:].any()
for line in [*G.product.tolist(), *G.product.T.tolist()]:
    assert sorted(line) == list(G.elements)

# %% [markdown]
# ## 1.3 What a group is
#
# A **group** is a set $G$ with a product that keeps four promises.
#
# 1. **Closure.** If $g$ and $h$ are in $G$, so is $gh$.
# 2. **Identity.** There is an $e$ in $G$ that changes nothing: $eg = g = ge$.
# 3. **Inverse.** For each $g$ there is a $g^{-1}$ in $G$ that undoes it: $g^{-1}g = e = gg^{-1}$.
# 4. **Associativity.** $(gh)k = g(hk)$ for all $g$, $h$ and $k$.
#
# If $G$ is finite, these are finitely many cases, and trying them all is a *proof*.
#
# ### Exercise 2 · The promises in code
#
# Promises 1 and 2 are written. Write 3 and 4, a line each. A table can index a table: `table[table]` has the entry $(gh)k$ at
# `[g, h, k]`.


# %%
def is_group(table):
    """table: LongTensor (n, n) with table[g, h] = gh. Is it the table of a group whose identity is the element 0?"""
    n = len(table)
    if table.min() < 0 or table.max() >= n:  # closure: the entries are elements
        return False
    identity = torch.equal(table[0], torch.arange(n)) and torch.equal(table[:, 0], torch.arange(n))
    # BEGIN SOLUTION
    # GAP: inverse = ...
    # GAP: associative = ...
    inverse = bool((table == 0).any(dim=1).all())
    associative = torch.equal(table[table], table[:, table])
    # END SOLUTION
    return identity and inverse and associative


check("01.is_group", is_group)

# %% tags=["solution-only"]
assert check("01.is_group", is_group).ok
assert is_group(G.product) and not is_group(G.product.flip(0))

# %% [markdown]
# ### With pencil and paper
#
# Why does each row of a Cayley table hold every element exactly once? Use only the promises.
#
# <details><summary>Answer</summary>
#
# Row $g$ holds the products $gh$. Suppose two of them are equal, $gh = gk$. Then $g^{-1}(gh) = g^{-1}(gk)$ (inverse), so
# $(g^{-1}g)h = (g^{-1}g)k$ (associativity), so $eh = ek$ and $h = k$ (identity). No element comes twice. The row has $|G|$
# places and its entries are in $G$ (closure), so each element comes once.
#
# </details>
#
# ## 1.4 Subgroups and homomorphisms
#
# A part of a group that is a group by itself is a **subgroup**, as $C_4$ is in $D_4$.
#
# A **homomorphism** is a map $\varphi$ from one group to another with $\varphi(gh) = \varphi(g)\,\varphi(h)$: multiply first
# or map first, it is the same. Two candidates on $D_4$: the *sign* is 1 for a turn and -1 for a mirror image, and
# signs are multiplied. The *quarters* count by how many quarter turns an element turns, and are added modulo 4.
#
# **Predict.** Which of the two is a homomorphism?

# %%
sign = torch.tensor([1, 1, 1, 1, -1, -1, -1, -1])
quarters = torch.arange(8) % 4
print("sign:    ", torch.equal(sign[G.product], sign[:, None] * sign))
print("quarters:", torch.equal(quarters[G.product], (quarters[:, None] + quarters) % 4))

# %% [markdown]
# **Seen:** The sign is a homomorphism. The quarters are not, but on $C_4$ alone they are.

# %% tags=["fold"]
# Holds: The sign is a homomorphism.
# Holds: The quarters are not, but on $C_4$ alone they are.
assert torch.equal(sign[G.product], sign[:, None] * sign)
added = (quarters[:, None] + quarters) % 4
assert not torch.equal(quarters[G.product], added)
assert torch.equal(quarters[G.product][:4, :4], added[:4, :4])

# %% [markdown]
# **Why:** a mirror reverses turns, $m\,r = r^{-1}m$: quarters that come before a flip are subtracted.
#
# ## 1.5 Shifts and turns: p4 and p4m
#
# An image can also be shifted. A **translation** by $t = (\text{down}, \text{right})$ carries each pixel $x$ to $x + t$. The
# translations by whole pixels form a group, $\mathbb{Z}^2$, with the sum as its product. An element $h$ of $D_4$ turns a shift as well, by a 2 x 2 matrix.
#
# **Predict.** Shift the F by 3 to the right, then turn it by 90 degrees. Now turn it first. Which shift leads to the same picture?

# %%
pictures.shift_and_turn()

# %% [markdown]
# **Seen:** The shift by (0, 3) became the shift by (-3, 0), three up. After the turn, the old shift leads to another picture.

# %% tags=["fold"]
# Holds: The shift by (0, 3) became the shift by (-3, 0), three up.
# Holds: After the turn, the old shift leads to another picture.
canvas = torch.nn.functional.pad(F, (4, 4, 4, 4))
wanted, turned = G.transform(canvas.roll((0, 3), (0, 1)), 1), G.transform(canvas, 1)
assert torch.equal(wanted, turned.roll((-3, 0), (0, 1)))
assert not torch.equal(wanted, turned.roll((0, 3), (0, 1)))

# %% [markdown]
# **Why:** $h$ is linear, $h(x + t) = hx + ht$. So the shift $t$ before $h$ is the shift $ht$ after it. Every mixture of shifts
# and symmetries is therefore a pair $(t, h)$ that carries $x$ to $hx + t$: *first h, then t*.
#
# ### Exercise 3 · The product of two pairs
#
# Which pair does the same as first $b = (u, k)$, then $a = (t, h)$? Derive it with the pencil, then write it.


# %%
def compose(a, b):
    """a and b: pairs of a shift (2,) and a matrix (2, 2), which carry x to matrix @ x + shift.

    As an example, the matrix of r90 is [[0, -1], [1, 0]], that of m is [[1, 0], [0, -1]].
    """
    (t, h), (u, k) = a, b
    # BEGIN SOLUTION
    # GAP: return ..., ...
    return t + h @ u, h @ k
    # END SOLUTION


check("01.compose", compose)

# %% tags=["solution-only"]
assert check("01.compose", compose).ok

# %% [markdown]
# <details><summary>Answer</summary>
#
# $h(kx + u) + t = (hk)x + (hu + t)$, so $(t, h)\,(u, k) = (t + hu,\; hk)$: the turn $h$ also turns the shift $u$.
#
# </details>
#
# These pairs are the **semidirect product** $\mathbb{Z}^2 \rtimes H$. With $H = C_4$ it is called **p4**, with $H = D_4$
# **p4m**. Here is one F, wherever they carry it. (One step of $\mathbb{Z}^2$ is 30 pixels here.)

# %%
pictures.wallpapers()

# %% [markdown]
# **Seen:** Four times as many letters with p4, eight times as many with p4m. Each element of p4 leaves the second wallpaper
# as it is. A mirror changes the second wallpaper, and leaves the third as it is.

# %% tags=["fold"]
# Holds: Four times as many letters with p4, eight times as many with p4m.
# Holds: Each element of p4 leaves the second wallpaper as it is.
# Holds: A mirror changes the second wallpaper, and leaves the third as it is.
shifts, p4, p4m = (
    pictures.wallpaper(cyclic(1)),
    pictures.wallpaper(cyclic(4)),
    pictures.wallpaper(dihedral(4)),
)
assert p4.sum() == 4 * shifts.sum() and p4m.sum() == 8 * shifts.sum() and p4m.max() == 1
assert all(torch.equal(p4, moved) for moved in (torch.rot90(p4), p4.roll(30, 0), p4.roll(30, 1)))
assert not torch.equal(p4, p4.flip(1)) and torch.equal(p4m, p4m.flip(1))

# %% [markdown]
# An ordinary convolution respects the shifts only. T. Cohen and M. Welling made it respect p4 and p4m as well (*Group
# Equivariant Convolutional Networks*, 2016).
#
# ## What we can now do, and what not yet
#
# We can calculate with symmetries and shifts. What do they do to *labels* and *features*?
#
# **To read on:** E. Bekkers' course *An Introduction to Group Equivariant Deep Learning*.
#
# Next: **1b · Orbits and features**.
