"""Other people's networks: whose axis is it? The right number, or a sentence."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eqssl_edu.diagnostics import equivariance_error, find_order
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral

C4, D4 = cyclic(4), dihedral(4)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class Copies(nn.Module):
    """A lifting convolution as others write it: one kernel, moved by each element, in an order of theirs."""

    def __init__(self, move, layout="channels first", exact=True):
        super().__init__()
        torch.manual_seed(0)
        self.weight, self.move = nn.Parameter(torch.randn(4, 1, 3, 3)), move
        self.layout, self.exact = layout, exact

    def forward(self, x):
        copies = torch.stack(self.move(self.weight), 1)
        if not self.exact:
            copies = copies + 0.1 * noise(*copies.shape)
        maps = F.conv2d(x, copies.flatten(0, 1), padding=1).unflatten(1, (4, -1))
        maps = maps.transpose(1, 2) if self.layout.startswith("group") else maps
        return maps.flatten(1, 2) if self.layout.endswith("flat") else maps


def turned(w, quarter):
    return torch.rot90(w, quarter, (2, 3))


ORDERS = {  # how others number the elements
    "ours": (D4, lambda w: [turned(v, r) for v in (w, w.flip(-1)) for r in range(4)]),
    "flipped upside down": (D4, lambda w: [turned(v, r) for v in (w, w.flip(-2)) for r in range(4)]),
    "mirror first": (D4, lambda w: [v for r in range(4) for v in (turned(w, r), turned(w, r).flip(-1))]),
    "clockwise": (D4, lambda w: [turned(v, -r) for v in (w, w.flip(-1)) for r in range(4)]),
    "mirrored behind the turn": (
        D4,
        lambda w: [turned(w, r).flip([-1] * m) for m in (0, 1) for r in range(4)],
    ),
    "P4 clockwise": (C4, lambda w: [turned(w, -r) for r in range(4)]),
    "P4 starts elsewhere": (C4, lambda w: [turned(w, r) for r in (2, 3, 0, 1)]),
}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize(
    "layout", ["channels first", "group first", "channels first, flat", "group first, flat"]
)
def test_an_order_of_elements_is_found(name, layout):
    group, move = ORDERS[name]
    model, axis, images = Copies(move, layout), 1 if layout.startswith("group") else 2, noise(2, 1, 9, 9)
    order = find_order(model, images, group, axis)
    assert (order == list(group.elements)) == (name in ("ours", "P4 starts elsewhere")) and order[0] == 0
    for said in (axis, axis - 5):
        assert equivariance_error(model, images, group, group_axis=said).max() < 1e-5
        assert equivariance_error(model, images, group, group_axis=said, order=order).max() < 1e-5
    wrong = [order[1], order[0], *order[2:]]
    assert equivariance_error(model, images, group, group_axis=axis, order=wrong).max() > 0.1


@pytest.mark.parametrize(
    "moves", [lambda w: [turned(w, r) for r in (0, 1, 2, 0)], lambda w: list(noise(4, *w.shape))]
)
def test_an_axis_that_is_no_group_axis_has_no_order(moves):
    model, images = Copies(moves), noise(2, 1, 9, 9)
    assert find_order(model, images, C4) is None
    assert equivariance_error(model, images, C4, group_axis=2).max() > 0.1


def test_an_order_that_nearly_fits_does_not():
    assert find_order(Copies(ORDERS["ours"][1], exact=False), noise(1, 1, 9, 9), D4) is None


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_network_that_gives_nothing_has_no_order(value):
    assert find_order(lambda x: torch.full((len(x), 2, 4), value), noise(1, 1, 9, 9), C4) is None


def test_features_of_ones_own_order():
    encoder = GroupCNN(D4, 1, (2, 3))
    order = [3, 2, 1, 0, 4, 7, 5, 6]
    model = lambda x: encoder(x)[:, :, order]  # noqa: E731
    images = noise(2, 1, 9, 9)
    assert equivariance_error(model, images, D4).max() > 0.01
    assert equivariance_error(model, images, D4, order=order).max() < 1e-5
    assert equivariance_error(model, images, D4, group_axis=-1).max() < 1e-5
    found = find_order(model, images, D4)
    assert [int(D4.product[g, order[0]]) for g in found] == order  # known up to a translation


@pytest.mark.parametrize("quarter", [1, -1])
def test_the_order_of_eight_turns_is_found_between_the_pixels_as_well(quarter):
    group = cyclic(8)

    def model(x):  # how much of the image lies along one direction and then the others
        y, z = torch.meshgrid(torch.linspace(-1, 1, 33), torch.linspace(-1, 1, 33), indexing="ij")
        angles = quarter * torch.arange(8) * torch.pi / 4
        bell = [torch.exp(-8 * ((z - a.cos() / 2) ** 2 + (y + a.sin() / 2) ** 2)) for a in angles]
        return torch.einsum("bchw,ghw->bcg", x, torch.stack(bell))

    order = find_order(model, noise(1, 3, 33, 33), group)
    assert order == [quarter * i % 8 for i in range(8)]


@pytest.mark.parametrize(
    ("says", "call"),
    [
        ("transform_outputs", lambda x: equivariance_error(nn.Conv2d(1, 4, 3), x, C4)),  # maps four wide
        (
            "transform_outputs",
            lambda x: equivariance_error(lambda y: y.flatten(1)[:, :4], x, C4),
        ),  # four logits
        ("transform_outputs", lambda x: equivariance_error(lambda y: y, x[..., :4, :4], C4, C4.transform)),
        ("group_axis", lambda x: equivariance_error(lambda y: y, x, C4, group_axis=0)),
        ("group_axis", lambda x: equivariance_error(lambda y: y, x, C4, group_axis=2)),
        *(
            ("order", lambda x, order=order: equivariance_error(GroupCNN(C4, 1, (2,)), x, order=order))
            for order in ([0, 1, 2], [0, 1, 2, 2], [0, 1, 2, 4])
        ),
        # What an encoder does not give or cannot take, in either way.
        *(
            (says, lambda x, model=model, axis=axis: equivariance_error(model, x, C4, group_axis=axis))
            for says, model in (
                (r"model\(inputs\)", lambda x: (x, x)),
                (r"model\(inputs\)", lambda x: {"logits": x}),
                ("model", nn.Conv2d(1, 4, 3).half()),
                ("model", nn.Conv2d(3, 4, 3)),
                ("model", lambda batch: batch.image),
                ("model", lambda x, mask: x),
            )
            for axis in (2, None)
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(says, call):
    with pytest.raises((ValueError, TypeError), match=f"^{says} must .*(got|given)"):
        call(noise(2, 1, 6, 6))
