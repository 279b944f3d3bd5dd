"""The site in a real browser, from files: a small one of one notebook with all that pages show; `long`: the whole."""

import os
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lab
import pytest
from accessibility import assert_accessible

from tools import build_notebooks, build_site, launch
from tools.reliability import record

NAME = "00_tour"  # of the small notebook: other pages link to it
CELLS = """# %% [markdown]
# # 0 · A small notebook
#
# The group $D_4$ has order $|G| = 8$ (Cohen and Welling, arXiv 1602.07576); see `docs/theory.md`.
#
# ## Pictures

# %%
from eqssl_edu.widgets import ByHand
ByHand(lambda angle, word: f'<p id=said>{word} {angle}</p>', angle=range(0, 91, 30), word=['turn', 'flip'])

# %%
import plotly.graph_objects as go
go.Figure(go.Scatter(y=[1, 2, 3], name='line'), layout={"title": {"text": "A line"}})

# %% [markdown]
# ## A training

# %%
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import LiveTraining
model = PretextModel(GroupCNN(cyclic(4), channels=(2, 2)), RotationTask(cyclic(4)))
live = LiveTraining({"small": Pretrainer(model, digits(16).train.images[:64], epochs=4, batch_size=16)})
live

# %%
live.wait()
print("trained")

# %% tags=["fold"]
# Holds: The group $D_4$ has order $|G| = 8$.
assert 2 * 4 == 8
"""
URL = "https://github.com/somebody/course"
SIZES = [(390, 844), (1280, 800)]
LIMIT = 5_000_000  # bytes of a page and its frames, without what pages share


class Links(HTMLParser):
    """What a page links to and loads, and the places in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.places = set(), set(), set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given.get("id"), given.get("name")}
        if tag == "a" and given.get("href"):
            self.links.add(given["href"])
        elif address := given.get("src") or (tag == "link" and given.get("href")):
            self.loaded.add(address)


def faults(folder):
    """Links that lead nowhere, what a page would load from elsewhere, and pages that are too large."""
    pages = {path: Links(path) for path in folder.rglob("*.html") if "_static" not in path.parts}
    for path, page in pages.items():
        name, weight = path.relative_to(folder).as_posix(), path.stat().st_size
        for address in page.links | page.loaded:
            split = urlsplit(address)
            if split.scheme or split.netloc:
                if address in page.loaded and split.scheme != "data":
                    yield f"{name} loads {address}"
                continue
            target = (path.parent / unquote(split.path)).resolve() if split.path else path
            if not target.is_file():
                yield f"{name} links to {address}, which is not there"
            elif split.fragment and target in pages and unquote(split.fragment) not in pages[target].places:
                yield f"{name} links to a place {address} that is not there"
            if "/explorers/" in address or address.startswith("explorers/"):
                weight += target.stat().st_size
        if weight > LIMIT:
            yield f"{name} has {weight / 1e6:.1f} MB with its pictures"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of one small notebook, with all other pages."""
    folder = tmp_path_factory.mktemp("site")
    places = {build_notebooks.NOTEBOOKS / part / f"{NAME}.ipynb": bool(part) for part in ("", "solutions")}
    texts = {path: build_notebooks.build(CELLS, solved, NAME, URL) for path, solved in places.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_notebooks, "build_all", lambda: texts)
        patch.setattr(launch, "repository", lambda: URL)
        build_site.build([], folder / "out", folder / "work")
    return folder / "out"


@pytest.fixture
def visit(chromium, site):
    """visit(name, width, height, dark) -> a page of the site, in which everything that goes wrong is noted."""
    opened = []

    def visit(name, width=1280, height=800, dark=False):
        scheme = "dark" if dark else "light"
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        opened.append((context, lab.watch(context, {"file"})))
        page = opened[-1][1].page
        page.goto((site / name).as_uri())
        return page

    yield visit
    for context, noted in opened:
        context.close()
        noted.assert_clean()


