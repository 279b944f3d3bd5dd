"""What a training step costs, computed: FLOPs, bytes held, bytes sent. ``scaling.py`` measures them.

FLOPs are two for each multiply-add of convolutions and matrix products, which is what torch's counter counts; norms,
ReLUs, pooling and exponentials are not in them. Symbols: |G| is ``order``, V ``views`` (images that an encoder sees in
a step), D = C|G| the ``length`` of their features, P ``processes``.
"""

from __future__ import annotations

from typing import NamedTuple

from eqssl_edu.encoders import GroupCNN, GroupResNet

WORKED_ON = {
    "plain": 4,
    "max": 4,
    "soft": 6,
}  # buffers of all correlations of a chunk that are alive together


class Layer(NamedTuple):
    """A group convolution that keeps the side, its norm, and what follows before the next one."""

    order: int
    planes_in: int  # C|G|, or the channels of the images
    planes_out: int  # C'|G|
    kernel: int
    side: int  # of the maps, in pixels
    relu: bool = True
    halved: bool = False

    @property
    def copies(self) -> int:
        """Entries of the expanded kernel, (C'|G|, C|G|, k, k); one in |G| of them is a weight."""
        return self.planes_in * self.planes_out * self.kernel**2

    @property
    def multiplications(self) -> int:
        """Of one image: the expanded kernel meets every pixel."""
        return self.copies * self.side**2

    @property
    def kept(self) -> int:
        """Entries of one image that wait for the backward pass: what the norm, the pooling and their followers read."""
        half = (self.side + 1) // 2
        return self.planes_out * ((1 + self.relu) * self.side**2 + self.halved * half**2)


def layers(encoder: GroupCNN | GroupResNet, side: int) -> list[Layer]:
    """The convolutions, first to last, for images of this side."""
    order, planes, found = encoder.group.order, encoder.in_channels, []

    def add(width: int, kernel: int = 3, **how: bool) -> int:
        found.append(Layer(order, planes, width * order, kernel, side, **how))
        return width * order

    if isinstance(encoder, GroupCNN):
        for stage, width in enumerate(encoder.channels, 1):
            planes = add(width, encoder.kernel_size, halved=stage < len(encoder.channels))
            side = (side + 1) // 2
        return found
    planes = add(encoder.width)
    for width in (encoder.width * factor for factor in (1, 2, 4, 8)):
        for block in (1, 2):
            if planes != width * order:
                add(width, 1, relu=False)
            planes = add(width)
            add(width, halved=block == 2 and width < encoder.out_channels)
        side = (side + 1) // 2
    return found


# -- the encoder ---------------------------------------------------------------------------------------------------


