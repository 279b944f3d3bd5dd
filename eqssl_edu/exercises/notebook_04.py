"""The exercises of notebook 04: kernels that are steered, what may follow them, and the same in escnn's words."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from eqssl_edu.diagnostics import turn_features
from eqssl_edu.exercises.judging import ask, judge, need, need_shape, noise, pick
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.layers import GroupConv2d

__all__ = ["base_kernels", "fourier", "norm_relu", "project", "shift", "stage", "steer", "within_reach"]

KERNELS: dict[str, Tensor] = {
    "blur": torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]),
    "edge": torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "saddle": torch.tensor([[0.0, -1, 0], [1, 0, 1], [0, -1, 0]]),
    "one corner": torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    "four corners": torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 0, 1]]),
}


@second_hint(
    "return math.cos(m * angle) * cosine + ...: which weight has the sine, and what is angle in radians?"
)
def steer(answer: object) -> str:
    """A function (cosine, sine, m, degrees) -> the wave of frequency m turned by the angle."""
    angles = torch.linspace(0, 2 * math.pi, 26, dtype=torch.float64)[:25].reshape(5, 5)
    for m, degrees in ((1, 30.0), (3, 30.0), (2, 100.0)):
        cosine, sine, turn = torch.cos(m * angles), torch.sin(m * angles), math.radians(degrees)
        slow = torch.cos(m * angles - turn)
        hints = {
            "It is turned the other way: look at the sign of the sine.": torch.cos(m * (angles + turn)),
            "The weights do not know m. After which angle does a wave of frequency m look as before?": slow,
            "torch.cos and math.cos want radians: math.radians(degrees).": torch.cos(m * (angles - degrees)),
            "Mix the two kernels with the weights of the addition theorem above.": True,
        }
        value, expected = ask(answer, cosine, sine, m, degrees), torch.cos(m * (angles - turn))
        reason = f"For frequency {m} and {degrees:g} degrees the result is not the turned wave."
        judge(value, expected, reason, hints, "height and width")
    return "Right for three frequencies and angles: two stored kernels give all angles."


REACH = ("blur", "edge", "saddle")  # escnn's six 3 x 3 waves lose less than a fifth of these
WHY = {  # with the corners doubled, counter-clockwise from the right
    "blur": "2 all around: wave 0",
    "edge": "2, 2, 0, -2, -2, -2, 0, 2: it rises and falls once, wave 1",
    "saddle": "1, 0, -1, 0, 1, 0, -1, 0: it rises and falls twice, wave 2",
    "one corner": "a single place: a mixture of all waves, the fast ones too",
    "four corners": "0, 2, 0, 2, ...: it rises and falls four times, wave 4, beside its mean",
}


@second_hint("'blur' with its corners doubled is 2 all around: it never rises or falls. That is wave 0.")
def within_reach(answer: object) -> str:
    """The names of the kernels of which escnn's six 3 x 3 waves lose less than a fifth."""
    errors = {name: name not in REACH for name in WHY}
    hint = "Double the corners of each kernel first. Then walk once around: how often do the values rise and fall?"
    return pick(answer, "kernel", errors, WHY, 'Write the names in brackets: ["blur", ...].', hint)


def projected(
    kernel: Tensor,
    group: FiniteGroup,
    rho_out: Tensor,
    rho_in: Tensor,
    turned: Callable | None = None,
    back: Callable = torch.linalg.inv,
) -> Tensor:
    """A kernel (out, in, k, k) averaged over the group: the mean of rho_out(g) k(g^-1 x) rho_in(g)^-1."""
    turned = turned or group.transform
    copies = [
        torch.einsum("ij,jkhw,kl->ilhw", rho_out[g], turned(kernel, g), back(rho_in[g]))
        for g in group.elements
    ]
    return torch.stack(copies).mean(dim=0)


