"""OffsetTask: the vectors that are drawn, the patches that are cut, and a type-1 head that turns with them (A10)."""

import pytest
import torch
from test_angle_task import generator, noise

from eqssl_edu.circle import turn_arrows
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.pretext import AngleModel, OffsetTask
from eqssl_edu.rotate import disc_mask
from eqssl_edu.training import Pretrainer


def test_vectors_fill_a_ring_that_no_quarter_turn_changes():
    task = OffsetTask(5, 1, 2)
    length = task.vectors.norm(dim=1)
    assert length.min() >= 6 and length.max() <= 8 and len(task.vectors) == 88
    ring = {tuple(vector) for vector in task.vectors.tolist()}
    assert {tuple(vector) for vector in turn_arrows(task.vectors, 90.0).tolist()} == ring
    labels = task.draw(torch.zeros(5000, 1, 21, 21), generator())[0]
    assert {tuple(vector) for vector in labels.tolist()} == ring and labels.mean(dim=0).abs().max() < 0.3


def test_patches_are_cut_where_the_vector_says():
    """A picture that shows its own places: row r, column c holds 100 r + c."""
    line = torch.arange(25, dtype=torch.float64)
    image, task = (100 * line[:, None] + line)[None, None], OffsetTask(5, 1, 2)
    labels, draws = torch.tensor([[7.0, 0.0]]).double(), torch.tensor([[-1.0, 2.0]]).double()
    first, second = task.apply(image, labels, draws)[0]
    middle = 12 * 100 + 12
    assert first[2, 2] == middle + 1 * 100 - 2  # one down, two left
    assert second[2, 2] == first[2, 2] - 7 * 100  # and seven up from there
    assert torch.equal(first[2], (first[2, 2] + torch.arange(-2, 3)) * disc_mask(5)[2])
    between = task.apply(image, torch.tensor([[6.25, 0.5]]).double(), draws)[0, 1]
    assert between[2, 2].item() == pytest.approx(first[2, 2].item() - 625 - 0.5)


def test_the_discs_never_overlap_and_never_leave_the_picture_whatever_the_turn():
    task, images = OffsetTask(4, 1, 1), noise(400, 1, 22, 22)
    labels, draws = task.draw(images, generator())
    assert labels.norm(dim=1).min() >= 4 + 1
    for degrees in (0.0, 45.0, 77.0):
        for place in (draws, draws + labels):
            assert (turn_arrows(place, degrees).norm(dim=1) + 1.5 <= 10.5 + 1e-9).all()
        task.turned(images, labels, draws, degrees)  # raises if a patch lay outside
    for patch, side in ((5, 22), (4, 21)):  # no patch would lie in the centre
        with pytest.raises(ValueError, match=r"^patch and side of images must both be even or odd"):
            OffsetTask(patch, 0, 1).sample(torch.zeros(2, 1, side, side))


def test_A10_the_answer_of_a_c4_network_turns_with_the_patches():
    torch.manual_seed(0)
    task, images = OffsetTask(7, 1, 2), noise(6, 1, 29, 29)
    model = AngleModel(GroupCNN(cyclic(4), in_channels=2, channels=(4, 6)), task).double().eval()
    labels, draws = task.draw(images, generator())
    answer = model(task.apply(images, labels, draws))
    for degrees in (90.0, 180.0, 270.0):
        moved = model(task.turned(images, labels, draws, degrees)[0])
        assert (moved - turn_arrows(answer, degrees)).abs().max() < 1e-12
        assert (moved - answer).abs().max() > 0.01  # must fail
    errors = model.evaluate(images, (0.0, 90.0, 180.0, 270.0), seed=1)
    assert (errors - errors[0]).abs().max() < 1e-9 and errors[0] > 1


def test_it_trains_and_beats_what_knows_nothing():
    """On one picture with landmarks: the vector is learned, and carried to quarter turns that were never shown."""
    torch.manual_seed(0)
    task, images = OffsetTask(7, 1, 2), noise(1, 1, 27, 27).float()
    model = AngleModel(GroupCNN(cyclic(4), in_channels=2, channels=(8, 16)), task)
    run = Pretrainer(
        model, images.repeat(256, 1, 1, 1), epochs=40, batch_size=128, lr=1e-2, accelerator="cpu"
    )
    history = run.fit()
    nothing = task.vectors.norm(dim=1).mean().item()  # the error of an answer 0
    assert history[0]["error"] > 0.7 * nothing and history[-1]["error"] < 0.5 * nothing
    curve = model.evaluate(images.repeat(64, 1, 1, 1), (0.0, 90.0))
    assert (curve[0] - curve[1]).abs() < 1e-9 and curve[0] < 0.6 * nothing


def test_error_is_in_pixels_and_the_loss_in_units_of_the_longest_vector():
    task = OffsetTask(5, 1, 2)
    outputs, labels = torch.tensor([[1.0, 0.0], [0.0, 0.5]]), torch.tensor([[8.0, 0.0], [0.0, 8.0]])
    assert task.error(outputs, labels).tolist() == [0, 4] and task.loss(outputs, labels).tolist() == [0, 0.25]


REFUSED = [
    ("patch", lambda: OffsetTask(0)),
    ("gap", lambda: OffsetTask(4, -1)),
    ("reach", lambda: OffsetTask(4, 1, -1)),
    ("side of images", lambda: OffsetTask(4, 1, 1).sample(torch.zeros(2, 1, 14, 14))),
    ("images", lambda: OffsetTask(4, 1, 1).sample(torch.zeros(2, 1, 22, 23))),
    ("labels", lambda: OffsetTask(4, 1, 1).apply(torch.zeros(2, 1, 22, 22), torch.zeros(3, 2))),
    (
        "labels and draws",
        lambda: OffsetTask(4, 1, 1).apply(torch.zeros(2, 1, 22, 22), torch.full((2, 2), 20.0)),
    ),
    (
        "labels and draws",
        lambda: OffsetTask(4, 1, 1).apply(torch.zeros(2, 1, 22, 22), torch.full((2, 2), torch.nan)),
    ),
]


def test_each_door_refuses_and_names_the_argument(as_a_user):
    for number, (name, call) in enumerate(REFUSED):
        with pytest.raises((TypeError, ValueError)) as refusal:
            call()
        assert str(refusal.value).startswith(name), (number, refusal.value)
