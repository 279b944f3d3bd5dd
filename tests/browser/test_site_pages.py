"""The site in a real browser, from files: every page moves with no kernel and no network."""

import lab
import nbformat
import pytest

from tools import build_site as site

CELLS = [
    ("markdown", "# 9 · A small notebook\n\nThe group $D_4$ has order $|G| = 8$."),
    (
        "code",
        "import torch\nfrom eqssl_edu.encoders import GroupCNN\nfrom eqssl_edu.groups import cyclic\n"
        "from eqssl_edu.widgets import FieldExplorer\n"
        "FieldExplorer(GroupCNN(cyclic(4), channels=(2, 2)), torch.rand(1, 16, 16))",
    ),
    (
        "code",
        "from eqssl_edu.widgets import ByHand\n"
        "ByHand(lambda angle, word: f'<p id=said>{word} {angle}</p>', angle=range(0, 91, 30), word=['turn', 'flip'])",
    ),
    ("code", "import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 2, 3], name='line'))"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A site of one small notebook."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "solutions").mkdir()
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(cells=[make[kind](source) for kind, source in CELLS])
    nbformat.write(notebook, folder / "solutions" / "90_small.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "NOTEBOOKS", folder)
        site.build([], folder / "site")
    return folder / "site"


@pytest.fixture
def page(chromium):
    """A page in which everything that goes wrong is noted."""
    context = chromium.new_context(viewport={"width": 1100, "height": 900})
    opened = lab.watch(context, {"file"})
    yield opened.page
    context.close()
    opened.assert_clean()


def frame_in_view(page, number):
    """A frame's page. Frames load, and draw, when they come into view."""
    frame = page.locator("iframe").nth(number)
    frame.scroll_into_view_if_needed()
    return frame.content_frame


def test_the_index_leads_to_the_notebook(page, built):
    page.goto((built / "index.html").as_uri())
    page.locator("main").get_by_role("link", name="9 · A small notebook").click()
    page.locator("msub").first.wait_for()
    assert page.title() == "9 · A small notebook"
    assert page.locator("math").count() == 2


def test_a_figure_is_drawn_without_the_network(page, built):
    page.goto((built / "90_small.html").as_uri())
    page.locator(".plotly-graph-div svg.main-svg").first.wait_for()


def test_a_drawing_follows_its_controls(page, built):
    page.goto((built / "90_small.html").as_uri())
    frame = frame_in_view(page, 1)
    frame.locator("#said", has_text="turn 0").wait_for()
    frame.get_by_role("slider", name="angle").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    frame.get_by_role("combobox", name="word").select_option("flip")
    frame.locator("#said", has_text="flip 60").wait_for()


def test_an_explorer_turns_in_its_frame(page, built):
    page.goto((built / "90_small.html").as_uri())
    frame = frame_in_view(page, 0)
    slider = frame.get_by_role("slider").first
    slider.wait_for()
    slider.fill("90")
    frame.get_by_role("status").filter(has_text="turned by 90°").first.wait_for(state="attached")
    height = page.locator("iframe").nth(0).bounding_box()["height"]
    assert height > 300  # the frame took the height that its page told


def test_on_a_phone_the_hand_stays_in_sight_in_its_frame(page, built):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto((built / "90_small.html").as_uri())
    explorer = frame_in_view(page, 0)
    explorer.locator(".eqssl-note").last.scroll_into_view_if_needed()
    slider, frame = explorer.get_by_role("slider").first, page.locator("iframe").first
    page.wait_for_function(
        "document.querySelector('iframe').offsetHeight > 700"
    )  # as high as its page has told
    assert frame.bounding_box()["height"] < 800
    assert explorer.locator("html").evaluate("html => html.scrollTop") > 100
    assert 0 <= slider.bounding_box()["y"] - frame.bounding_box()["y"] < 100
