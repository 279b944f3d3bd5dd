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
# - write every symmetry of the square as a permutation of pixels, and multiply symmetries with a table;
# - read off the orbit and the stabiliser of a picture, and predict the size of one from the other;
# - say what a G-set is, tell when two of them are the same, and turn one into matrices.
#
# **Seen before:** tensors and indexing in PyTorch. No group theory is needed. **Time:** about 45 minutes.
#
# Lines that begin with **Predict** ask for your guess. Say it aloud before you run the next cell. A wrong guess that
# you notice teaches more than a right sentence that you read.

# %%
from itertools import combinations, permutations

from eqssl_edu.data.letters import letters
from eqssl_edu.diagnostics import irrep_projectors
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.plots import image_grid, picture, row
from eqssl_edu.widgets import ByHand, OrbitExplorer
from eqssl_edu.widgets.orbit import orbit_of
from eqssl_edu.widgets.shared.scenarios import walk

import torch
from IPython.display import HTML

ABC = letters()  # thirty letters, each a tensor (9, 9) of zeros and ones
G = dihedral(4)  # the group of this notebook: all symmetries of the square
names = [G.element_name(g) for g in G.elements]

# %% [markdown]
# ## 1.1 Eight ways to put a square back
#
# **Predict.** You cut a square out of paper and put it back into its hole. You may turn it, and you may flip it over.
# In how many different ways does it fit?

# %%
F = ABC["F"]
copies = [G.transform(F, g) for g in G.elements]
assert all(not torch.equal(one, other) for one, other in combinations(copies, 2))  # no two are equal
assert torch.equal(copies[1], torch.rot90(F))  # element 1 is a quarter turn, counter-clockwise
assert torch.equal(copies[4], F.flip(-1))  # element 4 flips the last axis

HTML(row([picture(copy, f"{g}: {name}") for g, (copy, name) in enumerate(zip(copies, names, strict=True))]))

# %% [markdown]
# **Seen:** eight pictures of the letter F. The first four are turned counter-clockwise by 0, 90, 180 and 270 degrees.
# The last four are mirror images: `m` flips left and right, and `r90 m` flips *first* and turns *then*.
#
# A symmetry is a number `0 .. 7` in this course, and the whole set of eight is called $D_4$. The first four alone are
# called $C_4$. The letter F shows all of them, because no two of its eight pictures are equal.
#
# ## 1.2 A symmetry is a permutation of pixels
#
# What does a turn do to a tensor? Number the pixels of a small image, and turn the numbers.
#
# **Predict.** Pixel 0 is in the upper left corner. Where is it after a quarter turn counter-clockwise?

# %%
numbers = torch.arange(9).reshape(3, 3)
print(numbers, G.transform(numbers, 1), sep="\n\n")

# %% [markdown]
# **Seen:** 0 went to the lower left. Each of the nine numbers is still there, once. No pixel was mixed with another.
#
# So a symmetry is a list of nine numbers: which pixel lands on each place. Turning any 3 x 3 image is reading it in
# that order. Here are all eight lists, and the proof. (A turn by 45 degrees would put pixels between the places of the
# grid. It is no permutation, and the library refuses to guess.)

# %%
lands = torch.stack([G.transform(numbers, g).flatten() for g in G.elements])  # (8, 9): row g, column place
image = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))

for g in G.elements:
    assert lands[g].sort().values.tolist() == list(range(9))  # each pixel once: a permutation
    assert torch.equal(image.flatten()[lands[g]], G.transform(image, g).flatten())  # a turn is an indexing
print(lands)

try:
    dihedral(8).transform(F, 1)
except ValueError as error:
    print(error)
else:
    raise AssertionError("a turn by 45 degrees must be refused")

# %% [markdown]
# ### Turn a letter by hand
#
# Choose a letter and move the slider. **Predict** first: which letters can become *another* letter?


# %%
def turned_letter(letter, g):
    turned = G.transform(ABC[letter], g)
    result = [name for name, drawing in ABC.items() if torch.equal(drawing, turned)]
    text = f"<b>{names[g]}</b> turns {letter} into " + (f"<b>{result[0]}</b>." if result else "no letter.")
    return row([picture(ABC[letter], letter, side=140), picture(turned, names[g], side=140)], text)


for before, g, after in (("N", 1, "Z"), ("M", 2, "W"), ("C", 1, "U"), ("H", 1, "I")):
    assert torch.equal(G.transform(ABC[before], g), ABC[after])
