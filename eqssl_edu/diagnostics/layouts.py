"""How the output of a layer is read as maps: channels first or last, tokens on a grid; or why it is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.diagnostics.group_axis import GroupAxis
from eqssl_edu.diagnostics.outputs import Output, shown
from eqssl_edu.errors import got, need_integer

__all__ = ["Layout", "Tokens", "is_ambiguous", "layouts", "need_tokens"]

SMALLEST_SIDE = 3  # the centred disc, in which maps are compared, is empty on 2 x 2
MOST_LEADING = 8  # tokens in front of those of the image, if nobody says how many: class, registers
Tokens = int | Sequence[int] | None


class Layout(NamedTuple):
    """How maps are read out of a tensor."""

    form: str  # "first" (channels), "last" or "tokens"
    side: int
    axis: GroupAxis | None = None

    def grid_last(self, output: Tensor) -> Tensor:
        """The output with rows and columns as its last axes."""
        if self.form == "tokens":
            return output[:, -(self.side**2) :].mT.unflatten(2, (self.side, self.side))
        return output.movedim(-1, 1) if self.form == "last" else output

    def read(self, output: Tensor) -> Float[Tensor, "batch out *group out_height out_width"]:
        """The maps; without a group axis all axes in front of the grid are channels."""
        maps = self.grid_last(output)
        return self.axis.ours(maps) if self.axis else maps.flatten(1, -3)


def need_tokens(tokens: Tokens) -> None:
    """Raise unless tokens are told by their square grid, or by how many come before it."""
    if isinstance(tokens, Sequence) and not isinstance(tokens, str):
        if len(tokens) != 2 or tokens[0] != tokens[1]:
            raise ValueError(
                f"tokens must be the two sides of a square grid, such as (14, 14), {got(tokens)}"
            )
        need_integer("tokens", tokens[0], least=SMALLEST_SIDE)
    elif tokens is not None:
        need_integer("tokens", tokens, least=0)


def layouts(
    outputs: list[Output], tokens: Tokens, grown: dict[str, tuple[int, ...]]
) -> dict[str, Layout | str]:
    """How each output is read as maps, or the reason why it is not.

    Arguments:
        outputs: in the order of their calls.
        tokens: the grid (height, width) of the tokens, or how many come before those of the image. By default told
            from the maps before them: n x n with as many channels.
        grown: the shapes of outputs for a picture that is twice as wide, as far as they are known.
    """
    found: dict[str, Layout | str] = {}
    squares, grids = [], {}  # (channels, side) of maps so far; the side of the grid of so many tokens
    for output in outputs:
        shape, wide = output.shape, grown.get(output.name, ())
        grows = [a < b for a, b in zip(shape, wide, strict=True)] if len(shape) == len(wide) else []
        attends = output.attends or grows[-2:] == [True, True]
        attends = attends or (len(shape) == 4 and shape[2] == shape[3] in grids)
        if output.trouble or (attends and not output.convolves) or len(shape) > 5:
            layout = output.trouble or ("attention" if attends else "no maps")
        elif len(shape) == 3:  # as many for a wider picture: queries, not places
            side = _side(shape, tokens, squares, grids) if grows[1:2] != [False] else 0
            why = (
                "the grid of tokens is said with tokens="
                if tokens is None
                else f"tokens={tokens} does not fit"
            )
            layout = Layout("tokens", side) if side else f"no maps ({why})"
        else:
            layout = _form(output, grows[-3:])
        if isinstance(layout, str):
            found[output.name] = output.trouble or f"gives {shown(shape)}, {layout}"
            continue
        if layout.form == "tokens":
            grids[shape[1]] = layout.side
        squares.append(
            (math.prod(layout.grid_last(torch.empty(shape, device="meta")).shape[1:-2]), layout.side)
        )
        axis = GroupAxis(output.group, 2) if output.group else None
        found[output.name] = layout._replace(axis=axis)
    return found


def is_ambiguous(output: Output) -> bool:
    """Tokens or not, channels first or last: is it a picture of another width that would tell?"""
    shape = output.shape
    return len(shape) == 3 or (len(shape) > 3 and shape[-3] == shape[-2] and not output.convolves)


def _side(
    shape: tuple[int, ...], tokens: Tokens, squares: list[tuple[int, int]], grids: dict[int, int]
) -> int:
    """The side of the grid of these tokens; 0 if nobody says it."""
    count, channels = shape[1:]
    if isinstance(tokens, Sequence):
        return tokens[0] if 0 <= count - tokens[0] ** 2 <= MOST_LEADING else 0
    if tokens is not None:
        side = math.isqrt(max(0, count - tokens))
        return side if side >= SMALLEST_SIDE and side**2 + tokens == count else 0
    evident = [side for c, side in squares if c == channels and 0 <= count - side**2 <= MOST_LEADING]
    return grids.get(count) or next(reversed(evident), 0)


def _form(output: Output, grows: list[bool]) -> Layout | str:
    """Channels first or last, or the reason why it is neither."""
    rows, columns, last = output.shape[-3:]
    sides = {"first": last * (columns == last), "last": rows * (rows == columns)}
    if output.convolves or output.group:
        sides["last"] = 0
    elif any(grows):  # the axis that has grown is the width
        sides["first"] *= grows == [False, False, True]
        sides["last"] *= grows == [False, True, False]
    elif sides["last"] and (sides["first"] or last == 1):
        return "channels first or last?"
    fitting = (Layout(form, side) for form, side in sides.items() if side >= SMALLEST_SIDE)
    return next(fitting, f"no square maps of at least {SMALLEST_SIDE} × {SMALLEST_SIDE}")
