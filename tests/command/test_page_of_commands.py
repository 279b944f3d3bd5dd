"""The commands of docs/command.md are what they say: all of them parse, and run with a tiny budget."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_command_line import ended

from eqssl_edu.command import shell

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/command.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", "")
COMMANDS = re.findall(r"^.*\bpython -m (?:torch.distributed.run .*-m )?eqssl_edu .*$", BLOCKS, re.MULTILINE)
BUDGET = "--limit 64 --epochs 1 --batch_size 32 --accelerator cpu"


def words_of(line):
    """What follows the program's name."""
    return [word.strip('"') for word in line.partition("eqssl_edu ")[2].split()]


def test_the_page_has_commands():
    assert len(COMMANDS) == 17 and {words_of(line)[0] for line in COMMANDS} == {
        "pretrain",
        "evaluate",
        "export",
    }
    assert {"srun", "torch.distributed.run"} <= set(BLOCKS.split())


@pytest.mark.parametrize("line", COMMANDS)
def test_each_command_parses(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/one").mkdir(parents=True)
    Path("runs/one/config.yaml").write_text("data: digits\nfolder: runs/one\n")
    parser, _ = shell._parsers()
    assert parser.parse_args(words_of(line)).command == words_of(line)[0]


@pytest.mark.long
def test_each_command_runs(tmp_path, monkeypatch, capsys):
    """In the order of the page, as a reader would type them; the cluster's alone is left out."""
    monkeypatch.chdir(tmp_path)
    for line in COMMANDS:
        if line.startswith("srun"):
            continue
        budget = BUDGET.split() if " pretrain " in line else []
        if "--nproc-per-node" in line or "--devices" in line:  # processes of their own
            command = line.replace("python", sys.executable, 1).split()
            environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            subprocess.run([*command, *budget], env=environment, check=True, timeout=240)
        else:
            code, out, err = ended([*words_of(line), *budget], capsys)
            assert code == 0 and out, f"{line}: {err}"
    for name in ("angle", "resnet"):  # layers over SO(2), and shortcuts
        code, out, err = ended(["export", f"runs/{name}"], capsys)
        assert code == 0 and "encoder.onnx" in out, err
    assert {"one", "two", "both", "torchrun"} <= {path.name for path in Path("runs").iterdir()}
