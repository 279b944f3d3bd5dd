"""Contrastive trainings on letters: data, views, models, what they can do, and the runs of notebooks 08 and 08c."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE, Loss, orbit_correlation
from eqssl_edu.contrastive.features import unit
from eqssl_edu.data import ImageSet, glyph_atlas
from eqssl_edu.diagnostics import irrep_energy, matched_temperature
from eqssl_edu.encoders import Encoder, GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract, linear_probe, orbit_knn_accuracy, recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GroupMLP
from eqssl_edu.shapes import Features, Images
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView

__all__ = [
    "C4",
    "KINDS",
    "ONE_WAY_UP",
    "SEEDS",
    "TEMPERATURES",
    "VIEWS",
    "WAYS",
    "Pairs",
    "found",
    "judged",
    "letters",
    "make_runs",
    "matched",
    "new_model",
    "one_run",
    "pair_features",
    "pairs",
    "pairs_of_views",
    "partners_found",
    "pooled",
    "poses_read",
    "probe",
    "runs",
    "training",
    "turns_read",
    "untrained_features",
    "untrained_model",
    "untrained_run",
]

C4 = cyclic(4)
KINDS = ("plain", "mean", "max")
CHANGES = {  # what a view changes
    "scale": 0.15,
    "shift": 0.08,
    "contrast": 0.3,
    "noise": 0.05,
    "crop": 0.1,
    "rotation": 10,
    "texture": 0.5,
}
VIEWS = {"upright": RandomView(**CHANGES), "turned": RandomView(C4, **CHANGES)}
EPOCHS, BATCH, RATE = 12, 52, 1e-2  # 7 steps in an epoch
TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.5)
SEEDS = range(1, 26)  # of the shipped runs; 0 is the reader's own
TABLE = Path(__file__).with_suffix(".json")
WAYS = (("untrained", ""), ("plain", "turned"), ("mean", "turned"), ("max", "turned"), ("plain", "upright"))


@typed
def letters(part: str) -> ImageSet:
    """The capital letters in the typefaces of a part ("train": 14, "validation" and "test": 4), 16 x 16 pixels."""
    drawings = F.avg_pool2d(glyph_atlas("capitals", part, 32), 2)  # (typeface, letter, 16, 16)
    return ImageSet(drawings.flatten(0, 1)[:, None], torch.arange(26).repeat(len(drawings)))


@typed
def new_model(loss: Loss, views: str, seed: int) -> ContrastiveModel:
    """A new C4 encoder (24 channels) with a projector (32 channels), for a loss and "upright" or "turned" views."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ContrastiveModel(
            GroupCNN(C4, channels=(6, 12, 24)), loss, VIEWS[views], GroupMLP(C4, (24, 64, 32))
        )


@typed
def training(model: ContrastiveModel, seed: int, epochs: int = EPOCHS, rate: float = RATE) -> Pretrainer:
    """The training of a model on the training letters, not yet begun."""
    return Pretrainer(model, letters("train").images, epochs=epochs, batch_size=BATCH, lr=rate, seed=seed)


@typed
def untrained_model(seed: int) -> ContrastiveModel:
    """A new model that has learned nothing: only its batch norms know the letters."""
    return recalibrated(new_model(InfoNCE(C4, "max"), "turned", seed), letters("train").images)


@typed
def untrained_features(seed: int) -> Features:
    """Projector features (200, 32, 4) of turned views of training letters, of an untrained model."""
    images = letters("train").images[:200]
    return extract(untrained_model(seed), VIEWS["turned"](images, torch.Generator().manual_seed(seed)))


@typed
def matched(similarity: str, seed: int) -> float:
    """The temperature at which a similarity has, on those features, the gap / t of "plain" at 0.2."""
    return matched_temperature(C4, untrained_features(seed), similarity, 0.2)


@typed
def pairs_of_views(
    model: ContrastiveModel, seed: int, rounds: int = 4
) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
    """Projector features of two turned views of each test letter, and the relative turns a b^-1; each time others."""
    draws, images = torch.Generator().manual_seed(seed), letters("test").images
    for _ in range(rounds):
        (x1, a), (x2, b) = (VIEWS["turned"].sample(images, draws) for _ in range(2))
        yield extract(model, x1), extract(model, x2), C4.product[a, C4.inverse[b]]


@typed
def partners_found(model: ContrastiveModel, seed: int) -> float:
    """How often a turned view of a test letter finds its partner among 207 views, by the model's own similarity."""
    hits = []
    for z1, z2, _ in pairs_of_views(model, seed):
        logits, partner = model.loss.logits(z1, z2)
        hits.append((logits.argmax(dim=1) == partner).double().mean())
    return float(torch.stack(hits).mean())


