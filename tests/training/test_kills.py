"""kill -9 at random moments: the run that goes on ends with the same weights, bit for bit."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tools.reliability import record

ROOT = Path(__file__).resolve().parents[2]

# One start for all: the runs are forked from it, as torch takes seconds to import.
SCRIPT = """
    import json, os, random, signal, sys, time
    from pathlib import Path
    import torch
    from torch import nn
    from eqssl_edu.training import Pretrainer

    class Task(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))

        def training_step(self, images, generator):
            noise = torch.randn(images.shape, generator=generator)
            return {"loss": (self.layers(images + noise) - images.mean((1, 2, 3))).square().mean()}

    def fit(folder):
        images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        Pretrainer(
            Task(), images, epochs=16, batch_size=16, lr=0.01, accelerator="cpu",
            folder=folder, checkpoint_every=2, resume=True,
        ).fit()

    def forked(folder):
        if not (child := os.fork()):
            sys.stderr = open(os.devnull, "w")
            try:
                fit(folder)
            except BaseException as error:
                print(repr(error), flush=True)
            os._exit(0)
        return child

    def end(folder):
        said = json.loads((folder / "run.json").read_text())
        losses = [(record["step"], record["loss"]) for record in said["history"]]
        return said["step"], said["tensors"], losses, sorted(path.name for path in folder.iterdir())

    place, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    draw = random.Random(seed)
    begin = time.perf_counter()
    os.waitpid(forked(place / "whole"), 0)
    seconds = time.perf_counter() - begin
    whole, seen = end(place / "whole"), []
    for k in range(count):
        child = forked(place / str(k))
        time.sleep(draw.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        try:
            stood = json.loads((place / str(k) / "run.json").read_text())["step"]
        except FileNotFoundError:
            stood = None
        os.waitpid(forked(place / str(k)), 0)
        seen.append((stood, end(place / str(k)) == whole))
    print(json.dumps({"steps": whole[0], "seconds": seconds, "seen": seen}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without it")
@pytest.mark.parametrize("count", [3, pytest.param(20, marks=pytest.mark.long)])
def test_after_kill_9_a_run_ends_as_if_nothing_had_been(tmp_path, count):
    """Equal are the file of weights, buffers and averages, by its checksum, and the losses of the history."""
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(count), "0"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    stood, equal = zip(*found["seen"], strict=True)
    assert found["steps"] == 64 and all(equal), found
    if count > 3:
        assert len(set(stood)) > count // 2, found  # moments all over the run
        cut = ", ".join("none yet" if step is None else str(step) for step in stood)
        record(
            "Runs that are killed",
            f"{count} runs of 64 steps, a checkpoint after every second one, each killed (kill -9) at a random moment "
            f"of the {found['seconds']:.1f} s that a run takes, then resumed: each ended with the same file of "
            f"weights, buffers and averages, byte for byte, and the same losses as a run that nobody touched. The "
            f"steps that they went on from: {cut}.",
        )
