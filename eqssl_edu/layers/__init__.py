"""All that commutes with the group: convolutions, norm and pooling, heads, and the rule that says when.

Shapes: images (B, C, H, W); regular feature maps (B, C, |G|, H, W); regular features (B, C, |G|).
Pool the grid with torch's 3-d pooling and a window of 1 along the group axis: ``MaxPool3d((1, 2, 2))``.
"""

from eqssl_edu.layers.convolutions import GroupConv2d, LiftingConv2d
from eqssl_edu.layers.exactness import exactness_violations, is_exact, nearest_sizes
from eqssl_edu.layers.heads import FreeHead, GSetHead, InvariantHead
from eqssl_edu.layers.mlp import FlatMLP, GroupLinear, GroupMLP
from eqssl_edu.layers.norm_pooling import GroupBatchNorm2d, GroupPool, HalvingPool2d

__all__ = [
    "FlatMLP",
    "FreeHead",
    "GSetHead",
    "GroupBatchNorm2d",
    "GroupConv2d",
    "GroupLinear",
    "GroupMLP",
    "GroupPool",
    "HalvingPool2d",
    "InvariantHead",
    "LiftingConv2d",
    "exactness_violations",
    "is_exact",
    "nearest_sizes",
]
