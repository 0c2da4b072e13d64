"""python-socketio's simple client in place of the Admin UI's pages, as in its own tests."""

from __future__ import annotations

from typing import Any

import pytest
import socketio

from asyncsock import ASGIApp
from tests.admin.conftest import Instrumented
from tests.support.raw_clients import within
from tests.support.uvicorn_in_process import running


@pytest.mark.parametrize("recovers", [False, True], ids=["", "recovery"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_an_admin_watches_and_acts(
    instrumented: Instrumented, serializer: str, transport: str, recovers: bool
) -> None:
    server = instrumented({"serializer": serializer, "connection_state_recovery": recovers})
    async with running(ASGIApp(server)) as local:
        options: dict[str, Any] = {"transports": [transport]}
        client = socketio.AsyncSimpleClient(serializer=serializer)
        admin = socketio.AsyncSimpleClient(serializer=serializer)
        await client.connect(local.url, **options)
        await admin.connect(local.url, namespace="/admin", **options)
        sid = client.sid
        seen: dict[str, Any] = {}
        while not seen.keys() >= {"config", "all_sockets", "server_stats"}:
            name, *args = await within(admin.receive())
            seen[name] = args[0]
        assert {socket["id"] for socket in seen["all_sockets"]} == {sid, admin.sid}
        assert {socket["transport"] for socket in seen["all_sockets"]} == {transport}
        await admin.emit("emit", ("/", sid, "foo", {"bar": b"baz"}, "extra"))
        assert (await within(client.receive()))[:3] == ["foo", {"bar": b"baz"}, "extra"]
        while (message := await within(admin.receive()))[0] != "event_sent":
            pass
        assert message[3][:3] == ["foo", {"bar": "(3 bytes)"}, "extra"]
        await admin.emit("_disconnect", ("/", False, sid))
        while (message := await within(admin.receive()))[0] != "socket_disconnected":
            pass
        assert message[1:4] == ["/", sid, "server disconnect"]
        await admin.disconnect()
        await client.disconnect()
