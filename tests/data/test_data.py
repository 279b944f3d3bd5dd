"""The embedded digits, images from disk and hub, and images turned by angles of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from eqssl_edu.data import ImageSet, digits, glyph_atlas, glyph_classes, glyphs, load_images, rotated
from eqssl_edu.rotate import disc_mask, rotate


@pytest.fixture(scope="module")
def sets():
    return digits(16)


def test_shapes_and_range(sets):
    assert [len(part.images) for part in sets] == [1297, 200, 300]
    assert sets._fields == ("train", "validation", "test")
    for part in sets:
        assert part.images.shape == (len(part.labels), 1, 16, 16) and part.images.dtype == torch.float32
        assert part.images.min() >= 0 and 0.9 < part.images.max() <= 1
        assert set(part.labels.tolist()) == set(range(10))


def test_every_original_is_in_one_set_with_its_own_label():
    """At their own size the images are scikit-learn's, each exactly once."""
    sets, bunch = digits(8), load_digits()
    images = torch.cat([part.images for part in sets]).flatten(1)
    labels = torch.cat([part.labels for part in sets])
    ours = sorted((*row, label) for row, label in zip((16 * images).tolist(), labels.tolist(), strict=True))
    theirs = sorted(
        (*row, label) for row, label in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True)
    )
    assert ours == theirs
    # The originals have no twins, so shared pictures would show.
    assert len(images.unique(dim=0)) == len(images)


def test_the_split_is_always_the_same(sets):
    torch.manual_seed(5)  # the global generator plays no part
    for first, second in zip(sets, digits(16), strict=True):
        assert torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)


def test_enlarging_changes_neither_the_split_nor_the_mean(sets):
    small = digits(8)
    assert torch.equal(small.test.labels, sets.test.labels)
    assert (F.avg_pool2d(digits(16).test.images, 2) - small.test.images).abs().mean() < 0.1
    assert abs(sets.test.images.mean() - small.test.images.mean()) < 1e-3


# -- rotated -------------------------------------------------------------------------------------------------------


def test_rotated_turns_each_image_by_its_own_angle(sets):
    images = sets.test.images[:20].double()
    turned = rotated(images, seed=3)
    angles = 360 * torch.rand(20, generator=torch.Generator().manual_seed(3))
    for image, result, angle in zip(images, turned, angles.tolist(), strict=True):
        assert (rotate(image, angle) - result).abs().max() < 1e-6
    assert not torch.equal(turned, rotated(images, seed=4))
    assert torch.equal(turned, rotated(images, seed=3))


def test_rotated_data_has_no_orientation_left():
    """A mark on the right lands everywhere on its circle equally often; the must-fail twin is the mark itself."""
    image = torch.zeros(1, 1, 15, 15)
    image[..., 7, 11:13] = 1
    mean = rotated(image.expand(4000, 1, 15, 15), seed=0).mean(dim=0)
    inside = disc_mask(15)
    assert ((mean - mean.rot90(1, (-2, -1))) * inside).norm() < 0.1 * (mean * inside).norm()
    assert ((image - image.rot90(1, (-2, -1))) * inside).norm() > (image * inside).norm()


# -- load_images ---------------------------------------------------------------------------------------------------


def pixels(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def encoded(array):
    """A picture as the bytes of a PNG file."""
    import datasets

    return datasets.Image().encode_example(array)["bytes"]


def write_parquet(path, arrays, labels, image="image", label="label"):
    import datasets

    rows = {image: [{"bytes": encoded(array), "path": None} for array in arrays], label: labels}
    features = datasets.Features({image: datasets.Image(), label: datasets.Value("int64")})
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(path))


