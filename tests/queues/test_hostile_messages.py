"""What other programs write to a message queue: refused with a log line, or sent as UTF-8."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from asyncsock import AsyncServer
from asyncsock.queues import health
from asyncsock.queues.manager import QueueManager
from tests.support.log_records import recorded
from tests.support.queue_drivers import Silent
from tests.support.socketio_in_process import Client, connected

HALF = "\ud800"  # of a surrogate pair
ODD = [
    ["a"], ["a", None], [None], [["a"]], [], {"a": 1}, [{"a": 1}], [1.5, True], True, 1, 2**70, float("inf"),
    "", None, HALF, [HALF],
]  # fmt: skip
METHODS = ("emit", "enter_room", "leave_room", "close_room", "callback", "disconnect")
FIELDS = (
    "room",
    "sid",
    "skip_sid",
    "namespace",
    "event",
    "data",
    "binary",
    "callback",
    "host_id",
    "id",
    "args",
)


class BytesJSON:
    """A JSON module that writes bytes, and half a surrogate pair as no UTF-8."""

    loads = staticmethod(json.loads)

    @staticmethod
    def dumps(data: Any, **options: Any) -> bytes:
        return json.dumps(data, ensure_ascii=False, **options).encode("utf-8", "surrogatepass")


@pytest.fixture
def manager() -> QueueManager:
    return QueueManager("test://", lambda: Silent("test://", "channel"))


@pytest.fixture(autouse=True)
def _log_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "IGNORED_INTERVAL", 0.0)


async def heard(client: Client) -> list[Any]:
    """What a client has got, once it is text that a WebSocket may bring."""
    packets = await client.packets()
    for packet in packets:
        packet.encode()
    return packets


@pytest.mark.parametrize("json_module", [None, json, BytesJSON])
@pytest.mark.parametrize("method", METHODS)
async def test_an_odd_value_in_any_field_is_no_error_of_the_server(
    manager: QueueManager, method: str, json_module: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = AsyncServer(client_manager=manager, json=json_module)
    async with connected(server) as client:
        await server.enter_room(client.sid, "a")
        usual = {"method": method, "event": "said", "data": ["hello"], "room": "b", "sid": "nobody"}
        for field in FIELDS:
            for value in ODD:
                caplog.clear()
                manager._receive([json.dumps({**usual, field: value}).encode()])
                assert len(recorded(caplog, logging.WARNING)) <= 1
                assert not [record for record in caplog.records if record.exc_info]
        await heard(client)
        manager._receive([json.dumps({**usual, "method": "emit", "room": "a"}).encode()])
        assert await heard(client) == ['42["said","hello"]']


@pytest.mark.parametrize(
    "message",
    [
        b'{"method":"emit","event":"x","data":["\xff"]}',
        b'{"method":"emit","event":"x","data":["\xed\xa0\x80"]}',
        b'{"method":"emit","event":"\xff","data":[]}',
        b'{"method":"emit","event":"x","data":[],"namespace":"\xff"}',
        b'{"method":"emit","event":"x","data":[],"room":"\xff"}',
        b'{"method":"emit","event":"x","data":[],"other":"\xff"}',
        b'{"method":"emit","event":"x","data":["\n"]}',
    ],
)
async def test_a_message_that_is_not_text_is_refused_with_one_log_line(
    manager: QueueManager, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(AsyncServer(client_manager=manager)) as client:
        manager._receive([message])
        assert await heard(client) == []
    assert len(recorded(caplog, logging.WARNING)) == 1
    assert not [record for record in caplog.records if record.exc_info]


async def test_what_another_encoding_of_json_says_is_sent_as_utf_8(manager: QueueManager) -> None:
    message = json.dumps({"method": "emit", "event": HALF, "data": [HALF]})
    async with connected(AsyncServer(client_manager=manager)) as client:
        manager._receive([message.encode(), message.encode("utf-16-le")])
        assert await heard(client) == [r'42["\ud800","\ud800"]'] * 2


async def test_an_answer_to_a_hostile_callback_is_no_error_of_the_server(
    manager: QueueManager, caplog: pytest.LogCaptureFixture
) -> None:
    server = AsyncServer(client_manager=manager)
    server.on("flush", lambda sid: None)
    async with connected(server) as client:
        for room in ODD:
            for namespace in ODD:
                for id in ODD:
                    message = {"method": "emit", "event": "x", "data": [], "host_id": HALF}
                    manager._receive([json.dumps({**message, "callback": [room, namespace, id]}).encode()])
        asked = [packet[2:].partition("[")[0] for packet in await heard(client)]
        assert len(asked) > 10
        for id in asked:
            client.send(f"43{id}[]")
        await client.ask("flush")
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("event", ["hello", HALF])
@pytest.mark.parametrize("data", [HALF, {HALF: 1}, [HALF, b"x"]], ids=repr)
async def test_json_of_the_applications_own_module_that_is_not_utf_8_is_an_error_of_the_call(
    event: str, data: Any
) -> None:
    server = AsyncServer(json=BytesJSON)
    async with connected(server) as client:
        with pytest.raises(UnicodeError):
            await server.emit(event, data)
        assert await client.packets() == []
