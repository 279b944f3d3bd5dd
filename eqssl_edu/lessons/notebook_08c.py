"""Notebook 08c: what is left of a turn that was absorbed: of one letter, and of one letter against another."""

from collections.abc import Callable
from statistics import fmean

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.errors import typed
from eqssl_edu.exercises import check
from eqssl_edu.lessons.contrastive_letters import (
    C4,
    ONE_WAY_UP,
    WAYS,
    found,
    letters,
    pair_features,
    pairs,
    pairs_of_views,
    poses_read,
    untrained_model,
)
from eqssl_edu.lessons.notebook_08 import dots, print_means
from eqssl_edu.plots import COLOURS, TEMPLATE, image_grid
from eqssl_edu.widgets import LiveTraining

__all__ = ["means", "poses_of_two_letters", "runs_chart", "show_pairs", "turns_of_one_letter"]


@typed
def show_pairs(seed: int) -> go.Figure:
    """Two pairs of each pose: F above, R below."""
    given = pairs("test", 2, seed)
    chosen = [int(i) for pose in range(4) for i in (given.poses == pose).nonzero().flatten()[:2]]
    planes = torch.cat([given.first[chosen], given.second[chosen]])[:, 0]
    names = [f"F, pose {int(given.poses[i])}" for i in chosen] + [
        f"R, pose {int(given.poses[i])}" for i in chosen
    ]
    return image_grid(planes, names, "Pairs of letters", columns=8)


@typed
def turns_of_one_letter(live: LiveTraining, relative_turn: Callable, seed: int) -> dict[str, dict]:
    """Wait for a training; then how often your function reads the turn between two views of a test letter, printed.

    It reads the *projector's* features, untrained and trained: of HINOSXZ and of the other letters.
    """
    live.wait()
    models = {"untrained": untrained_model(seed)} | {name: run.model for name, run in live.runs.items()}
    if not check("08.relative_turn", relative_turn):
        relative_turn = _relative_turn
    one_way_up, table = ONE_WAY_UP[letters("test").labels], {}
    for name, model in models.items():
        right = torch.stack(
            [relative_turn(C4, z1, z2) == turn for z1, z2, turn in pairs_of_views(model, seed)]
        )
        right = right.double()
        table[name] = {
            "other letters": float(right[:, one_way_up].mean()),
            "HINOSXZ": float(right[:, ~one_way_up].mean()),
        }
        print(f"{name:15}", "; ".join(f"of {which} {share:.1%} read" for which, share in table[name].items()))
    return table


def _relative_turn(group, z1: Tensor, z2: Tensor) -> Tensor:
    return orbit_correlation(group, z1, z2).diagonal().T.argmax(dim=1)


@typed
def poses_of_two_letters(live: LiveTraining, nearest_orbit: Callable, seed: int) -> list[dict]:
    """Wait for a training; then what your function and the pooled probe read of the pose, each as a run; printed."""
    live.wait()
    own, mine = check("08.nearest_orbit", nearest_orbit).ok, []
    known, new = pairs("train", 4, seed), pairs("test", 12, seed)
    for name, run in live.runs.items():
        kind, views = name.split(", ")
        read = poses_read(run.model.encoder, seed)
        if own:
            z = [pair_features(run.model.encoder, each) for each in (known, new)]
            answers = nearest_orbit(C4, z[0], known.poses, z[1])
            read["nearest orbits"] = float((answers == new.poses).double().mean())
        mine.append({"similarity": kind, "views": views, "seed": seed, **read})
        print(f"{name:15}", "; ".join(f"{measure} {share:.1%}" for measure, share in read.items()))
    return mine


@typed
def runs_chart(*mine: dict) -> go.Figure:
    """The shipped runs of each way to train as dots, their means as bars, by both readers; own runs as stars.

    Prints the means.
    """
    measures = ("nearest orbits", "pooled probe")
    figure = make_subplots(1, 2, subplot_titles=[f"pose read by {each}" for each in measures])
    for column, measure in enumerate(measures, 1):
        for i, way in enumerate(WAYS):
            values, own = (
                found(*way, measure),
                [r[measure] for r in mine if (r["similarity"], r["views"]) == way],
            )
            dots(figure, i, values, own, row=1, col=column)
        figure.add_hline(y=0.25, line={"dash": "dot", "color": COLOURS[-1]}, row=1, col=column)
    print_means({measure: f"by {measure}" for measure in measures})
    labels = ["untrained", *(f"{kind},<br>{views}" for kind, views in WAYS[1:])]
    figure.update_xaxes(tickvals=list(range(len(WAYS))), ticktext=labels).update_yaxes(
        tickformat=".0%", range=[0, 1]
    )
    return figure.update_layout(template=TEMPLATE, width=780, height=380, margin={"t": 40}, showlegend=False)


@typed
def means(measure: str) -> dict[str, float]:
    """The mean over the shipped seeds of each way to train."""
    return {", ".join(filter(None, way)): fmean(found(*way, measure)) for way in WAYS}
