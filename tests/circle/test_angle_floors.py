"""A6 and A7: what a wrong frequency costs on a wedge, and why an angle cannot be answered by a number."""

import pytest
import torch

from eqssl_edu.circle import NumberHead, angle_error, angles_of, arrows_of
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.pretext import AngleTask
from eqssl_edu.theory import angle_floor, frequency_floor, number_floor, wedge_cosine


def around(count, period=360.0):
    return torch.arange(count, dtype=torch.float64) * period / count


@pytest.mark.parametrize("k", [-1, 0, 1, 2, 5])
@pytest.mark.parametrize("within", [15.0, 45.0, 90.0, 180.0])
def test_A6_the_best_cosine_on_a_wedge(k, within):
    """By trying all constants c that an equivariant head of frequency k can have: its answer is c + k theta."""
    turns = (around(4000, 2 * within) - within + within / 4000).deg2rad()
    constants = around(720).deg2rad()[:, None]
    best = (constants + (k - 1) * turns).cos().mean(dim=1).max().item()
    assert best == pytest.approx(wedge_cosine(k, within), abs=1e-4)


def test_A6_the_figures_of_the_wrong_sense():
    assert [round(wedge_cosine(-1, a), 3) for a in (15, 45, 90, 180)] == [0.955, 0.637, 0.0, 0.0]
    assert [wedge_cosine(1, a) for a in (15, 180)] == [1.0, 1.0]
    assert wedge_cosine(2, 1e-9) == pytest.approx(1)  # nearly upright data forgive every head


def saw(K, turns):
    """The number that rises with the truth and falls back steeply at the end: the best there is."""
    fall = 360 / (K + 1)
    start = 360 - fall
    return torch.where(turns < start, turns, start - K * (turns - start))


@pytest.mark.parametrize("K", [0.0, 1.0, 3.0, 20.0])
def test_A7_the_floor_of_a_number_is_attained_and_never_crossed(K):
    turns = around(36_000)
    error = angle_error(saw(K, turns) % 360, turns)
    assert error.mean().item() == pytest.approx(number_floor(K), abs=0.05)
    assert error.max() > 179.9
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):  # any answer that closes, falls by at most K and jumps nowhere
        steps = torch.rand(360, dtype=torch.float64, generator=generator) ** 3 * (2 * K + 3) - K
        steps = (steps - steps.mean()).clamp_min(-K)
        steps[steps > 0] *= -steps[steps < 0].sum() / steps[steps > 0].sum() if (steps > 0).any() else 1
        number = torch.cat([torch.zeros(1).double(), steps.cumsum(0)])
        number = 360 * torch.rand(1, dtype=torch.float64, generator=generator) + number
        inside = torch.lerp(
            number[:-1, None], number[1:, None], torch.linspace(0, 0.99, 100).double()
        ).flatten()
        error = angle_error(inside % 360, turns)
        assert error.mean() >= number_floor(K) - 0.1 and error.max() > 179.5


def test_A7_a_network_that_answers_a_number_is_wrong_by_180_degrees_on_every_image():
    """Trained or not: as the image turns once around, the number comes back and the truth does not."""
    torch.manual_seed(0)
    task, images = AngleTask(), torch.rand(3, 1, 14, 14, dtype=torch.float64)
    encoder, head = GroupCNN(cyclic(1), channels=(4, 6)).double(), NumberHead(6, 1).double()
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 0.01)
    for step in range(30):
        inputs, labels = task.sample(images.repeat(8, 1, 1, 1), torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        task.loss(head(encoder(inputs)), labels).mean().backward()
        optimizer.step()
    encoder.eval()
    with torch.no_grad():
        for image in images:
            turns = around(1440)
            features = encoder(task.apply(image.expand(1440, 1, 14, 14), turns))
            number = head.number(features)
            assert (number[0] - number[-1]).abs() < 5  # it closes
            error = angle_error(number % 360, turns)
            step = (number.diff().abs().max() + 0.25) / 2
            assert error.max() > 180 - step and step < 4
    # Must fail: an arrow turns once around as well, and is right everywhere.
    assert angle_error(angles_of(arrows_of(turns)), turns).max() < 1e-9


def test_floors_refuse_bad_input(as_a_user):
    refused = [
        ("symmetry", lambda: angle_floor(0)),
        ("symmetry", lambda: angle_floor(1.5)),
        ("order", lambda: frequency_floor(0, 1)),
        ("frequency", lambda: frequency_floor(4, 0.5)),
        ("frequency", lambda: wedge_cosine(0.5, 45.0)),
        ("within", lambda: wedge_cosine(1, 0.0)),
        ("within", lambda: wedge_cosine(1, float("nan"))),
        ("slope", lambda: number_floor(-1.0)),
        ("slope", lambda: number_floor(float("inf"))),
    ]
    for name, call in refused:
        with pytest.raises((TypeError, ValueError), match=f"^{name}"):
            call()
