"""Other people's folders, files and pictures: the right images, or one sentence with file and cause."""

import io
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eqssl_edu.data import ImageSet, load_images

GREY = np.arange(36, dtype=np.uint8).reshape(6, 6)
BYTES = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
AS_IMAGES = torch.from_numpy(BYTES).permute(0, 3, 1, 2).long()


def picture(path, values=GREY, **options):
    """A picture file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = values if isinstance(values, Image.Image) else Image.fromarray(np.asarray(values))
    image.save(path, **options)
    return path


def encoded(values=GREY, format="PNG"):
    file = io.BytesIO()
    Image.fromarray(values).save(file, format)
    return file.getvalue()


def saved(path, values, **options):
    """A file of the kind that its ending says: of an array, or of columns or arrays by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    several = values if isinstance(values, dict) else {path.stem: values}
    if path.suffix == ".parquet":  # with nothing said about pictures
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(values), path, row_group_size=3)
    elif path.suffix == ".h5":
        with pytest.importorskip("h5py").File(path, "w") as file:
            for name, each in several.items():
                file[name] = each
    elif path.suffix == ".fits":
        pytest.importorskip("astropy.io.fits").writeto(path, values)
    elif path.suffix == ".tif":
        pytest.importorskip("tifffile").imwrite(path, values, **options)
    elif path.suffix == ".npz":
        np.savez(path, **several)
    else:
        (np.savetxt if path.suffix == ".amat" else np.save)(path, values)
    return path


def table(path, **columns):
    return saved(path, columns)


def whole_numbers(images, largest=255):
    return (images * largest).round().long()


# -- folders -------------------------------------------------------------------------------------------------------


def tree(root, places):
    """A picture in each of these folders, or under each of these names."""
    for number, place in enumerate(places.split()):
        path = root / (place if "." in Path(place).name[1:] else f"{place}/{number}.png")
        picture(path)
    return root


@pytest.mark.parametrize(
    ("places", "split", "labels", "classes"),
    [
        ("train/no/40X train/no/100X/p7 train/yes/40X", "train", [0, 0, 1], "no yes"),  # the outermost folder
        ("train/1 train/2 train/10 val/10 val/2", "validation", [1, 2], "1 2 10"),  # the others' numbers
        ("Training/a Training/b Testing/b", "test", [1], "a b"),
        ("train/a dev/a", "dev", [0], "a"),
        ("train/a/.git __MACOSX/a train/a/._0.png train/a/0.PNG train/b", "train", [0, 1], "a b"),
        ("train/train/cat train/train/dog test/test", "train", [0, 1], "cat dog"),  # as unpacked archives are
        ("train/cat train/dog test/test/0.jpg test/test/1.jpg", "test", 2, None),
        ("train/n1/images train/n2/images val/images", "train", [0, 1], "n1 n2"),
        ("train/n1/images train/n2/images val/images", "val", 1, None),
        ("train/cat train/dog test/0.jpg test/1.jpg", "test", 2, None),
        ("train/1 figures logo.png model.h5.png", "train", [0], "1"),
        ("part_1 part_2", "train", [0, 1], "part_1 part_2"),
        ("a/0.tga a/1.pcx b/2.JPEG b/3.webp", "train", [0, 0, 1, 1], "a b"),
        ("train/e\u0301 train/zoo test/\u00e9", "test", [1], "zoo \u00e9"),  # as macOS writes it
    ],
)
def test_folders_of_any_layout(tmp_path, places, split, labels, classes):
    (tree(tmp_path, places) / "empty").mkdir()
    (tmp_path / "README.md").write_text("x")
    found = load_images(tmp_path, split)
    if classes is None:
        assert found.labels is None and found.classes is None and len(found.images) == labels
    else:
        assert found.labels.tolist() == labels and found.classes == tuple(classes.split())


@pytest.mark.parametrize(
    ("places", "split", "words"),
    [
        ("train/a test/a", "validation", r"split must name one of the folders .* 'validation': test, train"),
        ("a b", "test", r"split must name .* got 'test': a, b"),
        ("val/a valid/a", "validation", r"split must name .*: val, valid"),
        ("bus car train", "train", "split must .* class beside others"),
        ("all/train/a all/test/a", "train", "source must be the folder with the parts .* got 'all' alone"),
        ("slides/breast/benign slides/breast/malignant", "train", "source must be .* got 'slides' alone"),
        ("seg_train/a seg_test/a seg_x/0.png", "train", "source must name its parts .* seg_test, seg_train"),
        ("a a/b 0.png", "train", "source must have each picture in a folder of its class"),
    ],
)
def test_a_part_that_is_not_there_is_never_another(tmp_path, places, split, words):
    with pytest.raises((FileNotFoundError, ValueError), match=words):
        load_images(tree(tmp_path / "set", places), split)


