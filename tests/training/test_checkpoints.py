"""A run's folder: what it holds, what goes on from it, and every folder that is refused in a sentence."""

import errno
import json
import math
import os
import threading

import pytest
import safetensors.torch
import torch
from torch import nn
from trainings import TinyTask, images, pretrainer, same

from eqssl_edu.contrastive import BYOL, ContrastiveModel, MoCo
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.training import Pretrainer, checkpoints, run_files
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import LiveTraining

EVERY = 3


def kept(folder, model=None, **changes):
    return pretrainer(model, folder=folder, **{"checkpoint_every": EVERY} | changes)


def advanced(run, count):
    """A run after so many steps, left as a kill would leave it: it writes nothing any more."""
    steps = run.steps()
    for _ in range(count):
        next(steps)
    run._checkpoints.leave = lambda run: None
    steps.close()
    return run


def document(folder):
    return json.loads((folder / "run.json").read_text(), parse_constant=pytest.fail)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def results(run):
    """What must be equal of two runs: all but the seconds."""
    return [(r["step"], r["epoch"], r["loss"], r["accuracy"]) for r in run.history]


def test_a_folder_holds_two_plain_files(tmp_path):
    run = kept(tmp_path / "deep" / "run")
    run.fit()
    assert names(run._checkpoints.folder) == ["run.json", "run.lock", "step-16.safetensors"]
    said = document(tmp_path / "deep" / "run")
    assert said["format"] == 1 and said["step"] == said["total_steps"] == 16
    assert said["history"] == run.history and said["settings"]["seed"] == 5
    tensors = safetensors.torch.load_file(tmp_path / "deep" / "run" / said["tensors"]["file"])
    for name, value in run.model.state_dict().items():
        assert torch.equal(tensors[f"model.{name}"], value)


@pytest.mark.parametrize(("cut", "found"), [(0, None), (1, 0), (4, 3), (7, 6), (16, 16)])
def test_a_run_goes_on_from_its_last_checkpoint_bit_for_bit(tmp_path, cut, found):
    whole = pretrainer()
    whole.fit()
    advanced(kept(tmp_path), cut)
    second = kept(tmp_path, resume=True)
    assert second.step == (found or 0) and ("run.json" in names(tmp_path)) == (found is not None)
    second.fit()
    assert same(second.model.state_dict(), whole.model.state_dict()) and results(second) == results(whole)
    assert document(tmp_path)["step"] == 16 and len(names(tmp_path)) == 3


def test_without_the_averages_it_would_differ(tmp_path):
    """The must-fail twin."""
    whole = pretrainer()
    whole.fit()
    advanced(kept(tmp_path), 7)
    said = document(tmp_path)
    path = tmp_path / said["tensors"]["file"]
    tensors = {
        name: value * ("exp_avg" not in name) for name, value in safetensors.torch.load_file(path).items()
    }
    data = safetensors.torch.save(tensors)
    path.write_bytes(data)
    said["tensors"] |= {"bytes": len(data), "checksum": run_files.checksum(data)}
    (tmp_path / "run.json").write_text(json.dumps(said))
    second = kept(tmp_path, resume=True)
    second.fit()
    assert not same(second.model.state_dict(), whole.model.state_dict())


def test_a_run_that_is_stopped_is_written_as_it_stands(tmp_path):
    stop = threading.Event()

    class Stops(TinyTask):
        def training_step(self, images, generator):
            if len(self.seen) == 4:
                stop.set()
            return super().training_step(images, generator)

    kept(tmp_path, Stops()).fit(stop)
    assert document(tmp_path)["step"] == 5
    live = LiveTraining({"a": kept(tmp_path, Stops(), resume=True)})
    live.wait()
    assert document(tmp_path)["step"] == 16


def test_an_epoch_is_the_usual_distance(tmp_path):
    advanced(pretrainer(folder=tmp_path), 7)
    assert document(tmp_path)["step"] == 4


