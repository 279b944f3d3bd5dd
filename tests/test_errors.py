"""How errors are worded: the argument's name, what it got, what it wanted."""

import pytest
import torch

from eqssl_edu.errors import got, need_instance, need_integers, need_positive
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
    for wrong in (
        torch.tensor([1.0]),
        torch.tensor([1], dtype=torch.int32),
        torch.tensor([True]),
        [1],
        1,
        None,
    ):
        with pytest.raises(TypeError, match=r"^labels must be a LongTensor, got "):
            need_integers("labels", wrong)


def test_need_positive():
    need_positive(size=1, stride=10**9)
    for wrong in (0, -3):
        with pytest.raises(ValueError, match=f"size must be at least 1, got {wrong}"):
            need_positive(size=wrong)
    for wrong in (1.0, "1", None, True, torch.tensor(1)):
        with pytest.raises(TypeError, match=r"^stride must be an integer, got "):
            need_positive(size=1, stride=wrong)
