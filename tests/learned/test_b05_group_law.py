"""B5: the group law of fitted maps is bounded by their errors on *turned* images; an upright fit bounds nothing."""

import torch
from listed import C4, D4, Listed, cards, draw, moved, regular_maps

from eqssl_edu.diagnostics import learned_action
from eqssl_edu.diagnostics.learned_action import action_alone
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic


def lengths(z):
    return torch.linalg.vector_norm(z, dim=-1)


def upright_fit(z):
    """R_g from the pairs (x, gx) with x upright alone; there is no error to speak of."""
    maps = torch.stack([(torch.linalg.pinv(z[:, 0]) @ z[:, g]).T for g in range(z.shape[1])])
    error = max(lengths(z[:, g] - z[:, 0] @ maps[g].T).max() for g in range(z.shape[1]))
    return maps, error


def law(group, maps, z):
    """The largest |(R_g R_h - R_gh) f(x)| / |f(x)|."""
    defects = maps[:, None] @ maps - maps[group.product]
    return (lengths(torch.einsum("ghde,be->ghbd", defects, z)) / lengths(z)).max()


def test_B5_the_law_is_bounded_by_the_errors_on_turned_images():
    torch.manual_seed(0)
    for group in (C4, D4):
        encoder = GroupCNN(cyclic(1), 1, (8, 12)).double().eval()
        images = torch.rand(40, 1, 9, 9, dtype=torch.float64)
        action = action_alone(encoder, images, group, {"the same": images})["the same"]
        zero = torch.zeros(1, 12, dtype=torch.float64)
        maps = [action.act(zero + torch.eye(12), g) - action.act(zero, g) for g in group.elements]
        maps = torch.stack(maps).mT
        with torch.no_grad():
            z = torch.stack([encoder(group.transform(images, k)).flatten(1) for k in group.elements], 1)
        z = z - action.centre
        for g in group.elements:
            for h in group.elements:
                gh = int(group.product[g, h])
                defect = lengths(z[:, 0] @ (maps[g] @ maps[h] - maps[gh]).T)
                turned = lengths(z[:, gh] - z[:, h] @ maps[g].T)  # eps_g(hx)
                others = lengths(z[:, gh] - z[:, 0] @ maps[gh].T)
                first = lengths(z[:, h] - z[:, 0] @ maps[h].T)
                bound = torch.linalg.matrix_norm(maps[g], 2) * first + turned + others
                assert (defect <= bound + 1e-12).all()
                assert g * h == 0 or defect.mean() > 1e-3  # there is something to bound


def test_B5_MF_fitted_on_upright_images_the_error_is_rounding_and_the_law_is_wrong():
    """f(kx) = T_k x with any invertible T_k: each upright pair has a linear map, and they obey no law."""
    z = moved(C4, draw(200, 6), draw(4, 6, 6, seed=1))
    maps, error = upright_fit(z)
    assert error < 1e-12
    assert law(C4, maps, z[:, 0]) > 1
    action = learned_action(Listed(C4, z), cards(200), C4)
    assert action.plain.error > 0.5  # both turned: the fit itself says that there is no linear action


def test_B5_few_images_have_an_upright_fit_whatever_the_network_is():
    """What looks like a law may be a count: as many dimensions as images."""
    z = draw(32, 4, 64)
    maps, error = upright_fit(z)
    assert error < 1e-12
    assert law(C4, maps, z[:, 0]) > 0.5


def test_B5_both_turned_an_action_has_error_and_law_to_rounding():
    for group in (C4, D4):
        z = moved(group, draw(40, 2 * group.order), regular_maps(group, 2))
        plain = learned_action(Listed(group, z), cards(40), group).plain
        assert max(plain.fitted) < 1e-25
        assert max(plain.reported) < 1e-25
        assert plain.law_largest < 1e-25
