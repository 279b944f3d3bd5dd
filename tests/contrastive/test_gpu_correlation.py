"""The kernels of the orbit correlation against its formula: on a GPU, or without one in Triton's interpreter."""

import pytest
import torch
from elsewhere import needs_gpu
from torch.autograd import forward_ad

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.contrastive.gpu import available
from eqssl_edu.groups import cyclic, dihedral

fused = pytest.importorskip(
    "eqssl_edu.contrastive.gpu.correlation", reason="Triton is for Linux", exc_type=ModuleNotFoundError
)
fused_infonce = pytest.importorskip("eqssl_edu.contrastive.gpu.infonce", exc_type=ModuleNotFoundError)
HERE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
real_kernels_on = available.kernels_on
D4 = dihedral(4)
CASES = [
    (D4, (5, 8)),
    (D4, (8, 5)),
    (cyclic(3), (5, 8)),
    (cyclic(1), (1, 1)),
    (D4, (0, 3)),
]  # the smaller side is turned
over_cases = pytest.mark.parametrize(("group", "sizes"), CASES, ids=str)


@pytest.fixture(autouse=True)
def taken(monkeypatch):
    """The kernels are taken, with blocks so small that few features take several; how often they were."""
    made = []

    def watched(*arguments):
        made.append(arguments)
        return apply(*arguments)

    apply = fused.FusedCorrelation.apply
    monkeypatch.setattr(fused.FusedCorrelation, "apply", watched)
    monkeypatch.setattr(fused, "BLOCK", 8)
    monkeypatch.setattr(available, "kernels_on", lambda device: True)
    return made


