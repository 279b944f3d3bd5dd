"""One run of the campaign: images, models, probes, the recorded step; and the whole of it, rehearsed in seconds."""

import copy
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from eqssl_edu.contrastive import orbit_similarity
from eqssl_edu.contrastive.features import unit
from eqssl_edu.data import rotated
from eqssl_edu.encoders import count_multiplications, count_parameters
from eqssl_edu.evaluation import linear_probe
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.training import Pretrainer
from experiments import temperatures
from experiments.__main__ import main
from experiments.benchmark import command, comparison, images, models, probes
from experiments.benchmark import one_run as one_run_module
from experiments.benchmark.claims import OutOfTime, finished, work
from experiments.benchmark.one_run import in_turn, one_run
from experiments.benchmark.plan import CONTROL, TIERS, Run, Tier, arms
from experiments.benchmark.published_view import PublishedView, turned_hue
from experiments.benchmark.recorded import WARM, Recorded

C4 = cyclic(4)
CPU = torch.device("cpu")
REHEARSAL = Tier(
    "cpu", 1, 1, 16, {"lr": 1e-3}, 4, (2, 4), 0, ("C4", "plain"), ("rotated-mnist", "cifar10"), known=72, judged=24
)  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small sets in the form of MNIST (PNG) and of CIFAR-10 (JPEG), in the folder that EQSSL_DATA names."""
    import datasets
    from PIL import Image

    root = tmp_path_factory.mktemp("images")
    for name, shape, kind in (("mnist", (28, 28), "png"), ("cifar10", (32, 32, 3), "jpeg")):
        (root / name).mkdir()
        for split, count in (("train", 80), ("test", 16)):
            pixels = np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)
            rows = {"image": [], "label": [row % 10 for row in range(count)]}
            for row, picture in enumerate(pixels):
                path = root / f"{name}-{split}-{row}.{kind}"
                Image.fromarray(picture).save(path)
                rows["image"].append({"bytes": path.read_bytes(), "path": None})
            features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
            table = datasets.Dataset.from_dict(rows, features=features)
            table.to_parquet(str(root / name / f"{split}.parquet"))
    return root


@pytest.fixture
def data(folder, monkeypatch):
    """The folder, named in the environment, and nothing kept of other folders."""
    monkeypatch.setenv("EQSSL_DATA", str(folder))
    for kept in (images.stored, images.is_jpeg):
        kept.cache_clear()
    yield folder
    for kept in (images.stored, images.is_jpeg):
        kept.cache_clear()


# -- images --------------------------------------------------------------------------------------------------------


def test_images_are_bytes_decoded_once_and_the_sets_do_not_meet(data, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "ROTATED", (40, 30))
    whole = Tier("whole", 1, 1, 8, {}, 4, (2,), 0, ("C4",))
    mnist, turned, cifar = (
        images.load(name, whole, tmp_path) for name in ("mnist", "rotated-mnist", "cifar10")
    )
    assert [len(part.images) for part in (mnist, turned, cifar)] == [80, 40, 80]
    assert [len(part.test_images) for part in (mnist, turned, cifar)] == [16, 30, 16]
    assert all(part.images.dtype == torch.uint8 for part in (mnist, turned, cifar))
    assert (mnist.jpeg, turned.jpeg, cifar.jpeg) == (False, False, True)
    # 14 of the digits that are not learned from are tested as well; none of those that are.
    assert turned.test_labels.tolist() == [*mnist.test_labels.tolist(), *mnist.labels[40:54].tolist()]
    angles = rotated(images.as_floats(mnist.images[:40]), 0)
    assert torch.equal(turned.images, images.as_bytes(angles))
    assert torch.equal(images.as_bytes(images.as_floats(mnist.images)), mnist.images)
    assert mnist.held == 13
    images.stored.cache_clear()
    monkeypatch.setattr(images, "load_images", lambda *_: pytest.fail("decoded a second time"))
    assert torch.equal(images.load("mnist", whole, tmp_path).images, mnist.images)


# -- models --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", [TIERS["cpu"], TIERS["long"]], ids=["cpu", "long"])
def test_networks_are_matched(tier):
    found = {network: models.encoder_of(network, tier, 3) for network in tier.networks}
    cost = {network: count_multiplications(each, torch.rand(1, 3, 32, 32)) for network, each in found.items()}
    for network, each in cost.items():
        assert abs(each / cost["C4"] - 1) < 0.09, network
    sizes = {network: count_parameters(each) for network, each in found.items()}
    assert abs(sizes["symmetrised"] / sizes["C4"] - 1) < 0.03
    assert sizes["plain"] > 3.5 * sizes["C4"]
    if tier.width:  # ResNet-18 in the form for CIFAR has 11.2 million
        assert abs(sizes["plain"] - 11.17e6) < 0.01e6


def test_temperatures_are_those_that_were_chosen_on_letters():
    chosen = temperatures.chosen("glyphs")
    for name, temperature in models.TEMPERATURES.items():
        method, *turned = name.split(", ")
        cells = [c for c in chosen if c.method == method and c.condition == (turned or [c.condition])[0]]
        assert [chosen[cell] for cell in cells] == [temperature]
    assert models.temperature_of(Run(*CONTROL, 0)) == 0.5
    assert models.temperature_of(Run("mnist", "C4", "InfoNCE soft", 0)) == 0.05


def test_a_supervised_model_finds_the_class_of_each_image():
    labels = torch.arange(10)
    with_classes = models.with_labels(torch.zeros(10, 1, 12, 12, dtype=torch.uint8), labels)
    seen = []
    encoder = models.encoder_of("C4", REHEARSAL, 1)
    model = models.Supervised(encoder, lambda pictures, _: seen.append(pictures) or pictures)
    model.head.forward = lambda features: 9 * torch.nn.functional.one_hot(labels, 10) + 0 * features.sum()
    output = model.training_step(images.as_floats(with_classes), seeded())
    assert seen[0].shape == (10, 1, 12, 12) and output["accuracy"] == 1 and output["loss"] < 0.01


def test_published_views_come_from_the_generator_and_turn_last():
    pictures = torch.rand(64, 3, 16, 16, generator=seeded(5))
    upright = PublishedView()(pictures, seeded(1))
    assert torch.equal(upright, PublishedView()(pictures, seeded(1)))
    assert not torch.equal(upright, PublishedView()(pictures, seeded(2)))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(upright, PublishedView()(pictures, seeded(1)))
    turned = PublishedView(C4)(pictures, seeded(1))
    kept = torch.stack([(C4.transform(upright, g) == turned).flatten(1).all(dim=1) for g in C4.elements])
    assert kept.any(dim=0).all() and not kept[0].all()
    assert upright.min() >= 0 and upright.max() <= 1
    grey = (upright.amax(dim=1) - upright.amin(dim=1)).flatten(1).amax(dim=1) < 1e-6
    assert 2 <= int(grey.sum()) <= 26  # a fifth of 64


def test_hues_turn_about_grey():
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    third = torch.full((1, 1, 1, 1), 2 * math.pi / 3)
    assert torch.allclose(turned_hue(red, third).flatten(), torch.tensor([0.0, 1, 0]), atol=1e-6)
    grey = torch.full((1, 3, 1, 1), 0.3)
    assert torch.allclose(turned_hue(grey, third), grey)


# -- probes --------------------------------------------------------------------------------------------------------


def blobs(count=600, width=6, seed=0):
    generator = seeded(seed)
    labels = torch.randint(4, (count,), generator=generator)
    centres = torch.randn(4, width, generator=seeded(9), dtype=torch.float64)
    return centres[labels] + 0.9 * torch.randn(count, width, generator=generator, dtype=torch.float64), labels


@pytest.mark.parametrize("dispatch", [False, True], ids=["as arrays", "as tensors, like on a GPU"])
def test_the_logistic_probe_is_scikit_learns(monkeypatch, dispatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    how = lambda _: probes.sklearn.config_context(array_api_dispatch=dispatch)  # noqa: E731
    monkeypatch.setattr(probes, "dispatched", how)
    (known, labels), held, asked = blobs(), blobs(seed=1), blobs(seed=2)
    found = probes.logistic(known, labels, held)
    wanted = linear_probe(known, labels, held, probes.STRENGTHS)
    assert isinstance(found[-1].coef_, torch.Tensor if dispatch else np.ndarray)
    assert np.allclose(np.asarray(found[-1].coef_), wanted[-1].coef_, atol=1e-6)
    assert probes.accuracy(found, *asked) == wanted.score(*(part.numpy() for part in asked))
    alone = StandardScaler().fit(known.numpy())
    by_hand = LogisticRegression(C=found[-1].C, max_iter=1000).fit(
        alone.transform(known.numpy()), labels.numpy()
    )
    assert np.allclose(np.asarray(found[-1].coef_), by_hand.coef_, atol=1e-6)


def test_the_strength_is_chosen_on_validation():
    (known, labels), (held, truth) = blobs(40, 30), blobs(200, 30, seed=1)
    scores = [
        probes.accuracy(probes.logistic(known, labels, (held, truth), [c]), held, truth)
        for c in probes.STRENGTHS
    ]
    assert (
        probes.accuracy(probes.logistic(known, labels, (held, truth)), held, truth)
        == max(scores)
        > min(scores)
    )


def test_few_labels_are_of_every_class():
    labels = torch.cat([torch.zeros(60), torch.arange(1, 10).repeat_interleave(5)]).long()
    order = in_turn(labels, 0)
    assert sorted(order.tolist()) == list(range(105))
    assert [sorted(labels[order[10 * i : 10 * i + 10]].tolist()) for i in range(5)] == 5 * [list(range(10))]
    assert not torch.equal(order, in_turn(labels, 1))


def test_projections_are_principal_components():
    known, _ = blobs()
    project = probes.projection(known, 3)
    centred = known - known.mean(dim=0)
    values = torch.linalg.svd(centred).S[:3]
    assert torch.allclose(project(known).norm(dim=0), values)
    assert probes.projection(known[:2], 5)(known).shape == (600, 2)


def test_neighbours_vote_by_their_cosines(monkeypatch):
    reference = torch.tensor([[1.0, 0], [2, 0.1], [0, 1], [0, 5], [0, 2]])
    labels = torch.tensor([0, 0, 1, 1, 1])
    assert probes.nearest(reference, labels, torch.tensor([[1.0, 0.2], [0.1, 3]])).tolist() == [0, 1]
    # Three far ones against two near ones: by weight, not by number.
    assert probes.nearest(reference, labels, torch.tensor([[1.0, 0.5]])).tolist() == [0]
    everything = torch.rand(50, 5, generator=seeded())
    classes = torch.arange(50) % 3
    whole = probes.nearest(everything, classes, everything, 7)
    monkeypatch.setattr(probes, "CHUNK", 100)
    assert torch.equal(probes.nearest(everything, classes, everything, 7), whole)


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4), cyclic(1)], ids=str)
def test_orbit_neighbours_do_not_see_a_turn_and_neighbours_of_whole_features_do(group):
    z = torch.randn(40, 3, group.order, generator=seeded(), dtype=torch.float64)
    labels = torch.arange(40)
    moved = group.transform_features(z, group.order - 1)
    assert probes.orbit_nearest(group, z, labels, moved).tolist() == labels.tolist()
    if group.order == 1:
        assert torch.equal(
            probes.orbit_nearest(group, z, labels % 3, z),
            probes.nearest(z.flatten(1), labels % 3, z.flatten(1)),
        )
    else:
        assert probes.nearest(z.flatten(1), labels, moved.flatten(1)).tolist() != labels.tolist()
    closest = orbit_similarity(group, unit(moved), unit(z), "max").argmax(dim=1)
    assert closest.tolist() == labels.tolist()


# -- the recorded step, and a device against the CPU ---------------------------------------------------------------


@pytest.mark.parametrize("method", ["rotation", "InfoNCE soft"])
def test_a_recorded_step_trains_as_one_that_is_not(method):
    model = models.build(Run("mnist", "C4", method, 0), REHEARSAL, 1)
    pictures, ends = torch.rand(24, 1, 28, 28, generator=seeded()), []
    for each in (copy.deepcopy(model), Recorded(copy.deepcopy(model))):
        trainer = Pretrainer(each, pictures, epochs=WARM, batch_size=8, lr=1e-2, accelerator="cpu")
        for _ in trainer.steps():
            pass
        ends.append((trainer.history[-1]["loss"], getattr(each, "model", each).state_dict()))
    assert ends[0][0] == ends[1][0]
    assert all(torch.equal(value, ends[1][1][name]) for name, value in ends[0][1].items())


TINY = comparison.SMALL._replace(channels=(2, 4), data=("mnist",), networks=("C4", "plain"))


def test_the_cpu_computes_what_the_cpu_computes():
    rows = list(comparison.compare(CPU, TINY))
    assert len(rows) == sum(method != "no training" for _, _, method in arms(TINY))
    assert all(max(row[1:]) < comparison.MOST for row in rows)
    assert str(rows[0]).startswith("mnist, C4, rotation: features ")


def test_a_device_that_computes_something_else_is_refused(monkeypatch):
    step = comparison.step

    def careless(model, pictures):
        features, loss, gradients = step(model, pictures)
        return features, loss, gradients * (1 if gradients.dtype == torch.float64 else 1.001)

    monkeypatch.setattr(comparison, "step", careless)
    with pytest.raises(
        ArithmeticError, match=r"cpu differs from the CPU by more than 0.0001: mnist, C4, rotation"
    ):
        list(comparison.compare(CPU, TINY))


def test_a_recording_that_fails_is_not_used(monkeypatch, capsys):
    small = TINY._replace(networks=("C4",))
    assert comparison.recording_fits(CPU, small)
    monkeypatch.setattr(comparison, "Recorded", lambda model: models.Supervised(model.encoder, None))
    assert not comparison.recording_fits(CPU, small)
    assert "no recording" in capsys.readouterr().out


# -- the whole of it -----------------------------------------------------------------------------------------------


def numbers(tmp_path, seed=0, recorded=False, method="InfoNCE max", deadline=math.inf):
    """Of a short run in a folder of its own, without its seconds."""
    found = one_run(Run("cifar10", "C4", method, seed), REHEARSAL, tmp_path, CPU, recorded, deadline)
    return {key: value for key, value in found.items() if key not in ("train_seconds", "recorded")}


def test_a_run_is_decided_by_its_seed(data, tmp_path):
    first = numbers(tmp_path / "first")
    torch.manual_seed(1)
    assert numbers(tmp_path / "recorded", recorded=True) == first
    assert numbers(tmp_path / "first", 1)["train_loss"] != first["train_loss"]


def test_a_run_that_is_cut_off_goes_on_where_it_was(data, tmp_path, monkeypatch):
    whole, calls = numbers(tmp_path / "whole"), []
    monkeypatch.setattr(one_run_module.time, "time", lambda: calls.append(1) or len(calls))
    with pytest.raises(OutOfTime):
        numbers(tmp_path / "cut", deadline=2)
    state = json.loads(next((tmp_path / "cut").rglob("run.json")).read_text())
    assert state["step"] == 2 < whole["steps"]
    calls.clear()
    assert numbers(tmp_path / "cut", deadline=3) == whole


def test_rehearsal(data, tmp_path, monkeypatch, capsys):
    """Every arm of a small tier, cut off in the middle, gone on with, and the page after each."""
    monkeypatch.setitem(TIERS, "cpu", REHEARSAL)
    monkeypatch.setattr(command.multiprocessing, "get_context", lambda _: InProcess)
    monkeypatch.setattr(one_run_module, "logistic", partial(probes.logistic, strengths=[1.0]))
    raw = tmp_path / "raw" / "benchmark" / "cpu"

    def few(runs, *how):
        return work(list(runs)[:17], *how)

    monkeypatch.setattr(command, "work", few)
    main(["benchmark", "--device", "cpu", "--out", str(tmp_path), "--processes", "1"])
    page = (tmp_path / "benchmark.md").read_text(encoding="utf-8")
    due = len(arms(REHEARSAL))
    assert len(finished(raw)) == 17 and f"17 of {due} runs of tier cpu" in capsys.readouterr().out
    assert f"**Cut off after 17 of {due} runs.**" in page and "### The prediction" in page
    monkeypatch.setattr(command, "work", work)
    main(["benchmark", "--tier", "cpu", "--device", "cpu", "--out", str(tmp_path), "--budget", "5"])
    page = (tmp_path / "benchmark.md").read_text(encoding="utf-8")
    assert len(finished(raw)) == due and f"All {due} runs are here." in page
    assert page == command.page(tmp_path / "raw" / "benchmark")
    assert "JPEG copy" in page and "### cifar10 (JPEG copy)" in page
    assert not list(raw.glob("*.part")) and not list((raw.parent / ".work" / "cpu").iterdir())
    monkeypatch.setitem(TIERS, "cpu", REHEARSAL._replace(epochs=2))
    with pytest.raises(ValueError, match="--out must be a folder without other runs"):
        main(["benchmark", "--device", "cpu", "--out", str(tmp_path)])


class InProcess:
    """A "process" that runs here: no new Python has to start."""

    class Process:
        def __init__(self, target, args):
            self.target, self.args, self.exitcode = target, args, 0

        def start(self):
            threads = torch.get_num_threads()
            self.target(*self.args)
            torch.set_num_threads(threads)

        def join(self):
            pass


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--budget", "0"], "--budget must be above 0"),
        (["--budget", "nan"], "--budget must be above 0"),
        (["--processes", "0"], "--processes at least 1"),
        (["--tier", "huge"], "invalid choice"),
    ],
)
def test_the_command_refuses(wrong, message, capsys):
    with pytest.raises(SystemExit):
        main(["benchmark", *wrong])
    assert message in capsys.readouterr().err
