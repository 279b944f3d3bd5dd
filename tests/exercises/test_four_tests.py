"""Each of the four tests finds its fault, and every right way to write a layer passes them all."""

import pytest
import torch

from eqssl_edu.exercises.four_tests import four_tests, need_linear
from eqssl_edu.exercises.judging import noise
from eqssl_edu.exercises.verdict import Wrong
from eqssl_edu.groups import dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GSetHead

G = dihedral(4)
LABELS = [GSet.regular(G), GSet.neighbours(G), GSet.quotient(G, (0, 4))]
over_labels = pytest.mark.parametrize("labels", LABELS, ids=repr)


def head(labels):
    """A right head as a layer: (features, weight) -> logits, with a random bias for each orbit."""

    def layer(features, weight):
        module = GSetHead(labels, len(weight)).double()
        module.bias.data = noise(len(module.bias))
        return torch.func.functional_call(module, {"weight": weight}, features)

    return layer


def pooled(features, weight):
    return features.sum(dim=2) @ weight


def judged(labels, layer, wanted=None):
    weight = noise(3, labels.size, seed=1)
    inputs, expected = noise(6, 3, G.order), torch.zeros(6, labels.size)
    moves, wanted = (G.transform_features, labels.transform), wanted or weight.numel()
    arguments = (inputs, weight, G, moves, expected, "sample and label", wanted)
    try:
        four_tests(layer, *arguments, {"You pooled over the group.": pooled}, where="Here")
    except Wrong as wrong:
        return wrong.args
    return ("", "")


@over_labels
def test_right_layers_pass_however_they_are_written(labels):
    right = head(labels)
    need_linear(right, noise(6, 3, G.order), noise(3, labels.size))
    for layer in (
        right,
        lambda x, w: right(x, w.flip(0)),
        lambda x, w: right(x, -2 * w.flip(1)),
        lambda x, w: right(x.float(), w.float()).double() * 0 + right(x, w),
    ):
        assert judged(labels, layer) == ("", "")


@over_labels
def test_each_of_the_four_tests_finds_its_fault(labels):
    right = head(labels)
    assert "Here: test 1, not trivial" in judged(labels, lambda x, w: right(0 * x, w))[0]
    assert "Here: test 2, equivariant: with g = r90" in judged(labels, lambda x, w: right(x.flip(2), w))[0]
    count = f"test 3, counted: it has {3 * labels.size} weights, and 7 can"
    assert count in judged(labels, right, wanted=7)[0]
    alike = judged(labels, lambda x, w: right(x, w.mean(dim=1, keepdim=True).expand_as(w)))[0]
    assert f"test 4, full rank: it is equivariant, but its {3 * labels.size} weights make only 3" in alike
    assert "NaN" in judged(labels, lambda x, w: right(x, w) / 0)[0]
    assert "shape" in judged(labels, lambda x, w: right(x, w).T)[0]


@over_labels
def test_a_hint_for_a_mistake_is_given_only_to_whoever_made_it(labels):
    assert judged(labels, pooled)[1] == "You pooled over the group."
    for layer in (lambda x, w: x.sum(dim=2) @ w + x.sum(), lambda x, w: head(labels)(x.flip(2), w)):
        assert "Take one g and one output" in judged(labels, layer)[1]


def test_what_is_not_linear_is_named():
    right = head(LABELS[0])
    with pytest.raises(Wrong, match="not linear"):
        need_linear(lambda x, w: right(x, w).relu(), noise(6, 3, G.order), noise(3, G.order))
