"""Groups: the axioms, the conventions, exact actions, subgroups."""

import copy
import math
import pickle
import re
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eqssl_edu.errors import need_exact
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

GROUPS = [cyclic(1), cyclic(4), cyclic(9), dihedral(1), dihedral(3), dihedral(4), dihedral(6)]
ON_GRID = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]
C4_D4 = [cyclic(4), dihedral(4)]
DTYPES = [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float32]
DTYPES += [torch.float64, torch.complex64, torch.complex128]
by_name = {"ids": lambda value: value.name}


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def of_dtype(dtype, *shape):
    """Values that every type can hold, all over its pictures."""
    values = torch.randint(0, 100, shape, generator=torch.Generator().manual_seed(0))
    return values % 2 == 0 if dtype is torch.bool else values.to(dtype)


def matrix(group, g):
    """Element g as a 2 x 2 matrix on (x, y), y upwards: first the flip of x, then the turn."""
    angle = 2 * math.pi * (g % group.rotations) / group.rotations
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return turn @ torch.diag(torch.tensor([-1.0, 1.0])) if g >= group.rotations else turn


# -- the tables ----------------------------------------------------------------------------------------------


def is_group(product):
    """The axioms on a bare table, entry by entry."""
    everything = torch.arange(len(product))
    associative = torch.equal(product[product], product[:, product])  # [g, h, k]: (gh)k and g(hk)
    identity = torch.equal(product[0], everything) and torch.equal(product[:, 0], everything)
    rows = torch.equal(product.sort(dim=1).values, everything.expand_as(product))
    return associative and identity and rows


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_group_axioms(group):
    assert group.order == len(group.elements) == group.rotations * (1 + group.reflections)
    assert is_group(group.product)
    for g in group.elements:
        assert group.product[g, group.inverse[g]] == group.product[group.inverse[g], g] == 0


def test_group_axioms_can_fail():
    """The must-fail twin: two entries swapped."""
    product = dihedral(4).product.clone()
    product[2, 3], product[2, 5] = product[2, 5].item(), product[2, 3].item()
    assert not is_group(product)


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_product_is_the_product_of_matrices(group):
    """The table is geometry: element 1 turns counter-clockwise, element n flips the last axis, gh is g after h."""
    matrices = torch.stack([matrix(group, g) for g in group.elements])
    products = matrices[:, None] @ matrices[None, :]
    assert (products - matrices[group.product]).abs().max() < 1e-5


def test_names_and_angles():
    group = dihedral(4)
    names = [group.element_name(g) for g in group.elements]
    assert names == ["e", "r90", "r180", "r270", "m", "r90 m", "r180 m", "r270 m"]
    assert [group.degrees(g) for g in group.elements] == [0, 90, 180, 270, 0, 90, 180, 270]
    assert cyclic(8).degrees(3) == 135


def test_cayley_table_view_shows_the_product():
    group = dihedral(3)
    html = group._repr_html_()
    cells = [cell.split("</td>")[0].split(">")[1] for cell in html.split("<td ")[1:]]
    assert cells == [group.element_name(g) for g in group.product.flatten().tolist()]
    assert html.count('scope="col"') == html.count('scope="row"') == 6
    caption = html.split("</caption>")[0]
    assert "D3" in caption and "colour for each rotation part" in caption and "dashed edge" in caption
    backgrounds = re.findall("background:([^;]*);", html)
    turns = (group.product.flatten() % 3).tolist()
    assert len({*zip(backgrounds, turns, strict=True)}) == len(set(backgrounds)) == 3
    assert html.count("dashed #444") == 18  # half of the products are reflections


def test_copies_are_equal_and_work():
    group = dihedral(4)
    for other in (copy.copy(group), copy.deepcopy(group), pickle.loads(pickle.dumps(group))):
        assert other == group and torch.equal(other.product, group.product)
        assert {group: "found"}[other] == "found"


def test_equality():
    assert cyclic(4) == FiniteGroup(4, reflections=False) != dihedral(4)
    assert cyclic(2) != dihedral(1)  # of the same order, isomorphic, but not the same action
    assert cyclic(4) != "C4"
    assert all(eval(repr(group)) == group for group in GROUPS)


# -- the three actions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_regular_action_formula(group):
    """(rho(g) z)[h] = z[g^-1 h], written out."""
    z = noise(2, group.order)
    for g in group.elements:
        moved = group.transform_features(z, g)
        for h in group.elements:
            assert torch.equal(moved[:, h], z[:, group.product[group.inverse[g], h]])


