"""Where pytest presses Stop: in the trainings of the students' notebooks, never in those of the solutions."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import LiveTraining

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SPEC = importlib.util.spec_from_file_location("notebooks_conftest", NOTEBOOKS / "conftest.py")
hasty = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hasty)


@pytest.mark.parametrize(("folder", "expected"), [("", [hasty.PRESS_STOP]), ("solutions", [])])
def test_students_notebooks_once_and_solutions_never(folder, expected):
    run = []
    kernel = SimpleNamespace(execute_cell_input=run.append, await_reply=lambda *_, **__: None)
    cell = SimpleNamespace(path=NOTEBOOKS / folder / "00_tour.ipynb", parent=SimpleNamespace(kernel=kernel))
    for _ in range(2):  # before each cell
        hasty.pytest_runtest_setup(cell)
    assert run == expected


def test_a_training_is_stopped_after_its_first_steps(monkeypatch):
    monkeypatch.setattr(LiveTraining, "wait", LiveTraining.wait)  # put back at the end
    exec(hasty.PRESS_STOP, {})
    model = PretextModel(GroupCNN(cyclic(4), channels=(2, 4)), RotationTask(cyclic(4)))
    run = Pretrainer(model, torch.rand(64, 1, 8, 8), epochs=100_000, batch_size=8, accelerator="cpu")
    live = LiveTraining({"long": run})
    live.wait()
    assert live.stopped and 0 < run.step < run.total_steps and run.history
