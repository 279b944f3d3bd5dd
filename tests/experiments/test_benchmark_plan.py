"""The campaign's plan and claims: balanced wherever it is cut off; no run is done twice, and none is lost by a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.benchmark.claims import OutOfTime, finished, work, write
from experiments.benchmark.plan import CONTROL, METHODS, PREDICTED, PREDICTION, TIERS, Run, arms, ordered

ROOT = Path(__file__).parents[2]
RUNS = [Run("mnist", "C4", "rotation", seed) for seed in range(6)]
LATE = float("inf")


@pytest.mark.parametrize("tier", TIERS.values(), ids=list(TIERS))
def test_a_campaign_that_is_cut_off_is_balanced(tier):
    runs, every = ordered(tier), arms(tier)
    assert len(set(runs)) == len(runs) == len({run.name for run in runs}) == tier.seeds * len(every)
    first = tier.seeds * (1 + len(PREDICTED))
    predicted = [(*PREDICTION, method) for method in ("no training", *PREDICTED)]
    assert [run[:3] for run in runs[:first]] == tier.seeds * predicted  # first of all, with every seed
    ahead = first + tier.seeds * tier.published
    assert {run[:3] for run in runs[first:ahead]} <= {CONTROL}
    for cut in range(ahead, len(runs)):  # no arm is more than one seed ahead of another
        counts = {arm: [run[:3] for run in runs[:cut]].count(arm) for arm in every}
        rest = {arm: n for arm, n in counts.items() if arm not in (*predicted, CONTROL)}
        if tier.channels:  # of the table whose turn it is; those before it are whole
            tables = [(data, network) for network in tier.networks for data in tier.data]
            turns = {arm: tables.index(arm[:2]) - tables.index(runs[cut][:2]) for arm in rest}
            assert {n for arm, n in rest.items() if turns[arm] < 0} <= {tier.seeds}
            assert {n for arm, n in rest.items() if turns[arm] > 0} <= {0}
            rest = {arm: n for arm, n in rest.items() if turns[arm] == 0}
        assert max(rest.values()) - min(rest.values()) <= 1


def test_every_network_has_every_method_that_differs_for_it():
    there = {tier.name: set(arms(tier)) for tier in TIERS.values()}
    assert {name: len(found) for name, found in there.items()} == {"cpu": 77, "short": 104, "long": 104}
    for name, found in there.items():
        for data in TIERS[name].data:
            for network in TIERS[name].networks:
                absent = {method for method in METHODS if (data, network, method) not in found}
                only_c4 = set() if network == "C4" and data != "cifar10" else {"jigsaw, left"}
                assert absent == only_c4 | ({"InfoNCE max", "InfoNCE soft"} if network == "plain" else set())


def perform(run, deadline):
    return {"accuracy": run.seed / 10}


def test_a_run_is_written_whole_and_never_done_again(tmp_path):
    assert list(work(RUNS[:3], tmp_path, perform, LATE)) == RUNS[:3]
    assert list(work(RUNS, tmp_path, perform, LATE)) == RUNS[3:]
    assert list(work(RUNS, tmp_path, perform, LATE)) == []
    records = finished(tmp_path)
    assert [Run(*(record[key] for key in Run._fields)) for record in records] == RUNS
    assert [record["accuracy"] for record in records] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert not list(tmp_path.glob("*.part"))


def test_a_failure_in_the_middle_of_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write(path, "old")
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(path, "new")
    assert path.read_text() == "old" and finished(tmp_path / "nothing") == []


def test_the_budget_ends_before_a_run_that_would_not_fit(tmp_path):
    write(tmp_path / f"{RUNS[0].name}.json", json.dumps({"seconds": 100.0}))
    other = Run("mnist", "C4", "InfoNCE max", 0)  # nobody knows how long it takes
    runs = [*RUNS[:2], other]
    assert list(work(runs, tmp_path, perform, time.time() + 60)) == [other]
    assert list(work(runs, tmp_path, perform, time.time() + 160)) == [RUNS[1]]
    assert list(work(RUNS, tmp_path, perform, time.time() - 1)) == []


def test_a_run_that_is_cut_off_is_not_written_and_due_again(tmp_path):
    def too_long(run, deadline):
        if run.seed == 2:
            raise OutOfTime
        return {}

    assert list(work(RUNS, tmp_path, too_long, LATE)) == RUNS[:2]
    assert list(work(RUNS, tmp_path, perform, LATE)) == RUNS[2:]


WORKER = """
import sys, time
from pathlib import Path
from experiments.benchmark.claims import work
from experiments.benchmark.plan import Run

folder, pause = Path(sys.argv[1]), float(sys.argv[2])

def perform(run, deadline):
    with (folder / "log").open("a") as log:
        log.write(f"{run.seed}\\n")
    time.sleep(pause)
    return {}

print("ready", flush=True)
list(work([Run("mnist", "C4", "rotation", seed) for seed in range(6)], folder, perform, float("inf")))
"""


def worker(folder, pause):
    command = [sys.executable, "-c", WORKER, str(folder), str(pause)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_two_workers_never_do_one_run_twice(tmp_path):
    workers = [worker(tmp_path, 0.05) for _ in range(3)]
    assert [each.wait(60) for each in workers] == [0, 0, 0]
    assert sorted((tmp_path / "log").read_text().split()) == list("012345")
    assert len(finished(tmp_path)) == 6


def test_what_a_killed_worker_had_begun_is_done_by_the_next(tmp_path):
    killed = worker(tmp_path, 30)
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    assert finished(tmp_path) == []
    assert worker(tmp_path, 0).wait(60) == 0
    assert (tmp_path / "log").read_text().split() == list("0012345")  # the first one anew, from its beginning
    assert len(finished(tmp_path)) == 6


def test_what_another_worker_is_doing_is_left_to_it(tmp_path):
    busy = worker(tmp_path, 30)
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    assert list(work(RUNS, tmp_path, perform, LATE)) == RUNS[1:]
    busy.kill()
    busy.wait(60)
