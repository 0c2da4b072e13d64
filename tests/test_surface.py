"""The public names of python-socketio's and python-engineio's installed versions, one by one, beside ours.

Every difference is in `DIFFERENCES` with its reason; one that is not there fails, and so does one that no
longer is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from unittest import mock

import asgiref.sync
import engineio
import pytest
import socketio

from asyncsock import ASGIApp, AsyncServer
from asyncsock.engine import EngineServer
from asyncsock.rooms import Rooms

# What makes an object of each class of theirs, and of the one of ours that stands for it.
CLASSES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "socketio.AsyncServer": (lambda: socketio.AsyncServer(async_mode="asgi"), AsyncServer),
    "socketio.ASGIApp": (lambda: socketio.ASGIApp(None), lambda: ASGIApp(None)),
    "socketio.AsyncManager": (socketio.AsyncManager, Rooms),
    "engineio.AsyncServer": (lambda: engineio.AsyncServer(async_mode="asgi"), EngineServer),
    "engineio.ASGIApp": (lambda: engineio.ASGIApp(None), lambda: ASGIApp(None)),
}

MONITORING = "of their task that monitors clients; here one timer serves them all"
DIFFERENCES = {
    "socketio.AsyncServer": {
        "eio": ("value", "the engine is ours"),
        "environ": ("value", "built when it is first asked for, so it is a mapping that cannot be changed"),
    },
    "socketio.ASGIApp": {},
    "socketio.AsyncManager": {},
    "engineio.AsyncServer": {
        "compression_methods": ("missing", "a constant of their implementation"),
        "handle_request": ("signature", "ASGI's three arguments, where theirs takes those of any framework"),
        "log_message_keys": ("missing", "of their rule to log some messages once"),
        "sequence_number": ("missing", "a part of their session ids"),
        "service_task_event": ("missing", MONITORING),
        "service_task_handle": ("missing", MONITORING),
        "start_service_task": ("missing", MONITORING),
    },
    "engineio.ASGIApp": {
        "__init__": ("signature", "one class serves both, with the argument names of socketio.ASGIApp"),
        "engineio_path": ("value", "as socketio.ASGIApp: 'socket.io' by default"),
    },
}

if not hasattr(socketio.AsyncManager, "pre_connect"):
    DIFFERENCES["socketio.AsyncManager"]["connect"] = (
        "signature",
        "one step before 5.18; here it is the second",
    )


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """The name, kind and default of each; for a catch-all, whose name means nothing, without it."""
    found = inspect.signature(function).parameters.values()
    catch_all = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [("" if one.kind in catch_all else one.name, one.kind, one.default) for one in found]


def takes_the_same(theirs: Callable[..., Any], ours: Callable[..., Any]) -> bool:
    """Whether arguments for theirs mean the same to ours, which may have more that need not be given."""
    wanted, given = parameters(theirs), parameters(ours)
    named = [one for one in wanted if one[0]]
    more = [one for one in given[len(named) :] if one[0]]
    return (
        given[: len(named)] == named
        and all(default is not inspect.Parameter.empty for _, _, default in more)
        and [one for one in given if not one[0]] == [one for one in wanted if not one[0]]
    )


def difference(theirs: Any, ours: Any, name: str) -> str | None:
    if not hasattr(ours, name):
        return "missing"
    wanted, given = getattr(theirs, name), getattr(ours, name)
    if not callable(wanted):
        if isinstance(wanted, (list, tuple)):
            return None if list(wanted) == list(given) else "value"
        plain = wanted is None or isinstance(wanted, (bool, int, float, str, dict))
        alike = wanted is None or isinstance(wanted, (int, float)) or isinstance(given, type(wanted))
        same = alike and (wanted == given or not plain)
        return None if same else "value"
    if inspect.isclass(wanted):
        constants = {key: value for key, value in vars(wanted).items() if isinstance(value, str)}
        same = all(getattr(given, key) == value for key, value in constants.items() if key[0] != "_")
        return None if same else "value"
    if not takes_the_same(wanted, given):
        return "signature"
    awaited = asgiref.sync.iscoroutinefunction
    return None if awaited(wanted) == awaited(given) else "awaited"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_public_name_is_theirs_but_for_the_written_differences(kind: str) -> None:
    theirs, ours = (make() for make in CLASSES[kind])
    names = ["__init__", "__call__", *(name for name in dir(theirs) if not name.startswith("_"))]
    found = {name: difference(theirs, ours, name) for name in names if hasattr(theirs, name)}
    assert {name: what for name, what in found.items() if what} == {
        name: what for name, (what, _) in DIFFERENCES[kind].items()
    }


@pytest.mark.parametrize("kind", CLASSES)
def test_every_name_that_is_looked_at_is_found(kind: str) -> None:
    theirs = CLASSES[kind][0]()
    known = {
        "socketio.AsyncServer": "emit",
        "engineio.AsyncServer": "send",
        "socketio.AsyncManager": "connect",
    }
    assert known.get(kind, "not_found") in dir(theirs)


def options() -> dict[str, Any]:
    """The options of socketio.AsyncServer and of the engine under it, with their defaults."""
    found = [
        one
        for base in (*socketio.AsyncServer.__mro__, *engineio.AsyncServer.__mro__)
        if "__init__" in vars(base) and base is not object
        for one in inspect.signature(base.__init__).parameters.values()
    ]
    return {one.name: one.default for one in found if one.default is not inspect.Parameter.empty}


@pytest.mark.parametrize("name", [*options(), "engineio_logger"])
def test_every_option_of_the_server_is_taken_by_name(name: str) -> None:
    AsyncServer(**{name: options().get(name)})


def test_the_options_are_those_of_both_packages() -> None:
    assert {"always_connect", "serializer", "ping_interval", "cookie", "transports"} <= set(options())


METHODS = [
    name
    for name, method in inspect.getmembers(socketio.AsyncNamespace, inspect.isfunction)
    if not name.startswith("_") and name != "is_asyncio_based" and hasattr(AsyncServer, name)
]


@pytest.mark.parametrize("name", METHODS)
async def test_a_namespace_of_theirs_finds_its_servers_method(name: str) -> None:
    namespace = socketio.AsyncNamespace("/chat")
    namespace.server = mock.create_autospec(AsyncServer, instance=True)
    method = getattr(namespace, name)
    arguments = {one: one for one in inspect.signature(method).parameters}
    result = method(**arguments)
    if inspect.isawaitable(result):
        await result
    call = getattr(namespace.server, name).call_args  # of a double that has our method's signature
    bound = inspect.signature(getattr(AsyncServer(), name)).bind(*call.args, **call.kwargs)
    assert bound.arguments == arguments


def test_a_namespaces_methods_are_looked_at() -> None:
    assert {"emit", "send", "call", "enter_room", "session", "disconnect"} <= set(METHODS)
