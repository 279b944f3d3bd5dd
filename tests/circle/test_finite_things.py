"""Finite labels are refused over SO(2) and O(2); models of finite labels and of angles take each their own tasks."""

import pytest

from eqssl_edu.circle import o2, so2
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.pretext import AngleTask, PretextModel, RotationTask


def test_a_group_of_all_angles_moves_no_label_of_a_finite_set(as_a_user):
    for group in (so2(3), o2(3)):
        for make in (GSet.regular, RotationTask):
            with pytest.raises(ValueError, match=r"^group must"):
                make(group)
    assert GSet.regular(cyclic(8)).is_transitive  # the must-fail twin: the same table, over C8


def test_models_of_finite_labels_and_of_angles_take_each_their_own_tasks(as_a_user):
    encoder = GroupCNN(cyclic(4), channels=(2, 3))
    with pytest.raises(TypeError, match=r"^task must be a Task, got AngleTask"):
        PretextModel(encoder, AngleTask())
