"""OrbitExplorer in the real JupyterLab: buttons, the map by mouse and keyboard, the menu, a cell."""

from hand import Hand, turned


class Explorer(Hand):
    name = "Orbit explorer"

    def apply(self, name):
        self.press(f"apply {name}")

    def place(self, name):
        return self.root.get_by_role("button", name=f"go to {name}:")

    def product(self):
        return self.text("[data-name=product]")

    def here(self):
        self.rest()
        return self.root.locator("[aria-current]").get_attribute("aria-label")

    def count(self):
        return self.root.locator(".eqssl-orbit-count").inner_text()

    def picture(self):
        return self.pixels(self.root.locator(".eqssl-orbit-now canvas"))


def mirrored(pixels, side=9):
    return [pixels[side * row + side - 1 - column] for row in range(side) for column in range(side)]


def test_every_control_does_what_it_says(open_notebook):
    explorer = Explorer.of(open_notebook, "OrbitExplorer(dihedral(4), 'F')", dark=True)
    notebook, page = explorer.notebook, explorer.page
    upright = explorer.picture()
    assert len(set(upright)) == 2

    # Buttons apply elements, one after the other.
    explorer.apply("m")
    assert explorer.product() == "m · e = m"
    assert explorer.picture() == mirrored(upright)
    explorer.apply("r90")
    assert explorer.product() == "r90 · m = r90 m"
    assert explorer.picture() == turned(mirrored(upright))
    explorer.apply("r90 m")
    assert explorer.product() == "(r90 m) · (r90 m) = e"
    assert explorer.picture() == upright
    assert explorer.here().startswith("go to e: picture 1, keeps the picture, you are here")

    # Every button, and every place of the map.
    explorer.apply("e")
    assert explorer.here().startswith("go to e:") and explorer.picture() == upright
    names = ["r90", "r180", "r270", "m", "r90 m", "r180 m", "r270 m"]
    for name in names:
        explorer.apply(name)
        assert explorer.product() == (f"({name}) · e = {name}" if " " in name else f"{name} · e = {name}")
        assert explorer.here().startswith(f"go to {name}:")
        explorer.place("e").click()
        assert explorer.product().endswith("= e") and explorer.picture() == upright
    for name in names:
        explorer.place(name).click()
        assert explorer.product().endswith(f"= {name}")
    explorer.place("e").click()
    explorer.rest()

    # The map by mouse: going from m to r90 applies r90 m.
    explorer.place("m").click()
    explorer.rest()
    explorer.place("r90").click()
    assert explorer.product() == "(r90 m) · m = r90"
    assert explorer.picture() == turned(upright)

    # The map by keyboard; r and m are the generators and do not reach the notebook.
    kind = "jupyterapp.shell.currentWidget.content.activeCell.model.type"
    assert explorer.place("r90").evaluate("place => place === document.activeElement")
    page.keyboard.press("r")
    assert explorer.product() == "r90 · r90 = r180"
    page.keyboard.press("m")
    assert explorer.product() == "m · r180 = r180 m"
    assert page.evaluate(kind) == "code"
    page.keyboard.press("ArrowUp")  # across to the other ring: r90 stands beside m r90 = r270 m
    page.keyboard.press("Enter")
    assert explorer.here().startswith("go to r270 m:")
    page.keyboard.press("ArrowRight")  # clockwise: on the inner ring that is the next one
    page.keyboard.press("Enter")
    assert explorer.here().startswith("go to m:")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    assert explorer.here().startswith("go to r90:")

    # Orbit and stabiliser of other letters.
    assert explorer.count() == "8 × 1 = 8"
    for letter, count, kept in [
        ("A", "4 × 2 = 8", "e, m"),
        ("O", "1 × 8 = 8", "e, r90, r180, r270, m, "),
        ("N", "4 × 2", "e, r180"),
    ]:
        explorer.choose("Picture", letter)
        section = explorer.root.get_by_role("group", name="Orbit and stabiliser")
        section.filter(has_text=f"Stabiliser of {letter}: {kept}").wait_for()
        assert explorer.count().startswith(count)
        assert len(section.get_by_role("img").all()) == int(count[0])
    # A mirror turns with the picture that it keeps.
    explorer.choose("Picture", "A")
    explorer.apply("r90")
    explorer.root.locator(".eqssl-orbit-now").filter(has_text="kept by e, r180 m.").wait_for()
    explorer.press("Start again")
    assert explorer.here().startswith("go to e:")

    # A cell steers it, a screen reader hears it, an error is seen.
    notebook.run_last_cell("explorer.set_state(picture='L', element=5, applied=1)")
    explorer.root.locator("[data-name=product]").filter(has_text="r90 · m = r90 m").wait_for()
    explorer.says("L under D4, moved by r90 m")
    explorer.refuses({"element": 8}, "ValueError: element must be", cure="apply m")
    notebook.assert_clean()
