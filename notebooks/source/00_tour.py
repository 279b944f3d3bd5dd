# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 0 · The tour
#
# After this notebook you can
#
# - say what *equivariant* means, point at it in a picture, and measure it;
# - explain why a network that forgets the rotation can never learn to predict it, and which labels repair that;
# - explain what a contrastive loss must *absorb* when each view of an image may be turned.
#
# **Seen before:** a convolutional network, and the cross-entropy loss. **Time:** about 25 minutes, of which the
# computer needs less than one.
#
# Run the cells from top to bottom with <kbd>Shift</kbd> + <kbd>Enter</kbd>. Lines that begin with **Predict** ask for
# your guess before you look.

# %%
import math

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE, orbit_correlation
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.encoders import GroupCNN, count_parameters, matched_cnn
from eqssl_edu.evaluation import extract, knn_probe, linear_probe, orientations, recalibrated
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import InvariantHead
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import FieldExplorer, LiveTraining, OrbitCorrelationExplorer

import torch
from IPython.display import HTML

SEED = 0  # change it and run again: no sentence below depends on luck
data = digits()  # real handwritten digits, 16 x 16 pixels, split in train, validation and test

# %% [markdown]
# ## 0.1 Turn a digit by hand
#
# `G` is the group $C_4$: the rotations by 0, 90, 180 and 270 degrees, numbered 0 to 3. We build two networks with random
# weights. The first is a *group-convolutional* network for `G`. The second is an ordinary CNN with as many parameters.

# %%
G = cyclic(4)
torch.manual_seed(SEED)
network = GroupCNN(G, in_channels=1, channels=(8, 16, 32))
cnn = matched_cnn(network, by="parameters")
print(f"group network: {count_parameters(network):,} parameters; plain CNN: {count_parameters(cnn):,}")

# %% [markdown]
# **Predict.** When the image turns by 90 degrees, what happens to the feature maps of each network?
#
# Then move the slider *Angle*, and press the buttons of the group elements. Each row of the group network is one channel:
# four maps, one for each element of `G`. Tick *Stabilise* to see the maps turned back.

# %%
image = digits(size=32).test.images[7]  # (1, 32, 32)
explorer = FieldExplorer(network, image, compare=cnn, names=("C4 network", "plain CNN"))
explorer

# %% [markdown]
# You should see two things at 90 degrees. The maps of the group network *turn* with the image, and they *move one place*
# along the row. The maps of the plain CNN turn a little, but they also change: something else is in them.
#
# That is equivariance: turning the input does to the output something that is known beforehand. In symbols
# $f(g\,x) = g\,f(x)$, with $x$ the image `(1, 32, 32)`, $g$ an element of `G`, and $f(x)$ the maps
# `(32, 4, 8, 8)`: channels, group, height, width. The explorer's error is the relative size of $f(g\,x) - g\,f(x)$.

# %%
explorer.set_state(angle=45.0)
errors_45 = explorer.errors()
explorer.set_state(angle=90.0)
errors_90 = explorer.errors()
for name in errors_90:
    print(
        f"{name:<11} error at 90 degrees {100 * errors_90[name]:.5f} %, at 45 degrees {100 * errors_45[name]:.1f} %"
    )

assert errors_90["C4 network"] < 1e-5  # zero, up to rounding in float32
assert errors_90["plain CNN"] > 0.05
assert errors_45["C4 network"] > 0.05  # 45 degrees is not in C4: nothing was promised

# %% [markdown]
# Nothing was trained. The equivariance is built into the weights, and it is exact for the elements of the group and
# only for them. Notebook 02 builds these layers from nothing; notebook 03 asks what happens between the elements.
#
# The same holds for the *features*, the mean of the maps over the grid: for one image a table `(32, 4)`, 32 channels
# times 4 group elements. When the image turns, the four columns move round: the **regular representation** of `G`.

