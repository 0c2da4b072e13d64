"""SIGTERM: what was sent arrives, handlers finish, the process goes."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.support import raw_clients
from tests.support.server_process import Server, serve

APP = "tests.apps.stopping:asgi"
PATH = "/socket.io/"


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(APP, server="uvicorn", args=["--timeout-graceful-shutdown", "4"]) as running:
        yield running


async def join(ws: ClientConnection) -> None:
    await raw_clients.read_handshake(ws)
    await ws.send("40")
    assert str(await raw_clients.receive(ws)).startswith("40")


async def read_to_the_end(ws: ClientConnection) -> list[str]:
    packets = []
    try:
        while True:
            packets.append(str(await ws.recv()))
    except ConnectionClosed:
        return packets


async def poll_to_the_end(polling: raw_clients.Polling) -> list[str]:
    packets: list[str] = []
    while "1" not in packets:
        packets += await polling.receive()
    return packets


async def gone(server: Server, timeout: float) -> int:
    return await asyncio.to_thread(server.process.wait, timeout)


async def test_under_load_every_client_that_reads_gets_what_was_emitted_and_a_proper_close(
    server: Server,
) -> None:
    async with (
        raw_clients.websocket(server, PATH) as first,
        raw_clients.websocket(server, PATH) as second,
        await raw_clients.RawSocket.websocket(server, PATH) as deaf,
        raw_clients.Polling(server, PATH) as polling,
    ):
        await join(first)
        await join(second)
        await deaf.send(raw_clients.frame(raw_clients.TEXT, b"40"))
        await polling.open()
        await polling.send("40")
        await polling.receive()
        poll = await polling.pending()

        async def load() -> None:
            try:
                while True:
                    await second.send('421["echo","x"]')
                    await asyncio.sleep(0)
            except ConnectionClosed:
                pass

        # More than the sockets between can hold, so that the deaf client leaves the server with a backlog.
        for _ in range(16):
            await first.send('42["broadcast",900000]')
        loading = asyncio.create_task(load())
        reading = [asyncio.create_task(read_to_the_end(ws)) for ws in (first, second)]
        await raw_clients.within(poll)
        polled_to_the_end = asyncio.create_task(poll_to_the_end(polling))
        await first.send('42["numbers",1000]')
        await asyncio.to_thread(server.wait_for_log, "numbers emitted")
        server.process.send_signal(signal.SIGTERM)
        for packets in await asyncio.gather(*reading):
            numbers = [json.loads(packet[2:])[1] for packet in packets if packet.startswith('42["number"')]
            assert numbers == list(range(1000))
        assert (first.protocol.close_code, second.protocol.close_code) == (1012, 1012)
        polled = await raw_clients.within(polled_to_the_end)
        assert [packet for packet in polled if "number" in packet] == [
            f'42["number",{n}]' for n in range(1000)
        ]
        await loading
        assert await gone(server, 10) == -signal.SIGTERM


async def test_a_hanging_poll_is_answered_at_once(server: Server) -> None:
    async with raw_clients.Polling(server, PATH) as polling:
        await polling.open()
        await polling.send("40")
        await polling.receive()
        poll = await polling.pending()
        server.process.send_signal(signal.SIGTERM)
        assert (await raw_clients.within(poll)).text == "1"
        assert await gone(server, 10) == -signal.SIGTERM


async def test_a_client_that_takes_its_time_between_two_polls_gets_what_was_emitted(server: Server) -> None:
    async with raw_clients.Polling(server, PATH) as polling:
        await polling.open()
        await polling.send("40")
        await polling.receive()
        await polling.send('42["numbers",20]')
        await asyncio.to_thread(server.wait_for_log, "numbers emitted")
        server.process.send_signal(signal.SIGTERM)
        packets: list[str] = []
        while "1" not in packets:
            await asyncio.sleep(0.7)  # as long as an answer may take to a phone; they have two seconds
            packets += await polling.receive()
        assert packets == [*(f'42["number",{n}]' for n in range(20)), "1"]
        assert await gone(server, 10) == -signal.SIGTERM


async def test_a_handler_in_flight_finishes_and_its_answer_arrives(server: Server) -> None:
    async with raw_clients.websocket(server, PATH) as ws:
        await join(ws)
        await ws.send('427["slow",1]')
        await asyncio.to_thread(server.wait_for_log, "slow began")
        server.process.send_signal(signal.SIGTERM)
        assert await read_to_the_end(ws) == ['437["finished"]']
        assert ws.protocol.close_code == 1012
        assert await gone(server, 10) == -signal.SIGTERM
        assert "slow ended" in server.log()


async def test_a_server_that_has_served_its_number_of_requests_stops_as_at_a_signal() -> None:
    """A handler in flight finishes, polls are answered, and nobody comes in on an idle connection."""
    with serve(APP, server="uvicorn", args=["--limit-max-requests", "6"]) as server:
        async with (
            raw_clients.websocket(server, PATH) as ws,
            await raw_clients.RawSocket.connect(server) as idle,
            raw_clients.Polling(server, PATH) as polling,
        ):
            await join(ws)
            await polling.open()
            await polling.send("40")
            await polling.receive()
            poll = await polling.pending()
            await ws.send('427["slow",1]')
            await asyncio.to_thread(server.wait_for_log, "slow began")
            for _ in range(6):
                await polling.http.get("/")
            assert (await raw_clients.within(poll)).text == "1"
            await idle.send(raw_clients.upgrade_request(PATH))
            assert (await idle.response_head())[0] == 503
            assert await read_to_the_end(ws) == ['437["finished"]']
            assert ws.protocol.close_code == 1012
        assert await gone(server, 10) == 0


async def test_a_handler_that_outlives_the_grace_period_does_not_keep_the_process(server: Server) -> None:
    async with raw_clients.websocket(server, PATH) as ws:
        await join(ws)
        await ws.send('427["slow",600]')
        await asyncio.to_thread(server.wait_for_log, "slow began")
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await gone(server, 30) == -signal.SIGTERM
        assert time.monotonic() - began >= 4  # the grace period that the server was started with
        assert "slow ended" not in server.log()


async def test_a_second_signal_ends_the_process_at_once() -> None:
    with serve(APP, server="uvicorn", args=["--timeout-graceful-shutdown", "600"]) as server:
        async with raw_clients.websocket(server, PATH) as ws:
            await join(ws)
            await ws.send('427["slow",600]')
            await asyncio.to_thread(server.wait_for_log, "slow began")
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(server.wait_for_log, "closing 1 sessions")
            server.process.send_signal(signal.SIGTERM)
            assert await gone(server, 10) == -signal.SIGTERM


async def test_new_sessions_are_refused_while_the_server_stops(server: Server) -> None:
    async with (
        raw_clients.websocket(server, PATH) as ws,
        raw_clients.websocket(server, PATH) as idle,
        raw_clients.Polling(server, PATH) as late,
    ):
        await join(ws)
        await join(idle)
        await ws.send('427["slow",3]')
        await asyncio.to_thread(server.wait_for_log, "slow began")
        server.process.send_signal(signal.SIGTERM)
        assert await read_to_the_end(idle) == []
        assert (await late.get()).status_code == 503


async def test_disconnect_handlers_are_told(server: Server) -> None:
    async with raw_clients.websocket(server, PATH) as ws:
        await join(ws)
        server.process.send_signal(signal.SIGTERM)
        await read_to_the_end(ws)
        await gone(server, 10)
        assert "server disconnect" in server.log()


@pytest.mark.parametrize("name", ["hypercorn", "uvicorn-wsproto"])
async def test_other_servers_close_their_clients_too(name: str) -> None:
    with serve(APP, server=name) as server:
        async with raw_clients.websocket(server, PATH) as ws:
            await join(ws)
            await ws.send('42["numbers",100]')
            await asyncio.to_thread(server.wait_for_log, "numbers emitted")
            server.process.send_signal(signal.SIGTERM)
            packets = await read_to_the_end(ws)
            assert [packet for packet in packets if "number" in packet] == [
                f'42["number",{n}]' for n in range(100)
            ]
        await gone(server, 20)
