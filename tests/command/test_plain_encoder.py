"""An encoder as plain convolutions gives the same features, and its layers know nothing of groups."""

import pytest
import torch
from torch import nn

from eqssl_edu.command import PlainEncoder
from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.steerable import SteerableCNN, from_escnn

C4, D4 = cyclic(4), dihedral(4)
EXACT = [lambda: GroupCNN(C4, 1, (2, 3)), lambda: GroupCNN(D4, 3, (2, 3), 5), lambda: GroupResNet(D4, 3, 1)]
STEERABLE = [
    lambda: SteerableCNN(cyclic(8), 1, (2, 3)),
    lambda: SteerableCNN("SO(2)", 1, (2, 3)),
    lambda: SteerableCNN("O(2)", 3, (1, 2)),
]


def trained(make, dtype):
    """An encoder whose norms know something and whose weights are no fresh ones."""
    torch.manual_seed(0)
    encoder = make().to(dtype)
    for _ in range(2):
        encoder(torch.rand(8, encoder.in_channels, 12, 12, dtype=dtype) * 3)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return encoder.eval()


@pytest.mark.parametrize("size", [(12, 12), (9, 14)])
@pytest.mark.parametrize("make", EXACT)
def test_plain_convolutions_give_the_same_features(make, size):
    encoder = trained(make, torch.float64)
    images = torch.rand(4, encoder.in_channels, *size, dtype=torch.float64)
    plain = PlainEncoder(encoder)
    assert (plain(images) - encoder(images)).abs().max() < 1e-12 * encoder(images).abs().max()
    # The twin that must differ: the same layers without what the norms have learned.
    fresh = PlainEncoder(make().double())
    assert (fresh(images) - encoder(images)).abs().max() > 1e-3


@pytest.mark.parametrize("make", STEERABLE)
def test_steerable_layers_become_plain_ones(make):
    encoder = trained(make, torch.float32)
    images = torch.rand(4, encoder.in_channels, 13, 13)
    assert (PlainEncoder(encoder)(images) - encoder(images)).abs().max() < 1e-5 * encoder(images).abs().max()


def test_plain_features_turn_with_the_image():
    plain = PlainEncoder(trained(EXACT[1], torch.float64))
    images = torch.rand(2, 3, 12, 12, dtype=torch.float64)
    for g in D4.elements:
        turned = plain(D4.transform(images, g))
        assert (turned - D4.transform_features(plain(images), g)).abs().max() < 1e-12


@pytest.mark.parametrize("make", [*EXACT, *STEERABLE])
def test_no_layer_knows_of_groups(make):
    plain = PlainEncoder(make())
    layers = {type(module) for module in plain.modules() if not list(module.children())}
    own = {kind for kind in layers if kind.__module__.startswith("eqssl_edu")}
    assert layers - own <= {nn.Conv2d, nn.ReLU, nn.ELU, nn.Sequential}
    assert {kind.__name__ for kind in own} <= {"_Halving", "_Order"}
    assert not plain.training and not any(weight.requires_grad for weight in plain.parameters())


def test_the_encoder_is_left_as_it_is():
    encoder = trained(EXACT[0], torch.float64).train()
    before = {
        name: value.clone() for name, value in encoder.state_dict().items() if isinstance(value, torch.Tensor)
    }
    PlainEncoder(encoder)
    assert encoder.training
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in before.items())


def test_other_encoders_are_refused():
    with pytest.raises(TypeError, match=r"^encoder must be a"):
        PlainEncoder(SymmetrizedEncoder(C4, nn.Conv2d(1, 2, 3)))
    maps = SteerableCNN(C4, 1, (2,)).stages[0].module
    with pytest.raises(TypeError, match=r"^encoder must be a GroupCNN"):
        PlainEncoder(from_escnn(maps))
