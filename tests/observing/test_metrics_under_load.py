"""Metrics of four workers while 500 clients talk, are slow, are refused and leave, and a broker dies."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable

import httpx
import pytest

from tests.support.brokers import Redis
from tests.support.counting_clients import (
    Counted,
    CountingClient,
    CountingPoller,
    connect_counting,
    connect_slow,
    frame_size,
)
from tests.support.raw_clients import within
from tests.support.scraped import Scraped, check_with_promtool
from tests.support.server_process import Server, serve

APP = "tests.apps.measured:asgi"
WORKERS = 4
TALKING, POLLING, SLOW, REFUSED = 470, 20, 3, 7
TELLING = 40
FLOOD, FLOOD_SIZE = 2000, 10_000  # more than the buffers of sockets take
NAMES = 10_000
WELCOME = frame_size(len('40{"sid":"01234567890123456789"}'))


class Seen:
    """Reads metrics, each time on a new connection, so that any worker answers."""

    def __init__(self, server: Server) -> None:
        self._url = f"{server.url}/metrics"

    async def now(self) -> Scraped:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            answer = await http.get(self._url)
        assert answer.status_code == 200
        return Scraped(answer.text)

    async def when(self, condition: Callable[[Scraped], bool]) -> Scraped:
        """What they are as soon as they are as they should be."""
        found = await self.now()
        for _ in range(300):
            if condition(found):
                return found
            await asyncio.sleep(0.1)
            found = await self.now()
        raise AssertionError(found.text)


async def talk(clients: list[CountingClient], counted: Counted) -> None:
    for client in clients:
        for event in ("echo", "work", "work"):
            client.emit(event, "ä" * 40, acknowledged=True)
        client.emit("made up by nobody", 1)
    clients[0].emit("tell", {"to": "all"})
    clients[1].emit("ask")
    for number in range(NAMES):
        clients[number % len(clients)].emit(f"name {number}")
        if number % 1000 == 0:
            await asyncio.sleep(0)
    while counted.acknowledged.total() < 3 * len(clients) or not counted.answered:
        await asyncio.sleep(0.05)


async def be_refused(server: Server, counted: Counted) -> None:
    clients = []
    for _ in range(REFUSED):
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: Refused(counted), "127.0.0.1", server.port)
        await within(client.refused)
        clients.append(client)
    for client in clients:
        client.leave()
        await within(client.closed)
    async with httpx.AsyncClient(trust_env=False) as http:
        for _ in range(REFUSED):
            assert (await http.get(f"{server.url}/socket.io/?EIO=3&transport=polling")).status_code == 400
            assert (await http.get(f"{server.url}/hello")).text == "hello"


class Refused(CountingClient):
    """A client whom the connect handler refuses."""

    def send(self, packet: str) -> None:
        super().send(f'{packet}{{"refuse":true}}' if packet == "40" else packet)


async def be_slow(server: Server, seen: Seen, counted: Counted) -> None:
    clients = [await connect_slow(server.port, counted) for _ in range(SLOW)]
    for client in clients:
        client.emit("flood", FLOOD, FLOOD_SIZE)
        client.transport.pause_reading()  # type: ignore[attr-defined]
    await seen.when(lambda found: found("slow_clients_cut_total") == SLOW)
    for client in clients:
        client.transport.abort()


@pytest.mark.slow
@pytest.mark.skipif("WHOLE_TABLE" not in os.environ, reason="one of `make test-observing`")
@pytest.mark.timeout(240)
async def test_every_counter_equals_what_the_load_has_done() -> None:
    counted, flooded = Counted(), Counted()
    with Redis() as broker, serve(APP, args=["--workers", "4"], env={"QUEUE": broker.url}) as server:
        seen = Seen(server)
        await seen.when(lambda found: found("workers") == WORKERS and found("cluster_members") == WORKERS**2)

        clients = await connect_counting(server.port, TALKING, counted)
        pollers = [CountingPoller(server, counted) for _ in range(POLLING)]
        await asyncio.gather(*[poller.start() for poller in pollers])
        found = await seen.when(lambda found: found("polls_waiting") == POLLING)
        assert found.by("sessions", "transport") == {"websocket": TALKING, "polling": POLLING}
        assert found("clients", namespace="/") == TALKING + POLLING

        talking = asyncio.ensure_future(talk(clients, counted))
        while not talking.done():
            check_with_promtool((await seen.now()).text)
        await talking
        await be_refused(server, counted)
        await be_slow(server, seen, flooded)
        await lose_broker(seen, broker, clients, counted)
        await leave(clients, pollers)

        found = await seen.when(lambda found: found("sessions") == 0)
        check_traffic(found, counted, flooded)
        check_clients(found)
        check_with_promtool(found.text)
        assert len(found) < WORKERS * 7000
        answers = [await seen.now() for _ in range(3 * WORKERS)]
        assert {json.dumps(without_scrapes(answer)) for answer in answers} == {
            json.dumps(without_scrapes(found))
        }


async def lose_broker(seen: Seen, broker: Redis, clients: list[CountingClient], counted: Counted) -> None:
    """Kill the broker, emit to all, and start it again: the events reach all."""
    before = counted.received["news"]
    broker.kill()
    found = await seen.when(
        lambda found: found("workers_silent") == WORKERS - 1 and not found("queue_up", connection="listening")
    )
    for client in clients[:TELLING]:  # some of each worker
        client.emit("tell", "while it is away")
    await seen.when(lambda found: found("queue_messages_waiting") > 0)
    broker.start()
    found = await seen.when(lambda found: found("queue_up") == 2 * WORKERS and found("workers") == WORKERS)
    assert found("queue_outages_total") == WORKERS
    assert found("queue_lost_seconds_total") > 0
    assert found("queue_messages_dropped_total") == 0
    while counted.received["news"] < before + TELLING * (TALKING + POLLING):
        await asyncio.sleep(0.05)


async def leave(clients: list[CountingClient], pollers: list[CountingPoller]) -> None:
    for client in clients[::2]:
        client.leave()
    for client in clients[1::2]:
        client.send("1")
    await asyncio.gather(*[client.closed for client in clients], *[poller.leave() for poller in pollers])


def check_traffic(found: Scraped, counted: Counted, flooded: Counted) -> None:
    received = found.by("events_total", "event", direction="received")
    known = {event: counted.sent[event] for event in ("echo", "work", "tell", "ask")}
    assert {event: received[event] for event in known} == known
    assert received["flood"] == SLOW
    assert sum(received.values()) == (counted.sent + flooded.sent).total()
    assert found.by("events_total", "event", direction="sent") == {**counted.received, "flood": SLOW * FLOOD}
    answered = found.by("acknowledgements_total", "event", direction="sent")
    assert {event: answered[event] for event in ("echo", "work")} == dict(counted.acknowledged)
    assert sum(answered.values()) == counted.acknowledged.total()
    assert found.by("acknowledgements_total", "event", direction="received") == {"question": counted.answered}
    count = "handler_duration_seconds_count"
    for event, kind in (("echo", "coroutine"), ("work", "thread"), ("tell", "coroutine")):
        assert found(count, event=event, kind=kind) == counted.sent[event]
    assert found(count, event="connect", kind="coroutine") == TALKING + POLLING + SLOW + REFUSED
    assert sum(found.by(count, "event").values()) == sum(received.values()) + found(count, event="connect")
    assert found("payload_bytes_total", direction="received") == counted.bytes_sent + flooded.bytes_sent
    packet = len(f'42["flood","{"x" * FLOOD_SIZE}"]')
    to_slow = SLOW * (FLOOD * frame_size(packet) + WELCOME)
    assert found("payload_bytes_total", direction="sent") == counted.bytes_received + to_slow


def check_clients(found: Scraped) -> None:
    on_websockets = TALKING + SLOW + REFUSED
    left = TALKING // 2
    assert found.by("sessions_opened_total", "transport") == {"websocket": on_websockets, "polling": POLLING}
    assert found.by("sessions_closed_total", "reason") == {
        "transport close": left + REFUSED,
        "client disconnect": TALKING - left + POLLING,
        "transport error": SLOW,
    }
    assert found("clients_connected_total", namespace="/") == TALKING + POLLING + SLOW
    assert found.by("clients_refused_total", "reason") == {"connect handler": REFUSED}
    assert found.by("clients_disconnected_total", "reason") == {
        "transport close": left,
        "client disconnect": TALKING - left + POLLING,
        "transport error": SLOW,
    }
    assert found.by("requests_refused_total", "reason") == {
        "Unsupported protocol version": REFUSED,
        "Session ID unknown": POLLING,  # each polls until it is told so
    }
    assert found.by("http_requests_total", "status") == {"200": REFUSED}
    assert found("slow_clients_cut_total") == found("limit_hits_total", limit="max_buffered_bytes") == SLOW
    assert found("connections_handed_over_total") == found("connections_taken_total")
    gauges = ("clients", "polls_waiting", "handlers_running", "threads_busy", "thread_jobs_waiting")
    assert [found(name) for name in gauges] == [0] * len(gauges)
    assert found("unread_bytes") == 0


def without_scrapes(found: Scraped) -> list[str]:
    """What does not change by itself, or by questions for metrics, which go through the message queue."""
    changing = ("asyncsock_queue_messages_", "asyncsock_loop_delay_")
    return [line for line in found.text.splitlines() if not line.startswith(changing)]
