"""Doors: what is meant is done, what cannot be meant is refused in a sentence that names the argument."""

import contextlib
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import make
from torch import nn

from eqssl_edu import exercises
from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.data import digits, glyphs
from eqssl_edu.data.textures import textures
from eqssl_edu.diagnostics import irrep_projectors, turn_features, turn_maps
from eqssl_edu.encoders import GroupCNN, SymmetrizedEncoder
from eqssl_edu.evaluation import linear_probe, orbit_knn_accuracy
from eqssl_edu.groups import cyclic, dihedral, random_elements, tables_on
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.plots import picture, row
from eqssl_edu.pretext import JigsawTask, PretextModel, RelativeLocationTask, RotationTask, lift_parts, verify
from eqssl_edu.theory import equivariant_floor
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import ByHand, EmbeddingExplorer, FieldExplorer, KernelExplorer
from eqssl_edu.widgets.shared import frozen_page

C4, D4 = cyclic(4), dihedral(4)
X = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Z, LABELS = X.flatten(1), torch.tensor([0, 1])
MODEL = PretextModel(GroupCNN(C4), RotationTask(C4))
pytestmark = pytest.mark.usefixtures("as_a_user")

ELEMENT = [np.int64(3), np.uint8(3), torch.tensor(3), C4.inverse[1]]


@pytest.mark.parametrize("g", ELEMENT, ids=lambda g: type(g).__name__)
def test_an_element_is_an_element_in_any_integer(g):
    assert torch.equal(C4.transform(X, g), C4.transform(X, 3))
    assert C4.degrees(g) == 270 and C4.element_name(g) == "r270" and C4.subgroup([0, 1, 2, g]) == (0, 1, 2, 3)
    labels = GSet.regular(C4)
    assert labels.act(g, torch.tensor([1])).tolist() == [0] and labels.stabilizer(g) == (0,)
    assert torch.equal(RotationTask(C4).transform(X, g), C4.transform(X, 3))
    assert RotationTask(C4, stabilizer=[0, torch.tensor(2)]).labels.size == 2
    explorer = make("OrbitCorrelationExplorer")
    explorer.set_state(first=g)
    assert explorer.state()["first"] == 3 and type(explorer.state()["first"]) is int


@pytest.mark.parametrize("n", [np.int64(4), torch.tensor(4)])
def test_sizes_in_any_integer_become_python_s(n):
    group = cyclic(n)
    assert group == C4 and type(group.order) is int
    layer = LiftingConv2d(C4, 1, n, 3)
    assert type(layer.out_channels) is int and layer(X).shape == (2, 4, 4, 6, 6)


REFUSED = [
    ("maps", lambda: C4.transform_maps(torch.rand(2, 4, 5, 4), 1)),
    ("draws", lambda: RotationTask(C4).apply(X, torch.tensor([1, 2]), torch.tensor([0, 10**12]))),
    ("draws", lambda: RotationTask(C4, (0, 2)).apply(X, torch.tensor([1, 0]), torch.tensor([0, 2]))),
    (
        "draws",
        lambda: RelativeLocationTask(C4, 2, 1, 0).apply(X, torch.tensor([1, 2]), torch.full((2, 2, 2), 2)),
    ),
    (r"len\(regularization\)", lambda: linear_probe(Z, LABELS, (Z, LABELS), [])),
    (
        "accelerator, precision and strategy",
        lambda: Pretrainer(MODEL, X, epochs=1, batch_size=2, precision="none"),
    ),
    ("group", lambda: tables_on("C4", torch.device("cpu"))),
    ("device", lambda: tables_on(C4, "cpu")),
    ("group", lambda: GroupConv2d(None, 1, 1, 3)),
    ("law", lambda: equivariant_floor([[1.0]], GSet.regular(C4), GSet.regular(C4))),
    ("group", lambda: turn_maps("C4", torch.ones(1, 1, 4, 5, 5), 90.0)),
    ("maps", lambda: turn_maps(C4, 3, 90.0)),
    ("positions", lambda: lift_parts(torch.ones(2, 4, 3, 4), None)),
    ("group", lambda: random_elements(4, X, None)),
    ("generator", lambda: random_elements(C4, X, 0)),
    ("seed", lambda: verify(RotationTask(C4), X, seed=None)),
    ("tolerance", lambda: verify(RotationTask(C4), X, tolerance=float("nan"))),
    ("names", lambda: FieldExplorer(GroupCNN(C4), torch.rand(1, 16, 16), names=3)),
    ("encoder", lambda: PretextModel(nn.Conv2d(1, 8, 3), RotationTask(C4))),
    ("encoder", lambda: ContrastiveModel(nn.Conv2d(1, 8, 3), InfoNCE(C4), RandomView())),
    ("labels", lambda: JigsawTask(C4, 2).apply(X, torch.tensor([-1, -2]))),
    ("labels", lambda: RotationTask(C4).apply(X, torch.tensor([0, 4]))),
    ("labels", lambda: RelativeLocationTask(C4, 2, 1, 0).apply(X, torch.tensor([0]))),
    ("images", lambda: GroupCNN(C4)(X.double())),
    ("images", lambda: GroupCNN(C4)((255 * X).byte())),
    ("draw", lambda: ByHand(lambda: "", n=range(3))),
    ("draw", lambda: ByHand(lambda n: n, n=range(3))),
    ("plane", lambda: picture(torch.full((3, 3), float("nan")))),
    ("pictures", lambda: row([X])),
    ("exercise", lambda: exercises.check("unknown", 1)),
    ("exercise", lambda: exercises.check(7, 1)),
    # what would never end, or fill the memory
    ("n", lambda: cyclic(10**7)),
    ("n", lambda: GSet.grid(C4, 10**6)),
    ("n", lambda: GSet.trivial(C4, 10**12)),
    ("count", lambda: GSet.jigsaw(C4, 3, min_distance=2)),
    ("count", lambda: GSet.jigsaw(C4, 3, count=300_000)),
    ("n", lambda: GSet.jigsaw(C4, 10)),
    ("group.order", lambda: irrep_projectors(cyclic(1000))),
    ("size", lambda: glyphs(size=10**5)),
    ("size", lambda: digits(10**4)),
    ("size", lambda: textures(100, 10**5, torch.Generator())),
    (".*channels", lambda: GroupCNN(C4, channels=(8, 10**12))),
    (
        "labels",
        lambda: EmbeddingExplorer(GroupCNN(C4), X.repeat(2, 1, 1, 1), torch.tensor([0, 1, 2, 10**12])),
    ),
]


