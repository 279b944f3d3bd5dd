"""What a network computes, written down as steps that a page can do without Python.

A network runs once, and each of PyTorch's own operations (ATen) is seen on its way. What only moves numbers becomes a
table of places; what computes becomes one of a handful of steps, which ``engine.js`` knows:

| kind | what it gives |
|---|---|
| conv | the correlation of maps with kernels; a product of two matrices is one as well |
| affine | a scale and a shift for each channel: a batch norm in evaluation mode |
| relu, add | of one tensor, of two |
| pool | means or maxima of windows |
| reduce | means or maxima of rows |
| gather | the same numbers in other places, or 0: any turn, permutation, copy, padding, concatenation |

The transformed copies of a kernel are a gather too: the page gets the base weights and the group's table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from eqssl_edu.shapes import Image

__all__ = ["NotComputed", "compiled", "packed_words"]

SMALL = 1024  # so few numbers are stored as they are, not as a base and a table
FLOATS = (torch.float32, torch.float64)
Settings = dict[str, Any]
aten = torch.ops.aten
# They give the numbers of their first argument in other places, or 0 where they pad.
COPIES = (aten.clone.default, aten._to_copy.default, aten._unsafe_view.default)
MOVES = (
    *(aten.index_select.default, aten.index.Tensor, aten.flip.default, aten.roll.default, aten.rot90.default),
    *(aten.constant_pad_nd.default, aten.repeat.default, aten.gather.default),
)
ROOM = (aten.empty_like.default, aten.empty.memory_format, aten.zeros_like.default, aten.zeros.default)


class NotComputed(ValueError):
    """A page cannot compute this: its message names what the engine does not know."""


@dataclass(eq=False)
class Node:
    """Numbers in a row, and how they come about."""

    kind: str  # of the step; or "input", "constant", "unknown"
    size: int
    sources: list[Node] = field(default_factory=list)
    settings: Settings = field(default_factory=dict)
    value: Tensor | None = None  # of what depends on no image
    index: Tensor | None = None  # of a gather: where each number comes from; -1 is 0


class _Recorder(TorchDispatchMode):
    """Writes down how the tensors of a block come about.

    What is known of a tensor is known of its memory: a view is the same memory, read in another order.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self._memory = {_key(image): Node("input", image.numel())}
        self._alive: list[Any] = [image]  # or other tensors would get the memory of those that are gone

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Else torch would load its compiler, which takes seconds, only to keep it away from here.
        return False

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        inputs = [each for each in tree_leaves((arguments, named)) if isinstance(each, Tensor)]
        depends = any(map(self._depends, inputs))
        node = self._step(operation, arguments, named or {}, depends)
        result = operation(*arguments, **(named or {}))
        outputs = [each for each in tree_leaves(result) if isinstance(each, Tensor)]
        self._alive.append((arguments, result))
        known = {_key(each) for each in inputs}
        if operation._schema.is_mutable:
            outputs = outputs or inputs
        elif outputs and all(_key(each) in known for each in outputs):
            return result  # a view
        for place, each in enumerate(outputs):
            if operation in ROOM:
                self._memory[_key(each)] = _constant(torch.zeros(_count(each)))
            elif node is not None and place == 0 and each.dtype in FLOATS:
                if not depends:
                    node.value = each.detach().reshape(-1).clone()
                self._write(each, node)
            elif depends:
                name = operation.overloadpacket.__name__
                self._write(each, Node("unknown", each.numel(), settings={"name": name}))
            else:
                self._memory.pop(_key(each), None)  # its value is what counts
        return result

    def read(self, tensor: Tensor) -> Node:
        """The numbers of a tensor, row by row."""
        node = self._memory.get(_key(tensor))
        if node is None:
            if _count(tensor) != tensor.numel():  # a part of something, or a broadcast one
                return _constant(tensor)
            node = self._memory[_key(tensor)] = _constant(tensor.detach().as_strided((_count(tensor),), (1,)))
        return _gathered(node, _places(tensor))

    def _write(self, tensor: Tensor, node: Node) -> None:
        """The tensor has these numbers now, and so has all that shares its memory."""
        places = _places(tensor)
        index = torch.full((_count(tensor),), -1).scatter(0, places, torch.arange(len(places)))
        self._memory[_key(tensor)] = _laid(node, index, self._memory.get(_key(tensor)))

    def _step(self, operation: Any, arguments: tuple, named: Settings, depends: bool) -> Node | None:
        """What an operation does, as a step; None if there is no such step."""
        first, *others = arguments or [None]
        if operation is aten.cat.default and depends:
            return _joined([self.read(each) for each in first], first, *others)
        if not isinstance(first, Tensor) or first.dtype not in FLOATS or named.get("alpha", 1) != 1:
            return None
        if operation is aten.copy_.default:
            return self.read(others[0].expand_as(first))
        if operation is aten.index_put_.default and not any(others[2:]) and depends:
            indices, values = others[:2]
            places = torch.zeros(first.shape, dtype=torch.long)
            operation(places, indices, torch.arange(1, values.numel() + 1).reshape(values.shape))
            return _laid(self.read(values), places.reshape(-1) - 1, self.read(first))
        if operation in COPIES:
            return self.read(first)
        if operation in MOVES and not any(map(self._depends, tree_leaves(others))):
            if operation is aten.constant_pad_nd.default and any(others[1:]):
                return None
            places = torch.arange(1, first.numel() + 1).reshape(first.shape)
            return _gathered(self.read(first), operation(places, *others).reshape(-1) - 1)
        make = STEPS.get(operation)
        return make(self.read, *arguments) if make and (depends or make is _product) else None

    def _depends(self, value: Any) -> bool:
        """Is it a tensor that depends on the image?"""
        node = self._memory.get(_key(value)) if isinstance(value, Tensor) else None
        return node is not None and node.value is None


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _count(tensor: Tensor) -> int:
    """How many numbers the memory of a tensor holds."""
    return tensor.untyped_storage().nbytes() // tensor.element_size()


