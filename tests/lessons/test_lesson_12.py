"""Notebook 12: four worlds of known symmetry on disk, the test of coins, and what is computed from its answers."""

import re
from pathlib import Path

import pytest
import torch

from eqssl_edu.data import load_images
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import four_worlds
from eqssl_edu.lessons import notebook_12 as lesson
from eqssl_edu.pretext import JigsawTask, verify

D4 = dihedral(4)


@pytest.fixture(scope="module")
def place():
    return lesson.on_disk()


@pytest.fixture(scope="module")
def worlds(place):
    return {
        name: {part: load_images(place / name, part, size=24) for part in four_worlds.COUNTS}
        for name in four_worlds.WORLDS
    }


def test_each_world_is_read_as_it_was_drawn(worlds):
    for name in ("scenes", "tissue", "galaxies"):
        images, labels = four_worlds.drawn(name, 400, 24, 1)
        found = worlds[name]["test"]
        order = torch.sort(labels, stable=True).indices if name == "scenes" else torch.arange(400)
        assert torch.equal(found.labels, labels[order])
        if name != "scenes":  # there the names of the files are in the order of their classes
            assert (found.images - images).abs().max() < 1 / 255
    assert worlds["scenes"]["train"].classes == ("house", "tree")
    assert worlds["galaxies"]["train"].classes == ("S", "Z") and worlds["storms"]["train"].labels is None
    for parts in worlds.values():
        both = torch.cat([parts["train"].images, parts["test"].images])
        assert both.shape == (1200, 1, 24, 24) and len(both.unique(dim=0)) == 1200


def test_galaxies_are_arrays_where_pyarrow_is_not_installed(monkeypatch):
    monkeypatch.setattr(four_worlds, "find_spec", lambda name: None)
    monkeypatch.setattr(four_worlds, "_FOLDERS", [])
    monkeypatch.setattr(four_worlds, "COUNTS", {"train": 4, "test": 2})
    there = four_worlds.on_disk()
    assert load_images(there / "galaxies", "test").images.shape == (2, 1, 24, 24)
    assert sorted(path.suffix for path in (there / "galaxies").iterdir()) == 4 * [".npy"]


def test_only_the_last_folder_is_kept(monkeypatch):
    monkeypatch.setattr(four_worlds, "_FOLDERS", [])
    four_worlds._kept()
    first = Path(four_worlds._FOLDERS[0].name)
    (first / "a").write_text("x")
    four_worlds._kept()
    assert not first.exists() and len(four_worlds._FOLDERS) == 1


def mirrored_share(images):
    """How different a set is from its mirror image in a number that no turn changes: the sense in which it winds."""
    x = images - images.mean(dim=(-2, -1), keepdim=True)
    axis = torch.linspace(-1, 1, x.shape[-1])
    angle, r = torch.atan2(axis[:, None], axis), (axis[:, None] ** 2 + axis**2).sqrt()
    waves = [(x * torch.exp(2j * angle) * ((r > a) & (r < a + 0.25))).sum(dim=(-2, -1)) for a in (0.2, 0.45)]
    return float((waves[0] * waves[1].conj()).imag.sign().mean().abs())


def test_storms_wind_one_way_and_galaxies_both():
    storms, galaxies = (four_worlds.drawn(name, 400, 24, 5)[0] for name in ("storms", "galaxies"))
    assert mirrored_share(storms) > 0.2 and mirrored_share(galaxies) < 0.15


def test_the_symmetry_of_each_world_is_that_of_simple_statistics():
    for name, H in lesson.SYMMETRY.items():
        images = four_worlds.drawn(name, 4000, 12, 3)[0][:, 0].double()
        for g in D4.elements[1:]:
            apart = images.mean(dim=0) - D4.transform(images, g).mean(dim=0)
            noise = images.std(dim=0) * (2 / 4000) ** 0.5
            far = float((apart / noise).abs().max())
            assert far < 5 or g not in H
            if name == "scenes":
                assert (far > 5) == (g not in H)