@pytest.mark.parametrize(("argument", "call"), REFUSED)
def test_what_cannot_be_meant_is_refused_at_once(argument, call):
    start = time.perf_counter()
    with pytest.raises((TypeError, ValueError), match=rf"^{argument} must"):
        call()
    assert time.perf_counter() - start < 10


def test_a_symmetrised_network_answers_as_the_refusal_says():
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(288, 5))
    assert PretextModel(SymmetrizedEncoder(C4, network), RotationTask(C4))(X).shape == (2, 4)


def test_a_network_that_gives_nan_has_no_accuracy():
    model = PretextModel(GroupCNN(C4), RotationTask(C4))
    with torch.no_grad():
        model.head.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="loss of the model must be finite, got nan"):
        model.evaluate(X)


def test_large_groups_are_quick():
    assert len(dihedral(360).subgroups()) == 24 + 1170  # divisors of 360, and their sum
    assert GSet.regular(dihedral(360)).is_transitive


def test_a_class_may_have_any_number():
    z = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
    known = z, 10**12 * (torch.arange(6) % 2)
    assert orbit_knn_accuracy(C4, known, known, neighbours=1) == 1.0


# -- explorers: all or nothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel", [[1e39] * 9, [3e38] * 9, [1.0, float("nan"), *[0.0] * 7], ["x"] * 9, [1.0]]
)
def test_a_kernel_that_is_refused_leaves_the_layer(kernel):
    layer = LiftingConv2d(C4, 1, 1, 3)
    explorer, before = KernelExplorer(layer, torch.rand(1, 16, 16)), layer.weight.detach().clone()
    state = explorer.state()
    with pytest.raises((TypeError, ValueError), match=r"^kernel must"):
        explorer.set_state(kernel=kernel, row=0)
    assert torch.equal(layer.weight, before) and explorer.state() == state


def test_what_fails_while_it_is_shown_changes_nothing(monkeypatch):
    layer = LiftingConv2d(C4, 1, 1, 3)
    explorer, before = KernelExplorer(layer, torch.rand(1, 16, 16)), layer.weight.detach().clone()
    state, values = explorer.state(), explorer.values

    def broken():
        raise KeyboardInterrupt

    monkeypatch.setattr(explorer, "changed", broken)
    with pytest.raises(KeyboardInterrupt):
        explorer.set_state(row=0)
    assert (explorer.state(), explorer.values) == (state, values) and torch.equal(layer.weight, before)


