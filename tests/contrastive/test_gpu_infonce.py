"""The kernels of InfoNCE for a GPU against its formula: on a GPU, or without one in Triton's interpreter."""

import pytest
import torch
import torch.nn.functional as F
from elsewhere import needs_gpu

from eqssl_edu.contrastive import InfoNCE
from eqssl_edu.contrastive.gpu import available
from eqssl_edu.groups import cyclic, dihedral

fused = pytest.importorskip(
    "eqssl_edu.contrastive.gpu.infonce", reason="Triton is for Linux", exc_type=ModuleNotFoundError
)
HERE = "cuda" if torch.cuda.is_available() else "cpu"
CASES = [(dihedral(4), kind, chunk) for kind in available.INFONCE_KINDS for chunk in (None, 5)]
CASES += [(cyclic(1), "max", None), (dihedral(3), "soft", 5), (cyclic(3), "power3", 5)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """So that few views take several blocks."""
    monkeypatch.setattr(fused, "BLOCK", 8)


def two_views(group, images=7, channels=5, dtype=torch.float32):
    """Images, and the same with noise; of other lengths."""
    generator = torch.Generator().manual_seed(0)
    shape = (images, channels, group.order)
    z1, noise = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in "12")
    return [z.to(HERE, dtype).requires_grad_() for z in (3 * z1, z1 + 0.7 * noise)]


def fused_loss(z1, z2, group, kind, temperature=0.2, chunk=None):
    return fused.fused_contrast(z1, z2, group, kind, temperature, chunk, together=False)


def formula(group, kind, z1, z2, temperature=0.2):
    """Loss, accuracy and gradients, all pairs at once, in float64 on the CPU."""
    z1, z2 = (z.detach().cpu().double().requires_grad_() for z in (z1, z2))
    logits, partner = InfoNCE(group, kind, temperature).logits(z1, z2)
    loss = F.cross_entropy(logits, partner)
    accuracy = (logits.argmax(dim=1) == partner).double().mean()
    return loss.item(), accuracy.item(), torch.autograd.grad(loss, (z1, z2))


def assert_near(found, wanted, tolerance):
    assert (found.cpu().double() - wanted).norm() <= tolerance * wanted.norm()


@pytest.mark.parametrize(("group", "kind", "chunk"), CASES, ids=str)
def test_value_accuracy_and_gradient_are_those_of_the_formula(group, kind, chunk):
    z1, z2 = two_views(group)
    loss, accuracy = fused_loss(z1, z2, group, kind, chunk=chunk)
    wanted_loss, wanted_accuracy, wanted = formula(group, kind, z1, z2)
    assert loss.item() == pytest.approx(wanted_loss, rel=1e-5)
    assert accuracy.item() == pytest.approx(wanted_accuracy) and not accuracy.requires_grad
    assert wanted_accuracy > 0
    for found, right in zip(torch.autograd.grad(3 * loss, (z1, z2)), wanted, strict=True):
        assert_near(found, 3 * right, 1e-4)


@pytest.mark.parametrize(("kind", "temperature"), [("max", 5.0), ("soft", 0.01), ("soft", 5.0)])
def test_any_temperature(kind, temperature):
    group = dihedral(4)
    z1, z2 = two_views(group)
    # No pair is found: a low temperature makes a large loss.
    z2 = z2.detach().roll(1, dims=0).requires_grad_()
    loss, _ = fused_loss(z1, z2, group, kind, temperature)
    wanted, _, gradients = formula(group, kind, z1, z2, temperature)
    assert loss.item() == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    for found, right in zip(torch.autograd.grad(loss, (z1, z2)), gradients, strict=True):
        assert_near(found, right, 1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["max", "soft", "power3"])
def test_half_precision(kind, dtype):
    """Squares of 300 overflow float16; the gradient of a loss near zero must not vanish."""
    group = dihedral(4)
    z1, z2 = ((z.detach() * 100).to(dtype).requires_grad_() for z in two_views(group))
    loss, _ = fused_loss(z1, z2, group, kind)
    wanted, _, gradients = formula(group, kind, z1, z2)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(wanted, rel=0.02)
    scale = 2.0**12  # as a gradient scaler has it
    for found, right in zip(torch.autograd.grad(scale * loss, (z1, z2)), gradients, strict=True):
        assert found.dtype == dtype
        assert_near(found, scale * right, 0.05)


def test_shares_of_many_pieces_are_added_up_precisely(monkeypatch):
    """In bfloat16 the sum of hundreds would lose what is small."""
    monkeypatch.setattr(fused, "BLOCK", 256)
    group = cyclic(4)
    z1, z2 = two_views(group, images=48, dtype=torch.bfloat16)
    _, _, wanted = formula(group, "max", z1, z2)
    errors = {}
    for chunk in (None, 1):
        found = torch.autograd.grad(fused_loss(z1, z2, group, "max", chunk=chunk)[0], (z1, z2))
        errors[chunk] = sum((f.cpu().double() - w).norm() for f, w in zip(found, wanted, strict=True))
    assert 0 < errors[1] < 1.1 * errors[None]


