"""Steerable encoders: escnn's order is ours, its kernels load into ours, its copies and state dicts are mended."""

import copy
import functools
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.data import digits
from eqssl_edu.diagnostics import equivariance_error, rotation_error, turn_features
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.lessons.notebook_04c import load_into_escnn
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.steerable import EscnnMaps, SteerableCNN, enn, escnn_route, from_escnn, gspaces, load_r2conv

SYMMETRIES = [cyclic(4), dihedral(8), "SO(2)", "O(2)"]
GRID = [cyclic(4), dihedral(1), dihedral(4)]


def name(symmetry):
    return symmetry if isinstance(symmetry, str) else symmetry.name


def plane_of(group):
    return (gspaces.flipRot2dOnR2 if group.reflections else gspaces.rot2dOnR2)(group.rotations)


def fields(group, kind, count):
    plane = plane_of(group)
    return enn.FieldType(plane, count * [getattr(plane, f"{kind}_repr")])


def convolution(group, kind="trivial", channels=(1, 3), kernel_size=3, **options):
    torch.manual_seed(0)
    return enn.R2Conv(
        fields(group, kind, channels[0]), fields(group, "regular", channels[1]), kernel_size, **options
    )


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def blur(images, pixels):
    """Gaussian blur with this standard deviation."""
    reach = int(4 * pixels)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * pixels**2))
    kernel = kernel / kernel.sum()
    along_x = F.conv2d(images, kernel[None, None, None, :], padding=(0, reach))
    return F.conv2d(along_x, kernel[None, None, :, None], padding=(reach, 0))


def trained(symmetry, **options):
    """A network whose weights and batch statistics are not those of a fresh one."""
    torch.manual_seed(0)
    encoder = SteerableCNN(symmetry, channels=(2, 3), **options)
    optimizer = torch.optim.SGD(encoder.parameters(), 0.01)
    for _ in range(2):
        optimizer.zero_grad()
        encoder(noise(4, 1, 12, 12)).square().mean().backward()
        optimizer.step()
    return encoder


# -- section 1: the order of elements and channels ------------------------------------------------------------------


@pytest.mark.parametrize("group", GRID, ids=name)
def test_conventions_image_action_is_escnns_bit_for_bit(group):
    images = noise(2, 3, 9, 9)
    trivial = fields(group, "trivial", 3)
    for g, element in enumerate(plane_of(group).fibergroup.elements):
        assert torch.equal(group.transform(images, g), trivial.transform(images, element))


@pytest.mark.parametrize("group", [*GRID, dihedral(8)], ids=name)
def test_conventions_regular_action_is_escnns_bit_for_bit(group):
    """The channel c |G| + h of escnn is [c, h] here."""
    z = noise(2, 3, group.order)
    regular = fields(group, "regular", 3)
    for g, element in enumerate(plane_of(group).fibergroup.elements):
        moved = regular.transform_fibers(z.flatten(1)[..., None, None], element).reshape(z.shape)
        assert torch.equal(group.transform_features(z, g), moved)


@pytest.mark.parametrize("group", [*GRID, dihedral(8)], ids=name)
def test_conventions_cayley_table_is_escnns(group):
    elements = plane_of(group).fibergroup.elements
    products = [[elements.index(a @ b) for b in elements] for a in elements]
    assert products == group.product.tolist()


@pytest.mark.parametrize("group", GRID, ids=name)
def test_escnn_layer_turns_with_our_action(group):
    maps = EscnnMaps(convolution(group, padding=1))
    images = noise(2, 1, 8, 8)
    assert maps(images).shape == (2, 3, group.order, 8, 8) and maps(images).std() > 0.1
    for g in group.elements:
        turned, expected = maps(group.transform(images, g)), group.transform_maps(maps(images), g)
        assert (turned - expected).abs().max() < 1e-5
    wrong = group.transform_maps(maps(images), 0)  # must fail: the maps left as they are
    assert (maps(group.transform(images, 1)) - wrong).abs().max() > 0.1