@second_hint(
    'One copy: torch.einsum("ij,jkhw,kl->ilhw", rho_out[g], group.transform(kernel, g), torch.linalg.inv(rho_in[g])).'
)
def project(answer: object) -> str:
    """A function (kernel (out, in, k, k), group, rho_out, rho_in) -> the kernel, averaged over the group."""
    group, angles = cyclic(4), torch.arange(4, dtype=torch.float64) * math.pi / 2
    fields = {
        "numbers": torch.ones_like(angles)[:, None, None],
        "arrows": torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], dim=1).reshape(
            4, 2, 2
        ),
        "group axes": torch.stack(
            [torch.eye(4, dtype=torch.float64).roll(g, dims=0) for g in group.elements]
        ),
    }
    for source, target in (("arrows", "group axes"), ("numbers", "arrows"), ("group axes", "group axes")):
        rho_in, rho_out = fields[source], fields[target]
        kernel = noise(rho_out.shape[1], rho_in.shape[1], 3, 3)
        arguments = (kernel, group, rho_out, rho_in)
        value = ask(answer, *arguments)
        expected, ones = projected(*arguments), torch.eye(len(kernel)).double().expand(4, -1, -1)
        against = projected(*arguments, turned=lambda k, g: group.transform(k, int(group.inverse[g])))
        hints = {
            "The sum is there. A mean also divides by the number of elements.": 4 * expected,
            "k(g^-1 x) is the turned kernel, group.transform(kernel, g).": projected(
                *arguments, turned=lambda k, g: k
            ),
            "On the right stands the inverse of rho_in(g).": projected(*arguments, back=lambda rho: rho),
            "One of the factors turns the other way: on the left stands rho_out(g), k(g^-1 x) is "
            "group.transform(kernel, g).": [
                against,
                projected(kernel, group, rho_out.mT, rho_in),
                projected(kernel, group, rho_out.mT, rho_in.mT),
            ],
            "The numbers at a place must be mixed too: rho_out(g) stands on the left.": projected(
                kernel, group, ones, rho_in
            ),
            "Average rho_out(g) k(g^-1 x) rho_in(g)^-1 over all g of the group.": True,
        }
        reason = f"For a kernel from {source} to {target} the result is not the mean over the group."
        judge(value, expected, reason, hints, "out, in, height and width")
    return "Right for three pairs of fields: it finds every kernel that the constraint allows."


@second_hint(
    "length = v.norm(dim=2, keepdim=True); the bias needs the shape (C, 1, 1, 1): bias[:, None, None, None]."
)
def norm_relu(answer: object) -> str:
    """A function (arrows (B, C, 2, H, W), bias (C,)) -> the arrows with their lengths through ReLU(length - bias)."""
    arrows, bias = noise(2, 3, 2, 4, 4), torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)

    def lengthened(function: Callable, dim: int = 2) -> Tensor:
        length = arrows.norm(dim=dim, keepdim=True)
        return arrows * function(length, bias[:, None, None, None]) / length

    value = need_shape(ask(answer, arrows, bias), (2, 3, 2, 4, 4), "batch, channel, arrow, height and width")
    hints = {
        "ReLU of the two numbers turns the arrow. Change its length alone.": [
            F.relu(arrows),
            F.relu(arrows - bias[:, None, None, None]),
        ],
        "The bias is taken off the length: ReLU(length - bias).": lengthened(lambda r, b: F.relu(r + b)),
        "Arrows shorter than the bias point backwards now. Where is the ReLU?": lengthened(
            lambda r, b: r - b
        ),
        "The length of an arrow is taken over its two numbers, dim=2.": lengthened(
            lambda r, b: F.relu(r - b), dim=1
        ),
        "The result must have the direction v / |v|: divide by the length once.": lengthened(
            lambda r, b: F.relu(r - b) * r
        ),
        "Take one arrow alone. How long is it before, how long after, and where does it point?": True,
    }
    expected = lengthened(lambda r, b: F.relu(r - b))
    judge(
        value,
        expected,
        "These are not the same arrows with the lengths ReLU(length - bias).",
        hints,
        within=1e-3,
    )
    with_zeros = arrows * (torch.arange(4) > 0)
    value = ask(answer, with_zeros, bias)
    hint = "An arrow of length 0 stays 0. What do you divide by there?"
    need(bool(value.isfinite().all()), "Where an arrow is zero, the result is not a number.", hint)
    judge(
        value,
        expected * (torch.arange(4) > 0),
        "Arrows of length 0 do not stay 0.",
        {hint: True},
        within=1e-3,
    )
    return "Right, also for arrows of length 0: only the length changes, so every turn commutes with it."


