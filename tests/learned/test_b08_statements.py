"""B8 to B11: equivariance to *something* is empty; explaining away; a canonicaliser; a turn read off without labels."""

import hashlib
import math
from collections import Counter

import torch
from listed import C4, D4
from torch import nn

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import learned_action
from eqssl_edu.encoders import GroupCNN, SymmetrizedEncoder
from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GSetHead
from eqssl_edu.pretext import PretextModel, RotationTask


def photos(count=48, side=8):
    return digits(side).train.images[:count].double()


# -- B8 -----------------------------------------------------------------------------------------------------------


class Scrambled(nn.Module):
    """The pixels of each picture in an order that its bytes decide: injective, as far as a hash is."""

    def forward(self, images):
        rows = []
        for image in images:
            seed = hashlib.sha256(image.detach().numpy().tobytes()).digest()[:6]
            generator = torch.Generator().manual_seed(int.from_bytes(seed, "big"))
            rows.append(image.flatten()[torch.randperm(image.numel(), generator=generator)])
        return torch.stack(rows)


def test_B8_scrambled_pixels_are_equivariant_to_an_action_and_no_linear_one():
    x = photos(128)
    turned = torch.stack([C4.transform(x, k) for k in C4.elements])
    z = torch.stack([Scrambled()(each) for each in turned])
    keys = [[row.numpy().tobytes() for row in part] for part in z]
    number = {key: i for i, key in enumerate(key for part in keys for key in part)}
    assert len(number) == 4 * len(x)  # injective on these pictures and their turns
    # So f(x) -> f(gx) is a map of the features: the action. It obeys the law.
    actions = []
    for g in C4.elements:
        action = {}
        for h in C4.elements:
            for i in range(len(x)):
                action[number[keys[h][i]]] = number[keys[int(C4.product[g, h])][i]]
        actions.append(action)
    for g in C4.elements:
        for h in C4.elements:
            gh = actions[int(C4.product[g, h])]
            assert all(actions[g][actions[h][i]] == gh[i] for i in number.values())
    fit = learned_action(Scrambled(), x, C4)
    assert fit.plain.error > 0.9
    assert fit.whitened.error > 0.9
    plain = learned_action(nn.Flatten(), x, C4)  # must fail: the pixels themselves have a linear action
    assert plain.plain.error < 1e-25


# -- B9 -----------------------------------------------------------------------------------------------------------


def entropy(outcomes):
    counts = torch.tensor(list(Counter(outcomes).values()), dtype=torch.float64)
    return float(torch.special.entr(counts / counts.sum()).sum())


def test_B9_knowing_the_letter_explains_the_turn_away():
    """b, d, p, q times four turns are 8 pictures: turn and class tell nothing of each other until one looks."""
    b = torch.zeros(5, 5)
    b[:, 1] = b[2:, 3] = b[2, 2] = b[4, 2] = 1
    flip = D4.transform(b, 4)
    letters = {"b": b, "d": flip, "p": C4.transform(flip, 2), "q": C4.transform(b, 2)}
    cases = [
        (turn, name, tuple(C4.transform(letter, turn).flatten().tolist()))
        for name, letter in letters.items()
        for turn in C4.elements
    ]
    A, C, X = zip(*cases, strict=True)
    assert len(set(X)) == 8
    H = {
        "A": entropy(A),
        "A|C": entropy(zip(A, C, strict=True)) - entropy(C),
        "A|X": entropy(zip(A, X, strict=True)) - entropy(X),
        "A|X,C": entropy(cases) - entropy(zip(X, C, strict=True)),
    }
    wanted = {"A": math.log(4), "A|C": math.log(4), "A|X": math.log(2), "A|X,C": 0}
    assert all(abs(H[name] - value) < 1e-14 for name, value in wanted.items())
    assert H["A"] - H["A|C"] == 0 < H["A|X"] - H["A|X,C"]  # I(A; C) = 0 and I(A; C | X) = log 2