def test_regular_action_without_the_inverse_is_no_action():
    """The must-fail twin: z[g h] composes in the wrong order."""
    group, z = dihedral(4), noise(8)
    twice = z[group.product[1]][group.product[4]]  # h -> z[1 (4 h)]: element 1 after element 4 ...
    assert torch.equal(twice, z[group.product[group.product[1, 4]]])
    assert not torch.equal(twice, z[group.product[group.product[4, 1]]])  # ... but 4 was applied last


@pytest.mark.parametrize("action", ["transform", "transform_maps", "transform_features"])
@pytest.mark.parametrize("group", C4_D4, **by_name)
def test_actions_are_actions(group, action):
    act, x = getattr(group, action), noise(2, group.order, *([] if "features" in action else [5, 5]))
    assert torch.equal(act(x, 0), x)
    for g in group.elements:
        for h in group.elements:
            assert torch.equal(act(act(x, h), g), act(x, int(group.product[g, h])))


@pytest.mark.parametrize("group", C4_D4, **by_name)
def test_convention_rot90(group):
    """Rotation k acts as torch.rot90(x, k, (-2, -1)), counter-clockwise."""
    x = noise(2, 3, 5, 5)
    for k in range(4):
        assert torch.equal(group.transform(x, k), torch.rot90(x, k, dims=(-2, -1)))
    assert group.transform(torch.tensor([[1, 2], [3, 4]]), 1).tolist() == [[2, 4], [1, 3]]


def test_convention_first_flip_the_last_axis_then_rotate():
    group, x = dihedral(4), noise(3, 5, 5)
    for k in range(4):
        assert torch.equal(group.transform(x, 4 + k), torch.rot90(x.flip(-1), k, dims=(-2, -1)))
    assert group.transform(torch.tensor([[1, 2], [3, 4]]), 4).tolist() == [[2, 1], [4, 3]]
    other_order = torch.rot90(x, 1, dims=(-2, -1)).flip(-1)
    assert not torch.equal(group.transform(x, 5), other_order)


@pytest.mark.parametrize("group", ON_GRID, **by_name)
def test_pictures_move_as_the_plane_does(group):
    """The pixel at (x, y) goes to where the element's matrix sends (x, y)."""
    size = 5
    for row in range(size):
        for column in range(size):
            picture = torch.zeros(size, size)
            picture[row, column] = 1
            for g in group.elements:
                x, y = matrix(group, g) @ torch.tensor([column - 2.0, 2.0 - row])
                assert group.transform(picture, g)[round(2 - y.item()), round(2 + x.item())] == 1


@pytest.mark.parametrize("group", C4_D4, **by_name)
def test_maps_turn_and_move_along_the_group(group):
    maps = noise(2, 3, group.order, 5, 5)
    for g in group.elements:
        moved = group.transform_maps(maps, g)
        for h in group.elements:
            came_from = group.product[group.inverse[g], h]
            assert torch.equal(moved[:, :, h], group.transform(maps[:, :, came_from], g))


@pytest.mark.parametrize("group", [cyclic(4), dihedral(2), dihedral(4)], **by_name)
def test_one_element_per_sample_is_one_call_each(group):
    elements = torch.randint(group.order, (7,), generator=torch.Generator().manual_seed(1))
    for action, shapes in {
        "transform": [(7, 4, 4), (7, 3, 4, 4), (7, 2, 3, 4, 4)],
        "transform_features": [(7, group.order), (7, 3, group.order), (7, 2, 3, group.order)],
        "transform_maps": [(7, group.order, 4, 4), (7, 3, group.order, 4, 4)],
    }.items():
        act = getattr(group, action)
        for shape in shapes:
            batch = noise(*shape)
            alone = torch.stack([act(sample, int(g)) for sample, g in zip(batch, elements, strict=True)])
            assert torch.equal(act(batch, elements), alone)


def test_empty_batches_pass():
    group = dihedral(4)
    none = torch.zeros(0, dtype=torch.long)
    assert group.transform(noise(0, 3, 4, 4), none).shape == (0, 3, 4, 4)
    assert group.transform_features(noise(0, 3, group.order), none).shape == (0, 3, group.order)
    assert group.transform_maps(noise(0, 3, group.order, 4, 4), none).shape == (0, 3, group.order, 4, 4)


