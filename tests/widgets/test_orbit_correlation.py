"""OrbitCorrelationExplorer without a screen."""

import copy
import itertools

import numpy as np
import pytest
import torch
from networks import NotEquivariant, images, network

from eqssl_edu.contrastive import InfoNCE, orbit_correlation
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.widgets import OrbitCorrelationExplorer
from eqssl_edu.widgets.orbit_correlation import KINDS, TOLERANCE, compute, embed, losses, radial_scale

over_groups = pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], ids=str)
UPRIGHT = {"image": 0, "first": 0, "second": 0}


def exact_batch(group):
    encoder = network(group, dtype=torch.float64)
    views = torch.stack([images(seed=seed, dtype=torch.float64) for seed in (1, 2)])
    return encoder, embed(encoder, views[0], views)


def all_turns(group):
    return itertools.product(group.elements, repeat=2)


def rows(values):
    return {row["kind"]: row for row in values["losses"]}


# -- the numbers ---------------------------------------------------------------------------------------------


@over_groups
def test_kappa_is_permuted_by_the_rule_and_only_plain_moves(group):
    """C1: kappa(a z, b w)[g] = kappa(z, w)[a^-1 g b], here through pixels and network, for pairs with every a and b."""
    encoder, batch = exact_batch(group)
    before = compute(encoder, batch, UPRIGHT | {"image": 2})["kappa"]
    assert max(before) - min(before) > 1e-4  # else there is nothing to permute
    largest = 0.0
    for a, b in list(all_turns(group))[:: 1 if group.order == 4 else 3]:
        values = compute(encoder, batch, {"image": 2, "first": a, "second": b})
        inverse = int(group.inverse[a])
        for g in group.elements:
            origin = int(group.product[group.product[inverse, g], b])
            assert values["origins"][g] == origin
            assert abs(values["kappa"][g] - before[origin]) < 1e-12
        assert values["deviation"] < 1e-12
        assert sorted(values["origins"]) == list(group.elements)
        found = rows(values)
        assert all(abs(found[kind]["change"]) < 1e-10 for kind in KINDS[1:])
        if a or b:
            assert [found[kind]["status"] for kind in KINDS] == ["moved", *["still"] * 5]
        largest = max(largest, abs(found["plain"]["change"]))
    assert largest > 1e-3


def test_values_are_those_of_the_turned_views_in_the_whole_batch():
    group = dihedral(4)
    encoder, batch = exact_batch(group)
    values = compute(encoder, batch, {"image": 3, "first": 5, "second": 2})
    first, second = (view.clone() for view in batch.views)
    first[3], second[3] = group.transform(first[3], 5), group.transform(second[3], 2)
    with torch.no_grad():
        z, w = encoder(first), encoder(second)
    for kind, row in rows(values).items():
        assert abs(row["now"] - float(InfoNCE(group, kind)(z, w))) < 1e-12
        assert abs(row["change"] - (row["now"] - row["before"])) < 1e-15
        assert row["before"] == batch.losses[kind]
    kappa = orbit_correlation(group, z[3:4] / z[3].norm(), w[3:4] / w[3].norm())[0, 0]
    assert (torch.tensor(values["kappa"], dtype=torch.float64) - kappa).abs().max() < 1e-12


@over_groups
def test_float32_stands_still_to_the_tolerance(group):
    encoder = network(group)
    views = torch.stack([images(8, seed=seed) for seed in (1, 2)])
    batch = embed(encoder, views[0], views)
    for a, b in list(all_turns(group))[::7]:
        found = rows(compute(encoder, batch, {"image": 0, "first": a, "second": b}))
        assert all(abs(found[kind]["change"]) < TOLERANCE / 3 for kind in KINDS[1:])


def test_a_network_that_is_not_equivariant_is_seen():
    torch.manual_seed(0)
    explorer = OrbitCorrelationExplorer(NotEquivariant(cyclic(4)), images())
    explorer.set_state(first=1)
    assert all(row["status"] == "moved" for row in explorer.values["losses"])
    assert explorer.values["deviation"] > 0.01
    assert "not equivariant" in explorer.values["note"]
    assert "stood still" not in explorer.readout


def test_turning_back_ends_where_it_began():
    explorer = OrbitCorrelationExplorer(network(cyclic(4)), images())
    before = explorer.losses()
    for k in (1, 2, 3):
        explorer.set_state(first=k)
        assert explorer.losses() != before
    explorer.set_state(first=0)
    assert explorer.losses() == before
    assert {row["status"] for row in explorer.values["losses"]} == {"upright"}


