"""An explorer as one page that still turns with no kernel and no network: its states are computed beforehand."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Collection
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

__all__ = ["MAX_BYTES", "assembled", "by_nearness", "pack", "packed_size", "page", "product_of"]

FOLDER = Path(__file__).parent
MAX_STATES = 10_000
MAX_BYTES = 2_000_000  # of what a page adds to the scripts and styles that all pages share
States = list[
    tuple[dict[str, Any], dict[str, Any]]
]  # entries of the state, traits that the script reads in it


def product_of(**axes: Collection) -> list[dict[str, Any]]:
    """Every combination of the values of some entries of a state.

    Example:
        >>> product_of(angle=[0, 90], mirror=[False])
        [{'angle': 0, 'mirror': False}, {'angle': 90, 'mirror': False}]
    """
    count = prod(len(list_of) for list_of in axes.values())
    if count > MAX_STATES:
        raise ValueError(f"a page holds at most {MAX_STATES:,} states, got {count:,} of {', '.join(axes)}")
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def by_nearness(states: list[dict[str, Any]], own: dict[str, Any]) -> list[dict[str, Any]]:
    """The states in another order: those first that differ from one's own in the fewest entries, coarse before fine.

    Example:
        >>> by_nearness(product_of(a=range(4), b=[0, 1]), {"a": 0, "b": 1})[:5]
        [{'a': 0, 'b': 1}, {'a': 0, 'b': 0}, {'a': 2, 'b': 1}, {'a': 1, 'b': 1}, {'a': 3, 'b': 1}]
    """
    digits = (len(states) - 1).bit_length()
    order = [int(f"{place:0{digits}b}"[::-1], 2) for place in range(2**digits)]
    coarse = [states[place] for place in order if place < len(states)]
    return sorted(coarse, key=lambda state: sum(state[key] != own[key] for key in state))


def page(states: States, head: dict[str, Any], files: tuple[str, str], title: str, why: str = "") -> str:
    """The page of an explorer.

    Arguments:
        states: in any order.
        head: "facts" of the explorer, "first", the state that the page shows first, and "free", the entries of
            the state that change nothing but themselves in ``values["state"]``.
        files: the explorer's script and style sheet.
        title: of the page.
        why: it does not compute by itself, as the page is to say.

    Raises:
        ValueError: if the precomputed states take more than ``MAX_BYTES``.
    """
    packed = pack({**head, "states": [{"state": state, "traits": traits} for state, traits in states]})
    if len(packed[0]) > MAX_BYTES:
        found = f"got {len(packed[0]) / 1e6:.1f} MB ({len(states)} states)"
        raise ValueError(f"a page holds at most {MAX_BYTES / 1e6:.0f} MB of precomputed states, {found}")
    count = f"{len(states)} states" if len(states) > 1 else "one state"
    note = f"This page needs no kernel and no network. It holds {count} computed beforehand and shows the nearest."
    note += f" It does not compute: {why}." * bool(why)
    return assembled(
        packed, files, ("shared/page_data", "shared/frozen_page"), title, note, states[0][1]["readout"]
    )


def assembled(
    packed: tuple[str, int],
    files: tuple[str, str],
    more: Collection[str],
    title: str,
    note: str,
    readout: str,
) -> str:
    """A page out of what it holds, the explorer's script and style sheet, and more scripts behind it."""
    scripts = [files[0], *((FOLDER.parent / name).with_suffix(".js").read_text("utf-8") for name in more)]
    return (
        (FOLDER / "frozen_page.html")
        .read_text("utf-8")
        .format(
            title=html.escape(title),
            note=html.escape(note),
            readout=html.escape(readout),
            css=files[1],
            script="".join(scripts).replace("</script", "<\\/script"),
            data=packed[0],
            json_bytes=packed[1],
        )
    )


def packed_size(traits: dict[str, Any]) -> int:
    """About how many bytes of a page one state takes."""
    return len(pack({"states": [{"state": {}, "traits": traits}]})[0])


def pack(table: dict[str, Any]) -> tuple[str, int]:
    """(base64 of the compressed table, how many of its bytes are JSON); equal bytes are stored once."""
    blobs: dict[bytes, int] = {}
    end = 0

    def plain(value: Any) -> Any:
        nonlocal end
        if isinstance(value, (bytes, bytearray, memoryview)):
            blob = bytes(value)
            if blob not in blobs:
                blobs[blob], end = end, end + len(blob)
            return {"$bytes": [blobs[blob], len(blob)]}
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(entry) for entry in value]
        return value

    text = json.dumps(plain(table), allow_nan=False, separators=(",", ":")).encode()
    packed = gzip.compress(text + b"".join(blobs), 9, mtime=0)
    return base64.b64encode(packed).decode(), len(text)
