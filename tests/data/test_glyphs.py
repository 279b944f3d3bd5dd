"""Glyphs: seeded, quick, balanced, hard; and every symmetry that a switch promises is there."""

import time

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.data import glyph_atlas, glyph_classes, glyphs
from eqssl_edu.data.glyph_images import GLYPH_KINDS
from eqssl_edu.data.textures import textures
from eqssl_edu.data.typefaces import TYPEFACES, letter_images
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.evaluation import extract, linear_probe, recalibrated
from eqssl_edu.groups import cyclic, dihedral

D4 = dihedral(4)
STABILIZERS = {
    "C1": {0},
    "C2": {0, 2},
    "C4": {0, 1, 2, 3},
    "D1": {0, 4},
    "D2": {0, 2, 4, 6},
    "D4": set(range(8)),
}


@pytest.fixture(scope="module")
def standard():
    return glyphs()


# -- typefaces -----------------------------------------------------------------------------------------------------


def test_letters_are_centred_and_of_one_size():
    pictures = letter_images(TYPEFACES["test"], "AIlg", 40)
    assert pictures.shape == (4, 4, 40, 40)
    assert pictures.min() == 0
    assert 0.5 < pictures.amax(dim=(2, 3)).min() <= pictures.max() <= 1
    for picture in pictures.flatten(0, 1):
        rows, columns = (line.nonzero().flatten() for line in (picture.amax(dim=1), picture.amax(dim=0)))
        for line in (rows, columns):
            assert abs(int(line[0]) - (39 - int(line[-1]))) <= 1  # as far from one border as from the other
        longer = max(int(line[-1] - line[0]) + 1 for line in (rows, columns))
        assert abs(longer - 0.7 * 40) <= 2


def test_22_faces_in_disjoint_parts_draw_their_own_letters():
    pictures = letter_images(sum(TYPEFACES.values(), ()), "G", 32)[:, 0].flatten(1)
    assert (torch.cdist(pictures, pictures) + 100 * torch.eye(22)).min() > 0.5


# -- textures ------------------------------------------------------------------------------------------------------


def test_textures_have_mean_zero_and_variance_one():
    fields = textures(4000, 12, torch.Generator().manual_seed(0))
    assert abs(fields.mean()) < 0.02
    assert 0.7 < fields.var() < 1.3
    assert fields.var(dim=0).max() < 1.6


def test_textures_know_no_orientation():
    """The products of neighbours down and across have one mean: up and down is like left and right."""
    fields = textures(20000, 12, torch.Generator().manual_seed(0))
    down = (fields[:, :, 1:] * fields[:, :, :-1]).mean()
    across = (fields[..., 1:] * fields[..., :-1]).mean()
    falling = (fields[:, :, 1:, 1:] * fields[:, :, :-1, :-1]).mean()
    rising = (fields[:, :, 1:, :-1] * fields[:, :, :-1, 1:]).mean()
    assert abs(down - across) < 0.02
    assert abs(falling - rising) < 0.02
    assert down > falling + 0.05  # and the test would see a difference


# -- drawings ------------------------------------------------------------------------------------------------------


def test_drawings_have_exactly_the_stabilizer_of_their_kind():
    for kind, stabilizer in STABILIZERS.items():
        drawings = glyph_atlas(kind, "train", 48)
        for g in D4.elements:
            kept = (D4.transform(drawings, g) == drawings).flatten(2).all(dim=2)
            assert kept.all() if g in stabilizer else not kept.any(), (kind, g)


