"""Rule E1: when does a strided layer commute exactly with quarter turns?"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from eqssl_edu.errors import need_integer, need_positive, typed
from eqssl_edu.twins import eval_mode

__all__ = ["exactness_violations", "is_exact", "nearest_sizes"]

# Left, right, top and bottom each have a padding of their own.
PADS = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d)


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


@typed
def exactness_violations(model: nn.Module, input_size: int) -> dict[str, tuple[int, ...]]:
    """The layers of a torch module that break rule E1 at this image size, each with the nearest legal sizes.

    Runs the model once on a square of zeros and looks at every layer that has a window, a stride and a
    padding (convolution and pooling, plain or on a group), and at every layer that pads. Not seen are functional calls
    in a ``forward``, and layers without a window: ``Upsample``, ``PixelUnshuffle``, ``FractionalMaxPool2d``.

    Arguments:
        model: any module on images (B, C, S, S); C is read off its first convolution (1 if it has none).
        input_size: S, in pixels.

    Returns:
        name of the layer -> the nearest sizes *of that layer's input* that keep the rule; empty if nothing is
        wrong. A layer that no size can mend (windows that are not square, more padding on one side than on
        another, a transposed convolution with output padding) has no sizes.

    Raises:
        ValueError: if the model cannot run on such images.

    Example:
        >>> list(exactness_violations(nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1)), 32).items())
        [('0', (31, 33))]
    """
    need_positive(input_size=input_size)
    widths = [
        # escnn's layers name the type of their input, whose size counts its planes
        getattr(getattr(layer, "in_type", None), "size", getattr(layer, "in_channels", None))
        for layer in model.modules()
    ]
    channels = next((width for width in widths if isinstance(width, int)), 1)
    found: dict[str, tuple[int, ...]] = {}

    def look(name: str, layer: nn.Module, inputs: tuple, named_inputs: dict, output: object) -> None:
        features = next(iter((*inputs, *named_inputs.values())), None)
        sizes = _mending_sizes(layer, getattr(features, "tensor", features))  # escnn wraps its tensors
        if sizes is not None:
            found[name] = sizes

    windows = [(name, layer) for name, layer in model.named_modules() if _is_window(layer)]
    if not windows:
        return {}
    handles = [layer.register_forward_hook(partial(look, name), with_kwargs=True) for name, layer in windows]
    parameter, shape = next(model.parameters(), torch.zeros(())), (1, channels, input_size, input_size)
    try:
        with eval_mode(model), torch.no_grad():  # batch norm must not learn from zeros
            model(parameter.new_zeros(shape))
    except Exception as problem:
        raise ValueError(f"model must run on images of shape {shape}, got {problem}") from problem
    finally:
        for handle in handles:
            handle.remove()
    return found


def _is_window(layer: nn.Module) -> bool:
    """True for a layer that moves a window or pads; a network that remembers its layers' settings is none."""
    moves = hasattr(layer, "kernel_size") and hasattr(layer, "stride")
    return isinstance(layer, PADS) or (moves and not any(map(_is_window, layer.children())))


def _mending_sizes(layer: nn.Module, features: Tensor) -> tuple[int, ...] | None:
    """None if the layer keeps the rule at this input, else the sizes nearest to it that do."""
    if isinstance(layer, PADS):
        return None if len(set(layer.padding)) == 1 else ()
    if not isinstance(features, Tensor) or features.ndim < 4:
        return None
    # A pooling layer's stride is its window by default.
    stride = layer.kernel_size if layer.stride is None else layer.stride
    settings = layer.kernel_size, stride, getattr(layer, "padding", 0), getattr(layer, "dilation", 1)
    windows = [_two_axes(setting) for setting in settings]
    if any(a != b for a, b in windows) or features.shape[-2] != features.shape[-1]:
        return ()
    kernel, stride, padding, dilation = (a for a, _ in windows)
    # escnn has transposed convolutions of its own, which are no subclass of torch's.
    transposed = isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d))
    if transposed or type(layer).__name__.endswith("ConvTransposed"):
        return () if any(_two_axes(layer.output_padding)) else None
    window = dilation * (kernel - 1) + 1
    if padding == "same":  # torch pads an even window by one more on one side
        return None if window % 2 else ()
    sizes = nearest_sizes(features.shape[-1], window, stride, 0 if padding == "valid" else padding)
    return None if sizes == [features.shape[-1]] else tuple(sizes)


def _two_axes(value: object) -> tuple:
    """The last two entries of a layer's setting: a number or a word counts for both axes."""
    if isinstance(value, (tuple, list)):
        return (value[-2], value[-1]) if len(value) > 1 else (value[0], value[0])
    return (value, value)
