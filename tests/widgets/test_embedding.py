"""EmbeddingExplorer without a screen: pooled points stand still, regular ones move along their orbit."""

import numpy as np
import pytest
import torch
from networks import NotEquivariant, images, network

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.widgets import EmbeddingExplorer
from eqssl_edu.widgets.embedding import STILL, map_of, vectors
from eqssl_edu.widgets.shared.encoder_features import regular_features

over_groups = pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], ids=str)


def explorer_of(group, **options):
    return EmbeddingExplorer(network(group), images(30), torch.arange(30) % 3, **options)


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
    explorer = EmbeddingExplorer(NotEquivariant(cyclic(4)), images(30), torch.arange(30) % 3)
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
    features = regular_features(explorer.encoder, images(30))
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


def test_the_letters_of_a_text_are_names():
    assert explorer_of(cyclic(4), names="abc").names == ["a", "b", "c"]


def test_new_weights_are_seen_at_the_next_move():
    encoder = network(cyclic(4))
    explorer = EmbeddingExplorer(encoder, images(30), torch.arange(30) % 3)
    before = explorer.values["points"]
    with torch.no_grad():
        encoder.stages[0].weight.add_(torch.randn(encoder.stages[0].weight.shape))
    explorer.set_state(element=2)
    assert explorer.values["points"] != before
