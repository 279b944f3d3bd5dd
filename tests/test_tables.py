"""Tables outlive the block in which they are first asked for: its mode and its device must not stick to them."""

import pytest
import torch

from eqssl_edu.contrastive import VICReg, orbit_correlation
from eqssl_edu.diagnostics import irrep_projectors
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GroupConv2d, GSetHead
from eqssl_edu.rotate import disc_mask


def uses(group):
    """What asks for the tables of a group."""
    group.product, group.inverse, group.subgroups(), irrep_projectors(group)
    group.transform(torch.rand(1, 4, 4), torch.zeros(1, dtype=torch.long))
    group.transform_features(torch.rand(2, group.order), 1)
    return GSet.regular(group), GSet.jigsaw(group, 2), GSet.neighbours(group), GSet.quotient(group, (0,))


@pytest.fixture
def fresh():
    """A group that has computed nothing yet. (``cyclic`` and ``dihedral`` keep the groups that they have made.)"""
    from eqssl_edu import groups

    groups.tables_on.__wrapped__.cache_clear(), groups._pixel_table.cache_clear()
    irrep_projectors.__wrapped__.cache_clear()
    return FiniteGroup(4, True)


def test_a_table_first_asked_for_in_inference_mode_serves_gradients_later(fresh):
    with torch.inference_mode():
        sets = uses(fresh)
    z = torch.randn(4, 3, 8, requires_grad=True)
    w = torch.randn(4, 3, 8)
    moved = fresh.transform_features(z, 1).sum() + orbit_correlation(fresh, z, w).sum()
    loss = moved + VICReg(fresh)(z, w) + sets[0].transform(z, 1).sum() + GSetHead(sets[1], 3)(z).sum()
    loss.backward()
    assert z.grad.isfinite().all()


def test_a_table_first_asked_for_under_another_default_device_has_its_numbers(fresh):
    with torch.device("meta"):
        fresh.product, fresh.inverse, fresh.subgroups(), disc_mask(31)
        sets = GSet.regular(fresh), GSet.jigsaw(fresh, 2), GSet.neighbours(fresh), GSet.trivial(fresh, 3)
        layer, head = GroupConv2d(fresh, 1, 2, 3), GSetHead(sets[2], 3)
    assert fresh.product.device.type == disc_mask(31).device.type == "cpu"
    assert fresh.product.tolist() == dihedral(4).product.tolist()
    for made in sets:
        assert made.action.device.type == "cpu"
    assert layer.table.device.type == head.index.device.type == "cpu" and layer.weight.device.type == "meta"


def test_a_network_made_without_numbers_takes_a_state_dict():
    torch.manual_seed(0)
    model, x = GroupCNN(cyclic(4), channels=(2, 3)).eval(), torch.rand(1, 1, 9, 9)
    with torch.device("meta"):
        empty = GroupCNN(cyclic(4), channels=(2, 3))
    empty.load_state_dict(model.state_dict(), assign=True)
    assert torch.equal(empty.eval()(x), model(x))


def test_nobody_can_change_a_set_or_a_group_through_the_other():
    group = FiniteGroup(7, False)
    GSet.regular(group).action.zero_()
    assert group.product.sum() > 0
    action = group.product.clone()
    labels = GSet(group, action)
    action.zero_()
    assert torch.equal(labels.action, group.product)
