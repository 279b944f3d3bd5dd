"""Pages that turn with no kernel and no network, opened from a file."""

import os

import pytest
import torch
from accessibility import assert_accessible

from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.widgets import FieldExplorer, OrbitCorrelationExplorer

MAX_BYTES = 2_100_000  # 2 MB and the scripts


@pytest.fixture(scope="module")
def field_page(tmp_path_factory):
    torch.manual_seed(0)
    network = GroupCNN(cyclic(4), channels=(6, 12))
    explorer = FieldExplorer(network, digits(32).test.images[4], compare=matched_cnn(network))
    return explorer.to_html(tmp_path_factory.mktemp("pages") / "field.html", title="A digit <turned>")


def rest(page):
    page.wait_for_function("document.querySelector('.eqssl').dataset.busy === 'false'")


def errors(page):
    rest(page)
    return [float(entry.get_attribute("data-error")) for entry in page.locator("[data-error]").all()]


def looks_well(open_page, path):
    """In both themes: names, roles and contrast."""
    for dark, background in ((False, "rgb(255, 255, 255)"), (True, "rgb(22, 22, 22)")):
        opened = open_page(path, dark=dark)
        assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == background
        assert_accessible(opened.page, "main")
        opened.assert_clean()


def test_a_field_page_turns(field_page, open_page):
    opened = open_page(field_page)
    page = opened.page
    assert page.title() == "A digit <turned>"
    assert page.locator("html").get_attribute("lang") == "en"
    slider = page.get_by_role("slider", name="Angle in degrees")
    assert errors(page) == [0, 0]
    slider.press("ArrowRight")
    rest(page)
    assert slider.input_value() == "15"
    page.get_by_role("button", name="turn by 90 degrees", exact=True).click()
    group_error, plain_error = errors(page)
    assert slider.input_value() == "90"
    assert group_error < 1e-5 < 0.05 < plain_error
    page.get_by_role("status").filter(has_text="Image turned by 90°. Equivariance error: C4").wait_for()
    for _ in range(3):
        slider.press("ArrowLeft")
    group_error, plain_error = errors(page)
    assert slider.input_value() == "45"
    assert group_error > 0.01 and plain_error > 0.05
    # A typed angle goes to the nearest one that is there.
    page.get_by_role("spinbutton").fill("97")
    page.get_by_role("spinbutton").press("Enter")
    rest(page)
    assert slider.input_value() == "90"

    maps = page.locator(".eqssl-panel canvas").first
    look = (
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].join()"
    )
    turned = maps.evaluate(look)
    page.get_by_role("checkbox", name="Stabilise").check()
    rest(page)
    assert maps.evaluate(look) != turned
    layer = page.get_by_role("combobox", name="Layer of C4 network")
    before = errors(page)
    layer.select_option(value="stages.0")
    assert errors(page) != before
    assert layer.input_value() == "stages.0"
    assert page.locator("polyline").count() == 2

    animate = page.get_by_role("button", name="Animate")
    animate.click()
    page.wait_for_function("slider => Number(slider.value) > 120", arg=slider.element_handle())
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_role("button", name="Open a file").count() == 0  # it would need a kernel
    rest(page)
    assert_accessible(page, "main")
    opened.assert_clean()
    looks_well(open_page, field_page)


def test_a_flood_of_moves_on_a_page_ends_at_the_last_one(field_page, open_page):
    opened = open_page(field_page)
    slider = opened.page.get_by_role("slider", name="Angle in degrees")
    slider.evaluate(
        """slider => {
             for (slider.value = 0; slider.value < 270; slider.stepUp()) slider.dispatchEvent(new Event("input"));
             slider.dispatchEvent(new Event("input"));
           }"""
    )
    assert errors(opened.page)[0] < 1e-5
    assert slider.input_value() == "270"
    opened.assert_clean()


def test_a_photo_page_keeps_to_the_limit(tmp_path, open_page):
    photo = torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(0))  # noise: nothing packs worse
    network = GroupCNN(dihedral(4), 3, channels=(6, 12))
    path = FieldExplorer(network, photo, compare=matched_cnn(network)).to_html(tmp_path / "photo.html")
    assert os.path.getsize(path) < MAX_BYTES
    opened = open_page(path)
    opened.page.get_by_role("button", name="mirror, then turn by 90 degrees").click()
    assert errors(opened.page)[0] < 1e-5
    opened.assert_clean()


def test_an_orbit_correlation_page_turns(tmp_path, open_page):
    torch.manual_seed(0)
    encoder = GroupCNN(cyclic(4))
    path = OrbitCorrelationExplorer(encoder, digits(16).test.images[:8]).to_html(tmp_path / "orbit.html")
    assert os.path.getsize(path) < MAX_BYTES
    opened = open_page(path)
    page = opened.page
    page.get_by_role("button", name="View 1: turn by 90 degrees counter-clockwise").click()
    rest(page)
    assert page.get_by_role("img", name="View 1, turned by 90°").is_visible()
    assert "moved by" in page.locator("tr[data-kind=plain]").inner_text()
    assert "stood still" in page.locator("tr[data-kind=max]").inner_text()
    page.get_by_role("slider", name="Image").press("ArrowRight")
    page.get_by_role("img", name="Image 2 of 8, upright").wait_for()
    page.get_by_role("status").filter(has_text="Image 2 of 8. View 1 turned by 90°").wait_for()
    for name, seen in (
        ("View 2: turn by 90 degrees clockwise", "View 2, turned by 270°"),
        ("View 2: turn by 90 degrees counter-clockwise", "View 2, upright"),
        ("View 1: turn by 90 degrees clockwise", "View 1, upright"),
        ("Next image", "Image 3 of 8, upright"),
        ("Previous image", "Image 2 of 8, upright"),
    ):
        page.get_by_role("button", name=name, exact=True).click()
        page.get_by_role("img", name=seen).wait_for()
    for view in (1, 2):
        page.get_by_role("slider", name=f"View {view}, turn").press("End")
        page.get_by_role("img", name=f"View {view}, turned by 270°").wait_for()
    rest(page)
    assert "stood still" in page.locator("tr[data-kind=max]").inner_text()
    page.get_by_role("button", name="Turn both views back").click()
    page.get_by_role("img", name="View 2, upright").wait_for()
    assert_accessible(page, "main")
    opened.assert_clean()
    looks_well(open_page, path)
