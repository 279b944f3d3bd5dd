"""The checks of notebooks A1 to A1c."""

import itertools

import numpy as np
import pytest
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.evaluation import interval
from eqssl_edu.exercises import notebook_A1

pytest.importorskip("eqssl_edu.steerable", exc_type=ImportError)  # notebook A1b imports it

# -- A1.is_action ----------------------------------------------------------------------------------------------------


def starts_with_the_identity(table, group):
    return torch.equal(table[0], torch.arange(table.shape[1]))


def composes_backwards(table, group):
    return starts_with_the_identity(table, group) and torch.equal(table[group.product.T], table[:, table])


def permutes(table, group):
    rows = table.sort(dim=1).values
    return starts_with_the_identity(table, group) and torch.equal(rows, rows[:1].expand_as(rows))


def undoes_itself(table, group):
    inverse = [int((row == 0).nonzero()) for row in group.product]
    there_and_back = torch.stack([table[g][table[inverse[g]]] for g in group.elements])
    return starts_with_the_identity(table, group) and bool((there_and_back == table[0]).all())


def last_label(table, group):
    moved = torch.equal(table[group.product][..., -1], table[:, table][..., -1])
    return starts_with_the_identity(table, group) and moved


def one_generator(table, group):
    moved = torch.equal(table[group.product[1]], table[1][table])
    return starts_with_the_identity(table, group) and moved


def composes_one_by_one(table, group):
    pairs = [(g, h) for g in group.elements for h in group.elements]
    composed = all((table[g][table[h]] == table[group.product[g, h]]).all() for g, h in pairs)
    return torch.tensor(composed and bool((table[0] == torch.arange(table.shape[1])).all()))


# -- A1.logits_error -------------------------------------------------------------------------------------------------


def errors(compare, scale=True, elements=None):
    """A function with the signature of A1.logits_error."""

    def answer(model, inputs, labels):
        group, logits = labels.group, model(inputs)
        tried = elements or group.elements
        found = torch.stack([compare(model, inputs, labels, group, logits, g).norm() for g in tried])
        return found.max() / (logits.norm() if scale else 1)

    return answer


def moved(model, inputs, labels, group, logits, g):
    return model(group.transform(inputs, g)) - labels.transform(logits, g)


def by_hand(model, inputs, labels):
    """Right: label l of the upright input is label g.l of the turned one; the mean over g, in numpy."""
    total = 0.0
    for g in labels.group.elements:
        upright, turned = model(inputs).numpy(), model(labels.group.transform(inputs, g)).numpy()
        total += np.abs(turned[:, labels.action[g].numpy()] - upright).max() / np.abs(upright).max()
    return np.float32(total / labels.group.order)


# -- A1.best_accuracy ------------------------------------------------------------------------------------------------


def best(key, inputs, labels):
    """The share of the most frequent label among inputs with one key."""
    keys = [key(picture) for picture in inputs]
    said = labels.tolist()
    right = sum(
        max(sum(k == key and s == l for k, s in zip(keys, said, strict=True)) for l in said)
        for key in set(keys)
    )
    return right / len(said)


def with_unique(inputs, labels):
    """Right: a table of pictures and labels."""
    _, which = inputs.flatten(1).unique(dim=0, return_inverse=True)
    counts = torch.zeros(len(labels), int(labels.max()) + 1)
    counts.index_put_((which, labels), torch.ones(len(labels)), accumulate=True)
    return counts.amax(dim=1).sum() / len(labels)


# -- A1.company, A1.false_alarms -------------------------------------------------------------------------------------


def in_company(difference):
    def answer(encoder, images):
        together, alone = encoder(images), torch.cat([encoder(image) for image in images.split(1)])
        return difference(together, alone)

    return answer


def pairwise(bars):
    return sum(a.low > b.high or b.low > a.high for a, b in itertools.combinations(bars, 2))


def alarms(restarts):
    return pairwise([interval(row.tolist()) for row in restarts])


def pairs(restarts):
    return len(restarts) * (len(restarts) - 1) / 2


def one_sided(restarts):
    bars = [interval(row.tolist()) for row in restarts]
    return sum(a.high < b.low for a, b in itertools.combinations(bars, 2)) / pairs(restarts)


def both_orders(restarts):
    """Right: each pair twice, in numpy."""
    bars = [interval(row) for row in restarts.numpy()]
    return np.mean([a.high < b.low or b.high < a.low for a, b in itertools.permutations(bars, 2)])


def counted(count, other=lambda one: list(one.buffers())):
    return lambda one, two: sum(count(buffer, other(two)) for buffer in other(one))


def by_address(buffer, others):
    return any(buffer.data_ptr() == each.data_ptr() for each in others)


