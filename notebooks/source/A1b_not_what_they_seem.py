# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A1b · Objects that are not what they seem
#
# After this notebook you can
#
# - tell a table of integers from the action of a group;
# - say when weights have been loaded, and find two networks that share memory.
#
# **Seen before:** notebooks A1, 4c (escnn) and 5e (sets of permutations). **Time:** {minutes} minutes.
#
# Three more exhibits of the museum. Each object has the right shape and the right name. Two of them are escnn as it comes, which
# is a fine library: these are traps that open where its caches meet the habits of PyTorch.

# %%
from eqssl_edu.data import digits
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_A1b as museum
from eqssl_edu.permutations import move
from eqssl_edu.steerable import from_escnn

import torch

# %%
SEED = 0  # of all weights and permutations
C4, D4 = cyclic(4), dihedral(4)
images = digits(16).test.images[:8]  # (8, 1, 16, 16)

# %% [markdown]
# ## A1b.1 The missing permutation
#
# **What it looks like.** A jigsaw of 3 x 3 tiles with 24 permutations, chosen at random. The head needs a table that says which
# label the puzzle gets when the image turns. Where the turned permutation is not among the 24, the author takes the nearest. "It
# hardly ever matters."

# %%
generator = torch.Generator().manual_seed(SEED)
permutations = torch.stack([torch.randperm(9, generator=generator) for _ in range(24)])  # (24, 9)


def nearest_label_table(permutations):
    rows = []
    for g in C4.elements:
        moved = move(C4, 3, "conjugation", g, permutations)  # (24, 9): of the turned puzzles
        rows.append((moved[:, None] != permutations).sum(dim=2).argmin(dim=1))  # the nearest of the 24
    return torch.stack(rows)  # (|G|, 24)


table = nearest_label_table(permutations)

# %% [markdown]
# **Predict.** The shape is right, the identity moves nothing, and a head built on the table runs. What may be wrong with it?
#
# **Symptom:** none. Numbers come out.
#
# ### Exercise 1 · Write the guard
#
# The test is the definition. An action satisfies $e \cdot l = l$ and $(gh) \cdot l = g \cdot (h \cdot l)$. Write it for any group;
# `group.product[g, h]` is $gh$, and `table[g, l]` is $g \cdot l$.


# %%
def is_action(table, group):
    """table (|G|, n): True if e.l = l and (gh).l = g.(h.l) for all g, h and l."""
    # BEGIN SOLUTION
    n = table.shape[1]
    identity = torch.equal(table[0], torch.arange(n))
    return identity and torch.equal(table[group.product], table[:, table])
    # END SOLUTION


check("A1.is_action", is_action)

# %% tags=["solution-only"]
assert check("A1.is_action", is_action).ok

# %%
closed = GSet.jigsaw(C4, 3, count=24)  # whole orbits: each turned permutation is among them
print("nearest label:", is_action(table, C4), " whole orbits:", is_action(closed.action, C4))
print("error of a head:", museum.head_error(table, C4), museum.head_error(closed.action, C4))
print("back after four turns:", int((table[1][table[1][table[1][table[1]]]] == torch.arange(24)).sum()))

# %% [markdown]
# **Seen:** Most labels do not come back after four quarter turns. A head on this table is not equivariant. On whole orbits, the author's
# own code finds each turned permutation, and the head is exact.
#
# **Why:** there are 362,880 permutations of nine tiles. That the turned one is among 24 is luck, so "the nearest" is taken
# nearly always. `GSet` does what your guard does, and refuses such a table.
#
# > **Moral:** a table is an action if it composes. Let a constructor check that, once, for ever.

# %% tags=["fold"]
# Holds: Most labels do not come back after four quarter turns.
# Holds: A head on this table is not equivariant.
# Holds: On whole orbits, the author's own code finds each turned permutation, and the head is exact.
assert (table[1][table[1][table[1][table[1]]]] == torch.arange(24)).sum() < 12
assert museum.head_error(table, C4) > 0.1
assert torch.equal(nearest_label_table(closed.permutations), closed.action)
assert museum.head_error(closed.action, C4) < 1e-12
try:
    GSet(C4, table)
except ValueError:
    refused = True
assert refused

# %% [markdown]
# ## A1b.2 The kernel that does not follow its weights
#
# **What it looks like.** "I load the saved weights into my escnn layer. Some names do not fit, so I take `strict=False`."

# %%
source, target = museum.new_layer(SEED), museum.new_layer(SEED + 1).eval()
target.load_state_dict(source.state_dict(), strict=False)
print("the weights are equal:", torch.equal(target.weights, source.weights))

# %% [markdown]
# **Predict.** The weights are equal. Are the outputs?