for after in "dpq":
    assert any(torch.equal(G.transform(ABC["b"], g), ABC[after]) for g in G.elements)
ByHand(turned_letter, letter=list(ABC), g=range(8), start={"letter": "N", "g": 1})

# %% [markdown]
# **Seen:** N lies down and is a Z. M stands on its head and is a W. C opens upwards and is a U, and H lies down and is
# an I.
# b, d, p and q all become each other. We shall come back to those four.
#
# ## 1.3 One after the other
#
# **Predict.** Flip the F, then turn it by 90 degrees. Or turn it first, then flip it. Do you get the same picture?

# %%
turn, flip = 1, 4
flip_then_turn = G.transform(G.transform(F, flip), turn)
turn_then_flip = G.transform(G.transform(F, turn), flip)
pair = [picture(flip_then_turn, "flip, then turn"), picture(turn_then_flip, "turn, then flip")]
HTML(row([picture(F, "F"), *pair]))

# %% [markdown]
# **Seen:** two different pictures. The order matters: $D_4$ does not *commute*. But nothing new came out. Both
# pictures are among the eight of section 1.1. So two symmetries, one after the other, are again a symmetry. We write
# $gh$ for *first h, then g*, as one writes $g(h(x))$.
#
# Sixty-four pairs make a table, the **product table**. Let us fill it in by looking at pictures alone.


# %%
def which(picture_of_f):
    """The element that makes this picture of the letter F."""
    return next(g for g in G.elements if torch.equal(copies[g], picture_of_f))


product = torch.tensor([[which(G.transform(copies[h], g)) for h in G.elements] for g in G.elements])

assert product[turn, flip] == which(flip_then_turn) != which(turn_then_flip)
assert torch.equal(product, G.product)  # the library knows the same table, without any picture
for line in [*product, *product.T]:
    assert sorted(line.tolist()) == list(G.elements)  # each row and each column holds every element once
assert (product[:4, :4] < 4).all() and (product[4:, 4:] < 4).all() and (product[:4, 4:] >= 4).all()
G

# %% [markdown]
# **Seen:** four quarters. A turn times a turn is a turn. A turn times a flip is a flip. A *flip times a flip is a
# turn*. Each row and each column holds every element once.
#
# Three promises make a set with such a table a **group**. The code says them shorter than words do.
#
# **Predict**, before you run it: how many of the eight undo themselves?

# %%
for g in G.elements:
    assert product[0, g] == g == product[g, 0]  # 1. element 0 does nothing
    assert product[g, G.inverse[g]] == 0  # 2. everything can be undone
assert torch.equal(product[product], product[:, product])  # 3. (gh)k = g(hk), all 512 triples at once

print("own inverse:", [names[g] for g in G.elements if G.inverse[g] == g])

# %% [markdown]
# ## 1.4 Groups inside the group
#
# Keep some of the eight elements and throw the others away. If products never lead out of what you kept, you hold a
# **subgroup**. The set {e, r90} is not one: r90 twice is r180, and that is missing.
#
# **Predict.** How many subgroups does $D_4$ have? Which sizes can they have?

# %%
for subgroup in G.subgroups():
    print(len(subgroup), [names[g] for g in subgroup])

assert len(G.subgroups()) == 10
assert all(G.order % len(subgroup) == 0 for subgroup in G.subgroups())
assert G.generate([1]) == (0, 1, 2, 3)  # whoever keeps r90 has to keep all turns

# %% [markdown]
# **Seen:** ten subgroups, of sizes 1, 2, 4 and 8. Each size divides eight. That is Lagrange's theorem, and in the
# next section you will see *why* it holds.
#
# ## 1.5 Orbits and stabilisers
#
# Here are our letters. They are drawn by hand, pixel by pixel, so that every symmetry that you see is exact. Two
# questions about one picture:
#
# - Which pictures can it become? That list is its **orbit**.
# - Which elements do *not* change it? They are its **stabiliser**.
#
# **Predict.** How many pictures are in the orbit of F? Of A? Of H? Of O? How many elements keep each of them? What is
# the rule that connects the two numbers?


# %%
def orbit(drawing, group=G):
    """The different pictures that a group makes of one."""
    pictures = []
    for g in group.elements:
        turned = group.transform(drawing, g)
        if not any(torch.equal(turned, seen) for seen in pictures):
            pictures.append(turned)
    return pictures


