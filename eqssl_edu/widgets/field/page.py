"""The page of a FieldExplorer that turns without a kernel: which states it holds, and how large its pictures are."""

from __future__ import annotations

from typing import Any

import torch

from eqssl_edu.diagnostics.recorder import FeatureRecorder
from eqssl_edu.shapes import Image
from eqssl_edu.widgets.field.values import LAYERS, Sizes, errors_at
from eqssl_edu.widgets.live.plan import NotComputed, compiled, packed_words
from eqssl_edu.widgets.shared.frozen_page import MAX_BYTES, packed_size, product_of
from eqssl_edu.widgets.shared.picture_source import MAKE

__all__ = ["ANGLE_STEP", "FieldPage"]

ANGLE_STEP = 15  # degrees
FEW, MANY = 3, 6  # layers: a reader of a page wants to compare some
STATES = 600  # at most; a state takes 5 to 50 ms to compute
FULL = 0.9 * MAX_BYTES  # the sizes of the states are estimates
Pair = dict[str, str]  # the layer of each network, as entries of a state
SIZES = [Sizes(), Sizes(56, 16_000), Sizes(40, 8_000), Sizes(32, 4_000), Sizes(24, 2_000)]


class FieldPage:
    """Part of FieldExplorer."""

    live_files = ("live/field",)

    def live_data(self, quick: bool = False) -> dict[str, Any]:
        """The networks as plans, with what the page has to know of their layers; the pictures of all sources, quickly
        those of none that is not shown."""
        image = self.sources.get("image", 0).image
        if image.dtype not in (torch.float32, torch.float64):
            raise NotComputed(f"the engine of pages does not know pictures of {image.dtype}")
        pictures = {} if quick and self._state["source"] not in MAKE else self.sources.packed()
        sources = [pair for pair in self.facts["sources"] if pair[0] in pictures or pair[0] not in MAKE]
        return {
            "facts": {**self.facts, "sources": sources},
            "first": self.state(),
            "networks": [network.live_facts(image) for network in self.networks],
            "plans": [_plan(network.recorder, image) for network in self.networks],
            "same_depth": {name: self._same_depth(name) for name in self.layers[0]}
            if self.layers[1:]
            else {},
            "image": packed_words([image.float().reshape(-1).cpu()]),
            "pictures": pictures,
        }

    def frozen_states(self) -> list[dict[str, Any]]:
        """Every 15 degrees and every element, stabilised or not, mirrored if the group has reflections; in as
        many layers as fit. If these are few, the pictures are made smaller."""
        state, elements = self.state(), self.facts["elements"]
        angles = sorted({*range(0, 361, ANGLE_STEP), *(element["angle"] for element in elements)})
        mirrors = sorted({state["mirror"], *(element["mirror"] for element in elements)})
        turned = product_of(angle=angles, mirror=mirrors, stabilised=[False, True])
        layers = self._layers_by_interest(state)
        for self._page_sizes in SIZES:
            chosen = self._fitting(state, layers, len(turned))
            if len(chosen) >= min(FEW, len(layers)):
                break
        return [{**pair, **turn} for pair in chosen or layers[:1] for turn in turned]

    def frozen(self, state: dict[str, Any]) -> dict[str, Any]:
        """What a state of the page looks like, with the curve every 15 degrees."""
        values, readout = self.show(state, self._page_sizes)
        self.forget_old_weights()
        known = self.known_curve(state)
        image = self.sources.get(state["source"], state["picture"]).image
        for angle in range(0, 361, ANGLE_STEP):
            if angle not in known.errors:
                known.errors[angle] = errors_at(self.networks, image, state, angle)
        return {"values": values, "readout": readout, "curve": known.points()}

    def frozen_facts(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """The facts, without the choices that need a kernel: other layers, channels and pictures."""
        networks = []
        for network, key in zip(self.facts["networks"], LAYERS, strict=False):
            held = {state[key] for state in states}
            layers = [fact for fact in network["layers"] if fact["name"] in held]
            networks.append({**network, "layers": layers})
        frozen = {"networks": networks, "angle_step": ANGLE_STEP, "fixed_channels": True, "sources": []}
        return {**self.facts, **frozen}

    def _fitting(self, state: dict[str, Any], layers: list[Pair], turns: int) -> list[Pair]:
        """The first layers that fit with this many turns each, pictures in the present size."""
        chosen, size = [], 0
        for pair in layers:
            more = turns * packed_size(self.frozen({**state, **pair, "angle": 45}))
            if size + more <= FULL and len(chosen) < max(1, min(MANY, STATES // turns)):
                chosen.append(pair)
                size += more
        return chosen

    def _layers_by_interest(self, state: dict[str, Any]) -> list[Pair]:
        """The layers of both networks: those that are shown, those that convolve, the others."""
        keys = [key for key in LAYERS if key in state]
        layers = sorted(self.networks[0].recorder.layers.values(), key=lambda layer: not layer.convolves)
        pairs = [{key: state[key] for key in keys}]
        for layer in layers[: 2 * MANY]:
            checked = self.check({"layer": layer.name})
            pairs.append({key: checked[key] for key in keys})
        return [pair for i, pair in enumerate(pairs) if pair not in pairs[:i]]


def _plan(recorder: FeatureRecorder, image: Image) -> dict[str, Any]:
    """What a network computes in all layers that are shown."""
    layers = set(recorder.layers)
    recorder.all_maps(image[None], layers)  # the copy is new before its steps are written down
    return compiled(lambda images: recorder.all_maps(images, layers), image)
