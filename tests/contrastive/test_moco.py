"""MoCo: the standard loss at |G| = 1, the queue, the orbits of its keys."""

import pytest
import torch
import torch.nn.functional as F
from families import features, lightly_loss, own_elements, turned, two_views

from eqssl_edu.contrastive import MoCo, similarity
from eqssl_edu.groups import cyclic, dihedral

TRIVIAL = cyclic(1)


def batches(group, count=8):
    """z1, z2 of the network and t1, t2 of its slow copy."""
    z1, z2 = two_views(group, count)
    return z1, z2, z1 + 0.3 * features(group, count, seed=5), z2 + 0.3 * features(group, count, seed=6)


def vectors(*features):
    return [F.normalize(z.flatten(1)) for z in features]


@pytest.mark.parametrize("kind", ["max", "soft"])
def test_C5_trivial_group_gives_the_standard_loss(kind):
    """Algorithm 1 of the paper, for both directions: the positive's logit first, then the queue's."""
    loss, data = MoCo(TRIVIAL, kind, temperature=0.3, size=16), batches(TRIVIAL)
    value = loss(*data)
    z1, z2, t1, t2, queue = vectors(*data, loss.queue)

    def direction(q, k):
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], dim=1)
        return F.cross_entropy(logits / 0.3, torch.zeros(len(q), dtype=torch.long))

    assert abs(value - (direction(z1, t2) + direction(z2, t1)) / 2) < 1e-12


def test_C5_trivial_group_gives_lightlys_loss():
    theirs = lightly_loss("ntx_ent_loss").NTXentLoss(temperature=0.3, memory_bank_size=(16, 3))
    ours, data = MoCo(TRIVIAL, temperature=0.3, size=16), batches(TRIVIAL)
    value = ours(*data)
    theirs.memory_bank.bank = ours.queue[:, :, 0].clone()
    z1, z2, t1, t2 = (z[:, :, 0] for z in data)
    assert abs(value - (theirs(z1, t2) + theirs(z2, t1)) / 2) < 1e-12


def test_C5_the_formula_with_a_group():
    """Every key, in the batch and in the queue, counts with its nearest turned copy."""
    group = dihedral(4)
    loss, data = MoCo(group, "max", 0.3, size=5), batches(group, 4)
    value = loss(*data)
    queries, keys = torch.cat(vectors(*data[:2])), [*vectors(data[3]), *vectors(data[2])]

    def similarity(q, key):
        copies = [group.transform_features(key[None], g).flatten() for g in group.elements]
        return max(float(q @ copy) for copy in copies)

    total = 0.0
    for q, key in zip(queries, torch.cat(keys), strict=True):
        scores = (
            torch.tensor([similarity(q, k) for k in (key.view(3, 8), *loss.queue)], dtype=torch.float64) / 0.3
        )
        total -= float(scores.log_softmax(0)[0]) / len(queries)
    assert abs(value - total) < 1e-12


def test_C5_the_queue_holds_the_last_keys_as_unit_regular_features():
    group = cyclic(4)
    loss = MoCo(group, size=12)
    z1, z2, t1, t2 = batches(group, 4)
    loss(z1, z2, t1, t2)
    start = loss.queue.clone()
    assert start.shape == (12, 3, 4)
    assert (start.flatten(1).norm(dim=1) - 1).abs().max() < 1e-6
    loss.enqueue(t1, t2)
    assert torch.equal(loss.queue[:4], start[8:])
    assert (loss.queue[4:].flatten(1) - torch.cat(vectors(t1, t2))).abs().max() < 1e-12
    loss.enqueue(t2, t1)
    assert (loss.queue[8:].flatten(1) - vectors(t1)[0]).abs().max() < 1e-12
    assert loss.queue.shape == start.shape


