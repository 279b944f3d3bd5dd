"""Real handwritten digits that work with the network off."""

import torch
import torch.nn.functional as F

from eqssl_edu.data.sets import ImageSet, Splits
from eqssl_edu.errors import need_integer, typed
from eqssl_edu.tables import table

__all__ = ["digits"]


@typed
@table
def digits(size: int = 16) -> Splits:
    """The 1,797 real handwritten digits that scikit-learn ships, enlarged from 8 x 8; values in [0, 1].

    1,297 to train, 200 to choose hyper-parameters, 300 to report; always the same split, in random order.

    Arguments:
        size: side of the enlarged images in pixels, at least 8 (bilinear).

    References:
        Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
        The writers of scikit-learn's copy are not named, so the split cannot keep them apart.

    Example:
        >>> digits(16).train.images.shape
        torch.Size([1297, 1, 16, 16])
    """
    need_integer("size", size, 8, 512)  # the side of the originals; 2 GB
    from sklearn.datasets import load_digits  # scikit-learn takes a second to import: only where it is used

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float()[:, None] / 16
    images = F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    images = images.to(torch.get_default_dtype())
    labels = torch.from_numpy(bunch.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    names = tuple(map(str, range(10)))
    parts = [ImageSet(images[part], labels[part], names) for part in order.split([1297, 200, 300])]
    return Splits(*parts)
