"""An explorer as one page that computes: the networks run in it, with no kernel and no network."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from eqssl_edu.widgets.live.plan import NotComputed
from eqssl_edu.widgets.shared.frozen_page import MAX_BYTES, assembled, pack

__all__ = ["SCRIPTS", "page"]

SCRIPTS = ("shared/page_data", "live/engine", "live/grid")
NOTE = (
    "This page computes what it shows, with no kernel and no network: it holds the networks, and your browser runs "
    "them."
)


def page(
    data: dict[str, Any], files: tuple[str, str], scripts: Collection[str], title: str, readout: str
) -> str:
    """The page of an explorer.

    Arguments:
        data: see ``Explorer.live_data``; with the "facts" and the "first" state.
        files: the explorer's script and style sheet.
        scripts: those of the explorer that compute.
        title: of the page.
        readout: the sentence that it begins with.

    Raises:
        NotComputed: if the networks and pictures take more than ``MAX_BYTES``.
    """
    packed = pack(data)
    if len(packed[0]) > MAX_BYTES:
        found = f"these would take {len(packed[0]) / 1e6:.1f} MB"
        raise NotComputed(
            f"a page holds at most {MAX_BYTES / 1e6:.0f} MB of networks and pictures, and {found}"
        )
    return assembled(packed, files, (*SCRIPTS, *scripts, "live/model"), title, NOTE, readout)