def parameters(network: list[Layer]) -> int:
    """Weights, and scale and shift of each channel's norm."""
    return sum((layer.copies + 2 * layer.planes_out) // layer.order for layer in network)


def forward_flops(network: list[Layer], views: int) -> int:
    return 2 * views * sum(layer.multiplications for layer in network)


def encoder_flops(network: list[Layer], views: int) -> int:
    """Forward and backward: the gradients of weights and of maps cost a forward each; images need none."""
    return 3 * forward_flops(network, views) - forward_flops(network[:1], views)


def view_flops(network: list[Layer]) -> int:
    return encoder_flops(network, 1)


def view_kept(network: list[Layer], itemsize: int = 2) -> int:
    """Bytes of one image that wait for the backward pass: itself, and the maps."""
    image = network[0].planes_in * network[0].side ** 2
    return itemsize * (image + sum(layer.kept for layer in network))


def encoder_kept(network: list[Layer], views: int, itemsize: int = 4) -> int:
    """Bytes that wait: those of all images, the expanded kernels, and two numbers a channel for the norms."""
    copies, channels = (
        sum(layer.copies for layer in network),
        sum(layer.planes_out // layer.order for layer in network),
    )
    return views * view_kept(network, itemsize) + itemsize * copies + 8 * channels


def encoder_peak(network: list[Layer], views: int, itemsize: int = 4) -> int:
    """Those, the gradients of all weights, and that of the largest map or kernel."""
    largest = max(max(views * layer.planes_out * layer.side**2, layer.copies) for layer in network)
    return encoder_kept(network, views, itemsize) + 4 * parameters(network) + itemsize * largest


def norm_bytes(network: list[Layer]) -> int:
    """Running mean, variance and count of each norm; the first process sends them to every other one at each step."""
    return sum(8 * layer.planes_out // layer.order + 8 for layer in network)


def state_bytes(network: list[Layer]) -> int:
    """What a checkpoint holds: weights, AdamW's two moments and its count for each of three tensors a layer, norms."""
    return 12 * parameters(network) + 12 * len(network) + norm_bytes(network)


def table_bytes(network: list[Layer]) -> int:
    """Where the copies' entries come from: four tables (there and back, two layouts) of |G| C|G| k^2 integers."""
    return sum(4 * 8 * layer.order * layer.planes_in * layer.kernel**2 for layer in network)


# -- the pretext head: p parts, features (B, p C, |G|), perhaps h hidden channels, L labels --------------------------


def head_flops(batch: int, order: int, wide: int, hidden: int, labels: int) -> int:
    """Forward and backward; ``wide`` is p C."""
    return 6 * batch * order * (wide * hidden * order + (hidden or wide) * labels)


def head_kept(batch: int, order: int, wide: int, hidden: int, labels: int, parts: int) -> int:
    """Bytes that wait for the backward pass: features before and after the lift, copies of both weights, logits."""
    mlp = order**2 * wide * hidden + 2 * batch * hidden * order + 2 * hidden
    entries = 2 * batch * wide * order + mlp + (hidden or wide) * order * labels + batch * labels
    return 4 * entries + 8 * (batch + order * parts) + 4  # labels, the table of the lift, the sum of weights


# -- the contrastive loss: all pairs of V views; plain is order 1 ---------------------------------------------------


def pairs_flops(views: int, length: int, order: int, chunk: int, processes: int = 1, rank: int = 0) -> int:
    """``InfoNCE``, forward and backward: a chunk meets itself and all later views, once for the normaliser, once (but
    the last) for the slope; then the gradient of the later views, and that of the chunk from those behind it.

    Of 2 P chunks process r takes the r-th from the front and the r-th from behind, and so on with the next 2 P.
    """
    if processes > 1:
        chunk = min(chunk, views // (2 * processes))
    turns = rank, 2 * processes - 1 - rank
    own = [start for i, start in enumerate(range(0, views, chunk)) if i % (2 * processes) in turns]
    total = 0
    for start in own:
        rows, later = min(chunk, views - start), views - start
        again = start != own[-1]
        total += 2 * rows * order * length * (later * (2 + again) + later - rows)
    return total


def pairs_peak(views: int, length: int, order: int, chunk: int, kind: str) -> int:
    """Bytes, about: buffers of a chunk's correlations, its copies and logits twice, the features four times."""
    entries = WORKED_ON[kind] * chunk * views * order + 2 * chunk * (order * length + views)
    return 4 * (entries + 4 * views * length)


def at_once_flops(views: int, length: int, order: int) -> int:
    """The formula with all pairs in memory: a product of V|G| x D x V, and its two gradients."""
    return 6 * views**2 * order * length


def at_once_peak(views: int, length: int, order: int) -> int:
    """Bytes, about: four buffers of V^2 |G|, the turned copies, the features twice; with a group, two of V^2."""
    squares = views**2 * (4 * order + 2 * (order > 1))
    return 4 * (squares + views * length * (order + 2))


# -- several processes ---------------------------------------------------------------------------------------------


def gradients_sent(weights: int, processes: int) -> float:
    """Bytes that each process sends: round a ring, P - 1 times a P-th of the gradients to add up, as often to share."""
    return 2 * (processes - 1) / processes * 4 * weights


def features_sent(views: int, length: int, processes: int, itemsize: int = 4) -> int:
    """Bytes that each process sends: its V / P features to all others, and to each the gradients of theirs."""
    return 2 * (processes - 1) * (views // processes) * length * itemsize


def sightings_sent(views: int, processes: int) -> float:
    """Bytes that each process sends round a ring: of each view its log-sum-exp, its largest logit and whose it is."""
    return 2 * (processes - 1) / processes * (4 + 4 + 8) * views


# -- which term is the limit ---------------------------------------------------------------------------------------


def loss_overtakes(network: list[Layer], length: int, order: int) -> float:
    """Views V at which all pairs cost what the encoder costs; P processes share out both, so for any P.

    With 6 V^2 |G| D FLOPs, as the formula and a GPU's kernels with several pieces take; a CPU's chunks take 4.
    """
    return view_flops(network) / (6 * order * length)


def exchange_overtakes(network: list[Layer], speed: float, bandwidth: float) -> float:
    """Views of a process below which the gradients of many processes take longer to send than to compute."""
    return 8 * parameters(network) / bandwidth / (view_flops(network) / speed)


def gather_overtakes(network: list[Layer], length: int, speed: float, bandwidth: float) -> float:
    """Processes beyond which the features of a view (bfloat16, there and back) take longer to send than to compute."""
    return view_flops(network) / speed / (2 * length * 2 / bandwidth)
