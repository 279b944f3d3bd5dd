# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A1 · The bug museum
#
# After this notebook you can
#
# - find nine mistakes, eight of which raise no error where they are made, each with a test of a few lines;
# - say which symptom each of them shows, and which shows none at all;
# - decide what to repeat before you draw an error bar.
#
# **Seen before:** notebooks 2 and 2b (layers, rank), notebook 4c (escnn) and notebook 5 (labels, cosets, floors). **Time:** about 55 minutes.
#
# Careful people make these mistakes, and ship them. Here each one is rewritten, small, and hangs in the same frame: what
# it looks like, your prediction, the test, what it found, the repair, the moral.

# %%
import copy
import itertools
import pickle

from eqssl_edu.data import digits
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.evaluation import extract, interval, knn_probe
from eqssl_edu.exercises import check
from eqssl_edu.exercises.notebook_A1 import LAYERS, STUDIES
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GroupBatchNorm2d, GroupConv2d, GSetHead
from eqssl_edu.plots import COLOURS, TEMPLATE, image_grid, picture, row
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.steerable import enn, from_escnn, gspaces
from eqssl_edu.theory import label_cap
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import ByHand

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from torch import nn

C4, D4 = cyclic(4), dihedral(4)
data = digits(16)
images = data.test.images[:8].double()  # (8, 1, 16, 16)


