"""Feature maps of escnn's modules as plain tensors. escnn itself is imported only where one of them is met."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from eqssl_edu.groups import FiniteGroup

__all__ = ["EscnnFields", "envelopes", "has_escnn", "torch_inside_escnn"]


def has_escnn(model: nn.Module) -> bool:
    """Is there a module of escnn in it?"""
    return any(_is_escnn(module) for module in model.modules())


def envelopes(model: nn.Module) -> list[Callable[[Tensor], object]]:
    """How a network may want its images: plain, or as the type of its input wraps them; the likelier way first."""
    plain, wrap = lambda images: images, getattr(model, "in_type", None)
    ways = [plain, wrap] if callable(wrap) else [plain]
    return ways[::-1] if _is_escnn(model) else ways


def torch_inside_escnn(model: nn.Module) -> set[str]:
    """Names of what escnn's modules are made of, torch's own modules and its bases: laid out in a way of their own."""
    return {
        f"{name}.{inner}" if name else inner
        for name, module in model.named_modules()
        if _is_escnn(module)
        for inner, child in module.named_modules()
        if not (_is_escnn(child) and hasattr(child, "out_type"))
    }


def _is_escnn(module: nn.Module) -> bool:
    return type(module).__module__.startswith("escnn.")


class EscnnFields:
    """Turns escnn's geometric tensors into maps: with a group axis where the fields have one.

    Regular and quotient fields become (B, C, |G|, H, W), as ``steerable.from_escnn`` does it; trivial fields
    alone become (B, C, H, W). Fields that are no permutations (irreps of dimension 2) are not shown, nor are those of
    SO(2) and O(2): no axis holds all angles.
    """

    def __init__(self) -> None:
        # The import also teaches escnn's modules to be copied.
        from eqssl_edu.steerable import escnn_modules

        self._modules = escnn_modules
        self._known: dict[object, tuple[FiniteGroup, Tensor] | str] = {}

    @staticmethod
    def knows(output: object) -> bool:
        """Is it one of escnn's geometric tensors?"""
        return isinstance(getattr(output, "tensor", None), Tensor) and hasattr(output, "type")

    def maps(self, output: object) -> tuple[Tensor | None, FiniteGroup | None, str]:
        """(maps, group, why it cannot be shown) of a geometric tensor."""
        fields = output.type
        if fields not in self._known:
            self._known[fields] = self._table(fields)
        found = self._known[fields]
        if isinstance(found, str):
            return None, None, found
        if output.tensor.ndim != 4:
            return None, None, f"gives escnn fields of shape {tuple(output.tensor.shape)}, no maps"
        group, index = found
        if all(field.is_trivial() for field in fields):
            return output.tensor, None, ""
        lifted = output.tensor[:, index.flatten().to(output.tensor.device)]
        return lifted.unflatten(1, (len(index), group.order)), group, ""

    def _table(self, fields: object) -> tuple[FiniteGroup, Tensor] | str:
        try:
            return self._modules.group_of(fields.gspace), self._modules.lifting_table(fields)
        except (
            ValueError
        ) as problem:  # a group or a field of another kind, which the message names at its end
            return f"gives escnn fields without a group axis: {str(problem).rpartition(', got ')[2]}"
