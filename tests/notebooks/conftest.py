"""What the tests of a notebook's own functions share: these functions, and the groups that they are tried over."""

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "notebooks" / "source"


@pytest.fixture(scope="module")
def notebook(request):
    """The imports, functions, classes and lists of the sources that the test names; nothing else of them is run."""
    paths = sorted(SOURCES.glob(request.module.SOURCE))
    tree = ast.parse("\n".join(path.read_text(encoding="utf-8") for path in paths))

    def wanted(node):
        if isinstance(node, ast.Assign):
            return [getattr(target, "id", "") for target in node.targets] == ["PLACES"]
        return isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))

    tree.body = [node for node in tree.body if wanted(node)]
    names = {"__name__": "notebook"}
    exec(compile(tree, request.module.SOURCE, "exec"), names)
    return names