def noise(*shape, seed=0):
    """Random numbers that are the same in every run, in double precision."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# %% [markdown]
# ## Exhibit 1 · The flattened map
#
# **What it looks like.** "The encoder is equivariant. So I put a classifier on its feature maps."


# %%
class FlattenedHead(nn.Module):
    """Feature maps (B, C, |G|, H, W) -> logits (B, 4)."""

    def __init__(self, channels, order, side):
        super().__init__()
        self.classify = nn.Linear(channels * order * side**2, 4)

    def forward(self, maps):
        return self.classify(maps.flatten(1))


torch.manual_seed(0)
encoder = GroupCNN(C4, channels=(4, 8)).double()
flattened = FlattenedHead(8, 4, side=8).double()
print(tuple(encoder.feature_maps(images).shape), "->", tuple(flattened(encoder.feature_maps(images)).shape))

# %% [markdown]
# **Predict.** Rotation labels. Does it learn? Is it still equivariant?

# %%
regular = GSet.regular(C4)


def learn_rotation(logits_of, parameters, steps=60):
    """A short training on "by how much was it turned?"; returns the accuracy on the last ten batches."""
    optimizer, generator = torch.optim.Adam(parameters, lr=0.01), torch.Generator().manual_seed(0)
    right = []
    for _ in range(steps):
        chosen = torch.randint(len(data.train.images), (32,), generator=generator)
        turn = torch.randint(4, (32,), generator=generator)
        logits = logits_of(C4.transform(data.train.images[chosen].double(), turn))
        optimizer.zero_grad()
        F.cross_entropy(logits, turn).backward()
        optimizer.step()
        right.append((logits.argmax(dim=1) == turn).double().mean().item())
    return sum(right[-10:]) / 10


def with_flattened(x):
    return flattened(encoder.feature_maps(x))


accuracy = learn_rotation(with_flattened, [*encoder.parameters(), *flattened.parameters()])
print(f"accuracy {accuracy:.2f}")

# %% [markdown]
# **Symptom:** none. The accuracy looks fine. Now the test: turn the input. Do the logits move as the labels do?

# %%
encoder.eval()
errors = equivariance_error(with_flattened, images, C4, transform_outputs=regular.transform)
print("error for e, r90, r180, r270:", [f"{error:.2f}" for error in errors])
assert accuracy > 0.7 and errors[1:].min() > 0.1

# %% [markdown]
# **Found.** The linear layer has a weight of its own for each *pixel* and each *element* of `G`. Turn the input, and both
# move under it. The symmetry that was built with care through the whole encoder is gone in its last line.
#
# **Repair.** First the mean over the grid, then the universal head on `(B, C, |G|)`. The mean alone is not enough: a free
# linear layer after it still has a weight of its own for each element.

# %%
head, free = GSetHead(regular, 8).double(), nn.Linear(8 * 4, 4).double()


def with_mean(x):
    return head(encoder.feature_maps(x).mean(dim=(-2, -1)))


def with_mean_and_free_weights(x):
    return free(encoder.feature_maps(x).mean(dim=(-2, -1)).flatten(1))


for logits_of in (with_mean, with_mean_and_free_weights):
    errors = equivariance_error(logits_of, images, C4, transform_outputs=regular.transform)
    print(f"{logits_of.__name__}: error {errors.max():.0e}")
    assert errors.max() < 1e-12 if logits_of is with_mean else errors[1:].min() > 0.01

# %% [markdown]
# > **Moral:** test the *whole* model from input to logits; a chain is as equivariant as its last link.
#
# ## Exhibit 2 · One batch norm too many
#
# **What it looks like.** "My maps have C|G| planes, so I take `BatchNorm2d(C|G|)`." And a careful test beside it:

# %%
convolution = GroupConv2d(C4, 2, 3, 3, padding=1).double()
per_plane = nn.BatchNorm2d(3 * 4).double()
maps = noise(16, 2, 4, 9, 9)


def layer_with_plane_norm(maps):
    return per_plane(convolution(maps).flatten(1, 2)).unflatten(1, (3, 4))


def error_of(layer, maps):
    """The largest error, in the mode that the layer has; `equivariance_error` tests in evaluation mode alone."""
    with torch.no_grad():
        norms = [
            (layer(C4.transform_maps(maps, g)) - C4.transform_maps(layer(maps), g)).norm()
            for g in C4.elements
        ]
        return float(max(norms) / layer(maps).norm())


print(f"the careful test: error {error_of(layer_with_plane_norm, maps):.0e}")
assert error_of(layer_with_plane_norm, maps) < 1e-12

# %% [markdown]
# **Predict.** The test passes. What did it not try?
#
# **Symptom:** none, until the model is put to use: in evaluation mode, or with images that are turned one by one.

# %%
strength = torch.tensor([2.0, 1.0, 0.5, 0.2]).double()  # data with an orientation: plane e is the strongest
upright = torch.relu(maps) * strength[:, None, None]
for _ in range(30):
    layer_with_plane_norm(upright)  # training: the running statistics learn
each_its_own = torch.arange(16) % 4


def error_of_own_turns(layer, maps):
    """The error of a layer when every sample is turned by its own element."""
    expected = C4.transform_maps(layer(maps), each_its_own)
    return float(
        ((layer(C4.transform_maps(maps, each_its_own)) - expected).norm() / expected.norm()).detach()
    )


per_plane.train()
own_error = error_of_own_turns(layer_with_plane_norm, upright)
per_plane.eval()
evaluation_error = error_of(layer_with_plane_norm, upright)
print(
    f"training mode, each image turned by its own element: {own_error:.2f};  evaluation mode: {evaluation_error:.2f}"
)
assert min(own_error, evaluation_error) > 0.05

# %% [markdown]
# **Found.** Each plane has statistics of its own. When the whole batch is turned, they move along, and the careful test saw just
# that. In evaluation mode they stay. And once an optimiser has moved the scales of the planes, even the careful test fails.
#
# **Repair.** One mean, one variance and one scale per channel, over batch, group and grid.

# %%
shared = GroupBatchNorm2d(C4, 3).double()
for norm in (per_plane, shared):
    nn.init.uniform_(norm.weight, 0.5, 1.5)  # as if an optimiser had moved the scales

per_plane.train()
print(f"the careful test with other scales: error {error_of(layer_with_plane_norm, maps):.2f}")
assert error_of(layer_with_plane_norm, maps) > 0.05


def layer_with_shared_norm(maps):
    return shared(convolution(maps))


for training in (True, False):
    shared.train(training)
    assert error_of(layer_with_shared_norm, upright) < 1e-12
    assert error_of_own_turns(layer_with_shared_norm, upright) < 1e-12

# %% [markdown]
# > **Moral:** test in training *and* in evaluation mode, after some training, and turn every sample by its own element.
#
# ## Exhibit 3 · The coset of another mirror
#
# **What it looks like.** "My pipeline mirrors images left to right, so my $D_4$ task uses the four cosets of a reflection."


# %%
task = RotationTask(D4, stabilizer=(0, 6))  # e and one reflection
print(task.labels)
print("cosets:", [tuple(D4.element_name(t) for t in coset) for coset in task.cosets.tolist()])

# %% [markdown]
# The label set is a proper G-set, the library accepts it, the network is equivariant to rounding. **Predict.** How far does
# the training get?

# %%
left_to_right = 4  # what the pipeline does to one half of the images, before the task sees them
mirrored = torch.rand(len(data.train.images), generator=torch.Generator().manual_seed(0)) < 0.5
seen = data.train.images.clone()
seen[mirrored] = D4.transform(seen[mirrored], left_to_right)
both_ways = torch.cat([data.test.images, D4.transform(data.test.images, left_to_right)])


def after_training(task):
    """Loss in nats and accuracy on the test digits and their mirror images, after three epochs."""
    torch.manual_seed(0)
    model = PretextModel(GroupCNN(D4, channels=(4, 8)), task)
    for _ in Pretrainer(model, seen, epochs=3, batch_size=64, lr=1e-2, seed=0).steps():
        pass
    return model.evaluate(both_ways)


loss, accuracy = after_training(task)
print(f"loss {loss:.3f} nats, accuracy {accuracy:.1%}")
assert 0.693 < loss < 0.75 and 0.45 < accuracy <= 0.5

# %% [markdown]
# **Symptom:** it stops at 0.693 nats and 50 %. One may blame the learning rate for days.
#
# **The test.** What the pipeline makes look alike must have the same label. The mirror image mx, turned by t, is the picture
# (tm)x. So t and tm need one label.


# %%
def torn_apart(task, mirror):
    """The elements t for which t and t * mirror have different labels."""
    _, labels = task.every_input(images[:1])  # the label of every element
    return [t for t in D4.elements if labels[t] != labels[D4.product[t, mirror]]]


print("torn apart:", [D4.element_name(t) for t in torn_apart(task, left_to_right)])
floor = label_cap(task.labels, (0, left_to_right))
print(f"best possible: {floor.nats:.3f} nats, accuracy {floor.accuracy:.0%}")
assert len(torn_apart(task, left_to_right)) == 8
assert floor.accuracy == 1 / 2 and loss > floor.nats

# %% [markdown]
# **Found.** Element 6 is the reflection *upside down*: first flip, then turn by 180 degrees. The pipeline flips left to right,
# element 4. Choose the mirror of the labels below, and look at the two pictures that share label 0: with the right mirror, one
# is what the pipeline makes of the other.


# %%
MIRRORS = {"upside down": (0, 6), "left to right": (0, 4), "along a diagonal": (0, 5)}


def pictures_of_label_0(mirror):
    chosen = RotationTask(D4, stabilizer=MIRRORS[mirror])
    flipped = D4.transform(images[3], left_to_right)[0]
    copies = [D4.transform(images[3], t)[0] for t in chosen.cosets[0].tolist()]
    names = [f"label 0: {D4.element_name(t)}" for t in chosen.cosets[0].tolist()]
    boxes = [picture(plane, name, side=150) for plane, name in zip(copies, names, strict=True)]
    agree = "holds" if torch.equal(copies[1], flipped) else "does not hold"
    cap = label_cap(chosen.labels, (0, left_to_right)).accuracy
    text = f"Label 0 {agree} the pipeline's mirror image. Best accuracy {cap:.0%}."
    return row([*boxes, picture(flipped, "the pipeline's mirror image", side=150)], text)


ByHand(pictures_of_label_0, mirror=list(MIRRORS))

# %%
repaired = RotationTask(D4, stabilizer=(0, left_to_right))
assert torn_apart(repaired, left_to_right) == []
assert label_cap(repaired.labels, (0, left_to_right)).accuracy == 1
for mirror in MIRRORS:
    assert ("does not hold" in pictures_of_label_0(mirror)) == (mirror != "left to right")

loss, accuracy = after_training(repaired)
print(f"the same training: loss {loss:.3f} nats, accuracy {accuracy:.1%}")
assert accuracy > 0.55

# %% [markdown]
# > **Moral:** two pictures that the pipeline cannot tell apart must have one label; check that with the pipeline's own flip.
#
# ## Exhibit 4 · The missing permutation
#
# **What it looks like.** 24 permutations of a 3 x 3 jigsaw, and a table that says which label a turned puzzle gets. Where the
# turned permutation is not among the 24, the author takes the nearest one. "It hardly ever matters."

# %%
generator = torch.Generator().manual_seed(0)
some = torch.stack([torch.randperm(9, generator=generator) for _ in range(24)])
positions = GSet.grid(C4, 3).action


def nearest_label_table(permutations):
    rows = []
    for g in C4.elements:
        there, back = positions[g], positions[C4.inverse[g]]
        moved = there[permutations[:, back]]  # the permutation of the turned puzzle
        distance = (moved[:, None] != permutations).sum(dim=2)
        rows.append(distance.argmin(dim=1))
    return torch.stack(rows)


def logits(table, features):
    """A head that shares its weights as the table says: features (B, C, |G|) -> logits (B, n)."""
    weight = noise(features.shape[1], table.shape[1])
    return torch.einsum("bcg,cgl->bl", features, weight[:, table[C4.inverse]])


table = nearest_label_table(some)
features = noise(8, 3, 4, seed=1)
print(f"shape {tuple(table.shape)}, labels {int(table.min())} to {int(table.max())}")
print(f"a head on it: {tuple(features.shape)} -> {tuple(logits(table, features).shape)}")
assert torch.equal(table[0], torch.arange(24))  # the identity moves nothing

# %% [markdown]
# **Predict.** The table has the right shape, and the identity moves nothing. A head built on it runs. What is wrong?
#
# **Symptom:** none. The shapes fit, and numbers come out.
#
# **The test** is the definition. An action must satisfy $(gh) \cdot l = g \cdot (h \cdot l)$.

# %%
broken = sum(
    int((table[C4.product[g, h]] != table[g][table[h]]).sum())
    for g, h in itertools.product(C4.elements, C4.elements)
)
print(f"(gh).l differs from g.(h.l) in {broken} of {4 * 4 * 24} cases")
assert broken > 100

try:
    GSet(C4, table)
except ValueError as problem:
    print("GSet:", problem)
else:
    raise AssertionError("a broken table was accepted")

# %% [markdown]
# **Found.** It matters always: not one turned permutation is among the 24. Turn a label four times by 90 degrees, and most
# labels do not come back. The head that was built on the table is not equivariant.
#
# **Repair.** Take whole orbits. Then each turned permutation is in the set, and there is nothing to approximate.

# %%
for g in (1, 2, 3):
    turned = positions[g][some[:, positions[C4.inverse[g]]]]
    assert not any(torch.equal(one, other) for one in turned for other in some)

come_back = table[1][table[1][table[1][table[1]]]] == torch.arange(24)
print(f"labels that come back after four quarter turns: {int(come_back.sum())} of 24")
assert come_back.sum() < 12


def head_error(table):
    """How far the logits of turned features are from the moved logits."""
    turned, expected = logits(table, C4.transform_features(features, 1)), logits(table, features)
    return float((turned[:, table[1]] - expected).norm() / expected.norm())


closed = GSet.jigsaw(C4, 3, count=24)
assert torch.equal(
    nearest_label_table(closed.permutations), closed.action
)  # the same code, and now it is right
assert closed.size >= 24
print(f"error of the head: {head_error(table):.2f}, on whole orbits {head_error(closed.action):.0e}")
assert head_error(table) > 0.1 and head_error(closed.action) < 1e-12

# %% [markdown]
# > **Moral:** a table is an action when it composes; let the constructor check that, once, for ever.
#
# ### Exercise 1 · Write the guard
#
# Write the test as a function: True if a table `(|G|, n)` is an action of the group.


# %%
def is_action(table, group):
    """True if e.l = l and (gh).l = g.(h.l) for all g, h and l."""
    # BEGIN SOLUTION
    n = table.shape[1]
    identity = torch.equal(table[0], torch.arange(n))
    return identity and torch.equal(table[group.product], table[:, table])
    # END SOLUTION


check("A1.is_action", is_action)

# %% tags=["solution-only"]
assert check("A1.is_action", is_action).ok
assert is_action(closed.action, C4) and not is_action(table, C4)

# %% [markdown]
# ## Exhibit 5 · The kernel that tests equivariant
#
# **What it looks like.** A group convolution of $C_4$. "The filter plane that links input plane h with output plane g depends on
# the angle between them."


# %%
def by_the_angle(weight):
    """weight (C', C, 4, k, k) -> the weight of an ordinary convolution (C' 4, C 4, k, k)."""
    copies = []
    for g in range(4):
        angle = [min((h - g) % 4, (g - h) % 4) for h in range(4)]
        copies.append(C4.transform(weight[:, :, angle], g))
    return torch.stack(copies, dim=1).flatten(0, 1).flatten(1, 2)


def convolve(expanded, maps):
    return F.conv2d(maps.flatten(1, 2), expanded, padding=2).unflatten(1, (-1, 4))


weight, maps = noise(1, 1, 4, 5, 5), noise(2, 1, 4, 9, 9, seed=1)
error = error_of(lambda maps: convolve(by_the_angle(weight), maps), maps)
size = float(convolve(by_the_angle(weight), maps).norm())
print(f"equivariance error {error:.0e}, output of size {size:.0f}, {weight.numel()} parameters")
assert error < 1e-12 and size > 1 and weight.numel() == 100

# %% [markdown]
# **Predict.** Equivariant to the last digit, not zero, 100 parameters as it should be. Which question is left?
#
# **Symptom:** none. Every test so far passes.
#
# **The test:** how many independent kernels can the layer reach? Set one weight after the other to 1, and ask for the rank.


# %%
def rank(expand):
    """How many independent kernels a function weight -> expanded weight reaches, for C4 and 5 x 5."""
    ones = torch.eye(100, dtype=torch.float64).reshape(100, 1, 1, 4, 5, 5)
    return int(torch.linalg.matrix_rank(torch.stack([expand(one).flatten() for one in ones])))


def library(weight):
    layer = GroupConv2d(C4, 1, 1, 5).double()
    layer.weight.data = weight
    return layer.expanded_weight().detach()


print(f"the exhibit reaches {rank(by_the_angle)} of 100, the library {rank(library)}")
assert rank(by_the_angle) == 75 and rank(library) == 100

# %% [markdown]
# **Found.** A quarter of the kernels is missing: 90 degrees to the left and 90 degrees to the right share a plane, and one plane of
# the weights is never used. The unused weights are easy to see, once one asks for them:

# %%
weight = noise(1, 1, 4, 5, 5).requires_grad_()
convolve(by_the_angle(weight), maps).square().sum().backward()
touched = weight.grad[0, 0].abs().flatten(1).sum(dim=1) > 0
print("planes that get a gradient:", touched.tolist())
assert touched.tolist() == [True, True, True, False]
image_grid(
    weight.grad[0, 0],
    ["0°", "90°", "180°", "never used"],
    "Gradient of the four filter planes",
    signed=True,
    value="gradient",
)

# %% [markdown]
# **Repair.** Index by the element $g^{-1}h$, not by the size of an angle: `(h - g) % 4`.


# %%
def by_the_element(weight):
    copies = [C4.transform(weight[:, :, [(h - g) % 4 for h in range(4)]], g) for g in range(4)]
    return torch.stack(copies, dim=1).flatten(0, 1).flatten(1, 2)


assert rank(by_the_element) == 100
weight = noise(1, 1, 4, 5, 5)
assert torch.allclose(by_the_element(weight), library(weight), rtol=0, atol=1e-12)

# %% [markdown]
# > **Moral:** equivariance says that nothing wrong is reached; the rank says that everything right is.
#
# ### Exercise 2 · Four strangers
#
# `LAYERS` holds four functions like `by_the_angle`, with nothing said about them. Test each one. Which are right:
# equivariant, and able to reach all 100 kernels? Give a list of names. (`rank(LAYERS[name])` and
# `error_of(lambda m: convolve(LAYERS[name](weight), m), maps)` are at hand.)

# %%
print(sorted(LAYERS))
# BEGIN SOLUTION
# GAP: right_layers = ...  # a list of names
right_layers = ["Ada", "Cleo"]
# END SOLUTION
check("A1.strangers", right_layers)

# %% tags=["solution-only"]
assert check("A1.strangers", right_layers).ok
for name, expand in LAYERS.items():
    error = error_of(lambda m, expand=expand: convolve(expand(weight), m), maps)
    print(name, rank(expand), f"{error:.0e}")
    assert (name in right_layers) == (rank(expand) == 100 and error < 1e-12)

# %% [markdown]
# ## Exhibit 6 · The probe in training mode
#
# **What it looks like.** A function that computes features for a probe. "No gradients are needed, so `no_grad`."


# %%
@torch.no_grad()
def features_of(encoder, images):
    """Pooled features (N, C) of all images, in batches."""
    return torch.cat([encoder(batch).mean(dim=2) for batch in images.split(60)])


torch.manual_seed(0)
encoder = GroupCNN(C4, channels=(8, 16)).train()
features_of(encoder, data.train.images)  # a pass over the data, so that the batch norms know them
train_features = features_of(encoder, data.train.images)
probe = knn_probe(train_features, data.train.labels)
by_class = data.test.labels.argsort()  # the test set as many data sets store it: class by class
print(f"accuracy {probe.score(features_of(encoder, data.test.images), data.test.labels):.2f}")

# %% [markdown]
# **Predict.** The same test images, sorted by class: what is the accuracy now? It should be the same number.
#
# **Symptom:** a number that is a little off, and another one when the data come in another order.

# %%
accuracies = {}
for name, order in (("mixed", torch.arange(len(by_class))), ("sorted by class", by_class)):
    test_features = features_of(encoder, data.test.images[order])
    accuracies[name] = probe.score(test_features, data.test.labels[order])
    print(f"{name:16} accuracy {accuracies[name]:.2f}")
assert abs(accuracies["mixed"] - accuracies["sorted by class"]) > 0.05

# %% [markdown]
# **The test:** does an image's feature depend on the images beside it?


# %%
def depends_on_the_batch(encoder, images):
    """How much the features of the first image change with its neighbours, relative to their size."""
    with torch.no_grad():
        first, other = encoder(images[:4])[0], encoder(images[[0, 5, 6, 7]])[0]
    return float((first - other).norm() / first.norm())


print(f"training mode {depends_on_the_batch(encoder, data.test.images):.3f}")
print(f"evaluation mode {depends_on_the_batch(encoder.eval(), data.test.images):.0e}")
assert depends_on_the_batch(encoder.train(), data.test.images) > 0.01
assert depends_on_the_batch(encoder.eval(), data.test.images) < 1e-5

# %% [markdown]
# **Found.** In training mode, batch norm uses the mean of the *batch*. A batch of sevens is centred on seven. Worse, every pass
# moves the running statistics: looking at the test set changes the encoder.

# %%
before = {name: value.clone() for name, value in encoder.train().state_dict().items()}
features_of(encoder, data.test.images)
changed = [name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])]
print("changed by looking:", changed)
assert changed and all("running" in name or "num_batches" in name for name in changed)

# %% [markdown]
# **Repair.** `encoder.eval()` before, and the old mode after. `evaluation.extract` does both. Then the order does not matter.

# %%
encoder.train()
one_by_one = extract(encoder, data.test.images[:20], batch_size=1)
at_once = extract(encoder, data.test.images[:20])
assert torch.allclose(one_by_one, at_once, atol=1e-5) and encoder.training

probe = knn_probe(extract(encoder, data.train.images).mean(dim=2), data.train.labels)
repaired = [
    probe.score(extract(encoder, data.test.images[order]).mean(dim=2), data.test.labels[order])
    for order in (torch.arange(len(by_class)), by_class)
]
print(f"mixed {repaired[0]:.2f}, sorted by class {repaired[1]:.2f}")
assert abs(repaired[0] - repaired[1]) < 0.01

# %% [markdown]
# > **Moral:** a feature belongs to an image; compute it alone and in company, and compare.
#
# ## Exhibit 7 · The error bar that measures the wrong thing
#
# **What it looks like.** "We pretrained both methods and trained five probes on each. Method B is better, and the 95 % intervals
# do not overlap."
#
# Here are two methods, each pretrained once. The probe is a linear layer with a random start.


# %%
def pretrain(seed):
    """Two epochs of rotation labels; returns the pooled features of train and test digits."""
    torch.manual_seed(seed)
    model = PretextModel(GroupCNN(C4, channels=(3, 6)), RotationTask(C4))
    for _ in Pretrainer(model, data.train.images, epochs=2, batch_size=64, lr=1e-2, seed=seed).steps():
        pass
    parts = (data.train.images, data.test.images)
    return [extract(model.encoder.cpu(), part).mean(dim=2) for part in parts]


def probe_accuracy(features, seed):
    """A linear probe by gradient descent from a random start; its accuracy on the test digits in %."""
    train, test = features
    mean, deviation = train.mean(dim=0), train.std(dim=0)
    train, test = (train - mean) / deviation, (test - mean) / deviation
    generator = torch.Generator().manual_seed(seed)
    weight = (0.1 * torch.randn(train.shape[1], 10, generator=generator)).requires_grad_()
    bias = torch.zeros(10, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(train @ weight + bias, data.train.labels).backward()
        optimizer.step()
    return 100 * ((test @ weight + bias).argmax(dim=1) == data.test.labels).double().mean().item()


pretrained = [pretrain(seed) for seed in range(6)]
restarts = [[probe_accuracy(features, restart) for restart in range(5)] for features in pretrained]
ranked = sorted(restarts, key=lambda values: sum(values))
methods = {"method A": interval(ranked[0]), "method B": interval(ranked[-1])}
for name, bar in methods.items():
    print(f"{name}: {bar.mean:.1f} %, from {bar.low:.1f} to {bar.high:.1f}")

# %% [markdown]
# **Predict.** Is B better than A?
#
# **The test** is called A/A: run *the same* method twice. And that is what we did. A and B are one program, one set of
# hyper-parameters, with two pretraining seeds. (The author of such a bar tried two seeds; we took the extremes of six, to make the
# point plain. Most of the other pairs would do: the cell counts them.)

# %%
assert methods["method A"].high < methods["method B"].low  # "significant": and there is no difference at all

bars = [interval(values) for values in restarts]
pairs = list(itertools.combinations(bars, 2))
apart = sum(one.high < other.low or other.high < one.low for one, other in pairs)
print(f"the intervals of {apart} of {len(pairs)} pairs of seeds do not overlap")
assert apart > len(pairs) / 2

figure = go.Figure(
    layout={"template": TEMPLATE, "width": 720, "height": 400, "title": "Six pretraining seeds of one method"}
)
for seed, values in enumerate(restarts):
    figure.add_scatter(
        x=[seed] * 5,
        y=values,
        mode="markers",
        marker={"color": COLOURS[0], "size": 9, "opacity": 0.6},
        showlegend=False,
    )
seeds = interval([sum(values) / 5 for values in restarts])
print("mean of each seed (%):", [round(bar.mean, 1) for bar in bars])
print(f"the interval over seeds: {seeds.mean:.1f} %, from {seeds.low:.1f} to {seeds.high:.1f}")
figure.add_hrect(seeds.low, seeds.high, fillcolor=COLOURS[4], opacity=0.3, line_width=0)
figure.update_xaxes(title="pretraining seed (each dot: one restart of the probe)", dtick=1)
figure.update_yaxes(title="accuracy of the probe (%)")

# %% [markdown]
# **Found.** The dots of one seed lie close together: the probe's restart hardly matters. The columns lie far apart: the pretraining
# seed does. The bar of the five restarts answers the question "what if I trained the *probe* again?" Nobody had asked.
# The orange band is the interval over pretraining seeds.
#
# **Repair.** One number for each pretraining seed (the mean of its restarts, if you like), the interval over these numbers, and
# paired where both methods saw the same seeds (`evaluation.paired_interval`).

# %%
spread_of_restarts = torch.tensor(restarts).std(dim=1).mean().item()
spread_of_seeds = torch.tensor(restarts).mean(dim=1).std().item()
print(
    f"standard deviation over restarts {spread_of_restarts:.2f}, over pretraining seeds {spread_of_seeds:.2f}"
)
assert spread_of_seeds > 2 * spread_of_restarts
assert seeds.high - seeds.low > 2 * (methods["method A"].high - methods["method A"].low)

# %% [markdown]
# > **Moral:** repeat what your claim is about, from its first random number on.
#
# ### Exercise 3 · What must be repeated?
#
# Five claims. For each, write what has to be repeated for its error bar: `"pretraining"`, `"probe"` or `"test images"`.

# %%
print("\n".join(STUDIES))
# BEGIN SOLUTION
# GAP: repeated = dict.fromkeys(STUDIES, ...)
answers = ["pretraining", "test images", "probe", "pretraining", "pretraining"]
repeated = dict(zip(STUDIES, answers, strict=True))
# END SOLUTION
check("A1.what_to_repeat", repeated)

# %% tags=["solution-only"]
assert check("A1.what_to_repeat", repeated).ok

# %% [markdown]
# ## Exhibit 8 · The kernel that does not follow its weights
#
# **What it looks like.** "I load the saved weights into my escnn layer. Some names do not fit, so I take `strict=False`."

# %%
plane = gspaces.rot2dOnR2(4)
image_type = enn.FieldType(plane, [plane.trivial_repr])
regular_type = enn.FieldType(plane, 2 * [plane.regular_repr])


def new_layer(seed):
    torch.manual_seed(seed)
    return enn.R2Conv(image_type, regular_type, kernel_size=3)


x = image_type(images.float())
source, target = new_layer(0), new_layer(1).eval()
target.load_state_dict(source.state_dict(), strict=False)
print("the weights are equal:", torch.equal(target.weights, source.weights))

# %% [markdown]
# **Predict.** The weights are equal. Are the outputs?
#
# **Symptom:** none where the mistake is made. Later the loaded network is as bad as an untrained one.
#
# **The test:** compute something with the source and with the copy.

# %%
with torch.no_grad():
    off = float((target(x).tensor - source(x).tensor).abs().max())
print(f"largest difference: {off:.1f}")
assert torch.equal(target.weights, source.weights) and off > 0.1

# %% [markdown]
# **Found.** In evaluation mode escnn's layers keep their expanded kernel, which is faster. It went on with the old one. The
# kept kernel is also part of the state dict. So the names depend on the mode: what is saved in one is refused in the other.

# %%
for saving, loading in (("train", "eval"), ("eval", "train")):
    saved = new_layer(0).train(saving == "train").state_dict()
    try:
        new_layer(1).train(loading == "train").load_state_dict(saved)
    except RuntimeError as problem:
        print(f"saved in {saving}, loaded in {loading}:", str(problem).splitlines()[1].strip())
    else:
        raise AssertionError("it was accepted")

# %% [markdown]
# **Repair.** escnn's advice: switch to eval before saving *and* before loading. Or give the module to `from_escnn`, whose state
# dict is the same in either mode.

# %%
mended, other = from_escnn(new_layer(0)), from_escnn(new_layer(1))
for saving, loading in (("train", "eval"), ("eval", "train")):
    mended.train(saving == "train")
    other.train(loading == "train").load_state_dict(mended.state_dict())
    for twin in (other, copy.deepcopy(mended), pickle.loads(pickle.dumps(mended))):
        assert torch.equal(twin(images.float()), mended(images.float()))

# %% [markdown]
# > **Moral:** weights are loaded when the *outputs* agree; never silence a list of names.
#
# ## Exhibit 9 · Two networks, one buffer
#
# **What it looks like.** "I compare two networks. One of them in double precision."

# %%
one, other = new_layer(0), new_layer(1)
one.double()
try:
    other(x)
except RuntimeError as problem:
    print("the other network:", problem)
else:
    raise AssertionError("it went well")

# %% [markdown]
# **Symptom:** an error in a network that nobody has touched. (This is the exhibit that does raise one, in the wrong place.)
#
# **The test:** do two objects that should be apart hold the same memory?


# %%
def shared_buffers(one, other):
    """How many buffers of one module lie in the memory of another."""
    places = {buffer.data_ptr() for buffer in other.buffers()}
    return sum(buffer.data_ptr() in places for buffer in one.buffers())


one.float()
print(
    "raw:",
    shared_buffers(one, other),
    " mended:",
    shared_buffers(*map(from_escnn, (new_layer(0), new_layer(1)))),
)
assert shared_buffers(one, other) > 0 == shared_buffers(*map(from_escnn, (new_layer(0), new_layer(1))))

# %% [markdown]
# **Found.** All layers of a process that have the same basis share one buffer. It saves memory, and nobody thinks of it.
#
# **Repair.** Each module gets a copy of its own. Here is all that `eqssl_edu.steerable` mends in escnn, a table of patches with
# the symptom that each of them would show you:
#
# | flaw | symptom | patch |
# |---|---|---|
# | two dependencies for SO(3) alone often cannot be installed | `import escnn` fails | stand-ins while it is imported |
# | the expanded kernel is in the state dict, and goes stale | exhibit 8 | the layers expand at every call; old entries are dropped |
# | layers with one basis share a buffer | exhibit 9 | each module owns its bases |
# | groups and representations hold local functions | `pickle` and `deepcopy` refuse | they are rebuilt from their names |
# | it hands scikit-learn a type that this refuses | an error in $D_n$ and O(2) | scipy's exact decomposition |
#
# > **Moral:** keep your patches in one place, each with the symptom it cures, so that you notice when one is needed no longer.
#
# ## On the way out
#
# | exhibit | symptom | the test that finds it |
# |---|---|---|
# | 1 the flattened map | none | equivariance of the whole model |
# | 2 one norm too many | none in the careful test | both modes, each sample its own turn |
# | 3 another mirror's coset | a plateau at log 2 | what the pipeline confuses has one label |
# | 4 the missing permutation | none | the table composes |
# | 5 the kernel by the angle | none | rank |
# | 6 the probe in training mode | depends on the order of the data | a feature alone and in company |
# | 7 the bar of restarts | significance | A/A |
# | 8 the kernel that does not follow | a loaded network is bad | compare outputs |
# | 9 one buffer for two | an error somewhere else | shared memory |
#
# None of the first eight raises an error where it is made, and each prints a plausible number. One of them shows in the loss curve, if one knows the
# floor. All were found by a test of a few lines that states *what must be true*.
#
# **One to turn:** in exhibit 3, try the diagonal mirror. **One to think:** which of the nine tests does your own code have?
#
# ## Where to read on
#
# - `tests/` of this course: tests like these, for the layers and the groups of the library, with twins that must fail.
# - Notebook 3 for errors between the quarter turns; notebook 5 for floors and cosets.