def test_escnns_kernels_are_float32_so_its_error_in_float64_stops_at_1e_7():
    group, images = cyclic(4), noise(2, 1, 9, 9, dtype=torch.float64)
    act = {"group": group, "transform_outputs": group.transform_maps}
    theirs = EscnnMaps(convolution(group, kernel_size=5, padding=2)).double()
    ours = LiftingConv2d(group, 1, 3, 5, padding=2).double()
    assert 1e-9 < equivariance_error(theirs, images, **act).max() < 2e-6
    assert equivariance_error(ours, images, **act).max() < 1e-12


# -- E3: the band limit ---------------------------------------------------------------------------------------------


def kernels_of_escnn(kernel_size):
    """Every expanded kernel that one pair of fields can have: one row for each weight."""
    layer = convolution(cyclic(4), "regular", (1, 1), kernel_size)
    with torch.no_grad():
        kernels = [layer.basisexpansion(w).flatten() for w in torch.eye(len(layer.weights))]
    return torch.stack(kernels).double()


def kernels_of_ours(layer):
    layer = layer.double()

    def expand(weight):
        with torch.no_grad():
            layer.weight.copy_(weight)
            return layer.expanded_weight().flatten()

    eye = torch.eye(layer.weight.numel(), dtype=torch.float64)
    return torch.stack([expand(row.reshape(layer.weight.shape)) for row in eye])


@pytest.mark.parametrize(("kernel_size", "theirs", "all_of_them"), [(3, 24, 36), (5, 44, 100)])
def test_e3_escnn_spans_a_part_of_the_kernels_and_ours_spans_them_all(kernel_size, theirs, all_of_them):
    def rank(rows):
        return int(torch.linalg.matrix_rank(rows, rtol=1e-5))

    part = kernels_of_escnn(kernel_size)
    whole = kernels_of_ours(GroupConv2d(cyclic(4), 1, 1, kernel_size))
    assert rank(part) == theirs
    assert rank(whole) == all_of_them == 4 * kernel_size**2  # so most of ours are none of escnn's
    assert rank(torch.cat([part, whole])) == all_of_them  # escnn's kernels are among ours


@pytest.mark.parametrize(("kernel_size", "highest", "residual"), [(3, 4, 1e-6), (5, 8, 1e-5)])
def test_e3_with_the_cutoff_open_escnn_spans_them_all(kernel_size, highest, residual):
    cutoff = {"frequencies_cutoff": lambda radius: highest * (radius > 0)}
    default, opened = (
        convolution(cyclic(4), "regular", (1, 1), kernel_size, **options) for options in ({}, cutoff)
    )
    ours = GroupConv2d(cyclic(4), 1, 1, kernel_size)  # random
    assert load_into_escnn(opened, ours) < residual < 0.25 < load_into_escnn(default, ours)


# -- weights carried over -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluating", [False, True], ids=["train", "eval"])
@pytest.mark.parametrize("group", GRID, ids=name)
@pytest.mark.parametrize(
    ("kind", "ours", "options"),
    [
        ("trivial", LiftingConv2d, {"kernel_size": 3, "padding": 1}),
        ("regular", GroupConv2d, {"kernel_size": 5, "padding": 2, "stride": 2}),
    ],
    ids=["lifting", "group"],
)
def test_escnn_kernel_loads_into_ours(group, kind, ours, options, evaluating):
    r2conv = convolution(group, kind, (2, 3), **options)
    if evaluating:
        r2conv.eval()
    torch.nn.init.normal_(r2conv.bias)  # after eval(), so that escnn's own expanded bias is old
    layer = ours(group, 2, 3, **options)
    load_r2conv(layer, r2conv)
    r2conv.train()
    planes = noise(2, r2conv.in_type.size, 9, 9)
    expected = r2conv(r2conv.in_type(planes)).tensor
    inputs = planes if kind == "trivial" else planes.unflatten(1, (2, group.order))
    assert expected.std() > 0.1
    assert (layer(inputs).flatten(1, 2) - expected).abs().max() < 1e-5