# %%
features = network.eval()(image[None])  # (1, 32, 4)
turned = network(G.transform(image[None], 1))
print("channel 0 upright: ", [round(value, 4) for value in features[0, 0].tolist()])
print("channel 0 at 90:   ", [round(value, 4) for value in turned[0, 0].tolist()])

assert torch.allclose(turned, G.transform_features(features, 1), atol=1e-6)
assert not torch.allclose(turned, features, atol=1e-6)
assert equivariance_error(network, data.test.images[:20]).max() < 1e-5

# %% [markdown]
# ## 0.2 First idea: labels that move with the input
#
# Self-supervised learning needs a task that costs no labels. A famous one: turn each image by a random element of `G`
# and ask the network *by how much*. To answer, it has to know what upright digits look like.
#
# A head makes logits from the features `(B, 32, 4)`. We try two.
#
# - The **invariant head** first pools over the group axis. That looks natural: classifiers for a group network do it.
# - The **equivariant head** keeps that axis. Its four logits move round when the image turns, as the label does.
#
# **Predict.** Which accuracy will each of them reach?

# %%
task = RotationTask(G)


def pretext_model(head=None):
    torch.manual_seed(SEED)
    return PretextModel(GroupCNN(G, in_channels=1, channels=(8, 16, 32)), task, head)


equivariant = pretext_model()  # with the equivariant head, GSetHead
invariant = pretext_model(InvariantHead(task.labels, in_channels=32))
live = LiveTraining(
    {
        "equivariant head": Pretrainer(
            equivariant, data.train.images, epochs=8, batch_size=64, lr=1e-2, seed=SEED
        ),
        "invariant head": Pretrainer(
            invariant, data.train.images, epochs=8, batch_size=64, lr=1e-2, seed=SEED
        ),
    },
    title="Which way up is it?",
)
live

# %% [markdown]
# The two runs see the same images in the same order, turned in the same way. *Stop* ends them early; the notebook goes
# on with what was learned. The next cell waits for the training, then asks both networks about every test image in all
# four orientations.

# %%
live.wait()
equivariant_loss, equivariant_accuracy = equivariant.evaluate(data.test.images)
invariant_loss, invariant_accuracy = invariant.evaluate(data.test.images)
print(f"equivariant head: accuracy {100 * equivariant_accuracy:.1f} %, loss {equivariant_loss:.3f} nats")
print(f"invariant head:   accuracy {100 * invariant_accuracy:.1f} %, loss {invariant_loss:.3f} nats")

assert invariant_accuracy == invariant.cap == 1 / 4  # exactly, whatever was learned
assert invariant_loss >= math.log(4) - 1e-9
assert live.stopped or equivariant_accuracy > 0.9

# %% [markdown]
# The invariant head has *exactly* 25 %, and more training changes nothing. Why? It gives the four copies of an image one
# and the same answer, and that answer is right for one copy of the four. Its loss cannot fall below
# $\log 4 = 1.386$ nats, the loss of guessing.
#
# The task contradicts the network: the network throws away what the task asks for. The remedy is not another
# network. It is to say how the group acts on the *labels*. Here the label set is `G` itself: if the input turns by
# $a$, label $g$ becomes $a g$. A head that obeys this action can learn the task, and stays equivariant:

# %%
inputs, labels = task.sample(data.test.images[:8], torch.Generator().manual_seed(SEED))
moved = task.labels.act(1, labels)  # where the labels go when the inputs turn by element 1
print("labels:", labels.tolist(), " after a turn by 90 degrees:", moved.tolist())

judge = equivariant.eval().cpu()
assert torch.equal(moved, (labels + 1) % 4)
assert torch.allclose(judge(G.transform(inputs, 1)), task.labels.transform(judge(inputs), 1), atol=1e-4)