def stabilizer(drawing, group=G):
    """The elements that leave a picture as it is."""
    return tuple(g for g in group.elements if torch.equal(group.transform(drawing, g), drawing))


HTML(row([picture(drawing, letter, side=72) for letter, drawing in ABC.items()]))

# %% [markdown]
# The **orbit explorer** shows all of it at once. The buttons apply an element to the picture. The map has a place for
# each element, with the picture that it makes: an arrow leads on by `r90`, a dashed line by `m`. Click on a place to go
# there, or use the arrow keys and Enter. Try A first, then F, N, L, H and O.

# %%
explorer = OrbitExplorer(G, "A")
explorer

# %% [markdown]
# **Seen:** the map of A has eight places, but they show only four pictures. Places with the same number show the same
# picture. The green `=` marks the elements that keep the letter. The sentence below the large picture is a line
# of the product table: it says which single element does the same as the two steps.
#
# A cell can lead the explorer as well. `walk` takes it through five steps, proves what is seen in each, and gives the
# sentence that a screen reader announces.

# %%
for sentence in walk(explorer):
    print(sentence)
explorer.set_state(picture="A", element=0)

# %%
GROUPS = {"D4": dihedral(4), "C4": cyclic(4), "D2": dihedral(2), "C2": cyclic(2)}

for group in GROUPS.values():
    for drawing in ABC.values():
        makers = orbit_of(group, drawing[None])  # the explorer's list: which elements make each picture
        assert len(makers) == len(orbit(drawing, group))
        assert tuple(makers[0]) == stabilizer(drawing, group)

# %% [markdown]
# Now all letters at once, sorted by their stabiliser. **Predict:** which letter has a diagonal mirror?

# %%
sorted_letters = {}
for letter, drawing in ABC.items():
    sorted_letters.setdefault(stabilizer(drawing), []).append(letter)

lines = []
for kept in sorted(sorted_letters, key=len):
    drawings = [picture(ABC[letter], letter, side=72) for letter in sorted_letters[kept]]
    lines.append(row(drawings, "kept by " + ", ".join(names[g] for g in kept)))

assert {kept: "".join(some) for kept, some in sorted_letters.items()} == {
    (0,): "FGJPRbdpq",
    (0, 2): "NSZ",
    (0, 4): "AMTUVWY",
    (0, 5): "Q",
    (0, 6): "BCDEK",
    (0, 7): "L",
    (0, 2, 4, 6): "HI",
    tuple(G.elements): "OX",
}
HTML("".join(lines))

# %% [markdown]
# **Seen:** F, G, J, P, R and the four small letters have no symmetry. N, S and Z can stand on their heads. A, M, T
# and others look the same in a mirror; B, C, D, E and K in a mirror that lies flat. L and Q have the diagonal mirrors.
# H and I have two mirrors. O and X have everything.
#
# The elements that keep a picture are always one of the ten subgroups. (If g keeps it and h keeps it, so does gh.)
#
# **Predict.** The explorer counted 4 x 2 = 8 for A and 8 x 1 = 8 for F. Can a picture have an orbit of three?

# %%
assert set(sorted_letters) <= set(G.subgroups())

for group in GROUPS.values():
    for drawing in ABC.values():
        assert len(orbit(drawing, group)) * len(stabilizer(drawing, group)) == group.order

# Why? Ask which elements make each picture in the orbit of A.
A = ABC["A"]
ways_to = [tuple(g for g in G.elements if torch.equal(G.transform(A, g), drawing)) for drawing in orbit(A)]
assert sorted(ways_to) == G.left_cosets(stabilizer(A))
captions = [" or ".join(names[g] for g in packet) for packet in ways_to]
HTML(row([picture(drawing, text, side=110) for drawing, text in zip(orbit(A), captions, strict=True)]))

# %% [markdown]
# The rule that the cell has proven for all letters, |orbit| x |stabiliser| = |G|, is the **orbit-stabiliser theorem**:
# many symmetries, few pictures.
#
# **Seen:** every picture of A is made by exactly two elements. If g makes it, then so does gs, where s is one of the
# two elements that keep A. And if g and g' make the same picture, then $g^{-1}g'$ keeps A: so there are no others. The
# group falls into packets of equal size, one packet a picture. Such a packet $gH$ is called a **coset** of the subgroup
# H. Packets of equal size fill the group with nothing left over: that is Lagrange's theorem. Three does not divide
# eight, so no picture has an orbit of three.
#
# **Predict.** L is kept by `r270 m`, a diagonal mirror. Turn L by 90 degrees. What keeps it now? And after any g?

