"""Build the site: the course as pages that need no kernel and no network.

    python tools/build_site.py [NN ...] [--out site]

Sphinx makes the pages, from the notebooks as they ran and from docs/. What was run is kept in .site-work: a notebook
runs again when it or the library has changed.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
import plotly.offline

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the course's own folder, wherever this is called from

import eqssl_edu  # noqa: E402
from tools import build_notebooks, launch  # noqa: E402
from tools.website import execute, stage  # noqa: E402

WORK = ROOT / ".site-work"
FOLDER = Path(stage.__file__).parent
SETTINGS = {
    "project": "eqssl_edu",
    "author": "eqssl_edu contributors",
    "copyright": "eqssl_edu contributors",
    "version": eqssl_edu.__version__,
    "release": eqssl_edu.__version__,
    "language": "en",
    "extensions": [
        "myst_nb",
        "sphinx_design",
        "sphinx.ext.autodoc",
        "sphinx.ext.napoleon",
        "sphinxcontrib.bibtex",
        "tools.website.extension",
    ],
    "exclude_patterns": ["files", "static", "docs/package.md"],
    "html_theme": "pydata_sphinx_theme",
    "html_title": "eqssl_edu",
    "html_static_path": [str(FOLDER / "static"), "static"],
    "html_css_files": ["course.css"],
    "html_js_files": ["course.js"],
    "templates_path": [str(FOLDER / "templates")],
    "html_math_renderer": "mathml",
    "html_show_search_summary": False,  # it would fetch pages, which file:// does not allow
    "html_copy_source": False,
    "html_context": {"default_mode": "auto"},
    "html_sidebars": {"index": []},
    "html_theme_options": {
        "show_prev_next": True,
        "github_url": launch.repository(),
        "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
        "article_header_start": ["breadcrumbs"],
        "footer_start": ["course-footer"],
        "footer_end": [],
        "navbar_end": ["theme-switcher"],
        "navigation_with_keys": False,
        "back_to_top_button": True,
        "pygments_light_style": "a11y-high-contrast-light",
        "pygments_dark_style": "a11y-high-contrast-dark",
    },
    "myst_enable_extensions": ["attrs_block", "dollarmath"],
    "myst_heading_anchors": 4,
    "nb_execution_mode": "off",
    "autodoc_typehints_format": "short",
    "autodoc_member_order": "bysource",
    "python_use_unqualified_type_names": True,
    "python_maximum_signature_line_length": 80,
    "bibtex_bibfiles": ["docs/references.bib"],
    "bibtex_cite_id": "{key}",
}


def build(chosen: Sequence[str], out: Path, work: Path = WORK) -> Path:
    """Run the chosen notebooks (all, if none is named) and write the site; returns its front page.

    Raises:
        ValueError: if no notebook has such a name.
        RuntimeError: if a cell fails, or Sphinx warns: of a link that leads nowhere, say.
    """
    built = build_notebooks.build_all()
    solved = {path.stem: text for path, text in built.items() if path.parent.name == "solutions"}
    names = [name for name in solved if not chosen or any(name.startswith(start) for start in chosen)]
    if not names:
        raise ValueError(f"no notebook begins with {', '.join(chosen)}")
    front = (ROOT / "docs" / "front.py").read_text("utf-8")
    texts = {"index": build_notebooks.build(front, solutions=True), **{name: solved[name] for name in names}}
    for name, seconds in execute.run_all(texts, work / "ran"):
        print(f"{name}: {f'{seconds:.0f} s' if seconds else 'has not changed'}", flush=True)
    ran = {name: nbformat.read(work / "ran" / f"{name}.ipynb", as_version=4) for name in texts}
    stage.write(work / "source", ran, {path: text for path, text in built.items() if path.stem in names})
    write_pages(work, out)
    shutil.copytree(work / "ran" / execute.FRAMES, out / execute.FRAMES, dirs_exist_ok=True)
    return out / "index.html"


def write_pages(work: Path, out: Path) -> None:
    """Let Sphinx make ``out`` from ``work``/source."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    static = work / "source" / "static"
    static.mkdir()
    (static / "plotly.min.js").write_text(plotly.offline.get_plotlyjs(), "utf-8")

    with docutils_namespace():
        app = Sphinx(
            work / "source",
            None,
            out,
            work / "doctrees",
            "html",
            SETTINGS,
            status=None,
            freshenv=True,
            parallel=os.cpu_count() or 1,
        )
        app.build()
    if app._warncount:
        raise RuntimeError(f"Sphinx gave {app._warncount} warnings: see above")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Build the site: the course as pages.")
    parser.add_argument("notebooks", nargs="*", help="only these, by the start of their names")
    parser.add_argument("--out", type=Path, default=ROOT / "site")
    options = parser.parse_args()
    began = time.monotonic()
    front = build(options.notebooks, options.out.resolve())
    print(f"Open {front} ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
