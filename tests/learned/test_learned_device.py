"""The losses of the relatives and the fit of an action where the images lie, on a device that is not the CPU."""

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.diagnostics import learned_action
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.learned import RELATIVES, SoftEquivariance, relative


def images(count=24):
    return torch.rand(count, 1, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", RELATIVES)
def test_a_step_of_every_relative(device, kind):
    torch.manual_seed(0)
    model = relative(kind, channels=(4, 8))
    here = model.training_step(images(), torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    model = relative(kind, channels=(4, 8)).to(device)
    there = model.training_step(images().to(device), torch.Generator().manual_seed(1))
    there["loss"].backward()
    assert all(torch.allclose(there[name].cpu(), here[name], atol=1e-3) for name in here)


def test_a_generator_alone_and_the_fit(device):
    orbit = F.normalize(torch.randn(5, 4, 8, generator=torch.Generator().manual_seed(0)), dim=2)
    term = SoftEquivariance(cyclic(4), generator=1)
    assert torch.allclose(term(orbit.to(device)).cpu(), term(orbit))
    torch.manual_seed(0)
    encoder = GroupCNN(cyclic(1), 1, (4, 8))
    here = learned_action(encoder, images(), cyclic(4)).plain
    there = learned_action(encoder.to(device), images().to(device), cyclic(4)).plain
    assert abs(here.error - there.error) < 1e-3
