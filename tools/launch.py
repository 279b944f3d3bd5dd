"""The ways into the course from elsewhere: the repository's address, launch buttons, a notebook's first code cell.

The address stands in one place, `[project.urls]` of pyproject.toml; `course.py build --repository URL` writes it there.
Without one there are no buttons, and the first cell says what to do.
"""

import re
import tomllib
from pathlib import Path

__all__ = ["index_page", "name_repository", "repository", "row", "setup_cell"]

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "main"
PLACE = re.compile(r'^\[project\.urls\]\n(?:repository = ".*"\n)?', re.MULTILINE)
GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
# Hosted services have these, and keep them: a kernel that runs does not bear that they change.
KEPT = '("IPython", "anywidget", "ipykernel", "ipywidgets", "numpy", "torch")'

CELL = """\
# @title In the course's own lab this does nothing. Elsewhere it installs the course's library, once.
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

pip = [sys.executable, "-m", "pip", "install", "--quiet"]
if not find_spec("eqssl_edu"):
    sources = [{source}*map(str, Path().glob("eqssl_edu-*.whl"))]
    if not sources:
        raise ModuleNotFoundError(
            "The library of the course is not here. In a clone of the course, say `python3 course.py lab`. Or let "
            "`pip wheel --no-deps .` make a wheel there, lay it beside this notebook, and run this cell again."
        )
    here = filter(find_spec, {kept})
    kept = [f"{{name}}=={{version(name)}}" for name in here]  # these stay as they are
    subprocess.run([*pip, sources[-1], *kept], check=True)
"""
ESCNN = """\
if not find_spec("escnn"):
    subprocess.run([*pip, "--no-deps", {packages}], check=True)
"""


def repository(root: Path = ROOT) -> str:
    """The repository's address, as pyproject.toml names it; "" while it names none."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("repository", "")


def name_repository(url: str, root: Path = ROOT) -> None:
    """Write the address into pyproject.toml; "" takes it away. ValueError if launch buttons cannot be made of it."""
    url = url.rstrip("/").removesuffix(".git")
    if url and not GITHUB.fullmatch(url):
        raise ValueError(
            f"the repository must be https://github.com/OWNER/NAME (the launch buttons know no other), got {url}"
        )
    path = root / "pyproject.toml"
    line = f'repository = "{url}"\n' if url else ""
    text = PLACE.sub(f"[project.urls]\n{line}", path.read_text(encoding="utf-8"), count=1)
    path.write_text(text, encoding="utf-8", newline="\n")


def row(stem: str, url: str) -> str:
    """The launch buttons of a student's notebook, a line of Markdown; "" without an address."""
    if not url:
        return ""
    project, place = GITHUB.fullmatch(url)[1], f"notebooks/{stem}.ipynb"
    buttons = {
        "Colab": f"https://colab.research.google.com/github/{project}/blob/{BRANCH}/{place}",
        "Kaggle": f"https://kaggle.com/kernels/welcome?src={url}/blob/{BRANCH}/{place}",
        "Binder": f"https://mybinder.org/v2/gh/{project}/{BRANCH}?labpath={place}",
        "download": f"https://raw.githubusercontent.com/{project}/{BRANCH}/{place}",
    }
    return "\n\n**Open in:** " + " · ".join(f"[{name}]({link})" for name, link in buttons.items())


def setup_cell(text: str, url: str) -> str:
    """The code of a notebook's first cell; its script `text` tells whether escnn is needed."""
    source = f'"git+{url}", ' if url else ""
    cell = CELL.format(source=source, kept=KEPT)
    if _needs_escnn(text):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        packages = ", ".join(f'"{one}"' for one in project["optional-dependencies"]["escnn"])
        cell += ESCNN.format(packages=packages)
    return cell.rstrip()


def _needs_escnn(text: str) -> bool:
    """Does this script import eqssl_edu.steerable, itself or in its lessons?"""
    asked, read = [text], set()
    while asked:
        for module, name in re.findall(r"^\s*from (eqssl_edu[\w.]*) import (\w+)", asked.pop(), re.MULTILINE):
            if module == "eqssl_edu.steerable":
                return True
            lesson = ROOT.joinpath(*f"{module}.{name}".split(".")[:3]).with_suffix(".py")
            if lesson.parent.name == "lessons" and lesson.exists() and lesson not in read:
                read.add(lesson)
                asked.append(lesson.read_text(encoding="utf-8"))
    return False


def index_page(readme: str, url: str) -> str:
    """The page of the package on an index: how README begins, with links that lead somewhere from there."""
    begin = _absolute(readme.split("\n## Notebooks\n")[0], url)
    return (
        "<!-- Written by `course.py build` from README.md. -->\n\n"
        + re.sub(r"\n{3,}", "\n\n", begin).strip()
        + "\n"
    )


def _absolute(text: str, url: str) -> str:
    """Markdown for a page elsewhere: links to files of the course lead to the repository, or become their words."""

    def link(found: re.Match) -> str:
        picture, words, target = found.groups()
        if re.match(r"\w+:|#", target):
            return found[0]
        if not url:
            return "" if picture else words
        raw = f"https://raw.githubusercontent.com/{GITHUB.fullmatch(url)[1]}/{BRANCH}"
        return f"{picture}[{words}]({raw if picture else f'{url}/blob/{BRANCH}'}/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, text)