def features(group, sizes=(5, 8), dtype=torch.float32, channels=3):
    """Two batches, and the gradient of their correlations."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(count, channels, group.order) for count in sizes] + [(*sizes, group.order)]
    z, w, slope = (torch.randn(shape, generator=generator).to(HERE, dtype) for shape in shapes)
    return z.requires_grad_(), w.requires_grad_(), slope


def formula(group, z, w):
    """Without kernels, in float64."""
    z, w = (each.detach().double().requires_grad_() for each in (z, w))
    return z, w, orbit_correlation(group, z, w)


def assert_near(found, wanted, tolerance):
    assert found.shape == wanted.shape
    assert (found.double() - wanted).norm() <= tolerance * wanted.norm()


@over_cases
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)], ids=str)
def test_values_and_gradients_are_those_of_the_formula(group, sizes, dtype, tolerance, taken):
    z, w, slope = features(group, sizes, dtype)
    kappa = orbit_correlation(group, z, w)
    z64, w64, wanted = formula(group, z, w)
    assert len(taken) == 1 and kappa.dtype == dtype
    assert_near(kappa, wanted, tolerance)
    found = torch.autograd.grad(kappa, (z, w), slope)
    for each, right in zip(found, torch.autograd.grad(wanted, (z64, w64), slope.double()), strict=True):
        assert each.dtype == dtype
        assert_near(each, right, tolerance)


@pytest.mark.parametrize("side", [0, 1])
def test_one_side_may_need_no_gradient(side):
    group = dihedral(3)
    z, w, slope = features(group)
    wanted = torch.autograd.grad(orbit_correlation(group, z, w), (z, w), slope)[side]
    pair = [z.detach(), w.detach()]
    pair[side].requires_grad_()
    kappa = orbit_correlation(group, *pair)
    (found,) = torch.autograd.grad(kappa, pair[side], slope, retain_graph=True)
    assert torch.equal(found, wanted)
    (found,) = torch.autograd.grad(kappa, pair[side], slope, create_graph=True)
    assert_near(found, wanted.double(), 1e-6)


@over_cases
def test_second_derivatives_are_those_of_the_formula(group, sizes):
    def second(kappa, z, w):
        first = torch.autograd.grad(kappa.pow(3).sum(), (z, w), create_graph=True)
        return torch.autograd.grad(sum(each.square().sum() for each in first), (z, w))

    z, w, _ = features(group, sizes)
    z64, w64, wanted = formula(group, z, w)
    found = second(orbit_correlation(group, z, w), z, w)
    for each, right in zip(found, second(wanted, z64, w64), strict=True):
        assert_near(each, right, 1e-5)


@pytest.mark.parametrize(("sizes", "moving"), [((5, 8), "z"), ((8, 5), "w"), ((5, 8), "both")])
def test_forward_derivatives(sizes, moving):
    group = dihedral(4)
    z, w, _ = (each.detach() for each in features(group, sizes))
    dz, dw = (torch.cos(7 * each) * (moving in (name, "both")) for each, name in ((z, "z"), (w, "w")))
    with forward_ad.dual_level():
        pair = [
            forward_ad.make_dual(each, along) if moving in (name, "both") else each
            for each, along, name in ((z, dz, "z"), (w, dw, "w"))
        ]
        tangent = forward_ad.unpack_dual(orbit_correlation(group, *pair)).tangent
    wanted = formula(group, dz, w)[2] + formula(group, z, dw)[2]
    assert_near(tangent, wanted, 1e-6)


def test_torch_func_goes_without(taken):
    """Its transformations want operations that they know."""
    group = cyclic(4)
    z, w, _ = (each.detach() for each in features(group))
    single = torch.func.vmap(lambda one: orbit_correlation(group, one[None], w)[0])
    assert_near(single(z), formula(group, z, w)[2], 1e-6)
    assert not taken


def test_autocast_rounds_the_features_and_their_gradient_is_in_full():
    group = dihedral(4)
    z, w, slope = features(group)
    with torch.autocast(HERE.type, torch.bfloat16):
        kappa = orbit_correlation(group, z, w)
    assert kappa.dtype == torch.bfloat16
    found = torch.autograd.grad(kappa, (z, w), slope.bfloat16(), retain_graph=True)
    rounded = [each.detach().bfloat16() for each in (z, w)]
    z64, w64, wanted = formula(group, *rounded)
    assert_near(kappa, wanted, 1e-2)
    for each, right in zip(found, torch.autograd.grad(wanted, (z64, w64), slope.double()), strict=True):
        assert each.dtype == torch.float32
        assert_near(each, right, 1e-2)
    again = torch.autograd.grad(kappa, (z, w), slope.bfloat16(), create_graph=True)
    for each, first in zip(again, found, strict=True):
        assert each.dtype == torch.float32 and each.requires_grad
        assert_near(each, first.double(), 1e-2)


def test_memory_that_lies_otherwise():
    group = cyclic(4)
    z, w, slope = features(group)
    wanted = torch.autograd.grad(orbit_correlation(group, z, w), (z, w), slope)
    moved = [each.detach().permute(2, 0, 1).contiguous().permute(1, 2, 0).requires_grad_() for each in (z, w)]
    assert not moved[0].is_contiguous()
    slope = slope.movedim(2, 0).contiguous().movedim(0, 2)
    for each, right in zip(
        torch.autograd.grad(orbit_correlation(group, *moved), moved, slope), wanted, strict=True
    ):
        assert_near(each, right.double(), 1e-6)


def test_double_precision_and_large_groups_go_without(taken):
    """The kernels add up in float32, and are written out for each element."""
    for group, dtype in ((cyclic(4), torch.float64), (cyclic(33), torch.float32)):
        z, w, _ = features(group, dtype=dtype)
        assert_near(orbit_correlation(group, z, w), formula(group, z, w)[2], 1e-6)
    assert not taken
    z, w, _ = features(cyclic(32))
    orbit_correlation(cyclic(32), z, w)
    assert len(taken) == 1


@pytest.fixture
def ask():
    real_kernels_on.cache_clear()
    yield real_kernels_on
    real_kernels_on.cache_clear()


def test_the_kernels_are_for_gpus_where_triton_is(ask, monkeypatch):
    for module in (fused, fused_infonce):
        monkeypatch.setattr(module, "try_on", lambda device: None)
    assert not ask(torch.device("cpu"))
    assert ask(torch.device("cuda"))
    ask.cache_clear()
    monkeypatch.setattr(available, "find_spec", lambda name: None)
    assert not ask(torch.device("cuda"))


@pytest.mark.parametrize("failing", [fused, fused_infonce], ids=["correlation", "InfoNCE"])
def test_where_triton_cannot_make_them_a_warning_says_so(failing, ask, monkeypatch):
    def broken(device):
        raise RuntimeError("Failed to find C compiler")

    for module in (fused, fused_infonce):
        monkeypatch.setattr(module, "try_on", broken if module is failing else lambda device: None)
    with pytest.warns(UserWarning, match="without their kernels for cuda.*C compiler"):
        assert not ask(torch.device("cuda"))
    assert not ask(torch.device("cuda"))  # said once


KERNELS = {fused: ("_copy", "_sum"), fused_infonce: ("_scale", "_scale_backward", "_normalise", "_slope")}


@pytest.mark.parametrize("module", KERNELS, ids=["correlation", "InfoNCE"])
def test_all_kernels_are_tried(module, monkeypatch):
    made = []
    for name in KERNELS[module]:
        kernel = getattr(module, name)

        class Watched:
            def __getitem__(self, grid, name=name, kernel=kernel):
                made.append(name)
                return kernel[grid]

        monkeypatch.setattr(module, name, Watched())
    with torch.no_grad():
        module.try_on(HERE)
    assert sorted(made) == sorted(KERNELS[module])


@needs_gpu
def test_it_can_be_recorded_as_a_cuda_graph():
    """Nothing in it waits for the GPU, so that the launches of a small batch can be one."""
    group = cyclic(4)
    z, w, slope = features(group)
    samples = tuple(each.detach().requires_grad_() for each in (z, w))
    recorded = torch.cuda.make_graphed_callables(lambda z, w: orbit_correlation(group, z, w), samples)
    z, w = ((each.detach() + 1).requires_grad_() for each in (z, w))
    z64, w64, wanted = formula(group, z, w)
    kappa = recorded(z, w)
    assert_near(kappa, wanted, 1e-6)
    found = torch.autograd.grad(kappa, (z, w), slope)
    for each, right in zip(found, torch.autograd.grad(wanted, (z64, w64), slope.double()), strict=True):
        assert_near(each, right, 1e-6)
