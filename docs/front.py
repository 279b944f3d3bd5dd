# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Self-supervised learning for group-equivariant networks
#
# **Turn the digit.** Both networks are untrained. At each quarter turn the maps of the group network (left) turn
# along and move one place round their row, with an error of zero; those of a plain CNN turn and change.

# %% tags=["remove-input"]
import torch

from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.groups import cyclic
from eqssl_edu.widgets import FieldExplorer

torch.manual_seed(0)
network = GroupCNN(cyclic(4), in_channels=1, channels=(8, 16, 32))
FieldExplorer(network, digits(32).test.images[4], compare=matched_cnn(network))

# %% [markdown]
# A network that knows how its output moves when its input turns can be asked new questions without a teacher. This
# course builds such networks from a convolution on, and trains them in two ways: with pretext labels that move with
# the input, and with a contrastive loss that absorbs the turn of each view. Two chapters go further: turns by every
# angle, and equivariance that is not built in but must be learned. What a page says one sees, a cell checks.
#
# ## Three ways in
#
# `````{grid} 1 1 3 3
# :gutter: 3
#
# ````{grid-item-card} Look
# Read these pages: the pictures turn by hand, with nothing installed and no network.
#
# [Begin with the tour](notebooks/solutions/00_tour.ipynb)
# ````
#
# ````{grid-item-card} Click
# Take one notebook to a service that runs notebooks, or to a Jupyter of your own: you write code, turn pictures and
# train.
#
# [Choose a notebook](notebooks/index.md)
# ````
#
# ````{grid-item-card} Clone
# Get the whole course, and type `python3 course.py lab`: JupyterLab opens on the tour, with packages that were tested
# together.
#
# [Commands and rules](CONTRIBUTING.md)
# ````
# `````
#
# ## What stands where
#
# - [The course](notebooks/index.md): every notebook, run, and beside each the page with its gaps open.
# - [The library](reference/index.md): what each function takes and gives.
# - [Theory and words](docs/index.md): statements with their tests, a glossary, the works that are cited.
# - [Results](docs/results/README.md): what the experiments found, with five or ten seeds each, and what they did not.
#
# ```{toctree}
# :hidden:
# :maxdepth: 1
# Course <notebooks/index>
# Library <reference/index>
# Theory and words <docs/index>
# Results <docs/results/README>
# ```
