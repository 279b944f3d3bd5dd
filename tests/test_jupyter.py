"""The server's connection to a kernel waits for no acknowledgement."""

from types import SimpleNamespace

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

import course
from eqssl_edu.jupyter import PromptConnection


class Handler:
    """Stands for the server's end of the socket."""

    nodelay = None

    def set_nodelay(self, value):
        self.nodelay = value


def test_the_socket_is_told_before_the_first_message(monkeypatch):
    seen = []
    monkeypatch.setattr(
        ZMQChannelsWebsocketConnection, "connect", lambda self: seen.append(self.websocket_handler.nodelay)
    )
    connection = PromptConnection.__new__(PromptConnection)
    monkeypatch.setattr(PromptConnection, "websocket_handler", Handler(), raising=False)
    connection.connect()
    assert seen == [True]


def test_the_lab_is_started_with_it(monkeypatch):
    commands = []
    monkeypatch.setattr(course, "prepare", lambda wanted: None)
    ended = SimpleNamespace(wait=lambda: 0)
    monkeypatch.setattr(course, "start", lambda command, **options: commands.append(command) or ended)
    assert course.lab([]) == 0
    name = f"{PromptConnection.__module__}.{PromptConnection.__name__}"
    assert f"--ServerApp.kernel_websocket_connection_class={name}" in [str(word) for word in commands[0]]