# %% [markdown]
# An **equivariant pretext label** is an element of a set on which the group acts. Notebook 05 will derive the right
# action for other tasks, where it is less obvious than here.
#
# ## 0.3 Second idea: a loss that absorbs the turns
#
# Contrastive learning shows a network two *views* of each image, and asks it to find the partner of each view
# among the views of all other images. How alike are two views? Their features $z$ and $w$ are tables `(32, 4)`, and
# the usual answer is the inner product $\langle z, w \rangle$: the **plain** similarity.
#
# Now turn one view by 90 degrees. Its table moves round by one column.
#
# **Predict.** What happens to the inner product? What should happen?
#
# Below, turn view 1 and view 2. The polar plot shows $\kappa[g] = \langle z, g\,w \rangle$, divided by the lengths of
# $z$ and $w$: the inner products with *all* turned copies of $w$. Watch which losses stand still.

# %%
encoder = equivariant.encoder.eval()  # it has just learned which way is up, so it minds every turn
batch = data.test.images[:8]
views = OrbitCorrelationExplorer(encoder, batch)
views

# %% [markdown]
# You should see that the four values of $\kappa$ move round, and that none of them changes. Therefore every symmetric function of
# them stands still: their *mean*, their *max*, or *soft*, a smooth maximum. The *plain* similarity looks at one fixed place
# of $\kappa$, so it moves.

# %%
elements = torch.tensor([1, 3, 2, 0, 1, 1, 2, 3])  # turn the first view of each image by its own element
with torch.no_grad():
    z, z_turned = encoder(batch).double(), encoder(G.transform(batch, elements)).double()

before, after = orbit_correlation(G, z[:1], z[:1]), orbit_correlation(G, z_turned[:1], z[:1])
print("kappa before:", [round(value, 3) for value in before.flatten().tolist()])
print("kappa after: ", [round(value, 3) for value in after.flatten().tolist()])
assert torch.allclose(after, before.roll(1, dims=2), rtol=1e-5)  # element 1: by one place
assert not torch.allclose(after, before, rtol=1e-2)

for kind in ("plain", "mean", "max", "soft"):
    loss = InfoNCE(G, similarity=kind)
    change = float(loss(z_turned, z) - loss(z, z))
    print(
        f"{kind:<6} loss {float(loss(z, z)):.6f}, after the turns {float(loss(z_turned, z)):.6f}, change {change:+.1e}"
    )
    assert abs(change) > 1e-3 if kind == "plain" else abs(change) < 1e-5

# %% [markdown]
# A loss that does not change when *each* input is turned by its *own* element is an **invariant contrastive loss**. Does it
# matter for learning? We train three networks on views that are shifted, scaled, made noisy, and turned by a random element.
# They find the partner with *plain*, with *max*, and with *mean*, which absorbs the turns as well as *max* does.
#
# **Predict.** Which of them finds the most partners?


# %%
def contrastive_model(similarity):
    torch.manual_seed(SEED)
    encoder = GroupCNN(G, in_channels=1, channels=(8, 16, 32))
    return ContrastiveModel(encoder, InfoNCE(G, similarity), RandomView(G))


contrastive = {kind: contrastive_model(kind) for kind in ("max", "mean", "plain")}
live_views = LiveTraining(
    {
        kind: Pretrainer(model, data.train.images, epochs=10, batch_size=128, lr=1e-2, seed=SEED)
        for kind, model in contrastive.items()
    },
    title="Which view belongs to which?",
)
live_views

# %%
live_views.wait()


def contrastive_accuracy(model):
    """How often the partner is the most similar of 599 views: one pair of views of each test image."""
    generator = torch.Generator().manual_seed(SEED)
    model = model.eval().cpu()
    with torch.no_grad():
        z1, z2 = (model(model.views(data.test.images, generator)) for _ in range(2))
        logits, partner = model.loss.logits(z1, z2)
    return float((logits.argmax(dim=1) == partner).float().mean())


