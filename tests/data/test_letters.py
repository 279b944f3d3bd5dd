"""Letters without a font have exactly the symmetries that the notebooks use."""

import torch

from eqssl_edu.data.letters import DRAWINGS, letters
from eqssl_edu.groups import dihedral


def test_letters_have_the_symmetries_that_one_sees():
    group, pictures = dihedral(4), letters()

    def kept(name):
        return tuple(
            g for g in group.elements if torch.equal(group.transform(pictures[name], g), pictures[name])
        )

    assert all(
        pictures[name].shape == (9, 9) and len(drawing.split()) == 7 for name, drawing in DRAWINGS.items()
    )
    assert {kept(name) for name in "FGJPRbdpq"} == {(0,)}
    assert {kept(name) for name in "AMTUVWY"} == {(0, 4)}
    assert {kept(name) for name in "BCDEK"} == {(0, 6)}
    assert {kept(name) for name in "NSZ"} == {(0, 2)}
    assert [kept(name) for name in "QL"] == [(0, 5), (0, 7)]
    assert {kept(name) for name in "HI"} == {(0, 2, 4, 6)}
    assert {kept(name) for name in "OX"} == {tuple(range(8))}


def test_letters_have_the_default_type():
    torch.set_default_dtype(torch.float64)
    try:
        assert {letter.dtype for letter in letters().values()} == {torch.float64}
    finally:
        torch.set_default_dtype(torch.float32)
    assert letters()["F"].dtype == torch.float32
