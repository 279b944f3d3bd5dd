"""A run's folder alone is enough to judge the encoder and to export it."""

import json

import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from test_command_line import TINY, ended

from eqssl_edu.command import export as exporting
from eqssl_edu.command import open_run
from eqssl_edu.command.plain import PlainEncoder
from eqssl_edu.command.shell import main
from eqssl_edu.data import digits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that has hardly learned anything."""
    place = tmp_path_factory.mktemp("runs") / "one"
    main(["pretrain", *TINY, "--folder", str(place)])
    return place


def test_an_encoder_comes_back_with_its_weights(folder):
    run = open_run(folder)
    images = digits(16).test.images[:8]
    assert not run.encoder.training and run.image == (1, 16, 16)
    with torch.no_grad():
        assert not torch.equal(run.encoder(images), run.untrained(0)(images))
        assert torch.equal(run.untrained(5)(images), run.untrained(5)(images))


def test_probes_stand_beside_those_of_an_untrained_network(folder, capsys):
    code, out, _ = ended(["evaluate", folder, "--limit", "200"], capsys)
    assert code == 0
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["images"] == {"train": 200, "validation": 200, "test": 300} and found["step"] == 2
    for name in ("trained", "untrained"):
        for probe in found[name].values():
            assert 0.1 < probe["worst"] <= probe["mean"] <= probe["upright"] + 1e-9 <= 1
        # Its pooled features do not turn, so no orientation is worse than another.
        assert found[name]["linear"]["worst"] == pytest.approx(found[name]["linear"]["upright"], abs=0.01)
        row = next(line for line in out.splitlines() if line.startswith(name))
        assert f"{found[name]['knn']['mean']:.3f}" in row.split()
    assert found["trained"] != found["untrained"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluate", "--data", "no-such-file.parquet"], "--data"),
        (["export", "--to", "model.pt"], "--to must end in .onnx or .safetensors, got 'model.pt'"),
        (["export", "--to", "no/folder/model.onnx"], "--to must lie in a folder that is there"),
    ],
)
def test_what_cannot_be_is_refused(folder, capsys, words, said):
    code, _, err = ended([words[0], folder, *words[1:]], capsys)
    assert code == 2 and said in err and err.count("\n") == 1


def test_a_file_of_weights_holds_plain_convolutions(folder, tmp_path, capsys):
    code, out, _ = ended(["export", folder, "--to", tmp_path / "a.safetensors"], capsys)
    assert code == 0 and "differs from the run by" in out
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert "Conv2d(1, 8, kernel_size=(3, 3)" in file.metadata()["layers"]
        assert {tuple(file.get_tensor(name).shape) for name in file.keys()} >= {(8, 1, 3, 3), (12, 8, 3, 3)}  # noqa: SIM118


def test_onnx_gives_the_same_features_for_any_number_of_images(folder, tmp_path, capsys):
    code, out, _ = ended(["export", folder, "--to", tmp_path / "a.onnx"], capsys)
    assert (
        code == 0 and "differs from the run by" in out and [p.name for p in tmp_path.iterdir()] == ["a.onnx"]
    )
    steps = {node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node}
    assert steps == {"Conv", "Relu", "AveragePool", "ReduceMean", "Reshape"}
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    for count in (1, 7):
        images = digits(16).test.images[:count]
        with torch.no_grad():
            wanted = open_run(folder).encoder(images)
        (features,) = session.run(None, {"images": images.numpy()})
        assert (torch.from_numpy(features) - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_a_file_that_differs_is_not_kept(folder, tmp_path, capsys, monkeypatch):
    class Wrong(PlainEncoder):
        def forward(self, images):
            return super().forward(images) * 1.001

    monkeypatch.setattr(exporting, "PlainEncoder", Wrong)
    code, _, err = ended(["export", folder, "--to", tmp_path / "a.safetensors"], capsys)
    assert code == 2 and "nothing was written" in err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["missing", "words", "another network"])
def test_a_folder_that_is_not_whole_is_refused(folder, tmp_path, damage):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = tmp_path / "config.yaml"
    if damage == "missing":
        config.unlink()
    else:
        text = config.read_text().replace("- 3\n", "- 4\n") if damage == "another network" else "a: [1"
        config.write_text(text)
    with pytest.raises(ValueError, match=r"^folder must hold"):
        open_run(tmp_path)