def test_a_refused_convolution_leaves_the_layer_as_it_was():
    """8 trivial fields have as many planes as 2 regular ones of C4: the mistake is noticed last."""
    inputs, outputs = fields(cyclic(4), "trivial", 8), fields(cyclic(4), "regular", 3)
    layer = GroupConv2d(cyclic(4), 2, 3, 3)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with pytest.raises(ValueError, match="r2conv must lead from regular fields"):
        load_r2conv(layer, enn.R2Conv(inputs, outputs, 3))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_whole_network_carries_over():
    """The maps of a SteerableCNN over C4 are those of a GroupCNN with its kernels."""
    theirs = trained(cyclic(4)).eval()
    ours = GroupCNN(cyclic(4), channels=(2, 3), kernel_size=5).eval()
    convolutions = [layer for layer in ours.modules() if isinstance(layer, (LiftingConv2d, GroupConv2d))]
    norms = [layer for layer in ours.modules() if isinstance(layer, torch.nn.BatchNorm3d)]
    sources = [layer for layer in theirs.modules() if isinstance(layer, enn.R2Conv)]
    source_norms = [layer for layer in theirs.modules() if isinstance(layer, torch.nn.BatchNorm3d)]
    for layer, source in zip(convolutions, sources, strict=True):
        load_r2conv(layer, source)
    for norm, source in zip(norms, source_norms, strict=True):
        norm.load_state_dict(source.state_dict())
    images = noise(2, 1, 12, 12)
    assert (ours.feature_maps(images) - theirs.feature_maps(images)).abs().max() < 1e-5


# -- copies, state dicts, pickles -----------------------------------------------------------------------------------


def test_escnn_alone_breaks_in_each_of_these_ways():
    """What the wrapper mends. If escnn mends it itself one day, this test says so."""
    layer = convolution(cyclic(4))
    x = layer.in_type(noise(1, 1, 9, 9))
    in_training = set(layer.train().state_dict())
    in_eval = set(layer.eval().state_dict())
    assert in_eval - in_training == {"filter", "expanded_bias"}
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(layer)
    other = convolution(cyclic(4)).eval()
    before = other(x).tensor
    other.weights.data.mul_(2)
    assert torch.equal(other.eval()(x).tensor, before)  # it goes on with the old kernel
    one, two = convolution(dihedral(1)), convolution(dihedral(1))
    assert {b.data_ptr() for n, b in one.named_buffers() if "sampled" in n} == {
        b.data_ptr() for n, b in two.named_buffers() if "sampled" in n
    }


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=name)
def test_deepcopy_and_pickle_keep_the_function_and_the_mode(symmetry, training):
    encoder, images = trained(symmetry).train(training), noise(3, 1, 12, 12)
    copies = [copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))]
    expected = encoder(images)
    for twin in copies:
        assert twin.training is training and twin.group == encoder.group
        assert torch.equal(twin(images), expected)
        for parameter in twin.parameters():
            parameter.data.zero_()
    assert encoder(images).abs().max() > 0  # nothing is shared


@pytest.mark.parametrize("saved_in", [True, False], ids=["saved in train", "saved in eval"])
@pytest.mark.parametrize("loaded_in", [True, False], ids=["loaded in train", "loaded in eval"])
@pytest.mark.parametrize("symmetry", [cyclic(8), dihedral(4), "SO(2)"], ids=name)
def test_state_dict_loads_in_either_mode(symmetry, saved_in, loaded_in):
    encoder, images = trained(symmetry).train(saved_in), noise(3, 1, 12, 12)
    torch.manual_seed(1)
    fresh = SteerableCNN(symmetry, channels=(2, 3)).train(loaded_in)
    assert (fresh.eval()(images) - copy.deepcopy(encoder).eval()(images)).abs().max() > 1e-3
    fresh.train(loaded_in).load_state_dict(encoder.state_dict())
    assert fresh.training is loaded_in
    assert torch.equal(fresh.eval()(images), encoder.eval()(images))


@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=name)
def test_state_dict_keys_do_not_depend_on_the_mode(symmetry):
    encoder = SteerableCNN(symmetry, channels=(2, 3))
    keys = list(encoder.state_dict())
    for training in (False, True, False):
        encoder.train(training)
        encoder(noise(2, 1, 12, 12))
        assert list(encoder.state_dict()) == keys


def test_weights_changed_in_eval_mode_are_used_at_once():
    encoder, images = trained(cyclic(4)).eval(), noise(3, 1, 12, 12)
    before = encoder(images)
    torch.nn.init.normal_(encoder.stages[0].module[0].weights)
    assert (encoder(images) - before).abs().max() > 1e-3
    encoder(images).sum().backward()
    encoder(images).sum().backward()  # no graph is kept from call to call


