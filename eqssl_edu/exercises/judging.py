"""How an exercise judges: each word returns quietly, or raises ``Wrong`` with a reason and a hint."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from eqssl_edu.errors import got
from eqssl_edu.exercises.verdict import Wrong, filled_in

__all__ = [
    "Calls",
    "ask",
    "integers",
    "judge",
    "keyed",
    "need",
    "need_shape",
    "noise",
    "number",
    "pick",
    "same",
    "scalar",
    "several",
    "truth",
]


def judge(
    value: Any, expected: Any, reason: str, hints: Mapping[str, Any], axes: str = "", within: float = 1e-6
) -> None:
    """Is the value the expected one? If not, the hint of the first mistake that gives it.

    Arguments:
        value: a number, a tensor or numbers in tuples: what the student gives.
        expected: what is right.
        reason: what was seen, whatever the mistake.
        hints: hint -> the wrong value that a typical mistake gives, a list of such values, or whether the mistake
            was made (True in the last line: whatever else it was). A hint may bring its own reason: "reason\\nhint".
            Sentences are the keys because two mistakes may give the same number; then the first one counts.
        axes: what the axes are, in words, where a tensor of the expected shape is wanted.
        within: how near a value has to be, as a part of its size.
    """
    if axes:
        need_shape(value, tuple(expected.shape), axes)
    if same(value, expected, within):
        return
    for hint, mistakes in hints.items():
        for mistake in mistakes if isinstance(mistakes, list) else [mistakes]:
            if mistake is True or (mistake is not False and same(value, mistake, within)):
                own, _, rest = hint.rpartition("\n")
                raise Wrong(own or reason, rest)
    raise LookupError("hints must end with a hint for all other values")


def pick(
    answer: Any, noun: str, errors: Mapping[str, float], why: Mapping[str, str], how: str, hint: str
) -> str:
    """Are these the right names, in any order? Returns why, name by name; whoever is wrong hears how many are.

    Arguments:
        answer: names, in whatever holds them, but no dictionary.
        noun: what is chosen from.
        errors: name -> how far it is from what was asked; those with 0 belong to the answer.
        why: name -> the thought behind it.
        how: the hint for an answer of another type.
        hint: what to ask of each of them.
    """
    reason = f"The answer must be a list of names, {got(answer)}."
    answer = several(answer, reason, how)
    need(all(isinstance(name, str) for name in answer), reason, how)
    for name in sorted(answer):
        need(name in errors, f"There is no {noun} '{name}'.", f"The {noun}s are: {'; '.join(errors)}.")
    wrong = sum((name in answer) != (error < 1e-9) for name, error in errors.items())
    need(
        wrong == 0,
        f"Of the {len(errors)} {noun}s, {wrong} {'is' if wrong == 1 else 'are'} judged wrongly.",
        hint,
    )
    return "\n".join(["One by one:", *(f"{name}: {why[name]}." for name in errors)])


def need(fine: Any, reason: str, hint: str) -> None:
    """Wrong, unless it is fine. Ask for what a right answer has (`error < 1e-9`): then NaN is wrong."""
    if not fine:
        raise Wrong(reason, hint)


def same(value: Any, expected: Any, within: float = 1e-6) -> bool:
    """True if two numbers or tensors agree to a part of the expected size; NaN and complex ones agree with nothing."""
    if isinstance(value, complex) or (isinstance(value, Tensor) and value.is_complex()):
        return False
    if isinstance(value, Tensor) and value.is_floating_point():
        within = max(within, torch.finfo(value.dtype).eps)  # float16 has three digits
    value, expected = (torch.as_tensor(each, dtype=torch.float64) for each in (value, expected))
    near = within * expected.norm() + 1e-12
    return value.shape == expected.shape and bool((value - expected).norm() <= near)


def ask(function: Any, *arguments: Any) -> Any:
    """What the student's function returns for copies of the tensors; NotDone if it returns nothing.

    Wrong if it writes into a tensor that it was given, or returns one that holds no plain numbers.
    """
    hint = "Give its name, without brackets: check(..., name)."
    need(callable(function), f"The answer must be a function, {got(function)}.", hint)
    pairs: list[tuple[Tensor, Tensor]] = []

    def copied(part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(map(copied, part))
        if not isinstance(part, Tensor):
            return part
        pairs.append((part, part.clone()))
        return pairs[-1][1]

    said = filled_in(function(*map(copied, arguments)))
    kept = all(torch.equal(part, copy) for part, copy in pairs)
    hint = "Whoever calls it needs that tensor again. Write into a copy, or make a new one."
    need(kept, "It changes the tensor that it is given.", hint)
    plain = not isinstance(said, Tensor) or (said.layout is torch.strided and not said.is_complex())
    hint = "Wanted are real numbers. From Fourier coefficients torch.fft.irfft makes them."
    need(plain, f"The result must be a tensor of real numbers, {got(said)}.", hint)
    return said


def need_shape(value: Any, shape: tuple[int, ...], axes: str) -> Tensor:
    """``value``, if it is a tensor of this shape; ``axes`` says in words what the axes are."""
    need(isinstance(value, Tensor), f"The answer must be a tensor, {got(value)}.", f"Its axes are {axes}.")
    hint = f"The axes are {axes}. If only the order is wrong, look at the dim of torch.stack."
    need(value.shape == shape, f"The result has the shape {tuple(value.shape)}; wanted was {shape}.", hint)
    return value


def scalar(value: Any, reason: str, hint: str) -> Tensor:
    """``value`` as a tensor without axes, if it is one number; {count}, {shape} and {got} may stand in the reason."""
    numbers = torch.as_tensor(value).detach()
    said = reason.format(count=numbers.numel(), shape=tuple(numbers.shape), got=got(value))
    need(numbers.numel() == 1 and not numbers.is_complex(), said, hint)
    return numbers.squeeze()


def number(value: Any, reason: str, hint: str, whole: bool = False) -> Any:
    """``value`` as an int or a float, also out of numpy or torch: 33.0 is as whole as 33, True is no number."""
    plain = _plain(value)
    fine = isinstance(plain, Real) and not isinstance(plain, bool) and not (whole and plain % 1 != 0)
    need(fine, f"{reason}, {got(value)}.", hint)
    return int(plain) if whole else plain if isinstance(plain, int) else float(plain)


def truth(value: Any, reason: str, hint: str) -> bool:
    """``value`` as a bool, also out of numpy or torch, and from 0 or 1."""
    plain = _plain(value)
    need(isinstance(plain, Real) and plain in (0, 1), f"{reason}, {got(value)}.", hint)
    return bool(plain)


def _plain(value: Any) -> Any:
    """A single number of numpy or torch as Python's."""
    return value.item() if hasattr(value, "item") and math.prod(value.shape) == 1 else value


