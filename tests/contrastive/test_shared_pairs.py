"""All pairs shared out among processes: loss, accuracy and gradient of the whole, and a P-th of the work for each.

Threads stand for the processes here; tests/contrastive/test_processes.py starts two real ones.
"""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from families import circle_features, features, two_views
from torch import distributed
from torch.utils.flop_counter import FlopCounterMode

from eqssl_edu.circle import so2
from eqssl_edu.contrastive import InfoNCE, chunks
from eqssl_edu.groups import cyclic, dihedral

JOINED = {
    distributed.ReduceOp.SUM: lambda tensors: tensors.sum(0),
    distributed.ReduceOp.MAX: lambda tensors: tensors.amax(0),
    distributed.ReduceOp.MIN: lambda tensors: tensors.amin(0),
}


@pytest.fixture
def by_processes(monkeypatch):
    """(work, P, ranks) -> what each of P threads gives, each taken for a process of its rank."""
    here = threading.local()

    def run(work, count, ranks=None):
        meeting, shown = threading.Barrier(count, timeout=60), [None] * count

        def all_reduce(tensor, op=distributed.ReduceOp.SUM):
            shown[here.number] = tensor
            meeting.wait()
            joined = JOINED[op](torch.stack(shown))
            meeting.wait()
            tensor.copy_(joined)

        def process(number):
            here.number, here.rank = number, (ranks or range(count))[number]
            try:
                return work()
            except BaseException:
                meeting.abort()  # or the others would wait for it
                raise

        monkeypatch.setattr(chunks, "place", lambda: (here.rank, count))
        monkeypatch.setattr(distributed, "all_reduce", all_reduce)
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(process, range(count)))

    return run


def measured(loss, views, **how):
    """Loss, accuracy, and the gradient of both views."""
    views = [view.detach().requires_grad_() for view in views]
    value, accuracy = loss.contrast(*views, **how)
    return value.detach(), accuracy, torch.stack(torch.autograd.grad(value, views))


SHARED = [
    *[(dihedral(4), kind, 3, 2) for kind in ("plain", "mean", "max", "soft", "power3", "canonical")],
    *[(cyclic(4), "max", chunk, count) for chunk in (1, 2, None) for count in (2, 3, 5)],
    (so2(3), "soft", 2, 3),
    (cyclic(4), "soft", None, 9),  # more than there are images: some have nothing to do
]


@pytest.mark.parametrize(("group", "kind", "chunk", "count"), SHARED, ids=str)
def test_the_mean_over_processes_is_the_gradient_of_the_whole(by_processes, group, kind, chunk, count):
    loss = InfoNCE(group, kind, 0.3, chunk)
    views = [circle_features(group, 7, seed=s) for s in (0, 1)] if group == so2(3) else two_views(group, 7)
    value, accuracy, gradient = measured(loss, views)
    found = by_processes(lambda: measured(loss, views, together=True), count)
    for its_value, its_accuracy, _ in found:
        assert abs(its_value - value) < 1e-12 and its_accuracy == accuracy
    parts = torch.stack([part for *_, part in found])
    assert (parts.mean(0) - gradient).abs().max() < 1e-12
    assert all((part - gradient).norm() > 0.1 * gradient.norm() for part in parts)  # none did all of it


@pytest.mark.parametrize("ranks", [(0, 0), (1, 1)])
def test_a_wrong_share_is_noticed(by_processes, ranks):
    """Must fail: both take the same pairs, so others are left out."""
    loss, views = InfoNCE(cyclic(4), "max", 0.3, 2), two_views(cyclic(4))
    value, _, gradient = measured(loss, views)
    found = by_processes(lambda: measured(loss, views, together=True), 2, ranks)
    parts = torch.stack([part for *_, part in found])
    assert not abs(found[0][0] - value) < 1e-2
    assert not (parts.mean(0) - gradient).norm() < 0.1 * gradient.norm()


@pytest.mark.parametrize("count", [2, 4])
def test_each_does_its_share_of_the_work(by_processes, count):
    loss, views = InfoNCE(cyclic(4), "soft", chunk=4), two_views(cyclic(4), 64)

    def work(**how):
        with FlopCounterMode(display=False) as counter:
            measured(loss, views, **how)
        return counter.get_total_flops()

    everything = work()
    shares = by_processes(lambda: work(together=True), count)
    assert sum(shares) == pytest.approx(everything, rel=0.02)
    assert max(shares) == pytest.approx(everything / count, rel=0.05)


def test_of_equally_similar_views_the_first_counts(by_processes):
    """As for one process: a collapsed network is not called accurate by each of them."""
    z, loss = features(cyclic(4), 1).expand(8, 3, 4), InfoNCE(cyclic(4), "max")
    for value, accuracy, _ in by_processes(lambda: measured(loss, [z, z], together=True), 3):
        assert abs(value - math.log(15)) < 1e-9
        assert accuracy == loss.contrast(z, z).accuracy < 0.2


def test_broken_features_are_not_hidden(by_processes):
    z, loss = features(cyclic(4)).clone(), InfoNCE(cyclic(4), "max")
    z[7, 1, 0] = math.nan
    assert all(value.isnan() for value, *_ in by_processes(lambda: measured(loss, [z, z], together=True), 3))


def test_one_process_has_nobody_to_share_with():
    loss, views = InfoNCE(cyclic(4)), two_views(cyclic(4))
    for alone, together in zip(measured(loss, views), measured(loss, views, together=True), strict=True):
        assert torch.equal(alone, together)
