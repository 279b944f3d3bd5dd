"""A step that is recorded asks the device for nothing, and brings nothing to it but the batch."""

import elsewhere as pretended
import pytest
import torch

from eqssl_edu.errors import tensors
from eqssl_edu.groups import cyclic
from eqssl_edu.pretext import RotationTask
from eqssl_edu.tables import there
from eqssl_edu.views import RandomView
from experiments.benchmark import comparison
from experiments.benchmark.comparison import SMALL

TIER = SMALL._replace(channels=(2, 4), networks=("C4", "plain", "symmetrised"), batch=13)
WAITS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}


@pytest.fixture
def asked(monkeypatch):
    """What makes a GPU wait, as it happens on the pretended device: values that are asked for, and copies to it."""
    found, run = [], pretended._run

    def spy(operation, arguments, options):
        here = [leaf for leaf in arguments if isinstance(leaf, torch.Tensor)]
        to_device = options.get("device") == pretended.DEVICE and operation in pretended.MOVES
        if operation in WAITS and any(isinstance(leaf, pretended.Away) for leaf in here):
            found.append(str(operation))
        if to_device and any(not isinstance(leaf, pretended.Away) and leaf.ndim for leaf in here):
            found.append(f"copy of {tuple(here[0].shape)}")
        return run(operation, arguments, options)

    monkeypatch.setattr(pretended, "_run", spy)
    return found


def steps(model, images, asked, monkeypatch):
    """What a step asks for that is like one under a recording: not the first, and values are not to be asked for."""
    with pretended.elsewhere() as device:
        model, images = model.to(device), images.to(device)
        generator = torch.Generator()  # there is none on the pretended device
        model.training_step(images, generator)["loss"].backward()
        asked.clear()
        with monkeypatch.context() as recording:
            recording.setattr(tensors, "within_transform", lambda: True)
            model.training_step(images, generator)["loss"].backward()
    return [what for what in asked if not drawn(what, images)]


def drawn(what, images):
    """Random numbers come from the CPU here, where the generator is: one or a few for each image or each pixel."""
    return what.startswith(f"copy of ({len(images)},")


def test_a_recorded_step_does_not_wait(asked, monkeypatch):
    for run, model, images in comparison.models(TIER, TIER.networks):
        assert steps(model, images, asked, monkeypatch) == [], run.name


def test_waits_would_be_seen(asked, monkeypatch):
    class Asking(torch.nn.Module):
        def __init__(self, task):
            super().__init__()
            self.task, self.weight = task, torch.nn.Parameter(torch.ones(()))

        def training_step(self, images, generator):
            table = torch.arange(3).to(images.device)
            return {"loss": self.weight * float(images.max()) * table.sum()}

    found = steps(Asking(RotationTask(cyclic(4))), torch.rand(8, 1, 12, 12), asked, monkeypatch)
    assert sorted(found) == ["aten._local_scalar_dense.default", "copy of (3,)"]


def test_views_outside_of_a_recording_still_look_at_their_images():
    with pytest.raises(ValueError, match="images must have values within the limits"):
        RandomView()(torch.full((2, 1, 8, 8), 200.0), torch.Generator())


def test_a_table_is_copied_once_and_can_be_used_for_gradients():
    table = torch.arange(4)
    with torch.inference_mode():
        first = there(table, torch.device("cpu"))
    assert there(table, torch.device("cpu")) is first and not first.is_inference()
    assert there(table.clone(), torch.device("cpu")) is not first