def test_a_path_goes_on_from_there(tmp_path):
    advanced(kept(tmp_path / "a"), 7)
    before = (tmp_path / "a" / "run.json").read_bytes()
    other = kept(tmp_path / "b", resume=str(tmp_path / "a"))
    assert other.step == 6
    other.fit()
    assert document(tmp_path / "b")["step"] == 16 and (tmp_path / "a" / "run.json").read_bytes() == before
    pretrainer(resume=tmp_path / "a").fit()
    assert document(tmp_path / "a")["step"] == 16
    with pytest.raises(ValueError, match=r"^folder must hold a run, .*/c holds no run.json but nothing"):
        kept(tmp_path / "b2", resume=tmp_path / "c")


@pytest.mark.parametrize("family", [BYOL, MoCo])
def test_a_checkpoint_holds_the_slow_copy_and_the_queue(tmp_path, family):
    def run(**changes):
        torch.manual_seed(0)
        loss = BYOL(cyclic(4)) if family is BYOL else MoCo(cyclic(4), size=24)
        model = ContrastiveModel(GroupCNN(cyclic(4), channels=(3, 4)), loss, RandomView(cyclic(4)))
        pictures = torch.rand(24, 1, 12, 12, generator=torch.Generator().manual_seed(1))
        return Pretrainer(model, pictures, epochs=3, batch_size=8, accelerator="cpu", **changes)

    whole = run()
    whole.fit()
    advanced(run(folder=tmp_path, checkpoint_every=2), 5)
    tensors = safetensors.torch.load_file(tmp_path / "step-4.safetensors")
    assert any(name.startswith("model.target.") for name in tensors)
    assert ("model.loss.queue" in tensors) == (family is MoCo)
    second = run(folder=tmp_path, resume=True)
    assert second.step == 4
    second.fit()
    assert same(second.model.state_dict(), whole.model.state_dict())


# -- killed while it writes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
@pytest.mark.parametrize("late", [False, True], ids=["before the move", "after the move"])
def test_a_process_that_dies_in_the_middle_of_a_write_leaves_a_run(tmp_path, monkeypatch, dies_at, late):
    """Of two checkpoints, each a file of tensors and a run.json: any of the four is the last that is written."""
    whole = pretrainer()
    whole.fit()
    replace, calls = os.replace, []

    def dies(*paths):
        calls.append(paths)
        if len(calls) == dies_at:
            if late:
                replace(*paths)
            raise KeyboardInterrupt
        replace(*paths)

    with monkeypatch.context() as patched:
        patched.setattr(run_files.os, "replace", dies)
        patched.setattr(run_files.Path, "unlink", lambda *_, **__: None)  # nobody tidies up behind a kill
        with pytest.raises(KeyboardInterrupt):
            kept(tmp_path).fit()
    assert late or any(name.endswith(".tmp") for name in names(tmp_path))
    second = kept(tmp_path, resume=True)
    assert second.step == (3 if dies_at == 4 and late else 0)
    assert not any(name.endswith(".tmp") for name in names(tmp_path))
    second.fit()
    assert same(second.model.state_dict(), whole.model.state_dict())
    assert names(tmp_path) == ["run.json", "run.lock", "step-16.safetensors"]


# -- folders that are refused, and stay usable ----------------------------------------------------------------------