def test_networks_do_not_share_a_basis():
    first, second = SteerableCNN(cyclic(4), channels=(2, 3)), SteerableCNN(cyclic(4), channels=(2, 3))
    assert first.double()(noise(2, 1, 12, 12, dtype=torch.float64)).dtype == torch.float64
    assert second(noise(2, 1, 12, 12)).dtype == torch.float32
    assert SteerableCNN(cyclic(4), channels=(2, 3))(noise(2, 1, 12, 12)).dtype == torch.float32


def test_pickle_opens_in_another_process(tmp_path):
    encoder, images = trained(dihedral(4)).eval(), noise(2, 1, 12, 12)
    quotient = from_escnn(quotient_layer(dihedral(4))).eval()
    wanted = [encoder(images), quotient(images)]
    (tmp_path / "encoders").write_bytes(pickle.dumps(([encoder, quotient], images, wanted)))
    script = (
        "import pickle, sys\n"
        "encoders, images, wanted = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print([float((e(images) - w).abs().max()) for e, w in zip(encoders, wanted)])\n"
    )
    assert run(script, str(tmp_path / "encoders")).strip() == "[0.0, 0.0]"


# -- any escnn module -----------------------------------------------------------------------------------------------


def quotient_layer(group):
    """From images to one regular field, the functions on the cosets of a reflection, and one trivial field."""
    plane = plane_of(group)
    cosets = plane.quotient_repr((0, 1))  # of the subgroup {e, m}
    torch.manual_seed(0)
    outputs = enn.FieldType(plane, [plane.regular_repr, cosets, plane.trivial_repr])
    return enn.R2Conv(enn.FieldType(plane, [plane.trivial_repr]), outputs, 5, padding=2)


def test_quotient_output_is_lifted_to_regular_features():
    group, images = dihedral(4), noise(2, 1, 9, 9)
    encoder = from_escnn(quotient_layer(group)).eval()
    z = encoder(images)
    assert z.shape == (2, 3, 8) and encoder.out_channels == 3
    assert (z.std(dim=2) > 1e-3)[:, :2].all()
    assert equivariance_error(encoder, images).max() < 1e-5
    act = {"group": group, "transform_outputs": group.transform_maps}
    assert equivariance_error(encoder.feature_maps, images, **act).max() < 1e-5
    with_m = group.product[:, 4]  # h -> h m: the other element of the coset h {e, m}
    assert torch.equal(z[:, 1], z[:, 1, with_m]) and not torch.equal(z[:, 0], z[:, 0, with_m])
    assert (z[:, 2] == z[:, 2, :1]).all()  # a trivial field: one coset, the whole group


def test_quotient_fields_split_into_orbits():
    """Over C4 the quotient by the half turn has two points; a direct sum of two of them has two orbits."""
    plane = gspaces.rot2dOnR2(4)
    torch.manual_seed(0)
    both = plane.quotient_repr(2) + plane.quotient_repr(2)
    module = enn.R2Conv(enn.FieldType(plane, [plane.trivial_repr]), enn.FieldType(plane, [both]), 3)
    encoder, images = from_escnn(module), noise(2, 1, 9, 9)
    assert encoder(images).shape == (2, 2, 4)
    assert equivariance_error(encoder, images).max() < 1e-5


def test_from_escnn_takes_a_deep_network_and_shares_its_weights():
    group = cyclic(4)
    images, hidden = fields(group, "trivial", 3), fields(group, "regular", 4)
    torch.manual_seed(0)
    network = enn.SequentialModule(
        enn.R2Conv(images, hidden, 5, padding=2),
        enn.InnerBatchNorm(hidden),
        enn.ReLU(hidden),
        enn.PointwiseMaxPool2D(hidden, 2),
        enn.R2Conv(hidden, hidden, 3, padding=1),
    )
    encoder = from_escnn(network)
    assert encoder.group == group and encoder.in_channels == 3 and encoder.out_channels == 4
    assert {id(p) for p in encoder.parameters()} == {id(p) for p in network.parameters()}
    for training in (True, False):
        assert equivariance_error(encoder.train(training), noise(2, 3, 12, 12)).max() < 1e-5
    assert copy.deepcopy(encoder)(noise(2, 3, 12, 12)).shape == (2, 4, 4)


