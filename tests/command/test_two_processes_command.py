"""Two processes under torchrun train as one; when one is killed the other ends, and the run goes on afterwards."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from eqssl_edu.command.shell import main
from tools.reliability import record

REPOSITORY = Path(__file__).resolve().parents[2]
# Views that differ by turns alone, which the loss absorbs: so it does not depend on what each process draws. What is
# left are the batch, the negatives and the statistics of the batch norms, and these have to be those of all processes.
WORDS = [
    "--data",
    "digits",
    "--limit",
    "64",
    "--batch_size",
    "16",
    "--channels",
    "[2,4]",
    "--accelerator",
    "cpu",
]
WORDS += ["--precision", "64-true", "--task", "infonce", "--similarity", "max", "--lr", "0.01"]
WORDS += [f"--views.{change}=0" for change in ("scale", "shift", "contrast", "noise")]


def under_torchrun(*words):
    """The command, started twice by torchrun."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*torchrun, "-m", "eqssl_edu", "pretrain", *WORDS, *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def losses(folder):
    return [record["loss"] for record in json.loads((folder / "run.json").read_text())["history"]]


def test_two_processes_have_the_losses_of_one(tmp_path):
    main(["pretrain", *WORDS, "--epochs", "3", "--folder", str(tmp_path / "one")])
    started = under_torchrun("--epochs", 3, "--folder", tmp_path / "two")
    out, err = started.communicate(timeout=240)
    assert started.returncode == 0, err[-3000:]
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 12 and two == pytest.approx(one, rel=1e-6)
    assert max(one) - min(one) > 0.01  # it learns: gradients are those of one process too
    assert out.count("12 steps") == 1 and "2 x CPU" in out and "Warning" not in err


LONGER = ["--epochs", 40, "--checkpoint_every", 10, "--folder"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The losses of two processes that nobody disturbs."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    started = under_torchrun(*LONGER, folder)
    _, err = started.communicate(timeout=240)
    assert started.returncode == 0, err[-3000:]
    return losses(folder)


@pytest.mark.long
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_killed_process_ends_the_other_and_the_run_goes_on(tmp_path, whole, rank):
    started = under_torchrun(*LONGER, tmp_path)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run.json").exists() or len(losses(tmp_path)) < 30:
        assert started.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    for child in psutil.Process(started.pid).children(recursive=True):
        if child.environ().get("RANK") == rank:
            child.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    _, err = started.communicate(timeout=60)  # the other one does not hang
    said = [line for line in err.splitlines() if line.startswith("python -m eqssl_edu pretrain: ")]
    seconds = time.monotonic() - killed
    assert started.returncode and len(said) == 1, err[-3000:]
    assert "the same command with --resume goes on" in said[0] and len(losses(tmp_path)) < 160
    before = losses(tmp_path)
    if rank == "0":
        started = under_torchrun(*LONGER, tmp_path, "--resume")
        _, err = started.communicate(timeout=240)
        assert started.returncode == 0, err[-3000:]
        assert losses(tmp_path) == whole  # bit for bit
    else:  # one process takes the place of two
        main(["pretrain", *WORDS, *map(str, LONGER), str(tmp_path), "--resume"])
        found = losses(tmp_path)
        assert len(found) == 160 and found[: len(before)] == before
        assert found[: len(before) + 3] == pytest.approx(whole[: len(before) + 3], rel=1e-6)
    resumed = {
        "0": "two processes it has the losses of a run that nobody disturbed, bit for bit",
        "1": "one process it goes on with the losses that two would have had",
    }
    record(
        f"One of two processes is killed (rank {rank})",
        f"`python -m eqssl_edu pretrain` under torchrun, gloo, SIGKILL after {len(before)} of 160 steps: "
        f"{seconds:.1f} s later the other process and torchrun had ended, with a sentence. "
        f"Resumed from its checkpoint by {resumed[rank]}.",
    )
