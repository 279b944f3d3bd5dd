"""Live trainings in tests."""

import time


def stopped(live):
    """After the first step of each run: what is said of a training must hold even then."""
    while live.running and not all(run.step for run in live.runs.values()):
        time.sleep(0.01)
    live.stop()
    live.wait()
    return live
