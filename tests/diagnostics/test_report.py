"""The report of a network: errors layer by layer, the first layer that breaks, and the rule that it breaks."""

import re

import pytest
import torch
from torch import nn

from eqssl_edu.contrastive import BYOL, ContrastiveModel
from eqssl_edu.diagnostics import equivariance_report
from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupPool, InvariantHead
from eqssl_edu.pretext import JigsawTask, PretextModel, RotationTask
from eqssl_edu.steerable import SteerableCNN


def images(channels=1, side=16, count=3):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def symmetric(convolution):
    """A convolution whose kernels have the symmetry of the square."""
    with torch.no_grad():
        weight = convolution.weight
        weight += weight.flip(-1)
        weight.copy_(sum(torch.rot90(weight, r, (2, 3)) for r in range(4)))
    return convolution


def rows(model, *arguments, **words):
    return {row.name: row for row in equivariance_report(model, *arguments, **words).rows}


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4), cyclic(2)], ids=lambda group: group.name)
@pytest.mark.parametrize("network", [GroupCNN, GroupResNet])
def test_exact_networks_break_nowhere(group, network):
    torch.manual_seed(0)
    report = equivariance_report(
        network(group, 1, **({"width": 2} if network is GroupResNet else {})), images()
    )
    assert report.first_broken is None
    judged = [row for row in report.rows if row.at_elements is not None]
    assert len(judged) > 6
    assert all(row.at_elements < 1e-5 and not row.breaks and group.name in row.judged_as for row in judged)
    assert all(row.between > 0.01 for row in judged[:3])
    assert judged[-1].name == "output"
    assert judged[-1].judged_as.endswith("features")


def test_a_plain_network_breaks_at_its_first_convolution():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    report = equivariance_report(plain, images())
    assert report.first_broken == "1"
    found = {row.name: row for row in report.rows}
    assert found["0"].at_elements < 1e-5
    assert found["1"].breaks == "its kernels have no symmetry, and no group acts on its channels"
    assert found["2"].breaks == "what comes in: see 1"
    assert found["3"].at_elements is None
    assert found["output"].judged_as == "5 numbers, as invariants"
    assert found["output"].at_elements > 0.01
    assert found["output"].breaks == "what comes in: see 1"


def test_the_rule_is_named_with_the_sizes_that_keep_it():
    torch.manual_seed(0)
    model = nn.Sequential(symmetric(nn.Conv2d(1, 2, 3)), nn.MaxPool2d(3, 2), symmetric(nn.Conv2d(2, 2, 3)))
    assert equivariance_report(model, images(side=17)).first_broken is None
    report = equivariance_report(model, images(side=16))
    assert report.first_broken == "1"
    assert report.rows[1].breaks == "rule E1: exact sizes of its input are 13 and 15"


