"""Where the images come from: floats, bytes, a Dataset, a DataLoader, a stream; the same checks for all of them."""

import math

import datasets
import pytest
import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torch.utils.data.distributed import DistributedSampler
from trainings import TinyTask, pretrainer, same

from eqssl_edu.training.batches import LoadedBatches, batches_of

BYTES = torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
FLOATS = BYTES.float() / 255


def seen(images, **changes):
    """Which images and labels a whole run saw, step by step, and the weights at its end."""
    run = pretrainer(images=images, **changes)
    run.fit()
    return torch.stack(run.model.seen), run.model.state_dict()


class Items(Dataset):
    """Rows as people write them: an image and more; ``changed`` may change one of them."""

    def __init__(self, images=BYTES, changed=lambda index, image: image):
        self.images, self.changed, self.asked = images, changed, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.changed(index, self.images[index]), index % 10, {"name": str(index)}


class Stream(IterableDataset):
    """Images one after the other, in another order in each epoch that it is told of."""

    def __init__(self, images=FLOATS, announced=50):
        self.images, self.announced, self.epoch = images, announced, None

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.announced

    def __iter__(self):
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(self.epoch))
        yield from self.images[order]


def shuffled(**named):
    return DataLoader(TensorDataset(FLOATS), batch_size=12, shuffle=True, drop_last=True, **named)


def noisy():
    """Rows that torch's global generator changes, in a new way each time."""
    return Items(FLOATS, lambda index, image: image + torch.rand(()))


# -- the same images, the same order ---------------------------------------------------------------------------------


def test_bytes_stay_bytes_and_train_as_their_floats_do_bit_for_bit():
    floats, end = seen(FLOATS)
    bytes_, other = seen(BYTES)
    assert torch.equal(floats, bytes_) and same(end, other)
    run = pretrainer(images=BYTES)
    assert run.images.dtype == torch.uint8
    assert run._settings() == pretrainer(images=FLOATS)._settings()
    assert run._settings() != pretrainer(images=BYTES.flip(0))._settings()


def test_every_byte_becomes_its_255th():
    fabric = Fabric(accelerator="cpu", devices=1)
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    found = batches_of(every, 1, 0, fabric).at(0)
    assert torch.equal(found.flatten(), torch.arange(256) / 255) and found.dtype == torch.float32


@pytest.mark.parametrize("rows", [Items(), Items(FLOATS), TensorDataset(FLOATS)])
def test_a_dataset_is_seen_in_the_order_of_a_tensor(rows):
    wanted, end = seen(FLOATS)
    found, other = seen(rows)
    assert torch.equal(found, wanted) and same(end, other)
    assert not torch.equal(seen(rows, seed=6)[0], wanted)


def test_a_loader_has_its_own_order():
    in_turn = DataLoader(Items(FLOATS), batch_size=12, drop_last=True)
    found, _ = seen(in_turn)
    sums = FLOATS.flatten(1).sum(1)
    assert found.shape == (16, 24)
    assert torch.equal(found[:4, :12].flatten(), sums[:48]) and torch.equal(
        found[4:8, :12].flatten(), sums[:48]
    )


def test_shuffling_follows_the_seed_and_leaves_the_global_generator():
    run = pretrainer(images=DataLoader(noisy(), batch_size=12, shuffle=True, drop_last=True))
    before = torch.get_rng_state()
    run.fit()
    assert torch.equal(torch.get_rng_state(), before)
    one, again, other = seen(shuffled()), seen(shuffled()), seen(shuffled(), seed=6)
    assert torch.equal(one[0], again[0]) and not torch.equal(one[0], other[0])
    assert not torch.equal(one[0][:4, :12], one[0][4:8, :12])  # each epoch another order
    with_its_own = [seen(shuffled(generator=torch.Generator().manual_seed(seed)))[0] for seed in (0, 1)]
    assert torch.equal(*with_its_own)