def spoiled(folder):
    """Name -> (what it does to a folder with a run at step 6, the words of the refusal)."""
    said = document(folder)
    file = folder / said["tensors"]["file"]

    def write(**changes):
        (folder / "run.json").write_text(json.dumps(said | changes))

    def tensors(**changes):
        data = safetensors.torch.save(safetensors.torch.load_file(file) | changes)
        file.write_bytes(data)
        write(tensors=said["tensors"] | {"bytes": len(data), "checksum": run_files.checksum(data)})

    weight = safetensors.torch.load_file(file)["model.linear.weight"]
    return {
        "truncated": (
            lambda: os.truncate(file, 100),
            r"step-6\.safetensors has 100 bytes and should have \d+",
        ),
        "a changed byte": (
            lambda: file.write_bytes(file.read_bytes()[:-1] + b"?"),
            "its checksum differs",
        ),
        "no tensors": (file.unlink, r"step-6\.safetensors cannot be read \(No such file"),
        "another format": (lambda: write(format=2), "in format 1, .* holds one in format 2"),
        "of something else": (lambda: (folder / "run.json").write_text('{"scripts": {}}'), "names no format"),
        "no JSON": (lambda: (folder / "run.json").write_text('{"format": 1'), "is no JSON"),
        "not a number": (
            lambda: (folder / "run.json").write_text('{"format": NaN}'),
            "NaN is no number of JSON",
        ),
        "deep": (lambda: (folder / "run.json").write_text("[" * 10**6), "is no JSON"),
        "a list": (lambda: (folder / "run.json").write_text("[]"), "names no format"),
        "a part that lacks": (lambda: write(optimizer=None), "must hold a whole run"),
        "a way out": (
            lambda: write(tensors=said["tensors"] | {"file": "../step-6.safetensors"}),
            "is no file of tensors",
        ),
        "no tensors at all": (
            lambda: (
                file.write_bytes(b"x" * 20),
                write(tensors=said["tensors"] | {"bytes": 20, "checksum": run_files.checksum(b"x" * 20)}),
            ),
            "must hold a whole run",
        ),
        "weights of nan": (
            lambda: tensors(**{"model.linear.weight": weight * math.nan}),
            r"holds another: state\['model'\]\['linear.weight'\] must hold finite",
        ),
        "a weight too many": (lambda: tensors(**{"model.more": weight}), "lacks or has beyond them: more"),
        "a step beyond": (lambda: write(step=99), r"state\['step'\] must be an integer 0 .. 16"),
    }


KINDS = [
    "truncated",
    "a changed byte",
    "no tensors",
    "another format",
    "of something else",
    "no JSON",
    "not a number",
    "deep",
    "a list",
    "a part that lacks",
    "a way out",
    "no tensors at all",
    "weights of nan",
    "a weight too many",
    "a step beyond",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("as_a_user")
def test_a_folder_that_holds_no_whole_run_is_refused_and_stays(tmp_path, kind):
    advanced(kept(tmp_path), 7)
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    ways = spoiled(tmp_path)
    assert list(ways) == KINDS
    spoil, words = ways[kind]
    spoil()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises((ValueError, OSError), match=rf"^folder .*{words}"):
        kept(tmp_path, resume=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    for path, data in whole.items():  # as out of an earlier copy of the folder
        path.write_bytes(data)
    assert kept(tmp_path, resume=True).step == 6


class Wider(TinyTask):
    """Of the same weights, another kind."""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 6}, "state has seed = 5, this run has seed = 6"),
        ({"epochs": 5}, "state has epochs = 4"),
        ({"images": images().flip(0)}, "state has pixels"),
        ({"model": Wider()}, "state has model = TinyTask, this run has model = Wider"),
    ],
)
def test_the_folder_of_another_run_is_refused(tmp_path, changes, words):
    advanced(kept(tmp_path), 7)
    with pytest.raises(ValueError, match=rf"^folder must hold this run, {tmp_path} holds another: {words}"):
        kept(tmp_path, resume=True, **changes)
    assert kept(tmp_path, resume=True).step == 6


def test_layers_that_are_frozen_make_another_run(tmp_path):
    class Twice(TinyTask):
        def __init__(self):
            super().__init__()
            self.other = nn.Linear(16, 2)

    def frozen(part):
        model = Twice()
        getattr(model, part).requires_grad_(False)
        return model

    advanced(kept(tmp_path, frozen("other")), 7)
    with pytest.raises(ValueError, match=r"must have the settings of this run"):
        kept(tmp_path, frozen("linear"), resume=True)


def test_a_run_that_begins_needs_a_free_folder(tmp_path):
    advanced(kept(tmp_path), 7)
    with pytest.raises(
        ValueError, match=r"^folder must hold no run yet, .* holds one at step 6: resume=True"
    ):
        kept(tmp_path)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "run.json").unlink()
    with pytest.raises(
        ValueError, match=r"^folder must hold a run, .* no run.json but notes.txt, run.lock, step"
    ):
        kept(tmp_path / "b", resume=tmp_path)
    kept(tmp_path).fit()  # what is no run's stays
    assert names(tmp_path) == ["notes.txt", "run.json", "run.lock", "step-16.safetensors"]


