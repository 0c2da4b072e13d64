"""Metrics of four workers while clients talk, are slow, are refused and leave, and a broker dies."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.support.brokers import Redis
from tests.support.counting_clients import (
    PATIENCE,
    Counted,
    CountingClient,
    CountingPoller,
    connect_counting,
    connect_slow,
    frame_size,
    some,
    until,
)
from tests.support.raw_clients import within
from tests.support.scraped import Scraped, check_with_promtool
from tests.support.server_process import Server, serve

APP = "tests.apps.measured:asgi"
WORKERS = 4
# uvicorn kills a worker that does not answer it in time, by default within 5 seconds
ARGS = ["--workers", str(WORKERS), "--timeout-worker-healthcheck", "60"]
FLOOD, FLOOD_SIZE = 2000, 10_000  # more than the buffers of sockets take
WELCOME = frame_size(len('40{"sid":"01234567890123456789"}'))


@dataclass(frozen=True)
class Load:
    """How many clients there are of each kind.

    Attributes:
        talking: On WebSockets.
        polling: By polling.
        slow: That do not read.
        refused: That the connect handler refuses.
        telling: Of those that talk, how many emit to all, before the broker dies and while it is away.
        names: How many names of events clients make up.
    """

    talking: int
    polling: int
    slow: int
    refused: int
    telling: int
    names: int

    @property
    def staying(self) -> int:
        """Those who are told what others tell."""
        return self.talking + self.polling


FEW = Load(talking=45, polling=5, slow=1, refused=2, telling=20, names=100)
MANY = Load(talking=470, polling=20, slow=3, refused=7, telling=40, names=10_000)
LOADS = [
    pytest.param(FEW, id="50", marks=pytest.mark.timeout(300)),
    pytest.param(
        MANY,
        id="500",
        marks=[
            pytest.mark.skipif("WHOLE_TABLE" not in os.environ, reason="one of `make test-observing`"),
            pytest.mark.timeout(900),
        ],
    ),
]


@contextmanager
def telling(server: Server) -> Iterator[None]:
    """Print what the server has logged, if something fails."""
    try:
        yield
    except BaseException:
        print(server.log())
        raise


class Seen:
    """Reads metrics, each time on a new connection, so that any worker answers."""

    def __init__(self, server: Server) -> None:
        self._url = f"{server.url}/metrics"

    async def now(self) -> Scraped:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
            answer = await http.get(self._url)
        assert answer.status_code == 200
        return Scraped(answer.text)

    async def when(self, numbers: Callable[[Scraped], object], wanted: object) -> Scraped:
        """The metrics as soon as these numbers of them are as wanted.

        Raises:
            AssertionError: The numbers were others, and the same, for `PATIENCE` seconds.
        """
        loop = asyncio.get_running_loop()
        before, since = None, loop.time()
        while (now := numbers(found := await self.now())) != wanted:
            if now != before:
                before, since = now, loop.time()
            assert loop.time() - since < PATIENCE, f"{now} instead of {wanted} in:\n{found.text}"
            await asyncio.sleep(0.1)
        return found


async def talk(clients: list[CountingClient], load: Load, counted: Counted) -> None:
    for client in clients:
        for event in ("echo", "work", "work"):
            client.emit(event, "ä" * 40, acknowledged=True)
        client.emit("made up by nobody", 1)
    tell(clients, load, counted)
    clients[1].emit("ask")
    for number in range(load.names):
        clients[number % len(clients)].emit(f"name {number}")
        if number % 1000 == 0:
            await asyncio.sleep(0)
    acknowledged = 3 * len(clients)
    await until(
        lambda: some(
            acknowledgements=acknowledged - counted.acknowledged.total(), questions=1 - counted.answered
        ),
        counted,
    )
    await be_told(load, counted, 1)


def tell(clients: list[CountingClient], load: Load, counted: Counted) -> None:
    for client in clients[: load.telling]:
        client.emit("tell", {"to": "all"})


async def be_told(load: Load, counted: Counted, times: int) -> None:
    """Wait until what was told so many times has come to all."""
    news = times * load.telling * load.staying
    await until(lambda: some(news=news - counted.received["news"]), counted)


async def be_refused(server: Server, load: Load, counted: Counted) -> None:
    clients = []
    for _ in range(load.refused):
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: Refused(counted), "127.0.0.1", server.port)
        await within(client.refused, PATIENCE)
        clients.append(client)
    for client in clients:
        client.leave()
        await within(client.closed, PATIENCE)
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
        for _ in range(load.refused):
            assert (await http.get(f"{server.url}/socket.io/?EIO=3&transport=polling")).status_code == 400
            assert (await http.get(f"{server.url}/hello")).text == "hello"


class Refused(CountingClient):
    """A client whom the connect handler refuses."""

    def send(self, packet: str) -> None:
        super().send(f'{packet}{{"refuse":true}}' if packet == "40" else packet)


async def be_slow(server: Server, seen: Seen, load: Load, counted: Counted) -> None:
    clients = [await connect_slow(server.port, counted) for _ in range(load.slow)]
    for client in clients:
        client.emit("flood", FLOOD, FLOOD_SIZE)
        client.transport.pause_reading()  # type: ignore[attr-defined]
    await seen.when(lambda found: found("slow_clients_cut_total"), load.slow)
    for client in clients:
        client.break_off()


@pytest.mark.slow
@pytest.mark.parametrize("load", LOADS)
async def test_every_counter_equals_what_the_load_has_done(load: Load) -> None:
    counted, flooded = Counted(), Counted()
    with (
        Redis() as broker,
        serve(APP, args=ARGS, env={"QUEUE": broker.url}) as server,
        telling(server),
    ):
        seen = Seen(server)
        await seen.when(
            lambda found: (found("workers"), found("cluster_members")), wanted=(WORKERS, WORKERS**2)
        )

        clients = await connect_counting(server.port, load.talking, counted)
        pollers = [CountingPoller(server, counted) for _ in range(load.polling)]
        await asyncio.gather(*[poller.start() for poller in pollers])
        found = await seen.when(lambda found: found("polls_waiting"), load.polling)
        assert found.by("sessions", "transport") == {"websocket": load.talking, "polling": load.polling}
        assert found("clients", namespace="/") == load.staying

        talking = asyncio.ensure_future(talk(clients, load, counted))
        while not talking.done():
            await asyncio.to_thread(check_with_promtool, (await seen.now()).text)
        await talking
        await be_refused(server, load, counted)
        await be_slow(server, seen, load, flooded)
        await lose_broker(seen, broker, clients, load, counted)
        await leave(clients, pollers)

        found = await seen.when(lambda found: found("sessions"), 0)
        check_traffic(found, load, counted, flooded)
        check_clients(found, load)
        check_with_promtool(found.text)
        assert len(found) < WORKERS * 7000
        answers = [await seen.now() for _ in range(3 * WORKERS)]
        assert {json.dumps(without_scrapes(answer)) for answer in answers} == {
            json.dumps(without_scrapes(found))
        }


async def lose_broker(
    seen: Seen, broker: Redis, clients: list[CountingClient], load: Load, counted: Counted
) -> None:
    """Kill the broker, emit to all, and start it again: the events reach all."""
    broker.kill()
    await seen.when(
        lambda found: (found("workers_silent"), found("queue_up", connection="listening")),
        wanted=(WORKERS - 1, 0),
    )
    tell(clients, load, counted)
    await seen.when(lambda found: found("queue_messages_waiting") > 0, wanted=True)
    await asyncio.to_thread(broker.start)
    found = await seen.when(
        lambda found: (found("queue_up"), found("workers")), wanted=(2 * WORKERS, WORKERS)
    )
    assert found("queue_outages_total") == WORKERS
    assert found("queue_lost_seconds_total") > 0
    assert found("queue_messages_dropped_total") == 0
    await be_told(load, counted, 2)


async def leave(clients: list[CountingClient], pollers: list[CountingPoller]) -> None:
    for client in clients[::2]:
        client.leave()
    for client in clients[1::2]:
        client.end_session()
    await within(
        asyncio.gather(*[client.closed for client in clients], *[poller.leave() for poller in pollers]),
        PATIENCE,
    )


def check_traffic(found: Scraped, load: Load, counted: Counted, flooded: Counted) -> None:
    received = found.by("events_total", "event", direction="received")
    known = {event: counted.sent[event] for event in ("echo", "work", "tell", "ask")}
    assert {event: received[event] for event in known} == known
    assert received["flood"] == load.slow
    assert sum(received.values()) == (counted.sent + flooded.sent).total()
    sent = found.by("events_total", "event", direction="sent")
    assert sent == {**counted.received, "flood": load.slow * FLOOD}
    answered = found.by("acknowledgements_total", "event", direction="sent")
    assert {event: answered[event] for event in ("echo", "work")} == dict(counted.acknowledged)
    assert sum(answered.values()) == counted.acknowledged.total()
    assert found.by("acknowledgements_total", "event", direction="received") == {"question": counted.answered}
    count = "handler_duration_seconds_count"
    for event, kind in (("echo", "coroutine"), ("work", "thread"), ("tell", "coroutine")):
        assert found(count, event=event, kind=kind) == counted.sent[event]
    assert found(count, event="connect", kind="coroutine") == load.staying + load.slow + load.refused
    assert sum(found.by(count, "event").values()) == sum(received.values()) + found(count, event="connect")
    assert found("payload_bytes_total", direction="received") == counted.bytes_sent + flooded.bytes_sent
    packet = len(f'42["flood","{"x" * FLOOD_SIZE}"]')
    to_slow = load.slow * (FLOOD * frame_size(packet) + WELCOME)
    assert found("payload_bytes_total", direction="sent") == counted.bytes_received + to_slow


def check_clients(found: Scraped, load: Load) -> None:
    on_websockets = load.talking + load.slow + load.refused
    closed = (load.talking + 1) // 2  # by the clients' WebSockets
    left = {
        "transport close": closed,
        "client disconnect": load.staying - closed,
        "transport error": load.slow,
    }
    assert found.by("sessions_opened_total", "transport") == {
        "websocket": on_websockets,
        "polling": load.polling,
    }
    assert found.by("sessions_closed_total", "reason") == {**left, "transport close": closed + load.refused}
    assert found("clients_connected_total", namespace="/") == load.staying + load.slow
    assert found.by("clients_refused_total", "reason") == {"connect handler": load.refused}
    assert found.by("clients_disconnected_total", "reason") == left
    assert found.by("requests_refused_total", "reason") == {
        "Unsupported protocol version": load.refused,
        "Session ID unknown": load.polling,  # each polls until it is told so
    }
    assert found.by("http_requests_total", "status") == {"200": load.refused}
    cut, hits = found("slow_clients_cut_total"), found("limit_hits_total", limit="max_buffered_bytes")
    assert cut == hits == load.slow
    assert found("connections_handed_over_total") == found("connections_taken_total")
    gauges = ("clients", "polls_waiting", "handlers_running", "threads_busy", "thread_jobs_waiting")
    assert [found(name) for name in gauges] == [0] * len(gauges)
    assert found("unread_bytes") == 0


def without_scrapes(found: Scraped) -> list[str]:
    """What does not change by itself, or by questions for metrics, which go through the message queue."""
    changing = ("asyncsock_queue_messages_", "asyncsock_loop_delay_")
    return [line for line in found.text.splitlines() if not line.startswith(changing)]
