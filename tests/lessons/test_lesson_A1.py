"""The trainings and pictures of the bug museum: they do what is said of them."""

import pytest
import torch
from torch import nn

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_A1 as lesson
from eqssl_edu.pretext import RotationTask

C4, D4 = cyclic(4), dihedral(4)


def test_a_training_is_decided_by_its_seed_and_leaves_the_network_in_evaluation_mode():
    def run(seed):
        torch.manual_seed(seed)
        network = nn.Sequential(
            lesson.FeatureMaps(GroupCNN(C4, channels=(2, 3))), nn.Flatten(), nn.Linear(3 * 4 * 64, 4)
        )
        accuracy = lesson.learn_rotation(network, seed, steps=3)
        assert not network.training
        return accuracy, float(network[-1].weight.detach().double().sum())

    assert run(1) == run(1) != run(2)


def test_every_case_is_every_label_of_every_image():
    images = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 1, 2, 2) + torch.arange(4.0).reshape(2, 2)
    inputs, labels = lesson.every_case(RotationTask(C4), images)
    assert labels.tolist() == [g for g in range(4) for _ in range(3)]
    for i, (picture, label) in enumerate(zip(inputs, labels.tolist(), strict=True)):
        assert torch.equal(picture, C4.transform(images[i % 3], label))


def test_pipelines_get_the_same_images_and_turns():
    seen = {}

    def pipeline(name):
        def draw(images, turns, generator):
            seen.setdefault(name, []).append((images, turns, torch.rand(1, generator=generator)))
            return images, turns

        return draw

    losses = lesson.loss_curves({"one": pipeline("one"), "other": pipeline("other")}, 0, steps=2)
    assert losses["one"] == losses["other"] and len(losses["one"]) == 2 == len(losses["as it was"])
    for one, other in zip(seen["one"], seen["other"], strict=True):
        assert all(map(torch.equal, one, other))
    assert not torch.equal(seen["one"][0][1], seen["one"][1][1])


def test_curves_say_how_they_end(capsys):
    figure = lesson.curves({"one": 20 * [1.0], "other": 10 * [2.0] + 10 * [0.5]})
    assert "one: 1.000 nats" in (said := capsys.readouterr().out) and "other: 0.500" in said
    assert len(figure.data) == 2 and figure.layout.shapes


def test_mirrored_digits_come_both_ways():
    images = lesson.mirrored_digits()
    assert torch.equal(images[12:], images[:12].flip(-1))


def test_mirrors_draws_every_state():
    drawing = lesson.mirrors()
    for mirror, cap in zip(lesson.MIRRORS, ("50%", "100%", "50%"), strict=True):
        drawing.set_state(mirror=mirror)
        assert drawing.values["html"].count("alt=") == 3 and f"Best accuracy {cap}" in drawing.readout


def test_a_chart_of_seeds_prints_its_interval(capsys):
    lesson.seeds_chart(torch.tensor([[60.0, 61, 62], [70, 71, 72]]))
    assert "[61.0, 71.0]" in (said := capsys.readouterr().out) and "66.0 %" in said


def test_a_probe_reads_what_is_there():
    from eqssl_edu.data import digits

    data = digits(16)
    train, test = (nn.functional.one_hot(part.labels, 10).float() for part in (data.train, data.test))
    assert lesson.probe_accuracy(train, test, 0) == 100
    assert lesson.probe_accuracy(torch.zeros_like(train), torch.zeros_like(test), 0) < 20


def test_escnns_layers_as_they_come():
    pytest.importorskip("eqssl_edu.steerable", exc_type=ImportError)
    from eqssl_edu.lessons import notebook_A1b as escnn

    assert escnn.head_error(GSet.grid(D4, 3).action, D4) < 1e-12
    assert escnn.head_error(GSet.grid(C4, 3).action[[0, 2, 1, 3]], C4) > 0.1
    assert escnn.maps_of(escnn.new_layer(0), torch.ones(2, 1, 8, 8)).shape == (2, 8, 6, 6)
    assert escnn.strict_loading("train", "train") == escnn.strict_loading("eval", "eval") == "loaded"
    assert (
        "loaded" != escnn.strict_loading("train", "eval") != escnn.strict_loading("eval", "train") != "loaded"
    )