ONE_WAY_UP = torch.tensor([letter not in "HINOSXZ" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"])


@typed
def turns_read(model: ContrastiveModel, seed: int) -> dict[str, float]:
    """How often the largest value of kappa stands at the true relative turn: of HINOSXZ, and of all other letters."""
    right = torch.stack(
        [
            orbit_correlation(C4, z1, z2).diagonal().T.argmax(dim=1) == turn
            for z1, z2, turn in pairs_of_views(model, seed)
        ]
    ).double()
    one_way_up = ONE_WAY_UP[letters("test").labels]
    return {
        "turns": float(right[:, one_way_up].mean()),
        "turns of HINOSXZ": float(right[:, ~one_way_up].mean()),
    }


@typed
def pooled(encoder: Encoder, images: Tensor) -> Tensor:
    """What the probe reads: mean and maximum over the group of the *encoder's* features, (B, 48)."""
    features = extract(encoder, images)
    return torch.cat([features.mean(dim=2), features.amax(dim=2)], dim=1)


@typed
def probe(encoder: Encoder, seed: int) -> float:
    """Accuracy of a linear probe of the letter on ``pooled`` features, on upright views of the test letters."""
    draws, sets = torch.Generator().manual_seed(seed), {}
    for part, copies in (("train", 2), ("validation", 2), ("test", 3)):
        images, labels = letters(part)
        views = VIEWS["upright"](images.repeat(copies, 1, 1, 1), draws)
        sets[part] = pooled(encoder, views), labels.repeat(copies)
    classifier = linear_probe(*sets["train"], sets["validation"], (0.01, 0.1))
    read = torch.as_tensor(classifier.predict(sets["test"][0].numpy()))
    return float((read == sets["test"][1]).double().mean())


class Pairs(NamedTuple):
    """An F and an R, each in an image of its own, the R turned by a pose more than the F."""

    first: Images
    second: Images
    poses: Int64[Tensor, " batch"]


@typed
def pairs(part: str, copies: int, seed: int) -> Pairs:
    """Views of F and R in the typefaces of a part: F turned by any element, R by its pose more."""
    images, labels = letters(part)
    draws = torch.Generator().manual_seed(seed)
    both = []
    for letter in "FR":
        chosen = images[labels == ord(letter) - ord("A")].repeat(4 * copies, 1, 1, 1)
        both.append(VIEWS["upright"](chosen, draws))
    count = len(both[0])
    poses = torch.arange(4 * copies).remainder(4).repeat_interleave(count // (4 * copies))
    turns = torch.randint(4, (count,), generator=draws)
    return Pairs(C4.transform(both[0], turns), C4.transform(both[1], (turns + poses) % 4), poses)


@typed
def pair_features(encoder: Encoder, given: Pairs) -> Features:
    """The *encoder's* features of both letters side by side as channels, (B, 48, 4), of length 1."""
    return unit(torch.cat([unit(extract(encoder, x)) for x in given[:2]], dim=1))


@typed
def poses_read(encoder: Encoder, seed: int) -> dict[str, float]:
    """How often the pose is read: by nearest orbits, and by a linear probe on pooled features (mean and maximum)."""
    sets = [pairs(part, copies, seed) for part, copies in (("train", 4), ("validation", 4), ("test", 12))]
    z, labels = [pair_features(encoder, each) for each in sets], [each.poses for each in sets]
    flat = [torch.cat([each.mean(dim=2), each.amax(dim=2)], dim=1) for each in z]
    classifier = linear_probe(flat[0], labels[0], (flat[1], labels[1]), (0.01, 0.1))
    read = torch.as_tensor(classifier.predict(flat[2].numpy()))
    orbits = orbit_knn_accuracy(C4, (z[0], labels[0]), (z[2], labels[2]), neighbours=1)
    return {"nearest orbits": orbits, "pooled probe": float((read == labels[2]).double().mean())}


@typed
def judged(model: ContrastiveModel, seed: int) -> dict[str, float]:
    """What a model can do: partners, the probe, turns, poses; and its projector's trivial share of the energy."""
    energy = irrep_energy(C4, next(iter(pairs_of_views(model, seed)))[0])
    found = {"partners": partners_found(model, seed), "probe": probe(model.encoder, seed)}
    found["trivial energy"] = energy["trivial"] / sum(energy.values())
    return found | turns_read(model, seed) | poses_read(model.encoder, seed)


@typed
def one_run(similarity: str, views: str, temperature: float | None, seed: int) -> dict:
    """One training with InfoNCE, to its end; without a temperature, the one that is matched on untrained features."""
    t = temperature or matched(similarity, seed)
    model = new_model(InfoNCE(C4, similarity, t), views, seed)
    for _ in training(model, seed).steps():
        pass
    return {"similarity": similarity, "views": views, "temperature": t, "seed": seed, **judged(model, seed)}


@typed
def untrained_run(seed: int) -> dict:
    """The same of a network that has learned nothing."""
    return {"similarity": "untrained", "views": "", "seed": seed, **judged(untrained_model(seed), seed)}


@typed
def make(file: Path, jobs: Mapping[str, Callable[[], dict]]) -> None:
    """Run the jobs that a json file of runs does not hold yet, one after the other; it may be stopped at any time."""
    runs = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for name, job in jobs.items():
        if name not in runs:
            runs[name] = {
                key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in job().items() if v != ""
            }
            lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(run)}" for key, run in runs.items())
            file.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


def make_runs() -> None:
    """The runs of ``contrastive_letters.json``: seeds at matched temperatures, and three at each of five others."""
    jobs = {}
    for seed in SEEDS:
        for kind, views in WAYS[1:]:
            jobs[f"{kind}, {views}, {seed}"] = lambda a=(kind, views, None, seed): one_run(*a)
        jobs[f"untrained, {seed}"] = lambda seed=seed: untrained_run(seed)
        for kind in KINDS if seed <= 3 else ():
            for t in TEMPERATURES:
                jobs[f"{kind}, t = {t}, {seed}"] = lambda a=(kind, "turned", t, seed): one_run(*a)
    make(TABLE, jobs)


@cache
def runs() -> dict[str, dict]:
    """The shipped runs by name, as ``make_runs`` makes them."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


@typed
def found(similarity: str, views: str, measure: str, temperature: float | None = None) -> list[float]:
    """One number for each seed: at the matched temperature, or at a given one."""
    if similarity == "untrained":
        name = "untrained"
    else:
        name = f"{similarity}, t = {temperature}" if temperature else f"{similarity}, {views}"
    return [run[measure] for key, run in runs().items() if key.rpartition(", ")[0] == name]
