"""The command line: options, types, help and YAML by jsonargparse; what is wrong is said in one sentence."""

from __future__ import annotations

import argparse
import inspect
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from eqssl_edu.command.evaluate import evaluate
from eqssl_edu.command.export import export
from eqssl_edu.command.pretrain import pretrain
from eqssl_edu.command.stopping import Stopped, trained
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView

__all__ = ["main"]

EXAMPLES = {
    pretrain: """examples:
  python -m eqssl_edu pretrain --data digits --folder runs/one
  python -m eqssl_edu pretrain --data digits --folder runs/one --resume
  python -m eqssl_edu pretrain --config runs/one/config.yaml --folder runs/two --seed 1
  python -m eqssl_edu pretrain --data cifar10 --task jigsaw --group D4 --encoder GroupResNet --folder runs/three
  python -m eqssl_edu pretrain --data glyphs --task infonce --similarity max --views.crop 0.3 --folder runs/four
""",
    evaluate: """examples:
  python -m eqssl_edu evaluate runs/one
  python -m eqssl_edu evaluate runs/one --data glyphs --limit 1000
""",
    export: """examples:
  python -m eqssl_edu export runs/one --to model.onnx
  python -m eqssl_edu export runs/one --to model.safetensors
""",
}
OPTIONS = {"source": "data", "split": "data", "num_nodes": "nodes", "images": "size", "symmetry": "group"}
# Of what is asked for, before a training.
REFUSALS = (ValueError, TypeError, OSError, ImportError, RuntimeError)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says; ends with a sentence and an exit code where that cannot be.

    Exit codes: 2 for what is asked wrongly, 1 for a training that failed, 130 and 143 for one that was stopped.
    """
    parser, commands = _parsers()
    chosen = parser.parse_args(arguments)
    name = chosen.command
    settings = {key: value for key, value in chosen[name].as_dict().items() if key != "config"}
    function = next(each for each in EXAMPLES if each.__name__ == name)
    try:
        run = function(**settings)
    except REFUSALS as problem:
        commands[name].error(_with_option(str(problem), settings))
    if name == "pretrain":
        try:
            trained(run)
        except Stopped as stopped:
            # In a terminal all processes hear Ctrl-C; a starter tells those that are left when another one is gone.
            if stopped.code != 128 + signal.SIGINT or run.fabric.is_global_zero:
                start = "\n" if run.fabric.world_size > 1 else ""  # below the bar of one that was killed
                print(f"{start}{commands[name].prog}: {stopped}", file=sys.stderr, flush=True)
            sys.exit(stopped.code)
        if run.fabric.is_global_zero:
            last = run.history[-1]
            print(
                f"{settings['folder']}: {run.step} steps, loss {last['loss']:.4f}, {run.seconds:.0f} s on {run.device}"
            )


def _parsers() -> tuple[Any, dict[str, Any]]:
    """The parser, and that of each command."""
    try:
        from jsonargparse import ActionYesNo, ArgumentParser, DefaultHelpFormatter
    except ImportError as missing:
        sys.exit(f"python -m eqssl_edu needs the extra command: pip install 'eqssl-edu[command]' ({missing})")

    class Parser(ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            print(f"{self.prog}: {_sentence(message)} (--help lists the options)", file=sys.stderr)
            sys.exit(2)

    class Layout(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
        """Examples keep their lines."""

    about = "Self-supervised learning for group equivariant networks."
    parser = Parser(
        prog="python -m eqssl_edu", description=about, formatter_class=Layout
    )  # its commands take it over
    subcommands, commands = parser.add_subcommands(dest="command", required=True), {}
    for function, examples in EXAMPLES.items():
        name, text = function.__name__, inspect.getdoc(function).partition("\n\nArguments:")[0]
        needed = "--data DATA --folder FOLDER" if function is pretrain else "RUN"
        command = Parser(description=text, epilog=examples, usage=f"%(prog)s {needed} [options]")
        command.add_argument("--config", action="config", help="a YAML file with any of these options")
        training = function is pretrain
        flags = _flags(pretrain, Pretrainer.__init__) if training else {}
        skip = {*flags, "views"} if training else set()
        command.add_function_arguments(function, as_positional=not training, skip=skip)
        for flag, (default, words) in flags.items():
            command.add_argument(f"--{flag}", action=ActionYesNo, default=default, help=words)
        if training:
            command.add_class_arguments(RandomView, "views", skip={"group", "limits"})
        subcommands.add_subcommand(name, command, help=text.partition("\n")[0])
        command.prog = f"{parser.prog} {name}"
        commands[name] = command
    return parser, commands


def _flags(*functions: Callable[..., Any]) -> dict[str, tuple[bool, str]]:
    """The arguments that are yes or no: their default, and what their docstring says. The first function counts."""
    found: dict[str, tuple[bool, str]] = {}
    for function in functions:
        owner = sys.modules[function.__module__]
        text = inspect.getdoc(function) or inspect.getdoc(
            getattr(owner, function.__qualname__.partition(".")[0])
        )
        for name, parameter in inspect.signature(function).parameters.items():
            if isinstance(parameter.default, bool) and name not in found:
                words = re.search(rf"^    {name}: (.*?)(?=^    \w|^\S|\Z)", text, re.DOTALL | re.MULTILINE)
                found[name] = parameter.default, " ".join(words[1].split()) if words else ""
    return found


def _sentence(message: str) -> str:
    """What jsonargparse has to say, in one sentence that names the option."""
    found = re.match(r'(?:.*?)Parser key "([\w.]+)":\s*(.*)', message, re.DOTALL)
    if not found:
        return " ".join(message.split()).rstrip(".")
    option, text = found.groups()
    wanted = re.findall(r"Expected an? (?:<class '([\w.]+)'>|(?:typing\.)?Literal\[(.*?)\])", text)
    value = re.search(r"(?:Got value|Given value): (.*)", text)
    if not (wanted and value):
        return f"--{option}: {' '.join(text.split())}"
    kinds = [kind or f"one of {choices}" for kind, choices in wanted if kind != "NoneType"]
    return f"--{option} must be {' or '.join(dict.fromkeys(kinds))}, got {value[1]!r}"


def _with_option(message: str, settings: dict[str, Any]) -> str:
    """The library names an argument first; here it is an option, or a word of the command."""
    message = " ".join(message.replace("resume=True", "--resume").split())
    name = re.match(r"[\w.]*", message)[0]
    rest = message.removeprefix(name)
    option = OPTIONS.get(name, name)
    if "run" in settings and option in ("run", "folder"):
        return f"RUN{rest}"
    if name in settings.get("views", {}):
        return f"--views.{message}"
    if option in settings or option.startswith("views."):
        return f"--{message}" if option == name else f"--{option}: {message}"
    return message
