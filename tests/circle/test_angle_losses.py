"""A2 to A5: losses in nats against uniform, what an output that knows nothing has, and what a symmetry costs."""

import math

import pytest
import torch

from eqssl_edu.circle import (
    AngleHead,
    DensityHead,
    angle_error,
    angle_loss,
    angles_of,
    arrows_of,
    bin_loss,
    density_loss,
    so2,
    turn_arrows,
    turn_features,
    von_mises_loss,
)
from eqssl_edu.theory import angle_floor


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def around(count, period=360.0):
    return torch.arange(count, dtype=torch.float64) * period / count


def limited(count=4, channels=5, L=3, n=8, seed=0):
    spectrum = torch.fft.rfft(noise(count, channels, n, seed=seed))
    spectrum[..., L + 1 :] = 0
    return torch.fft.irfft(spectrum, n=n)


KINDS = {  # outputs of one sample, by how sharp they are
    "arrow": lambda size: size * noise(1, 2),
    "density": lambda size: size * noise(1, 3, 2),
    "bins": lambda size: size * noise(1, 36),
}


@pytest.mark.parametrize("symmetry", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_A2_every_kind_is_a_density_and_uniform_has_zero_nats(kind, symmetry):
    """exp(-loss) over the circle has the mean 1: so all kinds stand on one scale, and nothing is won by tricks."""
    degrees = around(36 * 400, 360 / symmetry) + 0.01  # no point on the edge of a bin
    for size in (0.0, 1.0, 30.0):
        outputs = KINDS[kind](size)
        loss = angle_loss(outputs.expand(len(degrees), *outputs.shape[1:]), degrees, symmetry)
        assert (-loss).exp().mean().item() == pytest.approx(1, abs=1e-6)
        assert size or loss.abs().max() < 1e-14  # who knows nothing has 0 nats


def test_A2_a_fixed_grid_would_be_cheated():
    """The must-fail twin: with 64 points a sharp peak between two of them costs nothing to the mean."""
    arrows = torch.stack(
        [m * 0 + arrows_of(torch.tensor([360 / 128]).double() * m) for m in (1, 2, 3)], dim=1
    )
    arrows = 4000 * arrows
    at_peak = torch.tensor([360 / 128], dtype=torch.float64)
    points = around(64)
    fixed = torch.stack([density_loss(arrows, point[None]) for point in points]).neg()
    fixed = fixed - fixed.max()  # the height of the log density at 64 points: all far below its peak
    true = density_loss(arrows, at_peak).item()
    grid = (-torch.stack([density_loss(arrows, point[None]) for point in points])).logsumexp(
        0
    ).item() - math.log(64)
    assert -7 < true < -6 and grid < -15  # a loss lower by 15 nats, for nothing
    fine = torch.linspace(0, 360, 6001, dtype=torch.float64)[:-1]
    density = (-density_loss(arrows.expand(len(fine), 3, 2), fine)).exp()
    assert density.mean().item() == pytest.approx(1, abs=1e-6)


def test_A2_the_grid_grows_with_the_peak_and_refuses_what_it_cannot_show():
    for size in (1.0, 1e2, 1e4, 1e6):
        arrows = size * noise(3, 1, 2)
        exact = von_mises_loss(arrows[:, 0], torch.full((3,), 7.0).double())
        assert (density_loss(arrows, torch.full((3,), 7.0).double()) - exact).abs().max() < 1e-6 + 1e-9 * size
    with pytest.raises(ValueError, match=r"^arrows must be shorter"):
        density_loss(1e9 * noise(3, 2, 2), torch.zeros(3).double())


def test_A2_density_loss_is_equivariant():
    torch.manual_seed(0)
    head, z, degrees = DensityHead(so2(3), 5).double(), limited(), torch.tensor([0.0, 50, 170, 340]).double()
    loss = density_loss(head(z), degrees)
    for theta in (12.3, 45.0, -100.0):
        moved = density_loss(head(turn_features(so2(3), z, theta)), degrees + theta)
        assert (moved - loss).abs().max() < 1e-13
        wrong = density_loss(
            head(turn_features(so2(3), z, theta)), degrees
        )  # must fail: the label not turned
        assert (wrong - loss).abs().max() > 0.1


def test_A2_bins_are_centred_and_their_edge_is_half_way():
    logits = 9 * torch.eye(4, dtype=torch.float64)
    best = [
        int(bin_loss(logits, torch.full((4,), d).double()).argmin()) for d in (0, 44, 46, 134, 300, 316, 359)
    ]
    assert best == [0, 0, 1, 1, 3, 0, 0]
    assert torch.equal(angles_of(logits), around(4)) and torch.equal(angles_of(logits, 2), around(4, 180))
    assert bin_loss(logits, around(4)).min() > -math.log(4)  # a classifier never knows more than its bin


def test_A3_von_mises_is_the_density_of_one_frequency():
    for size in (0.0, 1e-9, 0.3, 5.0, 40.0):
        arrows, degrees = (size * noise(50, 2)).requires_grad_(), 360 * torch.rand(50).double()
        one, other = von_mises_loss(arrows, degrees, 2), density_loss(arrows[:, None], degrees, 2)
        assert (one - other).abs().max() < 1e-12
        gradients = [torch.autograd.grad(loss.sum(), arrows, retain_graph=True)[0] for loss in (one, other)]
        assert (gradients[0] - gradients[1]).abs().max() < 1e-9


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_A3_nothing_overflows_and_the_loss_is_smooth_at_zero(dtype):
    arrows = torch.tensor([[0.0, 0], [1e-7, 0], [3e4, 0], [0, 6e4]], dtype=dtype, requires_grad=True)
    loss = von_mises_loss(arrows, torch.tensor([10.0, 10, 0, 90]).to(dtype))
    assert loss.isfinite().all() and loss[0].abs() < 1e-7 and loss[2] < -3
    gradient = torch.autograd.grad(loss.sum(), arrows)[0].float()
    u = torch.tensor([math.cos(math.radians(10)), math.sin(math.radians(10))])
    assert (gradient[:2] + u).abs().max() < 1e-3  # -u: the arrow grows towards the label, from 0 on
    assert gradient.isfinite().all()


def test_A3_the_cosine_has_an_unbounded_gradient_where_symmetric_images_are():
    """The must-fail twin of a smooth loss."""
    for length in (1e-2, 1e-6):
        arrows = torch.tensor([[length, 0.0]], dtype=torch.float64, requires_grad=True)
        cosine = 1 - (arrows / arrows.norm() * arrows_of(torch.tensor([90.0]).double())).sum()
        assert torch.autograd.grad(cosine, arrows)[0].norm().item() == pytest.approx(1 / length)
        smooth = von_mises_loss(arrows, torch.tensor([90.0]).double()).sum()
        assert torch.autograd.grad(smooth, arrows)[0].norm() < 1.1


def test_A3_length_is_confidence():
    """Of noisy answers the best length grows as the noise shrinks: the loss finds the concentration of the noise."""
    for concentration in (0.5, 4.0, 50.0):
        # The points of equal probability of a von Mises law around 0.
        angles = torch.linspace(-180, 180, 2001, dtype=torch.float64)
        weights = (concentration * (angles.deg2rad().cos() - 1)).exp()
        lengths = torch.linspace(0.5, 1.5, 51, dtype=torch.float64) * concentration
        losses = [
            (von_mises_loss(torch.stack([r, r * 0]).expand(len(angles), 2), angles) * weights).sum()
            for r in lengths
        ]
        assert lengths[torch.stack(losses).argmin()].item() == pytest.approx(concentration, rel=2e-2)


def test_A4_an_invariant_output_loses_everything():
    degrees = around(3600)
    for arrow in (torch.zeros(2), torch.tensor([1.0, 0.5]), torch.tensor([-9.0, 2.0])):
        outputs = arrow.double().expand(len(degrees), 2)
        assert von_mises_loss(outputs, degrees).mean() >= -1e-12
        assert angle_error(angles_of(outputs), degrees).mean().item() == pytest.approx(90, abs=1e-3)
    assert density_loss(noise(1, 3, 2).expand(3600, 3, 2), degrees).mean() > 0
    assert bin_loss(noise(1, 36).expand(3600, 36), degrees).mean() > 0
    numbers = torch.linspace(
        -180, 180, 100001, dtype=torch.float64
    )  # the label as a number; the best constant is 0
    assert numbers.square().mean().sqrt().item() == pytest.approx(180 / 3**0.5, abs=1e-2)
    assert pytest.approx(103.9, abs=0.03) == 180 / 3**0.5
    right = 9 * arrows_of(degrees)  # must fail: one that turns
    assert von_mises_loss(right, degrees).max() < -1 and angle_error(angles_of(right), degrees).max() < 1e-9


@pytest.mark.parametrize("k", [2, 3])
def test_A5_a_symmetric_input_has_arrows_of_its_own_types_alone(k):
    L, n, z = 6, 24, limited(L=6, n=24)
    symmetric = torch.stack([turn_features(so2(L, n), z, 360 * j / k) for j in range(k)]).mean(dim=0)
    torch.manual_seed(0)
    for m in range(1, L + 1):
        head = AngleHead(so2(L, n), 5, m).double()
        length = head(symmetric).norm(dim=1).max()
        assert length < 1e-14 if m % k else length > 0.1
        assert head(z).norm(dim=1).min() > 1e-2  # must fail: no symmetry


@pytest.mark.parametrize("k", range(1, 8))
def test_A5_the_best_single_answer_and_the_price_of_narrow_peaks(k):
    """By trying all answers; and by the density with k narrow peaks."""
    truths, answers = around(k), around(7200)
    errors = (
        angle_error(answers.repeat_interleave(k), truths.repeat(7200)).unflatten(0, (7200, k)).mean(dim=1)
    )
    assert errors.min().item() == pytest.approx(angle_floor(k).degrees, abs=0.03)
    bins = 840  # k divides it
    logits = torch.full((1, bins), -60.0, dtype=torch.float64)
    logits[0, [j * bins // k for j in range(k)]] = 0
    one = bin_loss(60 * torch.eye(bins, dtype=torch.float64)[:1], torch.zeros(1).double()).item()
    assert bin_loss(logits, torch.zeros(1).double()).item() - one == pytest.approx(
        angle_floor(k).nats, abs=1e-9
    )
    again = angle_loss(
        logits, torch.zeros(1).double(), 1
    ).item()  # must fail: k times the circle costs nothing
    typed = bin_loss(60 * torch.eye(bins // k, dtype=torch.float64)[:1], torch.zeros(1).double(), k).item()
    assert typed + math.log(bins // k) == pytest.approx(one + math.log(bins), abs=1e-9) and again >= one


def test_A8_examples_turned_with_their_labels_are_the_same_example():
    """Loss and gradients, of weights and features alike, do not change; those of a label left behind do."""
    torch.manual_seed(0)
    head, z, degrees = DensityHead(so2(3), 5).double(), limited(), torch.tensor([0.0, 50, 170, 340]).double()

    def loss_and_gradients(features, angles):
        loss = density_loss(head(features), angles).mean()
        return torch.cat([loss[None], *(g.flatten() for g in torch.autograd.grad(loss, head.weight))])

    before = loss_and_gradients(z, degrees)
    for theta in (12.3, 90.0, 222.0):
        moved = turn_features(so2(3), z, theta)
        assert (loss_and_gradients(moved, degrees + theta) - before).abs().max() < 1e-13
        assert (loss_and_gradients(moved, degrees) - before).abs().max() > 1e-2


# -- what an output says ---------------------------------------------------------------------------------------------


def test_an_output_that_says_nothing_counts_as_a_guess():
    nothing = [torch.zeros(2, 2), torch.zeros(2, 3, 2), torch.zeros(2, 36), torch.full((2, 2), torch.nan)]
    for outputs in nothing:
        assert angles_of(outputs).isnan().all()
        assert torch.equal(angle_error(angles_of(outputs), torch.zeros(2)), torch.full((2,), 90.0))
    assert angle_error(torch.tensor([torch.nan]), torch.zeros(1), 3).item() == 30
    two = (
        arrows_of(torch.tensor([80.0]))[:, None] * torch.tensor([0.0, 1.0])[:, None]
    )  # two peaks of one height
    assert angles_of(two).isnan().all()
    assert angles_of(two[:, 1:], 2).item() == pytest.approx(40, abs=1e-3)  # type 2 repairs it


@pytest.mark.parametrize("k", [1, 2, 5])
def test_arrow_and_angle_are_inverse(k):
    degrees = around(700, 360 / k)
    back = angles_of(arrows_of(degrees, k), k)
    assert angle_error(back, degrees, k).max() < 1e-12 and back.max() < 360 / k and back.min() >= 0
    assert (arrows_of(degrees, k) - turn_arrows(arrows_of(0 * degrees, k), degrees, k)).abs().max() < 1e-14
    density = torch.stack([arrows_of(degrees, k), 0.3 * arrows_of(2 * degrees, k)], dim=1)
    assert angle_error(angles_of(density, k), degrees, k).max() < 1e-3


def test_quarter_turns_of_arrows_are_exact():
    arrows = noise(5, 2)
    x, y = arrows.unbind(1)
    assert torch.equal(turn_arrows(arrows, 90.0), torch.stack([-y, x], 1))
    assert torch.equal(turn_arrows(arrows, 180.0), -arrows)
    assert torch.equal(turn_arrows(turn_arrows(arrows, 90.0), -90.0), arrows)
    assert torch.equal(turn_arrows(arrows, 45.0, 2), turn_arrows(arrows, 90.0))
    assert torch.equal(turn_arrows(arrows, 123.0, 0), arrows)


@pytest.mark.parametrize("loss", [angle_loss, von_mises_loss, density_loss, bin_loss])
def test_losses_refuse_what_they_cannot_read(loss, as_a_user):
    first = next(iter(loss.__wrapped__.__annotations__))
    shapes = {"arrows": (4, 2), "logits": (4, 5), "outputs": (4, 2)}
    right = torch.zeros(4, 1, 2) if loss is density_loss else torch.zeros(shapes[first])
    assert loss(right, torch.zeros(4)).shape == (4,) and loss(right[:0], torch.zeros(0)).shape == (0,)
    for wrong in (
        torch.zeros(4),
        torch.zeros(4, 3, 3),
        torch.zeros(3, 3, 2, 2),
        right.long(),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^({first}|degrees)"):
            loss(wrong, torch.zeros(4))
    for degrees in (torch.zeros(3), torch.zeros(4, 1), torch.zeros(4, dtype=torch.long), 3.0):
        with pytest.raises((TypeError, ValueError), match=r"^(degrees|arrows|logits)"):
            loss(right, degrees)
    with pytest.raises((TypeError, ValueError), match=r"^symmetry"):
        loss(right, torch.zeros(4), 0)