def several(value: Any, reason: str, hint: str) -> list:
    """What an answer lists, in any container or generator; text and dictionaries list nothing."""
    need(isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)), reason, hint)
    return list(value)


def integers(value: Any, allowed: Collection[int], reason: str, hint: str) -> list[int]:
    """The whole numbers that an answer names, one or several, in any container; each must be an allowed one."""
    value = value.tolist() if hasattr(value, "tolist") else value
    try:
        parts = value if isinstance(value, Iterable) else [value]
        named = [number(part, "", "", whole=True) for part in parts]
    except Wrong:
        raise Wrong(reason, hint) from None
    need(set(named) <= set(allowed), reason, hint)
    return named


def keyed(answer: Any, keys: Collection[str], what: str, hint: str = "Keep the keys of the stub.") -> dict:
    """``answer`` in the order of the keys, if it is a dictionary with just these."""
    fine = isinstance(answer, dict) and set(answer) == set(keys)
    need(fine, f"The answer must be a dictionary {what}.", hint)
    return {key: answer[key] for key in keys}


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers in float64, the same every time."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Calls(TorchFunctionMode):
    """Writes down the calls of functions of torch that happen inside: (function, positional, named arguments)."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.seen.append((function, args, kwargs or {}))
        return function(*args, **(kwargs or {}))
