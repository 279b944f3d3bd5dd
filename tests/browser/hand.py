"""What the tests do with every explorer: its controls by the names that a screen reader uses."""

from __future__ import annotations

from explorers import SETUP


class Hand:
    """An explorer in JupyterLab, in the output of a cell that has run."""

    name: str  # of the explorer's group

    def __init__(self, notebook, cell: int = 0) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.root = notebook.output(cell).get_by_role("group", name=self.name)
        self.root.wait_for()
        self.rest()

    @classmethod
    def of(cls, open_notebook, made: str, **look):
        """The explorer that this source makes: `explorer` in its notebook, whose last cell is free."""
        notebook = open_notebook([f"{SETUP}\nexplorer = {made}\nexplorer", ""], **look)
        notebook.run_all()
        return cls(notebook)

    def rest(self) -> None:
        """Wait until what the hand did is painted."""
        self.page.wait_for_function("root => root.dataset.busy === 'false'", arg=self.root.element_handle())

    @property
    def alert(self):
        return self.root.get_by_role("alert")

    def button(self, name: str):
        return self.root.get_by_role("button", name=name, exact=True)

    def press(self, name: str) -> None:
        self.button(name).click()
        self.rest()

    def slider(self, name: str):
        return self.root.get_by_role("slider", name=name, exact=True)

    def slide(self, name: str, keys: str) -> int:
        """Keys on a slider, such as "Home ArrowRight"; returns where it ends."""
        for key in keys.split():
            self.slider(name).press(key)
            self.rest()
        return int(self.slider(name).input_value())

    def choose(self, name: str, label: str) -> None:
        """An entry of a menu."""
        self.root.get_by_role("combobox", name=name).select_option(label=label)
        self.rest()

    def text(self, selector: str) -> str:
        self.rest()
        return self.root.locator(selector).inner_text()

    def number(self, data: str) -> float:
        """The one value that the explorer shows as data-..."""
        self.rest()
        return float(self.root.locator(f"[data-{data}]").get_attribute(f"data-{data}"))

    def errors(self) -> list[float]:
        """The equivariance errors of a FieldExplorer's networks."""
        self.rest()
        entries = self.root.locator("[data-error]").all()
        return [float(entry.get_attribute("data-error")) for entry in entries]

    def pixels(self, canvas) -> list[int]:
        """The first colour of every pixel, as painted."""
        self.rest()
        return canvas.evaluate(
            """canvas => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]
                 .filter((_, i) => i % 4 === 0)"""
        )

    def says(self, text: str) -> None:
        """Wait until a screen reader has heard it."""
        self.root.get_by_role("status").filter(has_text=text).wait_for(state="attached")

    def refuses(self, changes: dict, error: str, cure: str) -> None:
        """A wrong move is seen as an error, and the button that is pressed next clears it."""
        self.notebook.run_last_cell(f"explorer.receive({{'token': 'a', 'changes': {changes}}})")
        self.alert.filter(has_text=error).wait_for()
        self.press(cure)
        self.alert.wait_for(state="hidden")


def turned(pixels: list) -> list:
    """A square picture, row by row, turned by 90 degrees counter-clockwise."""
    side = round(len(pixels) ** 0.5)
    return [pixels[side * column + side - 1 - row] for row in range(side) for column in range(side)]