def _places(tensor: Tensor) -> Tensor:
    """Where in its memory each number of a tensor stands, row by row."""
    memory = torch.arange(_count(tensor))
    return memory.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).reshape(-1)


def _constant(tensor: Tensor) -> Node:
    return Node("constant", tensor.numel(), value=tensor.detach().reshape(-1).clone())


def _gathered(node: Node, index: Tensor) -> Node:
    """The numbers of a node at these places."""
    if node.kind == "gather":
        node, index = node.sources[0], torch.cat([node.index, torch.tensor([-1])])[index]
    if torch.equal(index, torch.arange(node.size)):
        return node
    value = None if node.value is None else torch.cat([node.value, node.value.new_zeros(1)])[index]
    return Node("gather", len(index), [node], value=value, index=index)


def _laid(node: Node, index: Tensor, old: Node | None) -> Node:
    """The numbers of a node at these places; where there is -1 the old ones stay."""
    new, rest = _gathered(node, index), torch.arange(len(index)).where(index < 0, -1)
    kept = _gathered(old, rest) if old is not None and (rest >= 0).any() else None
    if kept is None or (kept.value is not None and not kept.value.any()):
        return new
    return Node("add", len(index), [kept, new])


def _joined(nodes: list[Node], tensors: list[Tensor], dim: int = 0) -> Node:
    """A concatenation: the sum of all parts, each with zeros where the others are."""
    parts = []
    for i, node in enumerate(nodes):
        places = [torch.arange(1, t.numel() + 1).reshape(t.shape) * (i == j) for j, t in enumerate(tensors)]
        parts.append(_gathered(node, torch.cat(places, dim).reshape(-1) - 1))
    total = parts[0]
    for part in parts[1:]:
        total = Node("add", part.size, [total, part])
    return total


# -- the steps: each function gets read() and the arguments of an operation --------------------------------------

Read = Callable[[Tensor], Node]


def _conv(
    read: Read,
    maps: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride,
    padding,
    dilation,
    transposed,
    _,
    groups,
) -> Node | None:
    if maps.ndim != 4 or transposed:
        return None
    (batch, channels, *sides), (out, _, *window) = maps.shape, kernel.shape
    size = [
        (side + 2 * p - d * (k - 1) - 1) // s + 1
        for side, p, d, k, s in zip(sides, padding, dilation, window, stride, strict=True)
    ]
    settings = {
        "batch": batch,
        "channels": channels,
        "sides": sides,
        "out": out,
        "window": window,
        "to": size,
    }
    settings |= {
        "stride": list(stride),
        "padding": list(padding),
        "dilation": list(dilation),
        "groups": groups,
    }
    sources = [read(each) for each in (maps, kernel, bias) if each is not None]
    if any(source.value is None for source in sources[1:]):
        return None
    return Node("conv", batch * out * size[0] * size[1], sources, settings)


