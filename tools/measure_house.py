"""What can be counted of the house: circles and arrows upward among its modules, lines, and how much is validation.

python tools/measure_house.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "eqssl_edu"
# From the ground up: a module imports from its own floor and from those before it.
FLOORS = [
    ["errors", "colours", "shapes", "ownership"],
    ["tables", "plots", "twins", "precision"],
    ["rotate", "groups"],
    ["permutations"],
    ["gsets"],
    ["layers"],
    ["encoders", "theory"],
    ["circle"],
    ["steerable", "pretext", "contrastive"],
    ["data"],
    ["views", "training"],
    ["learned"],
    ["diagnostics", "evaluation"],
    ["widgets", "jupyter"],
    ["exercises"],
    ["lessons"],
    ["command"],
    ["__main__"],
]
MATHEMATICS = [
    "groups",
    "rotate",
    "permutations",
    "gsets",
    "layers",
    "encoders",
    "pretext",
    "theory",
    "contrastive",
    "circle",
    "learned",
]
CHECKERS = ("need_", "_need_", "check_", "_check_", "_checked_")


def modules() -> dict[str, ast.Module]:
    """Every module of the library by its dotted name, parsed."""
    found = {}
    for path in sorted((ROOT / LIBRARY).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Which modules of the library each module imports, also inside of functions."""
    found: dict[str, set[str]] = {}
    for name, tree in trees.items():
        found[name] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                source = origin(name, node, trees)
                inside = [f"{source}.{alias.name}" for alias in node.names]
                named = [full if full in trees else source for full in inside]
            else:
                continue
            found[name] |= {each for each in named if each in trees} - {name}
    return found


def origin(name: str, node: ast.ImportFrom, trees: dict[str, ast.Module]) -> str:
    """The module that a statement `from ... import` in the module `name` names, with its dots resolved."""
    if not node.level:
        return node.module
    is_package = any(other.startswith(f"{name}.") for other in trees)
    parts = name.split(".")
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([*above, *filter(None, [node.module])])


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules that import each other, directly or through others."""

    def reached(start: str) -> set[str]:
        seen, new = set(), {start}
        while new:
            new = set().union(*(arrows[name] for name in new)) - seen
            seen |= new
        return seen

    reach = {name: reached(name) for name in arrows}
    rings = {frozenset(other for other in reach[name] if name in reach[other]) for name in arrows}
    return [set(ring) for ring in rings if len(ring) > 1]


def arrows_upward(arrows: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Imports from a room of a higher floor, or of another room on the same floor."""
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

    def room(name: str) -> str:
        return name.split(".")[1] if "." in name else ""

    homeless = {room(name) for name in arrows} - floor.keys() - {""}
    if homeless:
        raise ValueError(f"FLOORS must name every room, got none for {', '.join(sorted(homeless))}")
    return [
        (name, other)
        for name, others in arrows.items()
        for other in others
        if room(name) != room(other) and room(other) and floor[room(other)] >= floor[room(name)]
    ]


def executable_lines(node: ast.AST, validation: bool = False) -> Iterator[tuple[int, bool]]:
    """(line, is it validation?) for every line of code in a block: docstrings, imports and signatures do not count.

    Validation are statements that raise, with the condition in front of them, calls of checkers, and the bodies of
    checkers.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from executable_lines(child, validation or child.name.startswith(CHECKERS))
        elif isinstance(child, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.ExceptHandler):
            checks = validation or only_checks(child)
            yield from ((line, checks) for line in range(child.lineno, child.body[0].lineno))
            yield from executable_lines(child, checks)
        elif (
            isinstance(child, ast.stmt)
            and not isinstance(child, ast.Import | ast.ImportFrom)
            and not is_text(child)
        ):
            checks = validation or only_checks(child)
            yield from ((line, checks) for line in range(child.lineno, child.end_lineno + 1))


def is_text(node: ast.stmt) -> bool:
    """A docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def only_checks(node: ast.AST) -> bool:
    """A raise, a call of a checker (its answer may be kept), or a block of nothing else."""
    if isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Call):
        called = node.value.func
        return getattr(called, "id", getattr(called, "attr", "")).startswith(CHECKERS)
    if isinstance(node, ast.Raise):
        return getattr(node.exc, "id", "") != "NotImplementedError"
    blocks = [*getattr(node, "body", []), *getattr(node, "orelse", []), *getattr(node, "handlers", [])]
    return bool(blocks) and all(map(only_checks, blocks))


def validation_share(trees: dict[str, ast.Module], rooms: list[str]) -> tuple[int, int]:
    """(lines of validation, executable lines) in these rooms of the library."""
    lines = [
        kind
        for name, tree in trees.items()
        if "." in name and name.split(".")[1] in rooms
        for kind in dict(executable_lines(tree)).values()
    ]
    return sum(lines), len(lines)


def line_count(pattern: str, *places: str, without: tuple[str, ...] = ()) -> int:
    """Lines of all files with this ending below these places; a place may be a file."""
    roots = [ROOT / place for place in places]
    paths = {path for root in roots for path in ([root] if root.is_file() else root.rglob(pattern))}
    kept = [path for path in paths if not any((ROOT / other) in path.parents for other in without)]
    return sum(path.read_text(encoding="utf-8").count("\n") for path in kept)


def main() -> None:
    """Print all of it."""
    trees = modules()
    arrows = imports(trees)
    for ring in circles(arrows):
        print("circle:", ", ".join(sorted(ring)))
    for name, other in arrows_upward(arrows):
        print(f"upward: {name} imports {other}")
    print("Python:", line_count("*.py", LIBRARY))
    inner = ("eqssl_edu/widgets", "eqssl_edu/exercises", "eqssl_edu/lessons")
    print("  without widgets, exercises and lessons:", line_count("*.py", LIBRARY, without=inner))
    for room in sorted({name.split(".")[1] for name in trees if "." in name}):
        lines = line_count("*.py", f"{LIBRARY}/{room}", f"{LIBRARY}/{room}.py")
        print(f"  {room:14} {lines:6} lines, validation {share(trees, [room])}")
    for kind, pattern, place in (
        ("JavaScript", "*.js", LIBRARY),
        ("CSS", "*.css", LIBRARY),
        ("tests", "*.py", "tests"),
    ):
        print(f"{kind}:", line_count(pattern, place))
    print("course.py:", line_count("course.py", "course.py"))
    print("validation in the mathematics:", share(trees, MATHEMATICS))


def share(trees: dict[str, ast.Module], rooms: list[str]) -> str:
    """How much of the executable lines of these rooms is validation, in words."""
    checks, lines = validation_share(trees, rooms)
    return f"{checks} of {lines} executable lines ({checks / max(1, lines):.1%})"


if __name__ == "__main__":
    main()
