"""EmbeddingExplorer without a screen: pooled points stand still, regular ones move along their orbit."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.widgets import EmbeddingExplorer
from eqssl_edu.widgets.embedding import STILL, embed, map_of, vectors
from eqssl_edu.widgets.shared import base

over_groups = pytest.mark.parametrize("group", [cyclic(2), cyclic(4), dihedral(1), dihedral(4)], ids=str)


@pytest.fixture(autouse=True)
def raise_errors(monkeypatch):
    monkeypatch.setattr(base, "RAISE_ERRORS", True)


def pictures(count=30, channels=1, side=12):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def network(group, in_channels=1):
    torch.manual_seed(0)
    encoder = GroupCNN(group, in_channels, channels=(6, 8)).train()
    with torch.no_grad():
        for _ in range(20):
            encoder(pictures(32, in_channels))
    return encoder.eval()


def explorer_of(group, **options):
    return EmbeddingExplorer(network(group), pictures(), torch.arange(30) % 3, **options)


class NotEquivariant(nn.Module):
    """A network that says it has the group, and has not: the must-fail twin."""

    def __init__(self, group):
        super().__init__()
        self.group = group
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(144, 4 * group.order))

    def forward(self, x):
        return self.body(x).unflatten(1, (4, self.group.order))


def points(explorer):
    return np.frombuffer(explorer.values["points"], "<u2").reshape(-1, 2).astype(int)


# -- the numbers ---------------------------------------------------------------------------------------------


@over_groups
def test_pooled_points_stand_still_and_regular_ones_move(group):
    explorer = explorer_of(group)
    for g in group.elements:
        explorer.set_state(features="pooled", image=4, element=g)
        assert explorer.moved() < STILL and explorer.values["still"]
        assert np.ptp(np.array(explorer.values["orbit"]), axis=0).max() <= 2  # of 65535
        explorer.set_state(features="regular")
        assert (explorer.moved() > 0.05) == (g != 0)
        assert not explorer.values["still"]


def test_a_network_that_is_not_equivariant_moves_in_both():
    torch.manual_seed(0)
    explorer = EmbeddingExplorer(NotEquivariant(cyclic(4)), pictures(), torch.arange(30) % 3)
    explorer.set_state(features="pooled", element=1)
    assert explorer.moved() > 0.05 and not explorer.values["still"]
    assert "has moved" in explorer.readout


def test_the_chosen_image_upright_stands_on_its_point():
    for kind in ("regular", "pooled"):
        explorer = explorer_of(dihedral(4))
        explorer.set_state(features=kind, image=11)
        assert np.abs(points(explorer)[11] - explorer.values["orbit"][0]).max() <= 1
        assert explorer.moved() < 1e-6


def test_places_of_the_orbit_are_those_of_the_turned_features():
    """C of the group axis is only permuted: the places follow from the upright features alone."""
    group = dihedral(4)
    explorer = explorer_of(group)
    explorer.set_state(image=3)
    features = embed(explorer.encoder, pictures())
    plane = map_of(vectors(features, "regular"))
    moved = torch.stack([group.transform_features(features[3], g) for g in group.elements]).flatten(1)
    expected = (moved - plane.mean) @ plane.axes
    seen = torch.tensor(explorer.values["orbit"], dtype=torch.float64)
    for axis in range(2):  # up to the corner and the scale of the axis
        differences = seen[:, None, axis] - seen[:, axis]
        wanted = expected[:, None, axis] - expected[:, axis]
        scale = float((differences * wanted).sum() / (wanted * wanted).sum())
        assert (differences - scale * wanted).abs().max() < 8  # of 65535: float32, and rounding


def test_the_map_stands_still_while_another_image_is_chosen():
    explorer = explorer_of(dihedral(4))
    seen = points(explorer)
    assert 0 < seen.min() < seen.max() < 65535
    for image in range(0, 30, 7):
        explorer.set_state(image=image, element=3)
        assert np.array_equal(points(explorer), seen)
        orbit = np.array(explorer.values["orbit"])
        assert orbit.min() > 0 and orbit.max() < 65535  # and has room for every orbit


def test_the_map_is_the_plane_of_the_largest_variance():
    from sklearn.decomposition import PCA

    features = torch.randn(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features[:, 2] *= 5
    features[:, 4] *= 3
    plane = map_of(features)
    reference = PCA(2, svd_solver="full").fit(features.numpy())
    assert abs(plane.share - reference.explained_variance_ratio_.sum()) < 1e-12
    ours, theirs = plane.axes.numpy(), reference.components_.T
    assert np.abs(np.abs((ours * theirs).sum(axis=0)) - 1).max() < 1e-9
    distances = torch.cdist(features, features)
    mean_square = (distances**2).sum() / (50 * 49)
    assert abs(plane.spread**2 - float(mean_square)) < 1e-9


def test_maps_of_degenerate_features():
    constant = map_of(torch.ones(5, 3, dtype=torch.float64))
    assert torch.equal(constant.points, torch.zeros(5, 2, dtype=torch.float64)) and constant.spread < 1e-12
    assert map_of(torch.randn(5, 1, dtype=torch.float64)).points.shape == (5, 2)


# -- the widget ----------------------------------------------------------------------------------------------


def test_readout_says_whether_the_point_moved():
    explorer = explorer_of(cyclic(4), names=["apple", "bread", "cheese"])
    explorer.set_state(image=4, element=1)
    assert explorer.readout.startswith(
        "Image 5 of 30, class bread, turned by r90: with regular features its point has moved by "
    )
    explorer.set_state(features="pooled")
    assert "with pooled features its point stands still." in explorer.readout


def test_the_encoder_is_left_as_it_was_and_followed():
    encoder = network(cyclic(4)).train()
    weights = copy.deepcopy(encoder.state_dict())
    explorer = EmbeddingExplorer(encoder, pictures(), torch.arange(30) % 3)
    explorer.set_state(element=1)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in encoder.state_dict().items())
    assert all(module.training for module in encoder.modules())
    before = explorer.values["points"]
    with torch.no_grad():
        encoder.stages[0].weight.add_(torch.randn(encoder.stages[0].weight.shape))
    explorer.set_state(element=2)
    assert explorer.values["points"] != before


def test_state_comes_back_and_messages_are_answered(monkeypatch):
    explorer = explorer_of(cyclic(4))
    explorer.receive({"token": "a", "changes": {"features": "pooled", "image": 7}})
    assert explorer.answered == "a"
    state, readout = explorer.state(), explorer.readout
    explorer.set_state(features="regular", image=0, element=3)
    explorer.set_state(**state)
    assert explorer.readout == readout
    monkeypatch.setattr(base, "RAISE_ERRORS", False)
    explorer.receive({"token": "b", "changes": {"image": 30}})
    assert "image must be an image, 0 .. 29, got 30" in explorer.error
    assert explorer.state() == state


@pytest.mark.parametrize(("count", "side"), [(3, 64), (360, 32), (2000, 16)])
def test_showing_takes_at_most_200_kb_and_a_move_60(count, side):
    images = pictures(count, channels=3, side=side)
    encoder = NotEquivariant(dihedral(4))
    encoder.body = nn.Sequential(nn.AvgPool2d(side // 4), nn.Flatten(), nn.Linear(48, 32))
    explorer = EmbeddingExplorer(encoder, images, torch.arange(count) % 10)
    facts, values = dict(explorer.facts), dict(explorer.values)
    binary = [facts.pop("thumbnails"), values.pop("points"), values.pop("pixels")]
    move = len(binary[1]) + len(binary[2]) + len(json.dumps(values))
    assert move < 60_000
    code = len(explorer._esm) + len(explorer._css)
    assert code + len(binary[0]) + len(json.dumps(facts)) + move < 200_000


def test_states_that_are_not_allowed_change_nothing(as_a_user):
    explorer = explorer_of(cyclic(4))
    before = explorer.state()
    for change, message in [
        ({"features": "raw"}, "features must be one of regular, pooled, got 'raw'"),
        ({"image": -1}, "image must be an image, 0 .. 29, got -1"),
        ({"element": 4}, "element must be an element of C4, 0 .. 3, got 4"),
        ({"element": True}, "element must be an integer, got True"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            explorer.set_state(**change)
    assert explorer.state() == before


def test_arguments_that_are_not_taken(as_a_user):
    encoder, images, labels = network(cyclic(4)), pictures(), torch.arange(30) % 3
    for arguments, message in [
        ((lambda x: x, images, labels), "encoder must be a Module, got"),
        ((nn.Flatten(), images, labels), r"encoder must have a .group out of C2, C4, D1, D2, D4, got None"),
        ((network(cyclic(1)), images, labels), "got C1"),
        ((encoder, images[0], labels), r"images must be a floating point tensor \(N, C, H, W\)"),
        ((encoder, images[..., :9], labels), "images must be square, got 12 x 9"),
        ((encoder, images[:2], labels[:2]), r"images must hold 3 .. 2000 images, got 2"),
        ((encoder, images, labels[:5]), "labels must hold a class 0, 1, ... for each of 30 images"),
        ((encoder, images, labels - 1), "labels must hold a class 0, 1, ..."),
        ((encoder, images, labels.double()), "labels must be a LongTensor"),
        ((encoder, images, labels, ["a"]), "names must hold a name for each of 3 classes, got 1"),
        ((encoder, images.expand(-1, 3, -1, -1), labels), "images must have shape"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            EmbeddingExplorer(*arguments)


def test_a_page_holds_some_images_that_turn():
    explorer = explorer_of(cyclic(4))
    explorer.set_state(image=17)
    states = explorer.frozen_states()
    assert {"features": "pooled", "image": 17, "element": 3} in states
    assert 17 in explorer.frozen_facts(states)["images"]
