"""Limits on what clients may do: their options, how a client that passes one is refused, and their report."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from flask import Flask

from asyncsock import AsyncServer, SocketIO
from asyncsock.engine import EngineServer
from asyncsock.engine.limits import LimitOptions, Limits
from tests.support.doors import served
from tests.support.raw_clients import (
    BINARY,
    CLOSE,
    TEXT,
    Polling,
    RawSocket,
    frame,
    within,
)
from tests.support.uvicorn_in_process import Local


async def closed(raw: RawSocket) -> None:
    """Read until the server has closed the WebSocket."""
    while (await raw.read_frame())[0] != CLOSE:
        pass


# Options


def test_type_checkers_know_the_types_of_all_limits() -> None:
    assert LimitOptions.__annotations__.keys() == Limits.names()
    assert get_type_hints(LimitOptions) == {
        name: hint for name, hint in get_type_hints(Limits).items() if name != "hits"
    }


@pytest.mark.parametrize("name", sorted(Limits.names()))
@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), True, "5", [5]])
def test_a_limit_that_is_no_number_or_negative_is_refused_by_its_name(name: str, value: Any) -> None:
    for make in (EngineServer, AsyncServer):
        with pytest.raises(ValueError, match=f"^{name}="):
            make(**{name: value})


@pytest.mark.parametrize("name", sorted(Limits.names()))
def test_a_limit_of_0_is_refused_where_it_would_stop_everybody(name: str) -> None:
    if name in (
        "max_connections",
        "max_connections_per_address",
        "max_namespaces",
        "max_rooms",
        "max_unread_bytes",
    ):
        assert getattr(Limits(**{name: 0}), name) == 0
    else:
        with pytest.raises(ValueError, match=f"^{name}=0: it must be more than 0"):
            Limits(**{name: 0})


@pytest.mark.parametrize("name", sorted(Limits.names()))
def test_a_count_must_be_whole(name: str) -> None:
    if name in ("max_events_per_second", "header_timeout", "body_timeout"):
        assert getattr(Limits(**{name: 0.5}), name) == 0.5
    else:
        with pytest.raises(ValueError, match=f"^{name}=0.5: it must be a whole number"):
            Limits(**{name: 0.5})


@pytest.mark.parametrize("name", sorted(Limits.names()))
def test_a_limit_may_be_none_only_where_that_is_said_to_mean_no_limit(name: str) -> None:
    may_be = Limits.__doc__ is not None and "or None" in Limits.__doc__.split(f" {name}:")[1].split(":")[0]
    if may_be:
        assert getattr(Limits(**{name: None}), name) is None
    else:
        with pytest.raises(ValueError, match=f"^{name}=None"):
            Limits(**{name: None})


def test_limits_are_options_of_every_kind_of_server() -> None:
    for server in (
        EngineServer(max_connections=5),
        AsyncServer(max_connections=5),
        SocketIO(Flask(__name__), max_connections=5).server,
    ):
        assert server.limits()["max_connections"] == {"limit": 5, "hits": 0, "now": 0}


# The report


def test_the_report_has_each_limit_and_the_older_ones() -> None:
    options = {"max_http_buffer_size": 1, "max_buffered_bytes": 2, "ping_timeout": 3, "connect_timeout": 4}
    report = AsyncServer(**options).limits()
    assert report.keys() == Limits.names() | options.keys()
    assert {name: report[name]["limit"] for name in options} == options
    assert all(entry["hits"] == 0 for entry in report.values())


async def send_too_much(local: Local, transport: str) -> None:
    """Send a message of 200 bytes."""
    if transport == "polling":
        async with Polling(local) as polling:
            await polling.open()
            assert (await polling.post("4" + "x" * 199)).status_code == 413
    else:
        async with await RawSocket.websocket(local) as raw:
            payload = b"4" + b"x" * 199
            if transport == "websocket":
                await raw.send(frame(TEXT, payload))
            else:
                await raw.send(frame(TEXT, payload[:90], fin=False) + frame(0, payload[90:]))
            await closed(raw)


@pytest.mark.parametrize("transport", ["polling", "websocket", "fragments"])
async def test_a_message_that_is_too_large_is_counted(door: str, transport: str) -> None:
    server = EngineServer(max_http_buffer_size=100)
    async with served(server, door) as local:
        await send_too_much(local, transport)
        assert server.limits()["max_http_buffer_size"] == {"limit": 100, "hits": 1}


async def test_attachments_that_are_too_large_together_are_counted(door: str) -> None:
    server = AsyncServer(max_http_buffer_size=1000, namespaces="*")
    names = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(11))
    async with served(server, door) as local, await RawSocket.websocket(local) as raw:
        await raw.send(frame(TEXT, b"40") + frame(TEXT, f'4511-["a",{names}]'.encode()))
        await raw.send(frame(BINARY, bytes(1000)) * 11)
        await closed(raw)
        assert server.limits()["max_http_buffer_size"]["hits"] == 1


async def test_a_client_that_does_not_answer_pings_is_counted(door: str) -> None:
    server = EngineServer(ping_interval=0.01, ping_timeout=0.01)
    async with served(server, door) as local, await RawSocket.websocket(local) as raw:
        await within(closed(raw))
        assert server.limits()["ping_timeout"]["hits"] == 1


async def test_a_client_that_is_in_no_namespace_is_counted(door: str) -> None:
    server = AsyncServer(connect_timeout=0.01)
    async with served(server, door) as local, await RawSocket.websocket(local) as raw:
        await within(closed(raw))
        assert server.limits()["connect_timeout"] == {"limit": 0.01, "hits": 1}
