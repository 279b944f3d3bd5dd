"""The embedded digits: shapes, range, a fixed and disjoint split, the true labels."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from eqssl_edu.data import digits


@pytest.fixture(scope="module")
def sets():
    return digits(16)


def test_shapes_and_range(sets):
    assert [len(part.images) for part in sets] == [1297, 200, 300]
    assert sets._fields == ("train", "validation", "test")
    for part in sets:
        assert part.images.shape[1:] == (1, 16, 16)
        assert part.images.dtype == torch.float32
        assert part.labels.shape == part.images.shape[:1]
        assert part.images.min() >= 0
        assert part.images.max() <= 1
        assert set(part.labels.tolist()) == set(range(10))
    assert sets.train.images.max() > 0.9


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


def test_no_image_is_in_two_sets(sets):
    """The originals have no twins, so shared pictures would show."""
    rows = torch.cat([part.images for part in sets]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)


def test_the_split_is_always_the_same(sets):
    torch.manual_seed(5)  # the global generator plays no part
    again = digits(16)
    for first, second in zip(sets, again, strict=True):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.labels, second.labels)


def test_enlarging_changes_neither_the_split_nor_the_mean(sets):
    small = digits(8)
    assert torch.equal(small.test.labels, sets.test.labels)
    assert (F.avg_pool2d(digits(16).test.images, 2) - small.test.images).abs().mean() < 0.1
    assert abs(sets.test.images.mean() - small.test.images.mean()) < 1e-3


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (7, ValueError, "size must be at least 8, the size of the originals, got 7"),
        (0, ValueError, "size must be at least 1, got 0"),
        (16.0, TypeError, "size must be an integer, got 16.0"),
    ],
)
def test_malformed_input_is_named(as_a_user, size, error, message):
    with pytest.raises(error, match=message):
        digits(size)
