"""What notebook 03 measures with is the library's measure, on many more cases."""

import pytest
import torch

from eqssl_edu.diagnostics import rotation_error
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_03 as lesson
from eqssl_edu.rotate import rotate

SOURCE = "03_seeing_equivariance.py"
ANGLES = [0.0, 30.0, 90.0, 135.0, 200.0, 360.0]


@pytest.fixture(params=[cyclic(1), cyclic(4), dihedral(2)], ids=lambda group: group.name)
def encoder(request):
    torch.manual_seed(0)
    return GroupCNN(request.param, channels=(2, 3)).double().eval()


def images(side=12):
    return torch.rand(2, 1, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("side", [9, 12])
@pytest.mark.parametrize("degrees", ANGLES)
def test_masked_error(notebook, encoder, side, degrees):
    x = images(side)

    def f(x):  # a group axis is a channel more here
        return encoder.feature_maps(x).flatten(1, 2)

    error = notebook["masked_error"](f, x, degrees)
    assert float(error.detach()) == pytest.approx(
        rotation_error(f(rotate(x, degrees)), f(x), degrees), rel=1e-9
    )


def test_error_curve(notebook, encoder):
    arguments = (encoder.feature_maps, images(), ANGLES, encoder.group)
    curve = notebook["error_curve"](*arguments)
    assert curve == pytest.approx(lesson.error_curve(*arguments), rel=1e-9)
    assert curve[0] == curve[-1] == 0 < curve[1]
