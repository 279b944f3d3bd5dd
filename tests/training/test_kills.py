"""kill -9 at random moments: the run that goes on ends with the same weights, bit for bit."""

import json
import os

import pytest
from scripts import run_script

from tools.reliability import record

# One start for all: the runs are forked from it, as torch takes seconds to import.
SCRIPT = """
    import json, os, random, signal, sys, time
    from pathlib import Path
    from trainings import images, pretrainer

    def fit(folder):
        how = {"epochs": 16, "batch_size": 16, "checkpoint_every": 2, "resume": True}
        run = pretrainer(images=images(64), folder=folder, **how)
        folder.with_suffix(".began").write_text(str(run.step))
        run.fit()

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
        began = int((place / f"{k}.began").read_text())
        seen.append((stood, end(place / str(k)) == whole and began == (stood or 0)))
    print(json.dumps({"steps": whole[0], "seconds": seconds, "seen": seen}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without it")
@pytest.mark.parametrize("count", [3, pytest.param(20, marks=pytest.mark.long)])
def test_after_kill_9_a_run_ends_as_if_nothing_had_been(tmp_path, count):
    """It begins where it stood; equal are the weights, buffers and averages, by their file, and all losses."""
    found = json.loads(run_script(tmp_path, SCRIPT, tmp_path, count, 0))
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
