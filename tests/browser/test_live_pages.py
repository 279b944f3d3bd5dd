"""Pages that compute, from a file, with no kernel and no network: the same numbers as Python's, whatever runs them."""

import pytest
import torch
from accessibility import assert_accessible
from computing import POLICY, SLOW, asked, close, maps_on, on_page
from explorers import make
from firefox import find_firefox, firefox
from hand import Hand
from PIL import Image as Pillow
from scenarios import walk

from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.evaluation import recalibrated
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.widgets import FieldExplorer, OrbitCorrelationExplorer
from eqssl_edu.widgets.field.field import CURVE_ANGLES
from eqssl_edu.widgets.live.live_page import SCRIPTS
from eqssl_edu.widgets.shared import base

IMAGE = digits(32).test.images[4]
PHOTO = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
PHOTO = torch.nn.functional.interpolate(PHOTO[None], 48, mode="bicubic")[0].clamp(0, 1)
ENGINES = ("WebAssembly", "JavaScript")


class Page(Hand):
    """A page of an explorer, as somebody uses it."""

    def __init__(self, opened):
        self.opened, self.page, self.root = opened, opened.page, opened.page.locator(".eqssl")
        self.rest()

    def open(self, engine):
        """The page again, run by this engine."""
        address = self.page.url.partition("?")[0]
        self.page.goto(f"{address}?engine=js" if engine == "JavaScript" else address)
        self.page.wait_for_selector(".eqssl[data-painted]")
        assert self.engine == engine

    @property
    def engine(self) -> str:
        return self.page.locator("#explorer").get_attribute("data-engine")


@pytest.fixture
def show(open_page, tmp_path):
    """show(explorer, engine) -> its page; at the end it has made no error, and no request but itself."""

    def show(explorer, engine="WebAssembly", **look):
        path = explorer.to_html(tmp_path / "page.html", live=True)
        if engine == "JavaScript":
            path.write_text(path.read_text("utf-8").replace("<head>", f"<head>\n{POLICY}"), "utf-8")
        opened.append(Page(open_page(path, **look)))
        assert opened[-1].engine == engine
        return opened[-1]

    opened = []
    yield show
    for page in opened:
        # That WebAssembly is not allowed, the browser says by itself.
        page.opened.console_errors[:] = [e for e in page.opened.console_errors if "WebAssembly" not in e]
        page.opened.assert_clean()
        assert page.page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)") == []


def trained(network, image):
    shape = (32, *image.shape)
    return recalibrated(network, torch.rand(shape, generator=torch.Generator().manual_seed(1)))


def c8(colours):
    from eqssl_edu.steerable import SteerableCNN

    return SteerableCNN(cyclic(8), colours, channels=(3, 4))


CASES = {
    "C4, grey": lambda: (GroupCNN(cyclic(4)), IMAGE),
    "C4, colour": lambda: (GroupCNN(cyclic(4), 3, channels=(4, 8)), PHOTO),
    "D4, grey": lambda: (GroupCNN(dihedral(4), channels=(4, 8)), IMAGE),
    "D4, colour": lambda: (GroupCNN(dihedral(4), 3, channels=(4, 8)), PHOTO),
    "escnn's C8, grey": lambda: (c8(1), IMAGE),
    "escnn's C8, colour": lambda: (c8(3), PHOTO),
}


def explorer_of(case):
    torch.manual_seed(0)
    network, image = CASES[case]()
    other = GroupCNN(cyclic(1), len(image), channels=(6, 12))
    return FieldExplorer(trained(network, image), image, compare=trained(other, image))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["FieldExplorer", "OrbitCorrelationExplorer"])
def test_one_list_of_scenarios_for_kernel_and_page(name, engine, show):
    explorer = make(name)
    page = show(explorer, engine)
    places = [line.partition(". ")[0] for line in walk(explorer)]
    assert [line.partition(". ")[0] for line in walk(on_page(explorer, page.page))] == places


