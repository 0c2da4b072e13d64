"""The arguments of emit, send and call, each spelt in the ways that Flask-SocketIO takes."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

import asyncsock

flask_socketio = pytest.importorskip("flask_socketio")

LIBRARIES = pytest.mark.parametrize(
    "library", [asyncsock, flask_socketio], ids=lambda library: library.__name__
)

# The method of SocketIO, its arguments, and what the client gets.
OUTSIDE: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[str, Any]]] = [
    ("emit", ("x",), {}, ("x", [])),
    ("emit", ("x", 1), {}, ("x", [1])),
    ("emit", ("x",), {"data": 1}, ("x", [1])),
    ("emit", ("x",), {"data": None}, ("x", [])),
    ("emit", ("x",), {"data": (1, [2])}, ("x", [1, [2]])),
    ("emit", ("x",), {"data": [1, 2]}, ("x", [[1, 2]])),
    ("emit", (), {"event": "x", "data": {"a": 1}}, ("x", [{"a": 1}])),
    ("emit", (), {"event": "x", "data": 1, "namespace": "/"}, ("x", [1])),
    ("emit", ("x",), {"data": 1, "to": None, "skip_sid": None, "callback": None}, ("x", [1])),
    ("emit", ("x",), {"data": 1, "include_self": True, "ignore_queue": True}, ("x", [1])),
    ("send", ("hello",), {}, ("message", "hello")),
    ("send", (), {"data": "hello"}, ("message", "hello")),
    ("send", (), {"data": {"a": 1}, "json": True, "namespace": "/"}, ("json", {"a": 1})),
]


def outcome(library: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a client gets, or the type of the error."""
    app = Flask("app")
    socketio = library.SocketIO(app, async_mode="threading")
    client = socketio.test_client(app)
    try:
        getattr(socketio, method)(*args, **kwargs)
    except TypeError as error:
        return type(error)
    [received] = client.get_received()
    return received["name"], received["args"]


@LIBRARIES
@pytest.mark.parametrize(("method", "args", "kwargs", "received"), OUTSIDE)
def test_the_method_takes_the_spelling(
    library: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], received: Any
) -> None:
    assert outcome(library, method, args, kwargs) == received


@LIBRARIES
@pytest.mark.parametrize("method", ["emit", "call"])
@pytest.mark.parametrize(
    ("args", "kwargs"), [(("x", 1), {"data": 2}), ((), {"data": 1}), (("x",), {"data": 1, "no_such": 1})]
)
def test_the_method_refuses_the_spelling(
    library: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    socketio = library.SocketIO(Flask("app"), async_mode="threading")
    with pytest.raises(TypeError):
        getattr(socketio, method)(*args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("ask", 1), {}), (("ask",), {"data": 1}), ((), {"event": "ask", "data": 1})],
    ids=["positional", "data", "event and data"],
)
@pytest.mark.parametrize("whom", ["to", "room", "sid"])
def test_call_hands_on_what_it_got(
    args: tuple[Any, ...], kwargs: dict[str, Any], whom: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test clients of both libraries answer no call, so the server below is looked at."""
    handed: dict[str, Any] = {}
    for library in (asyncsock, flask_socketio):
        socketio = library.SocketIO(Flask("app"), async_mode="threading")

        def call(
            event: str, data: Any = None, to: Any = None, sid: Any = None, namespace: Any = None, **rest: Any
        ) -> str:
            handed[library.__name__] = (event, data, to or sid, namespace or "/", rest)  # noqa: B023
            return "answer"

        monkeypatch.setattr(socketio.server, "call", call)
        assert socketio.call(*args, **kwargs, **{whom: "client"}, timeout=3, ignore_queue=True) == "answer"
    assert handed["asyncsock"] == handed["flask_socketio"]
    assert handed["asyncsock"] == ("ask", 1, "client", "/", {"timeout": 3, "ignore_queue": True})


@pytest.mark.parametrize("kind", ["function", "namespace"])
def test_the_functions_and_namespaces_take_data_by_name(kind: str) -> None:
    """The functions of Flask-SocketIO drop it in silence."""
    app = Flask("app")
    socketio = asyncsock.SocketIO(app)

    class Chat(asyncsock.Namespace):
        def on_go(self) -> None:
            self.emit("x", data=1)
            self.send(data="hello")

    def go() -> None:
        asyncsock.emit("x", data=1)
        asyncsock.send(message="hello")

    if kind == "namespace":
        socketio.on_namespace(Chat("/"))
    else:
        socketio.on("go")(go)
    client = socketio.test_client(app)
    client.emit("go")
    assert [(packet["name"], packet["args"]) for packet in client.get_received()] == [
        ("x", [1]),
        ("message", "hello"),
    ]
