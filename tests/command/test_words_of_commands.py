"""Networks, tasks and images by name."""

import numpy as np
import pytest
import torch
from PIL import Image

from eqssl_edu.command.networks import LOSSES, TASKS, encoder_of, model_of
from eqssl_edu.command.pictures import splits_of, training_images
from eqssl_edu.command.pretrain import _in_bytes
from eqssl_edu.contrastive import ContrastiveModel
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupResNet

NOTHING = dict.fromkeys(("channels", "width", "grid", "action", "count", "similarity", "temperature"))
SETTINGS = {
    **NOTHING,
    "task": "rotation",
    "group": "C4",
    "encoder": "GroupCNN",
    "channels": [2, 3],
    "seed": 0,
}
SETTINGS |= {"turn": True, "views": {}}
IMAGE = (1, 16, 16)


@pytest.mark.parametrize("group", ["C1", "C4", "D4"])
@pytest.mark.parametrize("task", [*TASKS, *LOSSES])
def test_every_task_trains(task, group):
    model = model_of(SETTINGS | {"task": task, "group": group}, IMAGE)
    loss = model.training_step(torch.rand(8, *IMAGE), torch.Generator().manual_seed(0))["loss"]
    loss.backward()
    assert loss.isfinite() and model.encoder.group.name == group


TURNED = {"C8": "C4", "D8": "D4", "SO2": "C4", "O2": "D4", "C3": "C1"}


@pytest.mark.parametrize(("group", "turned"), TURNED.items())
def test_steerable_networks_train(group, turned):
    model = model_of(SETTINGS | {"task": "infonce", "group": group, "encoder": "SteerableCNN"}, IMAGE)
    model.training_step(torch.rand(4, *IMAGE), torch.Generator().manual_seed(0))["loss"].backward()
    assert model.views.group.name == turned


def test_a_predictor_of_samples_is_refused_over_a_circle():
    with pytest.raises(ValueError, match="predictor"):
        model_of(SETTINGS | {"task": "byol", "group": "SO2", "encoder": "SteerableCNN"}, IMAGE)


def test_settings_reach_what_they_name():
    settings = SETTINGS | {
        "task": "infonce",
        "similarity": "max",
        "temperature": 0.5,
        "views": {"crop": 0.25},
    }
    model = model_of(settings | {"turn": False}, IMAGE)
    assert isinstance(model, ContrastiveModel) and model.views.crop == 0.25 and model.views.group is None
    assert (model.loss.similarity, model.loss.temperature) == ("max", 0.5)
    task = model_of(SETTINGS | {"task": "jigsaw", "grid": 3, "count": 20, "action": "left"}, (3, 32, 32)).task
    assert (task.grid, task.action) == (3, "left") and task.labels.size <= 20
    net = encoder_of(
        SETTINGS | {"encoder": "GroupResNet", "width": 2, "channels": None, "group": "D4"}, (3, 8, 8), 0
    )
    assert isinstance(net, GroupResNet) and (net.width, net.in_channels, net.group.name) == (2, 3, "D4")


def test_images_that_were_bytes_are_bytes_again():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(_in_bytes(pixels.float() / 255), pixels)
    others = digits(16).test.images  # enlarged: no longer 256 values
    assert _in_bytes(others) is others


def test_a_seed_makes_the_weights():
    def weights(seed):
        return torch.cat([w.flatten() for w in model_of(SETTINGS | {"seed": seed}, IMAGE).parameters()])

    before = torch.get_rng_state()
    assert torch.equal(weights(3), weights(3)) and not torch.equal(weights(3), weights(4))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"group": "E4"}, "group must be"),
        ({"group": "SO2"}, "group SO2 needs encoder SteerableCNN"),
        ({"group": "C8"}, "group must map the pixel grid"),
        ({"width": 4}, "width says nothing to encoder GroupCNN"),
        ({"similarity": "max"}, "similarity says nothing to task rotation"),
        ({"task": "vicreg", "temperature": 0.1}, "temperature says nothing to task vicreg"),
        ({"task": "infonce", "grid": 3}, "grid says nothing to task infonce"),
        ({"views": {"crop": 0.5}}, "views.crop says nothing to task rotation"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        model_of(SETTINGS | wrong, IMAGE)


def test_parts_share_no_image():
    for data in ("digits", "glyphs"):
        parts = [{image.numpy().tobytes() for image in part.images} for part in splits_of(data, 16)]
        assert not parts[0] & parts[2]
    assert torch.equal(training_images("digits", 16, 50).images, splits_of("digits", 16, 50).train.images)


@pytest.mark.parametrize("parts", [(), ("train", "test"), ("train", "validation", "test")])
def test_a_folder_without_parts_is_cut(tmp_path, parts):
    """Else the pictures that judge would be those that were trained on."""
    shade = iter(range(255))
    for part in parts or ("",):
        for name in "ab":
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(20):
                Image.fromarray(np.full((8, 8), next(shade), dtype=np.uint8)).save(folder / f"{i}.png")
    found = splits_of(str(tmp_path))
    seen = [set(part.images[:, 0, 0, 0].tolist()) for part in found]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 40 * max(1, len(parts))
    assert [len(part.images) for part in found] == {0: [32, 4, 4], 2: [36, 4, 40], 3: [40, 40, 40]}[
        len(parts)
    ]
    assert torch.equal(training_images(str(tmp_path)).images, found.train.images)
    assert set(found.train.labels.tolist()) == {0, 1}
