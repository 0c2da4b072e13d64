"""Metrics: what is counted, who may read it, and how many names there are."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, generate_latest

from asyncsock import ASGIApp, AsyncServer, SocketIO
from asyncsock.engine.tally import MOST_NAMES
from asyncsock.observing.loop_delay import INTERVAL
from tests.support.asgi_in_process import request
from tests.support.cluster_in_process import met, servers, started
from tests.support.engineio_in_process import Poller
from tests.support.scraped import Scraped, check_with_promtool, scrape
from tests.support.socketio_in_process import connected, until


def make_server(**options: Any) -> AsyncServer:
    server = AsyncServer(**{"metrics": True, **options})
    server.on("echo", lambda sid, *args: args)
    return server


# What is counted


async def test_events_and_acknowledgements_are_counted_both_ways_by_name() -> None:
    server = make_server()

    @server.on("ask")
    async def ask(sid: str) -> None:
        await server.emit("question", to=sid, callback=lambda *_: None)

    @server.on("fail")
    async def fail(sid: str) -> None:
        raise ValueError

    async with connected(server) as client, connected(server):
        assert await client.ask("echo", 1) == [1]
        client.send('42["echo","ä"]')
        client.send('42["nobody handles this"]')
        client.send('421["fail"]')
        client.send('42["ask"]')
        assert (await client.receive()).startswith("421[")
        client.send("431[]")
        await server.emit("news", {"of": "today"})
        await client.packets()
        found = await scrape(ASGIApp(server))
    assert found.by("events_total", "event", direction="received") == {
        "echo": 2,
        "fail": 1,
        "ask": 1,
        "other": 1,
    }
    assert found.by("acknowledgements_total", "event", direction="sent") == {"echo": 1, "fail": 0, "ask": 0}
    assert found.by("events_total", "event", direction="sent") == {"question": 1, "news": 2}
    assert found.by("acknowledgements_total", "event", direction="received") == {"question": 1}


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_events_are_counted_by_the_names_that_they_have_when_they_are_sent(serializer: str) -> None:
    server = make_server(serializer=serializer)
    app = ASGIApp(server)
    server.attach_loop()
    names = ["plain", 'with "quotes"', "back\\slash", "ümläut", "x" * 90]
    for name in names:
        assert server.codec.event_in(server.codec.encode([name, {"some": "data"}])) == name
    assert (await scrape(app))("events_total", direction="sent") == 0


async def test_bytes_are_counted_both_ways() -> None:
    server = make_server()
    async with connected(server) as client:
        before = await scrape(ASGIApp(server))
        assert await client.ask("echo", "0123456789") == ["0123456789"]
        after = await scrape(ASGIApp(server))
    sent, received = '427["echo", "0123456789"]', '437["0123456789"]'
    name = "payload_bytes_total"
    assert after(name, direction="received") - before(name, direction="received") == len(f"{sent}")
    assert (
        after(name, direction="sent") - before(name, direction="sent") == len(received) + 2
    )  # with its head


async def test_how_long_handlers_take_is_known_by_event_and_kind() -> None:
    socketio = SocketIO(Flask(__name__), metrics=True)
    release = asyncio.Event()

    @socketio.on("connect")
    def connect() -> None:
        pass

    @socketio.on("wait")
    async def wait() -> None:
        await release.wait()

    @socketio.on("work")
    def work() -> str:
        return "done"

    async with connected(socketio.server) as client:
        client.send('42["wait"]')
        assert await client.ask("work") == ["done"]
        during = await scrape(socketio.asgi_app)
        release.set()
        await until(lambda: not socketio.server.eio.tasks.running)
        after = await scrape(socketio.asgi_app)
    count = "handler_duration_seconds_count"
    assert during("events_total", direction="received", event="wait") == 1
    assert during(count, event="wait") == 0
    assert during("handlers_running") == 1
    assert after(count, event="wait", kind="coroutine") == 1
    assert after(count, event="work", kind="thread") == 1
    assert after(count, event="connect", kind="thread") == 1
    assert after("handler_duration_seconds_bucket", event="work", le="+Inf") == 1
    assert after("handler_duration_seconds_sum", event="wait") > 0
    assert after("handlers_running") == 0
    assert after("threads_busy", pool="handlers") == 0


async def test_sessions_and_clients_are_counted_as_they_come_and_go() -> None:
    server = make_server(namespaces=["/", "/other"], max_namespaces=2)
    app = ASGIApp(server)
    async with connected(server, "/", "/other") as client:
        client.send("40/third,")
        assert (await client.receive()).startswith("44/third,")
        poller = await Poller(server.eio).open()
        poll = asyncio.ensure_future(poller.get())
        await until(lambda: server.eio.sessions[poller.sid].transport.is_writable)
        during = await scrape(app)
        await request(app, query="EIO=3&transport=polling")
        await client.leave()
        await server.eio.disconnect(poller.sid)
        await poll
    after = await scrape(app)
    assert during.by("sessions", "transport") == {"polling": 1, "websocket": 1}
    assert during("polls_waiting") == 1
    assert during.by("clients", "namespace") == {"/": 1, "/other": 1}
    assert after.by("sessions_opened_total", "transport") == {"polling": 1, "websocket": 1}
    assert after.by("sessions_closed_total", "reason") == {"transport close": 1, "server disconnect": 1}
    assert after.by("clients_connected_total", "namespace") == {"/": 1, "/other": 1}
    assert after.by("clients_refused_total", "reason") == {"Invalid namespace": 1}
    assert after.by("clients_disconnected_total", "reason") == {"transport close": 2}
    assert after.by("requests_refused_total", "reason") == {"Unsupported protocol version": 1}
    assert after("sessions") == after("polls_waiting") == after("clients") == 0


async def test_how_late_the_loop_is_is_told() -> None:
    server = make_server()
    await server.startup()
    time.sleep(1.5 * INTERVAL)  # as a handler that blocks does
    assert server.metrics is not None
    numbers = {sample.family: sample.value for sample in server.metrics.read().samples}
    await server.shutdown()
    assert numbers["loop_delay_seconds"] >= INTERVAL / 2 - 0.01


async def test_requests_to_flask_are_counted_by_status() -> None:
    app = Flask(__name__)
    socketio = SocketIO(app, metrics=True)
    app.add_url_rule("/", view_func=lambda: "hello")
    for path in ("/", "/", "/nothing"):
        await request(socketio.asgi_app, path=path, query="")
    found = await scrape(socketio.asgi_app)
    assert found.by("http_requests_total", "status") == {"200": 2, "404": 1}


# Several processes


async def test_each_of_several_processes_answers_for_all(tmp_path: Path) -> None:
    async with servers(f"local://{tmp_path}", "metrics", 3, metrics=True) as all_servers:
        await met(all_servers)
        for number, server in enumerate(all_servers):
            async with connected(server) as client:
                for _ in range(number + 1):
                    client.send('42["event"]')
                await client.packets()
        answers = [await scrape(ASGIApp(server)) for server in all_servers]
    for found in answers:
        assert found("workers") == 3
        assert found("workers_silent") == 0
        assert sorted(found.by("events_total", "worker").values()) == [1, 2, 3]
        assert found("events_total", direction="received", event="other") == 6
        assert found("queue_up") == 6


async def test_a_process_that_does_not_answer_is_counted_and_others_are_shown(tmp_path: Path) -> None:
    async with servers(f"local://{tmp_path}", "metrics", 2, metrics=True) as measured:
        async with started(f"local://{tmp_path}", "metrics") as other:  # it has no metrics
            await met([*measured, other])
            found = await scrape(ASGIApp(measured[0]))
    assert found("workers") == 2
    assert found("workers_silent") == 1


# Names


async def test_ten_thousand_names_of_events_make_no_more_than_a_few_hundred_series() -> None:
    server = make_server()
    server.on("*", lambda event, sid: None)
    async with connected(server) as client:
        for number in range(10_000):
            client.send(f'42["made up {number}"]')
            if number % 100 == 0:
                await client.packets()
        client.send('42["\\ud800"]')
        client.send(f'42["{"x" * 1000}"]')
        assert await client.ask("echo") == []
        for number in range(10_000):
            await server.emit(f"to {number}")
        await client.packets()
        found = await scrape(ASGIApp(server))
    received = found.by("events_total", "event", direction="received")
    sent = found.by("events_total", "event", direction="sent")
    assert sum(received.values()) == 10_003
    assert sum(sent.values()) == 10_000
    assert received["echo"] == 1  # it has a handler of its own, so that no other name takes its place
    assert received["other"] == 10_002 - MOST_NAMES
    assert len(received) == MOST_NAMES + 2
    assert len(sent) == MOST_NAMES + 1
    assert len(found) < MOST_NAMES * 25
    check_with_promtool(found.text)


# Who may read them


async def test_only_this_machine_and_those_who_are_named_may_read_metrics(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def status(allowed: Any, client: Any, **headers: str) -> int:
        server = make_server(metrics="/numbers", metrics_allowed=allowed)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await request(ASGIApp(server), path="/numbers", query="", client=client, headers=names)
        return answer.status

    assert await status(None, ("127.0.0.1", 5)) == 200
    assert await status(None, ("::1", 5)) == 200
    assert await status(None, ("10.1.2.3", 5)) == 403
    assert "refused to 10.1.2.3: the metrics are for this machine, and for what metrics_allowed names" in (
        caplog.text
    )
    assert await status(None, None) == 403
    assert await status(None, ("127.0.0.1", 5), x_forwarded_for="127.0.0.1") == 403
    assert await status("10.0.0.0/8", ("10.1.2.3", 5)) == 200
    assert await status(["192.0.2.1", "10.1.2.3"], ("::ffff:10.1.2.3", 5)) == 200
    assert await status("10.0.0.0/8", ("192.0.2.1", 5)) == 403
    assert await status("*", None) == 200


async def test_the_page_answers_get_and_head_only() -> None:
    app = ASGIApp(make_server())
    head = await request(app, "HEAD", path="/metrics", query="")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 0
    assert (await request(app, "POST", path="/metrics", query="")).status == 405


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="metrics='metrics'"):
        AsyncServer(metrics="metrics")
    with pytest.raises(TypeError, match="metrics=5"):
        AsyncServer(metrics=5)
    with pytest.raises(ValueError, match="metrics_allowed='example.org'"):
        AsyncServer(metrics=True, metrics_allowed="example.org")


async def test_a_server_without_metrics_has_no_page_and_counts_no_events_and_bytes() -> None:
    server = AsyncServer()
    assert (await request(ASGIApp(server), path="/metrics", query="")).status == 404
    async with connected(server) as client:
        server.emit("news")
        await client.packets()
    assert server.eio.core.outboxes.bytes_sent == 0
    assert server._rooms.counter is None
    assert server._rooms._send == server._rooms._send_unseen
    assert server.acknowledgements.ended == server.eio.tasks.ended


# A registry


async def test_a_registry_gets_the_metrics_in_any_thread() -> None:
    registry = CollectorRegistry()
    server = make_server(metrics=registry)
    assert "asyncsock_workers 1.0" in generate_latest(registry).decode()
    async with connected(server) as client:
        await client.ask("echo")
        text = (await asyncio.to_thread(generate_latest, registry)).decode()
    assert Scraped(text)("events_total", event="echo") == 1
    check_with_promtool(text)


def test_a_registry_gets_the_metrics_of_the_last_server_when_init_app_is_called_again() -> None:
    registry = CollectorRegistry()
    socketio = SocketIO(Flask("one"), metrics=registry)
    socketio.init_app(Flask("two"))
    assert generate_latest(registry).decode().count("\nasyncsock_workers 1.0") == 1