def test_results_are_new_tensors():
    """An in-place change of the result never reaches the input, not even for the identity."""
    group, x = dihedral(4), noise(8, 4, 4)
    results = [group.transform(x, 0), group.transform_maps(x, 0), group.transform(x, torch.zeros(8).long())]
    results.append(group.transform_features(x.movedim(0, -1), 0))
    assert all(result.untyped_storage().data_ptr() != x.untyped_storage().data_ptr() for result in results)


@pytest.mark.parametrize("group", [cyclic(2), dihedral(1), dihedral(2)], **by_name)
def test_flips_and_half_turns_need_no_square(group):
    x = noise(group.order, 3, 4, 6)
    each = group.transform(x, torch.tensor(group.elements))
    for g in group.elements:
        step = 4 * (g % group.rotations) // group.rotations
        flipped = x.flip(-1) if g >= group.rotations else x
        assert torch.equal(group.transform(x, g), torch.rot90(flipped, step, dims=(-2, -1)))
        assert torch.equal(each[g], group.transform(x[g], g))


@pytest.mark.parametrize("g", [1, torch.tensor([2, 7])])
def test_quarter_turns_need_a_square(g):
    with pytest.raises(ValueError, match=r"images must be square to turn by \d+ degrees, got 4 x 6"):
        dihedral(4).transform(noise(2, 4, 6), g)
    with pytest.raises(ValueError, match="maps must be square"):
        dihedral(4).transform_maps(noise(2, 8, 4, 6), g)
    assert dihedral(4).transform(noise(2, 4, 6), torch.tensor([2, 6])).shape == (2, 4, 6)


@pytest.mark.parametrize("g", [1, torch.tensor([0, 1])])
def test_off_the_grid_is_an_error(g):
    for act, x in ((cyclic(8).transform, noise(2, 4, 4)), (cyclic(8).transform_maps, noise(2, 8, 4, 4))):
        with pytest.raises(ValueError, match=r"g = 1 of C8 turns by 45 degrees.*use rotate\("):
            act(x, g)
    assert torch.equal(cyclic(8).transform(noise(2, 4, 4), 2), torch.rot90(noise(2, 4, 4), 1, dims=(-2, -1)))


@pytest.mark.parametrize("g", [np.int64(3), np.uint8(3), torch.tensor(3)], ids=repr)
def test_an_element_may_be_any_integer(as_a_user, g):
    group, x = dihedral(4), noise(2, 8, 4, 4)
    assert torch.equal(group.transform(x, g), group.transform(x, 3))
    assert torch.equal(group.transform_maps(x, g), group.transform_maps(x, 3))
    assert torch.equal(group.transform_features(x[..., 0, 0], g), group.transform_features(x[..., 0, 0], 3))
    assert group.degrees(g) == 270 and group.generate([g]) == (0, 1, 2, 3)
    assert cyclic(np.int64(4)) == cyclic(4) and type(cyclic(np.int64(4)).order) is int


def test_which_groups_are_exact():
    for group in [make(n) for make in (cyclic, dihedral) for n in range(1, 13)]:
        if group in ON_GRID:
            need_exact(group)
        else:
            with pytest.raises(
                ValueError, match=f"group must map the pixel grid to itself.*got {group.name}"
            ):
                need_exact(group)


def each_action(group):
    """(action, example) for one element and for one element per sample."""
    elements = torch.arange(3) % group.order
    for g in (group.order - 1, elements):
        yield lambda x, g=g: group.transform(x, g), noise(3, 2, 3, 3)
        yield lambda x, g=g: group.transform_features(x, g), noise(3, 2, group.order)
        yield lambda x, g=g: group.transform_maps(x, g), noise(3, group.order, 2, 2)


@pytest.mark.parametrize("group", [cyclic(4), dihedral(2)], **by_name)
def test_gradients_flow(group):
    for act, x in each_action(group):
        assert torch.autograd.gradcheck(act, x.requires_grad_())


