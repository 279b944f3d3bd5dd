"""Several processes that train as one: how many there are, and batch norms that see the batch of all of them."""

from __future__ import annotations

import os

import torch
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from eqssl_edu.contrastive import Loss
from eqssl_edu.contrastive.processes import gather
from eqssl_edu.errors import got

__all__ = ["join_norms", "processes_of"]


def processes_of(devices: int | None, nodes: int | None) -> tuple[int, int]:
    """(processes a machine, machines): what torchrun or SLURM have started, else what is asked for.

    Raises:
        ValueError: when something else is asked for than was started.
    """
    if TorchElasticEnvironment.detect():
        starter, local = "torchrun", int(os.environ["LOCAL_WORLD_SIZE"])
        machines = int(os.environ["WORLD_SIZE"]) // local
    elif SLURMEnvironment.detect():
        starter, local = "SLURM", int(os.environ.get("SLURM_NTASKS_PER_NODE", "1"))
        machines = int(os.environ.get("SLURM_NNODES", "1"))
    else:
        return devices or 1, nodes or 1
    for name, asked, there in (("devices", devices, local), ("nodes", nodes, machines)):
        if asked not in (None, there):
            raise ValueError(
                f"{name} must be {there}, as {starter} has started, or be left out, {got(asked)}"
            )
    return local, machines


def join_norms(model: nn.Module, on_cpu: bool) -> None:
    """Make the batch norms of a model take the statistics of all processes, in place; its weights stay.

    A loss is left as it is: it gets the gathered features, so what it normalises is the joined batch already.

    Arguments:
        on_cpu: where ``nn.SyncBatchNorm``, which is for accelerators, does not train.

    Raises:
        ValueError: when a norm of another library would see its own process's part of a batch.
    """
    for name, part in model.named_children():
        if isinstance(part, Loss):
            continue
        for module in part.modules():
            if isinstance(module, _BatchNorm):
                if on_cpu:
                    module.__class__ = _joined(type(module))
            elif any(name.endswith("running_var") for name, _ in module.named_buffers(recurse=False)):
                kind = f"{type(module).__name__}, whose statistics are of one process (SteerableCNN over SO2 and O2)"
                raise ValueError(f"devices and nodes must be 1 for a network with {kind}")
        if not on_cpu:
            setattr(model, name, nn.SyncBatchNorm.convert_sync_batchnorm(part))


def _joined(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    """A kind of batch norm with the statistics of all processes."""
    return kind if issubclass(kind, _JoinedNorm) else type(kind.__name__, (_JoinedNorm, kind), {})


class _JoinedNorm:
    r"""A batch norm whose mean and variance are those of the equal parts of all processes.

    $\mu = \mathrm{mean}_p\, \mu_p$ and $\sigma^2 = \mathrm{mean}_p (\sigma_p^2 + (\mu_p - \mu)^2)$.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return super().forward(inputs)
        axes = [0, *range(2, inputs.ndim)]
        own = torch.stack([inputs.mean(axes), inputs.var(axes, unbiased=False)])
        means, variances = gather(own[None]).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        with torch.no_grad():
            count = inputs.numel() // inputs.shape[1] * len(means)
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        shape = (1, -1, *[1] * (inputs.ndim - 2))
        return inputs * scale.view(shape) + (self.bias - mean * scale).view(shape)