@second_hint(
    "coefficients = torch.fft.rfft(z); multiply by torch.exp(-1j * m * angle) with m = torch.arange(...); irfft."
)
def shift(answer: object) -> str:
    """A function (samples (..., n) of a function on the circle, degrees) -> the samples of the shifted function."""
    for n, degrees in ((8, 45.0), (8, 10.0), (7, 100.0)):
        group, kept = cyclic(n), (n + 1) // 2  # frequencies below n/2: the samples determine them
        z = torch.fft.irfft(torch.fft.rfft(noise(3, n, seed=n))[:, :kept], n=n)
        value = ask(answer, z, degrees)
        complete = not isinstance(value, Tensor) or n % 2 == 0 or value.shape != (3, n - 1)
        hint = "Without n=... irfft takes the number for even."
        need(complete, f"{n} samples went in, {n - 1} came out.", hint)
        value = need_shape(value, (3, n), "channel and sample")
        factor, mean = math.e ** (-1j * math.radians(degrees)), z.mean(dim=-1, keepdim=True)
        same_factor = [torch.fft.irfft(torch.fft.rfft(z - m) * factor, n=n) + m for m in (mean, 0)]
        in_degrees = turn_features(group, z, math.degrees(degrees))
        whole_places = z.roll(round(degrees * n / 360), dims=-1)
        hints = {
            "It is shifted the other way: the exponent has a minus sign.": turn_features(group, z, -degrees),
            "Every frequency has its own factor: the exponent holds m = 0, 1, 2, ..., too.": same_factor,
            "The angle must be in radians: math.radians(degrees).": in_degrees,
            "That moves whole places only. Between them the Fourier coefficients know the values.": whole_places,
            "A shift gives each coefficient a factor. Which one makes cos(m x) a cos(m (x - angle))?": True,
        }
        reason = f"For {n} samples and {degrees:g} degrees the result is not the shifted function."
        judge(value, turn_features(group, z, degrees), reason, hints)
    return "Right on the samples' own angles and between them."


def sampled(z: Tensor, n: int, function: Callable, kept: int = 4, norm: str = "forward") -> Tensor:
    """A pointwise function of a function on the circle with frequencies 0 .. 3, taken at n angles, from 8 samples."""
    fine = torch.fft.irfft(torch.fft.rfft(z, norm=norm)[..., :4], n=n, norm=norm)
    return torch.fft.irfft(torch.fft.rfft(function(fine), norm=norm)[..., :kept], n=8, norm=norm)


@second_hint(
    'fine = torch.fft.irfft(coefficients[..., :4], n=n, norm="forward"); the way back keeps [..., :4] too.'
)
def fourier(answer: object) -> str:
    """A function (z (..., 8), n, function) -> the samples (..., 8) of function(z), taken at n angles, cut at 3."""
    z = sampled(noise(3, 8), 8, lambda values: values)
    for n, function in ((16, torch.square), (11, F.elu), (16, torch.relu)):
        value = ask(answer, z, n, function)
        hints = {
            f"The function was taken at the 8 samples. Take it at n = {n} angles.": [
                function(z),
                sampled(z, 8, function),
            ],
            'irfft divides by the number of samples: write norm="forward" in all four.': sampled(
                z, n, function, norm="backward"
            ),
            "After the function there are faster waves. Keep the frequencies 0 .. 3.": sampled(
                z, n, function, 5
            ),
            "The function has not been taken.": z,
            "There and back: what are these numbers after each step, and how many?": True,
        }
        reason = f"With n = {n} and {getattr(function, '__name__', 'a function')} the result is another one."
        judge(value, sampled(z, n, function), reason, hints, "channel and sample")
    return "Right for three functions: to n angles, the function, and back to the frequencies 0 .. 3."


