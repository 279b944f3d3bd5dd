"""The tests of the students' notebooks press Stop: only the solutions train to the end.

Both run the same trainings, and whatever a cell claims of one it claims only if nobody has stopped it. The library does
not know of this: it happens in the kernel that pytest starts, so it cannot happen to a student.
"""

import pytest

PRESS_STOP = """
def press_stop():
    import time
    from eqssl_edu.widgets import LiveTraining

    wait = LiveTraining.wait

    def stop_and_wait(live):
        while live.running and not all(run.step for run in live.runs.values()):
            time.sleep(0.01)  # the curves need a point
        live.stop()
        wait(live)

    LiveTraining.wait = stop_and_wait


press_stop()
del press_stop
"""


@pytest.hookimpl(trylast=True)  # nbval has started the kernel
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the first cell of a student's notebook."""
    notebook = item.parent
    if item.path.suffix != ".ipynb" or item.path.parent.name == "solutions" or hasattr(notebook, "hasty"):
        return
    notebook.hasty = True
    notebook.kernel.await_reply(notebook.kernel.execute_cell_input(PRESS_STOP), timeout=60)
