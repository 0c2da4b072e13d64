"""Options that are set while the server runs: new sessions get them, others keep what they were told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import engineio
import pytest

from asyncsock import ASGIApp, AsyncServer
from asyncsock.engine import EngineServer
from tests.support import raw_clients as clients
from tests.support.engineio_in_process import FOREIGN, PATH, Poller, ask, handshake
from tests.support.raw_clients import TEXT, Polling, RawSocket, frame, receive, upgrade_request, within
from tests.support.uvicorn_in_process import running

SETTINGS: list[tuple[str, Any, dict[str, int]]] = [
    ("ping_interval", 0.1, {"pingInterval": 100}),
    ("ping_interval", (0.1, 5), {"pingInterval": 5100}),
    ("ping_interval_grace_period", 3, {"pingInterval": 28000}),
    ("ping_timeout", 7, {"pingTimeout": 7000}),
    ("max_http_buffer_size", 5000, {"maxPayload": 5000}),
]
DEFAULTS = {"pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1_000_000}


def told(handshake: dict[str, Any]) -> dict[str, int]:
    return {name: handshake[name] for name in DEFAULTS}


@pytest.mark.parametrize(("name", "value", "change"), SETTINGS)
async def test_a_new_session_is_told_of_an_option_set_at_run_time(
    ws: str, name: str, value: Any, change: dict[str, int]
) -> None:
    server = EngineServer()
    async with running(ASGIApp(server, socketio_path="engine.io"), ws) as local:
        for expected in (DEFAULTS, {**DEFAULTS, **change}):
            async with await RawSocket.connect(local) as raw, Polling(local) as polling:
                await raw.send(upgrade_request(PATH))
                await raw.response_head()
                _, payload = await raw.read_frame()
                assert told(json.loads(payload[1:])) == expected
                assert told(await polling.open()) == expected
            setattr(server, name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ping_interval", 3),
        ("ping_interval_grace_period", 3),
        ("ping_timeout", 3),
        ("max_http_buffer_size", 3),
        ("cors_allowed_origins", [FOREIGN]),
        ("cors_credentials", False),
    ],
)
def test_an_option_set_at_run_time_reads_as_in_engineio(name: str, value: Any) -> None:
    servers = [engineio.AsyncServer(async_mode="asgi", **OPTIONS), AsyncServer(**OPTIONS).eio]
    for server in servers:
        setattr(server, name, value)
    for option in [*OPTIONS, "ping_interval_grace_period"]:
        assert getattr(servers[1], option) == getattr(servers[0], option), option


async def test_a_ping_interval_set_at_run_time_is_that_of_new_sessions() -> None:
    server = EngineServer(ping_interval=60)
    before = await Poller(server).open()
    waiting = asyncio.ensure_future(before.get())
    server.ping_interval = 0.05
    quick = await Poller(server).open()
    server.ping_interval = 60
    for _ in range(3):
        assert await within(quick.get()) == ["2"]
        assert (await quick.post("3")).status == 200
    assert not waiting.done()
    waiting.cancel()


async def test_a_ping_timeout_set_at_run_time_is_that_of_new_sessions() -> None:
    server = EngineServer(ping_interval=0.05, ping_timeout=60)
    gone: asyncio.Queue[str] = asyncio.Queue()
    server.on("disconnect", lambda sid, reason: gone.put_nowait(sid))
    before = await Poller(server).open()
    assert await within(before.get()) == ["2"]
    server.ping_timeout = 0.05
    impatient = await Poller(server).open()
    server.ping_timeout = 60
    after = await Poller(server).open()
    assert await within(gone.get()) == impatient.sid
    assert set(server.sessions) == {before.sid, after.sid}


async def test_a_session_keeps_the_limit_that_it_was_told(ws: str) -> None:
    server = EngineServer(max_http_buffer_size=2000)

    @server.on("message")
    def message(sid: str, data: str) -> None:
        server.send(sid, str(len(data)))

    large = "4" + "x" * 1999
    async with running(ASGIApp(server, socketio_path="engine.io"), ws) as local:
        async with await RawSocket.websocket(local) as old, Polling(local) as polling:
            await polling.open()
            server.max_http_buffer_size = 1000
            await old.send(frame(TEXT, large.encode()))
            assert await old.read_frame() == (TEXT, b"41999")
            await polling.send(large)
            assert await polling.receive() == ["41999"]
            async with clients.websocket(local, sid=polling.sid) as upgraded:
                for packet, answer in (("2probe", "3probe"), ("5", None), (large, "41999")):
                    await upgraded.send(packet)
                    if answer is not None:
                        assert await receive(upgraded) == answer
        async with await RawSocket.websocket(local) as new, Polling(local) as polling:
            await polling.open()
            await new.send(frame(TEXT, large.encode()))
            assert await new.close_code() == 1009
            assert (await polling.post(large)).status_code == 413
    assert server.sessions == {}


async def test_origins_set_at_run_time_are_let_in_from_then_on(ws: str) -> None:
    server = EngineServer()
    poller = await Poller(server, {"Origin": "http://example.org"}).open()
    assert (await ask(server, origin=FOREIGN)).status == 400
    server.cors_allowed_origins = [FOREIGN]
    answer = await ask(server, origin=FOREIGN)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, FOREIGN)
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert (await poller.request("GET")).status == 400  # nor is another any more, as in engineio
    server.cors_credentials = False
    assert "access-control-allow-credentials" not in (await ask(server, origin=FOREIGN)).headers
    server.cors_allowed_origins = "*"
    assert (await ask(server, origin="http://anybody.example")).status == 200
    async with handshake(server, ws, {"Origin": FOREIGN}) as (status, _, _raw):
        assert status == 101


async def test_a_list_of_origins_may_be_changed_in_place() -> None:
    """engineio looks at the list in each request."""
    origins = ["http://a.example"]
    server = EngineServer(cors_allowed_origins=origins)
    assert (await ask(server, origin=FOREIGN)).status == 400
    origins.append(FOREIGN)
    assert (await ask(server, origin=FOREIGN)).status == 200
    origins.remove("http://a.example")
    assert (await ask(server, origin="http://a.example")).status == 400


OPTIONS: dict[str, Any] = {
    "ping_interval": (8, 3),
    "ping_timeout": 7,
    "max_http_buffer_size": 5_000,
    "allow_upgrades": False,
    "http_compression": False,
    "compression_threshold": 10,
    "cookie": {"name": "io", "Secure": True},
    "cors_allowed_origins": [FOREIGN],
    "cors_credentials": False,
    "async_handlers": False,
    "transports": ["websocket"],
}


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["by default", "given"])
def test_the_options_are_attributes_as_in_engineio(options: dict[str, Any]) -> None:
    theirs = engineio.AsyncServer(async_mode="asgi", **options)
    ours = AsyncServer(**options).eio
    for name in [*OPTIONS, "ping_interval_grace_period"]:
        assert getattr(ours, name) == getattr(theirs, name), name


async def test_the_sessions_are_counted_as_in_engineio() -> None:
    server = EngineServer()
    pollers = [await Poller(server).open() for _ in range(2)]
    assert set(server.sockets) == {poller.sid for poller in pollers}