class Function(nn.Module):
    """A function of the images, and of layers that it is given."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


def test_what_a_forward_does_between_its_layers_is_named():
    layers = symmetric(nn.Conv2d(1, 2, 3)), nn.Tanh()
    positions = Function(lambda x, first, last: last(first(x) + torch.arange(14.0).to(x)), *layers)
    report = equivariance_report(positions, images())
    assert report.first_broken == "layers.1"
    assert "the forward of the network does between its layers" in report.rows[1].breaks


def test_words_of_the_explorer():
    class Clockwise(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 1, 3, 3, generator=torch.Generator().manual_seed(0)))

        def forward(self, x, more=0):
            copies = torch.stack([torch.rot90(self.weight, -r, (2, 3)) for r in range(4)], 1)
            return nn.functional.conv2d(x + more, copies.flatten(0, 1), padding=1).unflatten(1, (3, 4))

    model = Clockwise()
    assert rows(model, images())["output"].at_elements > 0.1
    for order in (None, [0, 3, 2, 1]):
        row = rows(model, images(), group=cyclic(4), group_axis=2, order=order)["output"]
        assert row.at_elements < 1e-5
        assert row.judged_as == "3 x C4, 16 x 16 pixels"
    with_more = rows(model, images(), group=cyclic(4), group_axis=2, forward=lambda m, x: m(x, more=1))
    assert with_more["output"].at_elements < 1e-5


C4 = cyclic(4)


def symmetrised():
    """No layer inside gives maps of the batch: all of them see turned copies."""
    layers = [nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)]
    return SymmetrizedEncoder(C4, nn.Sequential(*layers))


@pytest.mark.parametrize(
    ("network", "names", "judged_as"),
    [
        (symmetrised, ["output"], "5 x C4 features"),
        (lambda: SteerableCNN(C4, 1, (2, 3)), ["output"], "3 x C4 features"),
        (lambda: PretextModel(GroupCNN(C4), RotationTask(C4)), ["head", "output"], "4 labels of C4"),
        (lambda: PretextModel(symmetrised(), RotationTask(C4)), ["head", "output"], "4 labels of C4"),
        (lambda: PretextModel(symmetrised(), RotationTask(C4)), ["encoder"], "5 x C4 features"),
        (lambda: PretextModel(GroupCNN(C4), JigsawTask(C4, 2)), ["output"], "24 labels of C4"),
        (lambda: ContrastiveModel(GroupCNN(C4), BYOL(C4), lambda x, _: x), ["encoder"], "32 x C4 features"),
        (
            lambda: nn.Sequential(symmetrised(), GroupPool(C4), nn.Linear(5, 3)),
            ["output"],
            "3 numbers, as invariants",
        ),
    ],
)
def test_vectors_are_judged_where_their_action_is_known(network, names, judged_as):
    torch.manual_seed(0)
    report = equivariance_report(network(), images())
    found = {row.name: row for row in report.rows}
    assert report.first_broken is None
    for name in names:
        assert found[name].judged_as == judged_as
        assert found[name].at_elements < 1e-5 < found[name].between
        assert not found[name].breaks


def test_vectors_that_move_otherwise_are_named():
    torch.manual_seed(0)
    invariant = PretextModel(GroupCNN(C4), RotationTask(C4), InvariantHead(RotationTask(C4).labels, 32))
    assert equivariance_report(invariant, images()).first_broken == "head"
    dense = rows(nn.Sequential(nn.Flatten(), nn.Linear(256, 5)), images())
    assert dense["output"].breaks == "it does not move with the turn as it should"
    places = nn.Sequential(nn.Conv2d(1, 3, 3), Function(lambda x: x.argmax(1)))
    assert list(rows(places, images())) == ["0"]  # integers are no features


def test_the_model_and_the_random_numbers_stay():
    model = nn.Sequential(GroupCNN(cyclic(4)), nn.Dropout())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(1)
    wanted = torch.rand(2)
    torch.manual_seed(1)
    equivariance_report(model, images())
    assert torch.equal(torch.rand(2), wanted)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_nan_is_named():
    log = Function(lambda x: (x - 2).log())
    report = equivariance_report(nn.Sequential(symmetric(nn.Conv2d(1, 1, 1)), log), images())
    assert report.first_broken == "1"
    assert report.rows[1].breaks == "it gives NaN or infinity"


def test_what_cannot_be_compared_is_not_broken():
    report = equivariance_report(nn.Sequential(nn.ReLU()), -images())
    assert report.first_broken is None
    assert report.rows[0].breaks == "nothing can be compared at the elements"
    assert rows(nn.AvgPool2d(2), images(), group=cyclic(3))["output"].at_elements is None


def test_a_larger_group_asks_a_layer_for_its_own_elements_alone():
    torch.manual_seed(0)
    report = equivariance_report(GroupCNN(cyclic(4)), images(), group=dihedral(4), angles=())
    assert report.first_broken is None
    assert report.heading == "3 images, D4"
    assert report.rows[-1].judged_as == "32 x C4 features"


def test_as_text_and_as_html():
    model = nn.Sequential()
    model.add_module("<b>", nn.Conv2d(1, 2, 3))
    report = equivariance_report(model, images())
    titles = "layer kind judged as at the elements between them what breaks"
    assert str(report).splitlines()[1].split() == titles.split()
    assert "<b> is the first layer that breaks it" in str(report)
    html = report._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert html.count('scope="col"') == 6
    assert html.count('scope="row"') == len(report.rows)
    assert re.search("<caption>3 images, C4, and turns by 15, 45, 75 degrees: &lt;b&gt; is", html)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"images": torch.rand(2, 1, 9, 8)}, r"images must have shape \(B, C, S, S\)"),
        ({"images": torch.rand(0, 1, 8, 8)}, r"len\(images\) must be at least 1, got 0"),
        ({"images": "images"}, "images must be a Float"),
        ({"model": torch.relu}, "model must be a Module"),
        ({"angles": ["x"]}, "angles must be a number, got 'x'"),
        ({"group": "C4"}, "group must be a FiniteGroup"),
    ],
)
def test_doors(as_a_user, words, message):
    with pytest.raises((TypeError, ValueError), match=message):
        equivariance_report(**({"model": GroupCNN(C4), "images": images()} | words))
