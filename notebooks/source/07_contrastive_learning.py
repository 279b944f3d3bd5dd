# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 7 · Contrastive learning
#
# After this notebook you can
#
# - read a matrix of similarities as questions, and say what temperature and negatives do;
# - write InfoNCE, train with it, and say why one reads the features *before* the projector;
# - say what goes wrong when a view is turned.
#
# **Seen before:** notebook 0b, where you used all this without asking how it works. **Time:** {minutes} minutes.

# %%
from eqssl_edu.data import digits
from eqssl_edu.exercises import check
from eqssl_edu.lessons import notebook_07 as lesson
from eqssl_edu.views import RandomView

import torch
import torch.nn.functional as F

SEED = 0  # of the views, the weights and the training: change it and run again
generator = torch.Generator().manual_seed(SEED)

# %% [markdown]
# ## 7.1 Two views
#
# Labels cost money, images do not. What can a network learn from images alone? One answer: *which pictures show the
# same thing*. We know that without a teacher, if we make both pictures ourselves. Change an image at random, twice: the
# results are two **views** of it. Ours are shifted, scaled, made brighter or fainter, and noisy.

# %%
images = digits(16).test.images[:6]  # (6, 1, 16, 16)
views = RandomView()
first, second = (views(images, generator) for _ in range(2))
lesson.show_views(images, first, second)

# %% [markdown]
# Whoever wants to know what belongs together must ignore what the views change. So **the views say what does not
# matter**: here place, size, light and noise. They are the only place where our knowledge comes in.
#
# ## 7.2 All similarities
#
# A batch of $B$ images has $2B$ views. Let $z_i$ be the vector of view $i$; before there is any network, the vector of
# its 256 pixels will do. How alike are two views? We take the **cosine**: give each vector the length 1, then
# multiply. One matrix product gives all of them.

# %%
z = F.normalize(torch.cat([first, second]).flatten(1), dim=1)  # (12, 256): row i has length 1
s = z @ z.T  # (12, 12): s[i, k] is the cosine of views i and k

# %% [markdown]
# **Predict.** Which entries ought to be large? Draw the pattern, a square of 12 by 12, before you look. The first views
# come first, then the second ones.

# %%
lesson.show_similarities(s, first, second)

# %% [markdown]
# Each row is a question: *who is my* **partner**, the other view of my image? The partner of $i$ stands $B$ places
# further, so the right answers are two diagonals. The other $2B - 2$ views are the **negatives**, or *strangers*. (There
# are two sevens among the six. To the loss they are strangers as well: it knows no labels.)
#
# Choose *the most similar* in the menu. Where a row's frame moves, the pixels got it wrong.
#
# ## 7.3 What a row asks
#
# A row without its diagonal holds $2B - 1$ similarities. A softmax makes probabilities of them, and the loss of a row
# is that of any classifier, $-\log p$ of the right answer, the partner $i'$:
#
# $$ p_{ik} = \frac{e^{s_{ik}/t}}{\sum_{l \ne i} e^{s_{il}/t}}, \qquad \text{loss of row } i = -\log p_{ii'}. $$
#
# The **temperature** $t$ is the unit in which similarities are measured.
#
# **Predict.** What do the eleven bars do if $t$ is large? If it is small? Is a small one good for the loss?

# %%
lesson.ask_a_row(s, first, second)

# %% [markdown]
# **Seen:** At temperature 5 all bars are nearly alike: in each row $-\log p$ is within a quarter of $\log 11 = 2.40$. The
# lower the temperature, the larger is the share of the most similar view.
#
# **Why:** only differences of $s/t$ count. A low temperature helps a row that is right already, and a row that is wrong
# pays more for it. The derivative of the loss by $s_{ik}$ is $p_{ik}/t$ for a stranger and $(p_{ii'} - 1)/t$ for the
# partner. So the partner is pulled near, and each stranger is pushed away in proportion to its bar: at a low temperature
# the most similar ones almost alone. (T. Wang and P. Isola, arXiv 2005.10242, call these two forces *alignment* and
# *uniformity*.)

# %% tags=["fold"]
# Holds: At temperature 5 all bars are nearly alike: in each row $-\log p$ is within a quarter of $\log 11 = 2.40$.
# Holds: The lower the temperature, the larger is the share of the most similar view.
import math
from itertools import pairwise

off = ~torch.eye(12, dtype=torch.bool)
rows, partners = s[off].view(12, 11).double(), (torch.arange(12) + 6) % 12
places = partners - (partners > torch.arange(12)).long()  # of the partners, where the diagonal is left out
at = {t: (rows / t).softmax(dim=1) for t in lesson.TEMPERATURES}
assert (-at[5.0][torch.arange(12), places].log() - math.log(11)).abs().max() < 0.25
shares = [at[t].amax(dim=1) for t in lesson.TEMPERATURES]
assert all((low > high).all() for low, high in pairwise(shares))
leaf = rows.clone().requires_grad_()
F.cross_entropy(leaf / 0.2, places, reduction="sum").backward()
one = F.one_hot(places, 11).double()
assert torch.allclose(leaf.grad, (at[0.2] - one) / 0.2)

# %% [markdown]
# ### Exercise 1 · One row
#
# `s` of shape `(K,)` holds the similarities of one view to the K others, `partner` says where the right one stands.


# %%
def surprise(s, partner, t):
    """-log p of the partner, from one row of similarities."""
    # BEGIN SOLUTION
    return -F.log_softmax(s / t, dim=0)[partner]
    # END SOLUTION


check("07.surprise", surprise)

# %% tags=["solution-only"]
assert check("07.surprise", surprise).ok

