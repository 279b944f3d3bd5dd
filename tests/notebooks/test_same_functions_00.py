"""What the student writes in the tour, solved, is what the library has: on many more cases."""

import pytest
import torch

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GSetHead

SOURCE = "00*.py"
C4 = cyclic(4)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("a", range(4))
def test_turned(notebook, a):
    features = noise(5, 3, 4)
    assert torch.equal(notebook["turned"](features, a), C4.transform_features(features, a))


def test_head(notebook):
    mine, theirs = notebook["Head"](3).double(), GSetHead(GSet.regular(C4), 3).double()
    with torch.no_grad():
        theirs.weight.copy_(mine.template[:, C4.inverse])  # W[c, g^-1 l] there, W[c, l^-1 g] here
    features = noise(7, 3, 4)
    torch.testing.assert_close(mine(features), theirs(features), rtol=1e-12, atol=1e-12)


def test_kappa(notebook):
    z, w = noise(5, 3, 4), noise(6, 3, 4, seed=1)
    torch.testing.assert_close(notebook["kappa"](z, w), orbit_correlation(C4, z, w), rtol=1e-12, atol=1e-12)
