"""Debian's Firefox, where it is: the few words of WebDriver BiDi that a page from a file needs."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Firefox", "find_firefox", "firefox"]

SECONDS = 60  # for each answer


def find_firefox() -> str | None:
    """The browser on the PATH, if there is one."""
    return shutil.which("firefox-esr")


class Firefox:
    """One window of a Firefox that runs."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._asked = socket, 0
        self.ask("session.new", capabilities={})
        self._window = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command, and its answer."""
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != self._asked:
            pass  # something else has happened
        if answer["type"] == "error":
            raise RuntimeError(f"{method}: {answer['message']}")
        return answer["result"]

    def open(self, address: str) -> None:
        self.ask("browsingContext.navigate", context=self._window, url=address, wait="complete")

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a JavaScript function gives, which may be a promise, for an argument."""
        code = f"(async () => JSON.stringify(await ({function})({json.dumps(argument)}) ?? null))()"
        target = {"context": self._window}
        answer = self.ask("script.evaluate", expression=code, target=target, awaitPromise=True)
        if answer["type"] != "success":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])


@contextlib.contextmanager
def firefox(home: Path) -> Iterator[Firefox]:
    """A headless Firefox with an empty profile in this folder."""
    from websocket import create_connection

    command = [
        find_firefox(),
        "--headless",
        "--no-remote",
        "--remote-debugging-port=0",
        "--profile",
        str(home),
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        said = (re.search(r"BiDi listening on (\S+)", line) for line in running.stderr)
        address = next(filter(None, said))[1]
        socket = create_connection(f"{address}/session", suppress_origin=True, timeout=SECONDS)
        window = Firefox(socket)
        yield window
        window.ask("session.end")
        socket.close()
    finally:
        running.terminate()
        running.communicate()
