"""How errors are worded: the argument's name, what it got, what it wanted."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int64

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


@typed
def door(
    group: FiniteGroup,
    size: int = 1,
    lr: float | None = None,
    names: Sequence[str] = (),
    z: Float[torch.Tensor, "batch channel"] | None = None,
    labels: Int64[torch.Tensor, " batch"] | None = None,
    bias: bool = True,
    angle: float | Float[torch.Tensor, " batch"] = 0.0,
    rest: Any = None,
):
    return size


@pytest.mark.parametrize("size", [3, np.int64(3), torch.tensor(3)])
def test_typed_hands_on_every_integer_as_an_int(size):
    assert type(door(cyclic(4), size)) is int and door(cyclic(4), size=size) == 3


def test_typed_takes_what_the_annotations_say():
    two = torch.zeros(2, 3)
    assert (
        door(cyclic(4), 1, 2, ["a"], two, torch.zeros(2, dtype=torch.long), False, torch.ones(2), object())
        == 1
    )
    assert door(cyclic(4), lr=np.float32(0.5), angle=3) == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"group": 4}, "group must be a FiniteGroup, got 4"),
        ({"size": 2.0}, "size must be an integer, got 2.0"),
        ({"size": True}, "size must be an integer, got True"),
        ({"lr": "x"}, "lr must be a number, got 'x'"),
        ({"lr": float("nan")}, "lr must be finite, got nan"),
        ({"names": "ab"}, "names must be a Sequence, got 'ab'"),
        ({"names": 3}, "names must be a Sequence, got 3"),
        (
            {"z": torch.zeros(2)},
            "z must be a Float[Tensor, 'batch channel'], got a torch.float32 tensor of shape (2,)",
        ),
        ({"z": [1.0]}, "z must be a Float[Tensor, 'batch channel'], got [1.0]"),
        (
            {"z": torch.zeros(2, 3), "labels": torch.zeros(3, dtype=torch.long)},
            "labels must be a Int64[Tensor, 'batch']",
        ),
        ({"bias": "yes"}, "bias must be a bool, got 'yes'"),
        ({"angle": torch.ones(2, 2)}, "angle must be a float or a Float[Tensor, 'batch'], got"),
    ],
)
def test_typed_refuses_what_they_do_not_say(as_a_user, wrong, words):
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        door(**{"group": cyclic(4), **wrong})


@pytest.mark.parametrize(
    "problem", [MemoryError(), OverflowError("too large"), RuntimeError("can't allocate memory")]
)
def test_typed_names_the_sizes_that_do_not_fit_into_the_memory(problem):
    @typed
    def outer(width: int):
        return inner(width)

    @typed
    def inner(side: int):
        raise problem

    with pytest.raises(
        ValueError, match=r"^width must be smaller, to fit into the memory, got {'width': 9}$"
    ):
        outer(9)


def test_typed_leaves_other_errors_alone():
    @typed
    def broken(width: int):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        broken(3)
