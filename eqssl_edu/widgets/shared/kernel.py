"""What a widget that works in the background asks of the kernel: which cell runs, who holds it, is Stop pressed?"""

from __future__ import annotations

import threading
from weakref import WeakMethod

import ipywidgets
from IPython import get_ipython

__all__ = ["hear_stop", "hold", "hold_loosely", "this_cell"]


def this_cell() -> tuple[object, object]:
    """(the notebook's cell, its execution) that runs now; where a front end does not tell them, a cell of its own."""
    kernel = getattr(get_ipython(), "kernel", None)
    request = kernel.get_parent() if hasattr(kernel, "get_parent") else {}
    cell = request.get("metadata", {}).get("cellId")
    return (cell, request["header"]["msg_id"]) if cell else (object(), None)


def hold(widget: ipywidgets.Widget) -> None:
    """Keep a widget until it is closed, as ipywidgets does with each."""
    if widget.comm is not None:
        _held()[widget.comm.comm_id] = widget


def hold_loosely(widget: ipywidgets.Widget) -> None:
    """Let a widget end with its last reference, or when the page closes it."""
    handle = WeakMethod(widget._handle_msg)
    widget.comm.on_msg(lambda message: (alive := handle()) and alive(message))
    widget.comm.on_close(lambda _message: (alive := handle()) and alive.__self__.stop())
    _held().pop(widget.comm.comm_id, None)


def hear_stop(widget: ipywidgets.Widget) -> None:
    """Stop a widget whose button was pressed while a cell of a kernel before ipykernel 7 waits.

    Such a kernel reads what the page says only between two cells. So the cell that waits looks into the kernel's queue
    now and then. The message stays there: it is handled in its turn as well.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    queue = getattr(getattr(kernel, "msg_queue", None), "_queue", None)
    if queue is None or widget.comm is None or threading.current_thread() is not threading.main_thread():
        return
    kernel.shell_stream.flush()  # from the socket into the queue
    for *_, frames in list(queue):
        if frames:  # else it is no message
            _, (_, header, _, _, content, *_) = kernel.session.feed_identities(frames[0], copy=False)
            said = kernel.session.unpack(content.bytes)
            ours = said.get("comm_id") == widget.comm.comm_id
            kind = kernel.session.unpack(header.bytes)["msg_type"]
            if ours and kind == "comm_msg" and said["data"].get("content") == "stop":
                widget.stop()


def _held() -> dict[str, ipywidgets.Widget]:
    return getattr(ipywidgets.widgets.widget, "_instances", {})
