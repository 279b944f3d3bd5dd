"""A training step of a GroupResNet, with two views of each image and InfoNCE, beside the plain ResNet of the same
expanded width and escnn's network of the same fields, paired in one run: images per second, and ratios. On a GPU twice:
recorded as one launch, as the campaign trains there, and called from Python. Without escnn its column stays empty.

    python benchmarks/resnet_step.py [--device cuda] [--rounds 9] [--batch 128] [--width 64] [--side 32]

The limits on a GPU are 1.1 times the plain step, recorded, and 1.5 times the throughput of escnn's, called from Python.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Callable

import torch
from paired import median_interval, median_ratio, paired_seconds, recorded, write
from torch import nn

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.encoders import Encoder, GroupResNet
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.layers import GroupMLP, HalvingPool2d
from eqssl_edu.views import RandomView

PROJECTED = 128  # what a projector gives, |G| times its channels
VIEWS = {"crop": 0.4, "shift": 0.08, "rotation": 10.0, "contrast": 0.4, "colour": 0.3, "noise": 0.05}
WHOLE, PYTHON = "recorded: ", "Python: "


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if on_gpu else "cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=128 if on_gpu else 8, help="images, each in two views")
    parser.add_argument(
        "--width", type=int, default=64 if on_gpu else 16, help="of the first stage, expanded"
    )
    parser.add_argument("--side", type=int, default=32 if on_gpu else 16, help="of the images, in pixels")
    options = parser.parse_args()
    device = torch.device(options.device)
    lines = table(device, options.rounds, options.batch, options.width, options.side)
    write("resnet_step", "Training steps of a GroupResNet", device, lines)


def table(device: torch.device, rounds: int, batch: int, width: int, side: int) -> list[str]:
    """The lines of the page: a row for each group and way of calling."""
    rows = []
    for group in (cyclic(4), dihedral(4)):
        steps = candidates(group, batch, width, side, device)
        for way in [WHOLE, PYTHON] if device.type == "cuda" else [""]:
            some = recordings(steps) if way == WHOLE else steps
            seconds = paired_seconds(some, rounds, device)
            rows.append(f"| {way}{group.name} |{cells(seconds, batch)}")
            print(rows[-1], flush=True)
    return [
        f"ResNet-18 in the form for CIFAR, {batch} images of {side} x {side} in two views, expanded width {width}, "
        f"{'bfloat16 autocast and channels-last' if device.type == 'cuda' else 'float32'}: views, encoder, projector, "
        f"InfoNCE and all gradients, without the optimiser; {rounds} rounds; ratios are medians of the ratios within a "
        "round, [...] their 95 % intervals.",
        "",
        "| | ours, images/s | plain, images/s | escnn, images/s | ours / plain, time | escnn / ours, time |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        'Plain: the same network over C1 with the similarity "plain". escnn: R2Conv, InnerBatchNorm and ReLU with as '
        "many regular fields, in training mode, the same pooling, views, projector and loss.",
    ]


def cells(seconds: dict[str, list[float]], batch: int) -> str:
    """Images per second of each, and the two ratios."""
    text = ""
    for name in ("ours", "plain", "escnn"):
        text += f" {batch / statistics.median(seconds[name]):.0f} |" if name in seconds else " - |"
    for above, below in (("ours", "plain"), ("escnn", "ours")):
        if above not in seconds:
            return f"{text} - |"
        pair = seconds[above], seconds[below]
        low, high = median_interval(*pair)
        text += f" {median_ratio(*pair):.3f} [{low:.2f}, {high:.2f}] |"
    return text


def recordings(steps: dict[str, Callable[[], None]]) -> dict[str, Callable[[], None]]:
    """Each as a CUDA graph; what cannot be recorded is left out, and said."""
    found = {}
    for name, step in steps.items():
        try:
            found[name] = recorded(step, step.generator)
        except RuntimeError as problem:
            print(f"{name} cannot be recorded: {str(problem)[:200]}", flush=True)
    return found


class Step:
    """Forward and backward of one model on one batch, with new views each time."""

    def __init__(self, model: nn.Module, images: torch.Tensor) -> None:
        self.model, self.images = model.train(), images
        self.weights = list(model.parameters())
        self.generator = torch.Generator(images.device)

    def __call__(self) -> tuple[torch.Tensor, ...]:
        half = self.images.device.type == "cuda"
        with torch.autocast(self.images.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            loss = self.model.training_step(self.images, self.generator)["loss"]
        return torch.autograd.grad(loss, self.weights)


def candidates(
    group: FiniteGroup, batch: int, width: int, side: int, device: torch.device
) -> dict[str, Callable[[], object]]:
    """Ours, the plain one, and escnn's where it is there."""
    torch.manual_seed(0)
    encoders: dict[str, tuple[nn.Module, str]] = {
        "ours": (GroupResNet(group, 3, width // group.order), "soft"),
        "plain": (GroupResNet(cyclic(1), 3, width), "plain"),
    }
    with contextlib.suppress(ModuleNotFoundError):
        encoders["escnn"] = SteerableResNet(group, width // group.order), "soft"
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    images = torch.rand(batch, 3, side, side, device=device).to(memory_format=layout)
    steps = {}
    for name, (encoder, kind) in encoders.items():
        own = encoder.group
        head = GroupMLP(own, (encoder.out_channels, encoder.out_channels, max(1, PROJECTED // own.order)))
        model = ContrastiveModel(encoder, InfoNCE(own, kind), RandomView(group, **VIEWS), head)
        steps[name] = Step(model.to(device), images)
    return steps


class SteerableResNet(Encoder):
    """``GroupResNet`` out of escnn's layers: as many regular fields, and the same pooling in front of each stage."""

    def __init__(self, group: FiniteGroup, width: int) -> None:
        super().__init__()
        from eqssl_edu.steerable import enn, gspaces

        space = (gspaces.flipRot2dOnR2 if group.reflections else gspaces.rot2dOnR2)(group.rotations)
        self.enn, self.space, self.group, self.in_channels = enn, space, group, 3
        self.out_channels = 8 * width
        self.images = enn.FieldType(space, [space.trivial_repr] * 3)
        self.stem = enn.SequentialModule(
            *self.normed(self.images, self.fields(width), 3), enn.ReLU(self.fields(width))
        )
        self.pool, self.blocks = HalvingPool2d(), nn.ModuleList()
        for stage in range(4):
            before, after = width * 2 ** max(0, stage - 1), width * 2**stage
            self.blocks.extend([self.block(before, after), self.block(after, after)])

    def fields(self, width: int):
        return self.enn.FieldType(self.space, [self.space.regular_repr] * width)

    def normed(self, before, after, side: int) -> list[nn.Module]:
        convolution = self.enn.R2Conv(before, after, side, padding=side // 2, bias=False)
        return [convolution, self.enn.InnerBatchNorm(after)]

    def block(self, before: int, after: int) -> nn.ModuleDict:
        a, b, enn = self.fields(before), self.fields(after), self.enn
        body = enn.SequentialModule(*self.normed(a, b, 3), enn.ReLU(b), *self.normed(b, b, 3))
        parts = {"body": body, "relu": enn.ReLU(b)}
        if before != after:
            parts["shortcut"] = enn.SequentialModule(*self.normed(a, b, 1))
        return nn.ModuleDict(parts)

    def feature_maps(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.stem(self.enn.GeometricTensor(images, self.images))
        for place, block in enumerate(self.blocks):
            if place in (2, 4, 6):
                halved = self.pool(maps.tensor.unflatten(1, (-1, self.group.order))).flatten(1, 2)
                maps = self.enn.GeometricTensor(halved, maps.type)
            shortcut = block["shortcut"](maps) if "shortcut" in block else maps
            maps = block["relu"](block["body"](maps) + shortcut)
        return maps.tensor.unflatten(1, (self.out_channels, self.group.order))


if __name__ == "__main__":
    main()
