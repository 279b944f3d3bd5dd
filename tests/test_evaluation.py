"""Probes and the fair random control: features that hold the class, features that do not, encoders left alone."""

import pytest
import torch
from torch import nn

from eqssl_edu.encoders import GroupCNN, GroupResNet
from eqssl_edu.evaluation import extract, knn_probe, linear_probe, orientations, recalibrated
from eqssl_edu.groups import cyclic, dihedral

C4 = cyclic(4)


def clusters(count=300, classes=3, spread=0.1, seed=0):
    """Features around one centre per class, and the classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    return torch.eye(classes + 2)[labels] + spread * torch.randn(
        count, classes + 2, generator=generator
    ), labels


def random_features(count=300, classes=3, seed=0):
    """Features that know nothing of the classes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 5, generator=generator), torch.randint(classes, (count,), generator=generator)


def split(features, labels):
    return [(features[part], labels[part]) for part in (slice(0, 150), slice(150, 200), slice(200, None))]


def accuracy_of(probe, data):
    train, validation, test = split(*data)
    fitted = linear_probe(*train, validation) if probe == "linear" else knn_probe(*train)
    return fitted.score(test[0].numpy(), test[1].numpy())


@pytest.mark.parametrize("probe", ["linear", "knn"])
def test_probes_read_what_is_there(probe):
    assert accuracy_of(probe, clusters()) == 1.0


@pytest.mark.parametrize("probe", ["linear", "knn"])
def test_probes_find_nothing_in_random_features(probe):
    """The must-fail twin: chance is 1/3 on 100 test samples; 0.15 is three standard deviations."""
    assert abs(accuracy_of(probe, random_features()) - 1 / 3) < 0.15


@pytest.mark.parametrize("probe", ["linear", "knn"])
def test_probes_accept_tensors(probe):
    train, validation, test = split(*clusters())
    fitted = linear_probe(*train, validation) if probe == "linear" else knn_probe(*train)
    assert fitted.score(*test) == 1.0


def test_linear_probe_standardises():
    """A feature in other units does not change what the probe can read."""
    features, labels = clusters(spread=0.3)
    scales = torch.tensor([1.0, 1e4, 1e-4, 1.0, 1.0])
    assert accuracy_of("linear", (features * scales, labels)) == accuracy_of("linear", (features, labels))


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


@pytest.mark.parametrize("batch_size", [1, 3, 500])
def test_extract_is_the_encoder_in_eval_mode(batch_size):
    encoder = partly_frozen()
    features = extract(encoder, images(), batch_size)
    with torch.no_grad():
        assert (features - encoder.eval()(images())).abs().max() < 1e-6
    assert not features.requires_grad


def test_extract_leaves_the_encoder_as_it_was():
    encoder = partly_frozen()
    modes = [module.training for module in encoder.modules()]
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    extract(encoder, images())
    assert [module.training for module in encoder.modules()] == modes
    assert True in modes
    assert False in modes
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())


def test_extract_restores_the_modes_after_an_error():
    encoder = partly_frozen()
    with pytest.raises(ValueError, match="images must have shape"):
        extract(encoder, images(channels=2))
    assert encoder.training


def test_extract_follows_the_encoder_and_comes_back_in_single_precision():
    features = extract(GroupCNN(C4).double(), images())
    assert features.dtype == torch.float32
    assert extract(nn.Flatten(2), images()).shape == (10, 1, 81)  # an encoder without weights


# -- recalibrated ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [lambda: GroupCNN(C4, 1, (3, 4)), lambda: GroupResNet(C4, 1, 1, image_size=16)]
)
def test_recalibrated_knows_the_statistics_of_its_images(make):
    """Before: mean 0, variance 1 assumed. After: every norm gives what it gives in training mode."""
    torch.manual_seed(0)
    encoder, pictures = make().double().eval(), 3 * images(20, size=16).double() + 1
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


