"""Whatever a client asks for in a request or a handshake, it gets a 4xx, and the server stays well."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.raw_clients import Polling, RawSocket, is_refused, upgrade_request
from tests.support.server_process import Server, serve
from tests.support.survival import ENGINE, survives


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "EIO=4",
        "transport=polling",
        "EIO=4&EIO=3&transport=polling",
        "EIO=4&transport=polling&transport=websocket",
        "EIO=4&transport=polling&transport=abc",
        "EIO=&transport=",
        "EIO&transport",
        "EIO=4&transport=polling&sid=wrong",
        "EIO=4&transport=polling&sid=a&sid=b",
        "EIO=4&transport=polling&sid=%00%ff",
        "EIO=4&transport=polling&sid=" + "x" * 5_000,
        "EIO=%34%34&transport=polling",
        "EIO=4%0d%0aX:%20y&transport=polling",
        "&&&=&%",
    ],
    ids=lambda text: str(text)[:60] or "none",
)
async def test_missing_and_contradicting_parameters_are_a_bad_request(
    engine: Server, parameters: str
) -> None:
    async with survives(engine), Polling(engine) as polling:
        assert (await polling.http.get(f"{ENGINE}?{parameters}")).status_code == 400
        assert (await polling.http.post(f"{ENGINE}?{parameters}", content="4x")).status_code == 400


@pytest.mark.parametrize(
    "parameters",
    ["", "EIO=4&EIO=3&transport=websocket", "EIO=4&transport=websocket&transport=polling", "&&&=&%"],
    ids=lambda text: str(text) or "none",
)
async def test_missing_and_contradicting_parameters_refuse_a_websocket(
    engine: Server, parameters: str
) -> None:
    request = upgrade_request().replace(b"EIO=4&transport=websocket", parameters.encode())
    async with survives(engine), await RawSocket.connect(engine) as raw:
        await raw.send(request)
        status, _headers = await raw.response_head()
        if status == 101:
            assert await raw.close_code() is not None
        else:
            assert 400 <= status < 500


async def test_a_websocket_with_a_wrong_sid_is_refused(engine: Server) -> None:
    async with survives(engine):
        assert await is_refused(engine, sid="wrong")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "!" * 24},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Version": "x"},
        {"Connection": "close"},
        {"Upgrade": "h2c"},
    ],
    ids=str,
)
async def test_a_broken_websocket_handshake_is_refused(
    engine: Server, asgi_server: str, headers: dict[str, str | None]
) -> None:
    async with survives(engine, warns=False), await RawSocket.connect(engine) as raw:
        await raw.send(upgrade_request(headers=headers))
        status, _headers = await raw.response_head()
        assert (
            400 <= status < 500 or asgi_server != "uvicorn"
        )  # the ASGI server's own handshake is its matter


async def test_a_server_ends_after_broken_handshakes() -> None:
    """A refused connection is forgotten: at SIGTERM nobody waits for it."""
    with serve("tests.apps.engine_echo:asgi") as server:
        for headers in ({"Sec-WebSocket-Key": None}, {"Sec-WebSocket-Version": "12"}):
            async with await RawSocket.connect(server) as raw:
                await raw.send(upgrade_request(headers=headers))
                status, _headers = await raw.response_head()
                assert 400 <= status < 500
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, 20)
