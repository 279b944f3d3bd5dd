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

__all__ = ["MAX_BYTES", "packed_size", "page", "product_of"]

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


def page(states: States, head: dict[str, Any], files: tuple[str, str], title: str) -> str:
    """The page of an explorer.

    Arguments:
        states: in any order.
        head: "facts" of the explorer, "first", the state that the page shows first, and "free", the entries of
            the state that change nothing but themselves in ``values["state"]``.
        files: the explorer's script and style sheet.
        title: of the page.

    Raises:
        ValueError: if the precomputed states take more than ``MAX_BYTES``.
    """
    packed, json_bytes = _pack(head, states)
    if len(packed) > MAX_BYTES:
        found = f"got {len(packed) / 1e6:.1f} MB ({len(states)} states)"
        raise ValueError(f"a page holds at most {MAX_BYTES / 1e6:.0f} MB of precomputed states, {found}")
    script = files[0] + (FOLDER / "frozen_page.js").read_text("utf-8")
    count = f"{len(states)} states" if len(states) > 1 else "one state"
    template = (FOLDER / "frozen_page.html").read_text("utf-8")
    note = f"This page needs no kernel and no network. It holds {count} computed beforehand and shows the nearest."
    return template.format(
        title=html.escape(title),
        note=note,
        readout=html.escape(states[0][1]["readout"]),
        css=files[1],
        script=script.replace("</script", "<\\/script"),
        data=packed,
        json_bytes=json_bytes,
    )


def packed_size(traits: dict[str, Any]) -> int:
    """About how many bytes of a page one state takes."""
    return len(_pack({}, [({}, traits)])[0])


def _pack(head: dict[str, Any], states: States) -> tuple[str, int]:
    """(base64 of the compressed table, how many of its bytes are JSON); equal pictures are stored once."""
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

    table = {**plain(head), "states": [{"state": state, "traits": plain(traits)} for state, traits in states]}
    text = json.dumps(table, allow_nan=False, separators=(",", ":")).encode()
    packed = gzip.compress(text + b"".join(blobs), 9, mtime=0)
    return base64.b64encode(packed).decode(), len(text)
