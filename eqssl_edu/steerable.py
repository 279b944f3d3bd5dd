"""Steerable networks: encoders made of escnn layers, for C8, D8, SO(2), O(2) and every other group of the plane.

The only module that imports escnn. Of its dependencies, lie_learn and py3nj serve rotations in three dimensions
alone and often cannot be installed; where they do not import, this module puts a stand-in in their place. So take
escnn from here, ``from eqssl_edu.steerable import enn, gspaces``: ``import escnn`` by itself may fail.

Shapes: an escnn field of regular type is our regular axis. The channel c*|G| + h of escnn is entry [c, h] here, and
element h of its C_n and D_n is element h of ours.
"""

from __future__ import annotations

import copy
import copyreg
import importlib
import sys
import types
import warnings

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.encoders import Encoder
from eqssl_edu.errors import got, need_positive
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, HalvingPool2d, LiftingConv2d

__all__ = ["EscnnMaps", "SteerableCNN", "enn", "escnn_route", "from_escnn", "gspaces", "load_r2conv"]

# -- the import of escnn ------------------------------------------------------------------------------------------

WIGNER = "lie_learn.representations.SO3.wigner_d"


def _no_so3(*_arguments, **_options):
    """Takes the place of lie_learn's ``wigner_D_matrix``."""
    raise NotImplementedError(
        "rotations in three dimensions need lie_learn, which cannot be imported here; eqssl_edu offers the groups of "
        "the plane alone: C_n, D_n, SO(2), O(2)"
    )


def _imports(name: str) -> bool:
    # An extension built for another numpy may raise anything, not ImportError alone.
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True


def _import_escnn() -> tuple[bool, bool]:
    """Import escnn with what is there; returns whether lie_learn and py3nj are the real ones."""
    real = _imports(WIGNER), _imports("py3nj")
    stand_ins = {}
    if not real[0]:
        stand_ins[WIGNER] = types.ModuleType(WIGNER)
        stand_ins[WIGNER].wigner_D_matrix = _no_so3
    if not real[1]:
        stand_ins["py3nj"] = None  # to Python: cannot be imported. escnn knows how to do without it
    sys.modules.update(stand_ins)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of py3nj that is not there, and of escapes in escnn's own strings
            import escnn.nn  # noqa: F401
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"eqssl_edu.steerable needs escnn: pip install --no-deps escnn==1.0.11 (and scipy and joblib); {missing}"
        ) from missing
    finally:
        for name in stand_ins:
            del sys.modules[name]  # nobody else shall meet them
    return real


_real = _import_escnn()

import escnn.group  # noqa: E402
import escnn.nn as enn  # noqa: E402
from escnn import gspaces  # noqa: E402

# escnn computes the Clebsch-Gordan coefficients of D_n and O(2) with scikit-learn's randomized_svd where it finds
# that, and scikit-learn refuses the np.matrix that it hands over. Its other way, scipy's exact SVD, is taken instead.
escnn.group._numerical.randomized_svd = None


def escnn_route() -> str:
    """How escnn was imported, in words.

    Example:
        >>> escnn_route().startswith("escnn")
        True
    """
    names = zip(("lie_learn", "py3nj"), _real, strict=True)
    found = ", ".join(f"{name}: {'the real one' if real else 'a stand-in'}" for name, real in names)
    rest = "" if all(_real) else "; every group of the plane works, SO(3) does not"
    return f"escnn {escnn.__version__} ({found}{rest})"


# -- copies and pickles -------------------------------------------------------------------------------------------
# escnn's groups and representations are singletons full of local functions, which pickle refuses. They are known by
# a few plain values, so a copy or a pickle needs those alone. (copy.deepcopy asks copyreg as well.)


def _group(kind: type, keys: dict):
    return kind._generator(**keys)


def _irrep(group, name: tuple):
    return group.irrep(*name)