def test_only_the_chosen_image_is_turned():
    explorer = OrbitCorrelationExplorer(network(cyclic(4)), images())
    explorer.set_state(image=1, first=1)
    one = explorer.changes()["plain"]
    explorer.set_state(image=2)
    assert explorer.state() == {"image": 2, "first": 1, "second": 0}
    assert explorer.changes()["plain"] != one
    assert rows(explorer.values)["plain"]["before"] == losses(cyclic(4), *explorer._batch.features)["plain"]


def test_radial_scale_holds_all_bars_and_shows_the_smallest():
    for values in ([1.0, 0.995], [0.3, -0.8, 0.1, 1.0], [0.5, 0.5], [-0.2, -0.9], [0.0, 0.0]):
        scale = radial_scale(values)
        assert scale["low"] < min(values)
        assert max(values) <= scale["high"]
        assert 0.99 < (scale["high"] - scale["low"]) / scale["step"] < 8
        # Rounding does not make the axis jump.
        assert radial_scale([value + 1e-8 for value in values]) == scale


# -- the network is left as it was ---------------------------------------------------------------------------


def test_the_encoder_is_left_as_it_was():
    encoder = network(cyclic(4)).train()
    encoder.stages[1].eval()  # a frozen batch norm in a network that is being trained
    modes = [module.training for module in encoder.modules()]
    weights = copy.deepcopy(encoder.state_dict())
    random = torch.get_rng_state()
    explorer = OrbitCorrelationExplorer(encoder, images())
    explorer.set_state(first=1, second=2)
    assert [module.training for module in encoder.modules()] == modes
    assert all(torch.equal(weights[name], value) for name, value in encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert torch.equal(random, torch.get_rng_state())
    # In training mode the batch statistics would mix the images: the losses are those of eval mode.
    same = OrbitCorrelationExplorer(copy.deepcopy(encoder).eval(), images())
    same.set_state(first=1, second=2)
    assert explorer.losses() == same.losses()


def test_new_weights_are_seen_at_the_next_move():
    encoder = network(cyclic(4))
    explorer = OrbitCorrelationExplorer(encoder, images())
    explorer.set_state(first=1)
    old = explorer.losses()
    with torch.no_grad():
        encoder.stages[0].weight.mul_(-1)
    explorer.set_state(first=2)
    assert abs(explorer.losses()["mean"] - old["mean"]) > 1e-3
    assert all(abs(explorer.changes()[kind]) < TOLERANCE for kind in KINDS[1:])  # old and new are not mixed


def test_an_encoder_that_keeps_a_result_is_taken():
    class Keeping(GroupCNN):
        def feature_maps(self, images):
            self.kept = super().feature_maps(images)
            return self.kept

    encoder = Keeping(cyclic(4), channels=(3,))
    encoder(images())  # kept is part of a graph now, and cannot be copied
    assert OrbitCorrelationExplorer(encoder, images()).losses()["plain"] > 0


# -- the widget ----------------------------------------------------------------------------------------------


def test_pictures_are_the_turned_views():
    group = dihedral(4)
    first, second = images(seed=1), images(seed=2)
    explorer = OrbitCorrelationExplorer(network(group), images(), views=(first, second))
    upright = np.frombuffer(explorer.values["pixels"], np.uint8).reshape(3, 12, 12)
    explorer.set_state(first=5, second=3)
    now = np.frombuffer(explorer.values["pixels"], np.uint8).reshape(3, 12, 12)
    assert np.array_equal(now[0], upright[0])
    assert np.array_equal(now[1], group.transform(torch.tensor(upright[1]), 5).numpy())
    assert np.array_equal(now[2], group.transform(torch.tensor(upright[2]), 3).numpy())
    assert not np.array_equal(upright[1], upright[2])


def test_both_views_are_the_image_by_default():
    explorer = OrbitCorrelationExplorer(network(cyclic(4)), images())
    assert torch.equal(explorer._batch.views[0], explorer._batch.views[1])
    assert abs(explorer.values["kappa"][0] - 1) < 1e-6


def test_readout_says_what_is_seen():
    explorer = OrbitCorrelationExplorer(network(dihedral(4)), images())
    assert explorer.readout == "Image 1 of 5. Both views upright: no loss has moved."
    explorer.set_state(image=2, first=1, second=4)
    assert explorer.readout.startswith(
        "Image 3 of 5. View 1 turned by 90°, view 2 mirrored. Losses: plain moved by "
    )
    assert explorer.readout.endswith("; mean, max, soft, power2, power3 stood still.")
    assert rows(explorer.values)["plain"]["text"][0] in "+−"
