"""Across processes: two of them, each with its half, have the loss and the gradient of one with the joined batch."""

import runpy
from importlib.util import find_spec

import pytest
import torch
from lightning_fabric import Fabric
from scripts import run_script
from torch import nn

from eqssl_edu.contrastive import InfoNCE
from eqssl_edu.contrastive.processes import gather
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic

# Both views of an image follow from the image: the processes would draw other ones than a single process.
SCRIPT = """
    import atexit
    import os
    import sys
    from importlib.util import find_spec
    import torch
    from lightning_fabric import Fabric
    from torch import nn
    from eqssl_edu.contrastive import BYOL, BarlowTwins, ContrastiveModel, InfoNCE, MoCo, SimSiam, VICReg, chunks
    from eqssl_edu.layers import GroupLinear
    from eqssl_edu.contrastive.processes import gather
    from eqssl_edu.encoders import GroupCNN, SymmetrizedEncoder
    from eqssl_edu.groups import cyclic
    from eqssl_edu.training import Pretrainer

    G = cyclic(4)
    LOSSES = {
        "InfoNCE": InfoNCE, "InfoNCE by 3": lambda group: InfoNCE(group, "max", chunk=3),
        "SimSiam": SimSiam, "BYOL": BYOL, "MoCo": lambda group: MoCo(group, size=24), "VICReg": VICReg,
        "BarlowTwins": BarlowTwins,
    }

    class Views:
        def __init__(self):
            self.calls, self.draws = 0, []

        def __call__(self, images, generator):
            self.calls += 1
            self.draws.append((len(images), torch.rand(1, generator=generator).item()))
            return images.roll(self.calls % 2, -1).rot90(self.calls % 2, (-2, -1))

    def made(name, norms=False):
        # Without batch norms, except in the predictors: those of an encoder see one process alone.
        torch.manual_seed(0)
        if norms:
            encoder = GroupCNN(G, channels=(3, 4))
        else:
            encoder = SymmetrizedEncoder(G, nn.Sequential(nn.Flatten(), nn.Linear(64, 4)))
        return ContrastiveModel(encoder, LOSSES[name](G), Views(), GroupLinear(G, 4, 6)).double()

    def pictures():
        return torch.rand(16, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    class Step(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, images):
            return self.model.training_step(images)

    def measured(fabric, name, norms=False):
        model = made(name, norms)
        step = fabric.setup(Step(model))
        record = step(pictures().chunk(fabric.world_size)[fabric.global_rank])
        fabric.backward(record["loss"])
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
        state = {name: value for name, value in model.state_dict().items() if "queue" in name}
        return {**{key: value.detach() for key, value in record.items()}, "gradient": gradient, **state}

    def views_of_all():
        generator = torch.Generator().manual_seed(2)
        return [torch.randn(6, 3, 4, generator=generator) for _ in "12"]

    def by_kernels(fabric, kind, chunk):
        from eqssl_edu.contrastive.gpu.infonce import fused_contrast

        views = [z.chunk(2)[fabric.global_rank].requires_grad_() for z in views_of_all()]
        loss, accuracy = fused_contrast(*map(gather, views), G, kind, 0.2, chunk, together=True)
        gradient = torch.stack(torch.autograd.grad(loss, views)) / 2  # the mean over processes
        with torch.no_grad():
            again, _ = fused_contrast(*map(gather, views), G, kind, 0.2, chunk, together=True)
            assert torch.allclose(again, loss)
        return [loss.detach(), accuracy, gradient]

    def with_a_wrong_share(fabric):
        place, chunks.place = chunks.place, lambda: (0, 2)  # the second process takes the rows of the first
        try:
            return measured(fabric, "InfoNCE")
        finally:
            chunks.place = place

    def trained(**processes):
        arguments = {"epochs": 3, "batch_size": 8, "lr": 0.01, "accelerator": "cpu", "precision": "64-true"}
        model = made("BYOL")
        run = Pretrainer(model, pictures(), **arguments, **processes)
        losses = [record["loss"] for record in run.fit()]
        weights = torch.cat([p.detach().flatten() for p in model.parameters()])
        return {"weights": weights, "losses": losses, "draws": model.views.draws, "device": run.device}

    def everything(fabric):
        return {
            "joined": {name: measured(fabric, name) for name in LOSSES},
            "own statistics": measured(fabric, "InfoNCE", norms=True),
        }

    def at_the_end():  # registered first, so it runs last
        line = f"process group left open: {torch.distributed.is_initialized()}\\n"
        os.write(1, line.encode())  # whole, where print may write by pieces: two processes share the pipe

    if __name__ == "__main__":
        atexit.register(at_the_end)
        fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
        fabric.launch()
        torch.set_num_threads(1)
        record = everything(fabric)
        z = torch.full((2, 1, 4), float(fabric.global_rank + 1), requires_grad=True)
        theirs, ours = fabric.all_gather(z, sync_grads=True).flatten(0, 1), gather(z)
        weights = torch.arange(16.0).view(4, 1, 4) * (fabric.global_rank + 1)
        gradients = [torch.autograd.grad((weights * all).sum(), z)[0] for all in (theirs, ours)]
        record["gather"] = [theirs.detach(), ours.detach(), *gradients]
        record["wrong share"] = with_a_wrong_share(fabric)
        if find_spec("triton"):
            kinds = [("max", None), ("soft", None), ("plain", None), ("soft", 2)]
            record["kernels"] = {each: by_kernels(fabric, *each) for each in kinds}
        record["trained"] = trained(devices=2, strategy="ddp")
        torch.save(record, f"{sys.argv[1]}.{fabric.global_rank}")
"""


