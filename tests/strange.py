"""Calls of public functions with strange arguments: right, or refused in words; nothing else may happen.

python tests/strange.py SEED START STOP: a line of JSON for every case, in a process of its own (a crash is a finding).
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import re
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recipes import RARE, RECIPES
from torch import Tensor, nn

from eqssl_edu import exercises
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import got
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

SECONDS, BYTES = 60, 8 * 2**30  # of one case
REFUSALS = (ValueError, TypeError)
DOCUMENTED = {  # what a user's own network or function raises passes through
    "data.load_images": (OSError,),
    "encoders.count_multiplications": (NotImplementedError, RuntimeError),
    "encoders.SymmetrizedEncoder()": (RuntimeError, NotImplementedError),
    "widgets.ByHand": (KeyError, TypeError),
    "diagnostics.equivariance_error": (TypeError, KeyError, RuntimeError, ValueError),
    "diagnostics.equivariance_by_frequency": (TypeError, KeyError, RuntimeError, ValueError),
    "diagnostics.find_order": (KeyError, NotImplementedError, RuntimeError, ValueError),
    "diagnostics.learned_action": (NotImplementedError, RuntimeError),
    "diagnostics.untrained_copy": (NotImplementedError, RuntimeError),
    "evaluation.extract": (RuntimeError,),
}
NAN_SAID = {"diagnostics.matched_temperature", "circle.angles_of"}  # a collapse, a zero arrow: documented
EXPLORERS = {  # and where they keep the user's network
    "widgets.ByHand": "",
    "widgets.CircleExplorer": "encoder",
    "widgets.EmbeddingExplorer": "encoder",
    "widgets.ExactnessLab": "",
    "widgets.FieldExplorer": "model",
    "widgets.KernelExplorer": "layer",
    "widgets.LabelActionExplorer": "",
    "widgets.LearnedActionExplorer": "encoders",
    "widgets.OrbitCorrelationExplorer": "encoder",
    "widgets.OrbitExplorer": "",
}
USUAL: set[str] = set()
DRAWING: set[str] = (
    set()
)  # of these the usual call draws random numbers: for weights, or because no generator is given
EXPLORERS_MADE: dict[str, Any] = {}
ALSO = {  # what a part of it names
    "pretext.PretextModel()": ["images"],
    "pretext.transform": ["images"],
    "diagnostics.equivariance_error": ["images"],
    "contrastive.training_step": ["z1"],
    "learned.training_step": ["z1"],
}
OTHERS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "x",
    "no text": lambda: "",
    "markup": lambda: "$<script>\n" * 50,
    "bytes": lambda: b"x",
    "True": lambda: True,
    "False": lambda: False,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "2.5": lambda: 2.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "1e308": lambda: 1e308,
    "10**7": lambda: 10**7,
    "10**12": lambda: 10**12,
    "10**30": lambda: 10**30,
    "-10**30": lambda: -(10**30),
    "complex": lambda: 1j,
    "numpy 3": lambda: np.int64(3),
    "numpy half": lambda: np.float32(0.5),
    "numpy True": lambda: np.bool_(True),
    "numpy array": lambda: np.ones((2, 1, 8, 8), np.float32),
    "tensor 1": lambda: torch.tensor(1),
    "tensor True": lambda: torch.tensor(True),
    "tensor nan": lambda: torch.tensor(float("nan")),
    "empty": lambda: torch.zeros(0),
    "no images": lambda: torch.zeros(0, 1, 8, 8),
    "no pixels": lambda: torch.zeros(2, 1, 0, 0),
    "oblong": lambda: torch.rand(2, 1, 8, 9),
    "integers": lambda: torch.arange(6),
    "far integers": lambda: torch.tensor([0, 10**12]),
    "list": lambda: [0, 1],
    "empty list": lambda: [],
    "nested": lambda: [[0, 1], [2]],
    "empty tuple": lambda: (),
    "dict": lambda: {"a": 1},
    "generator": lambda: (i for i in range(3)),
    "object": lambda: object(),
    "class": lambda: int,
    "function of none": lambda: lambda: None,
    "function of two": lambda: lambda a, b: a,
    "function to None": lambda: lambda *a, **k: None,
    "raises": lambda: lambda *a, **k: {}["gone"],
    "C1": lambda: cyclic(1),
    "C3": lambda: cyclic(3),
    "D4": lambda: dihedral(4),
    "set of C3": lambda: GSet.regular(cyclic(3)),
    "set of D4": lambda: GSet.regular(dihedral(4)),
    "trivial set": lambda: GSet.trivial(cyclic(4), 1),
    "linear": lambda: nn.Linear(1, 1),
    "identity": lambda: nn.Identity(),
    "bare module": lambda: nn.Module(),
    "D4 network": lambda: GroupCNN(dihedral(4), 1, (2,)),
    "networks": lambda: nn.ModuleList([nn.Linear(1, 1)]),
    "path": lambda: Path("x"),
    "slice": lambda: slice(0),
}


def changed(rng: random.Random, value: Any) -> tuple[str, Any, bool]:
    """(what it is, a strange value in place of this one, whether it means the same)."""
    own: dict[str, tuple[Callable[[], Any], bool]] = {}
    if isinstance(value, int) and not isinstance(value, bool):
        own = {
            "numpy integer": (lambda: np.int64(value), True),
            "tensor integer": (lambda: torch.tensor(value), True),
            "as float": (lambda: float(value) + 0.5, False),
            "as text": (lambda: str(value), False),
            "larger": (lambda: value + 40, False),
        }
    if isinstance(value, float):
        own = {
            "numpy float": (lambda: np.float64(value), True),
            "negative": (lambda: -value, False),
            "tensor float": (lambda: torch.tensor(value), False),
        }
    if isinstance(value, tuple) and all(isinstance(v, int) for v in value):
        own = {
            "numpy integers": (lambda: tuple(map(np.int64, value)), True),
            "text inside": (lambda: (*value, "x"), False),
            "nan inside": (lambda: (*value, float("nan")), False),
            "huge inside": (lambda: (*value[:-1], 10**12), False),
            "negative inside": (lambda: (*value[:-1], -1), False),
            "nothing inside": (lambda: (), False),
        }
    if isinstance(value, Tensor):
        strange = value.clone()
        real = value.is_floating_point()

        def spoilt(number: float) -> Tensor:
            strange.view(-1)[0] = number
            return strange

        def strided() -> Tensor:
            return torch.stack([value, value], -1)[..., 0]

        own = {
            "strided": (strided, True),
            "parameter": (lambda: nn.Parameter(value.clone(), requires_grad=real), True),
            "an axis more": (lambda: value[None], False),
            "an axis less": (lambda: value[0] if value.ndim else value, False),
            "none of it": (lambda: value[:0], False),
            "one of it": (lambda: value[:1], False),
            "cut": (lambda: value[..., :-1], False),
            "bytes": (lambda: value.to(torch.uint8), False),
            "booleans": (lambda: value > 0, False),
            "int32": (lambda: value.int(), False),
            "complex": (lambda: value.to(torch.complex64), False),
            "as numpy": (lambda: value.numpy(), False),
            "as list": (lambda: value.tolist(), False),
            "sparse": (lambda: value.to_sparse(), False),
        }
        if real:
            own |= {
                "a nan": (lambda: spoilt(float("nan")), False),
                "an inf": (lambda: spoilt(float("inf")), False),
                "half": (lambda: value.half(), False),
                "bfloat16": (lambda: value.bfloat16(), False),
                "double": (lambda: value.double(), False),
                "huge": (lambda: value * 1e8, False),
                "tiny": (lambda: value * 1e-30, False),
                "zeros": (lambda: value * 0, False),
            }
        else:
            own |= {"negative": (lambda: value - 10, False), "far": (lambda: value + 10**12, False)}
    if own and rng.random() < 0.5:
        name = rng.choice(sorted(own))
        make, same = own[name]
        return name, make(), same
    name = rng.choice(sorted(OTHERS))
    return name, OTHERS[name](), False


def plain(thing: Any, deep: int = 0) -> Any:
    """What a thing holds, for a comparison; also whether it is in training mode."""
    if isinstance(thing, Tensor):
        if thing.is_sparse:
            return str(thing.layout)
        return (
            str(thing.dtype),
            tuple(thing.shape),
            thing.detach().double().nan_to_num(1.5).tolist() if not thing.is_complex() else 0,
        )
    if isinstance(thing, nn.Module):
        hooks = len(thing._forward_hooks)
        modes = [m.training for m in thing.modules()]
        return type(thing).__name__, plain(dict(thing.state_dict())), modes, hooks
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    if isinstance(thing, dict):
        return {str(key): plain(value, deep + 1) for key, value in thing.items()}
    if isinstance(thing, (list, tuple, set)):
        return [plain(value, deep + 1) for value in thing]
    if thing is None or isinstance(thing, (int, float, str, bool, np.generic)):
        return repr(float(thing)) if isinstance(thing, (int, float, np.number)) else str(thing)
    if hasattr(thing, "values") and isinstance(thing.values, dict):
        return plain(thing.values)
    return type(thing).__name__


def holds_nan(thing: Any) -> bool:
    if isinstance(thing, Tensor):
        return not (thing.is_sparse) and bool(thing.isnan().any())
    if isinstance(thing, float):
        return thing != thing
    if isinstance(thing, (list, tuple)):
        return any(map(holds_nan, thing))
    if isinstance(thing, dict):
        return any(map(holds_nan, thing.values()))
    return isinstance(thing, nn.Module) and holds_nan(dict(thing.state_dict()))


def world() -> tuple:
    return torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()


def too_slow(*_: Any) -> None:
    raise TimeoutError(f"took more than {SECONDS} s")


def names_of(function: Callable) -> list[str]:
    parameters = inspect.signature(getattr(function, "of", function)).parameters.values()
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def case(seed: int, number: int) -> dict[str, str]:
    """One call: {"door", "what" (was strange), "found" ("right", "refused", or what is wrong)}."""
    rng = random.Random(f"{seed} {number}")
    if number % 10 == 0:
        return hand(rng)
    if number % 10 == 5:
        return student(rng)
    every = [name for name in RECIPES if not name.startswith(RARE) or rng.random() < 0.1]
    door = rng.choice(every)
    function, build = RECIPES[door]
    torch.manual_seed(1)
    arguments, parameters = build(), names_of(function)
    if not parameters:
        function()
        return {"door": door, "what": "nothing", "found": "right"}
    chosen = rng.sample(parameters, min(len(parameters), rng.choice([1, 1, 1, 2])))
    whats, same = [], True
    for name in chosen:
        if name in arguments:
            value = arguments[name]
        else:
            default = inspect.signature(getattr(function, "of", function)).parameters[name].default
            value = None if default is inspect.Parameter.empty else default
        what, arguments[name], means_the_same = changed(rng, value)
        whats.append(f"{name} = {what}")
        same &= means_the_same
    if door not in USUAL:
        USUAL.add(door)
        torch.manual_seed(1)
        draws = torch.get_rng_state()
        function(**build())
        DRAWING.update([door] if not torch.equal(draws, torch.get_rng_state()) else [])
    before, around = plain(arguments), world()
    finite = not holds_nan(list(arguments.values())) and not any("inf" in w or "1e308" in w for w in whats)
    signal.alarm(SECONDS)
    torch.manual_seed(1)
    draws = torch.get_rng_state()
    silent = door not in DRAWING and arguments.get("generator", "given") is not None
    try:
        result = function(**arguments)
        found = "right"
        if same:
            torch.manual_seed(1)
            usual = build()
            torch.manual_seed(1)
            if plain(function(**usual)) != plain(result):
                found = "another value than for the plain equivalent"
        elif finite and holds_nan(result) and door not in NAN_SAID:
            found = "silent nan"
    except Exception as problem:
        found = judged(door, problem, parameters, chosen, same)
    finally:
        signal.alarm(0)
    if found in ("right", "refused"):
        if plain(arguments) != before and "load_r2conv" not in door and "widgets.Live" not in door:
            found = "an input was changed"
        if world() != around or (silent and not torch.equal(draws, torch.get_rng_state())):
            found = "the world was changed, or its random numbers"
    return {"door": door, "what": ", ".join(whats), "found": found}


def hand(rng: random.Random) -> dict[str, str]:
    """A strange change of an explorer's state, by a cell or by the front end: shown, or refused and nothing changed."""
    kind = rng.choice(sorted(EXPLORERS))
    if kind not in EXPLORERS_MADE:
        function, build = RECIPES[kind]
        EXPLORERS_MADE[kind] = function(**build())
    explorer = EXPLORERS_MADE[kind]
    state, network = explorer.state(), getattr(explorer, EXPLORERS[kind], None)
    network = network if isinstance(network, nn.Module) else None
    before = state, plain(explorer.values), explorer.readout, plain(network)
    entry = rng.choice([*state, "nonsense"])
    what, value, _ = changed(rng, state.get(entry))
    where, found = f"{kind}.{rng.choice(['set_state', 'receive'])}", "right"
    signal.alarm(SECONDS)
    try:
        if where.endswith("set_state"):
            explorer.set_state(**{entry: value})
        else:
            explorer.receive({"token": "1", "changes": {entry: value}})
            if explorer.error:
                raise ValueError(explorer.error)
        state = explorer.state()
        json.dumps([state, explorer.facts, explorer.values], allow_nan=False, default=lambda _: "bytes")
    except Exception as problem:
        found = judged(where, problem, [entry], [entry], False)
        if (explorer.state(), plain(explorer.values), explorer.readout, plain(network)) != before:
            found = f"refused, but something has changed: {problem}"
    finally:
        signal.alarm(0)
    return {"door": where, "what": f"{entry} = {what}", "found": found}