def test_pose_is_the_turn_of_the_second_letter_against_the_first():
    drawings = glyph_atlas("pose", "train", 48).unflatten(0, (-1, 4))  # typeface, turn of the pair, pose
    cell = round(0.4 * 48)
    first, second = drawings[..., 24 - cell : 24], drawings[..., 24 : 24 + cell]
    for turn in range(4):
        for pose in range(4):
            top = slice(24 - cell // 2 - cell % 2, 24 - cell // 2 - cell % 2 + cell)
            assert torch.equal(first[:, turn, pose, top], first[:, 0, 0, top].rot90(turn, (-2, -1)))
            assert torch.equal(second[:, turn, pose, top], second[:, 0, 0, top].rot90(turn + pose, (-2, -1)))


def test_neither_letter_of_a_pair_knows_the_class():
    """Over the variants of one typeface the second letter takes every turn once in every class."""
    drawings = glyph_atlas("pose", "train", 48).unflatten(0, (-1, 4))
    for half in (drawings[..., :24], drawings[..., 24:]):
        turns = half.flatten(3).transpose(1, 2)  # typeface, pose, turn of the pair, pixels
        for pose in range(1, 4):
            distances = torch.cdist(turns[:, pose], turns[:, 0])
            assert distances.amin(dim=2).max() < 1e-3


# -- images --------------------------------------------------------------------------------------------------------


def test_shapes_range_and_balance(standard):
    assert [len(part.images) for part in standard] == [6000, 1000, 2000]
    for part in standard:
        assert part.images.shape[1:] == (1, 24, 24) and part.images.dtype == torch.float32
        assert part.images.min() >= 0 and part.images.max() <= 1
        counts = torch.bincount(part.labels)
        assert len(counts) == 26 and counts.max() - counts.min() <= 1
        assert not torch.equal(part.labels, part.labels.sort().values)
    assert len(glyph_classes()) == 26


def test_classes_have_names():
    for kind in GLYPH_KINDS:
        names, sets = glyph_classes(kind), glyphs(kind, counts=(30, 30, 30), size=12)
        assert len(set(names)) == len(names) == int(sets.train.labels.max()) + 1


def test_ten_thousand_in_four_seconds():
    glyph_atlas.__wrapped__.cache_clear()  # the letters are drawn anew, as in a new session
    letter_images.cache_clear()
    start = time.process_time()
    glyphs(counts=(10_000, 1, 1), seed=1)
    assert time.process_time() - start < 4


def test_the_seed_decides(standard):
    again, other = glyphs(), glyphs(seed=1)
    for part, same, different in zip(standard, again, other, strict=True):
        assert torch.equal(part.images, same.images)
        assert not torch.equal(part.images, different.images)
    fewer = glyphs(counts=(26, 26, 2000))
    assert torch.equal(fewer.test.images, standard.test.images)  # each part has random numbers of its own


def test_dark_and_light_letters_are_equally_frequent(standard):
    middle, border = standard.train.images[:, :, 6:18, 6:18], standard.train.images[:, :, :2]
    lighter = (middle.mean(dim=(1, 2, 3)) > border.mean(dim=(1, 2, 3))).float().mean()
    assert 0.45 < lighter < 0.55


def test_without_a_texture_only_the_letter_differs_from_the_ground():
    bare, usual = (glyphs("pose", counts=(400, 4, 4), textured=textured).train for textured in (False, True))
    darkest, brightest = bare.images.flatten(1).min(dim=1).values, bare.images.flatten(1).max(dim=1).values
    assert torch.equal(darkest, torch.full((400,), 0.2))
    assert 0.5 < brightest.min() <= brightest.max() <= 0.8 + 1e-6  # always light on dark
    ground = (bare.images == 0.2).flatten(1).float().mean(dim=1)
    assert ground.min() > 0.5
    assert (usual.images == 0.2).float().mean() < 0.01  # the must-fail twin


def change(upright):
    """By how much a quarter turn changes where the ink of a class lies: its mean deviation from the mean grey."""
    images, labels = glyphs("C1", counts=(6000, 1, 1), upright=upright).train
    deviation = (images - images.mean(dim=(2, 3), keepdim=True)).abs()
    means = torch.stack([deviation[labels == label].mean(dim=0) for label in range(6)])
    contrast = means - means.mean(dim=(2, 3), keepdim=True)
    return float((D4.transform(contrast, 1) - contrast).norm() / contrast.norm())


def test_images_that_are_not_upright_have_no_orientation():
    assert change(upright=True) > 0.5
    assert change(upright=False) < 0.25  # 1,000 images a class: what is left is noise


@pytest.mark.parametrize("group", [cyclic(1), cyclic(4)], ids=lambda group: group.name)
def test_hard_for_a_random_encoder(standard, group):
    """A probe on its 32 invariant features knows less than a quarter, a plain CNN's included."""
    torch.manual_seed(0)
    encoder = recalibrated(GroupCNN(group), standard.train.images[:1000])
    train, validation, test = (
        (extract(encoder, part.images[:2000]).mean(dim=2), part.labels[:2000]) for part in standard
    )
    score = linear_probe(*train, validation, (0.1, 1.0)).score(*test)
    assert 1 / 26 + 0.02 < score < 0.25


def test_classes_are_in_the_pictures(standard):
    """The must-fail twin of "hard": the letters are there. Smoothed pixels of upright letters tell them."""
    train, validation, test = (
        (
            F.avg_pool2d((part.images - part.images.mean(dim=(2, 3), keepdim=True)).abs(), 3).flatten(1),
            part.labels,
        )
        for part in standard
    )
    assert linear_probe(*train, validation, (0.01, 0.1)).score(*test) > 0.3