@pytest.mark.parametrize("group", C4_D4, **by_name)
def test_actions_are_orthogonal(group):
    """<g x, y> = <x, g^-1 y>: what a loss sends back is turned back."""
    for g in group.elements:
        back = int(group.inverse[g])
        x, y = (noise(2, group.order, 4, 4, seed=seed) for seed in (0, 1))
        assert abs((group.transform_maps(x, g) * y).sum() - (x * group.transform_maps(y, back)).sum()) < 1e-12


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_moves_bit_for_bit(dtype):
    group = dihedral(4)
    x = of_dtype(dtype, 8, 3, 8, 4, 4)
    values = x.to(torch.complex128)
    for g in [*group.elements, torch.arange(8)]:
        for act in (group.transform, group.transform_maps):
            moved = act(x, g)
            assert moved.dtype == dtype
            assert torch.equal(moved.to(torch.complex128), act(values, g))
        moved = group.transform_features(x[..., 0, 0], g)
        assert moved.dtype == dtype
        assert torch.equal(moved.to(torch.complex128), group.transform_features(values[..., 0, 0], g))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    group=st.sampled_from(ON_GRID),
    size=st.integers(1, 6),
    batch=st.integers(1, 4),
    channels=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    data=st.data(),
)
def test_property_actions_for_any_group_size_and_dtype(group, size, batch, channels, dtype, data):
    """Acting by h and then by g, with own elements for every sample, is acting by gh: maps, images and features."""
    g, h = (
        torch.tensor(data.draw(st.lists(st.integers(0, group.order - 1), min_size=batch, max_size=batch)))
        for _ in range(2)
    )
    product = group.product[g, h]
    maps = of_dtype(dtype, batch, channels, group.order, size, size)
    actions = {group.transform_maps: maps, group.transform: maps, group.transform_features: maps[..., 0, 0]}
    for act, x in actions.items():
        assert torch.equal(act(act(x, h), g), act(x, product))
    single = [group.transform_maps(x, int(element)) for x, element in zip(maps, g, strict=True)]
    assert torch.equal(group.transform_maps(maps, g), torch.stack(single))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(n=st.integers(1, 40), reflections=st.booleans(), data=st.data())
def test_property_regular_action_for_any_n(n, reflections, data):
    group = FiniteGroup(n, reflections)
    g, h = (data.draw(st.integers(0, group.order - 1)) for _ in range(2))
    z = torch.arange(group.order)
    twice = group.transform_features(group.transform_features(z, h), g)
    assert torch.equal(twice, group.transform_features(z, int(group.product[g, h])))
    assert torch.equal(group.transform_features(group.transform_features(z, g), int(group.inverse[g])), z)


# -- structure -----------------------------------------------------------------------------------------------


def closed_subsets(group):
    """Brute force: every subset with the identity that is closed under the product."""
    others = [g for g in group.elements if g]
    subsets = [{0, *chosen} for size in range(group.order) for chosen in combinations(others, size)]
    product = group.product.tolist()
    return {
        tuple(sorted(subset))
        for subset in subsets
        if all(product[g][h] in subset for g in subset for h in subset)
    }


@pytest.mark.parametrize("group", [cyclic(6), dihedral(1), dihedral(3), dihedral(4)], **by_name)
def test_subgroups_are_all_closed_subsets(group):
    subgroups = group.subgroups()
    assert len(subgroups) == len(set(subgroups))
    assert set(subgroups) == closed_subsets(group)


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_number_of_subgroups(group):
    """C_n has one for every divisor; D_n has n/d more for every divisor d: d(n) + sigma(n)."""
    divisors = [d for d in range(1, group.rotations + 1) if group.rotations % d == 0]
    assert len(group.subgroups()) == len(divisors) + group.reflections * sum(divisors)


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_cosets_partition_the_group(group):
    for subgroup in group.subgroups():
        cosets = group.left_cosets(subgroup)
        assert cosets[0] == subgroup
        assert sorted(g for coset in cosets for g in coset) == list(group.elements)
        for coset in cosets:
            assert {int(group.product[coset[0], h]) for h in subgroup} == set(coset)


def test_generate_and_subgroup():
    group = dihedral(4)
    assert group.generate([1]) == (0, 1, 2, 3)
    assert group.generate([5]) == (0, 5)
    assert group.generate([1, 4]) == tuple(group.elements)
    assert group.generate([]) == (0,)
    assert group.subgroup([7, 0, 2, 5]) == (0, 2, 5, 7)
    for wrong in ([], [1, 2], [0, 1], [4, 0, 5]):
        with pytest.raises(ValueError, match="subgroup must be a subgroup of D4"):
            group.subgroup(wrong)
