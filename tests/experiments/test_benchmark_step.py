"""The benchmark of a ResNet's step compares what it says: the same fields, the same sizes, every gradient."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from eqssl_edu.encoders import GroupResNet, count_multiplications
from eqssl_edu.groups import cyclic, dihedral

CPU, IMAGES = torch.device("cpu"), torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("resnet_step")
    sys.path.pop(0)


def test_its_table_has_a_row_for_each_group(benchmark):
    lines = benchmark.table(CPU, rounds=6, batch=2, width=8, side=8)
    rows = [line for line in lines if line.startswith(("| C4", "| D4"))]
    assert len(rows) == 2 and all(row.count("|") == 7 and row.count("[") == 2 for row in rows)


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], ids=str)
def test_its_network_of_escnn_is_ours_field_by_field(benchmark, group):
    ours, theirs = GroupResNet(group, 3, 1), benchmark.SteerableResNet(group, 1)
    assert count_multiplications(ours, IMAGES) == count_multiplications(theirs.eval(), IMAGES)
    with torch.no_grad():
        for network in (ours.eval(), theirs):
            z, turned = network(IMAGES), network(group.transform(IMAGES, 1))
            assert z.shape == (2, 8, group.order)
            assert torch.allclose(turned, group.transform_features(z, 1), atol=1e-5)
            assert not torch.allclose(turned, z, atol=1e-3)


def test_each_step_gives_the_gradients_of_all_weights(benchmark):
    for step in benchmark.candidates(cyclic(4), 4, 8, 8, CPU).values():
        gradients = step()
        assert len(gradients) == len(list(step.model.parameters()))
        assert sum(float(each.abs().sum()) > 0 for each in gradients) > 0.9 * len(gradients)
