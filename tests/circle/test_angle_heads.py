"""A1, A18: the arrow of type k turns with the features, is every linear map that does, and there is no other."""

import copy

import pytest
import torch
from families import by_name

from eqssl_edu.circle import (
    AngleHead,
    DensityHead,
    FreeAngleHead,
    NumberHead,
    angles_of,
    o2,
    so2,
    turn_arrows,
    turn_features,
)
from eqssl_edu.groups import cyclic, dihedral

GROUPS = [so2(3), so2(3, samples=7), so2(2, samples=12), o2(3), cyclic(7), cyclic(8), dihedral(8)]
FLIP = torch.tensor([1.0, -1.0], dtype=torch.float64)
TURNS = [-100.0, 12.3, 45.0, 90.0, 181.0]


def highest(group):
    return min(getattr(group, "frequency", 99), (group.rotations - 1) // 2)


def limited(group, count=4, channels=5, seed=0):
    """Features without frequencies on which no turn between the samples acts."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, channels, group.order, dtype=torch.float64, generator=generator)
    halves = torch.fft.rfft(z.unflatten(-1, (-1, group.rotations)))
    halves[..., highest(group) + 1 :] = 0
    return torch.fft.irfft(halves, n=group.rotations).flatten(-2)


def head_of(group, frequency=1, channels=5, seed=0):
    torch.manual_seed(seed)
    return AngleHead(group, channels, frequency).double()


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_A1_a_turn_by_any_angle_turns_the_arrow_by_k_times_as_much(group):
    z = limited(group)
    for k in range(-highest(group), highest(group) + 1):
        head = head_of(group, k)
        for degrees in TURNS:
            moved = head(turn_features(group, z, degrees))
            assert (moved - turn_arrows(head(z), degrees, k)).abs().max() < 1e-14
        assert head(z).norm(dim=1).min() > 1e-3
        each = torch.tensor([10.0, 20.0, 30.0, 40.0], dtype=torch.float64)
        moved = head(turn_features(group, z, each))
        assert (moved - turn_arrows(head(z), each, k)).abs().max() < 1e-14


def relative(far, z):
    return float((far.norm() / z.norm()).detach())


@pytest.mark.parametrize("group", [so2(3), cyclic(8)], ids=repr)
def test_A1_the_wrong_sign_and_the_free_head_do_not_turn(group):
    """The must-fail twins, at the angles between the samples as well."""
    z, head, free = limited(group), head_of(group), FreeAngleHead(5, group.order).double()
    for degrees in (60.0, 90.0, 100.0):
        moved = turn_features(group, z, degrees)
        assert relative(head(moved) - turn_arrows(head(z), degrees, -1), head(z)) > 1
        assert relative(free(moved) - turn_arrows(free(z), degrees), free(z)) > 0.4
        assert relative(head(moved) - head(z), head(z)) > 0.9


def equivariant_maps(group, k, channels=2):
    """Every linear map to an arrow of type k, as rows: the null space of what they have to fulfil. By no formula."""
    size = channels * group.order
    basis = limited(group, 6 * size, channels).flatten(1)
    basis = torch.linalg.svd(basis, full_matrices=False)
    basis = basis.Vh[basis.S > 1e-9]  # of the features that there are
    features = basis.unflatten(1, (channels, group.order))
    conditions = []
    actions = [
        (turn_features(group, features, degrees), turn_arrows(torch.eye(2).double(), degrees, k).T)
        for degrees in (17.0, 101.0)
    ]
    if group.reflections:
        actions.append(
            (
                group.transform_features(features, group.rotations),
                torch.diag(torch.tensor([1.0, -1.0]).double()),
            )
        )
    for moved, rotation in actions:
        matrix = moved.flatten(1) @ basis.T  # row i: the moved feature i, in the basis
        # M z' = R M z for all z: (I x matrix - R x I) vec(M) = 0
        eye = torch.eye(len(basis)).double()
        conditions.append(torch.kron(torch.eye(2).double(), matrix) - torch.kron(rotation.contiguous(), eye))
    singular = torch.linalg.svd(torch.cat(conditions))
    return singular.Vh[(singular.S < 1e-9).nonzero()[:, 0]], basis


@pytest.mark.parametrize("group", [so2(2), so2(2, samples=7), o2(2), cyclic(5)], ids=repr)
def test_A1_A18_there_is_no_other_equivariant_linear_map(group):
    """2 C real weights for each k up to L, C for each of the two numbers of k = 0, none above L; O(2) has as many."""
    most, channels = highest(group), 2
    for k in range(most + 2):
        maps, basis = equivariant_maps(group, k, channels)
        assert len(maps) == (2 * channels if k <= most else 0)
        if k > most:
            continue
        head, features = head_of(group, k, channels), basis.unflatten(1, (channels, group.order))
        ours = []
        for i in range(head.weight.numel()):
            with torch.no_grad():
                head.weight.zero_().view(-1)[i] = 1
                ours.append(head(features).T.flatten())
        ours = torch.stack(ours)
        assert torch.linalg.matrix_rank(ours) == 2 * channels  # no weight is wasted
        assert (ours - ours @ maps.T @ maps).abs().max() < 1e-12  # and all of them are among those maps


@pytest.mark.parametrize("group", [o2(3), dihedral(8)], ids=repr)
def test_A18_the_flip_mirrors_the_arrow(group):
    z, flip = limited(group), FLIP
    flipped = group.transform_features(z, group.rotations)
    for k in (-2, 0, 1, 3):
        head = head_of(group, k)
        assert (head(flipped) - flip * head(z)).abs().max() < 1e-14
        both = group.transform_features(z, group.rotations + 3)  # first the flip, then three steps
        steps = turn_arrows(flip * head(z), 3 * 360 / group.rotations, k)
        assert (head(both) - steps).abs().max() < 1e-14
    assert (head(flipped) - head(z)).abs().max() > 0.1  # must fail: an arrow that does not mind
    # Must fail: both halves with the same weights, as over SO(2), do not know the flip.
    one, halves = head_of(so2(3)), z.unflatten(-1, (2, -1))
    summed = one(halves[:, :, 0]) + one(halves[:, :, 1])
    turned = flipped.unflatten(-1, (2, -1))
    assert (one(turned[:, :, 0]) + one(turned[:, :, 1]) - flip * summed).abs().max() > 0.1


def test_A0_the_frequency_of_half_the_samples_has_no_arrow():
    """On it a turn between the samples does not act: there and back loses it. So no head reads it."""
    z = torch.randn(4, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    there_and_back = turn_features(cyclic(8), turn_features(cyclic(8), z, 22.5), -22.5)
    assert 0.2 < (there_and_back - z).norm() / z.norm() < 0.5
    for group, most in ((cyclic(8), 3), (cyclic(7), 3), (cyclic(2), 0), (so2(2, samples=12), 2)):
        assert highest(group) == most
        for k in (most + 1, -most - 1):
            with pytest.raises(ValueError, match=r"^frequency must be"):
                AngleHead(group, 5, k)
    with pytest.raises(ValueError, match=r"^symmetry must be"):
        DensityHead(so2(3), 5, 4)
    noise = torch.randn(4, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    top = noise - limited(so2(3), 4, 5).mul(0) - torch.fft.irfft(torch.fft.rfft(noise)[..., :4], n=8)
    assert top.abs().max() > 0.1  # frequency 4 alone
    for k in range(4):
        assert head_of(so2(3), k)(top).abs().max() < 1e-15


@pytest.mark.parametrize("group", [so2(3), o2(3)], ids=repr)
def test_A2_the_density_of_turned_features_is_the_turned_density(group):
    torch.manual_seed(0)
    head, z = DensityHead(group, 5).double(), limited(group)
    assert head(z).shape == (4, 3, 2)
    moved = head(turn_features(group, z, 33.0))
    for i, k in enumerate(head.frequencies):
        assert (moved[:, i] - turn_arrows(head(z)[:, i], 33.0, k)).abs().max() < 1e-14
        one = AngleHead(group, 5, k).double()
        one.weight.data = head.weight.data[:, i : i + 1]
        assert (one(z) - head(z)[:, i]).abs().max() < 1e-15  # a density is a bundle of arrows
    peaks = (angles_of(moved) - angles_of(head(z))) % 360
    assert (peaks - 33).abs().max() < 0.01
    assert DensityHead(group, 5, symmetry=2).frequencies == (2,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_no_precision_is_lost_on_the_way(dtype):
    z, head = limited(so2(3)), head_of(so2(3))
    low = copy.deepcopy(head).to(dtype)
    out = low(z.to(dtype))
    assert out.dtype == torch.float32
    assert (out - low.double()(z.to(dtype).double())).abs().max() < 1e-6
    for head_of_number in (NumberHead(5, 8), FreeAngleHead(5, 8)):
        with torch.autocast("cpu", torch.bfloat16):
            rough = head_of_number(z.float())
        assert (rough - head_of_number(z.float())).abs().max() < 1e-6
        assert head_of_number.to(dtype)(z.to(dtype)).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert (head.float()(z.float()) - head.double()(z)).abs().max() < 1e-6


def test_empty_batches_and_strided_features():
    for head in (
        head_of(so2(3)),
        DensityHead(so2(3), 5).double(),
        NumberHead(5, 8).double(),
        FreeAngleHead(5, 8).double(),
    ):
        z = limited(so2(3))
        assert head(z[:0]).shape == (0, *head(z).shape[1:])
        strided = torch.stack([z, -z], dim=-1)[..., 0]
        assert torch.equal(head(strided), head(z))
        leaf = z.clone().requires_grad_()
        head(leaf)[..., 0].sum().backward()
        assert leaf.grad.isfinite().all() and leaf.grad.abs().max() > 0


def test_weights_of_another_type_or_group_are_refused():
    state = AngleHead(so2(3), 5, 1).state_dict()
    for head in (AngleHead(so2(3), 5, -1), AngleHead(cyclic(8), 5, 1), AngleHead(so2(3, samples=9), 5)):
        with pytest.raises(ValueError, match="state_dict must belong to arrows of types"):
            head.load_state_dict(state)


def test_a_number_is_wound_onto_the_circle():
    torch.manual_seed(0)
    head, z = NumberHead(5, 8).double(), 40 * limited(so2(3))
    number = head.number(z)
    assert number.abs().max() > 360
    assert ((angles_of(head(z)) - number + 180) % 360 - 180).abs().max() < 1e-9
    assert torch.allclose(head(z).norm(dim=1), torch.ones(4).double())


@pytest.mark.parametrize("group", [so2(3), cyclic(8)], **by_name)
def test_features_of_another_shape_are_refused(group, as_a_user):
    for head in (AngleHead(group, 5), FreeAngleHead(5, 8), NumberHead(5, 8)):
        for features in (torch.zeros(2, 5, 7), torch.zeros(2, 4, 8), torch.zeros(2, 5, 8, dtype=torch.long)):
            with pytest.raises((TypeError, ValueError), match=r"^features"):
                head(features)