def _representation(group, name, irreps, basis, nonlinearities, attributes):
    known = group.representations.get(name)
    return known or escnn.group.Representation(group, name, irreps, basis, nonlinearities, **attributes)


def _register_reducers() -> None:
    for kind in (escnn.group.CyclicGroup, escnn.group.DihedralGroup, escnn.group.SO2, escnn.group.O2):
        copyreg.pickle(kind, lambda group: (_group, (type(group), group._keys)))
    copyreg.pickle(escnn.group.IrreducibleRepresentation, lambda irrep: (_irrep, (irrep.group, irrep.id)))
    copyreg.pickle(
        escnn.group.Representation,
        lambda r: (
            _representation,
            (r.group, r.name, r.irreps, r.change_of_basis, r.supported_nonlinearities, r.attributes),
        ),
    )
    copyreg.pickle(gspaces.GSpace2D, lambda space: (gspaces.GSpace2D, (space._sg_id,)))
    # It keeps the hash of a string, which is another one in every process.
    copyreg.pickle(enn.FieldType, lambda fields: (enn.FieldType, (fields.gspace, fields.representations)))


_register_reducers()


class _Escnn(nn.Module):
    """Holds an escnn module and mends its three flaws, in place.

    1. In eval mode escnn's layers with weights keep an expanded copy of them. It enters the state dict (whose keys
       then depend on the mode), it is part of a graph (which cannot be copied), and it goes stale when weights are
       loaded. Here those layers stay in train mode, in which they expand their weights at every call; they do nothing
       else that depends on the mode.
    2. All layers of the process that have the same basis share one buffer, so ``.double()`` on one network breaks
       the others. Here every module owns its bases.
    3. They could not be pickled (see above).
    """

    def __init__(self, module: enn.EquivariantModule) -> None:
        super().__init__()
        self.module = module
        memo = {}
        for parent in module.modules():
            for name, child in parent.named_children():
                if isinstance(child, enn.modules.basismanager.BasisManager) and hasattr(
                    child, "sampled_basis"
                ):
                    # The analytic basis behind the samples is never changed: that one may be shared.
                    memo[id(child.basis)] = child.basis
                    setattr(parent, name, copy.deepcopy(child, memo))
        self.train(module.training)

    def train(self, mode: bool = True) -> _Escnn:
        super().train(mode)
        for layer in self.module.modules():
            if hasattr(layer, "expand_parameters"):
                layer.train(True)
        return self


# -- any escnn module as an encoder -------------------------------------------------------------------------------


