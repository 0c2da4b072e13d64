"""Metrics of clients that change their transport, come back, or reach another worker than their own."""

from __future__ import annotations

from pathlib import Path

from asyncsock import ASGIApp, AsyncServer
from tests.support.cluster_in_process import eventually, servers
from tests.support.doors import served
from tests.support.raw_clients import Polling, websocket
from tests.support.returning_visitors import visitors
from tests.support.scraped import scrape
from tests.support.socketio_in_process import connected
from tests.support.workers_in_process import group, opened


async def test_sessions_that_move_to_a_websocket_are_counted() -> None:
    server = AsyncServer(metrics=True)
    async with served(server, "httptools") as local, Polling(local) as polling:  # type: ignore[arg-type]
        await polling.open()
        before = await scrape(ASGIApp(server))
        async with websocket(local, sid=polling.sid) as ws:  # type: ignore[arg-type]
            await ws.send("2probe")
            await ws.send("5")
            await eventually(lambda: server.eio.transport(polling.sid) == "websocket")
            after = await scrape(ASGIApp(server))
    assert (before("sessions_upgraded_total"), after("sessions_upgraded_total")) == (0, 1)
    assert after.by("sessions_opened_total", "transport") == {"polling": 1}
    assert after.by("sessions", "transport") == {"polling": 0, "websocket": 1}


async def test_clients_that_come_back_are_counted_as_recovered_or_new() -> None:
    server = AsyncServer(metrics=True, connection_state_recovery=True)
    async with visitors(server) as guests:
        known, stranger = await guests.come(), await guests.come()
        await known.lose()
        await stranger.lose()
        server.emit("news", "x" * 1000)
        stranger.pid = "another"
        await known.come()
        await stranger.come()
        found = await scrape(ASGIApp(server))
    assert found.by("recoveries_total", "outcome") == {"recovered": 1, "new": 1}
    assert found("recovery_log_bytes") > 1000


async def test_requests_that_another_worker_answers_are_counted_where_they_came() -> None:
    near, far = AsyncServer(metrics=True), AsyncServer(metrics=True)
    async with group(near, far) as (here, there):
        async with Polling(here) as polling:
            polling.sid = await opened(there)
            await polling.send("40", "1")
        found = await scrape(ASGIApp(near))
    names = {server.cluster.name: server for server in (near, far)}
    relayed = found.by("relayed_requests_total", "worker")
    assert {names[name]: number for name, number in relayed.items()} == {near: 1, far: 0}
    assert found("connections_handed_over_total") == found("connections_taken_total") == 0


async def test_messages_of_the_queue_are_counted_both_ways(tmp_path: Path) -> None:
    async with servers(f"local://{tmp_path}", "metrics", 2, metrics=True) as (one, two):
        async with connected(two) as client:
            before = await scrape(ASGIApp(one))
            for number in range(10):
                one.emit("news", number)
            for number in range(10):
                assert await client.event() == ["news", number]
            after = await scrape(ASGIApp(one))
    for name, server in (("published", one), ("received", two)):
        family, worker = f"queue_messages_{name}_total", server.cluster.name
        # and a question with its answer
        assert 10 <= after(family, worker=worker) - before(family, worker=worker) <= 12