def change_by_a_turn(encoder):
    """How much a turn by 90 degrees changes the features, relative to their size."""
    upright = extract(encoder, data.test.images)
    return float((extract(encoder, G.transform(data.test.images, 1)) - upright).norm() / upright.norm())


accuracies = {kind: contrastive_accuracy(model) for kind, model in contrastive.items()}
changes = {kind: change_by_a_turn(model.encoder) for kind, model in contrastive.items()}
untrained = change_by_a_turn(recalibrated(contrastive_model("plain").encoder, data.train.images))
for kind in contrastive:
    print(
        f"{kind:<6} finds {accuracies[kind]:.1%} of the partners; a turn changes its features by {changes[kind]:.0%}"
    )
print(f"guessing finds {1 / 599:.1%}; a turn changes untrained features by {untrained:.0%}")
if not live_views.stopped:
    assert accuracies["max"] > max(accuracies["plain"], accuracies["mean"]) + 0.05
    assert accuracies["mean"] < accuracies["plain"] + 0.05
    assert 2 * changes["plain"] < untrained < changes["max"]

# %% [markdown]
# On the task itself *max* is far ahead. With *plain*, partners match only if features are alike in all four orientations,
# and the network has learned just that: a turn changes its features less than before the training. But to absorb the turns
# is not enough. *Mean* does, and is no better off: it adds the four columns up, so it never sees how the image stands.
# *Max* absorbs the turns and keeps what the columns say. (Notebook 08 compares more similarities, each at a temperature
# of its own.)
#
# ## 0.4 What was learned?
#
# The usual test: freeze the encoder and train a small classifier, a *probe*, on its features. We pool over the group, so
# that every encoder gives 32 numbers per image, and ask two probes for the digit's class: a linear one and the 10 nearest
# neighbours. Two controls stand beside the trained networks, and they might win: a *random* encoder whose batch norms know
# the data, and a random plain CNN of the same widths.
#
# **Predict.** How far ahead of the random encoder are the trained ones? Which rows suffer when the test images are turned?


# %%
def probe_accuracies(encoder):
    """Accuracy of both probes: on upright test images, and in the worst of the four orientations."""

    def pooled(images):
        return extract(encoder, images).mean(dim=2)

    train, validation = pooled(data.train.images), pooled(data.validation.images)
    linear = linear_probe(train, data.train.labels, (validation, data.validation.labels))
    nearest = knn_probe(train, data.train.labels)
    tests = [pooled(images).numpy() for images in orientations(G, data.test.images)]
    scores = [[probe.score(test, data.test.labels.numpy()) for test in tests] for probe in (linear, nearest)]
    return [(score[0], min(score)) for score in scores]


torch.manual_seed(SEED)
random_encoder = recalibrated(GroupCNN(G, in_channels=1, channels=(8, 16, 32)), data.train.images)
random_cnn = recalibrated(GroupCNN(cyclic(1), in_channels=1, channels=(8, 16, 32)), data.train.images)
results = {
    "random plain CNN": probe_accuracies(random_cnn),
    "random group network": probe_accuracies(random_encoder),
    "rotation labels, equivariant": probe_accuracies(equivariant.encoder),
    "contrastive, plain": probe_accuracies(contrastive["plain"].encoder),
    "contrastive, max": probe_accuracies(contrastive["max"].encoder),
}


# %%
def with_interval(accuracy):
    """In percent, with the 95 % interval that comes from having only so many test images."""
    deviation = math.sqrt(accuracy * (1 - accuracy) / len(data.test.images))
    return f"{100 * accuracy:.1f} ± {196 * deviation:.1f}"


rows = "".join(
    f'<tr><th scope="row" style="text-align:left">{name}</th>'
    + "".join(f"<td>{with_interval(value)}</td>" for pair in pairs for value in pair)
    + "</tr>"
    for name, pairs in results.items()
)
HTML(
    "<table><caption>Accuracy on 300 test images, in %: one training run each, seed "
    + str(SEED)
    + "</caption>"
    "<tr><td></td>"
    + "".join(
        f'<th scope="col">{name}</th>'
        for name in ("linear, upright", "linear, worst", "neighbours, upright", "neighbours, worst")
    )
    + "</tr>"
    + rows
    + "</table>"
)

