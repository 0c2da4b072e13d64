"""The options of EngineServer, and the same options passed through AsyncServer."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import socketio
from socketio.msgpack_packet import MsgPackPacket

from asyncsock import AsyncServer
from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import (
    WEBSOCKET,
    Answer,
    Closed,
    Refused,
    Socket,
)
from tests.support.engineio_in_process import PATH, Poller, ask, handshake, websocket
from tests.support.raw_clients import frame, within

# Cookies


async def test_there_is_no_cookie_by_default() -> None:
    assert "set-cookie" not in (await ask(EngineServer())).headers


async def test_a_cookie_option_names_a_cookie_with_the_session_id() -> None:
    poller = await Poller(EngineServer(cookie="io")).open()
    assert poller.opened is not None
    assert poller.opened.headers["set-cookie"] == f"io={poller.sid}; path=/; SameSite=Lax"


async def test_a_cookie_dictionary_has_attributes() -> None:
    cookie = {"name": "io", "Path": "/chat", "Domain": lambda: "example.org", "HttpOnly": True}
    poller = await Poller(EngineServer(cookie=cookie)).open()
    assert poller.opened is not None
    expected = f"io={poller.sid}; Path=/chat; Domain=example.org; HttpOnly"
    assert poller.opened.headers["set-cookie"] == expected


@pytest.mark.parametrize("value", [False, None])
async def test_a_cookie_attribute_without_a_value_is_left_out(value: bool | None) -> None:
    poller = await Poller(EngineServer(cookie={"name": "io", "Secure": value})).open()
    assert poller.opened is not None
    assert poller.opened.headers["set-cookie"] == f"io={poller.sid}"


async def test_only_the_first_answer_sets_the_cookie() -> None:
    poller = await Poller(EngineServer(cookie="io")).open()
    answer = await poller.post("4hello")
    assert "set-cookie" not in answer.headers


async def test_a_websocket_handshake_sets_the_cookie(ws: str) -> None:
    async with handshake(EngineServer(cookie="io"), ws) as (_, headers, raw):
        sid = json.loads((await raw.read_frame())[1][1:])["sid"]
        assert headers["set-cookie"] == f"io={sid}; path=/; SameSite=Lax"


# Compression


async def answer_of(size: int, accept: str, **options: Any) -> Answer:
    """A poll that is answered with so many bytes."""
    server = EngineServer(**options)
    poller = await Poller(server, {"Accept-Encoding": accept}).open()
    await server.send(poller.sid, "x" * (size - 1))
    return await poller.request("GET")


async def test_a_large_answer_is_compressed_with_gzip() -> None:
    answer = await answer_of(2000, "gzip, deflate, br")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == b"4" + b"x" * 1999
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_a_large_answer_is_compressed_with_deflate_for_who_accepts_no_gzip() -> None:
    answer = await answer_of(2000, "deflate")
    assert answer.headers["content-encoding"] == "deflate"
    assert zlib.decompress(answer.body) == b"4" + b"x" * 1999


@pytest.mark.parametrize("accept", ["gzip;q=0, deflate", "gzip; q=0, deflate", "gzip;q=0.0, deflate"])
async def test_an_encoding_that_the_client_excludes_is_not_used(accept: str) -> None:
    answer = await answer_of(2000, accept)
    assert answer.headers["content-encoding"] == "deflate"


@pytest.mark.parametrize("accept", ["", "br", "identity"])
async def test_an_answer_is_not_compressed_for_who_does_not_accept_it(accept: str) -> None:
    assert "content-encoding" not in (await answer_of(2000, accept)).headers


async def test_an_answer_below_the_threshold_is_not_compressed() -> None:
    assert "content-encoding" not in (await answer_of(1023, "gzip")).headers


async def test_an_answer_of_the_thresholds_size_is_compressed() -> None:
    assert "content-encoding" in (await answer_of(1024, "gzip")).headers


async def test_the_threshold_can_be_set() -> None:
    answer = await answer_of(500, "gzip", compression_threshold=400)
    assert answer.headers["content-encoding"] == "gzip"


async def test_compression_can_be_switched_off() -> None:
    answer = await answer_of(2000, "gzip", http_compression=False)
    assert answer.body == b"4" + b"x" * 1999


# Sizes


async def test_the_handshake_tells_the_limit() -> None:
    poller = await Poller(EngineServer(max_http_buffer_size=1234)).open()
    assert poller.handshake["maxPayload"] == 1234


async def test_a_post_of_the_limits_size_is_taken() -> None:
    poller = await Poller(EngineServer(max_http_buffer_size=100)).open()
    assert (await poller.post("4" + "x" * 99)).status == 200


async def test_a_post_beyond_the_limit_is_refused() -> None:
    poller = await Poller(EngineServer(max_http_buffer_size=100)).open()
    assert (await poller.post("4" + "x" * 100)).status == 413


async def test_a_post_that_announces_too_much_is_refused_unread() -> None:
    poller = await Poller(EngineServer(), {"Content-Length": "100000000"}).open()

    def body() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    assert (await poller.request("POST", body=body())).status == 413


async def test_an_endless_post_is_read_up_to_the_limit_only() -> None:
    poller = await Poller(EngineServer(max_http_buffer_size=1_000_000)).open()
    body = iter([bytes(64 * 1024)] * 1600)
    assert (await poller.request("POST", body=body)).status == 413
    assert 1600 - len(list(body)) == 16


async def test_a_post_beyond_the_limit_ends_the_session() -> None:
    server = EngineServer(max_http_buffer_size=100)
    poller = await Poller(server).open()
    await poller.post("4" + "x" * 100)
    assert server.sessions == {}


async def test_a_websocket_message_of_the_limits_size_is_taken(ws: str) -> None:
    server = EngineServer(max_http_buffer_size=100)
    server.on("message", server.send)
    async with websocket(server, ws) as raw:
        await raw.send(frame(1, b"4" + b"x" * 99))
        assert (await raw.read_frame())[1] == b"4" + b"x" * 99


@pytest.mark.parametrize("text", ["x" * 100, "ü" * 50])
async def test_a_websocket_message_beyond_the_limit_is_closed_with_1009(ws: str, text: str) -> None:
    server = EngineServer(max_http_buffer_size=100)
    async with websocket(server, ws) as raw:
        await raw.send(frame(1, b"4" + text.encode()))
        assert await raw.close_code() == 1009


# Heartbeat and time limits


async def test_the_handshake_tells_both_times_in_milliseconds() -> None:
    poller = await Poller(EngineServer(ping_interval=1.5, ping_timeout=0.25)).open()
    assert (poller.handshake["pingInterval"], poller.handshake["pingTimeout"]) == (1500, 250)


async def test_a_pair_of_ping_intervals_is_told_as_their_sum() -> None:
    poller = await Poller(EngineServer(ping_interval=(25, 10))).open()
    assert poller.handshake["pingInterval"] == 35_000


async def test_the_server_pings_after_the_first_of_a_pair_of_intervals() -> None:
    poller = await Poller(EngineServer(ping_interval=(0.05, 100))).open()
    assert await within(poller.get()) == ["2"]


async def test_a_client_that_answers_no_ping_is_disconnected_for_that_reason(ws: str) -> None:
    server = EngineServer(ping_interval=0.02, ping_timeout=0.02)
    reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server.on("disconnect", lambda sid, why: reason.set_result(why))
    async with websocket(server, ws):
        assert await within(reason) == "ping timeout"


async def test_a_client_that_answers_its_pings_stays() -> None:
    server = EngineServer(ping_interval=0.02, ping_timeout=2)
    poller = await Poller(server).open()
    for _ in range(5):
        assert await within(poller.get()) == ["2"]
        await poller.post("3")
    assert list(server.sessions) == [poller.sid]


async def test_a_client_that_joins_no_namespace_is_disconnected() -> None:
    server = AsyncServer(connect_timeout=0.05)
    async with Socket(server.handle_request) as socket:
        await socket.receive()
        with pytest.raises(Closed):
            await socket.receive()


async def test_a_client_that_joins_a_namespace_in_time_stays() -> None:
    server = AsyncServer(connect_timeout=1)
    async with Socket(server.handle_request) as socket, Socket(server.handle_request) as idle:
        await socket.receive()
        socket.send("40")
        assert (await socket.receive())[:2] == "40"
        await idle.receive()
        with pytest.raises(Closed):
            await idle.receive()
        assert len(server.eio.sessions) == 1


# Transports


async def test_a_websocket_is_offered_by_default() -> None:
    assert (await Poller(EngineServer()).open()).handshake["upgrades"] == ["websocket"]


@pytest.mark.parametrize("options", [{"allow_upgrades": False}, {"transports": ["polling"]}])
async def test_no_upgrade_is_offered_where_there_is_none(options: dict[str, Any]) -> None:
    assert (await Poller(EngineServer(**options)).open()).handshake["upgrades"] == []


async def test_an_upgrade_that_is_not_allowed_is_refused() -> None:
    server = EngineServer(allow_upgrades=False)
    poller = await Poller(server).open()
    with pytest.raises(Refused):
        async with Socket(server.handle_request, PATH, f"{WEBSOCKET}&sid={poller.sid}"):
            pass
    assert list(server.sessions) == [poller.sid]


async def test_without_upgrades_a_websocket_may_open_a_session() -> None:
    async with Socket(EngineServer(allow_upgrades=False).handle_request) as socket:
        assert (await socket.receive())[0] == "0"


@pytest.mark.parametrize("transports", [["websocket"], "websocket", ("websocket",)])
async def test_polling_is_refused_where_only_websockets_are_served(transports: Any) -> None:
    server = EngineServer(transports=transports)
    assert (await ask(server)).status == 400
    async with Socket(server.handle_request) as socket:
        assert (await socket.receive())[0] == "0"


async def test_websockets_are_refused_where_only_polling_is_served() -> None:
    server = EngineServer(transports=["polling"])
    with pytest.raises(Refused):
        async with Socket(server.handle_request):
            pass
    assert (await ask(server)).status == 200


@pytest.mark.parametrize("transports", [["websocket", "webtransport"], "webtransport"])
def test_an_unknown_transport_is_an_error_that_names_it(transports: Any) -> None:
    with pytest.raises(ValueError, match="webtransport"):
        EngineServer(transports=transports)


# Options that are refused


@pytest.mark.parametrize("kind", [EngineServer, AsyncServer])
def test_an_unknown_option_is_an_error_that_names_it(kind: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="ping_intervall"):
        kind(ping_intervall=5)


@pytest.mark.parametrize("kind", [EngineServer, AsyncServer])
@pytest.mark.parametrize("mode", ["eventlet", "gevent", "aiohttp", "threading"])
def test_another_async_mode_is_refused(kind: Callable[..., Any], mode: str) -> None:
    with pytest.raises(ValueError, match=mode):
        kind(async_mode=mode)


@pytest.mark.parametrize("mode", [None, "asgi", "asyncio"])
def test_the_async_mode_is_asgi(mode: str | None) -> None:
    assert AsyncServer(async_mode=mode).async_mode == "asgi"


def test_monitor_clients_is_accepted() -> None:
    EngineServer(monitor_clients=False)


# JSON


def loud_json() -> Any:
    """A JSON module that shouts."""
    return SimpleNamespace(
        dumps=lambda data, **options: json.dumps(data, **options).upper(),
        loads=lambda text, **options: json.loads(text.lower(), **options),
    )


async def test_the_engines_json_module_encodes_messages() -> None:
    server = EngineServer(json=loud_json())
    poller = await Poller(server).open()
    await server.send(poller.sid, {"text": "hello"})
    assert await poller.get() == ['4{"TEXT":"HELLO"}']


async def test_the_json_module_encodes_and_decodes_events() -> None:
    server = AsyncServer(json=loud_json())
    server.on("say", lambda sid, text: text + "!")
    async with Socket(server.handle_request) as socket:
        await socket.receive()
        socket.send("40")
        await socket.receive()
        socket.send('420["SAY","HELLO"]')
        assert await socket.receive() == '430["HELLO!"]'


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
def test_the_json_module_is_that_servers_only(serializer: str) -> None:
    before = socketio.packet.Packet.json, MsgPackPacket.json
    AsyncServer(json=loud_json(), serializer=serializer)
    assert (socketio.packet.Packet.json, MsgPackPacket.json) == before
    assert AsyncServer().codec.encode(["hello"]).data == b'["hello"]'
