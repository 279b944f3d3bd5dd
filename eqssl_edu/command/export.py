"""A run's encoder as plain convolutions, in a file that needs this library no more."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from eqssl_edu.command.plain import PlainEncoder
from eqssl_edu.command.runs import Run, open_run

__all__ = ["export"]

TOLERANCE = 1e-4  # of a feature, in units of the largest one
Read = Callable[[Tensor], Tensor]


def export(run: str, to: str | None = None) -> None:
    """Write a run's encoder as plain convolutions: images (B, C, H, W) in 0 .. 1 to features (B, C', |G|).

    The file is read again and compared with the encoder on random images, and kept only if both agree.

    Arguments:
        run: folder of the run.
        to: file to write, whose ending says what it is: .onnx (any batch size, images of the run's size) or
            .safetensors (the weights by layer; the metadata name the layers); by default encoder.onnx in the run's
            folder.
    """
    opened = open_run(run)
    target = Path(run, "encoder.onnx") if to is None else Path(to)
    if target.suffix not in WRITERS:
        raise ValueError(f"to must end in {' or '.join(WRITERS)}, got {target.name!r}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"to must lie in a folder that is there, got {target}")
    images = torch.rand(3, *opened.image, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as beside:  # on the same disk
        file = Path(beside, target.name)
        read = WRITERS[target.suffix](PlainEncoder(opened.encoder), opened, file)
        with torch.no_grad():
            wanted, found = opened.encoder(images), read(images)
        error = float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30))
        if not error < TOLERANCE:
            raise RuntimeError(
                f"the file gives other features than the run: they differ by {error:.1e} of the largest one; nothing "
                f"was written"
            )
        os.replace(file, target)
    size = target.stat().st_size / 1e6
    print(
        f"{target}: {size:.2f} MB; on random images it differs from the run by {error:.1e} of the largest feature"
    )


def _safetensors(plain: PlainEncoder, run: Run, file: Path) -> Read:
    """Write the weights; what reads them is the same layers with none of them."""
    from safetensors.torch import load_file, save_file

    about = {"layers": str(plain.maps), "image": json.dumps(run.image), "features": json.dumps(plain.shape)}
    save_file({name: value.contiguous() for name, value in plain.state_dict().items()}, file, about)
    fresh = PlainEncoder(run.untrained(seed=1))
    fresh.load_state_dict(load_file(file))
    return fresh


def _onnx(plain: PlainEncoder, run: Run, file: Path) -> Read:
    """Write the graph; onnxruntime reads it."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as missing:
        raise ImportError(
            f"to: an .onnx file needs the extra onnx, pip install 'eqssl-edu[onnx]' ({missing})"
        ) from missing
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # of packages that are not there and not needed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's exporter about its own insides
            torch.onnx.export(
                plain,
                (torch.rand(2, *run.image),),
                file,
                dynamo=True,
                input_names=["images"],
                output_names=["features"],
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                external_data=False,
                verbose=False,
            )
    finally:
        log.setLevel(level)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


WRITERS = {".onnx": _onnx, ".safetensors": _safetensors}