# %%
L = ABC["L"]
print([names[g] for g in stabilizer(L)], "->", [names[g] for g in stabilizer(G.transform(L, 1))])

for drawing in ABC.values():
    for g in G.elements:
        moved = {int(product[product[g, s], G.inverse[g]]) for s in stabilizer(drawing)}  # g s g^-1
        assert moved == set(stabilizer(G.transform(drawing, g)))
HTML(row([picture(L, "L", side=110), picture(G.transform(L, 1), "L, turned", side=110)]))

# %% [markdown]
# **Seen:** the mirror turned with the letter. The stabiliser of $g \cdot x$ is $g\,\mathrm{Stab}(x)\,g^{-1}$: undo g,
# use the old mirror, do g again. Two subgroups that are related in this way are **conjugate**. They are the same kind
# of symmetry, seen from another side. Two *elements* s and $g\,s\,g^{-1}$ are conjugate as well. They form a
# **conjugacy class**: `r270 m` and `r90 m`, the two diagonal mirrors, are one.
#
# ### b, d, p, q
#
# **Predict.** With turns alone, which of d, p, q can you make from b? Which group makes exactly these four?

# %%
D2 = dihedral(2)  # e, the half turn, and two mirrors
four = orbit(ABC["b"], D2)
assert len(four) == 4
assert all(any(torch.equal(ABC[letter], drawing) for drawing in four) for letter in "bdpq")

turned = orbit(ABC["b"], cyclic(4))
by_turns = [letter for letter in "bdpq" if any(torch.equal(ABC[letter], drawing) for drawing in turned)]
print("turns alone lead from b to:", by_turns)
HTML(row([picture(D2.transform(ABC["b"], g), D2.element_name(g)) for g in D2.elements]))

# %% [markdown]
# **Seen:** turns make q from b, and a mirror is needed for d and p. Under $D_2$ the four letters are one orbit.
#
# Remember this picture. A network whose output is *invariant* under $D_2$ gives one and the same answer to b, d, p
# and q. It is blind to what tells them apart. The networks of this course keep one number for each element of the
# group instead: their features have the shape `(B, C, |G|)`, and the last axis remembers which of the copies it was.
#
# ### A picture for every subgroup
#
# No letter is kept by the four turns and by no mirror. Is there a picture with that stabiliser?
#
# **Predict.** Take the mean of the pictures that a subgroup H makes of R. What does H do to that mean?


# %%
def mean_over(subgroup, drawing):
    return torch.stack([G.transform(drawing, g) for g in subgroup]).mean(dim=0)


means = [mean_over(subgroup, ABC["R"]) for subgroup in G.subgroups()]
captions = [", ".join(names[g] for g in subgroup) for subgroup in G.subgroups()]
assert [stabilizer(mean) for mean in means] == G.subgroups()
assert all(len(stabilizer(mean_over(subgroup, ABC["O"]))) == 8 for subgroup in G.subgroups())
pictures = [picture(mean, text, limits=(0, 1), side=110) for mean, text in zip(means, captions, strict=True)]
HTML(row(pictures, "The mean of R over each of the ten subgroups. Dark blue is 0, yellow is 1."))

# %% [markdown]
# **Seen:** the mean over H is kept by H, because H only permutes the terms of the sum. With R it is kept by nothing
# else. (That is a virtue of R. Try O: its mean over any H is kept by all eight.) Averaging over a group is the
# simplest way to make something symmetric, and it has a price: look how little is left of R in the last picture.
#
# ## 1.6 G-sets: labels that move
#
# Orbits and stabilisers never asked what a picture *is*. All they used is a table: element g, thing l, and the thing
# $g \cdot l$ that comes out. A finite set with such a table is called a **G-set**. This course is full of them: the
# tiles of an image, the neighbours of a tile, the answers of a quiz whose right answer turns with the image.
#
# **Predict.** The nine places of a 3 x 3 grid move when the image is turned. How many orbits are there under $D_4$?

