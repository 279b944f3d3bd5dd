"""Rotation: labels that move with the input, the cap of an invariant head, one scorer, the right cosets."""

import math

import pytest
import torch
from families import by_name, label_error, noise, side_by_side

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead, GSetHead, InvariantHead
from eqssl_edu.pretext import PretextModel, RotationTask, image_caps
from eqssl_edu.theory import label_cap

GROUPS = [cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]


def model_with(head, group):
    torch.manual_seed(0)
    task = RotationTask(group)
    encoder = GroupCNN(group, channels=(4, 6))
    heads = {
        "equivariant": GSetHead(task.labels, 6),
        "invariant": InvariantHead(task.labels, 6),
        "free": FreeHead(task.labels, 6, group.order),
    }
    return PretextModel(encoder, task, heads[head]).double()


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_sample_turns_each_image_by_its_label(group):
    images, task = noise(6), RotationTask(group)
    inputs, labels = task.sample(images, torch.Generator().manual_seed(1))
    for image, turned, label in zip(images, inputs, labels, strict=True):
        assert torch.equal(turned, group.transform(image, int(label)))


def test_t1_invariant_head_has_accuracy_exactly_one_over_g():
    """T1: whatever an invariant network says, it is right for exactly one of the |G| copies."""
    for group in GROUPS:
        model = model_with("invariant", group)
        loss, accuracy = model.evaluate(noise(20))
        assert accuracy == model.cap == 1 / group.order
        assert loss >= torch.tensor(float(group.order)).log().item() - 1e-12
    assert model_with("equivariant", cyclic(4)).cap == 1.0


def test_t1_the_cap_holds_only_for_invariant_heads():
    """The must-fail twin: a free head on the same features can cross the cap."""
    model, images = model_with("free", cyclic(4)), noise(4)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        optimizer.zero_grad()
        model.training_step(images, generator)["loss"].backward()
        optimizer.step()
    assert model.evaluate(images)[1] > 1 / 4


# -- T3: one scorer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)
def test_t3_logits_are_one_scorer_on_the_turned_copies(group):
    """T3: o(y)[h] = s(h^-1 y) with s(y) = o(y)[e]."""
    model, inputs = model_with("equivariant", group).eval(), noise()
    with torch.no_grad():
        logits = model(inputs)
        scores = [model(group.transform(inputs, int(group.inverse[h])))[:, 0] for h in group.elements]
    assert (logits - torch.stack(scores, dim=1)).abs().max() < 1e-12


def test_t3_holds_for_no_free_head():
    """The must-fail twin."""
    model, inputs = model_with("free", cyclic(4)).eval(), noise()
    with torch.no_grad():
        scores = [model(cyclic(4).transform(inputs, (4 - h) % 4))[:, 0] for h in range(4)]
        assert (model(inputs) - torch.stack(scores, dim=1)).abs().max() > 1e-3


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)
def test_t3_equivariant_maps_into_r_g_are_as_many_as_scorers(group):
    """On any finite set of inputs the equivariant maps into R^G have the dimension of the functions s: |inputs|."""
    orbits = [GSet.quotient(group, subgroup) for subgroup in group.subgroups()]
    for inputs in [*orbits, side_by_side(orbits[0], orbits[-1])]:
        pairs = inputs.times(GSet.regular(group))  # an equivariant map is constant on the orbits of (y, l)
        assert len(pairs.orbits) == inputs.size


def test_t3_on_rotation_invariant_data_nothing_is_learned():
    """All turned copies of an image are in the data: the best expected loss of any scorer is log|G|."""
    group = cyclic(4)
    images = torch.cat([group.transform(noise(3), h) for h in group.elements])
    for head in ("equivariant", "free"):
        model = model_with(head, group)
        loss, accuracy = model.evaluate(images)
        assert loss >= math.log(4) - 1e-12 and accuracy == pytest.approx(1 / 4)
        # Upright data are another matter: there a scorer may be right.
    assert image_caps(RotationTask(group), noise(3)).tolist() == [1, 1, 1]


# -- T5: the right label set ---------------------------------------------------------------------------------------


def best(task, images):
    """(nats, accuracy): the best answer to all inputs of all images, by counting equal pictures."""
    inputs, labels = task.every_input(images)
    answers = {}
    for case, label in zip(inputs, labels.tolist(), strict=True):
        for picture in case:
            answers.setdefault(picture.numpy().tobytes(), []).append(label)
    total = sum(map(len, answers.values()))
    nats = accuracy = 0.0
    for said in answers.values():
        counts = torch.tensor([said.count(l) for l in set(said)], dtype=torch.float64)
        nats -= (counts * (counts / counts.sum()).log()).sum().item() / total
        accuracy += counts.max().item() / total
    return nats, accuracy


@pytest.mark.parametrize("subgroup", [(0,), (0, 5), (0, 1, 2, 3), tuple(range(8))], ids=str)
def test_t5_cosets_of_the_data_symmetry(subgroup):
    """T5: on data with the symmetry H the labels G are capped at 1/|H|, log|H|; the labels G/H are not."""
    group = dihedral(4)
    images = torch.cat([group.transform(noise(2), h) for h in subgroup])  # as likely turned by h as not
    nats, accuracy = best(RotationTask(group), images)
    assert nats == pytest.approx(math.log(len(subgroup))) and accuracy == pytest.approx(1 / len(subgroup))
    for kept in group.subgroups():
        task = RotationTask(group, kept)
        wanted = label_cap(task.labels, subgroup)
        nats, accuracy = best(task, images)
        assert nats == pytest.approx(wanted.nats) and accuracy == pytest.approx(wanted.accuracy)
        assert (accuracy == pytest.approx(1)) == set(subgroup).issubset(kept)


def test_t5_mirror_images_and_eight_labels():
    """T5's example: RandomHorizontalFlip in the data, D4: 50 % and 0.693 nats with 8 labels."""
    images = torch.cat([noise(), noise().flip(-1)])
    assert best(RotationTask(dihedral(4)), images) == pytest.approx((0.6931471805599453, 0.5))
    assert best(RotationTask(dihedral(4), (0, 4)), images) == pytest.approx((0, 1))
    assert best(RotationTask(dihedral(4), (0, 5)), images)[1] == pytest.approx(0.5)  # the wrong axis


@pytest.mark.parametrize("subgroup", [(0,), (0, 5), (0, 1, 2, 3), tuple(range(8))], ids=str)
def test_coset_labels_move_with_the_input(subgroup):
    group, images = dihedral(4), noise(30)
    task = RotationTask(group, subgroup)
    inputs, labels = task.sample(images, torch.Generator().manual_seed(1))
    turns = torch.tensor(
        [
            next(g for g in group.elements if torch.equal(group.transform(x, g), y))
            for x, y in zip(images, inputs, strict=True)
        ]
    )
    assert all(t in task.cosets[l] for t, l in zip(turns.tolist(), labels.tolist(), strict=True))
    assert len(set(turns.tolist())) > 1  # all members of a coset are drawn
    torch.manual_seed(0)
    model = PretextModel(GroupCNN(group, channels=(4, 6)), task).double()
    assert label_error(model, task, inputs) < 1e-12