# -- E4: angles off the grid ----------------------------------------------------------------------------------------


def test_e4_at_45_degrees_the_band_limit_sets_the_error():
    """One layer, k = 5, C8, the same disc in numerator and denominator; rotation_error moves the group axis too."""
    group, sharp = cyclic(8), noise(4, 1, 65, 65)
    smooth = blur(sharp, 2.0)
    steerable = EscnnMaps(convolution(group, channels=(1, 8), kernel_size=5, padding=2, bias=False))
    kernels = noise(8, 1, 5, 5)
    turned_kernels = torch.stack([rotate(kernels, group.degrees(g)) for g in group.elements], 1).flatten(0, 1)

    def bilinear(images):
        return F.conv2d(images, turned_kernels, padding=2).unflatten(1, (8, 8))

    def plain(images):
        return F.conv2d(images, kernels, padding=2)

    def error(network, images, group):
        with torch.no_grad():
            return rotation_error(network(rotate(images, 45.0)), network(images), 45.0, group, margin=4)

    assert 0.2 < error(steerable, sharp, group) < 0.5
    assert 0.005 < error(steerable, smooth, group) < 0.03
    for images in (sharp, smooth):
        assert 0.2 < error(bilinear, images, group) < 0.8
        assert error(plain, images, None) > 0.4
    # Must fail: the planes turned, but not moved along the group axis.
    assert error(lambda images: steerable(images).flatten(1, 2), smooth, None) > 0.4


def test_e4_regular_channels_are_permuted_at_45_degrees():
    """Among all rotations of C8, the one that explains the maps of the turned image is the turn itself."""
    group, images = cyclic(8), blur(noise(4, 1, 65, 65), 2.0)
    steerable = EscnnMaps(convolution(group, channels=(1, 8), kernel_size=5, padding=2, bias=False))
    mask = disc_mask(65, margin=4)
    with torch.no_grad():
        turned, maps = steerable(rotate(images, 45.0)), rotate(steerable(images), 45.0)
    permuted = [
        group.transform_features(maps.movedim(2, -1), g).movedim(-1, 2) * mask for g in group.elements
    ]
    errors = torch.stack([(turned * mask - candidate).norm() / candidate.norm() for candidate in permuted])
    assert errors.argmin() == 1 and errors[1] < 0.03
    assert errors[[0, 2, 3, 4, 5, 6, 7]].min() > 0.3


# -- SteerableCNN ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=name)
def test_quarter_turns_and_reflections_are_exact(symmetry, training):
    encoder, images = trained(symmetry).train(training), noise(3, 1, 12, 12)
    group, quarter = encoder.group, encoder.group.rotations // 4
    z = encoder(images)
    assert z.shape == (3, 3, group.order) and encoder.out_channels == 3
    assert z.std(dim=2).min() > 1e-4
    for turns in range(4):
        for flip in range(1 + group.reflections):
            moved = torch.rot90(images.flip(-1) if flip else images, turns, dims=(-2, -1))
            g = turns * quarter + flip * group.rotations
            assert (encoder(moved) - group.transform_features(z, g)).norm() < 1e-5 * z.norm()
    assert (encoder(torch.rot90(images, 1, dims=(-2, -1))) - z).norm() > 0.01 * z.norm()  # must fail


@pytest.mark.parametrize("size", [12, 7, 1])
def test_corners_of_the_maps_do_not_count(size):
    encoder, images = trained(cyclic(8)).eval(), noise(2, 1, size, size)
    maps = encoder.feature_maps(images)
    side = maps.shape[-1]
    offset = torch.arange(side) - (side - 1) / 2
    inside = (offset[:, None] ** 2 + offset**2).sqrt() <= side / 2
    assert torch.allclose(encoder(images), (maps * inside).sum(dim=(-2, -1)) / inside.sum(), atol=1e-6)
    if side == 6:  # must fail: with the corners
        assert (encoder(images) - maps.mean(dim=(-2, -1))).abs().max() > 1e-3


