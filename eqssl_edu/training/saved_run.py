"""A run as its folder tells it, with no model and no images: what it takes to draw its curves again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from eqssl_edu.errors import need_instance, need_integer
from eqssl_edu.ownership import Claim
from eqssl_edu.training.run_files import read_document

__all__ = ["SavedRun"]


class SavedRun:
    """What a Pretrainer tells a front end, out of the ``run.json`` of a run; it makes no step.

    Arguments:
        folder: of the run.

    Raises:
        ValueError: when there is no run in the folder, or one in another format.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        document = read_document(Path(folder))
        try:
            self.history: list[dict[str, float]] = document["history"]
            self.step, self.total_steps = document["step"], document["total_steps"]
            self.interval, self.device = document["interval"], document["device"]
            need_instance("history", self.history, list)
            need_instance("device", self.device, str)
            need_integer(
                "step", self.step, least=0, most=need_integer("total_steps", self.total_steps, least=1)
            )
            need_integer("interval", self.interval, least=1)
            for record in self.history:
                float(record["step"]), float(record["loss"])
        except (KeyError, TypeError, ValueError) as problem:
            raise ValueError(
                f"folder must hold a whole run, in {folder} run.json errs: {problem}"
            ) from problem
        self.model = nn.Identity()
        self.claim = Claim(self.model)

    def steps(self) -> Iterator[dict[str, float]]:
        """None: it stands where it stood."""
        yield from ()
