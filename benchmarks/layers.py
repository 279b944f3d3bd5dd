"""Forward + backward of our lifting and group convolution, against a bare conv2d of the same expanded width (the
limit) and against escnn's R2Conv, paired in one run. Without escnn its column stays empty. On a GPU twice: as CUDA
graphs, which is the GPU's time alone, and called from Python.

    python benchmarks/layers.py [--device cuda] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from typing import NamedTuple

import torch
from paired import median_interval, median_ratio, paired_seconds, recorded, write

from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, LiftingConv2d

# (batch, channels in, channels out, side, kernel): stages of small encoders on 28 x 28, of a group ResNet on 32 x 32.
# A GPU is given the batches of contrastive learning, and the widths of GroupResNet; and a batch of the notebooks.
SHAPES = {
    "cpu": {
        "lifting": [(64, 1, 16, 28, 5), (64, 3, 32, 32, 3), (128, 3, 16, 32, 3)],
        "group": [
            (64, 8, 16, 28, 3),
            (64, 16, 32, 14, 3),
            (64, 8, 8, 28, 5),
            (32, 32, 32, 16, 3),
            (32, 64, 64, 8, 3),
        ],
    },
    "cuda": {
        "lifting": [(64, 1, 16, 28, 5), (1024, 1, 16, 28, 5), (512, 3, 32, 32, 3), (1024, 3, 24, 32, 3)],
        "group": [
            (64, 8, 16, 28, 3),
            (64, 16, 32, 14, 3),
            (2048, 8, 16, 28, 3),
            (4096, 16, 32, 14, 3),
            (512, 32, 32, 32, 3),
            (512, 64, 64, 16, 3),
            (512, 128, 128, 8, 3),
            (512, 256, 256, 4, 3),
        ],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    device = torch.device(options.device)
    half = device.type == "cuda"
    ways = [GRAPH, PYTHON] if half else [""]
    rows, ratios = [], defaultdict(list)
    for group in (cyclic(4), dihedral(4)):
        for kind, shapes in SHAPES[device.type].items():
            for batch, c, c2, side, k in shapes:
                steps = candidates(group, kind, (batch, c, c2, side, k), device, half)
                row = f"| {group.name} {kind} | {batch} x {c} -> {c2}, {side} x {side}, k = {k} |"
                for way in ways:
                    runs = {n: recorded(step) for n, step in steps.items()} if way == GRAPH else steps
                    seconds = paired_seconds(runs, options.rounds, device)
                    size = "512 and more" if batch >= 512 else "the notebooks"
                    found = ratios[f"{way}batches of {size}: "]
                    found.append(compared(seconds))
                    row += cells(seconds, *found[-1])
                rows.append(row)
                print(row, flush=True)
    columns = [f"{way}{name}" for way in ways for name in ("ours, ms", "ours / conv2d", "escnn / ours")]
    lines = [
        f"Forward + backward, {'bfloat16 autocast and channels-last' if half else 'float32'}; "
        f"{options.rounds} rounds of all candidates; ratios are medians of the ratios within a round, "
        "[...] their 95 % intervals (sign test), of which about one in twenty lies off by chance.",
        "",
        f"| layer | batch x channels, side, kernel | {' | '.join(columns)} |",
        f"|{'---|' * (2 + len(columns))}",
        *rows,
        "",
        *(f"- {size}{summary(some)}" for size, some in sorted(ratios.items())),
        "",
        "conv2d is a plain convolution of the same expanded width, the limit. escnn's R2Conv has the same fields, in "
        "training mode (it builds its kernel from its basis at every step, as ours is gathered). No layer has a bias, "
        "since in the encoders a norm follows.",
    ]
    if half:
        lines += ["", GRAPHS]
    write("layers", "Group convolutions against a bare convolution", device, lines)


GRAPH, PYTHON = "GPU: ", "Python: "
GRAPHS = (
    "GPU: as a CUDA graph, which is one launch: the GPU's time alone. Python: called from Python, where a step also "
    "waits until its launches have been made, one by one. Below about a millisecond that is all that is measured; ours "
    "makes more of them than a bare convolution, escnn more than ours."
)


class Ratios(NamedTuple):
    """Of one shape: ours to the limit, and, where escnn is there, escnn to ours with its interval."""

    limit: float
    steerable: float | None
    interval: tuple[float, float] | None


def compared(seconds: dict[str, list[float]]) -> Ratios:
    limit = median_ratio(seconds["ours"], seconds["conv2d"])
    if "escnn" not in seconds:
        return Ratios(limit, None, None)
    theirs = seconds["escnn"], seconds["ours"]
    return Ratios(limit, median_ratio(*theirs), median_interval(*theirs))


def cells(
    seconds: dict[str, list[float]], limit: float, steerable: float | None, interval: tuple | None
) -> str:
    theirs = f"{steerable:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "-"
    return f" {1e3 * statistics.median(seconds['ours']):.2f} | {limit:.3f} | {theirs} |"


def summary(some: list[Ratios]) -> str:
    limits = [each.limit for each in some]
    text = f"ours / conv2d: median over shapes {statistics.median(limits):.3f}, worst {max(limits):.3f}"
    if some[0].interval:
        theirs, slower = [each.steerable for each in some], [each.interval[1] < 1 for each in some]
        text += (
            f"; escnn / ours: median {statistics.median(theirs):.2f}, worst {min(theirs):.2f}; escnn is faster beyond "
            f"the noise (the whole interval below 1) on {sum(slower)} of {len(slower)}"
        )
    return f"{text}."


def candidates(
    group: FiniteGroup, kind: str, shape: tuple[int, ...], device: torch.device, half: bool
) -> dict:
    batch, c, c2, side, k = shape
    torch.manual_seed(0)
    if kind == "lifting":
        ours = LiftingConv2d(group, c, c2, k, padding=k // 2, bias=False)
        planes = c
    else:
        ours = GroupConv2d(group, c, c2, k, padding=k // 2, bias=False)
        planes = c * group.order
    plain = torch.nn.Conv2d(planes, c2 * group.order, k, padding=k // 2, bias=False)
    layout = torch.channels_last if half else torch.contiguous_format
    ours, plain = ours.to(device), plain.to(device, memory_format=layout)
    x = torch.randn(batch, planes, side, side, device=device).to(memory_format=layout)
    if half and kind == "group":  # what the layer before it gives
        x = x.to(torch.bfloat16)
    x.requires_grad_(kind == "group")  # images need no gradient

    def maps():
        return x if kind == "lifting" else x.unflatten(1, (c, group.order))

    def step(forward, module):
        """Forward, and all gradients: of the weights, and of what the layer before has given."""
        wanted = [*module.parameters(), *([x] if x.requires_grad else [])]

        def output():
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                return forward()

        slope = torch.randn_like(output())
        return lambda: torch.autograd.grad(output(), wanted, slope)

    steps = {
        "ours": step(lambda: ours(maps()).flatten(1, 2), ours),
        "conv2d": step(lambda: plain(x), plain),
    }
    try:
        from eqssl_edu.steerable import enn, gspaces
    except ModuleNotFoundError:
        return steps
    space = (gspaces.flipRot2dOnR2 if group.reflections else gspaces.rot2dOnR2)(group.rotations)
    fields = [space.trivial_repr if kind == "lifting" else space.regular_repr] * c
    out_type = enn.FieldType(space, [space.regular_repr] * c2)
    theirs = enn.R2Conv(enn.FieldType(space, fields), out_type, k, padding=k // 2, bias=False)
    theirs = theirs.to(device).train()
    field = theirs.in_type(x)
    return {**steps, "escnn": step(lambda: theirs(field).tensor, theirs)}


if __name__ == "__main__":
    main()
