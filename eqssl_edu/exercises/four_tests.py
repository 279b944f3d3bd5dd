"""The four tests of notebook 02 as a judge: not trivial, equivariant, counted, full rank.

Together they let every right layer pass, however it is written: what is equivariant, has as many weights as there are
orbits, and reaches a function of its own with each, reaches *all* equivariant maps.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, need, need_shape, noise, same
from eqssl_edu.exercises.verdict import Wrong
from eqssl_edu.groups import FiniteGroup

__all__ = ["Layer", "Move", "as_layer", "four_tests", "need_linear", "of_class"]

EXACT = 1e-5  # rounding, also of a layer that keeps its results in float32
Layer = Callable[[Tensor, Tensor], Any]  # (inputs, weight) -> outputs
Move = Callable[[Tensor, Any], Tensor]  # (x, g) -> g x, with one element for all samples


def four_tests(
    layer: Layer,
    inputs: Tensor,
    weight: Tensor,
    group: FiniteGroup,
    moves: tuple[Move, Move],
    expected: Tensor,
    axes: str,
    wanted: int,
    mistakes: Mapping[str, Layer] | None = None,
    where: str = "",
) -> None:
    """Return quietly if a layer passes all four tests, else raise ``Wrong`` with the first that it fails.

    Arguments:
        layer: (inputs, weight) -> outputs; a bias, if there is one, is random and stays the same.
        inputs: random numbers in float64, a batch large enough to tell the maps of all weights apart.
        weight: random numbers in the shape of *this* layer's weights, which are counted.
        group: the group that acts.
        moves: how it acts on inputs and on outputs: ``group.transform_features``, ``labels.transform``, ...
        expected: a tensor of the shape of the outputs; ``axes`` names its axes in words.
        wanted: how many weights there are to choose: orbits times channels.
        mistakes: hint -> the layer that a typical mistake gives, with as many weights as wanted. A hint is said only if
            the outputs are the same.
        where: said in front of every reason, such as "Under D4".
    """
    start = f"{where}: " if where else ""
    outputs = need_shape(ask(layer, inputs, weight.requires_grad_()), tuple(expected.shape), axes)
    weight.requires_grad_(False)
    learns, outputs = outputs.requires_grad, outputs.detach().double()
    need(outputs.isfinite().all(), f"{start}it gave NaN or infinity.", "No division by zero, no log or root.")

    def need_passed(passed: Any, reason: str, hint: str) -> None:
        if not passed:
            known = (mistakes or {}).items() if weight.numel() == wanted else ()
            made = (own for own, wrong in known if same(outputs, wrong(inputs, weight)))
            raise Wrong(start + reason, next(made, hint))

    blind = same(ask(layer, torch.zeros_like(inputs), weight), outputs)
    reason = "test 1, not trivial: it gives the same for random numbers and for zeros."
    need_passed(not blind, reason, "Do the outputs use the inputs at all, and the weights?")

    for g in group.elements:
        wish = moves[1](outputs, g)
        error = (ask(layer, moves[0](inputs, g), weight) - wish).norm() / wish.norm()
        said = f"with g = {group.element_name(g)}, f(g x) and g f(x) differ by {error:.2g}."
        reason = f"test 2, equivariant: {said}"
        hint = (
            "Take one g and one output. What does it read, and with which weight, before and after the turn?"
        )
        need_passed(error < EXACT, reason, hint)

    count = weight.numel()
    reason = f"test 3, counted: it has {count} weights, and {wanted} can be chosen freely."
    need_passed(count == wanted, reason, "Count the orbits: one weight for each, no more and no less.")

    found = _rank(layer, inputs, weight)
    reason = (
        f"test 4, full rank: it is equivariant, but its {wanted} weights make only {found} different maps."
    )
    hint = "Two weights do the same, or one does nothing. Set one weight after the other to 1 and compare."
    need_passed(found == wanted, reason, hint)
    hint = "No detach, .data, no_grad or numpy on the way from the weights to the outputs."
    need(learns, f"{start}all tests are passed, but no gradient reaches the weights.", hint)


def of_class(kind: Any, *arguments: Any) -> nn.Module:
    """A module of a student's class, made of these arguments, in float64."""
    is_module = isinstance(kind, type) and issubclass(kind, nn.Module)
    need(
        is_module, f"The answer must be a class of modules, {got(kind)}.", "Give its name: check(..., Name)."
    )
    return kind(*arguments).double()


def as_layer(module: nn.Module, inputs: Tensor | None = None) -> tuple[Layer, Tensor, dict[str, Tensor]]:
    """A module as a layer, with all its weights in one vector.

    Returns:
        the layer, a random vector of weights, and by name the biases, which are random and stay so: the parameters that
        do the same for all ``inputs``, while all others are zero. Without inputs no parameter is a bias.
    """
    shapes = {name: part.shape for name, part in module.named_parameters()}
    random = {name: noise(*shape, seed=seed) for seed, (name, shape) in enumerate(shapes.items(), start=2)}

    def alone(name: str, x: Tensor) -> Any:
        parts = {other: value if other == name else 0 * value for other, value in random.items()}
        return ask(lambda x: torch.func.functional_call(module, parts, (x,)), x)

    def is_bias(name: str) -> bool:
        zero = alone(name, 0 * inputs)
        return isinstance(zero, Tensor) and bool(zero.any()) and same(alone(name, inputs), zero)

    biases = {name: value for name, value in random.items() if inputs is not None and is_bias(name)}
    free = {name: shape for name, shape in shapes.items() if name not in biases}

    def layer(x: Tensor, weight: Tensor) -> Any:
        parts = weight.split([shape.numel() for shape in free.values()])
        named = {name: part.view(free[name]) for name, part in zip(free, parts, strict=True)}
        return torch.func.functional_call(module, {**named, **biases}, (x,))

    return layer, noise(sum(shape.numel() for shape in free.values()), seed=9), biases


def need_linear(layer: Layer, inputs: Tensor, weight: Tensor) -> None:
    """Raise ``Wrong`` unless the outputs, less what zeros give, are linear in the weights and in their own inputs."""
    zero = ask(layer, torch.zeros_like(inputs), weight)
    one, other = (ask(layer, x, weight) - zero for x in (inputs, inputs.flip(0)))
    both = ask(layer, 2 * inputs - 3 * inputs.flip(0), weight) - zero
    reason = "It is not linear: f(2 x - 3 y) is not 2 f(x) - 3 f(y)."
    hint = "Only sums of products of inputs and weights: no ReLU."
    need(same(both, 2 * one - 3 * other, EXACT), reason, hint)
    alone = ask(layer, inputs[1:2], weight)
    reason = "The outputs of a sample change when other samples are left out."
    need(same(alone - zero[1:2], one[1:2], EXACT), reason, "What is added up over the batch, axis 0?")
    mirrored = same(ask(layer, inputs, -weight) - zero, zero - ask(layer, inputs, weight), EXACT)
    hint = "Outputs are sums of weights times inputs: no square, no absolute value, no norm of a weight."
    need(mirrored, "-1 times the weights is not -1 times the outputs.", hint)


def _rank(layer: Layer, inputs: Tensor, weight: Tensor) -> int:
    """How many independent maps the weights reach: each weight by itself, seen through its outputs."""
    zero = ask(layer, inputs, torch.zeros_like(weight))
    ones = torch.eye(weight.numel(), dtype=weight.dtype).reshape(-1, *weight.shape)
    seen = torch.stack([(ask(layer, inputs, one) - zero).detach().flatten() for one in ones])
    return int(torch.linalg.matrix_rank(seen))
