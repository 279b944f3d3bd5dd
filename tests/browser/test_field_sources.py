"""Pictures for the FieldExplorer in the real JupyterLab: the toolkit's own, files of every kind, and drawing."""

import io

import numpy as np
import pytest
from PIL import Image
from test_field_explorer import Explorer


def file_of(kind: str, *pictures) -> bytes:
    """A file of pictures (height, width) or (height, width, 3), 0 .. 255: several are the frames of an animation."""
    first, *others = (Image.fromarray(np.asarray(picture, dtype=np.uint8)) for picture in pictures)
    frames = {"save_all": True, "append_images": others, "duration": 500, "loop": 0} if others else {}
    file = io.BytesIO()
    first.save(file, kind, compress_level=1, **frames)
    return file.getvalue()


class Sourced(Explorer):
    """The explorer and its controls for pictures."""

    def __init__(self, notebook, cell=0):
        super().__init__(notebook, cell)
        self.source = self.choice("Picture from")
        self.note = self.root.locator(".eqssl-source-note")
        self.canvas = self.root.locator(".eqssl-disc canvas")

    def open(self, name, kind, data):
        """Choose a file; a file that cannot be shown is answered as well."""
        self.root.locator("input[type=file]").set_input_files(
            {"name": name, "mimeType": kind, "buffer": data}
        )

    def colours(self):
        """[red, green, blue] of every pixel of the image, as painted."""
        self.rest()
        return self.canvas.evaluate(
            """canvas => {
                 const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                 return Array.from({ length: data.length / 4 }, (_, i) => [...data.slice(4 * i, 4 * i + 3)]);
               }"""
        )

    def lives(self):
        """A turn still works."""
        self.turn(90)
        assert self.errors()[0] < 1e-5
        self.turn(0)


@pytest.fixture
def show(open_notebook):
    """show(colours) -> the explorer of a network that takes as many."""

    def show(colours, **look):
        image = f"images.test.images[4].expand({colours}, -1, -1)"
        made = f"FieldExplorer(trained(cyclic(4), {colours}), {image})"
        shown.append(Sourced.of(open_notebook, made, **look))
        return shown[0]

    shown = []
    yield show
    shown[0].notebook.assert_clean()


@pytest.fixture
def grey(show):
    return show(1)


def test_digits_letters_and_shapes(grey):
    seen = [grey.colours()]
    for source, text in (("digits", "a handwritten"), ("glyphs", "the letter A"), ("shapes", "a ring")):
        grey.source.select_option(value=source)
        grey.note.filter(has_text=text).wait_for()
        seen.append(grey.colours())
        grey.lives()
    assert all(a != b for i, a in enumerate(seen) for b in seen[:i])
    grey.button("Next picture").click()
    grey.note.filter(has_text="a cross").wait_for()
    grey.button("Previous picture").click()
    grey.button("Previous picture").click()
    grey.note.filter(has_text="white noise").wait_for()
    grey.says("Picture: white noise")
    grey.source.select_option(value="image")
    assert grey.colours() == seen[0]


def test_files_of_every_kind(grey):
    before = grey.colours()
    grey.open("notes.txt", "text/plain", b"turn me by 90 degrees\n" * 50)
    grey.alert.filter(has_text="notes.txt is not a picture that this browser can read").wait_for()
    assert grey.colours() == before
    grey.lives()
    assert grey.alert.is_hidden()  # the next move clears the message

    grey.open("empty.png", "image/png", b"")
    grey.alert.filter(has_text="empty.png is not a picture").wait_for()

    grey.open("pixel.png", "image/png", file_of("PNG", [[128]]))
    grey.note.filter(has_text="pixel.png: 1 × 1 pixels, made 32 × 32, grey").wait_for()
    assert {tuple(colour) for colour in grey.colours()} == {(128, 128, 128)}
    grey.lives()

    # 20 megapixels, dark to bright from left to right: the centre goes from 1/8 to 7/8.
    row = np.linspace(0, 255, 5160).round()[:, None].repeat(3, axis=1)
    grey.open("photo.png", "image/png", file_of("PNG", np.tile(row, (3880, 1, 1))))
    text = "photo.png: the central 3880 × 3880 of 5160 × 3880 pixels, made 32 × 32, grey"
    grey.note.filter(has_text=text).wait_for()
    levels = [colour[0] for colour in grey.colours()]
    middle = levels[16 * 32 : 17 * 32]
    assert middle == sorted(middle)
    assert levels[::32] == levels[:1] * 32  # every row is the same
    grey.lives()

    grey.open("blink.gif", "image/gif", file_of("GIF", np.full((8, 8), 255), np.zeros((8, 8))))
    grey.note.filter(has_text="blink.gif (first frame): 8 × 8 pixels, made 32 × 32, grey").wait_for()
    grey.lives()

    for ink, ground in ((255, 0), (0, 255)):  # on nothing: what lies behind lets it be seen
        drawn = np.full((32, 32, 4), (ink, ink, ink, 0))
        drawn[8:16, 8:16, 3] = 255
        grey.open(f"ink{ink}.png", "image/png", file_of("PNG", drawn))
        grey.note.filter(has_text=f"ink{ink}.png: 32 × 32 pixels").wait_for()
        assert sorted({colour[0] for colour in grey.colours()}) == [0, 255]
        assert grey.colours()[0][0] == ground
    for _ in range(2):
        grey.button("Previous picture").click()
    grey.note.filter(has_text="blink.gif").wait_for()

    # The button opens the browser's own window for files.
    with grey.page.expect_file_chooser() as chooser:
        grey.button("Open a file …").click()
    chooser.value.set_files(
        {"name": "dark.png", "mimeType": "image/png", "buffer": file_of("PNG", np.full((2, 2), 16))}
    )
    grey.note.filter(has_text="dark.png: 2 × 2 pixels").wait_for()
    assert {tuple(colour) for colour in grey.colours()} == {(16, 16, 16)}
    for _ in range(3):
        grey.button("Previous picture").click()
    grey.note.filter(has_text="blink.gif").wait_for()
    assert {tuple(colour) for colour in grey.colours()} == {(255, 255, 255)}  # its first frame

    # All files can be shown again.
    assert grey.source.input_value() == "file"
    grey.button("Previous picture").click()
    grey.note.filter(has_text="photo.png").wait_for()
    grey.button("Previous picture").click()
    grey.note.filter(has_text="pixel.png").wait_for()


