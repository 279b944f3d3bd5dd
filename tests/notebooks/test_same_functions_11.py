"""The functions that notebook 11 builds are the lesson's."""

import pytest
import torch
from same import noise

from eqssl_edu.lessons import campaign_runs as campaign
from eqssl_edu.lessons import notebook_11 as lesson

SOURCE = "11_what_was_learned.py"


@pytest.mark.parametrize("k", [1, 7, 60])
def test_neighbours(notebook, k):
    s, labels = noise(50, 60).tanh(), torch.arange(60) * 3 % 10
    assert torch.equal(notebook["neighbours"](s, labels, k), lesson.library_neighbours(s, labels, k))


def test_votes_of_float32_do_not_overflow(notebook):
    s, labels = noise(50, 60).tanh().float(), torch.arange(60) % 10
    assert torch.equal(notebook["neighbours"](s, labels, 9), lesson.library_neighbours(s, labels, 9))


def test_holm(notebook):
    for count in range(12):
        p = noise(count, seed=count).abs().mul(0.2).clamp(max=1).tolist()
        assert notebook["holm"](p) == campaign.library_holm(p)
