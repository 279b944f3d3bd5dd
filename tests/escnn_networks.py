"""Networks of escnn for the tests of several rooms."""

import torch


def escnn_network(plane, fields):
    from eqssl_edu.steerable import enn

    torch.manual_seed(0)
    images, maps = enn.FieldType(plane, [plane.trivial_repr]), enn.FieldType(plane, 2 * [fields])
    return enn.SequentialModule(
        enn.R2Conv(images, maps, kernel_size=3, padding=1, bias=False),
        enn.InnerBatchNorm(maps),
        enn.ReLU(maps, inplace=True),
        enn.R2Conv(maps, maps, kernel_size=3, padding=1, bias=False),
    )
