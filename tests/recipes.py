"""For every public function, constructor and method: right arguments, small enough to be called thousands of times."""

from __future__ import annotations

import contextlib
import importlib
import io
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from eqssl_edu import (
    circle,
    command,
    contrastive,
    data,
    diagnostics,
    encoders,
    evaluation,
    exercises,
    groups,
    layers,
    learned,
    permutations,
    plots,
    pretext,
    rotate,
    steerable,
    theory,
    training,
    views,
    widgets,
)
from eqssl_edu.command import shell
from eqssl_edu.gsets import GSet
from tools.measure_house import modules

__all__ = ["RARE", "RECIPES", "Recipe", "doors"]

Recipe = tuple[Callable, Callable[[], dict[str, Any]]]
INNER = {
    "errors",
    "colours",
    "shapes",
    "tables",
    "twins",
    "precision",
    "ownership",
    "jupyter",
}  # the house's own
C4, D4, SO2 = groups.cyclic(4), groups.dihedral(4), circle.so2(3)
TILES = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])


def doors() -> dict[str, Any]:
    """Every callable that a room names in ``__all__``, but for records of results."""
    found = {}
    for room in {name.split(".")[1] for name in modules() if "." in name} - INNER:
        module = importlib.import_module(f"eqssl_edu.{room}")
        for name in getattr(module, "__all__", []):
            thing = getattr(module, name)
            record = hasattr(thing, "_fields") or hasattr(thing, "__dataclass_fields__")
            if callable(thing) and not (record and thing is not views.RandomView):
                found[f"{room}.{name}"] = thing
    return found


def x(count: int = 2, channels: int = 1, side: int = 8) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def z(count: int = 6, channels: int = 3, order: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, channels, order, generator=torch.Generator().manual_seed(seed))


def net(group: groups.FiniteGroup = C4) -> nn.Module:
    torch.manual_seed(0)
    return encoders.GroupCNN(group, 1, (2, 3))


def task() -> pretext.Task:
    return pretext.JigsawTask(C4, 2)


def shift(images, labels):
    return torch.stack([a.roll(int(k), -1) for a, k in zip(images, labels, strict=True)])


def model() -> nn.Module:
    torch.manual_seed(0)
    return pretext.PretextModel(net(), task())


def contrast() -> nn.Module:
    torch.manual_seed(0)
    return contrastive.ContrastiveModel(net(), contrastive.InfoNCE(C4), views.RandomView(C4))


def learner() -> nn.Module:
    torch.manual_seed(0)
    plain, loss = net(groups.cyclic(1)), contrastive.InfoNCE(groups.cyclic(1), "plain")
    return learned.LearnedModel(plain, loss, views.RandomView(), learned.RotationHead(C4, 4))


def term(kind: str) -> nn.Module:
    torch.manual_seed(0)
    made = getattr(learned, kind)(C4)
    made.build(8)
    return made


def run() -> training.Pretrainer:
    return training.Pretrainer(model(), x(4), epochs=1, batch_size=4, accelerator="cpu")


def regular() -> GSet:
    return GSet.regular(C4)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def made(build: Callable[[], Any], method: str) -> Callable:
    """A function that makes an object and calls its method."""

    def call(*arguments, **named):
        torch.manual_seed(0)
        return getattr(build(), method)(*arguments, **named)

    call.of = getattr(build(), method)
    return call


def recipe(function: Callable, **arguments: Any) -> Recipe:
    """Arguments that are functions without a name of their own (lambda) are made anew for each call."""
    return function, lambda: {
        name: value() if getattr(value, "__name__", "") == "<lambda>" else value
        for name, value in arguments.items()
    }


def labels(count: int = 6) -> torch.Tensor:
    return torch.arange(count) % 2


def escnn() -> tuple[Any, Any]:
    plane = steerable.gspaces.rot2dOnR2(4)
    fields = (steerable.enn.FieldType(plane, [r]) for r in (plane.trivial_repr, plane.regular_repr))
    return steerable.enn.R2Conv(*fields, 3)


def sets() -> data.Splits:
    return data.Splits(*[data.ImageSet(x(12), labels(12))] * 3)


@cache
def pictures() -> str:
    folder = Path(tempfile.mkdtemp())
    for name in "ab":
        (folder / name).mkdir()
        Image.new("L", (9, 9)).save(folder / name / "0.png")
    return str(folder)