# %%
places = GSet.grid(G, 3)  # places 0 .. 8, row by row; places.action has shape (8, 9)
for members in places.orbits:
    kept_by = [names[g] for g in places.stabilizer(members[0])]
    print(f"places {members}; place {members[0]} is kept by {kept_by}")

# What the table says: paint place p bright, turn the picture, and place g.p is bright.
spots = torch.eye(9).reshape(9, 3, 3)
for g in G.elements:
    for p in range(9):
        assert torch.equal(G.transform(spots[p], g), spots[places.action[g, p]])

HTML(picture(places.orbit_index.reshape(3, 3).double(), "a colour for each orbit", side=120))

# %% [markdown]
# **Seen:** three orbits: four corners, four edges, and the centre.
#
# ### Two promises, and a mistake that hides
#
# The table of a G-set keeps two promises: $e \cdot l = l$, and $(gh) \cdot l = g \cdot (h \cdot l)$. In section 1.2 we
# made the table `lands`: which pixel *lands on* each place. It looks like a table of where each pixel *goes to*.
#
# **Predict.** Is `lands` an action of $C_4$? Of $D_4$?

# %%
GSet(cyclic(4), lands[:4])  # accepted
try:
    GSet(G, lands)
except ValueError as error:
    print(error)
else:
    raise AssertionError("this table is no action of D4")

assert torch.equal(places.action, lands.argsort(dim=1))  # "goes to" is the inverse permutation of "lands on"

# %% [markdown]
# **Seen:** $C_4$ accepts the wrong table, $D_4$ does not. "Lands on" is the inverse of "goes to", and inverses
# swap the order: $(gh)^{-1} = h^{-1} g^{-1}$. A group that commutes cannot notice. **Test your code on a group that
# does not commute.** We will need that advice again.
#
# ### Are the edges and the corners the same?
#
# The eight neighbours of a tile are four edges (north, west, east, south) and four corners. Both are orbits of four.
# When are two G-sets the same but for the names? When some one-to-one map f goes along with the action:
# $f(g \cdot l) = g \cdot f(l)$ for all g and l. Then they are **isomorphic**. There are only 24 candidates for f.
#
# **Predict.** Is there such an f from the edges to the corners under $C_4$? Under $D_4$?


# %%
def maps_that_go_along(labels, first, second):
    """All one-to-one maps f from one orbit to another with f(g.l) = g.f(l)."""
    found = []
    for images in permutations(second):
        f = dict(zip(first, images, strict=True))
        if all(f[int(moved[i])] == int(moved[f[i]]) for moved in labels.action for i in first):
            found.append({labels.names[i]: labels.names[f[i]] for i in first})
    return found


for group in (cyclic(4), dihedral(4)):
    around = GSet.neighbours(group)
    corners, edges = around.orbits
    found = maps_that_go_along(around, edges, corners)
    print(f"{group.name}: {len(found)} maps", found[:1])
    assert (len(found) > 0) == around.isomorphic(edges[0], corners[0])

for label in (1, 0):
    print(around.names[label], "is kept by", [names[g] for g in around.stabilizer(label)])

# %% [markdown]
# **Seen:** under $C_4$ there are four such maps: go from each edge to the next corner, for example. Under $D_4$ there
# is none. North is kept by the mirror m, so its partner would have to be kept by m as well. But m keeps no corner. An
# edge has an upright mirror, a corner has a diagonal one, and the two are not conjugate.
#
# **The type of an orbit is its stabiliser, up to conjugation.** That is all there is to know about an orbit: it is a
# copy of the set of cosets $G/H$. Take the orbit of the letter A once more, and compare its table with that of the
# cosets of its stabiliser.


# %%
def as_gset(drawings):
    """A list of pictures as a G-set: action[g, i] is the number of the picture that g makes of picture i."""

    def number(drawing):
        return next(i for i, other in enumerate(drawings) if torch.equal(drawing, other))

    return GSet(G, torch.tensor([[number(G.transform(d, g)) for d in drawings] for g in G.elements]))


cosets = GSet.quotient(G, stabilizer(A))
print(cosets.names)
assert torch.equal(as_gset(orbit(A)).action, cosets.action)  # the same table

# %% [markdown]
# ## 1.7 Counting without looking: Burnside
#
# **Predict.** Paint the four tiles of a 2 x 2 board black or white. There are 16 boards. If a turned or flipped board
# counts as the same board, how many are left? (It is not 16 / 8.)