# %%
off = (museum.maps_of(target, images) - museum.maps_of(source, images)).abs().max()
print("largest difference:", off)
print("with strict=True:", museum.strict_loading("train", "eval"))

# %% [markdown]
# **Seen:** The weights are equal, and the outputs are not. With `strict` on, torch would have said so: what is saved in one mode is
# refused in the other.
#
# **Why:** in evaluation mode an escnn layer keeps its expanded kernel, which is faster, and goes on with the old one. The kept
# kernel is a part of the state dict, so the names depend on the mode. **Symptom:** none where the mistake is made; later a loaded network is as bad as
# an untrained one.
#
# **Repair.** escnn's advice: switch to `eval` before saving *and* before loading. Or give the module to `from_escnn`, whose state
# dict is the same in either mode.
#
# > **Moral:** weights are loaded when the *outputs* agree. Never silence a list of names.

# %% tags=["fold"]
# Holds: The weights are equal, and the outputs are not.
# Holds: With `strict` on, torch would have said so: what is saved in one mode is refused in the other.
assert torch.equal(target.weights, source.weights) and off > 0.01
assert "loaded" not in {museum.strict_loading("train", "eval"), museum.strict_loading("eval", "train")}
mended, other = from_escnn(museum.new_layer(SEED)), from_escnn(museum.new_layer(SEED + 1))
for saving, loading in ((True, False), (False, True)):
    other.train(loading).load_state_dict(mended.train(saving).state_dict())
    assert torch.equal(other(images), mended(images))

# %% [markdown]
# ## A1b.3 Two networks, one buffer
#
# **What it looks like.** "I compare two networks, one of them in double precision."

# %%
one, other = museum.new_layer(SEED), museum.new_layer(SEED + 1)
one.double()
print("the other network:", museum.complaint(other, images))

# %% [markdown]
# **Symptom:** an error in a network that nobody has touched.
#
# **Predict.** Two layers were made by two calls, with two seeds. What can they have in common?
#
# ### Exercise 2 · What lies in one place?
#
# Write the test: how many buffers of one module lie in the memory of another one? `tensor.data_ptr()` is the address where a
# tensor begins; `module.buffers()` goes through all buffers.


# %%
def shared_buffers(one, other):
    """Two modules -> how many buffers of the first begin where a buffer of the second does."""
    # BEGIN SOLUTION
    places = {buffer.data_ptr() for buffer in other.buffers()}
    return sum(buffer.data_ptr() in places for buffer in one.buffers())
    # END SOLUTION


check("A1.shared_buffers", shared_buffers)

# %% tags=["solution-only"]
assert check("A1.shared_buffers", shared_buffers).ok

# %%
one.float()
two_mended = [from_escnn(museum.new_layer(SEED + k)) for k in (0, 1)]
print("as it comes:", shared_buffers(one, other), " mended:", shared_buffers(*two_mended))

# %% [markdown]
# **Seen:** Two new layers share buffers. Behind `from_escnn` they share none.
#
# **Why:** all layers of a process that have the same basis share it. That saves memory, and it is right as long as nobody changes it; but
# `.double()` and `.to(device)` do.
#
# **Repair.** Each module gets a copy of its own. Here is all that `eqssl_edu.steerable` mends, a table of patches with the
# symptom that each of them would show you:
#
# | flaw | symptom | patch |
# |---|---|---|
# | two dependencies for SO(3) alone often cannot be installed | `import escnn` fails | stand-ins while it is imported |
# | the expanded kernel is in the state dict, and goes stale | A1b.2 | layers expand at every call; old entries are dropped |
# | layers with one basis share a buffer | A1b.3 | each module owns its bases |
# | groups and representations hold local functions | `pickle` and `deepcopy` refuse | they are rebuilt from their names |
# | it hands scikit-learn a type that this refuses | an error in $D_n$ and O(2) | scipy's exact decomposition |
#
# > **Moral:** keep your patches in one place, each with the symptom it cures, so that you notice when one is needed no longer.

# %% tags=["fold"]
# Holds: Two new layers share buffers.
# Holds: Behind `from_escnn` they share none.
from eqssl_edu.exercises.notebook_A1 import count_shared

assert count_shared(one, other) > 0 == count_shared(*two_mended)

# %% [markdown]
# ## On the way out
#
# | exhibit | symptom | the test that finds it |
# |---|---|---|
# | the missing permutation | none | the table composes |
# | the kernel that does not follow | a loaded network is bad | compare outputs |
# | one buffer for two | an error somewhere else | shared memory |
#
# **One to think:** which of your tests compares names or shapes, where it should compare what comes out?
#
# Next: notebook A1c, where every line is right and the numbers mislead.
