"""Strange arguments for every public function: a few hundred cases here, 20,000 in `course.py test long`."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from recipes import RECIPES, doors

from tools.reliability import record

TESTS = Path(__file__).parents[1]
FINE = ("right", "refused")


def run(seed, start, stop):
    """The answers to these cases, from a process of its own; where it dies, that is the answer to the last one."""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    command = [sys.executable, TESTS / "strange.py", *map(str, (seed, start, stop))]
    found = []
    while start < stop:
        command[-2] = str(start)
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found += [line for line in lines if "found" in line]
        start += sum("found" in line for line in lines)
        if start < stop:
            what = f"died with {done.returncode}: {done.stderr[-500:]}"
            found.append({"door": "?", "what": f"case {start} of seed {seed}", "found": what})
            start += 1
    return found


def wrong(found):
    return [f"{each['door']}({each['what']}): {each['found']}" for each in found if each["found"] not in FINE]


def test_every_public_function_has_right_arguments():
    assert doors().keys() - RECIPES.keys() == set()


@pytest.mark.parametrize("name", RECIPES)
def test_and_they_are_right(as_a_user, name):
    function, arguments = RECIPES[name]
    function(**arguments())


def test_strange_arguments_are_right_or_refused_in_words():
    assert wrong(run(1, 0, 300)) == []


def test_a_process_that_dies_is_a_finding(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "broken")
    assert ["died with 1" in each for each in wrong(run(1, 0, 2))] == [True, True]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_twenty_thousand_strange_arguments():
    began = time.perf_counter()
    pieces = pairwise(range(0, 20_001, 1000))
    with ThreadPoolExecutor(2) as pool:
        found = [each for part in pool.map(lambda piece: run(0, *piece), pieces) for each in part]
    assert len(found) == 20_000 and wrong(found) == []
    counted = Counter(each["found"] for each in found)
    text = (
        f"{len(found):,} calls with one or two strange arguments of {len({each['door'] for each in found})} public "
        f"functions, constructors, methods, explorers and exercises: {counted['right']:,} gave what is right (among "
        f"them every one that meant the same as usual: numpy's integers, strided tensors, parameters), "
        f"{counted['refused']:,} were refused in words that name the argument. No other kind of error, no hang of "
        f"a minute, no crash, no changed input, no NaN out of finite numbers. {time.perf_counter() - began:.0f} s."
    )
    record("Strange arguments", text)