# %%
values = 2 ** torch.arange(4)  # board number i has the binary digits of i as tiles
boards = (torch.arange(16)[:, None] // values % 2).reshape(16, 2, 2)
turned_boards = [(G.transform(boards, g).flatten(1) * values).sum(dim=1) for g in G.elements]
board_labels = GSet(G, torch.stack(turned_boards))


def draw_boards(labels, text=""):
    return row([picture(boards[i].double(), f"{i}", limits=(0, 1), side=72) for i in labels], text)


assert [len(members) for members in board_labels.orbits] == [1, 4, 4, 2, 4, 1]
HTML("".join(draw_boards(members, f"an orbit of {len(members)}") for members in board_labels.orbits))

# %% [markdown]
# **Seen:** six lines, six different boards. Their orbits have 1, 4, 4, 2, 4 and 1 members.
#
# To count orbits one need not find them. **Burnside's lemma** says: *the number of orbits is the mean, over the
# group, of the number of things that an element keeps.* Move the slider and count.


# %%
def kept_boards(g):
    kept = [i for i in range(16) if board_labels.action[g, i] == i]
    return draw_boards(kept, f"<b>{names[g]}</b> keeps <b>{len(kept)}</b> of the 16 boards.")


ByHand(kept_boards, g=range(8), start={"g": 4})

# %% [markdown]
# The mean is (16 + 2 + 4 + 2 + 4 + 8 + 4 + 8) / 8 = 6. The lemma holds for every G-set. Count the pairs (g, l) with
# $g \cdot l = l$. For each l there are |Stab(l)| = |G| / |orbit of l| of them, so each orbit contributes |G|. Divide
# by |G|.
#
# One more G-set is worth a look: the **jigsaw**. Cut an image into 2 x 2 tiles and shuffle them: 24 permutations.
# Turning the shuffled image turns one permutation into another, so they are a G-set.
#
# **Predict.** 24 permutations and 8 symmetries: are there three orbits?


# %%
def kept_counts(labels):
    """How many labels each element keeps where they are, (|G|,)."""
    return (labels.action == torch.arange(labels.size)).sum(dim=1)


assert kept_counts(board_labels).tolist() == [16, 2, 4, 2, 4, 8, 4, 8]
for group in (cyclic(4), dihedral(4)):
    jigsaw = GSet.jigsaw(group, 2)
    sizes = [len(members) for members in jigsaw.orbits]
    assert len(sizes) == {"C4": 10, "D4": 8}[group.name]
    print(f"jigsaw under {group.name}: kept {kept_counts(jigsaw).tolist()}")
    print(f"    {len(sizes)} orbits of sizes {sizes}")
    for labels in (jigsaw, GSet.grid(group, 3), GSet.neighbours(group), GSet.regular(group)):
        assert kept_counts(labels).double().mean() == len(labels.orbits)

# %% [markdown]
# **Seen:** eight orbits under $D_4$ and ten under $C_4$, because many permutations look the same from several sides.
# (Swapping two diagonal tiles is one of them.) In the jigsaw notebook these 24 permutations are the answers that a
# network has to give, and the orbits decide how its last layer is built.
#
# ## 1.8 Representations: from tables to matrices
#
# A network computes with numbers, not with names. Give each place of the grid a number and you have an image, a
# vector with nine entries. Turning it is linear, so each element of the group is a 9 x 9 matrix.
#
# **Predict.** What do such matrices look like? What is the product of the matrices of r90 and m?

# %%
# (8, 9, 9): column p of matrix g is spot p, turned by g
P = torch.stack([G.transform(spots, g).flatten(1).T for g in G.elements])

for g in G.elements:
    assert torch.equal(P[g] @ image.flatten(), G.transform(image, g).flatten())
    for h in G.elements:
        assert torch.equal(P[g] @ P[h], P[product[g, h]])

# The trace of a matrix counts the pixels that it keeps. So the mean trace is the number of orbits: Burnside again.
assert torch.equal(P.diagonal(dim1=1, dim2=2).sum(dim=1).long(), kept_counts(places))

assert set(P.flatten().tolist()) == {0, 1} and (P.sum(dim=1) == 1).all() and (P.sum(dim=2) == 1).all()
print("entries that are 1:", P.sum(dim=(1, 2)).int().tolist(), " places kept:", kept_counts(places).tolist())
image_grid(P, names, "The eight matrices of the 3 x 3 grid", value="entry", axes=("from place", "to place"))

# %% [markdown]
# **Seen:** a single 1 in each row and column: permutation matrices. The identity is the diagonal. And the matrices
# multiply exactly as the elements do: $P(g)\,P(h) = P(gh)$. That is what one calls a **representation**.
#
# ### The regular representation
#
# The group also acts on *itself*: g sends h to gh. Give each *element* a number and you have a vector z with |G|
# entries. This is the **regular representation**, the most important one in this course: the features of our networks
# have the shape `(B, C, |G|)`, and their last axis transforms like this:
#
# $$ (\rho(g)\,z)[h] = z[g^{-1}h] $$
#
# **Predict.** Which number stands at `r90` after the action of r90? So where does the number of `e` go?

# %%
z = torch.linspace(-1, 1, 8)  # one number for each element


def regular_action(g):
    moved = G.transform_features(z, g)
    lines = []
    for vector, text in ((z, "z, before"), (moved, f"rho({names[g]}) z, after")):
        captions = [f"{name}: {value:.2f}" for name, value in zip(names, vector, strict=True)]
        places = vector.reshape(8, 1, 1)
        boxes = [picture(v, c, True, (-1, 1), side=72) for v, c in zip(places, captions, strict=True)]
        lines.append(row(boxes, text))
    matrix = picture(G.transform_features(torch.eye(8), g).T, f"rho({names[g]})", side=180)
    order = f"Its rows and its columns stand for {', '.join(names)}."
    return "".join(lines) + row([matrix], f"The number of <b>e</b> now stands at <b>{names[g]}</b>. {order}")


for g in G.elements:
    assert all(G.transform_features(z, g)[product[g, h]] == z[h] for h in G.elements)
ByHand(regular_action, g=range(8), start={"g": 1})

# %% [markdown]
# **Seen:** the number of `e` goes to g, and the number that stood at h stands at gh afterwards.
#
# Why then $g^{-1}h$ in the formula, and not $gh$? **Predict.** Drop the inverse. Who notices, $C_4$ or $D_4$?


# %%
def is_representation(group, rho):
    pairs = [(g, h) for g in group.elements for h in group.elements]
    return all(torch.equal(rho[g] @ rho[h], rho[group.product[g, h]]) for g, h in pairs)


for group in (cyclic(4), dihedral(4)):
    right = torch.stack([group.transform_features(torch.eye(group.order), g).T for g in group.elements])
    wrong = torch.stack([torch.eye(group.order)[group.product[g]] for g in group.elements])  # reads z[gh]
    print(group.name, "accepts the right one:", is_representation(group, right), end=", ")
    print("the wrong one:", is_representation(group, wrong))
    assert is_representation(group, right)
    assert is_representation(group, wrong) == (group.name == "C4")

# %% [markdown]
# **Seen:** the same trap as before. $C_4$ lets a wrong formula through, $D_4$ catches it.
#
# ### What is inside
#
# Four numbers z on $C_4$. Their *mean* does not change when they move. Their *alternating sum* at most changes its
# sign. Two numbers are left, the *differences* z[e] - z[r180] and z[r90] - z[r270]. A quarter turn mixes these two.
#
# **Predict.** Write rho in a basis that is made of these: the mean, the alternating sum, and the two differences. What
# do the matrices look like?

# %%
C4 = cyclic(4)
rho = torch.stack([C4.transform_features(torch.eye(4), g).T for g in C4.elements])
basis = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 0, -1, 0], [0, 1, 0, -1]])
basis = basis / basis.norm(dim=1, keepdim=True)  # four vectors of length 1, at right angles
blocks = basis @ rho @ basis.T

