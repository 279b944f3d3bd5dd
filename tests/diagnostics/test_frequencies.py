"""A9: on pixels equivariance is approximate, and one error over all features hides the part that turns."""

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.circle import o2, so2
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import equivariance_by_frequency
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.steerable import SteerableCNN


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def nothing(x):
    return torch.zeros(2, 3, 4)


@pytest.mark.parametrize("group", [so2(3), so2(2, 9), o2(3), cyclic(5), cyclic(8), dihedral(4)], ids=repr)
def test_features_that_do_not_turn_have_an_error_that_one_can_write_down(group):
    """|1 - exp(-i m theta)| = 2 |sin(m theta / 2)|: a still picture of features."""
    z = noise(4, 3, group.order)
    errors = equivariance_by_frequency(lambda x: z, noise(4, 1, 9, 9), (45.0, -100.0, 180.0), group)
    m = torch.arange(errors.share.shape[0]).double()
    expected = 2 * (m * torch.tensor([45.0, -100.0, 180.0]).double()[:, None].deg2rad() / 2).sin().abs()
    assert (errors.frequencies - expected).abs().max() < 1e-12
    total = (expected.square() * errors.share).sum(dim=1).sqrt()
    assert (errors.total - total).abs().max() < 1e-12
    assert errors.share.sum().item() == pytest.approx(1) and errors.share.min() > 0
    assert len(m) == min(getattr(group, "frequency", 99), (group.rotations - 1) // 2) + 1


def test_shares_are_those_of_parseval():
    z = noise(4, 3, 7)
    share = equivariance_by_frequency(lambda x: z, noise(4, 1, 9, 9), group=cyclic(7)).share
    mean = z.mean(dim=2, keepdim=True)
    assert share[0].item() == pytest.approx((7 * mean.square().sum() / z.square().sum()).item())


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], ids=repr)
def test_A9_quarter_turns_are_exact_and_the_must_fail_twin_is_not(group):
    torch.manual_seed(0)
    encoder = GroupCNN(group, channels=(3, 4)).double()
    errors = equivariance_by_frequency(encoder, noise(3, 1, 12, 12), (90.0, 180.0, 270.0))
    assert errors.frequencies.max() < 1e-12 and errors.total.max() < 1e-12
    wrong = equivariance_by_frequency(lambda x: encoder(x.flip(-1)), noise(3, 1, 12, 12), (90.0,), group)
    assert wrong.frequencies[0, 1] > 1  # turns in the wrong sense
    assert wrong.frequencies[0, 0] < 1e-12  # which frequency 0 cannot show


def test_A9_the_total_hides_the_part_that_turns():
    """Untrained networks, three seeds; at 45 degrees, digits on 24 pixels. Six seeds were looked at."""
    images = F.pad(digits(16).train.images[:16], [4] * 4)
    for seed in range(3):
        errors = {}
        for symmetry in ("SO(2)", cyclic(4), cyclic(8), cyclic(16)):
            torch.manual_seed(seed)
            encoder = SteerableCNN(symmetry, channels=(4, 8))
            with torch.no_grad():
                for _ in range(5):  # batch statistics of these images
                    encoder(images)
            found = equivariance_by_frequency(encoder.eval(), images, (45.0, 90.0))
            assert found.frequencies[1].max() < 1e-4  # a quarter turn, in single precision
            errors[str(symmetry)] = found.frequencies[0], found.total[0], found.share
        parts, total, share = errors["SO(2)"]
        assert total < 0.08 and share[0] > 0.9  # looks good
        assert parts[1] > 1.2 * total and parts[3] > 3 * total and parts[3] > parts[1]
        # What carries the angle: C4 loses all of it between its elements, SO(2) a tenth.
        four, total_of_four, _ = errors["cyclic(4)"]
        assert parts[1] < 0.2 and four[1] > 0.7 and total_of_four < 0.2
        # C8 and C16 lose a part of it, at an angle that both have, and C16 no less.
        eight, sixteen = errors["cyclic(8)"][0][1], errors["cyclic(16)"][0][1]
        assert 0.1 < eight < 0.5 and 0.1 < sixteen < 0.5 and (eight - sixteen).abs() < 0.1


def test_a_frequency_that_the_features_do_not_have_is_nan():
    z = torch.ones(2, 3, 8, dtype=torch.float64)  # a collapse of the group
    errors = equivariance_by_frequency(lambda x: z, noise(2, 1, 9, 9), (45.0,), so2(3))
    assert errors.frequencies[0, 0] == 0 and errors.frequencies[0, 1:].isnan().all()
    assert errors.total.item() == 0 and errors.share.tolist() == [1, 0, 0, 0]


def test_the_encoder_stays_as_it_was_and_each_door_refuses(as_a_user):
    encoder, images = GroupCNN(cyclic(4), channels=(2, 3)).train(), torch.rand(2, 1, 9, 9)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    equivariance_by_frequency(encoder, images)
    assert encoder.training and all(torch.equal(before[k], v) for k, v in encoder.state_dict().items())
    refused = [
        ("group", lambda: equivariance_by_frequency(lambda x: x, images)),
        ("encoder(images)", lambda: equivariance_by_frequency(encoder, images, group=cyclic(8))),
        ("encoder must not give zero", lambda: equivariance_by_frequency(nothing, images, group=cyclic(4))),
        ("images", lambda: equivariance_by_frequency(encoder, torch.rand(2, 1, 9, 8))),
        ("images", lambda: equivariance_by_frequency(encoder, torch.full((2, 1, 9, 9), torch.nan))),
        ("len(images)", lambda: equivariance_by_frequency(encoder, images[:0])),
        ("degrees", lambda: equivariance_by_frequency(encoder, images, (float("nan"),))),
        ("len(degrees)", lambda: equivariance_by_frequency(encoder, images, ())),
    ]
    for number, (name, call) in enumerate(refused):
        with pytest.raises((TypeError, ValueError)) as refusal:
            call()
        assert str(refusal.value).startswith(name), (number, refusal.value)
