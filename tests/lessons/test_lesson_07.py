"""The pictures and experiments of notebooks 07 and 07b."""

import re

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.contrastive import InfoNCE, orbit_correlation
from eqssl_edu.data import digits
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_07 as lesson
from eqssl_edu.lessons import notebook_07b as turns
from eqssl_edu.views import RandomView


@pytest.fixture(scope="module")
def views():
    generator = torch.Generator().manual_seed(0)
    return [RandomView()(digits(16).test.images[:4], generator) for _ in range(2)]


@pytest.fixture(scope="module")
def similarities(views):
    z = F.normalize(torch.cat(views).flatten(1))
    return z @ z.T


def test_every_entry_but_the_diagonal_is_a_number_and_one_of_each_row_is_framed(similarities, views):
    table = lesson.show_similarities(similarities, *views)
    for frame in ("the partner", "the most similar"):
        table.set_state(frame=frame)
        rows = re.findall(r"<tr>.*?</tr>", table.values["html"])[1:]
        assert [len(re.findall(r">-?\d\.\d\d<", row)) for row in rows] == [7] * 8
        assert [row.count("outline:") for row in rows] == [1] * 8
    assert re.findall(r"outline.*?>(.*?)<", rows[2]) == [f"{similarities[2][torch.arange(8) != 2].max():.2f}"]


def test_the_bars_of_a_row_are_its_softmax(similarities, views):
    bars = lesson.ask_a_row(similarities, *views)
    bars.set_state(row=5, temperature=0.1)
    others = torch.arange(8) != 5
    p = (similarities[5].double() / 0.1)[others].softmax(dim=0)
    told = [float(each) for each in re.findall(r"font-size:12px\">([\d.]+)<", bars.values["html"])]
    assert told == pytest.approx(p.tolist(), abs=6e-4)
    assert f"p = {p[1]:.3f}" in bars.readout and "Guessing has 1.95." in bars.readout  # the partner of 5 is 1


def test_views_are_shown_beside_their_image(views):
    shown = lesson.show_views(digits(16).test.images[:4], *views)
    shown.set_state(image=3)
    assert shown.readout == "the image; first view; second view;"


@pytest.fixture(scope="module")
def live():
    """A training that was stopped after its first steps."""
    live = lesson.train(lambda z1, z2, t: ..., seed=0)
    live.stop()
    live.wait()
    return live


def test_the_library_s_loss_takes_the_place_of_an_open_gap(live):
    assert type(live.runs["InfoNCE"].model.loss) is InfoNCE


def test_a_loss_of_one_s_own_is_trained_and_is_the_library_s(views):
    def info_nce(z1, z2, t):
        z = F.normalize(torch.cat([z1, z2]))
        logits = (z @ z.T / t).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
        return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z1)))

    live = lesson.train(info_nce, seed=0)
    live.stop()
    live.wait()
    loss, z = live.runs["InfoNCE"].model.loss, torch.randn(2, 5, 3, 4)
    assert loss.contrast(*z).loss == info_nce(*z.flatten(2), 0.2)
    torch.testing.assert_close(loss.contrast(*z), InfoNCE(cyclic(4), "plain").contrast(*z))


def test_what_was_learned_is_told_for_each_place(live):
    table = lesson.what_was_learned(live, 0)
    assert len(table) == 5 and all(tuple(row) == lesson.LEARNED for row in table.values())
    assert all(-1 <= row["cosine of strangers"] <= 1 for row in table.values())
    cosines = F.cosine_similarity(
        *(digits().test.images.flatten(1)[part] for part in torch.combinations(torch.arange(300)).T)
    )
    assert table["pixels"]["cosine of strangers"] == pytest.approx(float(cosines.mean()), abs=1e-4)


def test_no_turn_is_found_as_by_the_loss(live):
    """The turned partner takes the place of the upright one: turned by 0 it is found as the library says."""
    model = live.runs["InfoNCE"].model.eval()
    generator, view = torch.Generator().manual_seed(3), RandomView()
    first, second = (view(digits().test.images, generator) for _ in range(2))
    with torch.no_grad():
        logits, partner = model.loss.logits(model(first), model(second))
    found = (logits.argmax(dim=1) == partner)[:300].float().mean()
    assert lesson.found_when_turned(live, 0, 3) == pytest.approx(float(found), abs=0.004)


def test_the_row_follows_the_turn_of_the_second_view(live):
    turned = lesson.turn_a_view(live, digits().test.images[:4], 0)
    upright = turned.readout
    turned.set_state(degrees=90)
    assert turned.readout != upright and "The partner is orange" in upright


def test_bars_keep_their_letters():
    z, w = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    bars = turns.eight_bars(dihedral(4), z, w)
    assert re.findall(r"<b style=\"width:14px\">(\w)<", bars.values["html"]) == list("abcdefgh")
    bars.set_state(first=1)
    assert re.findall(r"<b style=\"width:14px\">(\w)<", bars.values["html"]) == list("dabchefg")


def test_products_are_counted():
    def loop(group, z, w):
        return torch.stack(
            [z.flatten(1) @ group.transform_features(w, g).flatten(1).T for g in group.elements], 2
        )

    for kappa in (loop, orbit_correlation):
        assert turns.multiply_adds(kappa, cyclic(4), 8, 3) == 8 * 8 * 4 * 12


def test_a_last_turn_changes_no_gradient_of_an_absorbing_loss():
    changes = turns.change_of_gradient(0)
    assert changes["max"]["turned last"] < 1e-10 < 0.01 < changes["plain"]["turned last"]
