"""What a network computes, as a plan for the engine of pages: against the network itself."""

import gzip

import pytest
import torch
from plans import run_plan
from torch import nn

from eqssl_edu.diagnostics.recorder import FeatureRecorder
from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder, matched_cnn
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupPool
from eqssl_edu.widgets.live.plan import NotComputed, compiled
from tools.assemble import LIVE, assembled, with_product


class Corners(nn.Module):
    """All that only moves numbers, also in place, and what works in place."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, stride=2, padding=1).to(memory_format=torch.channels_last)
        self.wide = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=3, bias=False)
        self.norm = nn.BatchNorm2d(12, affine=False)

    def forward(self, images):
        x = self.conv(images.flip(-1).roll(2, -2))
        y = self.wide(x.relu())
        x.relu_()
        both = torch.cat([x, torch.rot90(y, 1, (2, 3))], 1)
        both[:, 2:4] = both[:, 4:6].mT
        maps = self.norm(nn.functional.pad(both, (1, 1, 1, 1)))[:, torch.tensor([3, 0, 11, 7])]
        return nn.functional.max_pool2d(maps, 3, 2, 1) + maps.mean((2, 3), keepdim=True)


class Copies(nn.Conv2d):
    """Four kernels, each in four turns."""

    def forward(self, x):
        kernels = [torch.rot90(self.weight, i, (2, 3)) for i in range(4)]
        return nn.functional.conv2d(x, torch.stack(kernels, 1).flatten(0, 1))


def steerable():
    from eqssl_edu.steerable import SteerableCNN

    return SteerableCNN(cyclic(8), channels=(4, 8))


def mixed_fields():
    from eqssl_edu.steerable import enn, from_escnn, gspaces

    plane = gspaces.rot2dOnR2(4)
    images = enn.FieldType(plane, [plane.trivial_repr])
    maps = enn.FieldType(plane, [plane.regular_repr, plane.trivial_repr, plane.regular_repr])
    layers = [enn.R2Conv(images, maps, 3, padding=1), enn.InnerBatchNorm(maps), enn.ReLU(maps, inplace=True)]
    return from_escnn(enn.SequentialModule(*layers, enn.R2Conv(maps, maps, 3, padding=1)))


torch.manual_seed(0)
NETWORKS = {
    "C4": (GroupCNN(cyclic(4), channels=(4, 8)), (1, 32, 32)),
    "D4 in colour, odd": (GroupCNN(dihedral(4), 3, channels=(2, 3)), (3, 29, 29)),
    "plain": (matched_cnn(GroupCNN(cyclic(4))), (1, 16, 16)),
    "ResNet": (GroupResNet(dihedral(2), 1, width=2), (1, 16, 16)),
    "steerable C8": (steerable(), (1, 16, 16)),
    "escnn": (mixed_fields(), (1, 12, 12)),
    "float64": (GroupCNN(cyclic(4), channels=(2,)).double(), (1, 9, 9)),
    "corners": (Corners(), (1, 20, 20)),
    "copies": (Copies(1, 4, 3), (1, 12, 12)),
    "pooled over the group": (nn.Sequential(GroupCNN(cyclic(4)).stages, GroupPool(cyclic(4))), (1, 16, 16)),
}


def trained(network, image):
    """With running statistics of its own."""
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.rand(8, *image.shape).to(next(network.parameters()).dtype))
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_plan_computes_every_layer_as_the_network_does(name):
    network, shape = NETWORKS[name]
    image, other = (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    recorder = FeatureRecorder(trained(network, image), image)
    layers = set(recorder.layers)
    plan = compiled(lambda images: recorder.all_maps(images, layers), image)
    found, wanted = run_plan(plan, other), recorder.all_maps(other[None], layers)
    assert found.keys() == wanted.keys() == layers
    for layer, maps in wanted.items():
        largest = maps.abs().max()
        torch.testing.assert_close(found[layer], maps.float(), rtol=0, atol=1e-6 * float(largest))


def test_how_a_picture_lies_in_memory_does_not_matter():
    network, photo = GroupCNN(cyclic(4), 3, channels=(2,)).eval(), torch.rand(12, 12, 3).permute(2, 0, 1)
    plan = compiled(lambda images: {"maps": network.feature_maps(images)}, photo)
    assert torch.allclose(run_plan(plan, photo)["maps"], network.feature_maps(photo[None]), atol=1e-6)


def test_an_encoder_with_products_of_matrices():
    body = nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.ReLU(), nn.Linear(7, 5))
    encoder, image = SymmetrizedEncoder(cyclic(4), body), torch.rand(1, 8, 8)
    plan = compiled(lambda images: {"features": encoder(images)}, image)
    assert torch.allclose(run_plan(plan, 2 * image)["features"], encoder(2 * image[None]), atol=1e-6)


def test_a_plan_holds_base_weights_and_a_table_not_the_copies():
    network = GroupCNN(dihedral(4)).eval()
    plan = compiled(lambda images: {"maps": network.feature_maps(images)}, torch.rand(1, 32, 32))
    weights = sum(weight.numel() for weight in network.parameters())
    tables = sum(stage.table.numel() for stage in network.stages if hasattr(stage, "table"))
    assert len(plan["words"]) < 4 * 1.1 * (weights + tables)
    copies = sum(stage.expanded_weight().numel() for stage in network.stages if hasattr(stage, "table"))
    assert len(plan["words"]) < 4 * copies / 4


def test_the_kernels_of_escnn_are_weights_times_a_basis_that_is_stored_once():
    from eqssl_edu.steerable import SteerableCNN

    network = SteerableCNN(cyclic(8)).eval()
    plan = compiled(lambda images: {"maps": network.feature_maps(images)}, torch.rand(1, 32, 32))
    assert len(plan["words"]) < 800_000 < 4 * 32 * 16 * 64 * 25  # the last layer's kernels alone
    assert len(gzip.compress(plan["words"])) < 250_000


class Picks(nn.Module):
    """Does one thing for dark pictures, and another for bright ones."""

    def forward(self, x):
        return x.relu() if x.mean() < 0.4 else x + x


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sigmoid()), "the engine of pages does not know sigmoid"),
        (nn.ConvTranspose2d(1, 2, 3), "does not know convolution"),
        (nn.BatchNorm2d(1, track_running_stats=False), "does not know native_batch_norm"),
        (nn.Conv2d(1, 2, 3).bfloat16(), "does not know"),
        (Picks(), "something else for another picture"),
    ],
)
def test_what_the_engine_does_not_know_is_refused_by_name(network, reason):
    image = torch.full((1, 8, 8), 0.1)
    dtype = next((weight.dtype for weight in network.parameters()), torch.float32)
    with torch.no_grad(), pytest.raises(NotComputed, match=reason):
        compiled(lambda images: {"out": network(images.to(dtype))}, image)


def test_a_plan_that_is_run_with_another_table_is_wrong():
    network, image = GroupCNN(cyclic(4), channels=(4, 16)), torch.rand(1, 16, 16)
    plan = compiled(lambda images: {"maps": network.eval().feature_maps(images)}, image)
    wanted = network.feature_maps(image[None])
    assert torch.allclose(run_plan(plan, image)["maps"], wanted, atol=1e-5)
    gather = next(step for step in plan["steps"] if step["kind"] == "gather")
    gather["stride"] -= 1
    assert not torch.allclose(run_plan(plan, image)["maps"], wanted, atol=1e-2)


def test_the_product_in_webassembly_is_what_its_text_says():
    pytest.importorskip("wasmtime", reason="wasmtime, which assembles it, is not installed")
    script, text = ((LIVE / name).read_text("utf-8") for name in ("engine.js", "product.wat"))
    assert with_product(script, text) == script
    assert with_product(script, text.replace("f32x4.add", "f32x4.sub", 1)) != script
    assert len(assembled(text)) < 600
