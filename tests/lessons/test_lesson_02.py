"""The pictures and measurements of notebooks 2 to 2d."""

import torch

from eqssl_edu import layers
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_02 as lesson
from eqssl_edu.lessons import reading_digits


def test_pictures_say_what_they_show():
    explorer = lesson.lifted(torch.randn(1, 1, 3, 3))
    explorer.set_state(digit=3, g=2)
    assert "the old map e is now map r180" in explorer.readout
    for group, moved in ((cyclic(4), "r90: from e"), (dihedral(4), "m: from e")):
        assert moved in lesson.twist_and_shift(group).readout
    table = lesson.strides()
    table.set_state(stride=1)
    assert "off" not in table.readout
    x = torch.rand(1, 1, 8, 8)
    planes = lesson.filter_and_turn(lambda x: x.flip(-1), x, cyclic(4)).data
    assert torch.equal(torch.tensor(planes[3].z), torch.tensor(planes[2].z) - torch.tensor(planes[1].z))


def test_what_is_measured_leaves_the_layers_as_they_were():
    layer = layers.GroupConv2d(cyclic(4), 1, 1, 3, padding=1)
    before = layer.weight.clone()
    assert lesson.kernel_rank(layer) == 36 and torch.equal(layer.weight, before)
    assert len(lesson.left_and_right({"right": layer}).data) == 2


def test_two_letters_of_which_one_is_turned():
    upright, turned = lesson.two_letters()[:, 0]
    assert torch.equal(upright[:, :10], turned[:, :10]) and not torch.equal(upright, turned)


def test_a_run_of_ones_own_is_decided_by_its_seed_and_marked_among_the_others(monkeypatch):
    monkeypatch.setattr(reading_digits, "BATCH", 400)  # a few steps are enough
    torch.manual_seed(1)
    first = reading_digits.train_one("CNN, equal parameters", 50, turned=True)
    torch.manual_seed(2)  # the global generator plays no part
    assert reading_digits.train_one("CNN, equal parameters", 50, turned=True) == first
    stars = [
        trace for trace in reading_digits.runs_chart(first).data if trace.name == "your run" and len(trace.x)
    ]
    assert [star.y[0] for star in stars] == [first["turned"]]
