"""Two processes and one folder: one writes, both read, and both hear what went wrong."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
    import os, sys, torch
    from pathlib import Path
    from torch import nn
    from eqssl_edu.training import Pretrainer

    class Task(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

        def training_step(self, images, generator):
            noise = torch.randn(images.shape, generator=generator)
            return {"loss": (self.layers(images + noise) - images.mean((1, 2, 3))).square().mean()}

    def run(folder, **changes):
        images = torch.rand(48, 1, 4, 4, generator=torch.Generator().manual_seed(1))
        return Pretrainer(
            Task(), images, epochs=70, batch_size=16, lr=0.01, accelerator="cpu", devices=2, strategy="ddp",
            folder=folder, checkpoint_every=5, **changes,
        )

    if __name__ == "__main__":
        torch.set_num_threads(1)
        place = Path(sys.argv[1])
        whole, cut = run(place / "whole"), run(place / "cut")
        whole.fit()
        steps = cut.steps()
        for _ in range(8):
            next(steps)
        steps.close()
        again = run(place / "cut", resume=True)
        stood = again.step
        again.fit()
        try:
            run(place / "cut")
            words = "nothing"
        except ValueError as problem:
            words = str(problem)
        losses = [[record["loss"] for record in each.history] for each in (whole, again)]
        ends = [each.model.state_dict() for each in (whole, again)]
        rank = whole.fabric.global_rank
        torch.save({"stood": stood, "losses": losses, "ends": ends, "words": words}, place / f"said.{rank}")
"""


def test_one_process_writes_and_both_go_on(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        said = torch.load(tmp_path / f"said.{rank}", weights_only=True)
        whole, again = said["losses"]
        assert said["stood"] == 5 and whole == again
        for name, value in said["ends"][0].items():
            if rank == 0 or "running" not in name:  # statistics of the first process are those that count
                assert torch.equal(value, said["ends"][1][name]), name
        assert said["words"].startswith("folder must hold no run yet")
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == [
        "run.json",
        "run.lock",
        "step-210.safetensors",
    ]