def test_a_coloured_file_keeps_its_colours(show):
    coloured = show(3, dark=True)
    row = [(255, 0, 0)] * 20 + [(0, 0, 255)] * 20
    coloured.open("flag.png", "image/png", file_of("PNG", [row] * 40))
    coloured.note.filter(has_text="flag.png: 40 × 40 pixels, made 32 × 32").wait_for()
    colours = coloured.colours()
    assert colours[16 * 32 + 2] == [255, 0, 0]
    assert colours[16 * 32 + 29] == [0, 0, 255]
    coloured.turn(90)
    colours = coloured.colours()  # counter-clockwise: what was on the right is on top
    assert colours[2 * 32 + 16] == [0, 0, 255]
    assert colours[29 * 32 + 16] == [255, 0, 0]


def drag(page, canvas, points):
    box = canvas.bounding_box()
    at = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=5)
    page.mouse.up()


def bright(explorer):
    """The set of (column, row) of bright pixels, in sixteenths of the side, once the pen is at rest."""
    explorer.page.wait_for_timeout(100)
    return {(i % 32 // 2, i // 32 // 2) for i, colour in enumerate(explorer.colours()) if colour[0] > 128}


def test_drawing_with_the_mouse_and_with_keys(grey):
    page = grey.page
    draw = grey.button("Draw")
    draw.click()
    grey.note.filter(has_text="my drawing").wait_for()
    assert bright(grey) == set()
    assert grey.errors() == [0]  # nothing to see, nothing wrong

    drag(page, grey.canvas, [(0.25, 0.25), (0.75, 0.25)])
    stroke = bright(grey)
    assert {(5, 4), (8, 4), (11, 4)} <= stroke
    assert all(3 <= row <= 4 for _, row in stroke)
    grey.lives()

    # On a turned picture the stroke goes where the pen is.
    grey.turn(90)
    assert {(4, 8), (4, 5), (4, 11)} <= bright(grey)
    drag(page, grey.canvas, [(0.75, 0.5), (0.75, 0.75)])
    assert {(12, 9), (12, 11)} <= bright(grey)
    grey.lives()

    grey.button("Clear").click()
    assert bright(grey) == set()
    grey.canvas.focus()
    for key in ("ArrowUp", "Space", "ArrowRight", "ArrowRight", "ArrowRight", "Space", "ArrowDown"):
        page.keyboard.press(key)
    stroke = bright(grey)
    assert {(8, 7), (10, 7)} <= stroke and all(5 <= row <= 8 for _, row in stroke)

    # With the pen lifted to another place.
    for key in ("ArrowUp", *4 * ["ArrowLeft"], "ArrowUp", "Space", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    assert any(column <= 7 for column, _ in bright(grey) - stroke)
    stroke = bright(grey)

    # Another source ends it; the drawing is still there.
    grey.source.select_option(value="shapes")
    grey.note.filter(has_text="a ring").wait_for()
    grey.rest()
    assert draw.get_attribute("aria-pressed") == "false"
    grey.source.select_option(value="drawing")
    grey.note.filter(has_text="my drawing").wait_for()
    assert bright(grey) == stroke
    grey.lives()


def test_a_cell_chooses_the_picture(grey):
    grey.notebook.run_last_cell("explorer.set_state(source='shapes', picture=3)")
    grey.note.filter(has_text="an edge").wait_for()
    grey.rest()
    assert grey.source.input_value() == "shapes"
