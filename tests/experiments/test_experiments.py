"""Experiments: resumable, paired, and every number of a page recomputed from its raw runs."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.encoders import count_multiplications, count_parameters
from eqssl_edu.evaluation import Interval
from eqssl_edu.layers import FreeHead
from eqssl_edu.lessons import few_labels, reading_digits
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from experiments import contrastive_similarities as contrastive
from experiments import (
    does_it_pay,
    every_angle,
    jigsaw_actions,
    learned_equivariance,
    number_of_labels,
    pretraining,
    temperatures,
)
from experiments import rotation_heads as rotation
from experiments.__main__ import main, publish
from experiments.catalogue import EXPERIMENTS
from experiments.figures import Curves, Intervals, write_figure
from experiments.pages import percent, points, verdict
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings, perform

RESULTS = Path(__file__).parents[2] / "docs" / "results"
RAW_FILES = sorted((RESULTS / "raw").glob("*.json"))
CELLS = (Cell("upright", "a"), Cell("upright", "b"))


def counting(calls, fail_at=None):
    """An experiment that only counts; a "Ctrl-C" comes at the run with that number."""

    def run(cell, seed, settings):
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        calls.append((*cell, seed))
        return {"accuracy": seed + (cell.method == "b"), "curve": [1.0, 0.5]}

    drawing = Intervals("toy", {"panel": {"a": Interval(0.5, 0.4, 0.6)}}, {}, "accuracy")
    page, figure = (lambda results: str(results.seeds)), (lambda results: drawing)
    return Experiment("toy", ("digits",), 2, CELLS, run, page, figure)


# -- runs ----------------------------------------------------------------------------------------------------------


def test_a_stopped_experiment_goes_on_where_it_was(tmp_path, capsys):
    path, calls = tmp_path / "raw" / "toy.json", []
    perform(counting(calls, fail_at=3), Settings("digits", 2), 3, path)
    assert "stopped after 3 runs" in capsys.readouterr().out
    assert len(json.loads(path.read_text())["runs"]) == 3
    again = perform(counting(calls), Settings("digits", 2), 3, path)
    assert calls == [(*cell, seed) for seed in range(3) for cell in CELLS]  # each once, seed after seed
    assert json.loads(path.read_text()) == again
    perform(counting(calls), Settings("digits", 2), 4, path)  # more seeds: only the new ones
    assert len(calls) == 8


def test_runs_with_other_settings_are_not_mixed(tmp_path):
    path = tmp_path / "toy.json"
    perform(counting([]), Settings("digits", 2), 2, path)
    with pytest.raises(ValueError, match=r"--out must be a folder without other runs: .* 'epochs': 2.*: 3"):
        perform(counting([]), Settings("digits", 3), 2, path)


def test_only_complete_seeds_count(tmp_path):
    raw = perform(counting([], fail_at=3), Settings("digits", 2), 3, tmp_path / "toy.json")
    results = Results(raw, CELLS)
    assert results.seeds == [0] and results.of(CELLS[1], "accuracy") == [1]


# -- what is run ---------------------------------------------------------------------------------------------------


def short(name, cell, monkeypatch, seed=0):
    """One run on 256 images and one epoch."""
    full = pretraining.load("glyphs" if name == "temperature" else "digits")
    parts = [
        type(part)(part.images[:count], part.labels[:count])
        for part, count in zip(full, (256, 60, 40), strict=True)
    ]
    experiment = EXPERIMENTS[name]
    for module in (jigsaw_actions, rotation, temperatures):
        monkeypatch.setattr(module, "load", lambda data: type(full)(*parts))
    return experiment.run(cell, seed, Settings(experiment.data[0], 1))


@pytest.mark.parametrize(("name", "number"), [("jigsaw-actions", 5), ("rotation", 5), ("temperature", 10)])
def test_a_run_is_decided_by_its_seed(name, number, monkeypatch):
    cell = EXPERIMENTS[name].cells[number]
    torch.manual_seed(1)
    first = short(name, cell, monkeypatch)
    torch.manual_seed(2)  # the global generator plays no part
    second, other = short(name, cell, monkeypatch), short(name, cell, monkeypatch, seed=1)
    for run in (first, second, other):
        run.pop("seconds")
    assert first == second
    assert first["curve"] != other["curve"]


def test_the_temperature_with_the_best_mean_is_chosen(tmp_path, monkeypatch):
    raw = made_up(EXPERIMENTS["temperature"])
    best = {"plain": 0.5, "mean": 0.02, "max": 0.1, "soft": 0.2, "power3": 0.05}
    for run in raw["runs"]:
        method, t = run["method"].split(", ")
        run |= {"probe_upright": 0.4 + 0.1 * (float(t) == best[method]), "orbit_knn": float(t)}
    monkeypatch.setattr(temperatures, "RAW", tmp_path)
    temperatures.chosen.cache_clear()
    with pytest.raises(ValueError, match="python -m experiments temperature --data digits"):
        temperatures.chosen("digits")
    (tmp_path / "temperature.json").write_text(json.dumps(raw))
    assert temperatures.chosen("glyphs") == {cell: best[cell.method] for cell in temperatures.COMPARED}
    raw["settings"]["data"] = "glyphs-pose-even"  # where pooled features say nothing, nearest orbits choose
    (tmp_path / "temperature-glyphs-pose-even.json").write_text(json.dumps(raw))
    assert set(temperatures.chosen("glyphs-pose-even").values()) == {0.5}
    temperatures.chosen.cache_clear()


def test_the_seeds_of_the_comparison_are_not_those_that_chose_the_temperatures():
    assert EXPERIMENTS["contrastive"].first_seed == 10 > EXPERIMENTS["temperature"].first_seed


def test_seeds_begin_where_the_experiment_says(tmp_path):
    calls = []
    perform(counting(calls)._replace(first_seed=10), Settings("digits", 2), 2, tmp_path / "toy.json")
    assert [seed for _, _, seed in calls] == [10, 10, 11, 11]


def test_a_last_turn_of_the_views_does_nothing_to_a_loss_that_absorbs_it():
    def losses(method, group, steps=20):
        splits = pretraining.load("glyphs")
        encoder, projector = temperatures.untrained(splits, 0)
        views = RandomView(group, **temperatures.CHANGES)
        model = ContrastiveModel(encoder, InfoNCE(temperatures.GROUP, method, 0.2), views, projector).double()
        return [
            record["loss"]
            for record in Pretrainer(
                model, splits.train.images[:320].double(), epochs=4, batch_size=64
            ).steps()
        ]

    for method, most in (("max", 1e-10), ("mean", 1e-10)):
        turned, upright = losses(method, temperatures.GROUP), losses(method, None)
        assert max(abs(a - b) for a, b in zip(turned, upright, strict=True)) < most
    turned, upright = losses("plain", temperatures.GROUP), losses("plain", None)
    assert max(abs(a - b) for a, b in zip(turned, upright, strict=True)) > 0.1


def test_data_by_name():
    for name, classes in {"digits": 10, "glyphs": 26, "glyphs-pose": 4, "glyphs-pose-even": 4}.items():
        splits = pretraining.load(name)
        assert all(part.images.shape[1:] == (1, 16, 16) for part in splits)
        assert int(splits.train.labels.max()) + 1 == classes


@pytest.mark.parametrize(("name", "shape"), [("mnist", (28, 28)), ("cifar10", (32, 32, 3))])
def test_real_images_are_read_from_the_folder_in_the_environment(tmp_path, monkeypatch, name, shape):
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    for split, count in (("train", 12), ("test", 5)):
        pictures = torch.randint(256, (count, *shape), generator=torch.Generator().manual_seed(count))
        rows = {"image": list(pictures.to(torch.uint8).numpy()), "label": list(range(count))}
        (tmp_path / name).mkdir(exist_ok=True)
        path = tmp_path / name / f"{split}.parquet"
        datasets.Dataset.from_dict(rows, features=features).to_parquet(str(path))
    monkeypatch.setenv("EQSSL_DATA", str(tmp_path))
    pretraining.load.cache_clear()
    upright = pretraining.load(name)
    turned = pretraining.load("rotated-mnist") if name == "mnist" else None
    pretraining.load.cache_clear()
    assert [part.labels.tolist() for part in upright] == [list(range(9)), [9, 10, 11], list(range(5))]
    assert all(part.images.shape[1:] == (len(shape[2:]) * 2 + 1, 16, 16) for part in upright)
    for part, other in zip(upright, turned or (), strict=turned is not None):
        assert torch.equal(part.labels, other.labels)
        assert part.images.shape == other.images.shape
        assert not torch.equal(part.images, other.images)


def test_the_orbit_is_free_for_the_equivariant_network_alone():
    experiment = EXPERIMENTS["free-orbit"]
    good, plain = (
        experiment.run(Cell("C4", method), 0, Settings("digits", 1))
        for method in ("equivariant network", "plain CNN")
    )
    for key in ("loss_difference", "gradient_difference", "path_difference"):
        assert good[key] < 1e-10
    assert plain["gradient_difference"] > 0.05
    assert plain["path_difference"] > 0.01
    assert good["speedup"] > 1.5


def test_controls_are_matched():
    counts = {method: rotation.build(method) for method in rotation.METHODS}
    sizes = {m: sum(p.numel() for p in model.encoder.parameters()) for m, model in counts.items()}
    wanted = sizes["equivariant head"]
    for method in ("CNN, equal parameters", "symmetrised CNN"):
        assert abs(sizes[method] / wanted - 1) < 0.03
    assert sizes["CNN, equal compute"] > 3 * wanted
    assert isinstance(jigsaw_actions.build("plain CNN").head, FreeHead)
    labels = [jigsaw_actions.build(method).task.labels.permutations for method in jigsaw_actions.METHODS]
    assert len(labels[0]) == 24 and all(torch.equal(each, labels[0]) for each in labels)  # else no comparison


def test_the_networks_that_read_digits_are_matched():
    weights, products = {}, {}
    for name in reading_digits.NETWORKS:
        network = reading_digits.build(name)
        weights[name] = count_parameters(network)
        products[name] = count_multiplications(network, torch.rand(1, 1, 16, 16))
    first, equal_weights, equal_products, copies = reading_digits.NETWORKS
    for name in (equal_weights, copies):
        assert abs(weights[name] / weights[first] - 1) < 0.03
    assert abs(products[equal_products] / products[first] - 1) < 0.03
    assert abs(products[copies] / products[first] - 1) < 0.06
    assert products[first] / products[equal_weights] == pytest.approx(3.84, abs=0.01)


def test_the_lesson_ships_the_published_runs():
    shipped = Path(reading_digits.__file__).with_suffix(".json")
    assert shipped.read_bytes() == (RESULTS / "raw" / "does-it-pay.json").read_bytes()
    assert {(run["condition"], run["method"]) for run in reading_digits.runs()} == set(does_it_pay.CELLS)


def test_the_other_lesson_ships_its_published_runs_too():
    shipped = Path(few_labels.__file__).with_suffix(".json")
    assert shipped.read_bytes() == (RESULTS / "raw" / "number-of-labels.json").read_bytes()
    assert {(run["condition"], run["method"]) for run in few_labels.runs()} == set(number_of_labels.CELLS)
    letters, loaded = few_labels.letters(), pretraining.load("glyphs")
    assert all(torch.equal(part.images, other.images) for part, other in zip(letters, loaded, strict=True))


def test_turned_data_is_turned_and_upright_data_is_not():
    seen = []

    class Spy(torch.nn.Module):
        def training_step(self, images, generator):
            seen.append(images)
            return {}

    images = torch.rand(64, 1, 6, 6)
    pretraining.TurnedData(Spy(), rotation.GROUP).training_step(images, torch.Generator().manual_seed(0))
    kept = [(seen[0] == rotation.GROUP.transform(images, g)).flatten(1).all(dim=1) for g in range(4)]
    assert torch.stack(kept).any(dim=0).all()
    assert all(5 < int(share.sum()) < 30 for share in kept)


def test_floors_of_the_jigsaw_are_those_of_theory():
    floor = jigsaw_actions.floor
    for condition, method, nats, accuracy in (
        ("upright", "conjugation", 0, 1),
        ("upright", "left", 0, 1),
        ("turned", "conjugation", 0, 1),
        ("turned", "left", 1.386, 0.25),
        ("turned", "trivial", 1.040, 0.417),
        ("turned", "plain CNN", 0, 1),
    ):
        found = floor(Cell(condition, method), oriented=True)
        assert found == pytest.approx((nats, accuracy), abs=1e-3)
        assert floor(Cell("upright", method), oriented=False) == floor(Cell("turned", method), oriented=True)


def test_limits_of_rotation():
    good = Cell("upright", "equivariant head")
    assert rotation.limits(good, oriented=True) == (0.0, 1.0)
    for cell, oriented in (
        (Cell("upright", "invariant head"), True),
        (Cell("turned", "equivariant head"), True),
        (good, False),
    ):
        assert rotation.limits(cell, oriented) == pytest.approx((1.386294, 0.25), abs=1e-6)


def test_the_curve_over_the_angles_draws_the_group():
    """One short training on upright letters: what C4 knows at 0 degrees it knows at 90, exactly, and not at 45."""
    run = every_angle.run(Cell("upright alone", "C4"), 0, Settings("letters", 20))
    errors = dict(zip(every_angle.ANGLES, run["errors"], strict=True))
    assert errors[0.0] == errors[90.0] == errors[180.0] == run["error_180"]
    assert errors[45.0] > 2 * errors[0.0]


def test_built_in_equivariance_needs_no_training():
    built, plain = (
        learned_equivariance.run(Cell("1,297 images", method), 0, Settings("digits", 1))
        for method in ("untrained, built in", "untrained")
    )
    assert max(built["error"], built["law"], built["carried"]) < 1e-9
    assert min(plain["error"], plain["law"], plain["carried"]) > 0.01
    assert built["multiplications"] == plain["multiplications"]


# -- pages ---------------------------------------------------------------------------------------------------------


def made_up(experiment, seeds=3):
    """Raw runs with plausible numbers, so that every page can be tested before its experiment was run."""
    generator = torch.Generator().manual_seed(0)
    keys = "loss accuracy train_loss train_accuracy probe_upright probe_mean probe_worst orbit_knn regular_upright "
    keys += "speedup loss_difference gradient_difference path_difference upright turned swapped others "
    keys += "error range error_0 error_22.5 error_45 error_90 error_180 retrieval angle still error_of_all carried law "
    keys += "white_error turn"
    fixed = {"parameters": 1000, "multiplications": 2_000_000, "temperature": 0.2, "curve": [1.0, 0.5]}
    runs = [
        {**cell._asdict(), "seed": seed, **fixed}
        | {key: float(torch.rand((), generator=generator)) for key in keys.split()}
        for seed in range(seeds)
        for cell in experiment.cells
    ]
    head = {"name": experiment.name, "experiment": experiment.name, "machine": "none"}
    return head | {"settings": {"data": experiment.data[0], "epochs": 2}, "runs": runs}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_page_is_a_function_of_its_raw_runs(name, tmp_path):
    experiment = EXPERIMENTS[name]
    raw = made_up(experiment)
    page = experiment.page(Results(raw, experiment.cells))
    assert f"python -m experiments {name}" in page
    publish(experiment, Results(json.loads(json.dumps(raw)), experiment.cells), tmp_path)
    assert (tmp_path / f"{name}.md").read_text(encoding="utf-8") == page
    pictures = re.findall(r"!\[(.+?)\]\((.+?)\)", page, re.DOTALL)
    assert pictures
    for alt, file in pictures:
        assert len(alt) > 80  # what one would see, with its numbers
        assert (tmp_path / file).exists()
    raw["runs"][0] |= dict.fromkeys(("probe_upright", "speedup", "upright", "error"), 7.77)
    assert experiment.page(Results(raw, experiment.cells)) != page


def test_published_pages_are_what_their_raw_runs_say():
    for path in RAW_FILES:
        raw = json.loads(path.read_text(encoding="utf-8"))
        experiment = EXPERIMENTS[raw["experiment"]]
        page = experiment.page(Results(raw, experiment.cells))
        assert (RESULTS / f"{path.stem}.md").read_text(encoding="utf-8") == page, path.stem
        assert raw["name"] == path.stem and (RESULTS / f"{path.stem}.svg").exists()


def test_figures_are_svg_with_their_title_and_the_same_each_time(tmp_path):
    curves = Curves(
        "Losses", {"left": {"a": [2.0, 1.0]}, "right": {"a": [2.0, 1.5]}}, {"right": {"a": 1.2}}, 4, "nats"
    )
    bars = Intervals("Accuracy", {"left": {"a": Interval(0.5, 0.4, 0.6)}}, {"left": {"a": 0.25}}, "accuracy")
    for drawing in (curves, bars):
        write_figure(drawing, tmp_path / "1.svg")
        write_figure(drawing, tmp_path / "2.svg")
        text = (tmp_path / "1.svg").read_text()
        assert text == (tmp_path / "2.svg").read_text()
        assert drawing.title in "".join(ElementTree.fromstring(text).itertext())


def test_words_and_numbers():
    assert percent(Interval(0.8304, 0.8, 0.85)) == "83.0 [80.0, 85.0]"
    assert points(Interval(-0.012, -0.03, 0.004)) == "−1.2 [−3.0, +0.4]"
    assert verdict(Interval(-0.012, -0.03, 0.004)) == "does not separate"
    assert verdict(Interval(-0.02, -0.03, -0.01)) == "lower"
    assert verdict(Interval(0.02, 0.01, 0.03)) == "higher"


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(EXPERIMENTS, "jigsaw-actions", counting([]))
    main(["jigsaw-actions", "--seeds", "2", "--epochs", "1", "--out", str(tmp_path)])
    assert (tmp_path / "toy.md").read_text() == "[0, 1]"
    settings = json.loads((tmp_path / "raw" / "toy.json").read_text())["settings"]
    assert settings == {"data": "digits", "epochs": 1}
    for wrong, message in (
        (["jigsaw-actions", "--data", "faces"], "--data must be one of digits for toy, got 'faces'"),
        (["jigsaw-actions", "--seeds", "1"], "--seeds at least 2"),
        (["baking"], "invalid choice"),
    ):
        with pytest.raises(SystemExit):
            main(wrong)
        assert message in capsys.readouterr().err


def test_the_list_of_pages_is_complete():
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (RESULTS / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(page.name for page in RESULTS.glob("*.md") if page.name != "README.md")


@pytest.mark.parametrize("name", ["README.md", "docs/results/README.md"])
def test_links_lead_somewhere(name):
    text = RESULTS.parents[1] / name
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text.read_text(encoding="utf-8"))
    assert links and [link for link in links if not (text.parent / link).exists()] == []


def published(name, module):
    raw = json.loads((RESULTS / "raw" / f"{name}.json").read_text(encoding="utf-8"))
    return Results(raw, module.CELLS)


def readme(begin, end):
    """A part of the README on one line."""
    text = " ".join((RESULTS.parents[1] / "README.md").read_text(encoding="utf-8").split())
    return text[text.index(begin) : text.index(end)]


def test_what_the_readme_says_of_turned_views_follows_from_the_runs():
    results = published("contrastive", contrastive)
    text = readme("**Turning every view", "**The orbit is free")
    turned, upright = contrastive.PLAIN_TURNED, contrastive.PLAIN_UPRIGHT

    def ahead(cell, other):
        return results.difference(cell, other, "probe_upright")

    against = {cell.method: ahead(cell, turned) for cell in contrastive.ABSORBED}
    assert ahead(turned, upright).high < 0
    told = [-ahead(turned, upright).mean, against["max"].mean, against["power3"].mean]
    assert re.findall(r"\d+\.\d", text) == [f"{100 * value:.1f}" for value in told]
    assert [method for method, gain in against.items() if gain.low > 0] == ["max", "power3"]
    lost = [cell.method for cell in contrastive.ABSORBED if ahead(cell, upright).high < 0]
    assert lost == ["mean", "soft"] and not any(ahead(cell, upright).low > 0 for cell in contrastive.ABSORBED)


def test_what_the_readme_did_not_find_follows_from_the_runs():
    for name in ("rotation", "rotation-mnist"):
        results = published(name, rotation)
        cells = {cell.method: cell for cell in rotation.CELLS if cell.condition == "upright"}

        def against(method, key, results=results, cells=cells):
            return results.difference(cells[method], cells["equivariant head"], key)

        for plain in ("CNN, equal parameters", "CNN, equal compute"):
            assert against(plain, "probe_upright").low > 0 > against(plain, "regular_upright").high
        if name == "rotation":
            assert not against("symmetrised CNN", "accuracy").excludes_zero


def test_what_the_readme_says_of_every_angle_follows_from_the_runs():
    results = published("every-angle", every_angle)
    text = readme("**Trained upright, asked", "**A loss buys")

    def mean(condition, method, key="error"):
        return results.mean(Cell(condition, method), key).mean

    upright = [mean("upright alone", name) for name in ("SO(2)", "C8", "C4")]
    everywhere = [mean("all angles", name) for name in ("C8", "SO(2)")]
    found = [
        100 * mean(every_angle.CONTRAST, name, "retrieval")
        for name in ("SO(2), max", "C8, max", "C4, max", "CNN, plain")
    ]
    assert re.findall(r"\d+\.\d", text) == [f"{value:.1f}" for value in (*upright, *everywhere, *found)]
    assert mean("upright alone", "CNN, equal compute") == pytest.approx(90, abs=0.05)
    for condition, key, one, other in (
        ("upright alone", "error", "SO(2)", "C8"),
        ("all angles", "error", "C8", "SO(2)"),
        ("upright alone", "range", "SO(2)", "C8"),
        (every_angle.CONTRAST, "retrieval", "C8, max", "SO(2), max"),
    ):
        assert results.difference(Cell(condition, one), Cell(condition, other), key).high < 0


def test_what_the_readme_says_of_learned_actions_follows_from_the_runs():
    results = published("learned-equivariance", learned_equivariance)
    bought, missing = readme("**A loss buys", "**Not found"), readme("**Not found", "; an advantage of group")
    cells = {cell.method: cell for cell in learned_equivariance.CELLS if cell.condition == "1,297 images"}

    def percent(method, key):
        return 100 * results.mean(cells[method], key).mean

    losses = ("E-SSL", "Gram", "split", "predictor", "by contrast", "soft")
    best = min(losses, key=lambda name: percent(name, "error"))
    told = [percent(best, "error"), percent("untrained", "error"), percent(best, "carried")]
    told = [f"{told[0]:.1f}", f"{told[1]:.1f}", f"{told[2]:.0f}", f"{percent('turned', 'still'):.1f}"]
    assert re.findall(r"([\d.]+) %", bought) == told
    assert (
        max(
            percent(name, key) for name in ("built in", "untrained, built in") for key in ("error", "carried")
        )
        < 1e-9
    )
    plain = [
        name for name in cells if "built in" not in name and "parameters" not in name and name != "untrained"
    ]
    upright = [percent(name, "probe_upright") for name in plain]
    worst = [percent(name, "probe_worst") for name in plain]
    told = [f"{percent('built in', 'probe_upright'):.1f}", f"{max(upright):.0f}", f"{max(worst):.0f}"]
    assert re.findall(r"([\d.]+) %", missing) == told
    assert f"{min(upright):.0f} to" in missing and f"{min(worst):.0f} to" in missing
    for name in plain:
        assert results.difference(cells[name], cells["built in"], "probe_upright").low > 0


def test_what_notebook_06c_says_of_digits_follows_from_the_runs():
    """The probe on pretrained features does not separate from the one on random features."""
    cells = {cell.method: cell for cell in rotation.CELLS if cell.condition == "upright"}
    results = published("rotation-digits", rotation)
    for key in ("probe_upright", "regular_upright"):
        gain = results.difference(cells["equivariant head"], cells["random C4 network"], key)
        assert not gain.excludes_zero


def test_what_the_readme_says_of_the_random_encoder_follows_from_the_runs():
    results = published("contrastive", contrastive)
    gains = [
        results.difference(cell, contrastive.UNTRAINED, "orbit_knn")
        for cell in (contrastive.PLAIN_TURNED, Cell(contrastive.EITHER, "max"))
    ]
    text = readme("**A random encoder", "**At real size")
    assert re.findall(r"\d+\.\d", text) == [f"{100 * gain.mean:.1f}" for gain in gains]
    assert all(gain.low > 0 for gain in gains)
