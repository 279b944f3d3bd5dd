"""What tests of the notebooks of contrastive losses share: groups, random numbers, equal values and gradients."""

import pytest
import torch

from eqssl_edu.groups import cyclic, dihedral

GROUPS = [cyclic(1), cyclic(3), cyclic(4), cyclic(8), dihedral(1), dihedral(3), dihedral(4)]

over_groups = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_same(mine, theirs, *inputs):
    """Equal values and equal gradients of every input, to 1e-12 of their size."""
    results = []
    for function in (mine, theirs):
        leaves = [x.clone().requires_grad_() for x in inputs]
        output = function(*leaves)
        weights = noise(1, *output.shape, seed=9)[0]
        results.append([output, *torch.autograd.grad((output * weights).sum(), leaves)])
    for ours, library in zip(*results, strict=True):
        torch.testing.assert_close(ours, library, rtol=1e-12, atol=1e-12)
