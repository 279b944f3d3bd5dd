"""Steerable networks: encoders made of escnn layers, for C8, D8, SO(2), O(2) and every other group of the plane.

The only package that imports escnn. Of its dependencies, lie_learn and py3nj serve rotations in three dimensions
alone and often cannot be installed; where they do not import, this package puts a stand-in in their place. So take
escnn from here, ``from eqssl_edu.steerable import enn, gspaces``: ``import escnn`` by itself may fail.

Shapes: an escnn field of regular type is our regular axis. The channel c*|G| + h of escnn is entry [c, h] here, and
element h of its C_n and D_n is element h of ours.
"""

from eqssl_edu.steerable.escnn_fixes import enn, escnn_route, gspaces
from eqssl_edu.steerable.escnn_modules import EscnnMaps, from_escnn
from eqssl_edu.steerable.network import SteerableCNN
from eqssl_edu.steerable.weights import load_r2conv

__all__ = ["EscnnMaps", "SteerableCNN", "enn", "escnn_route", "from_escnn", "gspaces", "load_r2conv"]