def student(rng: random.Random) -> dict[str, str]:
    """A strange answer to an exercise: a verdict, and none but numbers, names and tensors can be right by chance."""
    room = rng.choice(sorted(Path(exercises.__file__).parent.glob("notebook_*.py"))).stem
    names = importlib.import_module(f"eqssl_edu.exercises.{room}").__all__
    exercise = f"{room[-2:]}.{rng.choice(names)}"
    what = rng.choice(sorted(OTHERS))
    signal.alarm(SECONDS)
    try:
        verdict = exercises.check(exercise, OTHERS[what]())
        fine = isinstance(verdict, exercises.Verdict) and isinstance(verdict.ok, bool) and verdict.reason
        found = "right" if fine else f"no verdict: {verdict!r}"
    except Exception as problem:
        found = f"{type(problem).__name__}: {problem}"
    finally:
        signal.alarm(0)
    return {"door": f"exercises.check {exercise}", "what": what, "found": found}


def judged(door: str, problem: Exception, parameters: list[str], chosen: list[str], same: bool) -> str:
    text = f"{type(problem).__name__}: {problem}"
    if same:
        return f"refused what means the same: {text[:200]}"
    if isinstance(problem, DOCUMENTED.get(door, ())):
        return "refused"
    if not isinstance(problem, REFUSALS) or isinstance(problem, UnicodeError):
        return text[:300]
    names = [*parameters, *ALSO.get(door, [])]
    must = any(
        re.search(rf"\b{re.escape(name)}\b\S*( \([^)]*\))?( ?=| must)", str(problem)) for name in names
    )
    first = any(re.match(rf"(\w+: )?{re.escape(name)}\b", str(problem)) for name in chosen)
    return "refused" if must or first else f"unnamed: {text[:300]}"


def main(seed: int, start: int, stop: int) -> None:
    signal.signal(signal.SIGALRM, too_slow)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for number in range(start, stop):
        print(json.dumps({"case": number}), flush=True)
        try:
            print(json.dumps(case(seed, number)), flush=True)
        except MemoryError as problem:
            print(json.dumps({"door": "?", "what": "?", "found": f"MemoryError {got(problem)}"}), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
