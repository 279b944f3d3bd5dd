"""Any escnn module with regular or quotient output as an encoder."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.encoders import Encoder
from eqssl_edu.errors import got, need_shape
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.shapes import Images
from eqssl_edu.steerable.escnn_fixes import FixedEscnn, enn, gspaces

__all__ = ["EscnnMaps", "ImagesOrMaps", "from_escnn", "group_of", "lifting_table"]

ImagesOrMaps = Float[Tensor, "batch channel *group height width"]


class EscnnMaps(FixedEscnn):
    """An escnn module as a torch module: images, or regular maps, to regular maps (B, C, |G|, H, W).

    Every field of the output must be a permutation of finitely many points, as regular, quotient and trivial fields
    are. One that permutes the cosets of H (a quotient field) is lifted to a regular field, ``F[h] = f[h H]``: it is
    constant on the cosets, so it still knows nothing that tells the elements of a coset apart.

    Arguments:
        module: any escnn module on the plane over a finite group. It is repaired in place: see ``from_escnn``.
    """

    def __init__(self, module: enn.EquivariantModule) -> None:
        if not isinstance(module, enn.EquivariantModule) or not isinstance(module.out_type, enn.FieldType):
            raise TypeError(f"module must be an escnn module with an in_type and an out_type, {got(module)}")
        group = group_of(module.out_type.gspace)  # the smaller one, if the module restricts its fields
        index = lifting_table(module.out_type)
        super().__init__(module)
        self.group, self.out_channels = group, len(index)
        self.register_buffer("index", index.flatten(), persistent=False)

    def forward(self, maps: ImagesOrMaps) -> Float[Tensor, "batch out order out_height out_width"]:
        fields = self.module(self.module.in_type(maps.flatten(1, -3))).tensor
        need_shape("the module's output", fields, "B", "planes", "H", "W")
        return fields[:, self.index].unflatten(1, (self.out_channels, self.group.order))


class _EscnnEncoder(Encoder):
    """What ``from_escnn`` gives."""

    def __init__(self, module: enn.EquivariantModule) -> None:
        super().__init__()
        self.maps = EscnnMaps(module)
        strange = [field.name for field in module.in_type if not field.is_trivial()]
        if strange:
            raise ValueError(
                f"module must take images: trivial fields alone in its in_type, got {strange[0]}"
            )
        self.group, self.out_channels = self.maps.group, self.maps.out_channels
        self.in_channels = module.in_type.size

    def feature_maps(self, images: Images) -> Float[Tensor, "batch out group out_height out_width"]:
        return self.maps(images)


def from_escnn(module: enn.EquivariantModule) -> Encoder:
    """Any escnn module with regular or quotient output as an encoder: images (B, C, H, W) -> (B, C', |G|).

    The encoder holds this very module, so both share their weights. The module is repaired in place (one state dict in
    either mode, own bases), so train and save it through the encoder.

    Arguments:
        module: on the plane, over a finite group (``rot2dOnR2(n)`` or ``flipRot2dOnR2(n)`` with escnn's own axis),
            from trivial fields to regular, quotient or trivial fields; see ``EscnnMaps``.

    Example:
        >>> plane = gspaces.rot2dOnR2(8)
        >>> fields = enn.FieldType(plane, 3 * [plane.regular_repr])
        >>> encoder = from_escnn(enn.R2Conv(enn.FieldType(plane, [plane.trivial_repr]), fields, kernel_size=5))
        >>> encoder(torch.rand(2, 1, 16, 16)).shape
        torch.Size([2, 3, 8])
    """
    return _EscnnEncoder(module)


def group_of(plane: gspaces.GSpace) -> FiniteGroup:
    """Our group with escnn's elements in the same order; ValueError if there is none."""
    if not isinstance(plane, gspaces.GSpace2D) or plane.fibergroup.order() < 1:
        raise ValueError(f"module must have a finite group that acts on the plane, got {plane}")
    matrices = np.stack([plane.basespace_action(element) for element in plane.fibergroup.elements])
    reflections = np.linalg.det(matrices) < 0
    group = (dihedral if reflections.any() else cyclic)(int((~reflections).sum()))
    angles = np.radians([group.degrees(g) for g in group.elements])
    cos, sin = np.cos(angles), np.sin(angles)
    x = np.where(np.arange(group.order) < group.rotations, 1, -1)  # a flip of the last axis of an image
    if not np.allclose(matrices, np.array([[cos * x, -sin], [sin * x, cos]]).transpose(2, 0, 1), atol=1e-6):
        raise ValueError(
            f"module must reflect the last axis of the image first (axis pi/2, escnn's own), got {plane}"
        )
    return group


def lifting_table(fields: enn.FieldType) -> Int64[Tensor, "orbit group"]:
    """For each orbit of the fields' points a row: [h] = the plane to which h moves the orbit's first point."""
    rows, strange, start = [], [], 0
    for field in fields:
        matrices = np.stack([field(element) for element in fields.fibergroup.elements])
        moved = matrices.argmax(axis=1)  # [h, p] = h.p
        if not np.allclose(matrices, np.eye(field.size)[moved].transpose(0, 2, 1), atol=1e-5):
            strange.append(field.name)
        first = np.unique(moved.min(axis=0))  # of each orbit
        rows.append(start + moved[:, first].T)
        start += field.size
    if strange:
        raise ValueError(
            f"module must have regular or quotient fields alone in its out_type (permutations), "
            f"got {', '.join(dict.fromkeys(strange))}"
        )
    return torch.from_numpy(np.concatenate(rows)).long()