outside = torch.ones(4, 4, dtype=torch.bool)
outside[0, 0] = outside[1, 1] = outside[2:, 2:] = False
assert blocks[:, outside].abs().max() < 1e-6
quarter_turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])  # of the plane
assert torch.allclose(blocks[1, 2:, 2:], quarter_turn, atol=1e-6)
print("mean:", blocks[:, 0, 0].round().tolist(), " alternating sum:", blocks[:, 1, 1].round().tolist())
print("r90 on the two differences:", blocks[1, 2:, 2:].round().tolist())

titles = [f"{C4.element_name(g)}{text}" for text in ("", ", new basis") for g in C4.elements]
title = "The regular representation of C4, before and after a change of basis"
image_grid(torch.cat([rho, blocks]), titles, title, columns=4, signed=True, value="entry")

# %% [markdown]
# **Seen:** in the new basis all four matrices have the same blocks: 1 x 1, 1 x 1 and 2 x 2. Nothing flows from one
# block to another. The 2 x 2 block of r90 is the turn of the plane by 90 degrees.
#
# Such blocks are **irreducible**: with real numbers they cannot be cut any further. Every representation of a finite
# group falls apart into irreducible ones. With complex numbers there are as many kinds as conjugacy classes, and the
# regular representation holds each kind as often as its size. ($C_4$ has four classes: with complex numbers its 2 x 2
# block splits once more, into two kinds of size 1.)
#
# **Predict.** How many classes has $D_4$? Which sizes, then, can its blocks have, if each kind of size d takes d x d of
# the eight dimensions?