@pytest.mark.parametrize("wrong", [{"angle": 400}, {"upload": {"source": "image"}}, {"upload": {"side": 7}}])
def test_an_upload_that_is_refused_is_not_taken(wrong):
    explorer = FieldExplorer(GroupCNN(C4), torch.rand(1, 16, 16))
    image, state = explorer.sources.get("image", 0).image, explorer.state()
    upload = {
        "source": "file",
        "side": 8,
        "channels": 1,
        "name": "a",
        "size": [8, 8],
        **wrong.get("upload", {}),
    }
    changes = {**wrong, "upload": upload}
    with contextlib.suppress(ValueError):  # raised as well, where the tests want it
        explorer.receive({"token": "1", "changes": changes}, [memoryview(bytes(64))])
    assert "must" in explorer.error and explorer.state() == state
    assert explorer.sources.count("file") == 0 and explorer.sources.get("image", 0).image is image


# -- pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["gone/page.html", "page.txt", "folder.html", 3, None])
def test_a_page_looks_at_its_path_first(tmp_path, monkeypatch, path):
    (tmp_path / "folder.html").mkdir()
    monkeypatch.chdir(tmp_path)
    explorer = make("ExactnessLab")
    monkeypatch.setattr(
        explorer, "frozen_states", lambda: pytest.fail("computed before the path was looked at")
    )
    with pytest.raises((TypeError, ValueError), match=r"^path must"):
        explorer.to_html(path)


def test_a_page_that_is_interrupted_leaves_the_older_one(tmp_path, monkeypatch, capsys):
    lab, path = make("ExactnessLab"), tmp_path / "lab.html"
    monkeypatch.setattr(lab, "frozen_states", lambda: [{"size": size} for size in (16, 17)])
    assert lab.to_html(os.fspath(path)) == path
    older, shown = path.read_text("utf-8"), lab.frozen
    assert "lab.html" in capsys.readouterr().err  # the progress

    def interrupted(state):
        if state["size"] == 17:
            raise KeyboardInterrupt
        return shown(state)

    monkeypatch.setattr(lab, "frozen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lab.to_html(path)
    assert path.read_text("utf-8") == older and os.listdir(tmp_path) == ["lab.html"]


def test_a_page_of_a_million_states_is_refused_before_it_starts(tmp_path):
    drawn = ByHand(lambda a, b: "", a=range(1000), b=range(1000))
    with pytest.raises(ValueError, match=r"at most 10,000 states, got 1,000,000 of a, b"):
        drawn.to_html(tmp_path / "page.html")
    assert frozen_page.product_of(a=range(100), b=range(100))[-1] == {"a": 99, "b": 99}


SCRIPT = "<script>alert(1)</script>"


def test_text_is_text(tmp_path):
    shown = row([picture(X[0, 0], SCRIPT)], f"{SCRIPT} <b>bold</b><br>$x$ <img src=x onerror=alert(1)>")
    assert "<script" not in shown and "<img src=x" not in shown
    assert "<b>bold</b><br>$x$" in shown and "&lt;script&gt;" in shown
    explorer = EmbeddingExplorer(
        GroupCNN(C4), X.repeat(2, 1, 1, 1), torch.tensor([0, 1, 1, 1]), ["a", SCRIPT]
    )
    explorer.set_state(image=1)
    page = explorer.to_html(tmp_path / "page.html", title=SCRIPT).read_text("utf-8")
    assert SCRIPT not in page and page.count("<script") == 2 and "&lt;script&gt;" in page


def test_no_script_of_an_explorer_makes_html_of_names():
    folder = Path(frozen_page.__file__).parents[1]
    makers = "innerHTML|outerHTML|insertAdjacentHTML|document\\.write"
    found = {path.stem for path in folder.rglob("*.js") if re.search(makers, path.read_text("utf-8"))}
    assert found == {"by_hand"}  # a drawing of one's own is HTML


# -- exercises -------------------------------------------------------------------------------------------------


def endless(*arguments):
    return endless(*arguments)


def leaves(*arguments):
    raise SystemExit


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError


def unspeakable(*arguments):
    raise Unspeakable


@pytest.mark.parametrize(
    "answer", [endless, leaves, unspeakable, lambda: 0, lambda k: k.zero_(), int, object(), "x"]
)
def test_no_wrong_answer_is_right_in_any_habit_of_a_grader(answer):
    verdict = exercises.check("00.similarity", answer)
    assert not verdict and bool(verdict) is False and verdict.ok is False and verdict != True  # noqa: E712
    assert [exercise for exercise in ["00.similarity"] if verdict] == []
    with pytest.raises(AssertionError):
        assert exercises.check("00.similarity", answer)


def test_a_batch_of_none_stays_one():
    assert RandomView(C4)(X[:0]).shape == (0, 1, 8, 8)
    assert turn_features(C4, torch.ones(0, 3, 4), 20.0).shape == (0, 3, 4)