@pytest.mark.usefixtures("as_a_user")
def test_arguments_of_a_folder_are_named(tmp_path):
    for wrong in ({"resume": True}, {"checkpoint_every": 5}):
        with pytest.raises(ValueError, match=r"^folder must say where the run lives"):
            pretrainer(**wrong)
    with pytest.raises(ValueError, match=r"^checkpoint_every must be at least 1"):
        kept(tmp_path, checkpoint_every=0)
    with pytest.raises(TypeError, match=r"^folder must be a str or a PathLike, got 5"):
        kept(5)
    with pytest.raises(TypeError, match=r"^resume must be a bool or a str or a PathLike, got 1"):
        kept(tmp_path, resume=1)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=rf"^folder {tmp_path}/file: it cannot be made"):
        kept(tmp_path / "file")


class Says(TinyTask):
    """A model that has something to say beside its tensors."""

    def __init__(self, words):
        super().__init__()
        self.words = words

    def get_extra_state(self):
        return self.words

    def set_extra_state(self, words):
        self.words = words


def test_what_a_module_says_of_itself_travels_as_json(tmp_path):
    advanced(kept(tmp_path, Says({"kinds": ["a", "b"], "sizes": [1, 2.5]})), 7)
    assert document(tmp_path)["model"] == {"_extra_state": {"kinds": ["a", "b"], "sizes": [1, 2.5]}}
    again = kept(tmp_path, Says(None), resume=True)
    assert again.model.words == {"kinds": ["a", "b"], "sizes": [1, 2.5]}


@pytest.mark.parametrize("words", [object(), {1: 2}, (1, 2), math.nan, b"x"])
def test_what_no_file_can_hold_is_refused_before_the_first_step(tmp_path, words):
    with pytest.raises(
        TypeError, match=r"^model must have a state of tensors and plain JSON .* _extra_state is"
    ):
        kept(tmp_path, Says(words))
    assert names(tmp_path) == []


def test_a_mask_of_infinities_is_no_mistake(tmp_path):
    class Masked(TinyTask):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.tensor([0.0, -math.inf]))

    advanced(kept(tmp_path, Masked()), 7)
    assert kept(tmp_path, Masked(), resume=True).step == 6


def test_a_state_that_is_not_finite_is_never_written(tmp_path):
    class Explodes(TinyTask):
        def training_step(self, images, generator):
            output = super().training_step(images, generator)
            return output | {"loss": output["loss"] * (math.nan if len(self.seen) == 8 else 1.0)}

    run = kept(tmp_path, Explodes(), epochs=300, checkpoint_every=4)
    assert run.interval == 10
    with pytest.raises(
        FloatingPointError, match=r"infinite or nan after step 8; .* put back .* after step 1. .* lr"
    ):
        run.fit()
    assert run.step == 1 and document(tmp_path)["step"] == 4
    assert kept(tmp_path, epochs=300, model=Explodes(), resume=True).step == 4


# -- the disk -----------------------------------------------------------------------------------------------------


def failing(code, after):
    """os.fsync that fails as a disk does, at its call number ``after`` and later."""
    calls = []

    def fsync(_number):
        calls.append(1)
        if len(calls) >= after:
            raise OSError(code, os.strerror(code))

    return fsync


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_full_disk_leaves_the_checkpoint_before_and_the_run_goes_on(tmp_path, monkeypatch, after):
    whole = pretrainer()
    whole.fit()
    run = kept(tmp_path)
    step, left = (0, "nothing") if after < 3 else (3, "step 0")
    with monkeypatch.context() as patched:
        patched.setattr(run_files.os, "fsync", failing(errno.ENOSPC, after))
        words = (
            f"^folder {tmp_path}: step {step} cannot be written; what it held stays: {left} .No space left"
        )
        with pytest.raises(OSError, match=words):
            run.fit()
    assert not any(name.endswith(".tmp") for name in names(tmp_path))
    if after >= 3:
        assert kept(tmp_path / "other", resume=tmp_path).step == 0
    run.fit()  # there is room again
    assert same(run.model.state_dict(), whole.model.state_dict()) and document(tmp_path)["step"] == 16


