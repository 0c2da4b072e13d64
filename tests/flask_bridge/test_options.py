"""Options that do not exist: misspelt ones are refused, and SocketIO ignores the others with one warning."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import engineio
import pytest
import socketio
from flask import Flask

from asyncsock import AsyncServer, SocketIO
from asyncsock.engine import EngineServer

MISSPELT = [
    ("ping_intervall", "ping_interval"),
    ("pingInterval", "ping_interval"),
    ("ping_timout", "ping_timeout"),
    ("cors_allowed_origin", "cors_allowed_origins"),
    ("max_http_buffersize", "max_http_buffer_size"),
    ("manage_sessions", "manage_session"),
    ("message_que", "message_queue"),
    ("transport", "transports"),
]
MADE = {
    "constructor": lambda options: SocketIO(Flask("app"), **options),
    "constructor without an application": lambda options: SocketIO(**options),
    "init_app": lambda options: SocketIO().init_app(Flask("app"), **options),
}
every_way = pytest.mark.parametrize("make", MADE.values(), ids=list(MADE))


@every_way
@pytest.mark.parametrize(("misspelt", "meant"), MISSPELT)
def test_a_misspelt_option_is_refused_with_the_right_one(
    make: Callable[[dict[str, Any]], Any], misspelt: str, meant: str
) -> None:
    with pytest.raises(TypeError, match=rf"^SocketIO\(\) has no option '{misspelt}': .*'{meant}'"):
        make({misspelt: 1})


@every_way
def test_unknown_options_are_ignored_with_one_warning(make: Callable[[dict[str, Any]], Any]) -> None:
    """pgAdmin passes the first of them, changedetection.io the second."""
    with pytest.warns(UserWarning, match="ignores") as caught:
        make({"debug": False, "engineio_options": {"max_size": 1}, "zzz": None, "ping_timeout": 7})
    [warning] = caught
    assert str(warning.message) == (
        "SocketIO() ignores 'debug' (it is an option of run()), 'engineio_options' (the nearest option is "
        "'engineio_logger'), 'zzz'. Remove what it ignores"
    )
    assert warning.filename == __file__


def test_what_an_option_is_ignored_beside_still_counts() -> None:
    with pytest.warns(UserWarning, match="SocketIO"):
        made = SocketIO(Flask("app"), debug=False, ping_timeout=7)
    assert made.server.eio.ping_timeout == 7


def theirs() -> set[str]:
    """The options that Flask-SocketIO hands on, by name."""
    names: set[str] = set()
    for owner in (socketio.Server, socketio.AsyncServer, engineio.Server, engineio.AsyncServer):
        for base in owner.__mro__[:-1]:
            names |= set(inspect.signature(base.__init__).parameters)
    return names - {"self", "args", "kwargs"}


@pytest.mark.parametrize("option", sorted(theirs()))
def test_an_option_of_python_socketio_or_engineio_is_none_of_the_unknown(option: str) -> None:
    assert option in AsyncServer.option_names()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SocketIO(**{option: None})


@pytest.mark.parametrize("owner", [AsyncServer, EngineServer])
def test_a_server_without_flask_refuses_every_unknown_option(owner: Any) -> None:
    class Own(owner):  # type: ignore[misc]
        pass

    for made in (owner, Own):
        with pytest.raises(
            TypeError, match=rf"^{made.__name__}\(\) has no option 'ping_intervall': .*'ping_int"
        ):
            made(ping_intervall=1)
        with pytest.raises(TypeError, match=rf"^{made.__name__}\(\) has no option 'max_size'"):
            made(max_size=1)


def test_a_subclass_may_have_options_of_its_own() -> None:
    class Own(AsyncServer):
        def __init__(self, ping_intervals: int = 1, **options: Any) -> None:
            super().__init__(ping_interval=ping_intervals, **options)

    assert Own(ping_intervals=3, ping_timeout=4).eio.ping_interval == 3