@pytest.fixture(autouse=True)
def no_traces(tmp_path, monkeypatch):
    """Whatever the library keeps goes to a folder of the test."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


@pytest.mark.parametrize(("image", "shape"), [("image", (5, 6)), ("img", (5, 6, 3))])
def test_parquet_pixel_by_pixel(tmp_path, image, shape):
    arrays, labels = pixels(7, *shape), [3, 1, 2, 0, 0, 9, 4]
    write_parquet(tmp_path / "test-00000-of-00001.parquet", arrays, labels, image)
    write_parquet(tmp_path / "train.parquet", pixels(2, *shape, seed=1), [0, 1], image)
    for source, split in ((tmp_path, "test"), (tmp_path / "test-00000-of-00001.parquet", "any")):
        found = load_images(source, split)
        assert isinstance(found, ImageSet)
        assert found.labels.tolist() == labels
        wanted = torch.from_numpy(arrays).float().view(7, 5, 6, -1).permute(0, 3, 1, 2) / 255
        assert torch.equal(found.images, wanted)
    assert len(load_images(tmp_path).images) == 2  # the training split by default


def test_a_split_may_be_a_folder_of_parquet_files(tmp_path):
    write_parquet(tmp_path / "train" / "0000.parquet", pixels(2, 4, 4), [0, 1])
    write_parquet(tmp_path / "train" / "0001.parquet", pixels(1, 4, 4), [2])
    write_parquet(tmp_path / "test" / "0000.parquet", pixels(1, 4, 4), [3])
    assert load_images(tmp_path).labels.tolist() == [0, 1, 2]
    assert load_images(str(tmp_path), limit=2).labels.tolist() == [0, 2]


def test_a_limit_is_spread_over_the_whole(tmp_path):
    write_parquet(tmp_path / "train.parquet", pixels(40, 4, 4), [row // 10 for row in range(40)])
    few = load_images(tmp_path, limit=4)
    assert few.labels.tolist() == [0, 1, 2, 3]
    assert len(load_images(tmp_path, limit=100).labels) == 40


def test_a_size_cuts_the_square_and_resizes(tmp_path):
    array = np.zeros((1, 8, 12), dtype=np.uint8)
    array[:, :, :2] = 255  # outside of the centred square
    array[:, :4, 2:10] = 100
    write_parquet(tmp_path / "train.parquet", array, [0])
    found = load_images(tmp_path, size=2)
    assert found.images.shape == (1, 1, 2, 2)
    assert torch.allclose(found.images[0, 0], torch.tensor([[100.0, 100], [0, 0]]) / 255, atol=0.06)
    assert found.images.max() < 0.45


def test_grey_and_coloured_pictures_together_are_coloured_and_sizes_that_differ_need_a_size(tmp_path):
    write_parquet(tmp_path / "train.parquet", [pixels(1, 4, 4)[0], pixels(1, 5, 4, 3)[0]], [0, 1])
    with pytest.raises(ValueError, match=r"size must be given .* got None and 4 x 4 and 5 x 4 pixels"):
        load_images(tmp_path)
    found = load_images(tmp_path, size=4)
    assert found.images.shape == (2, 3, 4, 4)
    assert torch.equal(found.images[0, 0], found.images[0, 2])


def test_errors_say_what_is_there(tmp_path):
    write_parquet(tmp_path / "data" / "train.parquet", pixels(1, 4, 4), [0], label="kind")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    for name, split, words in (
        ("data", "train", "got the columns image, kind"),
        ("data", "test", "split must .* got 'test': train.parquet"),
        ("empty", "train", "got 'empty': neither"),
        ("notes.txt", "train", "got the file 'notes.txt'"),
        ("nowhere", "train", "no such file or folder"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            load_images(tmp_path / name, split)


def test_without_a_network_the_message_says_what_to_do(monkeypatch):
    import datasets

    def unreachable(*arguments, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(
        ConnectionError, match=r"got 'ylecun/mnist'.*no network.*give the path.*HF_HUB_OFFLINE=1"
    ):
        load_images("ylecun/mnist")


def test_the_library_of_the_hub_is_loaded_only_for_files():
    code = "import sys, eqssl_edu.data; print('datasets' in sys.modules)"
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize(("folder", "shape"), [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_real_data(folder, shape):
    source = Path(os.environ.get("EQSSL_DATA", "nowhere"), folder)
    if not source.is_dir():
        pytest.skip(
            f"EQSSL_DATA holds no folder {folder}: would check that its images are read with their labels"
        )
    found = load_images(source, "test", limit=500)
    assert found.images.shape == (500, *shape)
    assert 0 <= found.images.min() < 0.05 < 0.95 < found.images.max() <= 1
    assert set(found.labels.tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("size", lambda: digits(7)),
        ("images", lambda: rotated(torch.zeros(2, 1, 4, 5))),
        ("images", lambda: rotated(torch.zeros(2, 1, 4, 4).byte())),
        ("seed", lambda: rotated(torch.zeros(2, 1, 4, 4), -1)),
        ("source", lambda: load_images(3)),
        ("split", lambda: load_images("x", "")),
        ("size", lambda: load_images("x", size=0)),
        ("limit", lambda: load_images("x", limit=1.5)),
        ("limit", lambda: load_images("x", limit=True)),
        ("scale", lambda: load_images("x", scale=3)),
        (r"scale\[1\]", lambda: load_images("x", scale=(1, 0))),
        ("kind", lambda: glyphs("runes")),
        ("kind", lambda: glyph_classes("runes")),
        ("counts", lambda: glyphs(counts=3)),
        (r"counts\[1\]", lambda: glyphs(counts=(3, 0, 3))),
        ("size", lambda: glyphs(size=0)),
        ("textured", lambda: glyphs(textured="no")),
        ("seed", lambda: glyphs(seed=-1)),
        ("part", lambda: glyph_atlas("C1", "exam", 8)),
        ("size", lambda: glyph_atlas("C1", "test", 9)),
    ],
)
def test_malformed_input_is_named(as_a_user, argument, call):
    with pytest.raises((TypeError, ValueError), match=rf"^{argument}|and {argument}"):
        call()