def test_a_part_may_be_given_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tree(tmp_path, "train/a train/b val/b") / "val")
    for source in (tmp_path / "val", f"{tmp_path}/val/", ".", "../val"):
        assert load_images(source).labels.tolist() == [1]
    with pytest.raises(FileNotFoundError, match="split must name"):
        load_images(tmp_path / "val", "test")


def test_names_are_names(tmp_path):
    names = ["cat[1]", "a*b", "what?", "a::b", "50% #3", "-x", "été 猫", "a b", "{x}", "$HOME"]
    for name in names:
        picture(tmp_path / "a::[b]*" / "train" / name / f"{name}.png")
    found = load_images(tmp_path / "a::[b]*")
    assert set(found.classes) == set(names) and len(found.images) == 10


def test_pictures_come_in_natural_order_and_need_no_classes(tmp_path):
    for number in (10, 9, 1):
        picture(tmp_path / f"{number}.png", np.full((4, 4), number, np.uint8))
    found = load_images(tmp_path)
    assert whole_numbers(found.images[:, 0, 0, 0]).tolist() == [1, 9, 10]
    assert found.labels is None and found.classes is None
    assert load_images((tmp_path / "9.png").as_uri()).images.equal(found.images[1:2])


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_but_not_in_a_circle_and_a_broken_one_is_named(tmp_path):
    picture(tmp_path / "elsewhere" / "0.png")
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path / "set")
    os.mkfifo(tmp_path / "set" / "a" / "pipe.png")  # reading it would never end
    picture(tmp_path / "set" / "a" / "0.png")
    found = load_images(tmp_path / "set")
    assert found.classes == ("a", "b") and found.labels[0] == 0 and found.labels[-1] == 1
    (tmp_path / "set" / "b" / "1.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"files that can be read, got .*1\.png: .*No such file"):
        load_images(tmp_path / "set")


# -- pictures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_nothing_can_be_seen(tmp_path, mode, ink):
    values = np.full((8, 8, 4), 255 - ink, np.uint8)  # the colour of what is not there
    values[..., 3] = 0
    values[2:4, 2:4] = (ink, ink, ink, 255)
    image = Image.fromarray(values)
    if mode == "P":
        image = Image.fromarray((values[..., 3] > 0).astype(np.uint8), "P")
        image.putpalette([ink] * 6)
        image.info["transparency"] = 0
    picture(tmp_path / "a" / "0.png", image if mode == "P" else image.convert(mode))
    [found] = load_images(tmp_path).images
    assert len(found) == (1 if mode == "LA" else 3)
    assert (found[:, 2:4, 2:4] == ink / 255).all() and (found[:, 5:] == 1 - ink / 255).all()


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_sixteen_bits_are_read_whole(tmp_path, ending):
    deep = np.linspace(0, 65535, 36).round().astype(np.uint16).reshape(6, 6)
    found = load_images(picture(tmp_path / f"grey.{ending}", deep)).images[0, 0]
    assert torch.equal(whole_numbers(found, 65535), torch.from_numpy(deep.astype(np.int64)))


def png_of_16_bits():
    """Colours of 16 bits, which Pillow can read but not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    rows = zlib.compress(4 * (b"\0" + bytes(range(24))))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("deep.png", png_of_16_bits(), "16 bits"),
        ("deep.ppm", b"P6 2 2 65535\n" + bytes(24), "16 bits"),
        ("cut.png", encoded(BYTES[0])[:150], "truncated"),
        ("empty.jpg", b"", "cannot identify image file$"),
        ("page.svg", b"<svg/>", "cannot identify"),
        ("text.heic", b"some text", "cannot identify"),
        ("bomb.png", encoded()[:16] + struct.pack(">II", 100_000, 100_000) + encoded()[24:], "."),
    ],
)
def test_a_picture_that_cannot_be_read_is_named_with_the_cause(tmp_path, name, data, words):
    picture(tmp_path / "a" / "good.png")
    (tmp_path / "a" / name).write_bytes(data)
    with pytest.raises(ValueError, match=rf"source must hold files .* got .*{name}: .*{words}"):
        load_images(tmp_path)


@pytest.mark.parametrize("ending", ["gif", "tif", "png", "webp"])
def test_many_pages_are_refused(tmp_path, ending):
    pages = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (0, 80, 160)]
    path = picture(tmp_path / f"film.{ending}", pages[0], save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"film.*it has 3 pictures in it"):
        load_images(path)


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("CMYK", 3), ("YCbCr", 3), ("P", 3), ("RGBA", 3)])
def test_other_modes(tmp_path, mode, channels):
    values = np.full((6, 6, 3), 255, np.uint8)
    found = load_images(picture(tmp_path / f"{mode}.tif", Image.fromarray(values).convert(mode))).images
    assert found.shape == (1, channels, 6, 6) and found.min() > 0.99


def test_the_orientation_of_a_photo_is_followed_and_oblong_ones_are_cut(tmp_path):
    values = np.zeros((20, 30, 3), np.uint8)
    values[:, :5] = 255  # the left border: outside the centred square
    values[:10, 5:25] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter: the upper half is then on the right
    picture(tmp_path / "photo.png", values, exif=exif)
    [found] = load_images(tmp_path / "photo.png", size=20).images
    assert found.shape == (3, 20, 20)
    assert (found[:, :, :10] == 0).all() and (found[:, :, 10:] == 200 / 255).all()


def test_what_the_memory_cannot_hold_is_refused_before_it_is_taken(tmp_path):
    picture(tmp_path / "a" / "0.png")
    with pytest.raises(ValueError, match=r"size and limit must leave room .* 1 images would take .* GB, got"):
        load_images(tmp_path, size=10**6)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:  # a small file
        file.create_dataset("x", (10**9, 28, 28), np.uint8, chunks=(1, 28, 28))
    with pytest.raises(ValueError, match=r"size and limit must .* 1000000000 images"):
        load_images(tmp_path / "x.h5")
    assert len(load_images(tmp_path / "x.h5", limit=1).images) == 1


# -- parquet -------------------------------------------------------------------------------------------------------


ROWS = [encoded(np.full((4, 4), value, np.uint8)) for value in (3, 1, 4, 1, 5, 9, 2)]
STRUCTS = [{"bytes": data, "path": None} for data in ROWS]


@pytest.mark.parametrize(("name", "images"), [("image", STRUCTS), ("Img", ROWS), ("png", ROWS)])
@pytest.mark.parametrize(
    ("labels", "numbers", "classes"),
    [
        ([2, 0, 1, 0, 0, 0, 0], [2, 0, 1, 0, 0, 0, 0], ("0", "1", "2")),
        ([1.0, 0, 1, 0, 1, 0, 0], [1, 0, 1, 0, 1, 0, 0], ("0", "1")),
        ([True] * 7, [1] * 7, ("False", "True")),
        (["9", "10", "2", "2", "2", "2", "2"], [1, 2, 0, 0, 0, 0, 0], ("2", "9", "10")),
        ([0] * 7, [0] * 7, ("0",)),
    ],
)
def test_tables_of_any_origin(tmp_path, name, images, labels, numbers, classes):
    path = table(tmp_path / "train.parquet", **{name: images, "label": labels})
    found = load_images(path)
    assert found.labels.tolist() == numbers and found.classes == classes
    assert whole_numbers(found.images[:, 0, 0, 0]).tolist() == [3, 1, 4, 1, 5, 9, 2]
    few = load_images(path, limit=3)
    assert whole_numbers(few.images[:, 0, 0, 0]).tolist() == [3, 1, 2]
    assert few.labels.tolist() == [numbers[0], numbers[3], numbers[6]] and few.classes == classes


def test_a_table_without_labels(tmp_path):
    columns = {"image": STRUCTS, "filename": list("abcdefg")}
    for more in ({}, {"label": [None] * 7}, {"label": [-1] * 7}):  # the hub's -1: nobody is to know
        found = load_images(table(tmp_path / "a.parquet", **columns, **more))
        assert len(found.images) == 7 and found.labels is None and found.classes is None


def test_words_are_numbered_over_all_parts_and_names_come_from_the_file(tmp_path):
    import datasets

    table(tmp_path / "train.parquet", image=ROWS[:3], label=["ant", "bee", "cat"])
    table(tmp_path / "test.parquet", image=ROWS[:2], label=["cat", "bee"])
    table(tmp_path / "val.parquet", image=ROWS[:2])  # nobody knows these
    assert load_images(tmp_path, "val").labels is None
    for source in (tmp_path, tmp_path / "test.parquet"):
        found = load_images(source, "test")
        assert found.labels.tolist() == [2, 1] and found.classes == ("ant", "bee", "cat")
    classes = datasets.ClassLabel(names=["no", "yes"])
    features = datasets.Features({"image": datasets.Image(), "label": classes})
    rows = datasets.Dataset.from_dict({"image": STRUCTS[:2], "label": [1, 1]}, features=features)
    rows.to_parquet(tmp_path / "named.parquet")
    found = load_images(tmp_path / "named.parquet")
    assert found.labels.tolist() == [1, 1] and found.classes == ("no", "yes")


def test_a_file_that_only_begins_like_a_part_is_not_of_it(tmp_path):
    names = ("train-00000-of-00002", "train-00001-of-00002-1359597a978bc4fa", "train_extra")
    for number, name in enumerate(names):
        table(tmp_path / "data" / f"{name}.parquet", image=ROWS[:1], label=[number])
    assert load_images(tmp_path).labels.tolist() == [0, 1]
    assert load_images(tmp_path, "train_extra").labels.tolist() == [2]
    table(tmp_path / "other" / "train.parquet", image=ROWS[:1], label=[3])
    with pytest.raises(ValueError, match="split must lie in one folder"):
        load_images(tmp_path)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, None, None], r"None in row 1 of train.parquet \(2 such rows\)"),
        ([0.0, float("nan"), 1.0], r"source must hold words .* got nan in row 1"),
        ([0, 1.5, 1], r"labels, got 1.5 in row 1"),
        ([0, -1, 1], r"whole numbers 0 .. 999999 as labels, got -1 in row 1 of train.parquet"),
        ([0, 10**12, 1], r"as labels, got 1000000000000 in row 1"),
        ([[0], [1], [0, 1]], r"as labels, got \[0\] in row 0"),
    ],
)
def test_labels_that_cannot_be_right_are_refused(tmp_path, labels, words):
    with pytest.raises(ValueError, match=words):
        load_images(table(tmp_path / "train.parquet", image=ROWS[:3], label=labels))


@pytest.mark.parametrize(
    ("image", "images", "words"),
    [
        ("image", [*STRUCTS[:2], None], r"got row 2 of .*train.parquet: .* NoneType"),
        ("image", [[[0, 1], [2, 3]]], r"row 0 of .*train.parquet: it must hold .* got list"),
        ("image", [{"bytes": None, "path": "/etc/hostname"}], r"row 0 .* a path, which is not followed"),
        ("image", ["/etc/hostname"], r"row 0 .* a path, which is not followed"),
        ("image", [b"no picture"], r"row 0 of .*train.parquet: cannot identify"),
        ("image", STRUCTS[:0], r"images, got none"),
        ("pixels", ROWS[:1], r"one of image, .* got the columns pixels, label"),
    ],
)
def test_pictures_that_a_table_does_not_hold_are_refused(tmp_path, image, images, words):
    with pytest.raises(ValueError, match=words):
        load_images(table(tmp_path / "train.parquet", **{image: images, "label": [0] * len(images)}))
    with pytest.raises(ValueError, match=r"one of label, .* got the columns image, kind"):
        load_images(table(tmp_path / "train.parquet", image=ROWS, kind=[0] * 7))


def test_a_set_of_the_hub(tmp_path, monkeypatch):
    import datasets

    path = picture(tmp_path / "downloaded.png")
    classes = datasets.ClassLabel(names=["no", "yes"])
    features = datasets.Features({"image": datasets.Image(), "label": classes})
    pictures = [STRUCTS[5], {"bytes": None, "path": str(path)}]  # the hub's own files may lie apart
    rows = datasets.Dataset.from_dict({"image": pictures, "label": [1, 0]}, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: rows)
    found = load_images("someone/something", size=4)
    assert found.labels.tolist() == [1, 0] and found.classes == ("no", "yes")
    assert (found.images[0] == 9 / 255).all()

    def refuse(name, split):
        raise ValueError('Unknown split "dev". Should be one of [train].')

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(ValueError, match=r"split must be a part of 'mnist', got 'dev': Unknown split"):
        load_images("mnist", "dev")


@pytest.mark.parametrize("keep", [0, 3, 200])
def test_a_truncated_table_is_named(tmp_path, keep):
    path = table(tmp_path / "train.parquet", image=STRUCTS, label=[0] * 7)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"files that can be read, got .*train.parquet: .*(bytes|size)"):
        load_images(path)


# -- arrays, the sky and the ground --------------------------------------------------------------------------------


PARTS = {"train": slice(3), "val": slice(3, 4), "test": slice(4, 5)}
NUMBERS, WORDS = np.arange(5), np.array([b"a", b"b", b"a", b"b", b"c"])


PAIRS = [("x_{}", "y_{}"), ("X_{}", "Y_{}"), ("{}_images", "{}_labels"), ("{}", "{}_targets")]
PAIRS += [("camelyonpatch_level_2_split_{}_x", "camelyonpatch_level_2_split_{}_y")]
PAIRS += [("kmnist-{}-imgs", "kmnist-{}-labels")]


@pytest.mark.parametrize("ending", [".npy", ".npz", ".h5"])
@pytest.mark.parametrize(("image", "label"), PAIRS)
def test_a_file_for_each_array(tmp_path, ending, image, label):
    for part, rows in PARTS.items():
        saved(tmp_path / f"{image.format(part)}{ending}", BYTES[rows])
        saved(tmp_path / f"{label.format(part)}{ending}", NUMBERS[rows].reshape(-1, 1, 1, 1))
    (tmp_path / f"camelyonpatch_level_2_split_train_mask{ending}").write_bytes(b"x")
    val = tmp_path / f"{image.format('val')}{ending}"
    for found in (load_images(val), load_images(tmp_path, "validation")):
        assert found.labels.tolist() == [3] and found.classes == tuple("01234")  # those of all parts
        assert torch.equal(whole_numbers(found.images), AS_IMAGES[3:4])
    assert load_images(tmp_path).labels.tolist() == [0, 1, 2]
    for source, split in ((val, "test"), (tmp_path, "extra")):
        with pytest.raises(FileNotFoundError, match=rf"split must be .* got '{split}': .*val"):
            load_images(source, split)
    saved(tmp_path / f"{label.format('test')}{ending}", NUMBERS)
    with pytest.raises(ValueError, match="a label an image, got 5 for 1"):
        load_images(tmp_path, "test")


@pytest.mark.parametrize("ending", [".npz", ".h5"])
@pytest.mark.parametrize(("image", "label"), [("{}_images", "{}_labels"), ("x_{}", "y_{}")])
def test_a_file_with_arrays_of_all_parts(tmp_path, ending, image, label):
    arrays = {image.format(part): BYTES[rows] for part, rows in PARTS.items()}
    arrays |= {label.format(part): WORDS[rows] for part, rows in PARTS.items()}
    saved(tmp_path / f"set{ending}", arrays)
    for source in (tmp_path, tmp_path / f"set{ending}"):
        found = load_images(source, "testing")
        assert found.labels.tolist() == [2] and found.classes == ("a", "b", "c")
        assert torch.equal(whole_numbers(found.images), AS_IMAGES[4:])
        assert load_images(source).labels.tolist() == [0, 1, 0]
        with pytest.raises(FileNotFoundError, match=r"split must be in the name of an array .* 'extra'"):
            load_images(source, "extra")


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("Galaxy10_DECals.h5", {"ans": NUMBERS, "images": BYTES, "redshift": np.ones(5) / 3}),
        ("groups.h5", {"train/images": BYTES, "train/labels": NUMBERS, "test/images": BYTES[:1]}),
        ("first.npz", {"x": BYTES.transpose(0, 3, 1, 2), "y": NUMBERS[:, None]}),
        ("unnamed.npz", {"arr_0": BYTES, "arr_1": NUMBERS.astype(float)}),
    ],
)
def test_a_file_with_images_and_labels(tmp_path, name, arrays):
    saved(tmp_path / name, arrays)
    found = load_images(tmp_path / name, limit=2)
    assert found.labels.tolist() == [0, 4] and torch.equal(whole_numbers(found.images), AS_IMAGES[[0, 4]])
    with pytest.raises(FileNotFoundError, match=r"split must be in the name of an array .* 'val'"):
        load_images(tmp_path / name, "val")


def test_nothing_is_held_open_and_no_link_is_followed(tmp_path):
    h5py = pytest.importorskip("h5py")
    saved(tmp_path / "a.h5", {"images": BYTES.astype(np.int64)})
    with pytest.raises(ValueError, match="scale must say") as error:  # which keeps all variables
        load_images(tmp_path / "a.h5")
    saved(tmp_path / "a.h5", {"images": BYTES})
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["images"] = h5py.ExternalLink("a.h5", "images")
    with pytest.raises(ValueError, match=r"for the images of b.h5, got the columns none"):
        load_images(tmp_path / "b.h5")
    assert error.traceback and len(load_images(tmp_path / "a.h5").images) == 5


def test_rotated_mnist(tmp_path):
    rows = np.hstack([np.random.default_rng(2).random((4, 784)).round(6), [[7], [0], [1], [7]]])
    for part in ("train_valid", "test"):
        np.savetxt(tmp_path / f"mnist_all_rotation_normalized_float_{part}.amat", rows, fmt="%.6f")
    for split in ("test", "train_valid"):
        found = load_images(tmp_path, split)
        assert found.labels.tolist() == [7, 0, 1, 7] and len(found.classes) == 8
        assert torch.allclose(found.images, torch.from_numpy(rows[:, :-1]).float().view(4, 1, 28, 28))
    for split in ("train", "valid"):  # the file holds both
        with pytest.raises(FileNotFoundError, match=f"got '{split}': .*_train_valid.amat"):
            load_images(tmp_path, split)


def test_the_sky(tmp_path):
    sky = np.random.default_rng(3).normal(0, 1e-7, (6, 6)).astype(np.float32)
    for kind in ("spiral", "elliptical"):
        saved(tmp_path / kind / "1.fits", sky)
    with pytest.raises(ValueError, match=r"scale must say what becomes 0 and 1 .* got None, and -.*1\.fits"):
        load_images(tmp_path)
    found = load_images(tmp_path, scale=(-1e-7, 1e-7))
    assert found.classes == ("elliptical", "spiral")
    assert torch.allclose(found.images[1, 0], torch.from_numpy((sky / 2e-7 + 0.5).clip(0, 1)), atol=1e-6)
    sky[2, 2] = np.nan
    saved(tmp_path / "spiral" / "2.fits", sky)
    with pytest.raises(ValueError, match=r"finite values, got 1 pixels .* in .*2\.fits"):
        load_images(tmp_path, scale=(-1e-7, 1e-7))


def test_the_ground(tmp_path):
    bands = np.random.default_rng(3).integers(0, 10_000, (13, 9, 9), dtype=np.uint16)
    grey, last = {"photometric": "minisblack"}, np.ascontiguousarray(bands.transpose(1, 2, 0))
    saved(tmp_path / "sea" / "1.tif", bands, planarconfig="separate", **grey)
    saved(tmp_path / "sea" / "2.tif", last, planarconfig="contig", **grey)
    wanted = torch.from_numpy(bands.astype(np.int64)).expand(2, -1, -1, -1)
    for largest, scale in ((65535, None), (10_000, (0, 10_000))):
        assert whole_numbers(load_images(tmp_path, scale=scale).images, largest).equal(wanted)
    tag = (42113, "s", 0, "-9999", True)  # where GDAL says which value means: no data
    heights = saved(tmp_path / "heights.tif", np.array([[1, -9999], [2, 3]], np.int16), extratags=[tag])
    with pytest.raises(ValueError, match=r"heights\.tif: it has 1 pixels without data"):
        load_images(heights)
    deep = 257 * BYTES[0].astype(np.uint16)  # colours of 16 bits, side by side or in planes
    for values, planes in ((deep, "contig"), (deep.transpose(2, 0, 1), "separate")):
        path = saved(tmp_path / "colour.tif", values, photometric="rgb", planarconfig=planes)
        assert torch.equal(whole_numbers(load_images(path).images[0]), AS_IMAGES[0])
    infrared = np.dstack([BYTES[0], BYTES[1][..., 0]])  # a fourth band that is no transparency
    path = saved(tmp_path / "infrared.tif", infrared, photometric="rgb", extrasamples=["unspecified"])
    assert torch.equal(whole_numbers(load_images(path).images[0, 3]), AS_IMAGES[1, 0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((32, 32, 3)), r"\(N, H, W\).* got \(32, 32, 3\)"),
        (np.zeros((64, 64, 13)), r"got \(64, 64, 13\)"),
        (np.zeros((5, 784)), r"got \(5, 784\)"),
        (np.zeros((5, 0, 8), np.uint8), r"got \(5, 0, 8\)"),
        (np.zeros((2, 4, 4, 4)), r"image 0 of .*: an image must be .* got \(4, 4, 4\)"),
        (np.array([{}, {}]), "Python objects"),
        (np.full((2, 5, 5), 2.0), "scale must say"),
        (np.full((2, 5, 5), -1, np.int16), "scale must say"),
        (np.full((2, 5, 5), 255), r"unless all values of int64 lie in 0 .. 1, got None, and 255 .. 255"),
        (np.full((2, 5, 5), np.nan), "finite values, got 25 pixels .* in image 0"),
    ],
)
def test_arrays_that_cannot_be_images_are_refused(tmp_path, values, words):
    np.save(tmp_path / "x.npy", values, allow_pickle=True)
    with pytest.raises(ValueError, match=words):
        load_images(tmp_path / "x.npy")


NEEDS = [(".h5", "h5py"), (".fits", "astropy"), (".tif", "tifffile"), (".parquet", "pyarrow")]


@pytest.mark.parametrize(("ending", "package"), NEEDS)
def test_a_missing_library_is_named_and_pictures_need_none(tmp_path, monkeypatch, ending, package):
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"SIMPLE  =" if ending == ".fits" else b"")
    if ending == ".tif":
        picture(path, np.zeros((4, 4), np.int32))
    for module in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"source needs the package {package}: pip install {package}"):
        load_images(path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    picture(tmp_path / "set" / "a" / "0.png")
    assert load_images(tmp_path / "set").classes == ("a",)


ENDINGS = [".png", ".jpg", ".gif", ".tif", ".npy", ".npz", ".h5", ".amat", ".fits", ".parquet"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_damaged_file_is_read_or_named(tmp_path, ending):
    """Thirty of each kind, cut or with bytes exchanged: images in [0, 1], or a sentence with the file's name."""
    rng, path, refusals = np.random.default_rng(4), tmp_path / f"damaged{ending}", []
    made = {".npy": BYTES, ".amat": np.eye(37)[:5], ".fits": GREY, ".parquet": {"image": ROWS}}
    if ending in (".png", ".jpg", ".gif", ".tif"):
        picture(path, BYTES[0])
    else:
        saved(path, made.get(ending, {"x": BYTES, "y": np.arange(5)}))
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    for _ in range(30):
        data = whole.copy()
        data[rng.integers(0, len(data), rng.integers(1, 9))] = rng.integers(0, 256)
        path.write_bytes(data[: rng.integers(1, len(data)) if rng.random() < 0.3 else None].tobytes())
        try:
            images = load_images(path, scale=(0, 255)).images
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert 0 <= images.min() <= images.max() <= 1
    assert refusals and [text for text in refusals if "damaged" not in text] == []


# -- the door ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (["a.png"], r"source must be a str or a PathLike, got \['a.png'\]"),
        ("\0", "source"),
        ("https://example.org/a/b.zip", "no such file"),
        ("my_photo.JPG", "no such file"),
        ("a" * 5000 + "/b/c", "no such file"),
        ("~nobody at all/x/y", "no such file"),
        ("set.zip", "unpack archives first, got the file 'set.zip'"),
    ],
)
def test_what_is_no_source_is_refused(as_a_user, tmp_path, monkeypatch, source, words):
    monkeypatch.chdir(tmp_path)
    Path("set.zip").write_bytes(b"PK")
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=words):
        load_images(source)


def test_home_numbers_of_numpy_and_the_default_type(as_a_user, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for number in range(9):
        picture(tmp_path / "set" / "a" / f"{number}.png", np.full((6, 6), number, np.uint8))
    try:
        torch.set_default_dtype(torch.float64)
        found = load_images("~/set", size=np.int64(6), limit=np.int64(4))
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"):  # files are read on the CPU, whatever the default is
        assert load_images(str(tmp_path / "set"), limit=4).images.equal(found.images.float())
    assert found.images.dtype == torch.float64
    assert whole_numbers(found.images[:, 0, 0, 0]).tolist() == [0, 3, 5, 8]


def test_an_image_set_is_a_pair_with_names_that_survives_copies(tmp_path):
    import copy
    import pickle

    made = ImageSet(torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]), ("a", "b"))
    for each in (made, copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        images, labels = each
        assert images is each.images and labels is each.labels and each.classes == ("a", "b")
    assert ImageSet(images, labels).classes is None
