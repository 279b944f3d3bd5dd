"""OrbitExplorer without a screen: orbits, stabilisers, products and the map of the group."""

import numpy as np
import pytest
import torch

from eqssl_edu.data.letters import letters
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.widgets import OrbitExplorer
from eqssl_edu.widgets.orbit import OWN, cayley_graph, orbit_of

GROUPS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]
over_groups = pytest.mark.parametrize("group", GROUPS, ids=str)


def pixels(explorer):
    side, channels = explorer.values["side"], explorer.values["channels"]
    return np.frombuffer(explorer.values["pixels"], np.uint8).reshape(-1, channels, side, side)


# -- the numbers ---------------------------------------------------------------------------------------------


@over_groups
def test_orbit_and_stabiliser_multiply_to_the_group(group):
    for drawing in letters().values():
        makers = orbit_of(group, drawing[None])
        stabilizer = makers[0]
        assert len(makers) * len(stabilizer) == group.order
        assert group.subgroup(stabilizer) == tuple(stabilizer)
        assert [tuple(m) for m in makers] == group.left_cosets(stabilizer)
        for elements in makers:
            first = group.transform(drawing, elements[0])
            made = [g for g in group.elements if torch.equal(group.transform(drawing, g), first)]
            assert made == sorted(elements)  # by no others


@over_groups
def test_the_map_shows_what_the_generators_do(group):
    steps = cayley_graph(group)
    reached = {0}
    for _ in group.elements:
        for step in steps:
            assert step["to"] == int(group.product[step["by"], step["from"]])
            both = {step["from"], step["to"]}
            reached |= both if both & reached else set()
    assert reached == set(group.elements)  # the generators reach every element


def test_the_map_of_d4_has_eight_arrows_and_four_flips():
    steps = cayley_graph(dihedral(4))
    assert sum(step["by"] == 1 for step in steps) == 8
    assert sum(step["by"] == 4 for step in steps) == 4
    assert len(cayley_graph(dihedral(2))) == 2 + 2  # a half turn undoes itself
    assert cayley_graph(cyclic(1)) == []


@pytest.mark.parametrize("letter", ["F", "S"])
def test_a_step_multiplies_from_the_left(letter):
    group = dihedral(4)
    explorer = OrbitExplorer(group, letter)
    for before in group.elements:
        for g in group.elements:
            after = int(group.product[g, before])
            explorer.set_state(element=after, applied=g)
            values, name = explorer.values, group.element_name
            assert (
                values["sentence"].replace("(", "").replace(")", "")
                == f"{name(g)} · {name(before)} = {name(after)}"
            )
            assert values["before"] == before
            # What is kept has turned along with the picture.
            picture = group.transform(letters()[letter], after)
            kept = [h for h in group.elements if torch.equal(group.transform(picture, h), picture)]
            assert values["kept_by"] == kept


def test_pictures_are_those_of_the_orbit():
    group = dihedral(4)
    image = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    explorer = OrbitExplorer(group, image)
    assert explorer.state()["picture"] == OWN
    seen = pixels(explorer)
    assert seen.shape == (8, 3, 12, 12)
    for i, g in enumerate(group.elements):
        assert np.array_equal(seen[i], group.transform(torch.tensor(seen[0]), g).numpy())
    assert torch.equal(explorer.orbit()[5], group.transform(image, 5))
    explorer.set_state(picture="O")
    assert len(pixels(explorer)) == 1 and explorer.stabilizer() == tuple(group.elements)


def test_the_orbit_is_a_quotient_of_the_group():
    group = dihedral(4)
    makers = orbit_of(group, letters()["A"][None])
    picture_of = {g: i for i, elements in enumerate(makers) for g in elements}
    action = [[picture_of[int(group.product[g, elements[0]])] for elements in makers] for g in group.elements]
    assert torch.equal(torch.tensor(action), GSet.quotient(group, makers[0]).action)


# -- the widget ----------------------------------------------------------------------------------------------


def test_readout_says_what_is_seen():
    explorer = OrbitExplorer(dihedral(4), "A")
    assert explorer.readout == "A under D4, moved by e: picture 1 of 4. This picture is kept by e, m."
    explorer.set_state(element=3, applied=4)
    assert explorer.values["sentence"] == "m · (r90 m) = r270"
    explorer.set_state(element=5, applied=1)
    assert explorer.readout == (
        "A under D4, moved by r90 m: picture 2 of 4. r90 · m = r90 m. This picture is kept by e, r180 m."
    )


def test_an_element_alone_is_a_step_from_the_beginning():
    explorer = OrbitExplorer(dihedral(4), "F")
    explorer.set_state(element=6)
    assert explorer.state() == {"picture": "F", "element": 6, "applied": 6}
    assert explorer.values["before"] == 0
