"""The folder of a run, opened again: its settings, and the encoder with its weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from eqssl_edu.command.networks import encoder_of
from eqssl_edu.encoders import Encoder
from eqssl_edu.errors import got, need_instance
from eqssl_edu.training.run_files import put, read_state

__all__ = ["CONFIG", "Run", "open_run", "write_config"]

CONFIG = "config.yaml"


class Run(NamedTuple):
    """What ``python -m eqssl_edu pretrain`` has left in a folder."""

    encoder: Encoder
    settings: dict[str, Any]
    step: int

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height and width of the images that the run has seen."""
        return tuple(self.settings["image"])

    def untrained(self, seed: int) -> Encoder:
        """The same network with other random weights."""
        return encoder_of(self.settings, self.image, seed).eval()


def open_run(folder: str | os.PathLike) -> Run:
    """The encoder of a run, in eval mode on the CPU, as its last checkpoint has it.

    Arguments:
        folder: that of ``python -m eqssl_edu pretrain --folder``.

    Raises:
        ValueError: when the folder holds no run of the command, or one that was cut short.

    Example:
        >>> encoder, settings, step = open_run("runs/one")  # doctest: +SKIP
    """
    need_instance("folder", folder, (str, os.PathLike))
    folder = Path(os.fsdecode(folder))
    if "\0" in str(folder):
        raise ValueError(f"folder must name a folder, {got(folder)}")
    state = read_state(folder)
    try:
        settings = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        encoder = encoder_of(settings, tuple(settings["image"]), seed=0)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError, ValueError) as problem:
        wanted = f"{CONFIG} as python -m eqssl_edu pretrain writes it"
        raise ValueError(f"folder must hold {wanted}, {folder} does not: {problem}") from problem
    weights = {
        name.removeprefix("encoder."): value
        for name, value in state["model"].items()
        if name.startswith("encoder.")
    }
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as problem:
        words = " ".join(str(problem).split())
        raise ValueError(
            f"folder must hold a run of the network in its {CONFIG}, {folder} does not: {words}"
        ) from None
    return Run(encoder.eval(), settings, state["step"])


def write_config(folder: Path, settings: str) -> None:
    """Keep the settings of a run beside it."""
    put(folder, CONFIG, settings.encode())