def frame_in_view(page, number):
    """A frame's page. Frames load, and draw, when they come into view."""
    frame = page.locator("iframe").nth(number)
    frame.scroll_into_view_if_needed()
    return frame.content_frame


NOTEBOOK = f"notebooks/solutions/{NAME}.html"
PAGES = [
    "index.html",
    NOTEBOOK,
    "reference/rotate.html",
    "docs/bibliography.html",
    "docs/results/rotation.html",
]


def test_no_link_is_broken_and_no_page_is_heavy(site):
    assert list(faults(site)) == []


def test_a_broken_link_would_be_seen(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html">b</a><a href="#c">c</a><script src="https://x.org/y.js"></script>'
    )
    assert len(list(faults(tmp_path))) == 3


@pytest.mark.parametrize(("width", "height", "dark"), [(*SIZES[0], True), (*SIZES[1], False)])
def test_pages_are_accessible_and_fit(visit, width, height, dark):
    """Both sizes in both themes: `test_the_whole_site`."""
    for name in PAGES:
        page = visit(name, width, height, dark)
        assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        assert_accessible(page, "html")


def test_a_picture_turns_at_once(visit):
    page = visit("index.html")
    frame = frame_in_view(page, 0)
    frame.get_by_role("slider").first.fill("90")
    frame.get_by_role("status").filter(has_text="turned by 90°").first.wait_for(state="attached")
    page.wait_for_function("document.querySelector('iframe').offsetHeight > 300")


def test_a_notebook_shows_what_its_cells_showed(visit):
    page = visit(NOTEBOOK)
    page.locator("math msub").first.wait_for()
    page.locator(".plotly-graph-div svg.main-svg").first.wait_for()
    drawing = frame_in_view(page, 0)
    drawing.get_by_role("slider", name="angle").press("ArrowRight")
    drawing.locator("#said", has_text="turn 30").wait_for()
    training = frame_in_view(page, 1)
    training.locator(".eqssl-live-status", has_text="finished").wait_for()
    assert training.locator(".eqssl-chart .eqssl-line").count() > 1
    assert page.get_by_text("trained", exact=True).count() == 1
    page.get_by_text("Checked: The group").click()
    page.get_by_text("assert 2 * 4 == 8").wait_for()


def test_a_formula_stands_in_the_middle_of_its_line(visit):
    off = visit("docs/theory.html").evaluate("""() => [...document.querySelectorAll("div.math")].map(line => {
        const outer = line.getBoundingClientRect();
        const inner = [...line.firstElementChild.children].map(each => each.getBoundingClientRect());
        const [left, right] = [Math.min(...inner.map(each => each.left)), Math.max(...inner.map(each => each.right))];
        return right - left < outer.width ? Math.abs(left + right - outer.left - outer.right) / 2 : 0;
    })""")
    assert len(off) > 10 and max(off) < 1


def test_words_that_name_something_lead_there(visit):
    page = visit(NOTEBOOK)
    page.get_by_role("link", name="arXiv 1602.07576").click()
    page.locator("[id='arxiv-1602-07576']").wait_for(state="attached")
    page.go_back()
    page.locator("article").get_by_role("link", name="docs/theory.md").click()
    page.get_by_role("heading", name="The theory, and the test of each statement").wait_for()


def test_the_students_page_stands_beside_the_solved_one_and_both_can_be_downloaded(visit):
    page = visit(NOTEBOOK)
    page.get_by_role("link", name="The same page with its gaps open").click()
    page.get_by_role("heading", name="yours to write").wait_for()
    assert page.locator("article").get_by_text("find_spec").count() == 0  # nothing is installed here
    files = page.locator(".course-ways a.download")
    for number, solved in enumerate((False, True)):
        link = files.nth(number)
        file = Path(unquote(urlsplit(link.evaluate("link => link.href")).path))
        assert link.get_attribute("download") is not None
        assert file.read_text("utf-8") == build_notebooks.build(CELLS, solved, NAME, URL)
    page.get_by_role("link", name="The same page with its answers").click()
    page.get_by_text("trained", exact=True).wait_for()