@second_hint(
    "outputs = enn.FieldType(plane, channels * [plane.regular_repr]); the norm and the ReLU take outputs."
)
def stage(answer: object) -> str:
    """A function (plane, inputs, channels) -> an escnn module: convolution 5 x 5, batch norm, ReLU."""
    from eqssl_edu.steerable import enn, gspaces

    for order, channels in ((4, 3), (8, 2)):
        plane = gspaces.rot2dOnR2(order)
        inputs = enn.FieldType(plane, [plane.trivial_repr])
        for fields in (inputs, enn.FieldType(plane, channels * [plane.regular_repr])):
            module = ask(answer, plane, fields, channels)
            fine = isinstance(module, enn.EquivariantModule)
            hint = "Return enn.SequentialModule(convolution, norm, relu)."
            need(fine, f"The result must be a module of escnn, not {type(module).__name__}.", hint)
            wanted = enn.FieldType(plane, channels * [plane.regular_repr])
            hint = "A FieldType is made of a list of representations: which one, and how often?"
            need(
                module.in_type == fields,
                "It does not take the fields `inputs`.",
                "R2Conv takes inputs first.",
            )
            need(
                module.out_type == wanted, f"Over C{order} it does not give {channels} regular fields.", hint
            )
            planes = noise(4, fields.size, 8, 8).float()
            with torch.no_grad():
                one, ten = (module.train()(fields(scale * planes)).tensor for scale in (1, 10))
            fine = one.shape == (4, channels * order, 8, 8)
            hint = "A 5 x 5 kernel needs padding=2 to keep the size."
            need(fine, f"Maps of 8 x 8 pixels became {' x '.join(map(str, one.shape[2:]))}.", hint)
            sizes = [m.kernel_size for m in module.modules() if isinstance(m, enn.R2Conv)]
            need(
                sizes == [5],
                f"The kernels have the sizes {sizes}.",
                "One convolution with kernel_size=5 was asked for.",
            )
            need(
                bool((one >= 0).all()), "Some values are negative.", "The ReLU comes last: enn.ReLU(outputs)."
            )
            fine = torch.allclose(one, ten, rtol=0.02, atol=0.02)
            hint = "enn.InnerBatchNorm(outputs) stands between the convolution and the ReLU."
            need(fine, "Ten times larger maps give other values: there is no batch norm.", hint)
    return "Right over C4 and C8, on images and on regular fields: the types say the rest."


@second_hint(
    "expanded[::order] are the copies of the identity, one a channel; unflatten(1, (-1, order)) parts the rest."
)
def base_kernels(answer: object) -> str:
    """A function (expanded (C'|G|, C|G|, k, k), order) -> the base kernels (C', C, |G|, k, k)."""
    for order, inputs, outputs in ((4, 2, 3), (2, 3, 2)):
        layer = GroupConv2d(cyclic(order), inputs, outputs, 3).double()
        base = noise(*layer.weight.shape)
        with torch.no_grad():
            layer.weight.copy_(base)
            expanded = layer.expanded_weight()
        axes = "C', C, |G|, height and width"
        value = need_shape(ask(answer, expanded, order), (outputs, inputs, order, 3, 3), axes)
        hints = {
            "These are the first rows: they belong to the first channels, with all their elements.": expanded[
                :outputs
            ].unflatten(1, (inputs, order)),
            "These copies belong to another element. The identity is element 0.": [
                expanded[g::order].unflatten(1, (inputs, order)) for g in range(1, order)
            ],
            "Plane c * |G| + h is channel c, element h: unflatten to (C, |G|).": expanded[::order]
            .unflatten(1, (order, inputs))
            .transpose(1, 2),
            "Row c' * |G| + g is the copy of output channel c' that belongs to g.": True,
        }
        judge(value, base, f"For {outputs} channels over C{order} these are not the base kernels.", hints)
    return "Right: the copy of the identity is the kernel itself."