def errors_of_oriented_part(symmetry):
    """The error at angles between the elements of C8, relative to the part of the features that knows an angle.

    The other part, the mean over the group, loses about 1 % because a bilinear turn blurs the image a little.
    """
    torch.manual_seed(0)
    encoder = SteerableCNN(symmetry, channels=(4, 8))
    images = blur(F.pad(digits(16).train.images[:8], [12] * 4), 2.0)
    with torch.no_grad():
        for _ in range(30):  # batch statistics of these images
            encoder(images)
        z = encoder.eval()(images)
        oriented = z - z.mean(dim=2, keepdim=True)
        errors, left_behind = [], []
        for degrees in (10.0, 22.5, 100.0):
            turned = encoder(rotate(images, degrees))
            turned = turned - turned.mean(dim=2, keepdim=True)
            difference = turned - turn_features(encoder.group, oriented, degrees)
            errors.append(float(difference.norm() / oriented.norm()))
            left_behind.append(float((turned - oriented).norm() / oriented.norm()))
    return errors, left_behind


@pytest.mark.parametrize("symmetry", ["SO(2)", "O(2)"])
def test_features_of_continuous_groups_follow_any_angle(symmetry):
    errors, left_behind = errors_of_oriented_part(symmetry)
    assert max(errors) < 0.05
    assert min(left_behind) > 0.3  # must fail: features that stay as they are


def test_features_of_c8_do_not_follow_the_angles_between_its_elements():
    """The must-fail twin: the samples of C8's features are not those of a band-limited function."""
    assert errors_of_oriented_part(cyclic(8))[0][1] > 0.1


# -- the import -----------------------------------------------------------------------------------------------------


def run(script, *arguments, path=()):
    """The output of a script in a fresh process."""
    root = Path(__file__).parents[2]
    paths = [str(p) for p in (*path, root)]
    code = f"import sys; sys.path[:0] = {paths!r}\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_route_says_what_was_found():
    assert escnn_route().startswith("escnn 1.") and "lie_learn" in escnn_route()


def test_escnn_finds_intertwiners_with_an_exact_svd():
    """What D_n and O(2) need where escnn's results are not on disk yet; scikit-learn refuses an np.matrix."""
    from escnn.group import _numerical, dihedral_group

    group = dihedral_group(4)
    matrices = [group.irrep(1, 1)(element) for element in group.generators]
    basis = _numerical.find_intertwiner_basis_sylvester(matrices, matrices)
    assert basis.shape == (4, 1)  # of an irreducible representation: multiples of the identity alone
    assert abs(abs(basis[0, 0]) - 2**-0.5) < 1e-12 and abs(basis[1, 0]) < 1e-12


def test_stand_in_for_lie_learn_says_that_so3_is_not_offered():
    if "lie_learn: a stand-in" not in escnn_route():
        pytest.skip("the real lie_learn is installed")
    assert not [module for module in sys.modules if module.startswith("lie_learn")]
    with pytest.raises(NotImplementedError, match="rotations in three dimensions need lie_learn"):
        gspaces.rot3dOnR3().fibergroup.irrep(1)(gspaces.rot3dOnR3().fibergroup.sample())


@pytest.mark.parametrize("absent", ["escnn", "joblib"])
def test_without_escnn_the_import_says_the_one_command_that_helps(absent):
    script = f"""
sys.modules[{absent!r}] = None
try:
    import eqssl_edu.steerable
except ModuleNotFoundError as error:
    print(error)
"""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    escnn, joblib = (text.split(">")[0] for text in project["optional-dependencies"]["escnn"])
    wanted = f"eqssl_edu.steerable needs escnn: pip install --no-deps {escnn} {joblib} ("
    assert run(script).startswith(wanted)


def test_the_real_packages_are_used_where_they_import(tmp_path):
    """A lie_learn that imports, and a py3nj that fails as a build for another numpy does."""
    package = tmp_path / "lie_learn" / "representations" / "SO3"
    package.mkdir(parents=True)
    (package / "wigner_d.py").write_text("def wigner_D_matrix(*arguments, **options):\n    return 'real'\n")
    (tmp_path / "py3nj.py").write_text("raise ValueError('numpy.dtype size changed')\n")
    script = (
        "from eqssl_edu.steerable import escnn_route\n"
        "import escnn.group.groups.so3_utils as so3\n"
        "print(escnn_route(), so3.wigner_D_matrix())\n"
    )
    out = run(script, path=[tmp_path])
    assert "lie_learn: the real one, py3nj: a stand-in" in out and out.strip().endswith("real")


