"""An accessibility pass over a part of a page, with axe-core: names, roles, contrast."""

from __future__ import annotations

from pathlib import Path

import pytest

# Of rules about whole pages a part of one knows nothing.
PAGE_RULES = [
    "region",
    "landmark-one-main",
    "page-has-heading-one",
    "bypass",
    "document-title",
    "html-has-lang",
]


def assert_accessible(page, selector: str) -> None:
    """Fail with every rule that axe-core finds broken inside the elements of a selector.

    Arguments:
        page: of playwright.
        selector: of CSS, such as ".eqssl-field".
    """
    package = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    if not page.evaluate("'axe' in window"):
        # Not through a <script> element: JupyterLab defines a loader of modules that would catch it.
        source = (Path(package.__file__).parent / "axe.min.js").read_text("utf-8")
        page.evaluate(
            f"(() => {{ const define = undefined, exports = undefined, module = undefined;\n{source}\n}})()"
        )
    passes, violations = page.evaluate(
        """async ([selector, rules]) => {
             // Else it would load a page's style sheets, and tell of every element that is right.
             const options = { rules, preload: false, resultTypes: ["violations"] };
             const { passes, violations } = await axe.run(selector, options);
             return [passes.length, violations];
           }""",
        [selector, {rule: {"enabled": False} for rule in PAGE_RULES}],
    )
    assert passes > 5, "axe found nothing to look at"
    broken = [
        f"{rule['id']} ({rule['impact']}): {rule['help']}\n    {node['html'][:200]}\n    {node['failureSummary']}"
        for rule in violations
        for node in rule["nodes"]
    ]
    assert not broken, "\n".join(broken)
