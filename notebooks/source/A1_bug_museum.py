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
# - test a whole model, from its input to its logits, for equivariance;
# - compute what a pipeline allows at best, before anything is trained;
# - tell two mistakes of labels from a learning rate that is wrong.
#
# **Seen before:** notebooks 2 to 2d (layers, norms) and 5, 5b (labels, cosets, caps). **Time:** {minutes} minutes.
#
# Careful people make mistakes like these, and ship them. Here each is rewritten, small, and hangs in one frame: what it
# looks like, your prediction, its symptom, a test that states *what must be true*, the repair. None of the three raises an error.

# %%
from collections import Counter, defaultdict

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import FreeHead
from eqssl_edu.lessons import notebook_A1 as museum
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.theory import label_cap

import torch
from torch import nn

# %%
SEED = 0  # of all weights, draws and trainings
C4, D4 = cyclic(4), dihedral(4)
some = museum.mirrored_digits()  # (24, 1, 16, 16): twelve digits and their mirror images

# %% [markdown]
# ## A1.1 The flattened map
#
# **What it looks like.** "The encoder is equivariant. So I put a classifier on its feature maps."

# %%
task = RotationTask(C4)  # by how many quarter turns was the digit turned?
torch.manual_seed(SEED)
encoder = GroupCNN(C4, channels=(4, 8))  # maps (B, 8, |G|, 8, 8)
flattened = nn.Sequential(museum.FeatureMaps(encoder), nn.Flatten(), nn.Linear(8 * 4 * 8 * 8, 4))
accuracy = museum.learn_rotation(flattened, SEED)

# %% [markdown]
# **Symptom:** none. It learns.
#
# **Predict.** Is it still equivariant: if the input turns, do its logits move as the labels do?
#
# ### Exercise 1 · Test the whole
#
# Write the test. Turn the inputs by each element $g$. The logits of an equivariant model, `(B, n)`, are then those of the upright
# inputs, moved: `labels.transform(logits, g)`. Return the size of the difference, relative to that of the logits, for the worst $g$.


# %%
@torch.no_grad()
def logits_error(model, inputs, labels):
    """Inputs (B, 1, S, S), labels a G-set -> a number, 0 if the logits of turned inputs are the moved ones."""
    group, logits = labels.group, model(inputs)  # logits (B, n)
    # BEGIN SOLUTION
    # GAP: # group.transform(inputs, g) turns the inputs
    # GAP: return ...
    errors = [
        (model(group.transform(inputs, g)) - labels.transform(logits, g)).norm() for g in group.elements
    ]
    return max(errors) / logits.norm()
    # END SOLUTION


check("A1.logits_error", logits_error)

# %% tags=["solution-only"]
assert check("A1.logits_error", logits_error).ok

# %% [markdown]
# Three heads on the same encoder: the flattened map; the mean over the grid and then a *free* linear layer; the mean and then the
# universal head, which is what `PretextModel` takes if you do not say otherwise.

# %%
free = PretextModel(encoder, task, FreeHead(task.labels, 8, 4)).eval()
universal = PretextModel(encoder, task).eval()
for name, model in {"flattened": flattened, "mean, free": free, "mean, universal": universal}.items():
    print(name, "error:", logits_error(model, some, task.labels))

# %% [markdown]
# **Seen:** The flattened model tells the turns apart, and its logits do not move as the labels do. The mean alone does not mend it. The
# universal head does.
#
# **Why:** the flattened layer has a weight of its own for each *pixel* and each *element*. If the input turns, both move under
# it. The mean takes care of the pixels, the universal head of the elements. The symmetry of the whole encoder was
# gone in its last line.
#
# > **Moral:** test the whole model; a chain is as equivariant as its last link.

# %% tags=["fold"]
# Holds: The flattened model tells the turns apart, and its logits do not move as the labels do.
# Holds: The mean alone does not mend it.
# Holds: The universal head does.
from eqssl_edu.diagnostics import equivariance_error

found = [
    equivariance_error(model, some, C4, transform_outputs=task.labels.transform)[1:].max()
    for model in (flattened, free, universal)
]
assert accuracy > 0.5
assert found[0] > 0.1
assert found[1] > 0.1
assert found[2] < 1e-4  # float32

# %% [markdown]
# ## A1.2 Turned too early
#
# **What it looks like.** "Networks want augmentation. So I turn each image by a quarter turn at random. The rotation task comes
# after that, as always." A second author read notebook 5b, and turns the *finished input*, together with its label.


# %%
def turned_before(images, turns, generator):
    return task.sample(C4.transform(images, turns), generator)  # inputs (B, 1, 16, 16), labels (B,)


def turned_after(images, turns, generator):
    inputs, labels = task.sample(images, generator)
    return C4.transform(inputs, turns), task.labels.act(turns, labels)


# %% [markdown]
# **Predict.** Draw three loss curves: theirs, and that of the task as it was. Network, images, labels and turns are the same.

# %%
losses = museum.loss_curves({"turned before": turned_before, "turned after": turned_after}, SEED)
museum.curves(losses)