class EscnnMaps(_Escnn):
    """An escnn module as a torch module: images, or regular maps, to regular maps (B, C, |G|, H, W).

    Every field of the output must be a permutation of finitely many points, as regular, quotient and trivial fields
    are. One that permutes the cosets of H (a quotient field) is lifted to a regular field, ``F[h] = f[h H]``: it is
    constant on the cosets, so it still knows nothing that tells the elements of a coset apart.

    Arguments:
        module: any escnn module on the plane over a finite group. It is mended in place: see ``from_escnn``.
    """

    def __init__(self, module: enn.EquivariantModule) -> None:
        if not isinstance(module, enn.EquivariantModule) or not isinstance(module.out_type, enn.FieldType):
            raise TypeError(f"module must be an escnn module with an in_type and an out_type, {got(module)}")
        group = _group_of(module.in_type.gspace)
        index = torch.cat(_lifting(module.out_type))
        super().__init__(module)
        self.group, self.out_channels = group, len(index)
        self.register_buffer("index", index.flatten(), persistent=False)

    def forward(
        self, maps: Float[Tensor, "batch channel *group height width"]
    ) -> Float[Tensor, "batch out order out_height out_width"]:
        planes = maps.flatten(1, -3)
        if planes.shape[1] != self.module.in_type.size:
            raise ValueError(
                f"maps must have {self.module.in_type.size} planes for this escnn module, {got(maps)}"
            )
        fields = self.module(self.module.in_type(planes)).tensor
        if fields.ndim != 4:
            raise ValueError(f"module must give feature maps (B, planes, H, W), {got(fields)}")
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
        self.group, self.in_channels = self.maps.group, module.in_type.size
        self.out_channels = self.maps.out_channels

    def feature_maps(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch out group out_height out_width"]:
        """The module's output as regular feature maps; they turn with the image."""
        return self.maps(images)


def from_escnn(module: enn.EquivariantModule) -> Encoder:
    """Any escnn module with regular or quotient output as an encoder: images (B, C, H, W) -> (B, C', |G|).

    The encoder holds this very module, so both share their weights. The module is mended in place (one state dict in
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


def _group_of(plane: gspaces.GSpace) -> FiniteGroup:
    """Our group with escnn's elements in the same order; ValueError if there is none."""
    if not isinstance(plane, gspaces.GSpace2D) or plane.fibergroup.order() < 1:
        raise ValueError(f"module must have a finite group that acts on the plane, got {plane}")
    matrices = np.stack([plane.basespace_action(element) for element in plane.fibergroup.elements])
    reflections = np.linalg.det(matrices) < 0
    group = (dihedral if reflections.any() else cyclic)(int((~reflections).sum()))
    angles = np.radians([group.degrees(g) for g in group.elements])
    ours = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    flip = np.diag([-1.0, 1.0])  # of the x axis, the last one of an image
    ours = np.stack([turn @ flip if g >= group.rotations else turn for g, turn in enumerate(ours)])
    if not np.allclose(matrices, ours, atol=1e-6):
        raise ValueError(
            f"module must reflect the last axis of the image first (axis pi/2, escnn's own), got {plane}"
        )
    return group


def _lifting(fields: enn.FieldType) -> list[Tensor]:
    """For each orbit of the fields' points a table (1, |G|): [h] = the plane to which h moves the first point."""
    tables, start = [], 0
    for field in fields:
        matrices = np.stack([field(element) for element in fields.fibergroup.elements])
        moved = matrices.argmax(axis=1)  # [h, p] = h.p
        if not np.allclose(matrices, np.eye(field.size)[moved].transpose(0, 2, 1), atol=1e-5):
            raise ValueError(
                f"module must have regular or quotient fields alone in its out_type (permutations), got {field.name}"
            )
        first = sorted({int(point) for point in moved.min(axis=0)})  # of each orbit
        tables += [torch.from_numpy(start + moved[:, point]).long()[None] for point in first]
        start += field.size
    return tables


# -- a network of our own -----------------------------------------------------------------------------------------


class _BandLimitedStage(_Escnn):
    """Convolution, norm and ELU for functions on a circle of frequencies 0 .. L, given by samples.

    (B, C, |G|, H, W) -> (B, C', |G|, H, W). The samples at the elements of C_n or D_n, n = 2 L + 2, and the Fourier
    coefficients, in which escnn computes, are the same thing in two bases. ELU, taken at twice as many points, makes
    new frequencies; those above L are cut.
    """

    def __init__(
        self, plane, group: FiniteGroup, inputs: enn.FieldType | None, out_channels: int, kernel_size: int
    ):
        irreps = plane.fibergroup.bl_irreps(group.rotations // 2 - 1)
        activation = enn.FourierELU(plane, out_channels, irreps, type="regular", N=2 * group.rotations)
        fields = activation.in_type
        convolution = enn.R2Conv(inputs, fields, kernel_size, padding=kernel_size // 2, bias=False)
        super().__init__(enn.SequentialModule(convolution, enn.IIDBatchNorm2d(fields), activation))
        self.group, self.lifts = group, all(field.is_trivial() for field in inputs)
        samples = activation.A[::2]  # [h, frequency]: value at element h of each basis function
        self.register_buffer("samples", samples.clone(), persistent=False)
        self.register_buffer("coefficients", torch.linalg.pinv(samples.double()).float(), persistent=False)

    def forward(
        self, maps: Float[Tensor, "batch channel *group height width"]
    ) -> Float[Tensor, "batch out order height width"]:
        planes = (
            maps if self.lifts else torch.einsum("fg,bcghw->bcfhw", self.coefficients, maps).flatten(1, 2)
        )
        fields = self.module(self.module.in_type(planes)).tensor.unflatten(1, (-1, self.samples.shape[1]))
        return torch.einsum("gf,bcfhw->bcghw", self.samples, fields)


class SteerableCNN(Encoder):
    """A small steerable network: one escnn convolution a stage, the grid halved in between.

    Over C_n and D_n its features are regular, (B, C, |G|). Off the quarter turns they follow the image approximately:
    the smoother the image, the better (THEORY E4).

    Over SO(2) and O(2) a feature is a function on the whole group, of frequencies 0 .. L. No tensor has an axis with
    all angles, so the encoder gives the values at the elements of C_n or D_n with n = 2 L + 2, and ``group`` is that
    one: heads, tasks and losses need no change. These samples determine the function. So a turn by *any* angle acts
    on the features, between the samples too (``diagnostics.turn_features``).

    Arguments:
        symmetry: a group such as ``cyclic(8)`` or ``dihedral(8)``, or "SO(2)" or "O(2)". The first network with
            reflections on a machine takes escnn up to half a minute; it keeps what it computed on disk.
        in_channels: channels of the images.
        channels: regular channels of each stage.
        kernel_size: side of all kernels in pixels; odd, so that the padding keeps the size.
        frequency: L, for SO(2) and O(2); 3 gives as many samples as C8 or D8 have.

    References:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (arXiv 1911.08251).

    Example:
        >>> encoder = SteerableCNN(cyclic(8), channels=(4, 8))
        >>> encoder(torch.rand(2, 1, 29, 29)).shape
        torch.Size([2, 8, 8])
    """

    def __init__(
        self,
        symmetry: FiniteGroup | str,
        in_channels: int = 1,
        channels: tuple[int, ...] = (8, 16, 32),
        kernel_size: int = 5,
        frequency: int = 3,
    ) -> None:
        super().__init__()
        need_positive(in_channels=in_channels, kernel_size=kernel_size, frequency=frequency)
        if not channels:
            raise ValueError(f"channels must name at least one stage, {got(channels)}")
        for width in channels:
            need_positive(channels=width)
        if kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size must be odd, so that the padding keeps the size, {got(kernel_size)}"
            )
        continuous = {"SO(2)": cyclic, "O(2)": dihedral}
        if isinstance(symmetry, FiniteGroup):
            self.group, order = symmetry, symmetry.rotations
        elif symmetry in continuous:
            self.group, order = continuous[symmetry](2 * frequency + 2), -1
        else:
            raise ValueError(f"symmetry must be a FiniteGroup, 'SO(2)' or 'O(2)', {got(symmetry)}")
        self.in_channels, self.out_channels = in_channels, channels[-1]
        plane = (gspaces.flipRot2dOnR2 if self.group.reflections else gspaces.rot2dOnR2)(order)
        inputs = enn.FieldType(plane, in_channels * [plane.trivial_repr])
        self.stages = nn.ModuleList()
        for width in channels:
            if self.stages:
                self.stages.append(HalvingPool2d())
            if order > 0:
                fields = enn.FieldType(plane, width * [plane.regular_repr])
                convolution = enn.R2Conv(inputs, fields, kernel_size, padding=kernel_size // 2, bias=False)
                layers = enn.SequentialModule(convolution, enn.InnerBatchNorm(fields), enn.ReLU(fields))
                self.stages.append(EscnnMaps(layers))
            else:
                self.stages.append(_BandLimitedStage(plane, self.group, inputs, width, kernel_size))
            inputs = self.stages[-1].module.out_type

    def feature_maps(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch out group out_height out_width"]:
        """The last regular feature maps; they turn with the image."""
        maps = images
        for stage in self.stages:
            maps = stage(maps)
        return maps

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch out group"]:
        """Regular features: the mean of the last feature maps over the inscribed disc."""
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(f"images must have shape (B, {self.in_channels}, H, W), {got(images)}")
        maps = self.feature_maps(images)
        # Without the corners: at other angles than quarter turns, what is there comes from outside the picture.
        size = maps.shape[-1]
        offset = torch.arange(size, device=maps.device) - (size - 1) / 2
        inside = offset[:, None] ** 2 + offset**2 <= (size / 2) ** 2
        return maps[..., inside].mean(dim=-1)


# -- from escnn's layer to ours -----------------------------------------------------------------------------------


def load_r2conv(layer: LiftingConv2d | GroupConv2d, r2conv: enn.R2Conv) -> None:
    """Copy the weights of an escnn convolution into ours, so that both compute the same function.

    escnn's expanded kernel holds the |G| copies of each base kernel; the base kernel is the copy of the identity.
    The other way is impossible in general: escnn's kernels are band-limited, ours are not (THEORY E3).

    Arguments:
        layer: of the same group, sizes, stride and padding; its weights are overwritten.
        r2conv: from trivial fields (for a ``LiftingConv2d``) or regular fields (for a ``GroupConv2d``) to regular ones.

    Raises:
        ValueError: if no setting of the layer's weights computes what r2conv does.

    Example:
        >>> plane = gspaces.rot2dOnR2(4)
        >>> image, fields = (enn.FieldType(plane, [r]) for r in (plane.trivial_repr, plane.regular_repr))
        >>> r2conv, layer = enn.R2Conv(image, fields, 3), LiftingConv2d(cyclic(4), 1, 1, 3)
        >>> load_r2conv(layer, r2conv)
        >>> x = torch.randn(2, 1, 9, 9)
        >>> torch.allclose(layer(x)[:, 0], r2conv(image(x)).tensor, atol=1e-5)
        True
    """
    if not isinstance(layer, (LiftingConv2d, GroupConv2d)):
        raise TypeError(f"layer must be a LiftingConv2d or a GroupConv2d, {got(layer)}")
    if not isinstance(r2conv, enn.R2Conv):
        raise TypeError(f"r2conv must be an escnn.nn.R2Conv, {got(r2conv)}")
    group = _group_of(r2conv.space)
    if group != layer.group:
        raise ValueError(f"r2conv must be over the layer's group {layer.group.name}, got {group.name}")
    for key, wanted in {
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": 1,
        "groups": 1,
        "padding_mode": "zeros",
    }.items():
        if getattr(r2conv, key) != wanted:
            raise ValueError(f"r2conv must have {key} = {wanted}, got {getattr(r2conv, key)}")
    with torch.no_grad():
        # In eval mode too: what escnn keeps expanded there may be older than the weights.
        kernel, bias = r2conv.expand_parameters()
        bias = torch.zeros(len(kernel)) if bias is None else bias
        lifts = isinstance(layer, LiftingConv2d)
        planes = layer.in_channels * (1 if lifts else group.order)
        if kernel.shape[:2] != (layer.out_channels * group.order, planes):
            raise ValueError(
                f"r2conv must lead from {planes} to {layer.out_channels * group.order} planes, got "
                f"{kernel.shape[1]} to {kernel.shape[0]}"
            )
        if layer.bias is None and bias.any():
            raise ValueError("layer must have a bias, since r2conv has one that is not zero")
        layer.weight.copy_(kernel[:: group.order].reshape(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.copy_(bias[:: group.order])
        if not torch.allclose(
            layer.expanded_weight(), kernel.to(layer.weight), atol=1e-4 * float(kernel.abs().max())
        ):
            wanted = f"{'trivial' if lifts else 'regular'} fields to regular fields"
            raise ValueError(f"r2conv must lead from {wanted}, got {r2conv.in_type} to {r2conv.out_type}")
