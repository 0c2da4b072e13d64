"""What the Admin UI does to clients."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin.conftest import Instrumented
from tests.support.admin_clients import watching
from tests.support.log_records import errors, recorded
from tests.support.socketio_in_process import connected


async def test_an_admin_emits_joins_leaves_and_disconnects(instrumented: Instrumented) -> None:
    server = instrumented()
    async with connected(server) as one, connected(server) as two, watching(server) as admin:
        await admin.gets("config")
        admin.emit("emit", "/", one.sid, "foo", {"bar": "baz"}, "extra")
        assert await one.event() == ["foo", {"bar": "baz"}, "extra"]
        admin.emit("join", "/", "room", one.sid)
        admin.emit("emit", "/", "room", "foo", 1)
        assert await one.event() == ["foo", 1]
        admin.emit("join", "/", "room")  # everybody
        admin.emit("emit", "/", "room", "foo", 2)
        assert await one.event() == await two.event() == ["foo", 2]
        admin.emit("leave", "/", "room", one.sid)
        admin.emit("emit", "/", "room", "foo", 3)
        admin.emit("emit", "/", None, "foo", 4)
        assert await one.event() == ["foo", 4]
        assert await two.event() == ["foo", 3]
        admin.emit("_disconnect", "/", False, one.sid)
        assert await one.receive() == "41"
        assert one.eio_sid in server.eio.sessions
        admin.emit("_disconnect", "/", True, two.sid)
        await admin.gets("socket_disconnected", lambda nsp, sid, *_: sid == two.sid)
        assert two.eio_sid not in server.eio.sessions


async def test_an_action_that_comes_right_after_the_login_is_done(instrumented: Instrumented) -> None:
    async with connected(server := instrumented()) as client, watching(server) as admin:
        admin.emit("emit", "/", client.sid, "foo")
        assert await client.event() == ["foo"]


async def test_a_read_only_admin_does_nothing(instrumented: Instrumented) -> None:
    server = instrumented(read_only=True)
    async with connected(server) as client, watching(server) as admin:
        [config] = await admin.gets("config")
        assert config["supportedFeatures"] == ["AGGREGATED_EVENTS", "ALL_EVENTS"]
        admin.emit("emit", "/", client.sid, "foo")
        admin.emit("_disconnect", "/", True, client.sid)
        await admin.gets("server_stats")
        assert await client.packets() == []


MALFORMED: list[list[Any]] = [
    ["emit"],
    ["emit", "/"],
    ["emit", "/", "room"],
    ["emit", None, "room", "event"],
    ["emit", "/", {"to": 1}, "event"],
    ["emit", "/", ["room"], "event"],
    ["emit", "/", "room", ["event"]],
    ["join", "/"],
    ["join", "/", ["room"]],
    ["join", "/", "room", {}],
    ["leave"],
    ["leave", "/", {}],
    ["_disconnect"],
    ["_disconnect", {}],
    ["_disconnect", "/", True, ["room"]],
]


@pytest.mark.parametrize("action", MALFORMED)
async def test_a_malformed_action_is_ignored_with_one_line(
    instrumented: Instrumented, caplog: pytest.LogCaptureFixture, action: list[Any]
) -> None:
    server = instrumented()
    async with connected(server) as client, watching(server) as admin:
        await admin.gets("config")
        caplog.clear()
        admin.emit(*action)
        admin.emit("emit", "/", client.sid, "the end")
        assert await client.event() == ["the end"]
    assert not errors(caplog)
    assert len(recorded(caplog, 30)) == 1


async def test_no_client_joins_the_room_of_another(
    instrumented: Instrumented, caplog: pytest.LogCaptureFixture
) -> None:
    server = instrumented()
    async with connected(server) as one, connected(server) as two, watching(server) as admin:
        await admin.gets("config")
        admin.emit("join", "/", one.sid, two.sid)
        admin.emit("emit", "/", one.sid, "secret")
        assert await one.event() == ["secret"]
        assert await two.packets() == []
    assert not errors(caplog)