def _product(read: Read, left: Tensor, right: Tensor, bias: Tensor | None = None) -> Node | None:
    """A product of two matrices, of which one is constant: a convolution with windows of one pixel."""
    if left.ndim == 3:
        if len(left) != 1 or bias is not None:
            return None
        left, right = left[0], right[0]
    one = [[1, 1], [0, 0], [1, 1], False, None, 1]
    if bias is None and read(left).value is not None:
        return _conv(read, right[None, :, None], left[:, :, None, None], None, *one)
    return _conv(read, left[:, :, None, None], right.T[:, :, None, None], bias, *one)


def _linear(read: Read, bias: Tensor, left: Tensor, right: Tensor) -> Node | None:
    return _product(read, left, right, bias)


def _norm(read: Read, maps: Tensor, weight, bias, mean, variance, *rest) -> Node | None:
    training, eps = (rest[0] if len(rest) > 2 else False), rest[-1]
    if training or mean is None:
        return None
    scale = (variance.double() + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    settings = {"channels": maps.shape[1], "inner": maps[0, 0].numel()}
    return Node("affine", maps.numel(), [read(maps), _constant(scale), _constant(shift)], settings)


def _relu(read: Read, maps: Tensor) -> Node:
    return Node("relu", maps.numel(), [read(maps)])


def _add(read: Read, left: Tensor, right: Tensor | float) -> Node | None:
    if not isinstance(right, Tensor):
        return None
    sources = [read(each) for each in torch.broadcast_tensors(left, right)]
    return Node("add", sources[0].size, sources)


def _mean_pool(
    read: Read, maps: Tensor, window, stride=(), padding=(0, 0), ceil=False, padded=True, divisor=None
) -> Node | None:
    if divisor is not None:
        return None
    return _pool(read, maps, window, stride, padding, ceil, {"kind": "mean", "padded": padded})


def _max_pool(
    read: Read, maps: Tensor, window, stride=(), padding=(0, 0), dilation=(1, 1), ceil=False
) -> Node | None:
    if set(dilation) != {1}:
        return None
    return _pool(read, maps, window, stride, padding, ceil, {"kind": "max", "padded": False})


def _pool(read: Read, maps: Tensor, window, stride, padding, ceil: bool, how: Settings) -> Node | None:
    if ceil:
        return None
    window, stride, padding = (
        list(each) * 2 if len(each) == 1 else list(each) for each in (window, stride or window, padding)
    )
    sides = list(maps.shape[-2:])
    size = [(side + 2 * p - k) // s + 1 for side, p, k, s in zip(sides, padding, window, stride, strict=True)]
    planes = maps[..., 0, 0].numel()
    settings = {"planes": planes, "sides": sides, "window": window, "stride": stride, "padding": padding}
    settings |= {"to": size, "how": how["kind"], "padded": how["padded"]}
    return Node("pool", planes * size[0] * size[1], [read(maps)], settings)


def _mean(read: Read, maps: Tensor, dims: list[int] | None, *_) -> Node:
    return _reduce(read, maps, dims, "mean")


def _max(read: Read, maps: Tensor, dims: list[int] = (), *_) -> Node:
    return _reduce(read, maps, dims, "max")


def _reduce(read: Read, maps: Tensor, dims: list[int] | None, how: str) -> Node:
    last = [dim % maps.ndim for dim in dims or range(maps.ndim)]
    moved = maps.permute(*(dim for dim in range(maps.ndim) if dim not in last), *last)
    row = moved[(0,) * (maps.ndim - len(last))].numel()
    return Node("reduce", maps.numel() // row, [read(moved)], {"row": row, "how": how})


STEPS = {
    aten.convolution.default: _conv,
    aten.bmm.default: _product,
    aten.mm.default: _product,
    aten.addmm.default: _linear,
    aten.native_batch_norm.default: _norm,
    aten._native_batch_norm_legit_no_training.default: _norm,
    aten.relu.default: _relu,
    aten.relu_.default: _relu,
    aten.add.Tensor: _add,
    aten.add_.Tensor: _add,
    aten.avg_pool2d.default: _mean_pool,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.mean.dim: _mean,
    aten.amax.default: _max,
}


# -- the plan ----------------------------------------------------------------------------------------------------


def compiled(run: Callable[[Tensor], dict[str, Tensor]], image: Image) -> dict[str, Any]:
    """What ``run`` computes from an image, as a plan for ``engine.js``.

    It runs twice, on the image and on noise: only what computes the same way for both can be written down.

    Arguments:
        run: images (1, C, H, W) to named tensors, without gradients.
        image: an example.

    Returns:
        "steps", in an order in which each finds what it needs; "outputs": for each name its step and its shape;
        "words": the numbers that are stored, as ``packed_words`` packs them. A step has its "kind", its "size", the
        steps "of" which it is made, whether it is "fixed", the same for all images, and its settings.

    Raises:
        NotComputed: if there is an operation that the engine does not know, or one that depends on the picture.
    """
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)).to(image)
    plan, other = (_plan(run, example) for example in (image, noise))
    if plan != other:
        raise NotComputed("the network does something else for another picture")
    return plan


@torch.no_grad()
def _plan(run: Callable[[Tensor], dict[str, Tensor]], image: Image) -> dict[str, Any]:
    images = image.detach()[None].clone(memory_format=torch.contiguous_format)  # as the page will have it
    with _Recorder(images) as recorder:
        found = run(images)
    plan = _Plan()
    outputs = {name: [plan.number(recorder.read(each)), *each.shape] for name, each in found.items()}
    return {"steps": plan.steps, "outputs": outputs, "words": packed_words(plan.words)}


class _Plan:
    """The steps that are needed, each once, and the numbers that they store."""

    def __init__(self) -> None:
        self.steps: list[Settings] = []
        self.words: list[Tensor] = []
        self._numbers: dict[Node, int] = {}
        self._stored: dict[bytes, list[int]] = {}
        self._constants: dict[int, int] = {}

    def number(self, node: Node) -> int:
        """The place of a step, which is written down if it is new."""
        if node not in self._numbers:
            self._numbers[node] = self._written(node)
        return self._numbers[node]

    def _written(self, node: Node) -> int:
        if node.kind == "unknown":
            raise NotComputed(f"the engine of pages does not know {node.settings['name']}")
        if node.value is not None and (node.kind == "constant" or _cost(node) >= node.size):
            at, _ = self._store(node.value.float())
            if at not in self._constants:
                self._constants[at] = self._append("constant", node.size, True, at=at)
            return self._constants[at]
        settings = dict(node.settings)
        if node.kind == "gather":
            table, settings = _factored(node.index)
            settings["table"] = self._store(table.int())
        numbers = [self.number(source) for source in node.sources]
        return self._append(node.kind, node.size, node.value is not None, of=numbers, **settings)

    def _append(self, kind: str, size: int, fixed: bool, **settings: Any) -> int:
        self.steps.append({"kind": kind, "size": size, "fixed": fixed, **settings})
        return len(self.steps) - 1

    def _store(self, numbers: Tensor) -> list[int]:
        """[where, how many]: 32-bit numbers, the same ones once."""
        bits = numbers.contiguous().view(torch.int32)
        key = bits.numpy().tobytes()
        if key not in self._stored:
            self._stored[key] = [sum(map(len, self.words)), len(bits)]
            self.words.append(bits)
        return self._stored[key]


def _cost(node: Node) -> int:
    """How many numbers a constant takes, if it is stored by the steps that make it."""
    if node.kind == "constant" or node.size <= SMALL:
        return node.size
    table = len(_factored(node.index)[0]) if node.kind == "gather" else 0
    return min(node.size, table + sum(map(_cost, node.sources)))


def _factored(index: Tensor) -> tuple[Tensor, Settings]:
    """A table of places without its repetitions: (table, {"rows", "stride", "block"}).

    index[row, entry, i] = row * stride + block * table[entry] + i, or -1 where the table has -1.
    """
    for block in _divisors(len(index)):
        parts = index.view(-1, block)
        first = parts[:, :1]
        if torch.equal(parts, torch.where(first < 0, -1, first + torch.arange(block))):
            break
    table = parts[:, 0]
    for rows in _divisors(len(table)):
        parts = table.view(rows, -1)
        stride = max(0, int((parts[1] - parts[0]).max())) if rows > 1 else 0
        steps = stride * torch.arange(rows)[:, None]
        if torch.equal(parts, torch.where(parts[:1] < 0, -1, parts[:1] + steps)):
            break
    return parts[0].clone(), {"rows": rows, "stride": stride, "block": block}


def _divisors(count: int) -> list[int]:
    """Of a number, the largest first."""
    return [n for n in range(count, 0, -1) if count % n == 0] or [1]


def packed_words(parts: list[Tensor]) -> bytes:
    """Numbers of 32 bits: all first bytes, all second ones, and so on. So they pack better."""
    words = (
        torch.cat([part.view(torch.int32) for part in parts]) if parts else torch.zeros(0, dtype=torch.int32)
    )
    return words.view(torch.uint8).view(-1, 4).T.contiguous().numpy().tobytes()
