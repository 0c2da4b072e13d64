"""Traces that go on in other processes, with what message queues bring."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from asyncsock import AsyncServer, SocketIO
from asyncsock.codec.base import Body
from asyncsock.observing.traces import AsyncsockInstrumentor
from asyncsock.queues import wire
from asyncsock.queues.manager import QueueManager
from tests.support.cluster_in_process import servers
from tests.support.python_socketio_client import arrived
from tests.support.python_socketio_client import connected as client_of
from tests.support.queue_drivers import Silent
from tests.support.raw_clients import within
from tests.support.recorded_spans import SPAN_ID, TRACE_ID, TRACEPARENT, Spans
from tests.support.server_process import Server, serve
from tests.support.socketio_in_process import connected


@asynccontextmanager
async def two(url: str, channel: str, kinds: tuple[str, str]) -> AsyncIterator[list[Server]]:
    """Two servers with a message queue: ``traced``, or a kind of tests/apps/cluster.py."""
    async with AsyncExitStack() as stack:
        started = []
        for kind in kinds:
            target = "tests.apps.traced:asgi" if kind == "traced" else "tests.apps.cluster:asgi"
            serving = serve(target, env={"QUEUE": url, "CHANNEL": channel, "KIND": kind})
            started.append(await asyncio.to_thread(stack.enter_context, serving))
        yield started


async def get(server: Server, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.get(server.url + path, headers=headers)
        response.raise_for_status()
        return response


async def spans_of(server: Server, *names: str) -> dict[str, Any]:
    """The spans of a server by their names, once all of some names have ended."""

    async def ask() -> dict[str, Any]:
        while True:
            found = {span["name"]: span for span in (await get(server, "/spans")).json()}
            if found.keys() >= set(names):
                return found
            await asyncio.sleep(0.02)

    return await asyncio.wait_for(ask(), 20)


@pytest.mark.parametrize("broker", ["redis_broker", "nats_broker", "rabbitmq_broker", "local_broker"])
async def test_one_trace_goes_from_a_view_through_the_queue_to_the_callback_of_another_process_s_client(
    request: pytest.FixtureRequest, channel: str, broker: str
) -> None:
    url = request.getfixturevalue(broker).url
    async with two(url, channel, ("traced", "traced")) as (here, there):
        async with client_of(there.url, mode="websocket") as client:
            client.answer("question", lambda number: number * 7)
            sid = await client.call("whoami")
            await get(here, f"/ask?to={sid}", traceparent=TRACEPARENT)
            near = await spans_of(here, "view", "send question", "acknowledge question", "took 42")
            far = await spans_of(there, "deliver question", "acknowledge question")
    view, sent, called, took = (
        near[name] for name in ("view", "send question", "acknowledge question", "took 42")
    )
    delivered, acknowledged = far["deliver question"], far["acknowledge question"]
    assert {span["trace"] for span in (view, sent, called, took, delivered, acknowledged)} == {TRACE_ID}
    assert view["parent"] == SPAN_ID
    assert sent["parent"] == view["id"]
    assert delivered["parent"] == sent["id"]
    assert acknowledged["parent"] == delivered["id"]
    assert called["parent"] == sent["id"]
    assert took["parent"] == called["id"]
    assert [delivered["links"], called["links"]] == [[sent["id"]], [acknowledged["id"]]]
    assert [sent["kind"], delivered["kind"], called["kind"]] == ["PRODUCER", "CONSUMER", "CONSUMER"]


@pytest.mark.parametrize("other", ["python-socketio", "asyncsock"])
async def test_servers_that_are_not_traced_deliver_what_traced_ones_send_and_the_other_way_round(
    redis_broker: Any, channel: str, other: str
) -> None:
    async with two(redis_broker.url, channel, ("traced", other)) as (traced, plain):
        async with client_of(traced.url, mode="websocket") as near:
            async with client_of(plain.url, mode="websocket") as far:
                at_near, at_far = near.arrivals("news"), far.arrivals("news")
                await get(traced, "/tell")
                assert [await arrived(at_near), await arrived(at_far)] == [("good",)] * 2
                await far.call("put", "news", "better", {})
                assert [await arrived(at_near), await arrived(at_far)] == [("better",)] * 2
                delivered = (await spans_of(traced, "deliver news"))["deliver news"]
    assert (delivered["parent"], delivered["links"]) == (None, [])


def test_a_process_without_a_server_sends_its_trace_along(
    redis_broker: Any, channel: str, make_listener: Any
) -> None:
    spans = Spans()
    socketio = SocketIO(message_queue=redis_broker.url, channel=channel)
    AsyncsockInstrumentor().instrument_server(socketio, spans.provider)
    hear = make_listener(channel)
    socketio.emit("news", 5)
    (sent,) = spans.named("send news")
    assert json.loads(hear())["trace"]["traceparent"].startswith(f"00-{sent['trace']}-{sent['id']}-")


@pytest.fixture
def make_listener(redis_broker: Any) -> Any:
    """Subscribes to a channel of Redis; what it returns waits for a message."""
    from redis import Redis

    def subscribe(channel: str) -> Callable[[], bytes]:
        listener = Redis.from_url(redis_broker.url).pubsub(ignore_subscribe_messages=False)
        listener.subscribe(channel)
        assert listener.get_message(timeout=10)["type"] == "subscribe"
        return lambda: listener.get_message(timeout=10)["data"]

    return subscribe


JUNK = [5, "text", [1], {"traceparent": 5}, {"traceparent": "0" * 100_000}, {"x": {"y": [TRACEPARENT]}}, None]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
async def test_junk_in_the_place_of_a_trace_loses_no_event(junk: Any) -> None:
    manager, spans = QueueManager("test://", lambda: Silent("test://", "channel")), Spans()
    server = AsyncServer(client_manager=manager)
    AsyncsockInstrumentor().instrument_server(server, spans.provider)
    async with connected(server) as client:
        fields = wire.emit_fields("news", Body(b"[5]"), "/", None, None, None)
        manager._receive([wire.encode({**fields, "trace": junk}, "other", 1)])
        assert await client.event() == ["news", 5]
    assert (await spans.one("deliver news"))["parent"] is None


@asynccontextmanager
async def traced_servers(url: str, channel: str) -> AsyncIterator[tuple[list[AsyncServer], list[Spans]]]:
    """Two servers of a message queue, each with its own spans."""
    async with servers(url, channel, 2) as found:
        spans = [Spans(), Spans()]
        for server, provider in zip(found, spans, strict=True):
            AsyncsockInstrumentor().instrument_server(server, provider.provider)
        yield found, spans


async def test_a_call_of_all_clients_goes_on_in_the_processes_that_ask_them(
    local_broker: Any, channel: str
) -> None:
    async with traced_servers(local_broker.url, channel) as ((here, there), (near, far)):
        async with connected(there) as client:
            with near.tracer.start_as_current_span("view"):
                call = asyncio.ensure_future(here.call_all("question"))
            await client.receive()
            client.send("431[5]")
            assert await within(call) == [5]
            delivered = await far.one("deliver question")
    view, called = await near.one("view"), await near.one("call question")
    assert called["parent"] == view["id"]
    assert (delivered["trace"], delivered["parent"]) == (view["trace"], called["id"])
    assert delivered["links"] == [called["id"]]


@pytest.mark.parametrize("ack", [False, True])
async def test_an_event_between_servers_goes_on_in_their_handlers(
    local_broker: Any, channel: str, ack: bool
) -> None:
    async with traced_servers(local_broker.url, channel) as ((here, there), (near, far)):

        @there.on_server_side("reload")
        async def reload(what: str) -> str:
            with far.tracer.start_as_current_span("work"):
                return what

        with near.tracer.start_as_current_span("view"):
            sent = here.server_side_emit("reload", "all", ack=ack)
            assert await within(sent) == (["all"] if ack else None)
        work, handled = await far.one("work"), await far.one("process reload")
    view, sent_span = await near.one("view"), await near.one("call reload" if ack else "send reload")
    assert sent_span["parent"] == view["id"]
    assert (handled["trace"], handled["parent"]) == (view["trace"], sent_span["id"])
    assert work["parent"] == handled["id"]