def test_recalibrated_does_not_depend_on_dropout_or_on_what_was_learned_before():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Dropout(0.5), GroupCNN(C4, 1, (3, 4))).train()
    first = recalibrated(encoder, images())
    encoder(images(seed=1))  # other statistics
    second = recalibrated(encoder, images())
    assert torch.equal(first[1].stages[1].running_var, second[1].stages[1].running_var)


# -- orientations ------------------------------------------------------------------------------------------------


def test_orientations_are_all_turned_copies_upright_first():
    group = dihedral(4)
    turned = orientations(group, images())
    assert len(turned) == 8
    assert torch.equal(turned[0], images())
    for g in group.elements:
        assert torch.equal(turned[g], group.transform(images(), g))


# -- malformed input ---------------------------------------------------------------------------------------------

FEATURES, LABELS = torch.zeros(4, 3), torch.tensor([0, 1, 0, 1])
MALFORMED = {
    "encoder": (lambda: extract(abs, images()), TypeError, "encoder must be a Module, got <built-in"),
    "images": (lambda: extract(GroupCNN(C4), None), TypeError, "images must be a Tensor, got None"),
    "batch size": (
        lambda: extract(GroupCNN(C4), images(), 0),
        ValueError,
        "batch_size must be at least 1, got 0",
    ),
    "recalibrate": (lambda: recalibrated("net", images()), TypeError, "encoder must be a Module, got 'net'"),
    "one image": (
        lambda: recalibrated(GroupCNN(C4), images(1)),
        ValueError,
        r"images must hold at least two images, got .* \(1, 1, 9, 9\)",
    ),
    "maps": (
        lambda: knn_probe(torch.zeros(4, 3, 2), LABELS),
        ValueError,
        r"features must have shape \(count, feature\).*got features of shape \(4, 3, 2\).*pool the group axis",
    ),
    "count": (
        lambda: knn_probe(FEATURES, LABELS[:3]),
        ValueError,
        r"one label each, .* labels of shape \(3,\)",
    ),
    "none": (lambda: knn_probe(FEATURES[:0], LABELS[:0]), ValueError, "features must have shape"),
    "numpy": (lambda: knn_probe(FEATURES.numpy(), LABELS), TypeError, "features must be a Tensor, got array"),
    "labels": (lambda: knn_probe(FEATURES, LABELS.float()), TypeError, "labels must be a LongTensor"),
    "neighbours": (
        lambda: knn_probe(FEATURES, LABELS, 5),
        ValueError,
        "neighbours must be at most 4, the size of the reference set, got 5",
    ),
    "no neighbour": (
        lambda: knn_probe(FEATURES, LABELS, 0),
        ValueError,
        "neighbours must be at least 1, got 0",
    ),
    "linear": (
        lambda: linear_probe(FEATURES, LABELS[:2], (FEATURES, LABELS)),
        ValueError,
        "features must have",
    ),
    "validation": (
        lambda: linear_probe(FEATURES, LABELS, FEATURES),
        TypeError,
        r"validation must be a pair \(features, labels\), got a torch.float32 tensor",
    ),
    "validation labels": (
        lambda: linear_probe(FEATURES, LABELS, (FEATURES, LABELS[:1])),
        ValueError,
        "features m",
    ),
    "strengths": (
        lambda: linear_probe(FEATURES, LABELS, (FEATURES, LABELS), ()),
        ValueError,
        r"regularization must hold at least one positive number, got \(\)",
    ),
    "strength": (
        lambda: linear_probe(FEATURES, LABELS, (FEATURES, LABELS), (1.0, -1.0)),
        ValueError,
        r"regularization must hold .* got \(1.0, -1.0\)",
    ),
    "orientations": (
        lambda: orientations("C4", images()),
        TypeError,
        "group must be a FiniteGroup, got 'C4'",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_input_is_named(as_a_user, case):
    call, error, message = MALFORMED[case]
    with pytest.raises(error, match=message):
        call()
