"""How errors are worded: the argument's name, what it got, what it wanted."""

import math

import numpy as np
import pytest
import torch
from jaxtyping import Float

from eqssl_edu.errors import (
    got,
    need_choice,
    need_instance,
    need_integer,
    need_integers,
    need_number,
    need_positive,
    need_shape,
    need_widths,
    typed,
)
from eqssl_edu.groups import FiniteGroup, cyclic


def test_got_names_a_tensor_by_shape_and_type():
    assert got(torch.zeros(2, 3)) == "got a torch.float32 tensor of shape (2, 3)"
    assert got(torch.tensor(1)) == "got a torch.int64 tensor of shape ()"


def test_got_shows_anything_else_and_shortens_it():
    assert got("a") == "got 'a'"
    assert got(None) == "got None"
    assert got("x" * 78) == f"got '{'x' * 78}'"
    assert len(got("x" * 1000)) == len("got ") + 80
    assert got(list(range(1000))).endswith("...")


def test_need_instance():
    need_instance("group", cyclic(4), FiniteGroup)
    with pytest.raises(TypeError, match=r"^group must be a FiniteGroup, got 4$"):
        need_instance("group", 4, FiniteGroup)


def test_need_integers():
    need_integers("labels", torch.tensor([1]))
    for wrong in (torch.tensor([1.0]), torch.tensor([1]).int(), torch.tensor([True]), [1], 1, None):
        with pytest.raises(TypeError, match=r"^labels must be a LongTensor, got "):
            need_integers("labels", wrong)


def test_need_positive():
    need_positive(size=1, stride=10**9)
    for wrong in (0, -3):
        with pytest.raises(ValueError, match=f"size must be at least 1, got {wrong}"):
            need_positive(size=wrong)
    for wrong in (1.0, "1", None, True, torch.tensor([1]), torch.tensor(True)):
        with pytest.raises(TypeError, match=r"^stride must be an integer, got "):
            need_positive(size=1, stride=wrong)


def test_need_integer_takes_every_integer():
    for value in (3, np.int64(3), np.uint8(3), torch.tensor(3)):
        number = need_integer("g", value, 0, 3)
        assert number == 3 and type(number) is int
    with pytest.raises(ValueError, match=r"^g must be an integer 0 .. 3, got 4$"):
        need_integer("g", np.int32(4), 0, 3)
    for wrong in (np.float32(1), np.bool_(True), torch.tensor(1.0)):
        with pytest.raises(TypeError, match="g must be an integer"):
            need_integer("g", wrong)


def test_need_number_refuses_what_is_not_finite():
    need_number("t", 0.5, above=0, below=1)
    for wrong in (0, 1, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"^t must be above 0 and below 1, got "):
            need_number("t", wrong, above=0, below=1)
    with pytest.raises(ValueError, match="t must be finite"):
        need_number("t", math.nan)
    for wrong in ("1", None, True):
        with pytest.raises(TypeError, match="t must be a number"):
            need_number("t", wrong)


def test_need_choice():
    need_choice("kind", "max", ["max", "mean"])
    for wrong in ("min", None, ["max"], torch.zeros(2)):
        with pytest.raises(ValueError, match="kind must be one of 'max', 'mean', got "):
            need_choice("kind", wrong, ["max", "mean"])


def test_need_shape():
    z = torch.zeros(2, 8, 4)
    need_shape("z", z, "B", 8, "G", floating=True)
    need_shape("z", z, "...", 4)
    need_shape("z", torch.zeros(4), "...", 4)
    for wrong in (("B", 7, "G"), ("B", "C"), ("B", "C", "G", "H"), ("...", "B", "C", "G", "H")):
        with pytest.raises(ValueError, match=r"^z must have shape \(.*\), got .* of shape \(2, 8, 4\)$"):
            need_shape("z", z, *wrong)
    with pytest.raises(TypeError, match="z must hold floating-point numbers"):
        need_shape("z", z.long(), "B", 8, 4, floating=True)
    with pytest.raises(TypeError, match="z must be a Tensor"):
        need_shape("z", [1], "B")


def test_need_widths():
    need_widths("channels", [4, np.int64(8)], least=2)
    for wrong in ((4,), 4, "48", None):
        with pytest.raises(ValueError, match=r"^channels must be a sequence of at least 2 widths, got "):
            need_widths("channels", wrong, least=2)
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        need_widths("channels", (4, 0))


def test_typed_checks_what_is_annotated_with_a_class_and_leaves_the_rest():
    @typed
    def door(group: FiniteGroup, bias: bool | None, size: int, z: Float[torch.Tensor, " batch"] = None):
        return size

    assert door(cyclic(4), None, size="left to a checker", z=[1]) == "left to a checker"
    with pytest.raises(TypeError, match="group must be a FiniteGroup, got 4"):
        door(4, True, 1)
    with pytest.raises(TypeError, match="bias must be a bool, got 'yes'"):
        door(cyclic(4), size=1, bias="yes")