@cache
def kept_run() -> str:
    folder = tempfile.mkdtemp()
    words = ["--data", "digits", "--limit", "8", "--epochs", "1", "--batch_size", "8", "--channels", "[2]"]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        shell.main(["pretrain", *words, "--accelerator", "cpu", "--folder", folder])
    return folder


def angle_model() -> nn.Module:
    torch.manual_seed(0)
    return pretext.AngleModel(net(), pretext.AngleTask("SO2"))


def degrees(count: int = 2) -> torch.Tensor:
    return torch.linspace(10.0, 80.0, count)


def arrows(count: int = 2, *types: int) -> torch.Tensor:
    return torch.randn(count, *types, 2, generator=torch.Generator().manual_seed(0))


TERMS = {
    "SoftEquivariance": {"generator": 1},
    "GramLoss": {},
    "SplitPredictor": {},
    "ContrastivePredictor": {"temperature": 0.2},
    "EquivarianceByContrast": {"temperature": 0.2},
    "RotationHead": {"hidden": 4},
}
LOSSES = {"InfoNCE": {}, "VICReg": {}, "BarlowTwins": {}, "SimSiam": {}, "BYOL": {}, "MoCo": {"size": 8}}
RECIPES: dict[str, Recipe] = {
    "groups.FiniteGroup": recipe(groups.FiniteGroup, rotations=4, reflections=False),
    "groups.cyclic": recipe(groups.cyclic, n=4),
    "groups.dihedral": recipe(groups.dihedral, n=4),
    "groups.tables_on": recipe(groups.tables_on, group=C4, device=torch.device("cpu")),
    "groups.random_integers": recipe(
        groups.random_integers, size=4, images=lambda: x(), generator=lambda: generator()
    ),
    "groups.random_elements": recipe(
        groups.random_elements, group=C4, images=lambda: x(), generator=lambda: generator()
    ),
    "groups.degrees": recipe(C4.degrees, g=1),
    "groups.element_name": recipe(D4.element_name, g=5),
    "groups.generate": recipe(D4.generate, generators=(2, 4)),
    "groups.subgroup": recipe(lambda subgroup: D4.subgroup(subgroup), subgroup=(0, 4)),
    "groups.left_cosets": recipe(D4.left_cosets, subgroup=(0, 4)),
    "groups.transform": recipe(D4.transform, images=lambda: x(), g=5),
    "groups.transform_each": recipe(D4.transform, images=lambda: x(), g=lambda: torch.tensor([1, 5])),
    "groups.transform_features": recipe(D4.transform_features, z=lambda: z(order=8), g=5),
    "groups.transform_maps": recipe(C4.transform_maps, maps=lambda: torch.ones(2, 3, 4, 5, 5), g=1),
    "gsets.GSet": recipe(GSet, group=C4, action=lambda: C4.product.clone(), names=None),
    "gsets.stabilizer": recipe(regular().stabilizer, label=1),
    "gsets.isomorphic": recipe(regular().isomorphic, label=1, other=2),
    "gsets.act": recipe(regular().act, g=1, labels=lambda: torch.tensor([0, 3])),
    "gsets.transform": recipe(regular().transform, outputs=lambda: torch.eye(4), g=1),
    "gsets.regular": recipe(GSet.regular, group=C4),
    "gsets.trivial": recipe(GSet.trivial, group=C4, n=3),
    "gsets.quotient": recipe(GSet.quotient, group=D4, subgroup=(0, 4)),
    "gsets.grid": recipe(GSet.grid, group=C4, n=3),
    "gsets.neighbours": recipe(GSet.neighbours, group=C4),
    "gsets.jigsaw": recipe(GSet.jigsaw, group=C4, n=2, action="left", count=8, min_distance=2),
    "gsets.times": recipe(regular().times, other=regular()),
    "permutations.positions_on_grid": recipe(permutations.positions_on_grid, group=C4, n=3),
    "permutations.move": recipe(
        permutations.move, group=C4, n=2, action="left", g=1, permutations=lambda: TILES.clone()
    ),
    "permutations.action_table": recipe(
        permutations.action_table, group=C4, n=2, action="trivial", permutations=lambda: TILES.clone()
    ),
    "permutations.choose": recipe(permutations.choose, group=C4, n=2, action="left", count=8, min_distance=2),
    "rotate.rotate": recipe(rotate.rotate, images=lambda: x(), degrees=30.0),
    "rotate.rotate_each": recipe(
        rotate.rotate, images=lambda: x(), degrees=lambda: torch.tensor([30.0, 90.0])
    ),
    "rotate.disc_mask": recipe(rotate.disc_mask, size=9, margin=1.0),
    "theory.angle_floor": recipe(theory.angle_floor, symmetry=3),
    "theory.frequency_floor": recipe(theory.frequency_floor, order=24, frequency=-1),
    "theory.wedge_cosine": recipe(theory.wedge_cosine, frequency=-1, within=45.0),
    "theory.number_floor": recipe(theory.number_floor, slope=3.0),
    "circle.CircleGroup": recipe(circle.CircleGroup, frequency=3, reflections=True, samples=8),
    "circle.so2": recipe(circle.so2, frequency=3, samples=8),
    "circle.o2": recipe(circle.o2, frequency=3, samples=8),
    "circle.spectrum": recipe(circle.spectrum, group=SO2, z=lambda: z(order=8)),
    "circle.turn_features": recipe(circle.turn_features, group=SO2, z=lambda: z(order=8), degrees=30.0),
    "circle.arrows_of": recipe(circle.arrows_of, degrees=lambda: degrees(), symmetry=2),
    "circle.turn_arrows": recipe(circle.turn_arrows, arrows=lambda: arrows(), degrees=30.0, frequency=2),
    "circle.angles_of": recipe(circle.angles_of, outputs=lambda: arrows(), symmetry=2),
    "circle.angle_error": recipe(
        circle.angle_error, answers=lambda: degrees(), degrees=lambda: degrees(), symmetry=2
    ),
    "circle.angle_loss": recipe(
        circle.angle_loss, outputs=lambda: arrows(), degrees=lambda: degrees(), symmetry=2
    ),
    "circle.von_mises_loss": recipe(
        circle.von_mises_loss, arrows=lambda: arrows(), degrees=lambda: degrees(), symmetry=2
    ),
    "circle.density_loss": recipe(
        circle.density_loss, arrows=lambda: arrows(2, 3), degrees=lambda: degrees(), symmetry=2
    ),
    "circle.bin_loss": recipe(
        circle.bin_loss, logits=lambda: torch.ones(2, 4), degrees=lambda: degrees(), symmetry=2
    ),
    "circle.AngleHead": recipe(circle.AngleHead, group=SO2, in_channels=3, frequency=-1),
    "circle.DensityHead": recipe(circle.DensityHead, group=SO2, in_channels=3, symmetry=1),
    "circle.FreeAngleHead": recipe(circle.FreeAngleHead, in_channels=3, order=8),
    "circle.NumberHead": recipe(circle.NumberHead, in_channels=3, order=8),
    "circle.AngleHead()": recipe(
        made(lambda: circle.AngleHead(SO2, 3), "forward"), features=lambda: z(order=8)
    ),
    "circle.DensityHead()": recipe(
        made(lambda: circle.DensityHead(SO2, 3), "forward"), features=lambda: z(order=8)
    ),
    "circle.NumberHead()": recipe(
        made(lambda: circle.NumberHead(3, 8), "forward"), features=lambda: z(order=8)
    ),
    "theory.between_samples": recipe(theory.between_samples, frequency=3, samples=8),
    "circle.circle_correlation": recipe(
        circle.circle_correlation,
        group=SO2,
        z=lambda: z(order=8),
        w=lambda: z(5, order=8, seed=1),
        angles=lambda: torch.tensor([0.0, 20.0]),
    ),
    "circle.circle_distance": recipe(
        circle.circle_distance, group=SO2, z=lambda: z(order=8), w=lambda: z(5, order=8, seed=1)
    ),
    "circle.circle_peak": recipe(
        circle.circle_peak, group=SO2, z=lambda: z(order=8), w=lambda: z(5, order=8, seed=1)
    ),
    "circle.cross_spectrum": recipe(
        circle.cross_spectrum, group=SO2, z=lambda: z(order=8), w=lambda: z(5, order=8, seed=1)
    ),
    "theory.label_cap": recipe(theory.label_cap, labels=regular(), symmetry=(0, 2), label=1),
    "theory.equivariant_floor": recipe(
        theory.equivariant_floor, law=lambda: torch.eye(4) / 4, inputs=regular(), labels=regular()
    ),
    "theory.inconsistency_floor": recipe(
        theory.inconsistency_floor,
        true_labels=regular(),
        assumed_labels=GSet.trivial(C4, 4),
        data_symmetry=(0, 2),
    ),
    "layers.LiftingConv2d": recipe(
        layers.LiftingConv2d, group=C4, in_channels=1, out_channels=2, kernel_size=3
    ),
    "layers.GroupConv2d": recipe(layers.GroupConv2d, group=C4, in_channels=1, out_channels=2, kernel_size=3),
    "layers.GroupBatchNorm2d": recipe(layers.GroupBatchNorm2d, group=C4, channels=2),
    "layers.GroupPool": recipe(layers.GroupPool, group=C4, kind="mean"),
    "layers.HalvingPool2d": recipe(layers.HalvingPool2d),
    "layers.GSetHead": recipe(layers.GSetHead, labels=regular(), in_channels=3),
    "layers.InvariantHead": recipe(layers.InvariantHead, labels=regular(), in_channels=3),
    "layers.FreeHead": recipe(layers.FreeHead, labels=regular(), in_channels=3, order=4),
    "layers.GroupLinear": recipe(layers.GroupLinear, group=C4, in_channels=3, out_channels=2),
    "layers.GroupMLP": recipe(layers.GroupMLP, group=C4, channels=(3, 4, 2)),
    "layers.FlatMLP": recipe(layers.FlatMLP, group=C4, channels=(3, 4, 2)),
    "layers.is_exact": recipe(layers.is_exact, size=17, kernel_size=3, stride=2, padding=1),
    "layers.nearest_sizes": recipe(layers.nearest_sizes, size=17, kernel_size=3, stride=2, padding=1),
    "layers.exactness_violations": recipe(
        layers.exactness_violations, model=lambda: nn.Conv2d(1, 2, 3, 2), input_size=8
    ),
    "layers.LiftingConv2d()": recipe(
        made(lambda: layers.LiftingConv2d(C4, 1, 2, 3), "forward"), images=lambda: x()
    ),
    "layers.GroupConv2d()": recipe(
        made(lambda: layers.GroupConv2d(C4, 3, 2, 3), "forward"), maps=lambda: torch.ones(2, 3, 4, 5, 5)
    ),
    "layers.GroupPool()": recipe(made(lambda: layers.GroupPool(C4), "forward"), features=lambda: z()),
    "layers.HalvingPool2d()": recipe(
        made(layers.HalvingPool2d, "forward"), maps=lambda: torch.ones(2, 3, 4, 5, 5)
    ),
    "layers.GSetHead()": recipe(made(lambda: layers.GSetHead(regular(), 3), "forward"), features=lambda: z()),
    "layers.InvariantHead()": recipe(
        made(lambda: layers.InvariantHead(regular(), 3), "forward"), features=lambda: z()
    ),
    "layers.FreeHead()": recipe(
        made(lambda: layers.FreeHead(regular(), 3, 4), "forward"), features=lambda: z()
    ),
    "layers.GroupLinear()": recipe(
        made(lambda: layers.GroupLinear(C4, 3, 2), "forward"), features=lambda: z()
    ),
    "layers.FlatMLP()": recipe(made(lambda: layers.FlatMLP(C4, (3, 2)), "forward"), features=lambda: z()),
    "encoders.Encoder": recipe(encoders.Encoder),
    "encoders.GroupCNN": recipe(encoders.GroupCNN, group=C4, in_channels=1, channels=(2, 3), kernel_size=3),
    "encoders.GroupResNet": recipe(encoders.GroupResNet, group=C4, in_channels=1, width=1),
    "encoders.SymmetrizedEncoder": recipe(
        encoders.SymmetrizedEncoder, group=C4, module=lambda: nn.Conv2d(1, 2, 3)
    ),
    "encoders.count_parameters": recipe(encoders.count_parameters, module=lambda: net()),
    "encoders.count_multiplications": recipe(
        encoders.count_multiplications, module=lambda: net(), images=lambda: x()
    ),
    "encoders.matched_cnn": recipe(encoders.matched_cnn, encoder=lambda: net(), by="parameters"),
    "encoders.GroupCNN()": recipe(made(net, "forward"), images=lambda: x()),
    "encoders.feature_maps": recipe(made(net, "feature_maps"), images=lambda: x()),
    "encoders.SymmetrizedEncoder()": recipe(
        made(
            lambda: encoders.SymmetrizedEncoder(C4, nn.Sequential(nn.Flatten(), nn.Linear(64, 2))), "forward"
        ),
        images=lambda: x(),
    ),
    "pretext.Task": recipe(pretext.Task, labels=regular(), apply=shift),
    "pretext.RotationTask": recipe(pretext.RotationTask, group=D4, stabilizer=(0, 4)),
    "pretext.RelativeLocationTask": recipe(pretext.RelativeLocationTask, group=C4, patch=2, gap=1, jitter=0),
    "pretext.JigsawTask": recipe(
        pretext.JigsawTask, group=C4, grid=2, action="left", count=8, gap=1, jitter=1
    ),
    "pretext.PretextModel": recipe(pretext.PretextModel, encoder=lambda: net(), task=lambda: task()),
    "pretext.AngleModel": recipe(pretext.AngleModel, encoder=lambda: net(), task=pretext.AngleTask("SO2")),
    "pretext.AngleTask": recipe(pretext.AngleTask, group="SO2", symmetry=2, within=90.0),
    "pretext.CircleTask": recipe(pretext.CircleTask),
    "pretext.OffsetTask": recipe(pretext.OffsetTask, patch=2, gap=0, reach=1),
    "pretext.offset_sample": recipe(
        made(lambda: pretext.OffsetTask(2, 0, 1), "sample"), images=lambda: x(), generator=lambda: generator()
    ),
    "pretext.offset_apply": recipe(
        made(lambda: pretext.OffsetTask(2, 0, 1), "apply"),
        images=lambda: x(),
        labels=lambda: torch.tensor([[2.0, 0.0], [0.0, -2.0]]),
    ),
    "pretext.verify_angle": recipe(
        pretext.verify, task=pretext.AngleTask("SO2"), images=lambda: x(), seed=0, tolerance=1e-6
    ),
    "pretext.angle_sample": recipe(
        made(pretext.AngleTask, "sample"), images=lambda: x(), generator=lambda: generator()
    ),
    "pretext.angle_apply": recipe(
        made(pretext.AngleTask, "apply"), images=lambda: x(), labels=lambda: degrees()
    ),
    "pretext.angle_move": recipe(made(pretext.AngleTask, "move"), labels=lambda: degrees(), degrees=30.0),
    "pretext.angle_transform": recipe(made(pretext.AngleTask, "transform"), inputs=lambda: x(), degrees=30.0),
    "pretext.angle_training_step": recipe(
        made(angle_model, "training_step"), images=lambda: x(), generator=lambda: generator()
    ),
    "pretext.evaluate_angles": recipe(
        made(angle_model, "evaluate"), images=lambda: x(), degrees=(0.0, 45.0), seed=0
    ),
    "pretext.image_caps": recipe(pretext.image_caps, task=lambda: task(), images=lambda: x()),
    "pretext.image_floors": recipe(pretext.image_floors, task=lambda: task(), images=lambda: x()),
    "pretext.lift_parts": recipe(
        pretext.lift_parts, features=lambda: torch.ones(2, 4, 3, 4), positions=GSet.grid(C4, 2)
    ),
    "pretext.verify": recipe(pretext.verify, task=lambda: task(), images=lambda: x(), seed=0, tolerance=1e-6),
    "pretext.sample": recipe(made(task, "sample"), images=lambda: x(), generator=lambda: generator()),
    "pretext.apply": recipe(made(task, "apply"), images=lambda: x(), labels=lambda: torch.tensor([1, 2])),
    "pretext.apply_rotation": recipe(
        made(lambda: pretext.RotationTask(C4), "apply"),
        images=lambda: x(),
        labels=lambda: torch.tensor([1, 2]),
    ),
    "pretext.apply_location": recipe(
        made(lambda: pretext.RelativeLocationTask(C4, 2, 1, 0), "apply"),
        images=lambda: x(),
        labels=lambda: torch.tensor([1, 2]),
    ),
    "pretext.transform": recipe(made(task, "transform"), inputs=lambda: x(), g=1),
    "pretext.parts": recipe(made(task, "parts"), inputs=lambda: x()),
    "pretext.PretextModel()": recipe(made(model, "forward"), inputs=lambda: x()),
    "pretext.training_step": recipe(
        made(model, "training_step"), images=lambda: x(), generator=lambda: generator()
    ),
    "pretext.evaluate": recipe(made(model, "evaluate"), images=lambda: x(), seed=0, turned=True),
    "contrastive.Loss": recipe(contrastive.Loss, group=C4),
    "contrastive.ContrastiveModel": recipe(
        contrastive.ContrastiveModel,
        encoder=lambda: net(),
        loss=lambda: contrastive.InfoNCE(C4),
        views=lambda: views.RandomView(C4),
    ),
    "contrastive.ContrastiveModel()": recipe(made(contrast, "forward"), images=lambda: x()),
    "contrastive.training_step": recipe(
        made(contrast, "training_step"), images=lambda: x(), generator=lambda: generator()
    ),
    "contrastive.canonicalize": recipe(contrastive.canonicalize, group=C4, z=lambda: z()),
    "contrastive.orbit_correlation": recipe(
        contrastive.orbit_correlation, group=C4, z=lambda: z(), w=lambda: z(5, seed=1)
    ),
    "contrastive.orbit_distance": recipe(
        contrastive.orbit_distance, group=C4, z=lambda: z(), w=lambda: z(5, seed=1)
    ),
    "contrastive.orbit_similarity": recipe(
        contrastive.orbit_similarity,
        group=C4,
        z=lambda: z(),
        w=lambda: z(5, seed=1),
        kind="max",
        temperature=0.2,
    ),
    **{
        f"contrastive.{name}": recipe(getattr(contrastive, name), group=C4, **more)
        for name, more in LOSSES.items()
    },
    **{
        f"contrastive.{name}()": recipe(
            made(lambda name=name, more=more: getattr(contrastive, name)(C4, **more), "forward"),
            z1=lambda: z(),
            z2=lambda: z(seed=1),
        )
        for name, more in LOSSES.items()
    },
    "learned.Term": recipe(learned.Term, group=C4),
    **{f"learned.{name}": recipe(getattr(learned, name), group=C4, **more) for name, more in TERMS.items()},
    **{
        f"learned.{name}()": recipe(
            made(lambda name=name: term(name), "forward"),
            orbit=lambda: z(channels=4, order=8),
        )
        for name in TERMS
    },
    "learned.LearnedModel": recipe(
        learned.LearnedModel,
        encoder=lambda: net(),
        loss=lambda: contrastive.InfoNCE(C4),
        views=lambda: views.RandomView(),
        term=lambda: learned.GramLoss(C4),
        weight=0.5,
    ),
    "learned.training_step": recipe(
        made(learner, "training_step"), images=lambda: x(), generator=lambda: generator()
    ),
    "learned.orbit": recipe(made(learner, "orbit"), images=lambda: x()),
    "learned.relative": recipe(
        learned.relative,
        kind="soft",
        group=C4,
        views=lambda: views.RandomView(),
        channels=(4, 8),
        in_channels=1,
    ),
    "learned.turned_back": recipe(learned.turned_back, group=C4, orbit=lambda: z(channels=4, order=8)),
    "learned.orthogonal_map": recipe(learned.orthogonal_map, z=lambda: z()[:, 0], w=lambda: z(seed=1)[:, 0]),
    "views.RandomView": recipe(views.RandomView, group=C4),
    "views.RandomView()": recipe(
        made(lambda: views.RandomView(C4), "sample"), images=lambda: x(), generator=lambda: generator()
    ),
    "data.digits": recipe(data.digits, size=8),
    "data.glyphs": recipe(
        data.glyphs, kind="capitals", counts=(2, 2, 2), size=8, upright=True, textured=True, seed=0
    ),
    "data.glyph_atlas": recipe(data.glyph_atlas, kind="capitals", part="test", size=16),
    "data.glyph_classes": recipe(data.glyph_classes, kind="pose"),
    "data.load_images": recipe(data.load_images, source=lambda: pictures(), split="train", size=8, limit=2),
    "data.rotated": recipe(data.rotated, images=lambda: x(), seed=0),
    "diagnostics.alignment": recipe(diagnostics.alignment, group=C4, z1=lambda: z(), z2=lambda: z(seed=1)),
    "diagnostics.equivariance_error": recipe(
        diagnostics.equivariance_error, model=lambda: net().eval(), inputs=lambda: x(), group=C4
    ),
    "diagnostics.equivariance_by_frequency": recipe(
        diagnostics.equivariance_by_frequency,
        encoder=lambda: net().eval(),
        images=lambda: x(),
        degrees=(45.0,),
        group=C4,
    ),
    "diagnostics.find_order": recipe(
        diagnostics.find_order, model=lambda: net().eval(), images=lambda: x(), group=C4, group_axis=2
    ),
    "diagnostics.equivariance_report": recipe(
        diagnostics.equivariance_report, model=lambda: net(), images=lambda: x(), group=C4, angles=(45.0,)
    ),
    "diagnostics.irrep_energy": recipe(diagnostics.irrep_energy, group=C4, z=lambda: z()),
    "diagnostics.irrep_projectors": recipe(diagnostics.irrep_projectors, group=C4),
    "diagnostics.learned_action": recipe(
        diagnostics.learned_action,
        encoder=lambda: net(),
        images=lambda: x(8),
        group=C4,
        report=lambda: x(3),
        untrained=lambda: net(),
        seed=0,
    ),
    "diagnostics.matched_temperature": recipe(
        diagnostics.matched_temperature, group=C4, z=lambda: z(), kind="max", temperature=0.2
    ),
    "diagnostics.nearest_element": recipe(diagnostics.nearest_element, group=C4, degrees=100.0),
    "diagnostics.orbit_collapse": recipe(diagnostics.orbit_collapse, group=C4, z=lambda: z()),
    "diagnostics.orbit_spread": recipe(diagnostics.orbit_spread, group=C4, z=lambda: z()),
    "diagnostics.pooled_spread": recipe(diagnostics.pooled_spread, group=C4, z=lambda: z()),
    "diagnostics.rank_me": recipe(diagnostics.rank_me, z=lambda: z()),
    "diagnostics.rotation_error": recipe(
        diagnostics.rotation_error, maps_of_turned=lambda: x(), maps=lambda: x(), degrees=30.0, margin=1.0
    ),
    "diagnostics.spread": recipe(diagnostics.spread, z=lambda: z()),
    "diagnostics.turn_features": recipe(diagnostics.turn_features, group=C4, z=lambda: z(), degrees=30.0),
    "diagnostics.turn_maps": recipe(
        diagnostics.turn_maps, group=C4, maps=lambda: torch.ones(2, 3, 4, 5, 5), degrees=30.0
    ),
    "diagnostics.uniformity": recipe(diagnostics.uniformity, group=C4, z=lambda: z()),
    "diagnostics.untrained_copy": recipe(
        diagnostics.untrained_copy, model=lambda: net(), images=lambda: x(), seed=0
    ),
    "evaluation.extract": recipe(evaluation.extract, encoder=lambda: net(), images=lambda: x(), batch_size=2),
    "evaluation.interval": recipe(evaluation.interval, values=(0.1, 0.2, 0.4)),
    "evaluation.paired_interval": recipe(
        evaluation.paired_interval, values=(0.1, 0.2, 0.4), reference=(0.1, 0.1, 0.2)
    ),
    "evaluation.proportion_interval": recipe(evaluation.proportion_interval, hits=150, count=300),
    "evaluation.knn_probe": recipe(
        evaluation.knn_probe, features=lambda: z().flatten(1), labels=lambda: labels(), neighbours=2
    ),
    "evaluation.linear_probe": recipe(
        evaluation.linear_probe,
        features=lambda: z().flatten(1),
        labels=lambda: labels(),
        validation=lambda: (z().flatten(1), labels()),
        regularization=(1.0,),
    ),
    "evaluation.orbit_knn_accuracy": recipe(
        evaluation.orbit_knn_accuracy,
        group=C4,
        reference=lambda: (z(), labels()),
        queries=lambda: (z(seed=1), labels()),
        neighbours=2,
    ),
    "evaluation.orientations": recipe(evaluation.orientations, group=C4, images=lambda: x()),
    "evaluation.probe_orientations": recipe(
        evaluation.probe_orientations, encoder=lambda: net(), splits=lambda: sets(), group=C4, dimension=2
    ),
    "evaluation.recalibrated": recipe(evaluation.recalibrated, encoder=lambda: net(), images=lambda: x()),
    "exercises.check": recipe(exercises.check, exercise="01.orbits", answer=3),
    "plots.image_grid": recipe(
        plots.image_grid, images=lambda: x()[:, 0], titles=["a", "b"], title="t", columns=2
    ),
    "plots.picture": recipe(plots.picture, plane=lambda: x()[0, 0], caption="a", limits=(0.0, 1.0), side=20),
    "plots.row": recipe(plots.row, pictures=lambda: [plots.picture(x()[0, 0])], text="a"),
    "steerable.EscnnMaps": recipe(steerable.EscnnMaps, module=lambda: escnn()),
    "steerable.SteerableCNN": recipe(steerable.SteerableCNN, symmetry=C4, channels=(1,), kernel_size=3),
    "steerable.escnn_route": recipe(steerable.escnn_route),
    "steerable.from_escnn": recipe(steerable.from_escnn, module=lambda: escnn()),
    "steerable.load_r2conv": recipe(
        steerable.load_r2conv, layer=lambda: layers.LiftingConv2d(C4, 1, 1, 3), r2conv=lambda: escnn()
    ),
    "command.PlainEncoder": recipe(command.PlainEncoder, encoder=lambda: net()),
    "command.open_run": recipe(command.open_run, folder=lambda: kept_run()),
    "training.Pretrainer": recipe(
        training.Pretrainer,
        model=lambda: model(),
        images=lambda: x(4),
        epochs=1,
        batch_size=4,
        optimizer="sgd",
        momentum=0.5,
        clip=1.0,
        channels_last=True,
        accelerator="cpu",
    ),
    "training.cosine_with_warmup": recipe(training.cosine_with_warmup, step=3, total_steps=10),
    "widgets.ByHand": recipe(
        widgets.ByHand, draw=lambda: lambda k: f"<p>{k}</p>", start=lambda: {"k": 1}, k=range(3)
    ),
    "widgets.CircleExplorer": recipe(
        widgets.CircleExplorer,
        encoder=lambda: net(),
        image=lambda: x()[0],
        other=lambda: x()[1],
        head=lambda: circle.AngleHead(C4, 3),
    ),
    "widgets.EmbeddingExplorer": recipe(
        widgets.EmbeddingExplorer,
        encoder=lambda: net(),
        images=lambda: x(6),
        labels=lambda: labels(),
        names=("a", "b"),
    ),
    "widgets.ExactnessLab": recipe(
        widgets.ExactnessLab, size=16, kernel_size=3, stride=2, padding=1, rule=True
    ),
    "widgets.FieldExplorer": recipe(
        widgets.FieldExplorer,
        model=lambda: net(),
        image=lambda: x()[0],
        compare=lambda: net(),
        names=("a", "b"),
    ),
    "widgets.KernelExplorer": recipe(
        widgets.KernelExplorer, layer=lambda: layers.LiftingConv2d(C4, 1, 1, 3), image=lambda: x()[0]
    ),
    "widgets.LabelActionExplorer": recipe(
        widgets.LabelActionExplorer, tasks=lambda: task(), image=lambda: x()[0]
    ),
    "widgets.LearnedActionExplorer": recipe(
        widgets.LearnedActionExplorer,
        encoders=lambda: {"a": net()},
        images=lambda: x(12),
        group=C4,
        report=lambda: x(3),
        seed=0,
    ),
    "widgets.LiveTraining": recipe(widgets.LiveTraining, runs=lambda: {"a": run()}, title="t"),
    "widgets.OrbitCorrelationExplorer": recipe(
        widgets.OrbitCorrelationExplorer, encoder=lambda: net(), images=lambda: x(), views=lambda: (x(), x())
    ),
    "widgets.OrbitExplorer": recipe(widgets.OrbitExplorer, group=C4, picture="A"),
}
RARE = (
    "steerable.",
    "diagnostics.equivariance_report",
    "widgets.Live",
    "data.digits",
    "evaluation.",
    "training.Pre",
    "pretext.evaluate",
)  # slow ones
