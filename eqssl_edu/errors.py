"""How the library refuses: the argument's name, what it got, and what it wanted. The checkers of every door."""

from __future__ import annotations

import functools
import inspect
import operator
import re
from collections.abc import Callable, Sequence
from math import inf, isfinite
from numbers import Real
from sys import float_info
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import torch
from jaxtyping import Int64, jaxtyped
from torch import Tensor

__all__ = [
    "all_finite",
    "got",
    "need_choice",
    "need_elements",
    "need_encoder",
    "need_exact",
    "need_finite",
    "need_grid",
    "need_instance",
    "need_integer",
    "need_integers",
    "need_number",
    "need_pairs",
    "need_positive",
    "need_regular",
    "need_shape",
    "need_widths",
    "typed",
    "within_transform",
]


# PyTorch's own question in ``autograd.Function.apply``, without a public name.
_within_torch_func = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)


def within_transform() -> bool:
    """Is ``torch.compile`` or ``torch.func`` at work? Then tensors have no values that one could ask for."""
    return torch.compiler.is_compiling() or _within_torch_func()


def got(value: object) -> str:
    """``value`` as the second half of an error message: a tensor by shape and type, anything else by repr."""
    if isinstance(value, Tensor):
        layout = "" if value.layout is torch.strided else f" and layout {value.layout}"
        return f"got a {value.dtype} tensor of shape {tuple(value.shape)}{layout}"
    text = repr(value)
    return f"got {text if len(text) <= 80 else text[:77] + '...'}"


def need_instance(name: str, value: object, kind: type | tuple[type, ...]) -> None:
    """Raise TypeError unless ``value`` is a ``kind``, or one of several kinds."""
    if not isinstance(value, kind):
        kinds = [
            each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)) if each is not NoneType
        ]
        raise TypeError(f"{name} must be a {' or a '.join(kinds)}, {got(value)}")


class _TooLarge(ValueError):
    """A door behind this one could not hold what it was to make."""


def typed(function: Callable) -> Callable:
    """Decorate a door: every argument must be what its annotation says. TypeError, or ValueError for a tensor.

    ``int`` takes any integer (see ``need_integer``) and hands on an int, ``float`` a finite number, a shape of
    jaxtyping a tensor of that type and shape, with the same sizes under the same names; text is no sequence of
    anything. Bounds, and what is inside of containers, are left to the checkers below.
    """
    named_kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = [name for name, p in inspect.signature(function).parameters.items() if p.kind in named_kinds]

    @functools.cache
    def checked() -> dict[str, _Kinds]:  # at the first call, when all names of the module are there
        hints = {name: _kinds_of(hint) for name, hint in get_type_hints(function).items() if name in names}
        return {name: kinds for name, kinds in hints.items() if kinds}

    @functools.wraps(function)
    def asked(*arguments: Any, **named: Any) -> Any:
        given, kinds = list(arguments), checked()
        with jaxtyped("context"):
            for i, (name, value) in enumerate(zip(names, arguments, strict=False)):
                if name in kinds:
                    given[i] = _fitted(name, value, kinds[name])
            for name in named:
                if name in kinds:
                    named[name] = _fitted(name, named[name], kinds[name])
        try:
            return function(*given, **named)
        except (MemoryError, OverflowError, RuntimeError, TypeError, ValueError) as problem:
            full = isinstance(problem, MemoryError | OverflowError | _TooLarge)
            full = full or re.search(
                "allocate memory|[oO]verflow", str(problem)
            )  # a GPU has an error of its own
            values = {**dict(zip(names, given, strict=False)), **named}
            sizes = {name: value for name, value in values.items() if isinstance(value, int | tuple | list)}
            if not (full and sizes):
                raise
            raise _TooLarge(
                f"{' and '.join(sizes)} must be smaller, to fit into the memory, {got(sizes)}"
            ) from None

    return asked


class _Kinds(NamedTuple):
    """What an annotation says."""

    kinds: tuple[type, ...]
    numbers: bool  # an int or a float is among them
    integer: bool  # and no float
    boolean: bool
    container: bool  # one out of collections.abc, and text is none


def _kinds_of(hint: Any) -> _Kinds | None:
    """None for an annotation that cannot be asked with isinstance."""
    kinds = tuple(
        get_origin(kind) or kind for kind in (get_args(hint) if isinstance(hint, UnionType) else (hint,))
    )
    if Any in kinds or not all(isinstance(kind, type) for kind in kinds):
        return None
    container = str not in kinds and any(kind.__module__ == "collections.abc" for kind in kinds)
    numbers = int in kinds or float in kinds
    return _Kinds(kinds, numbers, numbers and float not in kinds, bool in kinds, container)