def test_coins_of_data_with_a_symmetry_are_guessed_by_nobody():
    """A network that knows the set by heart: without a symmetry it is always right, with one in half of the cases."""
    base = torch.rand(50, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    coins = torch.arange(50) % 2 == 1

    def knows(x):
        known = [
            (x[:, None] - D4.transform(base, g)[None]).abs().amax(dim=(2, 3, 4)).amin(dim=1)
            for g in D4.elements
        ]
        return -torch.stack(known, dim=1)

    assert all(lesson.library_hits(D4, g, base, coins, knows) == 50 for g in D4.elements[1:])
    every = torch.stack([D4.transform(base, g) for g in D4.elements]).amax(dim=0)  # each image has all of D4
    assert lesson.library_hits(D4, 1, every, coins, knows) == 25  # it always says False


def test_the_chance_of_hits():
    assert lesson.chance(0, 10) == pytest.approx(1) and lesson.chance(10, 10) == pytest.approx(2**-10)
    assert lesson.chance(9, 10) == pytest.approx(11 * 2**-10)


@pytest.fixture(scope="module")
def measured(worlds):
    some = {name: worlds[name] for name in ("scenes", "storms")}
    live = lesson.which_copy(some, 0, epochs=9)
    live.wait()
    return live, some


def test_what_the_network_tells(measured):
    live, some = measured
    tables = [lesson.coin_table(live, some, own, 0) for own in (lambda *given: None, lesson.library_hits)]
    assert tables[0] == tables[1]
    [found] = {
        tuple(lesson.symmetries(tables[0], own).items())
        for own in (lambda *given: None, lesson.library_symmetry)
    }
    assert dict(found) == {name: lesson.SYMMETRY[name] for name in some}
    assert tables[0]._repr_html_().count(" told") == 6 + 4


def test_the_price_of_a_symmetry():
    rows = lesson.prices({"upright": (0,), "all": D4.elements})
    assert next(iter(rows)) == "upright: e"
    upright, every = rows.values()
    assert upright["rotation, at best"] == 1 and upright["jigsaw, left"] == upright["jigsaw, trivial"] == 0
    assert every["rotation, at best"] == 1 / 8
    assert 0 == every["jigsaw, conjugation"] < every["jigsaw, trivial"] < every["jigsaw, left"]


def test_wrong_questions_are_answered_by_sentences(place):
    questions = lesson.ask_wrongly(place)
    for state in questions.frozen_states():
        questions.set_state(**state)
        assert "Error" in questions.readout and " must " in questions.readout
        assert str(place) not in questions.readout


def test_pictures_are_shown_before_and_after(worlds):
    game = lesson.be_the_network(worlds)
    states = game.frozen_states()
    assert len(states) == 4 * 7
    game.set_state(**states[-1])
    assert game.values["html"].count("<img") == 10
    assert len(lesson.show(worlds).data) == 36


def test_coloured_pictures_of_ones_own_are_taken_along():
    sets = {
        part: load_colour(count, seed) for seed, (part, count) in enumerate({"train": 64, "test": 20}.items())
    }
    live = lesson.which_copy({"mine": sets}, 0, epochs=1)
    live.wait()
    table = lesson.coin_table(live, {"mine": sets}, lesson.library_hits, 0)
    assert all(0 <= p <= 1 for p in table["mine"].values())
    assert len(lesson.show({"mine": sets}).data) == 9
    assert "<img" in lesson.be_the_network({"mine": sets}).values["html"]


def load_colour(count, seed):
    from eqssl_edu.data import ImageSet

    return ImageSet(torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(seed)), None)


def test_a_stopped_run_goes_on(worlds, tmp_path):
    images = worlds["storms"]["train"].images[:128]
    assert verify(JigsawTask(cyclic(4), 2), images[:4]).ok
    first = lesson.jigsaw_run(images, 0, folder=tmp_path / "run")
    lesson.stopped_at(5, first)
    assert first.step == 5
    later, never = (
        lesson.jigsaw_run(images, 0, folder=tmp_path / "run", resume=True),
        lesson.jigsaw_run(images, 0),
    )
    for run in (later, never):
        lesson.stopped_at(run.total_steps, run)
    assert later.step == never.step == 12
    if later.device.startswith("CPU"):
        assert lesson.largest_difference(later, never) == 0 < lesson.largest_difference(later, first)


def test_the_commands_of_the_page_are_commands():
    pytest.importorskip("jsonargparse")
    from eqssl_edu.command.shell import _parsers

    page = Path(__file__).parents[2] / "notebooks" / "source" / "12_your_own_data.py"
    lines = re.findall(r"^# python -m eqssl_edu (.*)$", page.read_text("utf-8"), re.MULTILINE)
    assert len(lines) == 2
    parser, _ = _parsers()
    for line in lines:
        chosen = parser.parse_args(line.partition("#")[0].split())
        assert chosen.command in ("pretrain", "evaluate")
