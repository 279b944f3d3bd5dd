"""Every angle against eight: the correlation of all pairs over SO(2) at 24 angles, and its maximum by Halley's method,
against the orbit correlation over C8 and its maximum; and InfoNCE over SO(2) against InfoNCE over C8, in one run.

    python benchmarks/circle.py [--device cuda]
"""

from __future__ import annotations

import argparse
import statistics

import torch
from paired import median_ratio, paired_seconds, write

from eqssl_edu.circle import circle_correlation, so2
from eqssl_edu.contrastive import InfoNCE, orbit_correlation, orbit_similarity
from eqssl_edu.groups import cyclic

CHANNELS, FREQUENCY, ANGLES, COUNT = 16, 3, 24, 256
KINDS = ("max", "soft", "power3")
FINITE, CIRCLE = cyclic(8), so2(FREQUENCY)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(parser.parse_args().device)
    lines = [
        f"{COUNT} x {COUNT} pairs, {CHANNELS} channels, frequencies up to {FREQUENCY}, float32. Each round runs all "
        "candidates; ratios are medians of the ratios within a round.",
        "",
        *table(pairs(device), "C8", device),
        "",
        f"C8: `orbit_correlation`. SO(2): `circle_correlation` at {ANGLES} angles; the limit is 1.5. The largest of "
        f"each pair: of the 8, of the {ANGLES}, and over all angles (`orbit_similarity`), by Halley's method.",
        "",
        *table(losses(device), "C8, max", device),
        "",
        f"`InfoNCE` of {COUNT} images (2 x {COUNT} views), forward + backward.",
    ]
    write("circle", "Every angle against eight", device, lines)


def features(device: torch.device) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(COUNT, CHANNELS, 8, generator=generator).to(device) for _ in "12"]


def pairs(device: torch.device) -> dict:
    z, w = features(device)
    angles = 360 * torch.arange(ANGLES) / ANGLES
    return {
        "C8": lambda: orbit_correlation(FINITE, z, w),
        "SO(2)": lambda: circle_correlation(CIRCLE, z, w, angles),
        "largest of C8": lambda: orbit_correlation(FINITE, z, w).amax(dim=2),
        "largest of the angles": lambda: circle_correlation(CIRCLE, z, w, angles).amax(dim=2),
        "largest of all angles": lambda: orbit_similarity(CIRCLE, z, w, "max"),
    }


def losses(device: torch.device) -> dict:
    views = [z.requires_grad_() for z in features(device)]
    runs = {f"C8, {kind}": InfoNCE(FINITE, kind) for kind in KINDS}
    runs |= {f"SO(2), {kind}": InfoNCE(CIRCLE, kind) for kind in KINDS}
    return {name: (lambda loss=loss: torch.autograd.grad(loss(*views), views)) for name, loss in runs.items()}


def table(runs: dict, reference: str, device: torch.device) -> list[str]:
    """Milliseconds of the reference, and the ratio of every other candidate to it."""
    seconds = paired_seconds(runs, 21, device)
    others = [name for name in runs if name != reference]
    ratios = [f"{median_ratio(seconds[name], seconds[reference]):.2f}" for name in others]
    milliseconds = 1e3 * statistics.median(seconds[reference])
    return [
        f"| {reference}, ms | {' | '.join(others)} |",
        f"|{'---|' * (1 + len(others))}",
        f"| {milliseconds:.2f} | {' | '.join(ratios)} |",
    ]


if __name__ == "__main__":
    main()