# %% [markdown]
# What *is* different: for every group network the column "worst" equals the column "upright". Its pooled features do not
# change when the image turns. That comes from the architecture and was there before any training. The plain CNN may be
# ahead on upright images, but it does not know a turned digit again.

# %%
for name, pairs in results.items():
    for upright, worst in pairs:
        assert (upright - worst > 0.1) if name == "random plain CNN" else (upright - worst < 0.01)

linear = {name: pairs[0][0] for name, pairs in results.items()}  # upright
assert max(linear.values()) - linear["random group network"] < 0.1

# %% [markdown]
# What is *not*: the digits are easy. With the linear probe, a random group network is already within ten points of the
# best row, and where two intervals overlap, this table does not tell two methods apart. One run with one seed never does.
# And to solve a pretext task is not to have better features for *your* task: compare the trained rows with the random one,
# column by column.
#
# ## 0.5 What we can do now
#
# - See and measure equivariance: $f(g\,x) = g\,f(x)$, exact for the elements of the group.
# - Choose pretext labels that move with the input, so that the task does not contradict the network.
# - Choose a similarity that absorbs the turn of each view: a symmetric function of $\kappa$.
#
# What we cannot yet: build these layers ourselves (notebooks 01 and 02), say what happens between the elements of the
# group (03, 04), and derive the label action of other tasks.
#
# ### Exercise 1: turn a slider
#
# In the first explorer, find the angle at which the error of the group network is largest. Why there?
# (The explorer draws the whole curve; notebook 03 asks what it means.)
#
# <details><summary>Answer</summary>At 45 degrees, and again at 135, 225 and 315: halfway between two elements of the group,
# as far as one can be from an angle for which something was promised.</details>
#
# ### Exercise 2: write five lines
#
# Write a similarity of your own that absorbs the turns: from `kappa`, a tensor `(B, B', |G|)`, make one number per pair. It must
# not be one of the four above.


# %%
def my_similarity(kappa):
    # BEGIN SOLUTION
    # GAP: # any function of the |G| values that does not care about their order
    # GAP: ...
    ordered = kappa.sort(dim=2).values
    return ordered[:, :, -1] - ordered[:, :, 0]
    # END SOLUTION


check("00.similarity", my_similarity)

# %% tags=["solution-only"]
assert check("00.similarity", my_similarity).ok

by_angle = {}
for angle in range(0, 95, 5):
    explorer.set_state(angle=float(angle))
    by_angle[angle] = explorer.errors()["C4 network"]
assert max(by_angle, key=by_angle.get) == 45  # exercise 1

# %% [markdown]
# ### Exercise 3: think
#
# A colleague adds random horizontal flips to the training images and uses a network for $D_4$, the group of all eight
# symmetries of the square. She asks the network which of the eight elements was applied. What is the best accuracy that
# she can hope for?
#
# <details><summary>Answer</summary>One half. A flip that was added beforehand and a flip that belongs to the label look the
# same, so two labels fit every input equally well. The right label set has four elements: the cosets of the flip.</details>
#
# ### Read on
#
# - Next: `01_groups_and_images`, then `02_group_convolutions`.
# - Cohen and Welling, *Group Equivariant Convolutional Networks* (arXiv 1602.07576).
# - Gidaris, Singh and Komodakis, *Unsupervised Representation Learning by Predicting Image Rotations* (arXiv 1803.07728).
# - Chen and others, *A Simple Framework for Contrastive Learning of Visual Representations* (arXiv 2002.05709).
# - Mukuta and Harada, *Self-Supervised Learning for Group Equivariant Neural Networks* (arXiv 2303.04427): the two ideas.
