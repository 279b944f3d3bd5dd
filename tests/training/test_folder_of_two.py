"""Two processes and one folder: one writes, both read, and both hear what went wrong."""

import torch
from scripts import run_script

SCRIPT = """
    import sys
    from pathlib import Path
    import torch
    from trainings import images, pretrainer

    def run(folder, **changes):
        how = {"epochs": 70, "batch_size": 16, "devices": 2, "strategy": "ddp", "checkpoint_every": 5}
        return pretrainer(images=images(48), folder=folder, **how, **changes)

    if __name__ == "__main__":
        torch.set_num_threads(1)
        place = Path(sys.argv[1])
        whole, cut = run(place / "whole"), run(place / "cut")
        whole.fit()
        steps = cut.steps()
        for _ in range(8):
            next(steps)
        steps.close()
        again = run(place / "cut", resume=True)
        stood = again.step
        again.fit()
        try:
            run(place / "cut")
            words = "nothing"
        except ValueError as problem:
            words = str(problem)
        losses = [[record["loss"] for record in each.history] for each in (whole, again)]
        ends = [each.model.state_dict() for each in (whole, again)]
        rank = whole.fabric.global_rank
        torch.save({"stood": stood, "losses": losses, "ends": ends, "words": words}, place / f"said.{rank}")
"""


def test_one_process_writes_and_both_go_on(tmp_path):
    run_script(tmp_path, SCRIPT, tmp_path)
    for rank in range(2):
        said = torch.load(tmp_path / f"said.{rank}", weights_only=True)
        whole, again = said["losses"]
        assert said["stood"] == 5 and whole == again
        for name, value in said["ends"][0].items():
            if rank == 0 or "running" not in name:  # statistics of the first process are those that count
                assert torch.equal(value, said["ends"][1][name]), name
        assert said["words"].startswith("folder must hold no run yet")
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == [
        "run.json",
        "run.lock",
        "step-210.safetensors",
    ]
