"""How many processes there are, and batch norms that see the batch of all of them."""

import pytest
import torch
from torch import nn

from eqssl_edu.command.processes import join_norms, processes_of
from eqssl_edu.contrastive import BYOL, ContrastiveModel
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GroupMLP
from eqssl_edu.steerable import SteerableCNN
from eqssl_edu.views import RandomView

C4 = cyclic(4)
TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}
SLURM = {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train"}


@pytest.fixture(autouse=True)
def nothing_started(monkeypatch):
    for name in (*TORCHRUN, *SLURM):
        monkeypatch.delenv(name, raising=False)


def test_without_a_starter_one_asks():
    assert processes_of(None, None) == (1, 1) and processes_of(8, 4) == (8, 4)


@pytest.mark.parametrize(("starter", "there"), [("torchrun", TORCHRUN), ("SLURM", SLURM)])
def test_a_starter_says_how_many_there_are(monkeypatch, starter, there):
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    assert processes_of(None, None) == processes_of(4, None) == processes_of(4, 2) == (4, 2)
    with pytest.raises(ValueError, match=rf"^devices must be 4, as {starter} has started"):
        processes_of(2, 2)
    with pytest.raises(ValueError, match=rf"^nodes must be 2, as {starter} has started"):
        processes_of(4, 1)


def contrast(encoder):
    group, width = encoder.group, encoder.out_channels
    return ContrastiveModel(encoder, BYOL(group), RandomView(), GroupMLP(group, (width, width, width)))


@pytest.mark.parametrize("on_cpu", [True, False])
def test_all_norms_but_those_of_the_loss_are_joined(on_cpu):
    model = contrast(GroupCNN(C4, channels=(2, 3)))
    names = set(model.state_dict())
    join_norms(model, on_cpu)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    joined = [m for m in norms if isinstance(m, nn.SyncBatchNorm) or "_JoinedNorm" in str(type(m).__mro__)]
    assert (
        len(norms) == 7 and len(joined) == 6
    )  # (2 of the encoder, 1 of the projector) twice; 1 of the predictor
    assert all(m not in joined for m in model.loss.modules()) and set(model.state_dict()) == names


def test_one_process_s_joined_norm_is_a_batch_norm():
    torch.manual_seed(0)
    one, joined = (GroupCNN(C4, channels=(2, 3)).double() for _ in range(2))
    joined.load_state_dict(one.state_dict())
    join_norms(nn.ModuleDict({"encoder": joined}), on_cpu=True)
    images = 3 * torch.rand(4, 1, 9, 9, dtype=torch.float64) + 5
    for _ in range(2):  # in training, and in evaluation with what was learned there
        (one(images) * torch.arange(4)).sum().backward()
        (joined(images) * torch.arange(4)).sum().backward()
        assert (one(images) - joined(images)).abs().max() < 1e-12
        for a, b in zip(one.parameters(), joined.parameters(), strict=True):
            assert (a.grad - b.grad).abs().max() < 1e-10 * (1 + a.grad.abs().max())
        for a, b in zip(one.buffers(), joined.buffers(), strict=True):
            assert torch.allclose(a.double(), b.double(), rtol=1e-12)
        one.eval(), joined.eval()


def test_norms_of_one_process_alone_are_refused():
    model = nn.ModuleDict({"encoder": SteerableCNN("SO(2)", 1, (2,))})
    with pytest.raises(ValueError, match=r"^devices and nodes must be 1 for a network with IIDBatchNorm2d"):
        join_norms(model, on_cpu=True)
    join_norms(nn.ModuleDict({"encoder": SteerableCNN(cyclic(8), 1, (2,))}), on_cpu=True)
