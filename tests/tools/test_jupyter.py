"""The server's connection to a kernel waits for no acknowledgement, and is patient with widgets."""

import asyncio
from types import SimpleNamespace

import pytest
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

import course
from eqssl_edu.jupyter import PATIENCE_SECONDS, PromptConnection


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
    monkeypatch.setattr(course, "call", lambda command: 0)
    ended = SimpleNamespace(wait=lambda: 0)
    monkeypatch.setattr(course, "start", lambda command, **options: commands.append(command) or ended)
    assert course.lab([]) == 0
    name = f"{PromptConnection.__module__}.{PromptConnection.__name__}"
    assert f"--ServerApp.kernel_websocket_connection_class={name}" in [str(word) for word in commands[0]]


@pytest.fixture
def connection(monkeypatch):
    """A connection without a socket, and what it has passed on: (type, state) of each message."""
    passed = []

    def record(self, stream, outgoing_msg):
        message = self.session.deserialize(self.session.feed_identities(outgoing_msg)[1])
        passed.append((message["msg_type"], message["content"].get("execution_state")))

    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda self: None)
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "disconnect", lambda self: None)
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "handle_outgoing_message", record)
    monkeypatch.setattr(PromptConnection, "websocket_handler", Handler(), raising=False)
    monkeypatch.setattr(PromptConnection, "session", Session(key=b"secret"), raising=False)
    made = PromptConnection.__new__(PromptConnection)
    made.connect()
    return made, passed


def say(connection, kind, request, **content):
    """A message of the kernel, as it comes from its socket: with an address in front."""
    session = connection.session
    connection.handle_outgoing_message(
        "iopub", session.serialize(session.msg(kind, content, parent=request), b"topic")
    )


@pytest.mark.parametrize("kind", ["comm_msg", "execute_request"])
def test_a_widgets_short_work_is_not_told_and_all_else_is(connection, kind):
    connection, passed = connection

    async def converse():
        request = connection.session.msg(kind)
        say(connection, "status", request, execution_state="busy")
        say(connection, "comm_msg", request, data={})
        say(connection, "status", request, execution_state="idle")
        await asyncio.sleep(1.5 * PATIENCE_SECONDS)

    asyncio.run(converse())
    told = [("status", "busy")] if kind == "execute_request" else []
    assert passed == [*told, ("comm_msg", None), ("status", "idle")]


def test_a_widgets_long_work_is_told(connection):
    connection, passed = connection

    async def converse():
        first, second = connection.session.msg("comm_msg"), connection.session.msg("comm_msg")
        say(connection, "status", first, execution_state="busy")
        say(connection, "status", second, execution_state="busy")
        say(connection, "status", second, execution_state="idle")
        await asyncio.sleep(1.5 * PATIENCE_SECONDS)
        assert passed == [("status", "idle"), ("status", "busy")]
        say(connection, "status", first, execution_state="idle")

    asyncio.run(converse())
    assert passed[2:] == [("status", "idle")]


def test_a_closed_connection_tells_nothing(connection):
    connection, passed = connection

    async def converse():
        say(connection, "status", connection.session.msg("comm_msg"), execution_state="busy")
        connection.disconnect()
        await asyncio.sleep(1.5 * PATIENCE_SECONDS)

    asyncio.run(converse())
    assert passed == []