def test_of_candidates_that_are_equally_similar_the_first_counts(monkeypatch):
    """As everywhere in PyTorch. Each lane of a block sees several of them, and so do several lanes."""
    monkeypatch.setattr(fused, "BLOCK", 2)
    group = cyclic(4)
    a, b, c, d = torch.rand(4, 5, 4, generator=torch.Generator().manual_seed(0)).to(HERE)
    z1, z2 = torch.stack([a, b, c]), torch.stack([a, d, a])
    _, wanted, _ = formula(group, "max", z1, z2)
    assert fused_loss(z1, z2, group, "max")[1].item() == pytest.approx(wanted)


def test_one_view_may_need_no_gradient():
    group = cyclic(4)
    z1, z2 = two_views(group)
    _, _, wanted = formula(group, "max", z1, z2)
    (found,) = torch.autograd.grad(fused_loss(z1, z2.detach(), group, "max")[0], z1)
    assert_near(found, wanted[0], 1e-4)
    with torch.no_grad():
        assert fused_loss(z1, z2, group, "max")[0].grad_fn is None


def test_elements_that_share_the_maximum_share_its_gradient():
    """As the maximum of PyTorch does it: a feature that no turn changes has |G| of them."""
    group = cyclic(4)
    z1, z2 = (z.detach().mean(dim=2, keepdim=True).expand_as(z).clone() for z in two_views(group))
    z1, z2 = z1.requires_grad_(), z2.requires_grad_()
    _, _, wanted = formula(group, "max", z1, z2)
    found = torch.autograd.grad(fused_loss(z1, z2, group, "max")[0], (z1, z2))
    for one, right in zip(found, wanted, strict=True):
        assert_near(one, right, 1e-4)


@pytest.mark.parametrize("kind", ["max", "soft"])
def test_broken_features_are_not_hidden(kind):
    group = cyclic(4)
    z1, z2 = two_views(group)
    with torch.no_grad():
        z1[2, 1, 0] = float("nan")
    assert fused_loss(z1, z2, group, kind)[0].isnan()


def test_zero_vectors_have_a_finite_loss():
    group = cyclic(4)
    z1, z2 = (torch.zeros(4, 3, 4, device=HERE, requires_grad=True) for _ in "12")
    loss, _ = fused_loss(z1, z2, group, "max")
    assert loss.item() == pytest.approx(torch.tensor(7.0).log().item(), rel=1e-6)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (z1, z2)))


def test_there_is_no_second_derivative():
    z1, z2 = two_views(cyclic(4))
    loss, _ = fused_loss(z1, z2, cyclic(4), "soft")
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss, z1, create_graph=True)


def test_memory_that_lies_otherwise():
    """Features that are a view of something larger, or transposed."""
    group = cyclic(4)
    z1, z2 = two_views(group)
    wanted = fused_loss(z1, z2, group, "max")[0].item()
    wide = torch.cat([z1, z1], dim=1)[:, :5]
    turned = z2.movedim(0, 2).contiguous().movedim(2, 0)
    assert not wide.is_contiguous() and not turned.is_contiguous()
    assert fused_loss(wide, turned, group, "max")[0].item() == wanted


@pytest.mark.parametrize(("kind", "chunk"), [("max", None), ("soft", 3), ("mean", None)])
def test_the_loss_takes_the_kernels_where_they_fit(kind, chunk, monkeypatch):
    group, asked = dihedral(3), []

    def watched(*arguments):
        asked.append(arguments[2:])
        return fused_contrast(*arguments)

    fused_contrast = fused.fused_contrast
    monkeypatch.setattr(fused, "fused_contrast", watched)
    monkeypatch.setattr(available, "kernels_on", lambda device: True)
    z1, z2 = two_views(group)
    loss, accuracy = InfoNCE(group, kind, 0.3, chunk).contrast(z1, z2)
    assert asked == ([] if kind == "mean" else [(group, kind, 0.3, chunk, False)])  # "mean" needs preparation
    wanted, wanted_accuracy, _ = formula(group, kind, z1, z2, 0.3)
    assert loss.item() == pytest.approx(wanted, rel=1e-5)
    assert accuracy.item() == pytest.approx(wanted_accuracy)
    asked.clear()
    InfoNCE(group, kind)(z1.double(), z2.double())  # the kernels compute in float32
    monkeypatch.setattr(available, "LARGEST", 5)
    InfoNCE(group, kind)(z1, z2)
    assert asked == []


@needs_gpu
@pytest.mark.parametrize("kind", available.INFONCE_KINDS)
def test_the_loss_can_be_recorded_as_a_cuda_graph(kind):
    """Nothing in it waits for the GPU, so that the launches of a small batch can be one."""
    group = cyclic(4)
    z1, z2 = two_views(group)
    recorded = torch.cuda.make_graphed_callables(InfoNCE(group, kind), (z1.detach().requires_grad_(), z2))
    z1, z2 = ((z.detach() + 1).requires_grad_() for z in two_views(group))
    loss = recorded(z1, z2)
    wanted, _, gradients = formula(group, kind, z1, z2)
    assert loss.item() == pytest.approx(wanted, rel=1e-5)
    for found, right in zip(torch.autograd.grad(loss, (z1, z2)), gradients, strict=True):
        assert_near(found, right, 1e-4)