def test_two_processes_are_as_one(tmp_path):
    """One start for all that two processes have to prove: it takes longer than the rest."""
    printed = run_script(tmp_path, SCRIPT, tmp_path / "two")
    # Else gloo's threads can abort the program while Python shuts down, now and then.
    assert printed.count("process group left open: False\n") == 2
    two = [torch.load(tmp_path / f"two.{rank}", weights_only=True) for rank in range(2)]
    names = runpy.run_path(str(tmp_path / "script.py"))
    one = names["everything"](Fabric(accelerator="cpu", devices=1))
    for family in names["LOSSES"]:
        loss_and_gradient_are_those_of_the_joined_batch(
            one["joined"][family], *(process["joined"][family] for process in two)
        )
    # The must-fail twin, and a limit: batch norms of the encoder see the part of their own process alone.
    assert abs(two[0]["own statistics"]["loss"] - one["own statistics"]["loss"]) > 1e-4
    wrong, right = two[0]["wrong share"], one["joined"]["InfoNCE"]
    assert abs(wrong["loss"] - right["loss"]) > 1e-2
    assert (wrong["gradient"] - right["gradient"]).norm() > 0.1 * right["gradient"].norm()
    for rank, process in enumerate(two):
        assert ("kernels" in process) == (find_spec("triton") is not None)
        for each, found in process.get("kernels", {}).items():
            kernels_share_the_rows(rank, names["views_of_all"](), *each, *found)
    a_training_run_is_the_same_run(names["trained"](), *(process["trained"] for process in two))
    for rank, process in enumerate(two):
        gather_is_what_fabric_gathers(rank, *process["gather"])


def loss_and_gradient_are_those_of_the_joined_batch(expected, *processes):
    """Negatives, queue, covariances and the predictor's batch statistics are those of all processes."""
    assert expected["gradient"].norm() > 1e-4
    for found in processes:
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert (found[name] - value).abs().max() < 1e-10 * (1 + value.abs().max()), name


def kernels_share_the_rows(rank, views, kind, chunk, loss, accuracy, gradient):
    """Those for a GPU, in Triton's interpreter where there is none: each process has the gradient of its own views."""
    views = [z.double().requires_grad_() for z in views]
    wanted = InfoNCE(cyclic(4), kind).contrast(*views)
    its_gradient = torch.stack(torch.autograd.grad(wanted.loss, views)).chunk(2, dim=1)[rank]
    assert loss.item() == pytest.approx(wanted.loss.item(), rel=1e-5), (kind, chunk)
    assert accuracy.item() == pytest.approx(wanted.accuracy.item())
    assert (gradient - its_gradient).norm() < 1e-4 * its_gradient.norm(), (kind, chunk)


def a_training_run_is_the_same_run(one, first, second):
    """Each process has its half of every batch, its own draws, and the same weights in the end."""
    assert first["device"].startswith("2 x CPU")
    assert torch.equal(first["weights"], second["weights"])
    assert (first["weights"] - one["weights"]).abs().max() < 1e-6
    assert first["losses"] == pytest.approx(one["losses"], rel=1e-6)
    for mine, other in zip(first["draws"], second["draws"], strict=True):
        assert mine[0] == other[0] == 4 and mine[1] != other[1]


def gather_is_what_fabric_gathers(rank, theirs, ours, their_gradient, our_gradient):
    assert torch.equal(theirs, ours)
    assert ours[:, 0, 0].tolist() == [1, 1, 2, 2]
    # Each process receives the sum over processes: weights 1 and 2 times the entries of its part.
    expected = 3 * torch.arange(16.0).view(2, 2, 1, 4)[rank]
    assert torch.equal(our_gradient, expected) and torch.equal(their_gradient, expected)


def test_batch_norms_can_be_converted():
    """SyncBatchNorm takes its statistics per channel too; here on its way back from training (it trains on GPUs)."""
    torch.manual_seed(0)
    encoder = GroupCNN(cyclic(4), channels=(3, 4))
    pictures = torch.rand(8, 1, 8, 8)
    encoder(pictures)
    expected = encoder.eval()(pictures)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(encoder)
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in converted.modules()) == 2
    assert torch.equal(converted(pictures), expected)


def test_one_process_gets_its_own_features_back():
    z = torch.randn(2, 3, 4)
    assert gather(z) is z
