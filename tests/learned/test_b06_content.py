"""B6: traces of the fitted maps tell the representation."""

import pytest
import torch
from listed import C4, D4, Listed, cards, draw, moved, regular_maps

from eqssl_edu.diagnostics import irrep_projectors, learned_action
from eqssl_edu.groups import cyclic, dihedral


def content_of(group, maps, count=60):
    """What is read from features of this representation, seen through a matrix that hides it."""
    size = maps.shape[1]
    hidden = draw(size, size, seed=7)
    action = learned_action(
        Listed(group, moved(group, draw(count, size), hidden @ maps @ hidden.inverse())), cards(count), group
    )
    assert action.plain.error is None or action.plain.error < 1e-12  # the trivial part does not move
    return action.content


def sub_representation(group, kinds, channels=2):
    """The parts of so many copies of the regular representation that have these names."""
    projector = sum(irrep_projectors(group)[kind] for kind in kinds)
    values, vectors = torch.linalg.eigh(torch.kron(torch.eye(channels, dtype=torch.float64), projector))
    basis = vectors[:, values > 0.5]
    return basis.T @ regular_maps(group, channels) @ basis


@pytest.mark.parametrize("group", [C4, D4, cyclic(2), dihedral(1)], ids=lambda group: group.name)
def test_B6_each_part_is_found_alone(group):
    sizes = {name: 2 * float(P.trace()) for name, P in irrep_projectors(group).items()}
    assert content_of(group, regular_maps(group, 2)) == pytest.approx(sizes, abs=1e-9)
    for kind in sizes:
        content = content_of(group, sub_representation(group, [kind]))
        expected = {name: sizes[name] * (name == kind) for name in sizes}
        assert content == pytest.approx(expected, abs=1e-9)


def test_B6_the_formulas_of_C4():
    maps = sub_representation(C4, ["trivial", "frequency 1"], channels=3)
    content = content_of(C4, maps)
    trace = maps.diagonal(dim1=1, dim2=2).sum(1)
    assert content["trivial"] == pytest.approx(float(trace.mean()), abs=1e-9)
    assert content["frequency 2"] == pytest.approx(
        float((trace[0] - trace[1] + trace[2] - trace[3]) / 4), abs=1e-9
    )
    assert content["frequency 1"] == pytest.approx(float((trace[0] - trace[2]) / 2), abs=1e-9)
    assert (round(content["trivial"]), round(content["frequency 1"])) == (3, 6)


def test_B6_MF_maps_that_explain_nothing_read_as_the_regular_representation():
    """Their traces are nearly 0 but for the identity's: the content alone would call noise a perfect network."""
    action = learned_action(Listed(C4, draw(2000, 4, 8)), cards(2000), C4)
    assert action.plain.error > 0.9
    regular = {"trivial": 2, "frequency 1": 4, "frequency 2": 2}
    assert action.content == pytest.approx(regular, abs=0.2)