# %% [markdown]
# ## 7.4 InfoNCE
#
# The mean over all $2B$ rows is **InfoNCE**. The name is by A. van den Oord, Y. Li and O. Vinyals (arXiv 1807.03748),
# who let a network find what comes next in a sequence. The form with two views and cosines is **SimCLR** by T. Chen, S.
# Kornblith, M. Norouzi and G. Hinton (arXiv 2002.05709).
#
# ### Exercise 2 · Write it
#
# `z1`, `z2` of shape `(B, D)` are the vectors of the first and of the second views, of any length. Five lines: join,
# normalise, all similarities over `t`; leave out the diagonal; cross-entropy.


# %%
def info_nce(z1, z2, t):
    """InfoNCE of 2B views, by cosines: one number."""
    # BEGIN SOLUTION
    # GAP: # z = ...                 (2B, D)
    # GAP: # logits = ...            (2B, 2B), e to the power of the diagonal is 0
    # GAP: # partner = ...           (2B,)
    # GAP: ...
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = z @ z.T / t
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf)
    partner = torch.arange(len(z), device=z.device).roll(len(z1))
    return F.cross_entropy(logits, partner)
    # END SOLUTION


check("07.info_nce", info_nce)

# %% tags=["solution-only"]
assert check("07.info_nce", info_nce).ok

# %% [markdown]
# ## 7.5 A network learns
#
# A network replaces the pixels. An image goes through the *encoder*, here the $C_4$ network of the tour, to features `(32,
# 4)`. Then comes a small network of two layers, the **projector**, to a table `(16, 4)`, which is flattened to the vector
# $z$ of 64 numbers. Your loss (until it is right, the library's) compares these, with $t = 0.2$ and $B = 128$.
#
# Beside it learns a network that only pulls: its loss is one minus the cosine of partners. There are no negatives.
#
# **Predict.** What is the easiest way to make all partners alike?

# %%
live = lesson.train(info_nce, SEED)
live

# %%
learned = lesson.what_was_learned(live, SEED)
learned

# %% [markdown]
# The probes are linear, as in notebook 0b. One reads the digit, and has seen two labelled images of each. The other says
# whether a view was made *brighter or fainter* by a fifth: something that our views change.
#
# **Seen:** Without negatives two different images have a cosine above 0.98, and the partner is found less often than
# from pixels. With InfoNCE it is found more often than from pixels. The encoder that was trained with InfoNCE reads the
# digit better than the one without training. It reads the light in more than 97 % of the cases, and behind the projector
# it is read in fewer than 93 %.
#
# **Why no negatives fail:** one vector for all images makes all partners alike. That is **collapse**; the negatives
# forbid it. (Notebook 8b has losses without negatives that do not collapse.)
#
# **Why one reads before the projector:** the loss asks the vector $z$ to forget what the views change. Much of the
# forgetting happens in the last layers, so the features before them know more. Whoever uses the network later may need
# the light, or the place. So after the training the projector is thrown away. Chen and others found features before it
# the better ones for reading classes as well.

# %% tags=["fold"]
# Holds: Without negatives two different images have a cosine above 0.98, and the partner is found less often than
#   from pixels.
# Holds: With InfoNCE it is found more often than from pixels.
# Holds: The encoder that was trained with InfoNCE reads the digit better than the one without training.
# Holds: It reads the light in more than 97 % of the cases, and behind the projector it is read in fewer than 93 %.
pixels, untrained, encoder, behind, alone = (list(row.values()) for row in learned.values())
assert live.stopped or (alone[0] > 0.98 and alone[1] < pixels[1] < behind[1])
assert live.stopped or encoder[2] > untrained[2]
assert live.stopped or (encoder[3] > 0.97 and behind[3] < 0.93)

# %% [markdown]
# ## 7.6 One view is turned
#
# All views were upright. Now the second view of one image is turned; it shows the same digit. Below is the row of its
# first view, with the vectors of the trained network.
#
# **Predict** the orange bar at 90 degrees.

# %%
lesson.turn_a_view(live, images, SEED)

# %% [markdown]
# **Seen:** Upright, more than three of ten views of the test digits find their partner among 599. Turned by 90 degrees,
# fewer than one in a hundred does.
#
# Yet nothing was lost. The table `(16, 4)` of the turned view is that of the upright one, with its columns moved: encoder
# and projector are equivariant. All 64 numbers are there. The cosine compares them *place by place*, and takes one's own
# partner for a stranger.
#
# We could turn the views in training as well. Then, as in notebook 0b, the network has to forget what a turn changes. Or
# we write a similarity that knows what a turn does. That is the subject from here on.

# %% tags=["fold"]
# Holds: Upright, more than three of ten views of the test digits find their partner among 599.
# Holds: Turned by 90 degrees, fewer than one in a hundred does.
from eqssl_edu.evaluation import extract
from eqssl_edu.groups import cyclic

found = {degrees: lesson.found_when_turned(live, degrees, SEED) for degrees in (0, 90)}
assert live.stopped or (found[0] > 0.3 and found[90] < 0.01)
model = live.runs["InfoNCE"].model.eval().cpu()
tables, moved = (extract(model, x) for x in (first, cyclic(4).transform(first, 1)))
assert (moved - cyclic(4).transform_features(tables, 1)).norm() < 1e-4 * tables.norm()

# %% [markdown]
# ## What we can now do, and what not yet
#
# We can make views, read a matrix of similarities, write the loss and train with it. We have seen what the loss takes a
# turned partner for. We cannot yet compare two tables whatever their columns do.
#
# Next: **7b · A similarity that absorbs turns**.
