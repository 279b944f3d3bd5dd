"""Pages without a kernel, as text."""

import base64
import gzip
import json
import re

import pytest
import torch
from explorers import make

from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.widgets import FieldExplorer, OrbitCorrelationExplorer, orbit_correlation
from eqssl_edu.widgets.field import field, page
from eqssl_edu.widgets.shared import base, frozen_page


class Doubler(base.Explorer):
    """The smallest explorer with a page."""

    _esm = "function render() {} export default { render };"
    _css = ".eqssl {}"
    free = ("note",)

    def __init__(self, size=4):
        self.size = size
        super().__init__({"largest": 3}, {"number": 1, "note": ""})

    def check(self, changes):
        if changes.get("number", 0) > 3:
            raise ValueError(f"number must be at most 3, got {changes['number']}")
        return changes

    def show(self, state):
        number = state["number"]
        data = torch.randint(256, (self.size,), generator=torch.Generator().manual_seed(number % 2))
        return {"state": dict(state), "pixels": bytes(data.tolist())}, f"Number {number}."

    def frozen_states(self):
        return frozen_page.product_of(number=range(4))


def table(path):
    """What a page holds, read as the page does it."""
    found = re.search(r'data-json="(\d+)">([^<]*)<', path.read_text("utf-8"))
    data = gzip.decompress(base64.b64decode(found[2]))
    return json.loads(data[: int(found[1])]), data[int(found[1]) :]


def test_a_page_holds_every_state_and_equal_pictures_once(tmp_path):
    explorer = Doubler(1000)
    before = explorer.state(), explorer.values, explorer.readout
    path = explorer.to_html(tmp_path / "page.html", title="Two & two")
    assert (explorer.state(), explorer.values, explorer.readout) == before
    head, pixels = table(path)
    assert head["facts"] == {"largest": 3} and head["free"] == ["note"] and head["first"] == before[0]
    assert [state["state"] for state in head["states"]] == [{"number": n} for n in range(4)]
    assert [state["traits"]["readout"] for state in head["states"]] == [f"Number {n}." for n in range(4)]
    assert len(pixels) == 2000  # two pictures for four states
    start, size = head["states"][1]["traits"]["values"]["pixels"]["$bytes"]
    assert pixels[start : start + size] == explorer.values["pixels"]
    text = path.read_text("utf-8")
    assert "<title>Two &amp; two</title>" in text and '<html lang="en">' in text
    assert "<h1>Doubler</h1>" in Doubler().to_html(path).read_text("utf-8")


def test_a_page_names_what_is_wrong(tmp_path, as_a_user):
    with pytest.raises(ValueError, match=r"path must end in .html, got "):
        Doubler().to_html(tmp_path / "page.txt")
    with pytest.raises(ValueError, match=r"a page holds at most 2 MB of precomputed states, got .* MB"):
        Doubler(1_500_000).to_html(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_an_explorer_without_states_says_so(tmp_path):
    class Mute(Doubler):
        frozen_states = base.Explorer.frozen_states

    with pytest.raises(NotImplementedError, match="Mute has no page without a kernel"):
        Mute().to_html(tmp_path / "page.html")


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("OrbitExplorer", {"picture": "Q", "element": 3, "applied": 5}),
        ("ExactnessLab", {"size": 40, "kernel_size": 3, "stride": 4, "padding": 0}),
        ("LabelActionExplorer", {"task": "jigsaw 3 x 3", "label": 3, "element": 5, "action": "left"}),
        (
            "LearnedActionExplorer",
            {"network": "plain", "untrained": True, "source": "report", "image": 7, "element": 3, "times": 4},
        ),
        ("EmbeddingExplorer", {"features": "pooled", "image": 17, "element": 3}),
    ],
)
def test_a_page_holds_the_state_that_is_shown_and_all_that_the_hand_can_reach_from_it(name, held):
    explorer = make(name)
    explorer.set_state(**held)
    states = explorer.frozen_states()
    assert held in states and explorer.state() in states
    assert all(explorer.check(state) for state in states[::7])


def explorer_of(group):
    torch.manual_seed(0)
    return FieldExplorer(GroupCNN(group, channels=(2, 3)), digits(16).test.images[3])


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], ids=lambda group: group.name)
def test_a_field_page_has_every_element_and_every_15_degrees(group):
    explorer = explorer_of(group)
    states = explorer.frozen_states()
    turns = {(state["angle"], state["mirror"]) for state in states}
    assert {(angle, False) for angle in range(0, 361, 15)} <= turns
    assert {(group.degrees(g), g >= group.rotations) for g in group.elements} <= turns
    assert len({state["layer"] for state in states}) >= 3
    assert {state["stabilised"] for state in states} == {False, True}
    for changes in states[::17]:
        explorer.set_state(**changes)
        traits = explorer.frozen(explorer.state())
        (panel,), (live,) = traits["values"]["panels"], explorer.values["panels"]
        assert panel["error"] == pytest.approx(live["error"], rel=1e-3, abs=1e-6)
        assert traits["curve"]["errors"][0][traits["curve"]["angles"].index(90)] < 1e-5


def test_a_field_page_offers_what_it_holds_and_the_live_one_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "ANGLE_STEP", 90)
    explorer = explorer_of(cyclic(4))
    explorer.set_state(angle=33)
    shown = explorer.values
    head, _ = table(explorer.to_html(tmp_path / "page.html", live=False))
    assert explorer.values is shown
    assert head["facts"]["sources"] == [] and head["facts"]["fixed_channels"]
    held = {fact["name"] for fact in head["facts"]["networks"][0]["layers"]}
    assert held == {state["state"]["layer"] for state in head["states"]}


def test_the_curve_of_a_live_explorer_is_finished_after_a_page(monkeypatch):
    monkeypatch.setattr(field, "PATIENCE_SECONDS", 1e9)  # a busy machine gets every angle too
    explorer = explorer_of(cyclic(4))
    explorer.frozen_states()
    explorer.frozen(explorer.state())
    explorer.refine()
    while explorer.unfinished:
        explorer.refine()
    assert set(range(0, 361, 5)) == set(explorer.curve["angles"])


def test_an_orbit_correlation_page_has_every_pair_of_as_many_images_as_it_can_hold(monkeypatch, tmp_path):
    monkeypatch.setattr(orbit_correlation, "PAGE_STATES", 40)
    explorer = OrbitCorrelationExplorer(GroupCNN(cyclic(4), channels=(2,)), digits(16).test.images[:4])
    explorer.set_state(image=3)
    head, _ = table(explorer.to_html(tmp_path / "page.html", live=False))
    assert head["facts"]["images"] == [2, 3]  # the one that is shown is among them
    assert [state["state"] for state in head["states"]] == frozen_page.product_of(
        image=[2, 3], first=range(4), second=range(4)
    )