def test_with_an_address_there_are_launch_buttons(visit):
    for name in (NOTEBOOK, f"notebooks/{NAME}.html"):
        link = visit(name).get_by_role("link", name="Colab").get_attribute("href")
        assert link.endswith(f"github/somebody/course/blob/main/notebooks/{NAME}.ipynb")


def test_the_search_finds_from_a_file(visit):
    page = visit("index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("orbit_correlation")
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.wait_for()
    found = page.locator("#search-results li a").all_inner_texts()
    assert any("orbit_correlation" in words for words in found)


def test_the_reader_knows_where_and_goes_on(visit):
    page = visit("docs/theory.html")
    assert (
        page.locator(".bd-sidebar-primary li.current a.current").inner_text() == page.title().split(" — ")[0]
    )
    page.locator(".bd-sidebar-secondary a[href='#conventions']").wait_for()
    page.locator(".prev-next-area a.right-next").click()
    page.get_by_role("heading", name="What the pages claim").wait_for()
    page.locator(".prev-next-area a.left-prev").click()
    page.get_by_role("heading", name="The theory, and the test of each statement").wait_for()


def test_the_frames_take_the_theme_of_the_switch(visit):
    page = visit(NOTEBOOK)
    frame_in_view(page, 0).locator("#said").wait_for()
    body = "getComputedStyle(document.body).backgroundColor"
    shown = page.locator("iframe").first.element_handle().content_frame()
    assert shown.evaluate(body) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Color mode").click()
    page.get_by_role("button", name="Dark").click()
    shown.wait_for_function(f"{body} !== 'rgb(255, 255, 255)'")


def test_on_a_phone_the_menu_is_folded_and_the_hand_stays_in_sight(visit):
    page = visit("docs/theory.html", 390, 844)
    entry = page.locator(".bd-sidebar-primary").get_by_role("link", name="Glossary")
    assert not entry.is_visible()
    page.locator("button.primary-toggle").click()
    entry.click()
    page.get_by_role("heading", name="Glossary").wait_for()
    page = visit("index.html", 390, 844)
    explorer = frame_in_view(page, 0)
    explorer.locator(".eqssl-note").last.scroll_into_view_if_needed()
    page.wait_for_function(
        "document.querySelector('iframe').offsetHeight > 700"
    )  # as high as its page has told
    slider, frame = explorer.get_by_role("slider").first, page.locator("iframe").first
    assert frame.bounding_box()["height"] < 800
    assert 0 <= slider.bounding_box()["y"] - frame.bounding_box()["y"] < 100


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_whole_site(chromium, tmp_path):
    """Every notebook, run: links, sizes; each page opened in both themes at both sizes."""

    began = time.monotonic()
    build = f"build_site.build([], Path({str(tmp_path / 'out')!r}), Path({str(tmp_path / 'work')!r}))"
    command = f"from pathlib import Path; from tools import build_site; {build}"
    # Apart from pytest, whose types are others than a notebook's.
    subprocess.run([sys.executable, "-c", command], cwd=build_site.ROOT, check=True)
    seconds = time.monotonic() - began
    assert list(faults(tmp_path / "out")) == []
    paths = [path for path in (tmp_path / "out").rglob("*.html") if "explorers" not in path.parts]
    paths = [path for path in paths if "_static" not in path.parts]
    for width, height in SIZES:
        for scheme in ("light", "dark"):
            context = chromium.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            opened = lab.watch(context, {"file"})
            for path in paths:
                opened.page.goto(path.as_uri())
                assert_accessible(opened.page, "html")
            context.close()
            opened.assert_clean()
    size = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    record(
        "The whole site",
        f"{len(paths)} pages, {size / 1e6:.0f} MB, built in {seconds:.0f} s with every notebook run anew, on "
        f"{os.cpu_count()} cores. No broken link inside, no error in the console, no request outside, nothing "
        "that axe finds, in both themes at 390 and 1280 pixels.",
    )