def test_a_disk_that_is_full_at_the_end_is_tried_again(tmp_path, monkeypatch):
    run = kept(tmp_path, checkpoint_every=99)
    with monkeypatch.context() as patched:
        patched.setattr(run_files.os, "fsync", failing(errno.ENOSPC, 3))
        with pytest.raises(OSError, match=r"step 16 cannot be written"):
            run.fit()
    assert run.step == 16 and document(tmp_path)["step"] == 0
    run.fit()
    assert document(tmp_path)["step"] == 16


@pytest.mark.parametrize("where", ["mkdir", "lock"])
def test_a_folder_that_one_may_not_write_is_refused_at_once(tmp_path, monkeypatch, where):
    def refuses(*_arguments, **_named):
        raise PermissionError(errno.EACCES, "Permission denied")

    target = (run_files.Path, "mkdir") if where == "mkdir" else (checkpoints.FileLock, "acquire")
    monkeypatch.setattr(*target, refuses)
    with pytest.raises(PermissionError, match=rf"^folder {tmp_path}: it cannot be .* \(Permission denied\)"):
        kept(tmp_path)


def test_one_run_at_a_time_trains_in_a_folder(tmp_path):
    first, second = kept(tmp_path), kept(tmp_path)
    steps = first.steps()
    next(steps)
    for use in (second.fit, lambda: kept(tmp_path, resume=True)):
        with pytest.raises(RuntimeError, match=rf"^folder must be .* another one trains in {tmp_path} now"):
            use()
    first.fit()  # its own hands may
    steps.close()
    with pytest.raises(RuntimeError, match=rf"^folder must be .* another one has written to {tmp_path}"):
        second.fit()
    assert kept(tmp_path, resume=True).step == 16


def test_a_live_training_that_ends_frees_the_folders_of_all_its_runs(tmp_path):
    class Fails(TinyTask):
        def training_step(self, images, generator):
            if len(self.seen) == 3:
                raise KeyError("a bug")
            return super().training_step(images, generator)

    live = LiveTraining({"a": kept(tmp_path / "a", epochs=999), "b": kept(tmp_path / "b", Fails())})
    with pytest.raises(KeyError):
        live.wait()
    assert kept(tmp_path / "a", epochs=999, resume=True).step in (3, 4)


# -- curves ---------------------------------------------------------------------------------------------------------


def test_a_folder_shows_its_curves_again(tmp_path):
    run = kept(tmp_path / "a", epochs=60, checkpoint_every=99)
    run.fit()
    advanced(kept(tmp_path / "b"), 7)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    live = LiveTraining({"whole": str(tmp_path / "a"), "cut": tmp_path / "b", "new": pretrainer()})
    live.wait()
    fresh = LiveTraining({"whole": run})
    fresh.wait()
    assert live.values["runs"][0] == fresh.values["runs"][0]
    assert [shown["step"] for shown in live.values["runs"]] == [240, 6, 16]
    assert live.values["status"] == "stopped" and "cut: step 6 of 16, loss" in live.readout
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == files
    for training in (live, fresh):
        training.close()


@pytest.mark.usefixtures("as_a_user")
def test_a_folder_without_a_run_has_no_curves(tmp_path):
    with pytest.raises(ValueError, match=r"^folder must hold a run, .* holds no run.json but nothing"):
        LiveTraining({"a": tmp_path})
    advanced(kept(tmp_path), 7)
    with pytest.raises(ValueError, match=r"^readouts must be None: runs\['a'\] is a folder"):
        LiveTraining({"a": tmp_path}, readouts=lambda model: {})
    said = document(tmp_path)
    for wrong in ({"history": [{"step": 1}]}, {"interval": 0}, {"step": 99}, {"device": None}):
        (tmp_path / "run.json").write_text(json.dumps(said | wrong))
        with pytest.raises(ValueError, match=r"^folder must hold a whole run, in .* run.json errs"):
            LiveTraining({"a": tmp_path})