def test_a_stream_of_hugging_face_goes_through_a_loader():
    rows = [{"image": image.tolist(), "label": 0} for image in FLOATS]
    stream = (
        datasets.Dataset.from_list(rows).to_iterable_dataset(num_shards=2).shuffle(seed=0, buffer_size=20)
    )

    class Counted(IterableDataset):
        """A stream of the hub does not know its length: this one is told."""

        def __len__(self):
            return 50

        def __iter__(self):
            yield from (torch.tensor(row["image"]) for row in stream)

        def set_epoch(self, epoch):
            stream.set_epoch(epoch)

    found, _ = seen(DataLoader(Counted(), batch_size=12, drop_last=True))
    again, _ = seen(DataLoader(Counted(), batch_size=12, drop_last=True))
    assert torch.equal(found, again) and not torch.equal(found[:4, :12], found[4:8, :12])


# -- resumed ----------------------------------------------------------------------------------------------------------

SOURCES = {
    "bytes": lambda: BYTES,
    "dataset": Items,
    "dataset that draws": noisy,
    "loader": shuffled,
    "loader with a generator": lambda: shuffled(generator=torch.Generator().manual_seed(3)),
    "loader that draws": lambda: DataLoader(noisy(), batch_size=12, shuffle=True, drop_last=True),
    "loader with workers": lambda: DataLoader(
        noisy(), batch_size=12, shuffle=True, drop_last=True, num_workers=1
    ),
    "batches of its own": lambda: DataLoader(TensorDataset(FLOATS.view(5, 10, 1, 4, 4)), batch_size=None),
    "stream": lambda: DataLoader(Stream(), batch_size=12, drop_last=True),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_run_goes_on_from_the_middle_of_an_epoch_bit_for_bit(tmp_path, kind):
    size = {"batch_size": 10} if kind == "batches of its own" else {}
    wanted, end = seen(SOURCES[kind](), **size)
    first = pretrainer(images=SOURCES[kind](), folder=tmp_path, **size)
    steps = first.steps()
    for _ in range(6):
        next(steps)
    steps.close()
    second = pretrainer(images=SOURCES[kind](), folder=tmp_path, resume=True, **size)
    assert second.step == 6
    second.fit()
    assert torch.equal(torch.stack(first.model.seen + second.model.seen), wanted)
    assert same(second.model.state_dict(), end)


def test_rows_that_were_seen_are_not_loaded_again(tmp_path):
    steps = pretrainer(images=Items(), folder=tmp_path).steps()
    for _ in range(7):
        next(steps)
    steps.close()
    rows = Items()
    next(pretrainer(images=rows, folder=tmp_path, resume=True).steps())
    assert len(rows.asked) == 12


def test_a_run_that_is_put_back_sees_the_same_images_again():
    class Errs(TinyTask):
        def training_step(self, images, generator):
            output = super().training_step(images, generator)
            if len(self.seen) == 7:
                raise KeyError("a bug")
            return output

    wanted, _ = seen(shuffled(), epochs=100)
    run = pretrainer(Errs(), images=shuffled(), epochs=100)
    with pytest.raises(KeyError):
        run.fit()
    assert run.step == 4
    run.fit()
    assert torch.equal(torch.stack(run.model.seen[7:]), wanted[4:])


@pytest.mark.parametrize("other", [Items(FLOATS[:49]), DataLoader(TensorDataset(FLOATS), 12, drop_last=True)])
def test_another_kind_or_number_of_images_is_another_run(other):
    state = pretrainer(images=Items()).state_dict()
    with pytest.raises(ValueError, match=r"^state has images = Items, 50 rows, this run has images = "):
        pretrainer(images=other).load_state_dict(state)


# -- refused ----------------------------------------------------------------------------------------------------------


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield FLOATS[0]


class NoLength(Dataset):
    def __getitem__(self, index):
        return FLOATS[index]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (
            DataLoader(Endless(), batch_size=12),
            "images must be a DataLoader that knows its length: give its dataset a",
        ),
        (
            Stream(),
            "images must be a tensor, a Dataset with rows or a DataLoader: put a stream into a DataLoader",
        ),
        (NoLength(), "images must be a Dataset with a __len__, got NoLength"),
        (DataLoader(TensorDataset(FLOATS), 12), "images must be a DataLoader with drop_last=True"),
        (
            DataLoader(TensorDataset(FLOATS), 10),
            "images and batch_size must agree: batch_size = 10 .* got 12",
        ),
        (
            DataLoader(TensorDataset(FLOATS[:5]), 12, drop_last=True),
            "the number of batches in images must be at least 1",
        ),
        (Items(FLOATS[:5]), "batch_size must be at most 5, got 12"),
        (FLOATS[:5], "batch_size must be at most 5, got 12"),
        (
            BYTES.int(),
            r"images must be a Float.* or a UInt8.* or a Dataset or a DataLoader, got a torch.int32",
        ),
        (BYTES[0], r"images must be a Float.* shape \(1, 4, 4\)"),
        ([FLOATS], "images must be a Float"),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_images_that_are_none_are_refused_at_once(images, words):
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        pretrainer(images=images)


def broken(index, image):
    return image * math.nan if index == 20 else image


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (Items(FLOATS, broken), r"images \(the batch of step \d\) must hold finite numbers only"),
        (
            Items(FLOATS[:, 0]),
            r"images \(the batch of step 1\) must have shape \(12, C, H, W\), got .* \(12, 4, 4\)",
        ),
        (Items(BYTES.int()), r"images \(the batch of step 1\) must hold floating-point numbers"),
        (
            DataLoader(Stream(FLOATS[:30]), 12, drop_last=True),
            "images must give the 4 batches that they announce, got 2",
        ),
        (
            DataLoader([[FLOATS[:12]], [FLOATS[:12, :, :3, :3]]], batch_size=None),
            r"images \(the batch of step 2\) must have shape \(12, 1, 4, 4\)",
        ),
        (
            DataLoader(TensorDataset(FLOATS), batch_sampler=[[0, 1], [2]]),
            r"images \(the batch of step 1\) must have shape \(12, C, H, W\), got .* \(2, 1, 4, 4\)",
        ),
        (
            DataLoader([{"image": FLOATS[:12]}], batch_size=None),
            r"images \(the batch of step 1\) must be a Tensor",
        ),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_a_batch_that_is_none_is_refused_at_its_step(images, words):
    run = pretrainer(images=images)
    with pytest.raises((TypeError, ValueError), match=f"^{words}") as raised:
        run.fit()
    assert raised.value.__notes__ == [f"(the run was put back to its state after step {run.step})"]


# -- several processes ------------------------------------------------------------------------------------------------


class Two(Fabric):
    """What batches ask of Fabric, in one of two processes."""

    world_size, device, global_rank = 2, torch.device("cpu"), 0

    def __init__(self, rank):
        self.global_rank = rank

    def to_device(self, images):
        return images


@pytest.mark.parametrize("images", [FLOATS, BYTES, Items()])
def test_two_processes_share_the_batch_of_one(images):
    one = batches_of(images, 12, 5, Fabric(accelerator="cpu", devices=1))
    two = [batches_of(images, 12, 5, Two(rank)) for rank in range(2)]
    for step in (0, 1, 6):
        assert torch.equal(torch.cat([process.at(step) for process in two]), one.at(step))


def test_a_loader_gives_each_process_its_own():
    with pytest.raises(
        ValueError, match=r"^images must be a DataLoader with a DistributedSampler over the 2 processes"
    ):
        batches_of(DataLoader(TensorDataset(FLOATS), 6, drop_last=True), 12, 5, Two(0))

    def share(rank, epoch):
        rows = TensorDataset(FLOATS)
        sampler = DistributedSampler(rows, 2, rank, drop_last=True)
        batches = batches_of(DataLoader(rows, 6, sampler=sampler, drop_last=True), 12, 5, Two(rank))
        assert isinstance(batches, LoadedBatches) and batches.steps == 4
        images = torch.cat([batches.at(step) for step in range(4 * epoch, 4 * epoch + 4)])
        return [tuple(image.flatten().tolist()) for image in images]

    first, second = share(0, 0), share(1, 0)
    assert len({*first, *second}) == 48 and share(0, 1) != first