@pytest.mark.parametrize("case", CASES)
def test_a_page_shows_at_twenty_angles_what_python_shows(case, show):
    explorer = explorer_of(case)
    page, layers, states, shown = show(explorer), explorer.layers[0], [], []
    for i, angle in enumerate([*range(0, 360, 45), *range(7, 360, 30)]):
        changes = {"angle": angle, "mirror": i % 2 == 1, "stabilised": i % 3 == 0}
        changes |= {"layer": layers[i // 3 % len(layers)]} if i % 3 == 0 else {}
        changes |= {
            "source": ("image", "digits", "glyphs", "shapes")[i // 5],
            "picture": i % 5 if i > 4 else 0,
        }
        explorer.set_state(**changes)
        states.append(changes)
        shown.append((explorer.values, explorer.readout))
    assert page.page.locator("#packed").evaluate("held => held.textContent.length") <= 1_000_000
    picture = torch.rand_like(explorer.sources.get("image", 0).image)
    maps = explorer.networks[0].recorder.all_maps(picture[None], layers)
    for engine in ENGINES:
        page.open(engine)
        for (values, readout), (wanted, sentence) in zip(asked(page.page, *states), shown, strict=True):
            close(values, wanted)
            assert readout.partition("error")[0] == sentence.partition("error")[0]
        for layer, found in maps_on(page.page, picture, layers).items():
            largest = float(maps[layer].abs().max())
            torch.testing.assert_close(found, maps[layer].flatten(), rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_curve_is_finished_in_slices_and_exact_turns_are_exact(engine, show, monkeypatch):
    monkeypatch.setattr("eqssl_edu.widgets.field.field.PATIENCE_SECONDS", 1e9)
    explorer = explorer_of("C4, grey")
    page = show(explorer, engine)
    curve = page.page.evaluate(SLOW)
    while explorer.unfinished:
        explorer.refine()
    assert curve["angles"] == sorted(CURVE_ANGLES)
    for found, wanted in zip(curve["errors"], explorer.curve["errors"], strict=True):
        for error, other in zip(found, wanted, strict=True):
            close({"error": error}, {"error": other})
    assert all(curve["errors"][0][curve["angles"].index(angle)] < 1e-5 for angle in (0, 90, 180, 270, 360))


def test_javascript_alone_where_the_address_asks_for_it(show):
    page = show(make("FieldExplorer"))
    page.open("JavaScript")
    page.press("turn by 90 degrees")
    assert page.errors()[0] < 1e-5 < 0.05 < page.errors()[1]


def bytes_of(picture):
    """(C, S, S) in [0, 1] as a file has it, and as it comes back."""
    levels = (255 * picture).round().byte()
    return levels, levels.permute(1, 2, 0).numpy()


def test_the_whole_of_it_by_hand(show, tmp_path):
    """A photo under D4 beside a plain CNN: every button, a file, a drawn digit, the errors at twenty angles."""
    torch.manual_seed(0)
    network = trained(GroupCNN(dihedral(4), 3, channels=(4, 8)), PHOTO)
    cnn = trained(matched_cnn(network), PHOTO)
    explorer = FieldExplorer(network, PHOTO, compare=cnn)
    page = show(explorer)
    page.page.context.set_offline(True)
    angles = [
        {"angle": angle, "mirror": angle % 2 == 1} for angle in [*range(0, 360, 45), *range(7, 360, 30)]
    ]

    def compared(**changes):
        """The page and Python at twenty angles, from here on."""
        answers = asked(page.page, *({**changes, **each} for each in angles))
        for each, (values, _) in zip(angles, answers, strict=True):
            explorer.set_state(**changes, **each)
            words = {"picture": explorer.values["picture"]["text"]}
            close({**values, "picture": values["picture"]["text"]}, {**explorer.values, **words})

    compared(layer=explorer.layers[0][0])
    page.press("turn by 0 degrees")
    for button in page.root.get_by_role("button").all():  # the elements, animate, pictures, file, draw
        if button.is_visible() and "Open a file" not in button.inner_text():
            button.click()
            page.page.wait_for_timeout(100)
    page.root.get_by_role("button", name="Pause").click()
    page.press("Draw")  # it was pressed
    page.choose("Picture from", "letters")
    page.press("Next picture")
    page.press("mirror, then turn by 90 degrees")
    page.says("Picture: the letter F. Image mirrored and turned by 90°")
    assert page.errors()[0] < 1e-5 < 0.01 < page.errors()[1]

    file, (levels, rows) = tmp_path / "mine.png", bytes_of(PHOTO.flip(0).rot90(1, (1, 2)))
    Pillow.fromarray(rows).save(file)
    page.root.locator("input[type=file]").set_input_files(file)
    page.root.get_by_text("mine.png: 48 × 48 pixels").wait_for()
    upload = {"source": "file", "side": 48, "channels": 3, "name": "mine.png", "size": [48, 48]}
    explorer.receive({"token": "a", "changes": {"upload": upload}}, [memoryview(levels.numpy().tobytes())])
    compared(source="file", picture=0)
    page.press("turn by 270 degrees")
    assert page.errors()[0] < 1e-5

    page.press("turn by 0 degrees")
    page.press("Draw")
    page.press("Clear")
    canvas = page.root.locator(".eqssl-disc canvas")
    x, y, width, height = canvas.bounding_box().values()
    for place, (right, down) in enumerate([(0.3, 0.25), (0.7, 0.25), (0.4, 0.8)]):  # a seven
        page.page.mouse.move(x + right * width, y + down * height, steps=5)
        if place == 0:
            page.page.mouse.down()
    page.page.mouse.up()
    page.says("Picture: my drawing.")
    drawn = bytes(page.pixels(canvas))
    assert {0, 255} <= set(drawn)
    upload = {"source": "drawing", "side": 48, "channels": 1, "name": "", "size": [48, 48]}
    explorer.receive({"token": "b", "changes": {"upload": upload}}, [memoryview(drawn)])
    compared(source="drawing", picture=0)
    page.press("turn by 90 degrees")
    assert page.errors()[0] < 1e-5 < 0.01 < page.errors()[1]
    assert_accessible(page.page, "main")


def test_what_is_not_allowed_is_said_as_the_kernel_says_it(show):
    explorer = explorer_of("C4, grey")
    page = show(explorer)
    for changes in ({"angle": 400}, {"source": "file"}):
        with pytest.raises(ValueError, match="must") as problem:
            explorer.set_state(**changes)
        send = "changes => document.getElementById('explorer').model.send({ token: 'a', changes })"
        page.page.evaluate(send, changes)
        page.alert.filter(has_text=f"ValueError: {problem.value}").wait_for()
    page.press("turn by 90 degrees")
    page.alert.wait_for(state="hidden")


@pytest.mark.parametrize("kind", [FieldExplorer, OrbitCorrelationExplorer])
def test_what_computes_is_at_most_40_kb_of_script(kind):
    scripts = [*SCRIPTS, *kind.live_files, "live/model"]
    assert sum((base.FOLDER / name).with_suffix(".js").stat().st_size for name in scripts) <= 40_000


def test_what_cannot_compute_falls_back_to_states_and_says_so(open_page, tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Sigmoid())
    explorer = FieldExplorer(network, IMAGE)
    with pytest.raises(ValueError, match="the engine of pages does not know sigmoid"):
        explorer.to_html(tmp_path / "page.html", live=True)
    page = Page(open_page(explorer.to_html(tmp_path / "page.html")))
    assert (
        "It does not compute: the engine of pages does not know sigmoid."
        in page.page.locator("main").inner_text()
    )
    page.press("turn by 90 degrees")
    assert page.errors()[0] > 0.01


@pytest.mark.skipif(
    find_firefox() is None, reason="no firefox-esr on the PATH (Debian: apt-get install firefox-esr)"
)
def test_firefox_shows_the_same(tmp_path):
    pytest.importorskip("websocket", reason="websocket-client is not installed")
    explorer, states = explorer_of("D4, grey"), [{"angle": angle} for angle in (0, 33, 90, 200)]
    path, shown = explorer.to_html(tmp_path / "page.html", live=True), []
    for state in states:
        explorer.set_state(**state)
        shown.append(explorer.values)
    (tmp_path / "home").mkdir()
    with firefox(tmp_path / "home") as window:
        for engine, question in zip(ENGINES, ("", "?engine=js"), strict=True):
            window.open(path.as_uri() + question)
            ready = f"""async () => {{
                while (!document.querySelector(".eqssl[data-painted]")) await new Promise(requestAnimationFrame);
                return document.getElementById("explorer").dataset.engine === "{engine}";
            }}"""
            assert window.evaluate(ready)
            for (values, _), wanted in zip(asked(window, *states), shown, strict=True):
                close(values, wanted)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_orbit_correlation_page_shows_what_python_shows(engine, show):
    for group in (cyclic(4), dihedral(4)):
        torch.manual_seed(0)
        network = trained(GroupCNN(group, channels=(4, 8)), IMAGE)
        images = digits(32).test.images[:8]
        explorer = OrbitCorrelationExplorer(network, images, [images, images.flip(0).roll(1, 0)])
        page, states, last = show(explorer, engine), [], group.order - 1
        for first, second in ((0, 0), (1, 0), (last, 1), (2, last)):
            states.append({"image": 3 * first % 8, "first": first, "second": second})
        for state, (values, readout) in zip(states, asked(page.page, *states), strict=True):
            explorer.set_state(**state)
            wanted = explorer.values
            for key in ("kappa", "kappa_before"):
                assert values[key] == pytest.approx(wanted[key], abs=1e-6)
            for row, other in zip(values["losses"], wanted["losses"], strict=True):
                assert (
                    row["now"] == pytest.approx(other["now"], abs=1e-6) and row["status"] == other["status"]
                )
            for key in ("state", "origins", "scale", "views", "pictures", "pixels"):
                close(values[key], wanted[key], key)
            assert readout == explorer.readout
    page.press("Turn both views back")
    page.says("Both views upright: no loss has moved.")
