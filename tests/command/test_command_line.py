"""The command line: what is said wrongly ends in one sentence, a YAML file says the same, a run can be stopped."""

import csv
import json
import signal

import pytest
import yaml

from eqssl_edu.command import open_run, shell
from eqssl_edu.command.shell import main
from eqssl_edu.pretext import PretextModel

TINY = ["--data", "digits", "--limit", "64", "--epochs", "2", "--channels", "[2,3]", "--accelerator", "cpu"]


def ended(words, capsys):
    """(exit code, stdout, stderr) of a command."""
    code = 0
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


WRONG = [
    ([], "command"),
    (["train"], "train"),
    (["pretrain"], "data"),
    (["pretrain", *TINY], "folder"),
    (["pretrain", *TINY, "--epoch_s", "3"], "--epoch_s"),
    (["pretrain", *TINY, "--epochs", "many"], "--epochs must be int, got 'many'"),
    (["pretrain", *TINY, "--task", "puzzle"], "--task must be one of 'rotation'"),
    (["pretrain", *TINY, "--channels", "8,16"], "--channels must be list, got '8,16'"),
    (["pretrain", *TINY, "--views.crop", "much"], "--views.crop must be float"),
    (["pretrain", *TINY, "--task", "infonce", "--views.crop", "2"], "--views.crop must be at least 0"),
    (["pretrain", *TINY, "--group", "E8"], "--group must be"),
    (["pretrain", *TINY, "--group", "C8"], "--group must map the pixel grid"),
    (["pretrain", *TINY, "--similarity", "max"], "--similarity says nothing to task rotation"),
    (["pretrain", *TINY, "--batch_size", "5000"], "--batch_size must be"),
    (["pretrain", *TINY, "--epochs", "0"], "--epochs must be at least 1, got 0"),
    (["pretrain", *TINY, "--lr", "-1"], "--lr must be above 0"),
    (["pretrain", *TINY, "--data", "no/such/folder"], "--data"),
    (["pretrain", *TINY, "--size", "4"], "--size"),
    (
        ["pretrain", *TINY, "--schedule", "linear"],
        "--schedule must be one of 'cosine', 'constant', got 'linear'",
    ),
    (["pretrain", *TINY, "--logger", "paper"], "--logger must be one of 'csv', 'tensorboard', got 'paper'"),
    (["pretrain", *TINY, "--image", "[1,8,8]"], "--image must be the shape of the images"),
    (["pretrain", *TINY, "--accelerator", "abacus"], "--accelerator"),
    (["pretrain", *TINY, "--config", "no.yaml"], "--config: File does not exist"),
    (["evaluate"], "run"),
    (["evaluate", "no/run"], "RUN must hold a run"),
    (["export", "no/run"], "RUN must hold a run"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_wrong_is_one_sentence_with_the_option(words, said, capsys, tmp_path):
    if words[:1] == ["pretrain"] and said != "folder" and len(words) > 1:
        words = [*words, "--folder", tmp_path / "run"]
    code, out, err = ended(words, capsys)
    assert code == 2 and said in err, err
    assert (
        err.count("\n") == 1 and err.startswith("python -m eqssl_edu") and "Traceback" not in err and not out
    )


@pytest.mark.parametrize("command", ["pretrain", "evaluate", "export"])
def test_help_ends_with_examples_that_parse(command, capsys, tmp_path, monkeypatch):
    code, out, _ = ended([command, "--help"], capsys)
    assert code == 0
    examples = [line.strip() for line in out.partition("examples:\n")[2].splitlines() if line.strip()]
    assert len(examples) >= 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/one/config.yaml").write_text("data: digits\nfolder: runs/one\n")
    parser, _ = shell._parsers()
    for line in examples:
        words = line.split()
        assert words[:3] == ["python", "-m", "eqssl_edu"]
        assert parser.parse_args(words[3:]).command == command


def logged(folder, version):
    """The readings that a run has written for a spreadsheet."""
    with open(folder / f"csv/version_{version}/metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_a_stopped_run_says_how_it_goes_on_and_does(capsys, tmp_path, monkeypatch):
    """Stopped after step 3 and resumed, it ends as one that was not, bit for bit."""
    step, calls = PretextModel.training_step, []

    def training_step(model, *arguments):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGTERM)
        return step(model, *arguments)

    words = ["pretrain", *TINY, "--batch_size", "8", "--logger", "csv", "--folder"]
    assert ended([*words, tmp_path / "whole"], capsys)[0] == 0
    monkeypatch.setattr(PretextModel, "training_step", training_step)
    before = signal.getsignal(signal.SIGTERM)
    code, _, err = ended([*words, tmp_path / "cut"], capsys)
    assert code == 143 and signal.getsignal(signal.SIGTERM) is before
    last = err.splitlines()[-1]
    assert "stopped by SIGTERM after step 3 of 16" in last and "--resume" in last
    # Without --resume nothing is overwritten.
    code, _, err = ended([*words, tmp_path / "cut"], capsys)
    assert code == 2 and "--folder must hold no run yet" in err and "--resume goes on with it" in err
    # The file that the run has written says the same as the options.
    code, out, _ = ended(["pretrain", "--config", tmp_path / "cut/config.yaml", "--resume"], capsys)
    assert code == 0 and "16 steps" in out and len(calls) == 16
    whole, cut = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("whole", "cut"))
    assert [r["loss"] for r in whole["history"]] == [r["loss"] for r in cut["history"]]
    assert whole["tensors"]["checksum"] == cut["tensors"]["checksum"]
    assert logged(tmp_path / "cut", 0) + logged(tmp_path / "cut", 1) == cut["history"]


def test_a_yaml_file_holds_the_same(capsys, tmp_path):
    words = ["pretrain", *TINY, "--task", "jigsaw", "--group", "D4", "--folder", tmp_path / "run"]
    _, printed, _ = ended([*words, "--print_config"], capsys)
    (tmp_path / "run.yaml").write_text(printed)
    assert ended(["pretrain", "--config", tmp_path / "run.yaml", "--print_config"], capsys)[1] == printed
    assert ended(["pretrain", "--config", tmp_path / "run.yaml"], capsys)[0] == 0
    kept = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    told = yaml.safe_load(printed)
    assert {key: told[key] for key in kept if key != "image"} == {
        k: v for k, v in kept.items() if k != "image"
    }
    run = open_run(tmp_path / "run")
    assert run.image == (1, 16, 16) and run.step == 2 and run.encoder.group.name == "D4"


def test_schedule_and_logger_reach_the_run(capsys, tmp_path):
    words = ["pretrain", *TINY, "--folder"]
    assert ended([*words, tmp_path / "cosine", "--logger", "tensorboard"], capsys)[0] == 0
    options = ["--schedule", "constant", "--logger", "csv"]
    assert ended([*words, tmp_path / "constant", *options], capsys)[0] == 0
    cosine, constant = (
        json.loads((tmp_path / name / "run.json").read_text()) for name in ("cosine", "constant")
    )
    assert (
        set(constant["settings"]["schedule"].split()) == {"1"} != set(cosine["settings"]["schedule"].split())
    )
    assert logged(tmp_path / "constant", 0) == constant["history"] and len(constant["history"]) == 2
    assert len(list((tmp_path / "cosine").glob("tensorboard/version_0/events*"))) == 1


def test_a_logger_that_is_not_installed_is_told_in_a_sentence(capsys, tmp_path, monkeypatch):
    for name in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(f"lightning_fabric.loggers.tensorboard.{name}", False)
    words = ["pretrain", *TINY, "--logger", "tensorboard", "--folder", tmp_path / "run"]
    code, _, err = ended(words, capsys)
    assert code == 2 and err.count("\n") == 1 and "tensorboardX" in err
    assert not (tmp_path / "run").exists()


def test_numbers_that_become_infinite_end_the_run_in_a_sentence(capsys, tmp_path):
    code, _, err = ended(["pretrain", *TINY, "--lr", "1e30", "--folder", tmp_path / "run"], capsys)
    assert code == 1 and "became infinite or nan" in err and "Traceback" not in err