# %%
print([[names[g] for g in members] for members in G.conjugacy_classes()])
# For each kind, how many dimensions its blocks have together.
dimensions = [round(part.trace().item()) for part in irrep_projectors(G).values()]
print(dimensions)
assert len(C4.conjugacy_classes()) == 4
assert len(G.conjugacy_classes()) == len(dimensions) == 5
assert sorted(dimensions) == [1, 1, 1, 1, 2 * 2]

# %% [markdown]
# **Seen:** five classes and five kinds. Four are of size 1, one is of size 2, and 1 + 1 + 1 + 1 + 2 x 2 = 8. For
# $D_4$ real numbers are enough.
#
# Later in the course this becomes a measuring device. If all the energy of a network's features sits in the first
# block, the mean, then the network is invariant and has forgotten the orientation.
#
# ## What we can now do, and what not yet
#
# We can turn images exactly, multiply symmetries, read orbits and stabilisers, and write any action as a table or as
# matrices. We cannot turn an image by 45 degrees (that is approximate, notebook 3), and we have no *network* yet that
# respects any of this. That is the next notebook.
#
# ## Exercises
#
# ### 1 · Turn the slider
#
# Go back to "Turn a letter by hand". For each pair below find **all** elements of $D_4$ that turn the first letter
# into the second. Write them as tuples of numbers, such as `(0, 3)`.

# %%
ways = {
    # BEGIN SOLUTION
    # GAP: "b to q": ...,
    # GAP: "M to W": ...,
    # GAP: "H to I": ...,
    "b to q": (2,),
    "M to W": (2, 6),
    "H to I": (1, 3, 5, 7),
    # END SOLUTION
}
check("01.ways", ways)

# %% tags=["solution-only"]
assert check("01.ways", ways).ok

# %% [markdown]
# ### 2 · Write five lines
#
# Count the orbits of any G-set with Burnside's lemma, from its action table alone.


# %%
def count_orbits(action):
    """action: LongTensor (|G|, n) with action[g, l] = g.l; returns the number of orbits."""
    # BEGIN SOLUTION
    order, size = action.shape
    kept = action == torch.arange(size)
    return int(kept.sum()) // order
    # END SOLUTION


check("01.count_orbits", count_orbits)

# %% tags=["solution-only"]
assert check("01.count_orbits", count_orbits).ok

# %% [markdown]
# ### 3 · Think
#
# Under $C_4$ the four edges and the four corners are the same G-set, under $D_4$ they are not. Under which of the ten
# subgroups of $D_4$ are they the same? (A subgroup may cut them into several orbits. Then f has to go along with all
# of them.) Give a list of subgroups as `G.subgroups()` prints them, for example `[(0, 4), (0, 2, 4, 6)]`.

# %%
# BEGIN SOLUTION
# GAP: same_under = ...
same_under = [(0,), (0, 2), (0, 1, 2, 3)]
# END SOLUTION
check("01.same_set", same_under)

# %% tags=["solution-only"]
assert check("01.same_set", same_under).ok

# %% [markdown]
# ## Where to read on
#
# - `eqssl_edu/groups.py`, `gsets.py` and `permutations.py`: everything above.
# - M. A. Armstrong, *Groups and Symmetry*: a first book, with orbits and with counting.
# - J.-P. Serre, *Linear Representations of Finite Groups*, part I: representations, in few and clear pages.
# - Next: **2 · Group convolutions**, where these tables become the weights of a network.
