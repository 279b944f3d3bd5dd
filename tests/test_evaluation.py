"""Probes and the fair random control: features that hold the class, features that do not, encoders left alone."""

import pytest
import torch
from torch import nn

from eqssl_edu.data import ImageSet, Splits
from eqssl_edu.encoders import GroupCNN, GroupResNet, matched_cnn
from eqssl_edu.evaluation import (
    extract,
    interval,
    knn_probe,
    linear_probe,
    orbit_knn_accuracy,
    orientations,
    paired_interval,
    probe_orientations,
    proportion_interval,
    recalibrated,
)
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.steerable import SteerableCNN

C4 = cyclic(4)


def clusters(count=300, classes=3, spread=0.1, seed=0):
    """Features around one centre per class, and the classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    noise = torch.randn(count, classes + 2, generator=generator)
    return torch.eye(classes + 2)[labels] + spread * noise, labels


def random_features(count=300, classes=3, seed=0):
    """Features that know nothing of the classes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 5, generator=generator), torch.randint(classes, (count,), generator=generator)


def split(features, labels):
    return [(features[part], labels[part]) for part in (slice(0, 150), slice(150, 200), slice(200, None))]


def accuracy_of(probe, data):
    train, validation, test = split(*data)
    fitted = linear_probe(*train, validation) if probe == "linear" else knn_probe(*train)
    return fitted.score(*test)


@pytest.mark.parametrize("probe", ["linear", "knn"])
def test_probes_read_what_is_there_and_find_nothing_in_random_features(probe):
    """Chance is 1/3 on 100 test samples; 0.15 is three standard deviations."""
    assert accuracy_of(probe, clusters()) == 1.0
    assert abs(accuracy_of(probe, random_features()) - 1 / 3) < 0.15


def test_linear_probe_standardises():
    """A feature in other units does not change what the probe can read."""
    features, labels = clusters(spread=0.3)
    scaled = features * torch.tensor([1.0, 1e4, 1e-4, 1.0, 1.0])
    assert accuracy_of("linear", (scaled, labels)) == accuracy_of("linear", (features, labels))


def test_linear_probe_chooses_its_strength_on_the_validation_set():
    """Labels of the training set are noise: whoever fits them closely loses on the validation set, which decides."""
    train, validation, _ = split(*clusters(spread=0.8))
    noisy = train[1].clone()
    noisy[::2] = (noisy[::2] + 1) % 3
    strengths = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    scores = [linear_probe(train[0], noisy, validation, (c,)).score(*validation) for c in strengths]
    assert len(set(scores)) > 1
    chosen = linear_probe(train[0], noisy, validation, strengths)
    assert chosen.score(*validation) == max(scores)
    assert strengths[scores.index(max(scores))] == chosen[-1].C  # the first of the best


def test_knn_is_cosine():
    """Length does not matter, direction does."""
    features = torch.tensor([[1.0, 0.1], [100.0, 5.0], [0.1, 1.0], [5.0, 100.0]])
    probe = knn_probe(features, torch.tensor([0, 0, 1, 1]), neighbours=2)
    assert probe.predict(torch.tensor([[0.01, 0.002], [30.0, 90.0]])).tolist() == [0, 1]


# -- extract -----------------------------------------------------------------------------------------------------


def images(count=10, channels=1, size=9, seed=0):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def partly_frozen():
    torch.manual_seed(0)
    model = nn.Sequential(GroupCNN(C4, 1, (3, 4)), nn.Dropout(0.5)).train()
    model[0].stages[1].eval()
    return model


def test_extract_is_the_encoder_in_eval_mode_and_leaves_it_as_it_was():
    encoder = partly_frozen()
    modes = [module.training for module in encoder.modules()]
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    found = [extract(encoder, images(), batch_size) for batch_size in (3, 500)]
    assert [module.training for module in encoder.modules()] == modes
    assert set(modes) == {True, False}
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
    with torch.no_grad():
        wanted = encoder.eval()(images())
    for features in found:
        assert (features - wanted).abs().max() < 1e-6 and not features.requires_grad


def test_extract_comes_back_in_single_precision():
    assert extract(GroupCNN(C4).double(), images()).dtype == torch.float32
    assert extract(nn.Flatten(2), images()).shape == (10, 1, 81)  # an encoder without weights