def test_B9_MF_letters_that_are_no_turns_of_each_other_explain_nothing():
    F = torch.zeros(5, 5)
    F[:, 1] = F[0, 1:4] = F[2, 1:3] = 1
    letters = {"F": F, "F mirrored": D4.transform(F, 4)}
    cases = [
        (turn, name, tuple(C4.transform(letter, turn).flatten().tolist()))
        for name, letter in letters.items()
        for turn in C4.elements
    ]
    A, C, X = zip(*cases, strict=True)
    assert (
        entropy(zip(A, X, strict=True)) - entropy(X) == entropy(cases) - entropy(zip(X, C, strict=True)) == 0
    )


# -- B10 ----------------------------------------------------------------------------------------------------------


def scorer(group, seed=0):
    torch.manual_seed(seed)
    encoder = GroupCNN(group, 1, (3, 4))
    return nn.Sequential(encoder, GSetHead(GSet.regular(group), encoder.out_channels)).double().eval()


class Canonicalized(nn.Module):
    """p(h(x)^-1 x) with h the argmax of the scorer."""

    def __init__(self, group, scorer, module):
        super().__init__()
        self.group, self.scorer, self.module = group, scorer, module

    def forward(self, images):
        return self.module(self.group.transform(images, self.group.inverse[self.scorer(images).argmax(1)]))


def test_B10_the_argmax_of_an_equivariant_scorer_is_a_canonicaliser():
    for group in (C4, D4):
        x = photos(12)
        with torch.no_grad():
            upright = scorer(group)(x).argmax(1)
            for g in group.elements:
                turned = scorer(group)(group.transform(x, g)).argmax(1)
                assert torch.equal(turned, group.product[g, upright])
        assert len(upright.unique()) > 1  # it does not say the same of all


def test_B10_any_network_behind_it_is_invariant_at_once_bit_for_bit():
    torch.manual_seed(1)
    p = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).double()
    for group in (C4, D4):
        network, x = Canonicalized(group, scorer(group), p), photos(12)
        assert all(torch.equal(network(x), network(group.transform(x, g))) for g in group.elements)
        symmetric = torch.stack([group.transform(x, g) for g in group.elements]).mean(0)
        assert torch.allclose(network(symmetric), p(symmetric), atol=1e-12)  # ties: any maximum will do
    task = RotationTask(C4)
    trained = PretextModel(GroupCNN(C4, 1, (3, 4)), task).double().eval()
    network = Canonicalized(C4, trained, p)
    assert torch.equal(network(photos(5)), network(C4.transform(photos(5), 3)))


def test_B10_MF_a_scorer_that_is_not_equivariant_canonicalises_nothing():
    torch.manual_seed(1)
    free = nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).double()
    network, x = Canonicalized(C4, free, nn.Flatten()), photos(12)
    assert not torch.equal(network(x), network(C4.transform(x, 1)))


# -- B11 ----------------------------------------------------------------------------------------------------------


def read_turns(group, encoder, x):
    """argmax_g <f(kx), rho(g) f(x)> for each k: how often it is k."""
    with torch.no_grad():
        right = []
        for k in group.elements:
            kappa = orbit_correlation(group, encoder(group.transform(x, k)), encoder(x))
            right.append((kappa.diagonal().argmax(0) == k).double().mean())
    return torch.stack(right)


def test_B11_regular_features_tell_the_turn_between_two_views_without_labels():
    for group in (C4, D4):
        torch.manual_seed(0)
        for encoder in (
            GroupCNN(group, 1, (3, 4)).double().eval(),
            SymmetrizedEncoder(group, nn.Sequential(nn.Flatten(), nn.Linear(64, 5)).double()),
        ):
            assert (read_turns(group, encoder, photos()) == 1).all()


def test_B11_MF_other_features_tell_it_by_chance():
    torch.manual_seed(0)

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = GroupCNN(cyclic(1), 1, (8, 16)).double().eval()

        def forward(self, x):
            return self.network(x).flatten(1).unflatten(1, (4, 4))

    assert read_turns(C4, Plain(), photos())[1:].mean() < 0.6