def _fitted(name: str, value: Any, wanted: _Kinds) -> Any:
    """``value``, if it is what the argument's annotation says; any integer as an int."""
    is_tensor = isinstance(value, Tensor)
    if wanted.container:
        fits = not (isinstance(value, str | bytes) or (is_tensor and not value.ndim))
    else:  # True is an int to Python; not every float is a finite number
        fits = not wanted.numbers or not isinstance(value, float if wanted.boolean else (float, bool))
    fits = fits and (not is_tensor or value.layout is torch.strided)
    if fits and isinstance(value, wanted.kinds):
        return value
    is_tensor = is_tensor and value.ndim > 0
    if wanted.numbers and not (is_tensor and len(wanted.kinds) > 1):
        return need_integer(name, value) if wanted.integer else need_number(name, value)
    words = " or a ".join(kind.__name__ for kind in wanted.kinds if kind is not NoneType)
    raise (ValueError if is_tensor else TypeError)(f"{name} must be a {words}, {got(value)}")


def need_choice(name: str, value: object, choices: Sequence[object]) -> Any:
    """``value``, as it stands among the choices; integers also as numpy's or torch's. ValueError if it is none."""
    plain = value.item() if not getattr(value, "shape", True) else value  # () is the shape of a single number
    try:
        return next(choice for choice in choices if type(plain) is type(choice) and plain == choice)
    except StopIteration:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, {got(value)}") from None