def test_without_escnn_the_error_says_how_to_install_it():
    script = (
        "sys.modules['escnn'] = None\n"
        "try:\n    import eqssl_edu.steerable\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    assert "pip install --no-deps escnn" in run(script)


# -- errors ---------------------------------------------------------------------------------------------------------


def test_every_door_refuses_and_names_the_argument(as_a_user):
    group, circle, sideways = cyclic(4), gspaces.rot2dOnR2(-1), gspaces.flip2dOnR2(axis=0.0)
    plane = plane_of(group)
    image, irrep = (enn.FieldType(plane, [field]) for field in (plane.trivial_repr, plane.irrep(1)))
    on_circle, on_side = (enn.FieldType(space, [space.trivial_repr]) for space in (circle, sideways))
    four = fields(group, "trivial", 4)  # as many planes as one regular field
    r2conv, biased = convolution(group, padding=1), convolution(group)
    torch.nn.init.ones_(biased.bias)
    refused = [
        ("symmetry must", lambda: SteerableCNN("C8")),
        ("symmetry must", lambda: SteerableCNN(["C8"])),
        ("kernel_size must be odd", lambda: SteerableCNN(cyclic(8), kernel_size=4)),
        ("channels must", lambda: SteerableCNN(cyclic(8), channels=())),
        ("channels must", lambda: SteerableCNN(cyclic(8), channels=8)),
        ("channels must", lambda: SteerableCNN(cyclic(8), channels=(4, 0))),
        ("frequency must", lambda: SteerableCNN("SO(2)", frequency=0)),
        ("images must", lambda: SteerableCNN(cyclic(8), channels=(2,))(noise(2, 3, 9, 9))),
        ("module must be an escnn module", lambda: from_escnn(torch.nn.Conv2d(1, 2, 3))),
        ("module must take images", lambda: from_escnn(convolution(group, "regular"))),
        ("module must have regular or quotient", lambda: from_escnn(enn.R2Conv(image, irrep, 3))),
        ("module must have a finite group", lambda: from_escnn(enn.R2Conv(on_circle, on_circle, 3))),
        ("module must reflect the last axis", lambda: from_escnn(enn.R2Conv(on_side, on_side, 3))),
        ("layer must be a LiftingConv2d", lambda: load_r2conv(torch.nn.Conv2d(1, 3, 3), r2conv)),
        ("r2conv must be a", lambda: load_r2conv(LiftingConv2d(group, 1, 3, 3), torch.nn.Conv2d(1, 3, 3))),
        ("r2conv must be over", lambda: load_r2conv(LiftingConv2d(cyclic(2), 1, 3, 3, padding=1), r2conv)),
        ("r2conv must lead", lambda: load_r2conv(LiftingConv2d(group, 1, 2, 3, padding=1), r2conv)),
        ("r2conv must have padding = ", lambda: load_r2conv(LiftingConv2d(group, 1, 3, 3), r2conv)),
        ("r2conv must lead", lambda: load_r2conv(LiftingConv2d(group, 4, 1, 3), enn.R2Conv(four, four, 3))),
        ("layer must have a bias", lambda: load_r2conv(LiftingConv2d(group, 1, 3, 3, bias=False), biased)),
    ]
    for key, value in {"stride": 2, "dilation": 2, "padding_mode": "circular", "kernel_size": 5}.items():
        other = convolution(group, **{"kernel_size": 3, "padding": 1, key: value})
        load = functools.partial(load_r2conv, LiftingConv2d(group, 1, 3, 3, padding=1), other)
        refused.append((f"r2conv must have {key} = ", load))
    for number, (message, call) in enumerate(refused):
        with pytest.raises((TypeError, ValueError)) as refusal:
            call()
        assert str(refusal.value).startswith(message), (number, message, refusal.value)


@pytest.mark.parametrize("symmetry", [cyclic(6), "SO(2)"], ids=str)
def test_it_follows_the_default_type(symmetry):
    torch.set_default_dtype(torch.float64)
    try:
        assert SteerableCNN(symmetry, channels=(2, 2))(torch.rand(1, 1, 15, 15)).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