# -- recalibrated ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: GroupResNet(C4, 1, 1),
        lambda: SteerableCNN("SO(2)", channels=(2, 3)),
    ],  # escnn's norms are its own
    ids=["GroupResNet", "SteerableCNN"],
)
def test_recalibrated_knows_the_statistics_of_its_images(make):
    """Before: mean 0, variance 1 assumed. After: every norm gives what it gives in training mode."""
    torch.manual_seed(0)
    encoder = make().double().eval()
    pictures = 3 * images(20, size=16).double() + 1
    adjusted = recalibrated(encoder, pictures)
    with torch.no_grad():
        before, after = encoder(pictures), adjusted(pictures)
        wanted = encoder.train()(pictures)
    assert (after - wanted).norm() < 0.05 * wanted.norm()  # the variance is divided by n - 1 instead of n
    assert (before - wanted).norm() > 0.2 * wanted.norm()


def test_recalibrated_is_a_copy_and_learns_no_weight():
    torch.manual_seed(0)
    encoder = GroupCNN(C4, 1, (3, 4)).train()
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    adjusted = recalibrated(encoder, images() + 2)
    assert encoder.training
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
    for name, value in adjusted.named_parameters():
        assert torch.equal(value, state[name])
    assert (adjusted.stages[1].running_mean - state["stages.1.running_mean"]).abs().max() > 0.1
    assert not adjusted.training
    assert adjusted.stages[1].momentum == encoder.stages[1].momentum  # it can be trained on as usual


def test_recalibrated_does_not_depend_on_chance_or_on_what_was_learned_before():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Dropout(0.5), GroupCNN(C4, 1, (3, 4))).train()
    first, state = recalibrated(encoder, images()), torch.get_rng_state()
    encoder(images(seed=1))  # other statistics, and a dropout has drawn
    moved = torch.get_rng_state()
    second = recalibrated(encoder, images())
    assert torch.equal(first[1].stages[1].running_var, second[1].stages[1].running_var)
    assert torch.equal(torch.get_rng_state(), moved) and not torch.equal(moved, state)


# -- orientations ------------------------------------------------------------------------------------------------


def test_orientations_are_all_turned_copies_upright_first():
    group = dihedral(4)
    turned = orientations(group, images())
    assert len(turned) == 8
    assert torch.equal(turned[0], images())
    for g in group.elements:
        assert torch.equal(turned[g], group.transform(images(), g))


# -- matched dimension --------------------------------------------------------------------------------------------


