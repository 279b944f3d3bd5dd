"""Forward + backward of our lifting and group convolution, against a bare conv2d of the same expanded width (the
limit) and against escnn's R2Conv, paired in one run. Without escnn its column stays empty.

    python benchmarks/layers.py [--device cuda] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics

import torch
from paired import median_interval, median_ratio, paired_seconds, write

from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, LiftingConv2d

# (batch, channels in, channels out, side, kernel): stages of small encoders on 28 x 28, of a group ResNet on 32 x 32.
# A GPU is given what it is used for: the batches of contrastive learning, and the widths of GroupResNet.
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
    rows, limits, steerables, slower = [], [], [], []
    for group in (cyclic(4), dihedral(4)):
        for kind, shapes in SHAPES[device.type].items():
            for shape in shapes:
                seconds = paired_seconds(candidates(group, kind, shape, device, half), options.rounds, device)
                limit = median_ratio(seconds["ours"], seconds["conv2d"])
                limits.append(limit)
                theirs = "-"
                if "escnn" in seconds:
                    steerables.append(median_ratio(seconds["escnn"], seconds["ours"]))
                    low, high = median_interval(seconds["escnn"], seconds["ours"])
                    slower.append(high < 1)
                    theirs = f"{steerables[-1]:.2f} [{low:.2f}, {high:.2f}]"
                batch, c, c2, side, k = shape
                milliseconds = 1e3 * statistics.median(seconds["ours"])
                rows.append(
                    f"| {group.name} {kind} | {batch} x {c} -> {c2}, {side} x {side}, k = {k} | {milliseconds:.1f} | "
                    f"{limit:.3f} | {theirs} |"
                )
                print(rows[-1], flush=True)
    summary = [f"Ours / conv2d: median over shapes {statistics.median(limits):.3f}, worst {max(limits):.3f}."]
    if steerables:
        summary.append(
            f"escnn / ours: median {statistics.median(steerables):.2f}, worst {min(steerables):.2f}; escnn is faster "
            f"beyond the noise (the whole interval below 1) on {sum(slower)} of {len(slower)} shapes."
        )
    lines = [
        f"Forward + backward, {'bfloat16 autocast and channels-last' if half else 'float32'}; "
        f"{options.rounds} rounds of all candidates; ratios are medians of the ratios within a round, "
        "[...] their 95 % intervals (sign test).",
        "",
        "| layer | batch x channels, side, kernel | ours, ms | ours / conv2d | escnn / ours |",
        "|---|---|---|---|---|",
        *rows,
        "",
        *summary,
        "",
        "conv2d is a plain convolution of the same expanded width with a bias, the limit. escnn's R2Conv has the same "
        "fields, in training mode (it builds its kernel from its basis at every step, as ours is gathered).",
    ]
    write("layers", "Group convolutions against a bare convolution", device, lines)


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
    shaped = x if kind == "lifting" else x.unflatten(1, (c, group.order))

    def step(forward) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            y = forward()
        y.backward(torch.ones_like(y))  # in the layout of y

    runs = {
        "ours": lambda: step(lambda: ours(shaped).flatten(1, 2)),
        "conv2d": lambda: step(lambda: plain(x)),
    }
    try:
        from eqssl_edu.steerable import enn, gspaces
    except ModuleNotFoundError:
        return runs
    space = (gspaces.flipRot2dOnR2 if group.reflections else gspaces.rot2dOnR2)(group.rotations)
    fields = [space.trivial_repr if kind == "lifting" else space.regular_repr] * c
    out_type = enn.FieldType(space, [space.regular_repr] * c2)
    theirs = enn.R2Conv(enn.FieldType(space, fields), out_type, k, padding=k // 2, bias=False)
    theirs = theirs.to(device).train()
    field = theirs.in_type(x)
    return {**runs, "escnn": lambda: step(lambda: theirs(field).tensor)}


if __name__ == "__main__":
    main()