def need_integer(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """``value`` as an int, also numpy's or a tensor of no axes. TypeError if it is none, ValueError out of bounds."""
    try:
        is_tensor = isinstance(value, Tensor)
        if isinstance(value, bool) or (is_tensor and (value.ndim or value.dtype == torch.bool)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, {got(value)}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        wanted = f"at least {least}" if most is None else f"an integer {least} .. {most}"
        wanted = f"at most {most}" if least is None else wanted
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return number


def need_positive(**sizes: object) -> None:
    """Raise unless each named value is an integer of at least 1."""
    for name, value in sizes.items():
        need_integer(name, value, least=1)


def need_number(
    name: str, value: object, least: float = -inf, most: float = inf, above: float = -inf, below: float = inf
) -> int | float:
    """``value`` as Python's number. TypeError unless it is real, ValueError unless finite and in the bounds."""
    given, value = value, value.item() if not getattr(value, "shape", True) else value
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, {got(given)}")
    if not (abs(value) <= float_info.max and least <= value <= most and above < value < below):
        words = {"at least": least, "at most": most, "above": above, "below": below}
        bounds = [f"{word} {bound:g}" for word, bound in words.items() if isfinite(bound)]
        raise ValueError(f"{name} must be {' and '.join(bounds) or 'finite'}, {got(value)}")
    return value


def need_integers(name: str, tensor: object, below: int | None = None) -> None:
    """Raise TypeError unless ``tensor`` is a LongTensor, ValueError unless its entries are 0 .. below - 1."""
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.int64 or tensor.layout is not torch.strided:
        raise TypeError(f"{name} must be a LongTensor, {got(tensor)}")
    if below is None or not tensor.numel() or within_transform():
        return
    if not 0 <= int(tensor.min()) <= int(tensor.max()) < below:
        raise ValueError(f"{name} must hold integers 0 .. {below - 1}, {got(tensor.tolist())}")


def all_finite(numbers: Tensor) -> bool:
    """No NaN, no infinity? The extremes tell, which is ten times as fast as to ask each number."""
    if numbers.is_complex() or not numbers.numel():
        return bool(numbers.isfinite().all())
    return all(bool(each.isfinite()) for each in numbers.detach().aminmax())


def need_shape(
    name: str,
    tensor: object,
    *shape: int | str,
    floating: bool = False,
    finite: bool = False,
    like: Tensor | None = None,
) -> None:
    """Raise unless ``tensor`` is a Tensor of this shape: a letter stands for one size, "..." in front for any axes.

    ``need_shape("features", z, "B", 8, "G")`` is content with (2, 8, 4). With ``floating`` the numbers must be
    floating-point numbers, with ``finite`` all must be finite, with ``like`` those of the weights that they meet.
    TypeError for the kind, ValueError for the shape and for NaN or infinity, with the places along the first axis.
    """
    need_instance(name, tensor, Tensor)
    if floating and not tensor.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, {got(tensor)}")
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name} must be strided, {got(tensor)}")
    if like is not None and tensor.dtype != like.dtype and not torch.is_autocast_enabled(tensor.device.type):
        raise TypeError(f"{name} must have the type of the weights, {like.dtype}, {got(tensor)}")
    any_axes = shape[:1] == ("...",)
    sizes = shape[any_axes:]
    more = tensor.ndim - len(sizes)
    last = tensor.shape[max(0, more) :]
    known: dict[str, int] = {}
    pairs = zip(sizes, last, strict=False)
    wrong = any(b != (known.setdefault(a, b) if isinstance(a, str) else a) for a, b in pairs)
    if wrong or more < 0 or (more and not any_axes) or 0 in last[1:]:  # a batch may be empty, nothing else
        raise ValueError(f"{name} must have shape ({', '.join(map(str, shape))}), {got(tensor)}")
    if finite and not all_finite(tensor):
        fine = tensor.isfinite()
        places = (~fine.flatten(1).all(1) if fine.ndim > 1 else ~fine.flatten()).nonzero().flatten().tolist()
        first = f"{', '.join(map(str, places[:8]))}{', ...' if len(places) > 8 else ''}"
        raise ValueError(
            f"{name} must hold finite numbers only, got NaN or infinity at {first} of the first axis"
        )


def need_widths(name: str, widths: object, least: int = 1) -> None:
    """Raise unless ``widths`` is a sequence of at least so many positive integers. ValueError, or TypeError for one."""
    if not isinstance(widths, Sequence) or isinstance(widths, str) or len(widths) < least:
        raise ValueError(f"{name} must be a sequence of at least {least} widths, {got(widths)}")
    for width in widths:
        need_integer(name, width, least=1)


# -- what takes a group (a FiniteGroup; this module is below it) ------------------------------------------------


def need_exact(group: Any, name: str = "group") -> None:
    """Raise unless every element of the group maps a pixel grid to itself."""
    if not hasattr(group, "exact_on_grid"):
        raise TypeError(f"{name} must be a FiniteGroup, {got(group)}")
    if not group.exact_on_grid:
        raise ValueError(
            f"{name} must map the pixel grid to itself (C1, C2, C4, D1, D2, D4; eqssl_edu.steerable has encoders "
            f"for the others), got {group.name}"
        )


def need_finite(group: Any, what: str, instead: str) -> None:
    """Raise where a group is known by samples only, as SO(2) is, and looking at these alone would be wrong."""
    if not group.is_finite:
        why = f"{what} sees the samples of {group.name} alone, and turns between them break it ({instead})"
        raise ValueError(f"group must be finite: {why}, got {group!r}")


def need_pairs(group: Any, least: int | None = None, finite: bool = False, **features: object) -> None:
    """Raise unless all are regular features (B, C, |G|) of one width, type and device.

    With ``least`` they must be of one batch size as well, and at least so many; with ``finite`` finite. This is the
    one door of features: behind it nothing asks again.
    """
    if not hasattr(group, "exact_on_grid"):
        raise TypeError(f"group must be a FiniteGroup, {got(group)}")
    (name, first), *others = features.items()
    need_shape(name, first, "B", "C", group.order, floating=True, finite=finite)
    if least is not None:
        need_integer(f"len({name})", len(first), least)
    for name, z in others:
        shape = "B" if least is None else len(first), first.shape[1], group.order
        need_shape(name, z, *shape, floating=True, finite=finite)
        need_choice(f"{name}.dtype", z.dtype, [first.dtype])
        need_choice(f"{name}.device", z.device, [first.device])


def need_regular(
    features: Tensor, group: Any, channels: int | None, grid: bool, like: Tensor | None = None
) -> None:
    """Raise unless ``features`` are regular features (or maps) of this group, with so many channels."""
    shape = ("B", channels or "C", group.order, *("H", "W")[: 2 * grid])
    need_shape("maps" if grid else "features", features, *shape, floating=True, like=like)


def need_encoder(encoder: Any) -> int:
    """The channels of an encoder. Raises unless it says of which group its features are, and how many."""
    if not hasattr(getattr(encoder, "group", None), "exact_on_grid"):
        wanted = "a .group and .out_channels, as GroupCNN has (SymmetrizedEncoder gives them to any network)"
        raise TypeError(f"encoder must have {wanted}, {got(encoder)}")
    return need_integer("encoder.out_channels", getattr(encoder, "out_channels", None), 1)


def need_elements(
    group: Any, g: int | Tensor, batch: Tensor, name: str, own_axes: int
) -> int | Int64[Tensor, " samples"]:
    """One element as an int, or a LongTensor with one per sample of a batch: it has an axis more than a sample."""
    if not isinstance(g, Tensor) or not g.ndim:
        return need_integer("g", g, 0, group.order - 1)
    need_integers("g", g, below=group.order)
    if batch.ndim <= own_axes or g.shape != batch.shape[:1]:
        raise ValueError(f"g must hold one element per sample of {name}, {got(g)} for {tuple(batch.shape)}")
    return g


def need_grid(group: Any, g: int | Tensor, images: Tensor, name: str, own_axes: int) -> int | Tensor:
    """``need_elements``; ValueError unless each of them maps the pixels of these images to pixels."""
    g = need_elements(group, g, images, name, own_axes)
    height, width = images.shape[-2:]
    for element in [] if group.exact_on_grid and height == width else torch.as_tensor(g).flatten().tolist():
        turn = group.degrees(element)
        if turn % 90:
            raise ValueError(
                f"g = {element} of {group.name} turns by {turn:g} degrees, which does not map the pixel grid to "
                f"itself; use rotate(images, degrees) for an approximation"
            )
        if turn % 180 and height != width:
            raise ValueError(f"{name} must be square to turn by {turn:g} degrees, got {height} x {width}")
    return g
