"""Caps, floors and the price of inconsistency, against brute force (T1, T2, T4, T5, T8)."""

import math

import pytest
import torch
import torch.nn.functional as F
from families import by_name, noise, side_by_side

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead
from eqssl_edu.pretext import JigsawTask, PretextModel
from eqssl_edu.theory import equivariant_floor, inconsistency_floor, label_cap

C4, D4 = cyclic(4), dihedral(4)


# -- T4: the best equivariant network, found by optimisation -----------------------------------------------------


def optimum(law, inputs, labels):
    """Minimise the cross entropy over the logits of every equivariant map. The problem is convex."""
    orbit = inputs.times(labels).orbit_index.reshape(law.shape)  # o(g y)[g.l] = o(y)[l]: one number each
    free = torch.zeros(int(orbit.max()) + 1, dtype=torch.float64, requires_grad=True)
    precise = {"tolerance_grad": 1e-10, "tolerance_change": 1e-14, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS([free], lr=1, max_iter=300, **precise)

    def loss():
        return -(law * F.log_softmax(free[orbit], dim=1)).sum()

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    return loss().item(), free.detach()[orbit]


def random_law(inputs, labels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    law = torch.rand(inputs.size, labels.size, dtype=torch.float64, generator=generator) ** 3
    return law / law.sum()


def inputs_of(group):
    """Inputs without a symmetry, and inputs with one."""
    return side_by_side(GSet.regular(group), GSet.quotient(group, group.subgroups()[-1]))


PAIRS = [
    pytest.param(inputs_of(C4), GSet.regular(C4), id="C4 regular"),
    pytest.param(inputs_of(C4), GSet.trivial(C4, 3), id="C4 trivial"),
    pytest.param(inputs_of(dihedral(2)), GSet.grid(dihedral(2), 3), id="D2 grid"),
    pytest.param(inputs_of(D4), GSet.neighbours(D4), id="D4 neighbours"),
    pytest.param(GSet.grid(D4, 3), GSet.jigsaw(D4, 2), id="D4 jigsaw"),
]


@pytest.mark.parametrize(("inputs", "labels"), PAIRS)
def test_t4_floor_is_the_optimum(inputs, labels):
    """T4: H_p(l | y) + I(l'; g | y') is what the best equivariant network reaches, for any law."""
    law = random_law(inputs, labels)
    floor = equivariant_floor(law, inputs, labels)
    reached, _ = optimum(law, inputs, labels)
    assert reached == pytest.approx(floor.nats, abs=1e-8)
    assert floor.nats == pytest.approx(floor.uncertainty + floor.price, abs=1e-12)
    # What a network without symmetry reaches.
    free = -(law * (law / law.sum(dim=1, keepdim=True)).log()).sum()
    assert floor.uncertainty == pytest.approx(free.item(), abs=1e-12)
    assert floor.price > 1e-3


@pytest.mark.parametrize(("inputs", "labels"), PAIRS)
def test_t4_price_is_the_mutual_information(inputs, labels):
    """I(l'; g | y') from the joint law of (g, y', l'), in the definition's own words."""
    law, order = random_law(inputs, labels), inputs.group.order
    joint = torch.zeros(order, *law.shape, dtype=torch.float64)
    for g in range(order):
        for y in range(inputs.size):
            for l in range(labels.size):
                joint[g, inputs.action[g, y], labels.action[g, l]] += law[y, l] / order
    given = joint.sum(dim=(0, 2))[None, :, None]
    both = joint.sum(dim=0, keepdim=True) / given
    turn = joint.sum(dim=2, keepdim=True) / given
    information = (joint * (joint / given / (both * turn)).log()).nansum().item()
    assert equivariant_floor(law, inputs, labels).price == pytest.approx(information, abs=1e-12)


@pytest.mark.parametrize(("inputs", "labels"), PAIRS)
def test_t4_accuracy_is_the_best_over_answers(inputs, labels):
    """The best equivariant answer to each orbit of inputs, one after the other."""
    law = random_law(inputs, labels)
    best = 0.0
    for orbit in inputs.orbits:
        first = orbit[0]
        right = torch.zeros(labels.size, dtype=torch.float64)
        fixed = inputs.stabilizer(first)
        for y in orbit:
            g = inputs.action[:, first].tolist().index(y)
            for s in fixed:  # a symmetric input gets all answers s.l equally
                right += law[y, labels.action[g, labels.action[s]]] / len(fixed)
        best += right.max().item()
    assert equivariant_floor(law, inputs, labels).accuracy == pytest.approx(best, abs=1e-12)


def test_t4_an_invariant_law_costs_nothing():
    law = random_law(GSet.regular(D4), GSet.neighbours(D4))
    mixed = sum(law[D4.product[g]][:, GSet.neighbours(D4).action[g]] for g in D4.elements) / 8
    floor = equivariant_floor(mixed, GSet.regular(D4), GSet.neighbours(D4))
    assert floor.price < 1e-12
    wrong = equivariant_floor(mixed, GSet.regular(D4), GSet.trivial(D4, 8))
    assert wrong.price > 0.01 and wrong.uncertainty == pytest.approx(floor.uncertainty)


# -- T8: the table -------------------------------------------------------------------------------------------------

MIRROR = (0, 4)
TABLE = [  # group, action, data symmetry, nats, accuracy
    *[(group, "conjugation", tuple(group.elements), 0, 1) for group in (C4, D4)],
    *[(group, action, (0,), 0, 1) for group in (C4, D4) for action in ("left", "trivial")],
    (C4, "left", (0, 1, 2, 3), 1.386, 0.250),
    (D4, "left", tuple(range(8)), 2.079, 0.125),
    (C4, "trivial", (0, 1, 2, 3), 1.040, 0.417),
    (D4, "trivial", tuple(range(8)), 1.329, 0.333),
    (D4, "left", MIRROR, 0.693, 0.500),
    (D4, "trivial", MIRROR, 0.462, 0.667),
]
IDS = [f"{group.name} {action} {symmetry}" for group, action, symmetry, *_ in TABLE]


def pictures(task, images):
    """Every input and its label, and all turned copies as the head sees them: {picture: [labels]}."""
    answers = {}
    inputs, labels = task.every_input(images)
    for case, label in zip(inputs, labels, strict=True):
        for g in task.group.elements:
            for picture in task.transform(case, g):
                key = picture.numpy().tobytes()
                answers.setdefault(key, []).append(int(task.labels.action[g, label]))
    return answers


@pytest.mark.parametrize(("group", "action", "symmetry", "nats", "accuracy"), TABLE, ids=IDS)
def test_t8_table_and_counting_real_pictures(group, action, symmetry, nats, accuracy):
    """No theory at all: make every input of an image and its copies, and count the labels of equal pictures."""
    images = torch.cat([group.transform(noise(1, 4), h) for h in symmetry])
    answers = pictures(JigsawTask(group, 2, action), images)
    total = sum(map(len, answers.values()))
    loss = right = 0.0
    for labels in answers.values():
        counts = torch.tensor(labels).bincount().double()
        loss -= torch.special.xlogy(counts, counts / counts.sum()).sum().item() / total
        right += counts.max().item() / total
    true, assumed = GSet.jigsaw(group, 2), GSet.jigsaw(group, 2, action)
    assert inconsistency_floor(true, assumed, symmetry) == pytest.approx((loss, right), abs=1e-12)
    assert (loss, right) == pytest.approx((nats, accuracy), abs=5e-4)


@pytest.mark.parametrize(("group", "action", "symmetry"), [(C4, "left", (0, 2)), (D4, "trivial", MIRROR)])
def test_t8_floor_is_the_optimum(group, action, symmetry):
    """The input shows the pose k of the image and where the tiles are: a pair (k, m). Optimise the logits on it."""
    true, assumed = GSet.jigsaw(group, 2), GSet.jigsaw(group, 2, action)
    inputs = GSet.regular(group).times(true)
    law = torch.zeros(inputs.size, true.size, dtype=torch.float64)
    for h in symmetry:
        for label in range(true.size):
            law[h * true.size + label, label] = 1 / (len(symmetry) * true.size)
    floor = inconsistency_floor(true, assumed, symmetry)
    reached, logits = optimum(law, inputs, assumed)
    assert floor.nats - 1e-9 <= reached < floor.nats + 1e-5
    chosen = logits.argmax(dim=1)
    assert law[torch.arange(inputs.size), chosen].sum().item() == pytest.approx(floor.accuracy, abs=1e-9)
    general = equivariant_floor(law, inputs, assumed)
    assert (general.nats, general.accuracy) == pytest.approx(floor, abs=1e-12)
    assert general.uncertainty == pytest.approx(0, abs=1e-12)  # an unconstrained network reaches 0


@pytest.mark.parametrize("group", [C4, dihedral(2)], **by_name)
def test_inconsistency_floor_is_t4_for_any_choice(group):
    """Every pair of sets of eight labels that the library can make, every data symmetry, against T4's formula."""
    sets = [
        GSet.neighbours(group),
        GSet.trivial(group, 8),
        side_by_side(GSet.grid(group, 2), GSet.grid(group, 2)),
    ]
    for true in sets:
        for assumed in sets:
            for symmetry in group.subgroups():
                inputs = GSet.regular(group).times(true)
                law = torch.zeros(group.order, 8, 8, dtype=torch.float64)
                law[list(symmetry)] = torch.eye(8, dtype=torch.float64) / (8 * len(symmetry))
                wanted = equivariant_floor(law.flatten(0, 1), inputs, assumed)
                got = inconsistency_floor(true, assumed, symmetry)
                assert got == pytest.approx((wanted.nats, wanted.accuracy), abs=1e-12)
                if symmetry == (0,) or true is assumed:
                    assert got == pytest.approx((0, 1), abs=1e-12)


@pytest.mark.parametrize("group", [C4, D4], **by_name)
def test_t5_is_the_price_of_the_left_action_on_poses(group):
    """If the image turns along, a pose t is moved to g t g^-1. The left action then costs log|H|."""
    conjugation = group.product[group.product, group.inverse[:, None]]  # [g, t]
    for symmetry in group.subgroups():
        floor = inconsistency_floor(GSet(group, conjugation), GSet.regular(group), symmetry)
        assert floor == pytest.approx((math.log(len(symmetry)), 1 / len(symmetry)), abs=1e-12)
        assert label_cap(GSet.regular(group), symmetry) == pytest.approx(floor, abs=1e-12)


@pytest.mark.parametrize("group", [C4, D4], **by_name)
def test_t1_rotation_is_capped_for_an_invariant_output_on_any_data(group):
    """Its input shows t h alone: no data, upright or not, forgives the trivial action. Jigsaw and location differ."""
    poses, still = GSet.regular(group), GSet.trivial(group, group.order)
    for symmetry in group.subgroups():
        law = torch.zeros(group.order, group.order, dtype=torch.float64)  # the picture t h, the label t
        for t in group.elements:
            law[group.product[t, list(symmetry)], t] = 1 / (group.order * len(symmetry))
        invariant, left = equivariant_floor(law, poses, still), equivariant_floor(law, poses, poses)
        assert (invariant.nats, invariant.accuracy) == pytest.approx((math.log(group.order), 1 / group.order))
        assert (left.nats, left.accuracy) == pytest.approx((math.log(len(symmetry)), 1 / len(symmetry)))
        assert left.price == pytest.approx(0, abs=1e-12)  # nobody can know it
    jigsaw = GSet.jigsaw(group, 2)
    assert inconsistency_floor(jigsaw, GSet.jigsaw(group, 2, "trivial"), (0,)).nats == 0


# -- training stops at the floor -----------------------------------------------------------------------------------


def trained(model, images, turns, steps, seed=0):
    """Train on freshly drawn labels and freshly turned images: a fixed sample could be memorised below the floor."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-2, total_steps=steps)
    batch = images.repeat(64, 1, 1, 1)
    group = model.task.group
    for _ in range(steps):
        fresh = group.transform(batch, turns[torch.randint(len(turns), (len(batch),), generator=generator)])
        optimizer.zero_grad()
        model.training_step(fresh, generator)["loss"].backward()
        optimizer.step()
        schedule.step()
    return model


HAS_A_FLOOR = [row for row in TABLE if row[3] > 0]


@pytest.mark.parametrize(
    ("group", "action", "symmetry", "nats", "accuracy"),
    [*HAS_A_FLOOR, (C4, "conjugation", (0, 1, 2, 3), 0, 1)],
    ids=lambda value: getattr(value, "name", None),
)
def test_t8_training_approaches_the_floor_and_never_crosses_it(group, action, symmetry, nats, accuracy):
    """Every cell of the table with a price, and one without: within 0.05 nats of the floor, never below it."""
    images = noise(1, 4, dtype=torch.float32)
    torch.manual_seed(0)
    task = JigsawTask(group, 2, action)
    model = PretextModel(GroupCNN(group, channels=(16,)), task, hidden=64)
    floor = inconsistency_floor(JigsawTask(group, 2).labels, task.labels, symmetry)
    assert floor == pytest.approx((nats, accuracy), abs=5e-4)
    population = torch.cat([group.transform(images, g) for g in symmetry])
    for steps in (0, 5, 160):
        trained(model, images, torch.tensor(symmetry), steps) if steps else None
        loss, reached = model.evaluate(population, seed=None)
        assert loss >= floor.nats - 1e-9 and reached <= floor.accuracy + 1e-9
    assert loss < floor.nats + 0.05 and reached > floor.accuracy - 0.05


def test_a_free_head_pays_no_price():
    """The must-fail twin: on the drawn inputs it goes below the floor; over all their turns nobody does."""
    images = noise(1, 4, dtype=torch.float32)
    torch.manual_seed(0)
    task = JigsawTask(C4, 2, "left")
    model = PretextModel(GroupCNN(C4, channels=(16,)), task, FreeHead(task.labels, 64, 4), hidden=64)
    trained(model, images, torch.arange(4), 160)
    floor = inconsistency_floor(JigsawTask(C4, 2).labels, task.labels, (0, 1, 2, 3))
    turned = torch.cat([C4.transform(images, g) for g in C4.elements])
    assert model.evaluate(turned, seed=None, turned=False)[0] < floor.nats - 0.3
    assert model.evaluate(turned, seed=None)[0] >= floor.nats


# -- caps and stabilisers ------------------------------------------------------------------------------------------


def test_label_cap_counts_the_labels_that_cannot_be_told_apart():
    for group in (C4, D4):
        assert label_cap(GSet.regular(group), tuple(group.elements)).accuracy == 1 / group.order  # T1
        for symmetry in group.subgroups():
            assert label_cap(GSet.quotient(group, symmetry), symmetry) == (0.0, 1.0)  # T5
    neighbours = GSet.neighbours(D4)
    assert label_cap(neighbours, (0, 4), neighbours.names.index("north")).accuracy == 1
    assert label_cap(neighbours, (0, 4), neighbours.names.index("west")) == pytest.approx((math.log(2), 0.5))


REFUSED = [  # (what is called, the name that the message begins with)
    (lambda: label_cap(4, (0,)), "labels"),
    (lambda: label_cap(GSet.regular(C4), (0, 1)), "symmetry"),
    (lambda: label_cap(GSet.regular(C4), (0,), 4), "label"),
    (lambda: inconsistency_floor(4, GSet.regular(C4), (0,)), "true_labels"),
    (lambda: inconsistency_floor(GSet.regular(C4), GSet.trivial(C4, 3), (0,)), "assumed_labels"),
    (lambda: inconsistency_floor(GSet.regular(C4), GSet.grid(cyclic(2), 2), (0,)), "assumed_labels"),
    (lambda: inconsistency_floor(GSet.regular(C4), GSet.regular(C4), (0, 1)), "data_symmetry"),
    (lambda: equivariant_floor(torch.eye(4), GSet.regular(C4), GSet.regular(C4)), "law"),
    (lambda: equivariant_floor(-torch.eye(4) / 4, GSet.regular(C4), GSet.regular(C4)), "law"),
    (lambda: equivariant_floor(torch.eye(4) * torch.nan, GSet.regular(C4), GSet.regular(C4)), "law"),
    (lambda: equivariant_floor(torch.eye(3) / 3, GSet.regular(C4), GSet.regular(C4)), "law"),
    (lambda: equivariant_floor(torch.eye(4) / 4, "poses", GSet.regular(C4)), "inputs"),
    (lambda: equivariant_floor(torch.eye(4) / 4, GSet.regular(C4), GSet.grid(D4, 2)), "labels"),
]


def test_each_door_refuses_and_names_the_argument(as_a_user):
    for call, name in REFUSED:
        with pytest.raises((TypeError, ValueError), match=f"^{name}"):
            call()
