"""Rule E1 (docs/theory.md, exact sizes): when does a strided layer commute exactly with quarter turns?"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from eqssl_edu.errors import need_integer, need_positive, typed
from eqssl_edu.layers.sampling import (
    BATCH,
    Call,
    Comparison,
    is_equivariant,
    is_square_maps,
    plain,
    with_tensor,
)
from eqssl_edu.twins import Twin, nothing_compiled, same_random_numbers

__all__ = ["Breach", "exactness_violations", "is_exact", "nearest_sizes"]

DELAY = 2.0  # seconds, after which a progress bar is shown
NEIGHBOURS = 8  # sizes in which a module is tried on either side, or as many as its stride


@typed
def is_exact(size: int, kernel_size: int, stride: int, padding: int) -> bool:
    """Rule E1: a k x k window with stride s on S x S pixels, padded by p, is exact iff s divides S + 2p - k.

    Then the windows cover the padded square from border to border, and a turned square has the same windows.
    (Pooling has one more exact case, which is not counted: every window covers the whole picture.)

    Arguments:
        size: S, side of the layer's input in pixels.
        kernel_size: k; the window must fit into S + 2 p.
        stride: s.
        padding: p, on each of the four sides.

    Example:
        >>> is_exact(32, kernel_size=3, stride=2, padding=1), is_exact(33, kernel_size=3, stride=2, padding=1)
        (False, True)
    """
    need_positive(size=size, stride=stride)
    need_integer("padding", padding, least=0)
    need_integer("kernel_size", kernel_size, 1, size + 2 * padding)
    return (size + 2 * padding - kernel_size) % stride == 0


@typed
def nearest_sizes(size: int, kernel_size: int, stride: int, padding: int) -> list[int]:
    """The sizes nearest to this one that keep rule E1: itself, or one below (if the window fits) and one above.

    Example:
        >>> nearest_sizes(16, kernel_size=3, stride=2, padding=1)
        [15, 17]
    """
    if is_exact(size, kernel_size, stride, padding):
        return [size]
    rest = (size + 2 * padding - kernel_size) % stride
    below, above = size - rest, size + stride - rest
    return [below, above] if below >= max(1, kernel_size - 2 * padding) else [above]


class Breach(tuple):
    """The sizes of a layer's input, nearest to the one it has, at which the layer is exact; none if there is none.

    Attributes:
        error: the relative error that was measured, if the layer was judged.
        judged: False if it is not known how the layer's output should turn, so that the layer may be right or wrong.
        reason: what is wrong, in words.
    """

    error: float | None
    judged: bool
    reason: str

    def __new__(
        cls, sizes: tuple[int, ...], error: float | None = None, judged: bool = True, reason: str = ""
    ):
        self = super().__new__(cls, sizes)
        self.error, self.judged, self.reason = error, judged, reason
        return self

    def __repr__(self) -> str:
        return super().__repr__() if self else f"() {self.reason}"


@typed
def exactness_violations(
    model: nn.Module, input_size: int, in_channels: int | None = None
) -> dict[str, Breach]:
    """The modules of a network that break quarter turns at this image size, each with the nearest sizes that do not.

    It is measured: a copy of the model runs on noise, and on the turned noise with the kernels of all convolutions
    turned as well, and every module is compared on its own, whatever its weights are. Convolution, pooling and padding
    break rule E1; but functional calls, interpolation, slices, encodings of the position and everything else that a
    ``forward`` does are seen as well. Such a call is put down to the module whose ``forward`` it stands in: "" is the
    model itself. Whether a *group* acts on the channels is not asked: see ``diagnostics.equivariance_report``.

    Arguments:
        model: any module on images (B, C, S, S), in Python (compiled ones are looked into, scripted ones cannot be).
        input_size: S, in pixels.
        in_channels: C; by default that of its convolutions with which it runs.

    Returns:
        name of the module -> the nearest sizes *of its input* at which it is exact, found by trying. It is empty, and
        so false, only if everything was judged and is exact. What no size near by can mend has an empty tuple, and so
        has what is not judged: a module that turns maps into something else, of which no rule says how it should turn,
        as ``Flatten`` does. Each tuple has ``error``, as measured, ``judged`` and ``reason``.

    Raises:
        ValueError: if the model cannot run on such images.

    Example:
        >>> list(exactness_violations(nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1)), 32).items())
        [('0', (31, 33))]
        >>> exactness_violations(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), 8)
        {'1': () not judged: it gives a tensor of shape (B, 72)}
    """
    need_positive(input_size=input_size, **({} if in_channels is None else {"in_channels": in_channels}))
    model = getattr(model, "_orig_mod", model)  # of torch.compile
    model = model.module if isinstance(model, nn.DataParallel) else model
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise TypeError(
            f"model must have its layers in Python, not be scripted or traced, got {type(model).__name__}"
        )
    device = next((weight.device.type for weight in model.parameters()), "cpu")
    single = torch.autocast(device, enabled=False)  # rounding to half precision would look like an error
    with torch.no_grad(), same_random_numbers(), nothing_compiled(), single:
        return _breaches(*_that_runs(model, input_size, in_channels))


def _that_runs(model: nn.Module, side: int, channels: int | None) -> tuple[nn.Module, object]:
    """A copy of the model, and noise on which it runs: in double precision if it can, else in single precision."""
    # The type of the input of an escnn module names its planes, and puts images in an envelope.
    layers = [getattr(layer, "in_type", None) or layer for layer in model.modules()]
    widths = [getattr(layer, "in_channels", getattr(layer, "size", None)) for layer in layers]
    widths = [channels] if channels else [w for w in widths if isinstance(w, int) and w > 0] + [1, 3]
    casts = {
        torch.float64: nn.Module.double,
        torch.float32: nn.Module.float,
    }  # complex weights stay what they are
    envelopes = [lambda images: images, *filter(None, [getattr(model, "in_type", None)])]
    like, problems = next(model.parameters(), torch.zeros(())), []
    for dtype, width, envelope in product(casts, dict.fromkeys(widths), envelopes):
        shape, generator = (BATCH, width, side, side), torch.Generator().manual_seed(0)
        noise = torch.rand(shape, dtype=dtype, generator=generator, device="cpu")
        try:
            twin = Twin(model)
            twin.renew()
            images = envelope(noise.to(like.device))
            casts[dtype](twin.module)(images)
        except Exception as problem:
            problems.append((shape, problem))
            continue
        for parameter in twin.module.parameters():
            if parameter.is_floating_point() and (parameter == parameter.flatten()[0]).all():
                # What starts at zero, such as an encoding of the position, is seen as it will be.
                more = torch.randn(parameter.shape, generator=generator, device="cpu")
                parameter += 0.1 * more.to(parameter)
        return twin.module, envelope(noise.to(like.device))
    shape, problem = problems[0]
    raise ValueError(f"model must run on images of shape {shape}, got {problem!r}") from problem


def _breaches(model: nn.Module, images: object) -> dict[str, Breach]:
    from tqdm.auto import tqdm

    with tqdm(desc="exactness", unit=" calls", delay=DELAY, leave=False) as bar:
        comparison = Comparison(model, bar)
        comparison.run((images,), {})
        found, unclear = comparison.found, comparison.unclear
        for whole in filter(is_equivariant, comparison.of_group if found or unclear else []):
            # Whatever happens in it, such as turned copies that are reflected, the whole is exact.
            found = {name: breach for name, breach in found.items() if not whole.holds(name)}
            unclear = None if unclear and whole.holds(unclear[0].name) else unclear
        answer = {
            name: Breach(_exact_sizes(call, bar), error, True, f"error {error:.2g} at this size")
            for name, (call, error) in found.items()
        }
    if unclear:
        call, reason = unclear
        answer.setdefault(call.name, Breach((), None, False, f"not judged: {reason}"))
    return answer


def _exact_sizes(call: Call, bar: Any) -> tuple[int, ...]:
    """The next smaller and the next larger size at which a module on its own is exact, found by trying."""
    leaves, structure = tree_flatten(call.inputs)
    places = [i for i, leaf in enumerate(leaves) if is_square_maps(plain(leaf))]
    if len(places) != 1 or call.visits > 4:  # of several modules: too many to be tried at each size
        return ()
    envelope, stride = leaves[places[0]], getattr(call.module, "stride", None)
    maps = plain(envelope)
    steps = range(1, 1 + max([NEIGHBOURS, *(n for n in tree_flatten(stride)[0] if isinstance(n, int))]))

    def is_exact_at(side: int) -> bool:
        leaves[places[0]] = with_tensor(envelope, torch.rand(*maps.shape[:-2], side, side).to(maps))
        args, kwargs = tree_unflatten(leaves, structure)
        comparison = Comparison(call.module, bar)
        try:
            comparison.run(args, kwargs)
        except Exception:  # the window does not fit
            return False
        return not comparison.found and comparison.unclear is None

    side = maps.shape[-1]
    below = next((side - step for step in steps if side > step and is_exact_at(side - step)), None)
    above = next((side + step for step in steps if is_exact_at(side + step)), None)
    return tuple(size for size in (below, above) if size is not None)