# %% [markdown]
# **Seen:** As it was, the loss falls. Turned before, it stays at log 4. Turned after, the curve lies on the first one.
#
# **Symptom:** a loss that does not move. One may blame the learning rate for days.
#
# **Why:** an image that has been turned at random has no upright pose left, so nobody can say by how much the *task* turned it.
# Turning the finished input with its label is the other extreme: an equivariant network's loss and gradients do not change at all
# (*the orbit is free*, `docs/theory.md`), so that it does nothing, and costs nothing.

# %% tags=["fold"]
# Holds: As it was, the loss falls.
# Holds: Turned before, it stays at log 4.
# Holds: Turned after, the curve lies on the first one.
ends = {name: torch.tensor(values[-10:]).mean() for name, values in losses.items()}
assert ends["as it was"] < 1.1
assert abs(ends["turned before"] - torch.tensor(4.0).log()) < 0.12
assert (
    max(abs(one - other) for one, other in zip(losses["as it was"], losses["turned after"], strict=True))
    < 1e-6
)

# %% [markdown]
# ### Exercise 2 · What is possible at best?
#
# The test needs no network. Take *all* inputs that the pipeline can make of a few images, each with its label. Whoever
# answers must give equal pictures one answer. So the best answer to a picture is the label that comes with it most often. Write it.


# %%
def best_accuracy(inputs, labels):
    """Inputs (N, 1, S, S), labels (N,) -> the accuracy that no function of the input can surpass on them."""
    # BEGIN SOLUTION
    # GAP: # picture.numpy().tobytes() is a key for equal pictures
    # GAP: return ...
    said = defaultdict(Counter)  # picture -> how often it comes with each label
    for picture, label in zip(inputs, labels.tolist(), strict=True):
        said[picture.numpy().tobytes()][label] += 1
    return sum(max(counts.values()) for counts in said.values()) / len(labels)
    # END SOLUTION


check("A1.best_accuracy", best_accuracy)

# %% tags=["solution-only"]
assert check("A1.best_accuracy", best_accuracy).ok

# %%
every_pose = torch.cat([C4.transform(some, g) for g in C4.elements])  # what turning before makes of them
print("as it was:", best_accuracy(*museum.every_case(task, some)))
print("turned before:", best_accuracy(*museum.every_case(task, every_pose)))

# %% tags=["solution-only"]
assert best_accuracy(*museum.every_case(task, some)) == 1
assert (
    best_accuracy(*museum.every_case(task, every_pose))
    == 1 / 4
    == label_cap(task.labels, C4.elements).accuracy
)

# %% [markdown]
# Theory says it without counting (*the right label set*, `docs/theory.md`): if the images
# look alike after every element of $H$, a label is known up to $H$ only. Here $H = G$, and one label is all that is left.
#
# **Repair.** Turn nothing, or turn the finished input. Shifts, crops and noise may come before the task, for they leave "upright" alone.
#
# > **Moral:** before you train, ask what the pipeline leaves to be known.
#
# ## A1.3 The coset of another mirror
#
# **What it looks like.** "My pipeline mirrors images left to right, so my $D_4$ task uses the four cosets of a reflection, not
# eight labels." That is the right idea. The label set is a proper G-set, the library accepts it, the network is equivariant.

# %%
upside_down, left_to_right = (RotationTask(D4, stabilizer=(0, mirror)) for mirror in (6, 4))
loss, accuracy = museum.stopped_at(upside_down, SEED)
print("best possible:", best_accuracy(*museum.every_case(upside_down, some)))

# %% [markdown]
# **Predict.** The loss stops near 0.693, which is log 2. Element 6 is the flip upside down. Which pictures have one label, and
# which should? Then look: with the right mirror, one picture of label 0 is what the pipeline makes of the other.

# %%
museum.mirrors()

# %%
repaired_loss, repaired = museum.stopped_at(left_to_right, SEED)
print("best possible:", best_accuracy(*museum.every_case(left_to_right, some)))

# %% [markdown]
# **Seen:** With the flip upside down no training gets beyond one half. With the flip left to right, the same training does.
#
# **Repair.** Two pictures that the pipeline cannot tell apart need one label. Your `best_accuracy` says whether they have it.
#
# > **Moral:** a plateau at a logarithm is no accident: log 2 is a coin, log 4 a die with four faces.

# %% tags=["fold"]
# Holds: With the flip upside down no training gets beyond one half.
# Holds: With the flip left to right, the same training does.
assert label_cap(upside_down.labels, (0, 4)).accuracy == 1 / 2 >= accuracy
assert label_cap(left_to_right.labels, (0, 4)).accuracy == 1 and repaired > 0.5
drawing = museum.mirrors()
for mirror in museum.MIRRORS:
    drawing.set_state(mirror=mirror)
    assert ("does not hold" in drawing.readout) == (mirror != "left to right")

# %% [markdown]
# ## On the way out
#
# | exhibit | symptom | the test that finds it |
# |---|---|---|
# | the flattened map | none | the equivariance of the whole model |
# | turned too early | a loss that stays at log 4 | the best possible on all inputs |
# | the coset of another mirror | a plateau at log 2 | the same |
#
# **One to think:** which pipeline of yours have you never asked what it leaves to be known?
#
# Next: notebook A1b, where a table, a kernel and a buffer are not what they seem.
