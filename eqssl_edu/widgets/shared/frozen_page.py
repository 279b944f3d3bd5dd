"""An explorer as one page that still turns with no kernel and no network: its states are computed beforehand."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

__all__ = ["MAX_BYTES", "packed_size", "page", "product_of"]

FOLDER = Path(__file__).parent
MAX_BYTES = 2_000_000  # of what a page adds to the scripts and styles that all pages share

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{css}
body {{ margin: 0; background: light-dark(#fff, #161616); color: light-dark(#1a1a1a, #ececec);
  font: 14px/1.4 system-ui, sans-serif; }}
main {{ max-width: 1600px; margin: 0 auto; padding: 8px 16px 24px; }}
h1 {{ font-size: 21px; margin: 8px 0 2px; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{note}</p>
<noscript><p>This page needs JavaScript. {readout}</p></noscript>
<div id="explorer"></div>
</main>
<script type="text/plain" id="states" data-json="{json_bytes}">{data}</script>
<script type="module">
{script}
</script>
</body>
</html>
"""


def product_of(**axes: Iterable) -> list[dict[str, Any]]:
    """Every combination of the values of some entries of a state.

    Example:
        >>> product_of(angle=[0, 90], mirror=[False])
        [{'angle': 0, 'mirror': False}, {'angle': 90, 'mirror': False}]
    """
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def page(
    states: list[tuple[dict[str, Any], dict[str, Any]]],
    first: dict[str, Any],
    facts: dict[str, Any],
    free: tuple[str, ...],
    files: tuple[str, str],
    title: str,
) -> str:
    """The page of an explorer.

    Arguments:
        states: (entries of the state, traits that the script reads in it), in any order.
        first: the state that the page shows first.
        facts: the explorer's facts.
        free: entries of the state that change nothing but themselves in ``values["state"]``.
        files: the explorer's script and style sheet.
        title: of the page.

    Raises:
        ValueError: if the precomputed states take more than ``MAX_BYTES``.
    """
    packed, json_bytes = _pack({"facts": facts, "free": list(free), "first": first}, states)
    if len(packed) > MAX_BYTES:
        raise ValueError(
            f"a page holds at most {MAX_BYTES / 1e6:.0f} MB of precomputed states, got {len(packed) / 1e6:.1f} MB "
            f"({len(states)} states)"
        )
    script = files[0] + (FOLDER / "frozen_page.js").read_text("utf-8")
    count = f"{len(states)} states" if len(states) > 1 else "one state"
    return PAGE.format(
        title=html.escape(title),
        note=f"This page needs no kernel and no network. It holds {count} computed beforehand and shows the nearest.",
        readout=html.escape(states[0][1]["readout"]),
        css=files[1],
        script=script.replace("</script", "<\\/script"),
        data=packed,
        json_bytes=json_bytes,
    )


def packed_size(traits: dict[str, Any]) -> int:
    """About how many bytes of a page one state takes."""
    return len(_pack({}, [({}, traits)])[0])


def _pack(head: dict[str, Any], states: list[tuple[dict[str, Any], dict[str, Any]]]) -> tuple[str, int]:
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

    table = {
        **plain(head),
        "states": [{"state": state, "traits": plain(traits)} for state, traits in states],
    }
    text = json.dumps(table, allow_nan=False, separators=(",", ":")).encode()
    packed = gzip.compress(text + b"".join(blobs), 9, mtime=0)
    return base64.b64encode(packed).decode(), len(text)
