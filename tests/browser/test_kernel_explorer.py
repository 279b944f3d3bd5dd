"""KernelExplorer in the real JupyterLab: weights by mouse and keyboard, the window, both kinds of layers."""

from hand import Hand, turned


class Explorer(Hand):
    name = "Kernel explorer"

    def weight(self, row, column, plane=""):
        return self.root.get_by_role("spinbutton", name=f"Weight{plane}, row {row}, column {column}")

    def value(self, *place):
        self.rest()
        return float(self.weight(*place).get_attribute("aria-valuenow"))

    def copy(self, name):
        """The weights of a copy, row by row."""
        self.rest()
        text = self.root.get_by_role("img", name=f"Copy {name}:").or_(
            self.root.get_by_role("img", name=f"Copy {name},")
        )
        lists = [label.get_attribute("aria-label").split(": ")[1] for label in text.all()]
        return [float(number.replace("−", "-")) for one in lists for number in one.split(", ")]

    def responses(self):
        self.rest()
        return [float(b.get_attribute("data-value")) for b in self.root.locator("b[data-value]").all()]

    def bars(self):
        """For each answer whether it is negative, and the colour of its bar."""
        self.rest()
        look = r"""bar => [bar.dataset.negative === 'true',
                           getComputedStyle(bar).background.match(/rgb\((\d+), (\d+), (\d+)\)/).slice(1).map(Number)]"""
        return [bar.evaluate(look) for bar in self.root.locator(".eqssl-kernel-bars i").all()]

    def window(self):
        self.rest()
        return [int(self.slider(f"Window: {name}").input_value()) for name in ("row", "column")]

    def gap(self):
        return self.number("gap")


def close(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) < 2e-3  # three decimals are shown


def test_every_control_does_what_it_says(open_notebook):
    made = "KernelExplorer(LiftingConv2d(cyclic(4), 2, 2, kernel_size=3, padding=1))"
    explorer = Explorer.of(open_notebook, made, height=1400)
    notebook, page = explorer.notebook, explorer.page
    first = explorer.copy("e")
    assert close(explorer.copy("r90"), turned(first))
    assert close(explorer.copy("r180"), turned(turned(first)))
    assert explorer.gap() < 1e-6

    # A weight by keyboard: all copies change at one place, and so do the answers.
    before, answers = explorer.value(1, 2), explorer.responses()
    explorer.weight(1, 2).press("ArrowUp")
    step = explorer.value(1, 2) - before
    assert step > 0.01
    now = explorer.copy("e")
    assert abs(now[1] - first[1] - step) < 2e-3 and close(now[:1] + now[2:], first[:1] + first[2:])
    assert close(explorer.copy("r90"), turned(now))
    assert not close(explorer.responses(), answers)
    assert explorer.gap() < 1e-6
    for key, steps in (("PageDown", -4), ("PageUp", 1), ("ArrowDown", 0)):
        page.keyboard.press(key)
        assert abs(explorer.value(1, 2) - (before + steps * step)) < 1e-3
    for key, positive in (("Delete", False), ("ArrowUp", True), ("0", False)):
        page.keyboard.press(key)
        assert explorer.value(1, 2) >= 0 and (explorer.value(1, 2) > 0) == positive
    for key, column in (("ArrowRight", 3), ("ArrowLeft", 2)):  # to the next weight, not to the next cell
        page.keyboard.press(key)
        assert explorer.weight(1, column).evaluate("weight => weight === document.activeElement")

    # A weight by mouse: up is more.
    box = explorer.weight(3, 3).bounding_box()
    before = explorer.value(3, 3)
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.mouse.down()
    page.mouse.move(box["x"] + 9, box["y"] - 6)
    page.mouse.move(box["x"] + 9, box["y"] - 31)
    page.mouse.up()
    dragged = explorer.value(3, 3)
    assert dragged > before + 0.2
    page.mouse.move(box["x"] + 9, box["y"] - 90)  # the hand has let go
    assert explorer.value(3, 3) == dragged
    notebook.run_last_cell("print(explorer.layer.weight[0, 0, 2, 2].item())")
    assert abs(float(notebook.output(1).inner_text()) - dragged) < 1e-4

    # The bars have the colours of the maps: blue below zero, orange above.
    signs = set()
    for column in (4, 9, 12):
        explorer.slider("Window: column").fill(str(column))
        for (negative, (red, _, blue)), answer in zip(explorer.bars(), explorer.responses(), strict=True):
            assert negative == (answer < 0) == (blue > red)
            signs.add(negative)
    assert signs == {True, False}

    # Channels have filters of their own; the reset brings back the chosen one.
    changed = explorer.copy("e")
    explorer.choose("Output channel", "2")
    assert not close(explorer.copy("e"), changed)
    explorer.choose("Output channel", "1")
    assert close(explorer.copy("e"), changed)
    explorer.choose("Input channel", "2")
    assert not close(explorer.copy("e"), changed)
    explorer.choose("Input channel", "1")
    explorer.press("Reset this filter")
    assert close(explorer.copy("e"), first)

    # The window: sliders, and a click on the image.
    answers = explorer.responses()
    explorer.slide("Window: row", "Home")
    explorer.slide("Window: column", "ArrowRight")
    assert not close(explorer.responses(), answers)
    assert explorer.gap() < 1e-6
    assert explorer.slider("Window: row").get_attribute("aria-valuetext") == "1"
    picture = explorer.root.get_by_role("img", name="Input", exact=True)
    size = picture.bounding_box()["width"]
    picture.click(position={"x": size * 5.5 / 18, "y": size * 12.5 / 18})  # 16 pixels and two of padding
    assert explorer.window() == [11, 4]
    # A drag takes the window along, and stops at the border.
    box = picture.bounding_box()
    page.mouse.move(box["x"] + size * 5.5 / 18, box["y"] + size * 12.5 / 18)
    page.mouse.down()
    page.mouse.move(box["x"] + size * 9.5 / 18, box["y"] + size * 3.5 / 18, steps=4)
    assert explorer.window() == [2, 8]
    page.mouse.move(box["x"] - 30, box["y"] + size * 12.5 / 18)
    page.mouse.up()
    assert explorer.window() == [11, 0]
    picture.click(position={"x": size * 5.5 / 18, "y": size * 12.5 / 18})
    explorer.says("Window at row 12, column 5: cop")
    # An error is seen; then everything goes on.
    explorer.refuses({"row": 16}, "ValueError: row must be", cure="Reset this filter")
    notebook.assert_clean()


def test_a_group_convolution_twists_and_shifts(open_notebook):
    made = "KernelExplorer(GroupConv2d(cyclic(4), 1, 1, kernel_size=3, padding=1))"
    group = Explorer.of(open_notebook, made)
    planes = [group.copy("e")[9 * h : 9 * h + 9] for h in range(4)]
    shifted = [group.copy("r90")[9 * h : 9 * h + 9] for h in range(4)]
    for h in range(4):
        assert close(shifted[h], turned(planes[(h - 1) % 4]))
    assert group.gap() < 1e-6
    group.weight(2, 1, " of plane B").focus()
    group.page.keyboard.press("ArrowDown")
    group.rest()
    assert not close(group.copy("e")[9:18], planes[1])
    assert close(group.copy("e")[:9], planes[0])
    group.notebook.assert_clean()