WANTED = {claim: repeat for claim, (repeat, _) in notebook_A1.STUDIES.items()}
FIRST, SECOND, THIRD, *_ = WANTED
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "A1.is_action": {
        "the order of the product": composes_backwards,
        "for all g and h": permutes,
        "try all pairs": undoes_itself,
        "the identity moves nothing": lambda table, group: True,
        "use torch.equal": lambda table, group: False,
        "for every label": last_label,
        "of D4 pass that is right for its last label only": one_generator,
        "One answer for the whole table": lambda table, group: table[group.product] == table[:, table],
        "True or False, got nan": lambda table, group: float("nan"),
        "changes the tensor": lambda table, group: bool(
            composes_one_by_one(table, group) + table.zero_()[0, 0]
        ),
        "An action has two laws": lambda table, group: torch.equal(table[group.product], table[:, table]),
    },
    "A1.logits_error": {
        "They move": errors(lambda m, x, labels, group, logits, g: m(group.transform(x, g)) - logits),
        "for a model that is equivariant": errors(
            lambda m, x, labels, group, logits, g: m(x) - labels.transform(logits, g)
        ),
        "flips too": errors(moved, elements=[0, 1, 2, 3]),
        "Divide by the size": errors(moved, scale=False),
        "whose logits never move": errors(moved, elements=[0]),
        "equivariant, with": errors(
            lambda m, x, labels, group, logits, g: (
                m(group.transform(x, g)) - labels.transform(logits, int(group.inverse[g]))
            )
        ),
        "One number for the whole batch": lambda model, inputs, labels: model(inputs),
    },
    "A1.best_accuracy": {
        "from 0 to 1": lambda inputs, labels: 100 * with_unique(inputs, labels),
        "That is a count": lambda inputs, labels: with_unique(inputs, labels) * len(labels),
        "looks at the labels alone": lambda inputs, labels: labels.bincount().max() / len(labels),
        "right more than once": lambda inputs, labels: len(inputs.unique(dim=0)) / len(labels),
        "equal pixels at different places": lambda inputs, labels: best(
            lambda x: tuple(x.flatten().sort().values.tolist()), inputs, labels
        ),
        "several labels": lambda inputs, labels: 1.0,
        "Group the inputs": lambda inputs, labels: 0.123,
    },
    "A1.shared_buffers": {
        "Two copies have the same values": counted(
            lambda buffer, others: any(buffer.equal(each) for each in others)
        ),
        "Two objects may lie in one place": counted(
            lambda buffer, others: any(buffer is each for each in others)
        ),
        "Weights are parameters": counted(by_address, lambda module: list(module.state_dict().values())),
        "goes through the parts": lambda one, two: sum(
            by_address(buffer, list(two._buffers.values())) for buffer in one._buffers.values()
        ),
        "must be a whole number": lambda one, two: [1, 2],
    },
    "A1.company": {
        "the first one may be left alone": lambda encoder, images: (
            (encoder(images)[0] - encoder(images[:1])[0]).norm() / encoder(images).norm()
        ),
        "the last one too": lambda encoder, images: (
            (encoder(images)[:-1] - torch.cat([encoder(image) for image in images.split(1)])[:-1]).norm()
            / encoder(images).norm()
        ),
        "Divide by the size": in_company(lambda together, alone: (together - alone).norm()),
        "in a batch of its own": lambda encoder, images: (encoder(images) - encoder(images)).norm(),
        "compared with itself": lambda encoder, images: (encoder(images) - encoder(images[:1])).norm(),
        "One number": in_company(lambda together, alone: (together - alone).flatten(1).norm(dim=1)),
    },
    "A1.false_alarms": {
        "That is a count": alarms,
        "from 0 to 1": lambda restarts: 100 * alarms(restarts) / pairs(restarts),
        "paired with itself": lambda restarts: 2 * alarms(restarts) / len(restarts) ** 2,
        "The rows are the seeds": lambda restarts: alarms(restarts.T) / pairs(restarts.T),
        "*do* overlap": lambda restarts: 1 - alarms(restarts) / pairs(restarts),
        "above the other as well": one_sided,
        "For each pair": lambda restarts: 0.4321,
    },
    "A1.what_to_repeat": {
        "Of the 5 claims, 1 is judged wrongly": {**WANTED, FIRST: "probe"},
        "Of the 5 claims, 2 are": {**WANTED, SECOND: "pretraining", THIRD: "pretraining"},
        "Choose pretraining": {**WANTED, FIRST: "everything"},
    },
}
ALSO_RIGHT = {
    "A1.is_action": [composes_one_by_one],
    "A1.logits_error": [
        by_hand,
        lambda model, inputs, labels: equivariance_error(
            model, inputs, labels.group, transform_outputs=labels.transform
        ).max(),
    ],
    "A1.best_accuracy": [
        with_unique,
        lambda inputs, labels: np.float32(best(lambda x: tuple(x.flatten().tolist()), inputs, labels)),
    ],
    "A1.shared_buffers": [
        counted(by_address),
        lambda one, two: torch.tensor(
            len({b.data_ptr() for b in one.buffers()} & {b.data_ptr() for b in two.buffers()})
        ),
    ],
    "A1.company": [
        in_company(lambda together, alone: ((together - alone).abs().max() / together.abs().max()).float()),
        in_company(
            lambda together, alone: (
                (together - alone).square().mean().item() / together.square().mean().item()
            )
        ),
    ],
    "A1.false_alarms": [both_orders, lambda restarts: torch.tensor(alarms(restarts) / pairs(restarts))],
}


class TestChecks(ExerciseChecks):
    notebooks = ("A1_bug_museum", "A1b_not_what_they_seem", "A1c_numbers_that_mislead")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
