"""How the library refuses: the argument's name, what it got, and what it wanted. The checkers of every door."""

from eqssl_edu.errors.doors import typed
from eqssl_edu.errors.of_groups import (
    need_elements,
    need_encoder,
    need_exact,
    need_finite,
    need_grid,
    need_pairs,
    need_regular,
)
from eqssl_edu.errors.tensors import all_finite, may_ask, need_integers, need_shape, within_transform
from eqssl_edu.errors.values import (
    got,
    need_choice,
    need_instance,
    need_integer,
    need_number,
    need_positive,
    need_widths,
)

__all__ = [
    "all_finite",
    "got",
    "may_ask",
    "need_choice",
    "need_elements",
    "need_encoder",
    "need_exact",
    "need_finite",
    "need_grid",
    "need_instance",
    "need_integer",
    "need_integers",
    "need_number",
    "need_pairs",
    "need_positive",
    "need_regular",
    "need_shape",
    "need_widths",
    "typed",
    "within_transform",
]