def bars(count, seed):
    """Bright bars that are wide or tall, upright images; whoever pools over C4 cannot tell them apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=generator)
    pictures = 0.05 * torch.rand(count, 1, 9, 9, generator=generator)
    pictures[labels == 0, :, 4, 1:8] = 1
    pictures[labels == 1, :, 1:8, 4] = 1
    return ImageSet(pictures, labels)


def test_probe_orientations_are_equal_for_pooled_regular_features_and_fall_for_a_plain_network():
    torch.manual_seed(0)
    splits = Splits(*(bars(count, seed) for seed, count in enumerate((120, 40, 80))))
    encoder = GroupCNN(C4, 1, (8, 16))
    pooled = probe_orientations(encoder, splits, C4, 8)
    assert abs(pooled.upright - pooled.worst) < 1e-9
    assert abs(pooled.mean - pooled.upright) < 1e-9
    assert abs(pooled.upright - 0.5) < 0.2  # pooling has lost which is which
    everything = probe_orientations(encoder, splits, C4, 8, pooled=False)
    plain = probe_orientations(matched_cnn(encoder), splits, C4, 8)
    for scores in (everything, plain):
        assert scores.upright > 0.95
        assert scores.worst < 0.05  # a quarter turn makes one bar the other
        assert abs(scores.mean - 0.5) < 0.05


# -- orbit metric --------------------------------------------------------------------------------------------------


def two_parts(count, seed):
    """Two channels that hold the same bump; the class is by how much the second is turned against the first."""
    generator = torch.Generator().manual_seed(seed)
    labels, turns = torch.randint(4, (2, count), generator=generator)
    features = 0.1 * torch.randn(count, 2, 4, generator=generator)
    rows = torch.arange(count)
    features[rows, 0, turns] += 1
    features[rows, 1, (turns + labels) % 4] += 1
    return features, labels


class Widened(nn.Module):
    """Two bright directions that know the class, then many faint ones and a large constant."""

    def forward(self, pictures):
        flat = pictures.flatten(1)
        faint = 1e-3 * flat[:, :36] + 7
        return torch.cat([flat[:, 36:45].sum(1, True), flat[:, 4::9].sum(1, True), faint], 1)[:, :, None]


def test_probes_read_the_first_principal_components_of_the_training_features():
    """One component is as good as all: the widest one of the training images, whatever the test images do."""
    splits = Splits(*(bars(count, seed) for seed, count in enumerate((120, 40, 80))))
    splits.test.images[:, 0, 0, 0] = 1e6 * torch.rand(80, generator=torch.Generator().manual_seed(0))
    assert probe_orientations(Widened(), splits, cyclic(1), 1).upright == 1.0


def test_nearest_orbits_see_relative_orientations_that_pooling_has_lost():
    reference, queries = two_parts(200, 0), two_parts(100, 1)
    assert orbit_knn_accuracy(C4, reference, queries) > 0.99
    pooled = knn_probe(reference[0].mean(dim=2), reference[1])
    assert pooled.score(queries[0].mean(dim=2).numpy(), queries[1].numpy()) < 0.45


def test_nearest_orbits_do_not_change_when_everything_is_turned():
    (features, labels), (others, truth) = random_features_of_group(0), random_features_of_group(1)
    elements = torch.randint(4, (len(others),), generator=torch.Generator().manual_seed(2))
    turned = C4.transform_features(others, elements)
    first, second = (orbit_knn_accuracy(C4, (features, labels), (z, truth), 5) for z in (others, turned))
    assert first == second
    flat = knn_probe(features.flatten(1), labels, 5)
    assert (flat.predict(others.flatten(1)) != flat.predict(turned.flatten(1))).any()


def random_features_of_group(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(60, 3, 4, generator=generator).double(), torch.randint(3, (60,), generator=generator)


# -- intervals -----------------------------------------------------------------------------------------------------


def test_interval_is_students():
    """Table value: t with 9 degrees of freedom, 97.5 %: 2.262157."""
    values = [float(value) for value in range(10)]
    found = interval(values)
    half = 2.262157 * 3.0276504 / 10**0.5
    assert found == pytest.approx((4.5, 4.5 - half, 4.5 + half), abs=1e-5)
    assert interval([0.25] * 3) == (0.25, 0.25, 0.25)


def test_pairs_see_what_single_intervals_hide():
    seeds = [0.50, 0.60, 0.70, 0.80]
    better = [value + gain for value, gain in zip(seeds, (0.010, 0.012, 0.011, 0.009), strict=True)]
    assert paired_interval(better, seeds).excludes_zero
    assert interval(better).low < interval(seeds).mean  # unpaired, nothing would be seen
    assert not paired_interval(better, seeds[::-1]).excludes_zero  # pairs of other seeds are no pairs
    assert not paired_interval(seeds, seeds).excludes_zero


def test_interval_holds_the_mean_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(2000, 5, generator=generator)
    covered = sum(found.low < 0 < found.high for found in map(interval, samples.tolist()))
    assert abs(covered / 2000 - 0.95) < 0.015


def test_a_proportion_is_wilsons():
    """A worked value: 8 of 10, z = 1.959964."""
    found = proportion_interval(8, 10)
    z2 = 1.959964**2
    middle, half = (0.8 + z2 / 20) / (1 + z2 / 10), (z2 * (0.8 * 0.2 / 10 + z2 / 400)) ** 0.5 / (1 + z2 / 10)
    assert found == pytest.approx((0.8, middle - half, middle + half), abs=1e-6)
    assert proportion_interval(0, 300).high < 0.013 and proportion_interval(300, 300).low > 0.987


# -- malformed input ---------------------------------------------------------------------------------------------

FEATURES, LABELS = torch.zeros(4, 3), torch.tensor([0, 1, 0, 1])
ORBITS = torch.zeros(4, 3, 4), LABELS


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("encoder", lambda: extract(abs, images())),
        ("images", lambda: extract(GroupCNN(C4), None)),
        ("batch_size", lambda: extract(GroupCNN(C4), images(), 0)),
        ("encoder", lambda: recalibrated("net", images())),
        ("features", lambda: knn_probe(torch.zeros(4, 3, 2), LABELS)),
        ("labels", lambda: knn_probe(FEATURES, LABELS[:3])),
        ("labels", lambda: knn_probe(FEATURES, LABELS.float())),
        ("neighbours", lambda: knn_probe(FEATURES, LABELS, 5)),
        ("labels", lambda: linear_probe(FEATURES, LABELS[:2], (FEATURES, LABELS))),
        ("validation", lambda: linear_probe(FEATURES, LABELS, FEATURES)),
        ("neighbours", lambda: orbit_knn_accuracy(C4, ORBITS, ORBITS, 5)),
        ("dimension", lambda: probe_orientations(GroupCNN(C4), Splits(*[bars(9, 0)] * 3), C4, 33)),
        ("group", lambda: orientations("C4", images())),
        ("values", lambda: interval([1.0])),
        ("values", lambda: interval([1.0, float("nan")])),
        ("reference", lambda: paired_interval([1.0, 2.0], [1.0])),
        ("hits", lambda: proportion_interval(11, 10)),
    ],
)
def test_malformed_input_is_named(as_a_user, argument, call):
    with pytest.raises((TypeError, ValueError), match=f"^{argument} must"):
        call()
