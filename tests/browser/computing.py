"""Explorers whose page computes: the kernel's own classes, with a page in a browser in the kernel's place."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch

__all__ = ["POLICY", "SLOW", "asked", "close", "maps_on", "on_page"]

# A page on which WebAssembly is not allowed.
POLICY = '<meta http-equiv="Content-Security-Policy" content="script-src \'unsafe-inline\'">'

# All in one go: between two of them the page would work at the curve.
ASK = """(all) => all.map((changes) => {
  const { model } = document.getElementById("explorer");
  model.send({ token: "test", changes });
  const { pixels, ...values } = model.get("values");
  const bytes = btoa(pixels.reduce((text, byte) => text + String.fromCharCode(byte), ""));
  return { error: model.get("error"), readout: model.get("readout"), values: { ...values, pixels: bytes } };
})"""
MAPS = """([image, layers]) => {
  const [{ run }] = document.getElementById("explorer").engines;
  const bytes = (maps) => new Uint8Array(maps.buffer, maps.byteOffset, maps.byteLength);
  return run(image, layers).map((maps) => btoa(bytes(maps).reduce((text, b) => text + String.fromCharCode(b), "")));
}"""
# The whole curve, as the front end asks for it when the hand rests.
SLOW = """() => {
  const { model } = document.getElementById("explorer");
  for (let slice = 0; model.get("unfinished"); slice++) model.send({ token: `slice ${slice}`, refine: true });
  return model.get("curve");
}"""


def asked(page: Any, *every: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """What a page answers to changes of its state: (values, readout) of each, as ``Explorer.show`` gives them."""
    answers = page.evaluate(ASK, every)
    assert {answer["error"] for answer in answers} == {""}
    pixels = [base64.b64decode(answer["values"]["pixels"]) for answer in answers]
    return [
        ({**answer["values"], "pixels": each}, answer["readout"])
        for answer, each in zip(answers, pixels, strict=True)
    ]


def maps_on(page: Any, image: torch.Tensor, layers: list[str]) -> dict[str, torch.Tensor]:
    """The maps of the first network's layers for an image, as the engine computes them, in a row."""
    answers = page.evaluate(MAPS, [image.flatten().tolist(), layers])
    found = (torch.frombuffer(bytearray(base64.b64decode(answer)), dtype=torch.float32) for answer in answers)
    return dict(zip(layers, found, strict=True))


def on_page(explorer: Any, page: Any) -> Any:
    """The explorer itself, which asks the page what a state looks like: so ``walk`` goes through a page."""
    explorer.show = lambda state: asked(page, state)[0]
    return explorer


def close(found: Any, wanted: Any, path: str = "values") -> None:
    """Raise unless a page shows what the kernel shows: words and bytes alike, numbers within the tolerances."""
    if isinstance(wanted, bytes):
        levels = [np.frombuffer(each, np.uint8).astype(int) for each in (found, wanted)]
        assert len(found) == len(wanted) and np.abs(levels[0] - levels[1]).max() <= 1, path
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), path
        tiny = isinstance(wanted.get("error"), float) and wanted["error"] < 1e-4
        for key in wanted.keys() - ({"text"} if tiny else set()):
            close(found[key], wanted[key], f"{path}.{key}")
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted), path
        for i, each in enumerate(wanted):
            close(found[i], each, f"{path}[{i}]")
    elif isinstance(wanted, float) and not isinstance(found, str):
        assert abs(found - wanted) <= (1e-5 if wanted < 1e-4 else 1e-5 * wanted), (path, found, wanted)
    else:
        assert found == wanted, (path, found, wanted)