def test_C5_queries_are_turned_and_not_the_keys(monkeypatch):
    """The queue is never copied |G| times: what is turned are the 2B queries."""
    counts = []

    def watched(few, many, *tables):
        counts.append(len(few))
        return correlated(few, many, *tables)

    correlated = similarity.products_with_copies
    monkeypatch.setattr(similarity, "products_with_copies", watched)
    group = dihedral(4)
    MoCo(group, "max", size=40)(*batches(group))
    assert counts == [16]


def test_keys_in_the_queue_may_be_turned():
    """What is stored is one member of an orbit; which one does not matter."""
    group = dihedral(4)
    data = batches(group)
    first, second = MoCo(group, size=32), MoCo(group, size=32)
    for loss, targets in ((first, data[2:]), (second, turned(group, *data[2:]))):
        loss(*data)
        loss.enqueue(*targets)
    assert abs(first(*data) - second(*data)) < 1e-12
    naive = MoCo(group, "plain", size=32)
    naive.queue = first.queue
    before = naive(*data)
    naive.queue = group.transform_features(first.queue, own_elements(group, 32))
    assert abs(naive(*data) - before) > 1e-2


def test_keys_send_no_gradient():
    group = cyclic(4)
    data = [z.requires_grad_() for z in batches(group)]
    loss = MoCo(group, size=8)
    gradients = torch.autograd.grad(loss(*data), data, allow_unused=True)
    assert all(g.abs().max() > 0 for g in gradients[:2]) and gradients[2:] == (None, None)
    alone = [z.requires_grad_() for z in two_views(group)]
    assert loss.logits(*alone)[:, 0].grad_fn is not None
    gradient = torch.autograd.grad(loss(*alone), alone)
    expected = torch.autograd.grad(loss(*alone, *(z.detach() for z in alone)), alone)
    assert all(torch.equal(a, b) for a, b in zip(gradient, expected, strict=True))


def test_a_step_may_enqueue_before_its_backward_pass():
    group = cyclic(4)
    z1, z2, t1, t2 = batches(group)
    z1.requires_grad_()
    loss = MoCo(group, size=8)
    value = loss(z1, z2, t1, t2)
    (expected,) = torch.autograd.grad(value, z1, retain_graph=True)
    loss.enqueue(t1, t2)
    value.backward()
    assert torch.equal(z1.grad, expected)


def test_accuracy_says_how_often_the_partner_wins():
    group = cyclic(4)
    z = features(group)
    loss = MoCo(group, "max", size=8)
    assert loss.contrast(z, z, *turned(group, z, z)).accuracy == 1
    loss.enqueue(z[:4], z[4:])  # now every key is in the queue too, and argmax takes the first: the partner
    worse = loss.contrast(z, z, *(features(group, seed=seed) for seed in (3, 4)))
    assert worse.accuracy == 0
    assert abs(loss(z, z) - loss.contrast(z, z).loss) < 1e-12


def test_keys_can_be_put_into_a_queue_that_was_never_called(as_a_user):
    loss, keys = MoCo(cyclic(4), size=8), torch.randn(2, 3, 4)
    loss.enqueue(keys, keys)
    assert loss.queue.shape == (8, 3, 4)
    with pytest.raises(ValueError, match="channels must be one of 3, got 5"):
        loss.enqueue(torch.randn(2, 5, 4), torch.randn(2, 5, 4))


def test_a_queue_that_is_there_is_not_filled_again():
    loss, keys = MoCo(cyclic(4), size=8), torch.randn(2, 3, 4)
    loss.enqueue(keys, keys)
    before = loss.queue.clone()
    loss.build(3)
    assert torch.equal(loss.queue, before)
    loss.enqueue(keys.double(), keys.double())
    assert loss.queue.dtype == before.dtype


def test_a_loss_of_its_own_loads_its_state_after_build():
    saved = MoCo(cyclic(4), size=8)
    saved.enqueue(torch.randn(2, 3, 4), torch.randn(2, 3, 4))
    loss = MoCo(cyclic(4), size=8)
    loss.build(3)
    loss.load_state_dict(saved.state_dict())
    assert torch.equal(loss.queue, saved.queue)
