"""What the site adds to Sphinx: formulas that browsers draw, docstrings in the words of pages, links from names.

A page names a work by its arXiv number, another notebook by its name, a file by its path. Here these words become
links: to the bibliography, to the page, to the page of that file.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

BIBLIOGRAPHY = "docs/bibliography"
ARXIV = re.compile(r"arXiv[:\s]\s*(\d{4}\.\d{4,5})")
QUOTED = re.compile(r"(``.*?``|`[^`]*`|(?<!\\)\$[^$]+\$)", re.DOTALL)
NO_LINK = (nodes.reference, nodes.literal_block, nodes.title, nodes.raw, nodes.citation)


def inline_formula(writer: Any, node: nodes.math) -> None:
    """A formula in a line, as MathML."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block_formula(writer: Any, node: nodes.math_block) -> None:
    """A formula on lines of its own."""
    writer.body.append(f'<div class="math" tabindex="0">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def words_of_docstring(
    _app: Sphinx, what: str, _name: str, value: Any, _options: Any, lines: list[str]
) -> None:
    """Docstrings write formulas and tables as pages do; a bar or a last underscore means nothing else in them."""
    if what == "method" and not value.__doc__:  # what torch says of every forward
        lines[:] = []
    found: list[str] = []
    code = None  # the indent of what stands above a block of code
    for block in re.split(r"\n(?=[ ]*\n|[ ]*>>>)", "\n".join(lines)):
        text = block.strip()
        indent = len(line := block.lstrip("\n")) - len(line.lstrip(" "))
        if code is not None and text and indent <= code:
            code = None
        if text.startswith("| "):
            block = _table(text, " " * indent)
        elif text.startswith("$$"):
            block = f"\n{' ' * indent}.. math:: {' '.join(text.strip('$').split())}\n"
        elif not text.startswith(">>>") and code is None:
            block = "".join(_prose(part) for part in QUOTED.split(block))
        if text.endswith("::"):
            code = indent
        found += block.split("\n")
    lines[:] = found


def without_torch(
    _app: Sphinx, _what: str, name: str, _object: Any, skip: bool, _options: Any
) -> bool | None:
    """What every module of torch has says nothing here."""
    return True if name == "extra_repr" else None


def _prose(part: str) -> str:
    """A part of a text as reST has it; ``G.`` on a line of its own is no item of a list."""
    if part.startswith("`"):
        return part
    if part.startswith("$"):
        return f":math:`{' '.join(part.strip('$').split())}`"
    return re.sub(r"(?<!\\)\||(?<=\w)_(?!\w)|(?<=  )[A-Z](?=\.\s)", r"\\\g<0>", f"{part} ")[:-1]


def _table(text: str, indent: str) -> str:
    """A table of bars, as reST has it."""
    rows = [row.strip("| \n") for row in re.split(r"\|\s*\n\s*\|", text)]
    columns = rows[0].count(" | ") + 1
    lines = ["", f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
    for row in rows[:1] + rows[2:]:
        for number, cell in enumerate(row.split(" | ", columns - 1)):
            words = "".join(_prose(part) for part in QUOTED.split(" ".join(cell.split())))
            lines.append(f"{indent}   {' ' if number else '*'} - {words}")
    return "\n".join(lines)


def finish(app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """A page with figures brings plotly's script; lists get known roles; long names break behind their dots."""
    body = context.get("body", "")
    if "course-figure" in body:
        app.add_js_file("plotly.min.js")
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')
    body = re.sub(
        r'(?<=<span class="pre">)[\w.]+(?=</span>)', lambda m: re.sub("[._]", r"\g<0><wbr>", m[0]), body
    )
    parameters = r"<dl>\s*((?:<dd><em class=\"sig-param.*?</dd>\s*)+)</dl>"
    context["body"] = re.sub(parameters, _as_lines, body, flags=re.DOTALL)


def _as_lines(found: re.Match) -> str:
    """The parameters of a function, one a line: no list of definitions."""
    return f'<span class="course-lines">{found[1].replace("dd>", "span>")}</span>'


class LinksFromNames(SphinxPostTransform):
    """Words that name something on the site become links to it."""

    default_priority = 20  # behind Sphinx's own links

    def run(self, **_: Any) -> None:
        """Look at each text once."""
        self.places = {
            name.rpartition("/")[2]: name for name in sorted(self.env.found_docs) if "/solutions/" in name
        }
        for literal in list(self.document.findall(nodes.literal)):
            if not _inside(literal, NO_LINK) and (name := self.page_named(literal.astext())):
                literal.replace_self(self.link(name, "", literal.deepcopy()))
        for text in list(self.document.findall(nodes.Text)):
            if not _inside(text, (*NO_LINK, nodes.literal)) and ARXIV.search(text):
                self.cite(text)

    def page_named(self, words: str) -> str | None:
        """The page of a notebook's name, or of the path of a file."""
        if words in self.places:
            return self.places[words]
        name = words.removesuffix(".md")
        return name if name != words and name in self.env.found_docs else None

    def cite(self, text: nodes.Text) -> None:
        """Each "arXiv 1602.07576" leads to its entry in the bibliography."""
        parts: list[nodes.Node] = []
        end = 0
        for found in ARXIV.finditer(text):
            parts.append(nodes.Text(text[end : found.start()]))
            parts.append(self.link(BIBLIOGRAPHY, f"arxiv-{found[1].replace('.', '-')}", nodes.Text(found[0])))
            end = found.end()
        text.parent.replace(text, [*parts, nodes.Text(text[end:])])

    def link(self, name: str, anchor: str, words: nodes.Node) -> nodes.reference:
        """A link to a page of the site."""
        here = posixpath.dirname(self.env.docname)
        address = posixpath.relpath(f"{name}.html", here or ".") + (f"#{anchor}" if anchor else "")
        return nodes.reference("", "", words, refuri=address, internal=True)


def _inside(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    while node := node.parent:
        if isinstance(node, kinds):
            return True
    return False


def setup(app: Sphinx) -> dict[str, bool]:
    """Of Sphinx."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (block_formula, None))
    app.connect("autodoc-process-docstring", words_of_docstring)
    app.connect("autodoc-skip-member", without_torch)
    app.connect("html-page-context", finish)
    app.add_post_transform(LinksFromNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
