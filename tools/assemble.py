"""Assemble the WebAssembly of the pages that compute, and put its bytes into engine.js.

    python tools/assemble.py

It needs wasmtime, which comes with the tests.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

LIVE = Path(__file__).parents[1] / "eqssl_edu" / "widgets" / "live"


def assembled(text: str) -> bytes:
    """The bytes of a module, without its custom sections, which hold names."""
    from wasmtime import wat2wasm

    module = bytes(wat2wasm(text))
    kept, start = module[:8], 8
    while start < len(module):
        size, end = _number(module, start + 1)
        kept += module[start : end + size] if module[start] else b""
        start = end + size
    return kept


def _number(module: bytes, start: int) -> tuple[int, int]:
    """(an unsigned number in seven bits a byte, where it ends)."""
    value = shift = 0
    for end in range(start, len(module)):
        value |= (module[end] & 127) << shift
        shift += 7
        if module[end] < 128:
            break
    return value, end + 1


def with_product(script: str, text: str) -> str:
    """The engine with the product that this text says."""
    code = base64.b64encode(assembled(text)).decode()
    return re.sub(r'(const PRODUCT =\s*)"[^"]*"', lambda found: f'{found[1]}"{code}"', script)


if __name__ == "__main__":
    engine = LIVE / "engine.js"
    wat = (LIVE / "product.wat").read_text("utf-8")
    engine.write_text(with_product(engine.read_text("utf-8"), wat), "utf-8")
