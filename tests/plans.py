"""Plans of networks, run by PyTorch: what the engine of pages does with them, told a second time."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["run_plan"]


def run_plan(plan: dict[str, Any], image: Tensor) -> dict[str, Tensor]:
    """The outputs of a plan for an image."""
    planes = torch.frombuffer(bytearray(plan["words"]), dtype=torch.uint8).view(4, -1)
    words = planes.T.contiguous().view(torch.int32).flatten()
    results: list[Tensor] = []
    for step in plan["steps"]:
        sources = [results[i] for i in step.get("of", [])]
        if step["kind"] == "input":
            result = image.flatten()
        elif step["kind"] == "constant":
            result = words[step["at"] : step["at"] + step["size"]].view(torch.float32)
        else:
            result = KINDS[step["kind"]](step, words, *sources).flatten()
        assert len(result) == step["size"] and result.dtype == torch.float32
        results.append(result)
    return {name: results[i].view(shape) for name, (i, *shape) in plan["outputs"].items()}


def _gather(step, words, numbers):
    start, count = step["table"]
    table = words[start : start + count].long()[None, :, None]
    index = table + step["stride"] * torch.arange(step["rows"])[:, None, None] + torch.arange(step["block"])
    index = index.where(table >= 0, len(numbers))
    return torch.cat([numbers, torch.zeros(1)])[index]


def _affine(step, words, numbers, scale, shift):
    return numbers.view(-1, step["channels"], step["inner"]) * scale[:, None] + shift[:, None]


def _pool(step, words, numbers):
    maps, window, stride, padding = numbers.view(step["planes"], *step["sides"]), *map(step.get, POOL)
    if step["how"] == "max":
        return F.max_pool2d(maps, window, stride, padding)
    return F.avg_pool2d(maps, window, stride, padding, count_include_pad=step["padded"])


def _reduce(step, words, numbers):
    rows = numbers.view(-1, step["row"])
    return rows.amax(1) if step["how"] == "max" else rows.mean(1)


def _conv(step, words, numbers, kernel, bias=None):
    maps = numbers.view(step["batch"], step["channels"], *step["sides"])
    kernel = kernel.view(step["out"], step["channels"] // step["groups"], *step["window"])
    maps = F.conv2d(maps, kernel, bias, step["stride"], step["padding"], step["dilation"], step["groups"])
    assert list(maps.shape[2:]) == step["to"] and math.prod(maps.shape) == step["size"]
    return maps


POOL = ("window", "stride", "padding")
KINDS = {
    "gather": _gather,
    "relu": lambda step, words, numbers: numbers.relu(),
    "add": lambda step, words, one, other: one + other,
    "affine": _affine,
    "pool": _pool,
    "reduce": _reduce,
    "conv": _conv,
}
