"""Five explorers as pages that turn with no kernel and no network: one move each, opened from a file."""

import pytest
import torch
from accessibility import assert_accessible

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import LiftingConv2d
from eqssl_edu.pretext import JigsawTask
from eqssl_edu.widgets import (
    EmbeddingExplorer,
    ExactnessLab,
    KernelExplorer,
    LabelActionExplorer,
    OrbitExplorer,
)

MAX_BYTES = 2_000_000


@pytest.fixture
def show(open_page, tmp_path):
    """show(explorer) -> (the page, wait): opened without a server; wait() until the last move is painted."""
    opened = []

    def show(explorer, dark=False):
        torch.manual_seed(0)
        path = explorer.to_html(tmp_path / "page.html")
        assert path.stat().st_size < MAX_BYTES
        opened.append(open_page(path, dark=dark))
        page = opened[-1].page

        def wait():
            page.wait_for_function("document.querySelector('.eqssl')?.dataset.busy === 'false'")

        wait()
        return page, wait

    yield show
    for page in opened:
        assert_accessible(page.page, ".eqssl")
        page.assert_clean()


def test_exactness_lab(show):
    page, wait = show(ExactnessLab(rule=False), dark=True)
    verdict = page.locator(".eqssl-verdict")
    assert verdict.inner_text() == "✗ not exact"
    page.get_by_role("slider", name="size S").press("ArrowRight")
    wait()
    assert verdict.inner_text() == "✓ exact"
    page.get_by_role("slider", name="kernel k").press("ArrowRight")
    wait()
    assert verdict.inner_text() == "✗ not exact"


def test_orbit_explorer(show):
    page, wait = show(OrbitExplorer(dihedral(4), "Q"))
    page.get_by_role("button", name="apply m", exact=True).click()
    wait()
    page.get_by_role("button", name="apply r90", exact=True).click()
    wait()
    assert page.locator("[data-name=product]").inner_text() == "r90 · m = r90 m"
    page.get_by_role("combobox", name="Picture").select_option(label="O")
    wait()
    assert page.locator(".eqssl-orbit-count").inner_text() == "1 × 8 = 8"


def test_kernel_explorer(show):
    layer = LiftingConv2d(cyclic(4), 1, 1, kernel_size=3, padding=1)
    explorer = KernelExplorer(layer, torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)))
    page, wait = show(explorer)
    page.get_by_role("slider", name="Window: row").press("Home")
    wait()
    page.get_by_role("slider", name="Window: column").press("End")
    wait()
    explorer.set_state(row=0, column=7)
    seen = [float(b.get_attribute("data-value")) for b in page.locator("b[data-value]").all()]
    assert seen == pytest.approx(explorer.responses())
    # The weights cannot be changed on a page.
    weight = page.get_by_role("spinbutton").first
    assert weight.get_attribute("aria-readonly") == "true"
    before = weight.get_attribute("aria-valuenow")
    weight.press("ArrowUp")
    wait()
    assert weight.get_attribute("aria-valuenow") == before
    assert page.get_by_role("button", name="Reset this filter").count() == 0


def test_label_action_explorer(show):
    page, wait = show(LabelActionExplorer({"jigsaw": JigsawTask(dihedral(4), 2)}), dark=True)
    verdict = page.locator(".eqssl-verdict")
    page.get_by_role("button", name="turn by r90", exact=True).click()
    wait()
    assert verdict.inner_text() == "✓ right"
    page.get_by_role("button", name="left", exact=True).click()
    wait()
    assert verdict.inner_text() == "✗ wrong"


def test_embedding_explorer(show):
    torch.manual_seed(0)
    images = torch.rand(30, 1, 12, 12)
    network = GroupCNN(cyclic(4), channels=(4, 8)).train()
    with torch.no_grad():
        network(images)
    page, wait = show(EmbeddingExplorer(network, images, torch.arange(30) % 3))
    moved = page.locator("[data-moved]")
    page.get_by_role("button", name="turn by r90", exact=True).click()
    wait()
    assert float(moved.get_attribute("data-moved")) > 0.01
    page.get_by_role("button", name="pooled", exact=True).click()
    wait()
    assert float(moved.get_attribute("data-moved")) < 1e-4
