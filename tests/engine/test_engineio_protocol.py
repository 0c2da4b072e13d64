"""Engine.IO protocol, version 4: what binds a server, clause by clause, under each kind of server.

Each docstring tells the clause in short and, in brackets, the section of the protocol document.
"""

from __future__ import annotations

import asyncio
import base64

import pytest
from websockets.asyncio.client import ClientConnection

from tests.conftest import WEBSOCKET_WAYS
from tests.support.raw_clients import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    SEPARATOR,
    TEXT,
    Polling,
    RawSocket,
    close_code,
    frame,
    is_refused,
    read_handshake,
    receive,
    upgrade,
    warnings,
    websocket,
    within,
)
from tests.support.server_process import Server

HANDSHAKE_KEYS = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}


async def test_the_log_names_the_way_of_a_websocket(engine: Server, asgi_server: str) -> None:
    async with websocket(engine) as ws:
        await read_handshake(ws)
    other = next(name for name in WEBSOCKET_WAYS.values() if name != WEBSOCKET_WAYS[asgi_server])
    log = engine.wait_for_log(f"websocket door: {WEBSOCKET_WAYS[asgi_server]}")
    assert f"websocket door: {other}" not in log


# Handshake


async def test_polling_opens_a_session(engine: Server) -> None:
    """The open packet carries sid, upgrades, both heartbeat times and maxPayload [Handshake]."""
    async with Polling(engine) as polling:
        handshake = await polling.open()
    assert set(handshake) == HANDSHAKE_KEYS
    assert isinstance(handshake["sid"], str)
    assert handshake["sid"]
    assert handshake["upgrades"] == ["websocket"]
    assert (handshake["pingInterval"], handshake["pingTimeout"]) == (25000, 20000)
    assert handshake["maxPayload"] == 1_000_000


async def test_a_websocket_opens_a_session(engine: Server) -> None:
    """The same open packet; there is nothing to upgrade to [Handshake]."""
    async with websocket(engine) as ws:
        handshake = await read_handshake(ws)
    assert set(handshake) == HANDSHAKE_KEYS
    assert isinstance(handshake["sid"], str)
    assert handshake["sid"]
    assert handshake["upgrades"] == []
    assert (handshake["pingInterval"], handshake["pingTimeout"]) == (25000, 20000)
    assert handshake["maxPayload"] == 1_000_000


async def test_the_handshake_tells_times_in_whole_milliseconds(strict_engine: Server) -> None:
    """pingInterval and pingTimeout are numbers of milliseconds [Handshake]."""
    async with Polling(strict_engine) as polling:
        handshake = await polling.open()
    assert (handshake["pingInterval"], handshake["pingTimeout"]) == (300, 200)


async def test_every_session_has_an_id_of_its_own(engine: Server) -> None:
    """sid identifies the session [Handshake]."""
    async with Polling(engine) as first, Polling(engine) as second:
        assert (await first.open())["sid"] != (await second.open())["sid"]
        await first.send("4for the first")
        await second.send("4for the second")
        assert await first.receive() == ["4for the first"]
        assert await second.receive() == ["4for the second"]


# Query parameters


@pytest.mark.parametrize("name", ["EIO", "transport"])
async def test_polling_without_a_mandatory_parameter_is_a_bad_request(engine: Server, name: str) -> None:
    """A missing mandatory query parameter is answered with 400 [Query parameters]."""
    async with Polling(engine) as polling:
        assert (await polling.request("GET", **{name: None})).status_code == 400


async def test_a_post_without_sid_is_a_bad_request(engine: Server) -> None:
    """sid is mandatory once a session is established, and only GET opens one [Query parameters]."""
    async with Polling(engine) as polling:
        assert (await polling.post("4hello")).status_code == 400


@pytest.mark.parametrize("version", ["abc", "3", "5", ""])
async def test_polling_with_another_version_is_a_bad_request(engine: Server, version: str) -> None:
    """EIO is 4 [Query parameters]."""
    async with Polling(engine) as polling:
        assert (await polling.request("GET", EIO=version)).status_code == 400


@pytest.mark.parametrize("transport", ["abc", "", "flashsocket"])
async def test_polling_with_an_unknown_transport_is_a_bad_request(engine: Server, transport: str) -> None:
    """transport is polling or websocket [Query parameters]."""
    async with Polling(engine) as polling:
        assert (await polling.request("GET", transport=transport)).status_code == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_another_method_is_a_bad_request(engine: Server, method: str) -> None:
    """Polling consists of GET and POST requests [HTTP long-polling]."""
    async with Polling(engine) as polling:
        assert (await polling.request(method)).status_code == 400
        await polling.open()
        assert (await polling.request(method)).status_code == 400


async def test_a_plain_request_for_a_websocket_is_a_bad_request(engine: Server) -> None:
    """The WebSocket transport consists of a WebSocket connection [WebSocket]."""
    async with Polling(engine) as polling:
        assert (await polling.request("GET", transport="websocket")).status_code == 400


@pytest.mark.parametrize("name", ["EIO", "transport"])
async def test_a_websocket_without_a_mandatory_parameter_is_closed(engine: Server, name: str) -> None:
    """A missing mandatory query parameter closes the connection [WebSocket]."""
    missing: dict[str, str | None] = {name: None}
    assert await is_refused(engine, "/engine.io/", **missing)


@pytest.mark.parametrize("values", [{"EIO": "abc"}, {"EIO": "3"}, {"transport": "abc"}])
async def test_a_websocket_with_a_wrong_parameter_is_closed(engine: Server, values: dict[str, str]) -> None:
    """EIO is 4 and transport is websocket [WebSocket]."""
    assert await is_refused(engine, **values)


async def test_a_websocket_with_the_transport_polling_is_closed(engine: Server) -> None:
    """The parameter and the connection agree [WebSocket]."""
    assert await is_refused(engine, transport="polling")


# Sending and receiving data


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_sid_is_a_bad_request(engine: Server, method: str) -> None:
    """A session id that is not known is answered with 400 [Sending data, Receiving data]."""
    async with Polling(engine) as polling:
        polling.sid = "unknown"
        assert (await polling.request(method, "4hello" if method == "POST" else None)).status_code == 400


async def test_a_websocket_with_an_unknown_sid_is_closed(engine: Server) -> None:
    """sid names the session that is to be upgraded [WebSocket]."""
    assert await is_refused(engine, sid="unknown")


async def test_a_post_is_answered_with_ok(engine: Server) -> None:
    """Success is a 200 response whose body is the string ok [Sending data]."""
    async with Polling(engine) as polling:
        await polling.open()
        response = await polling.post("4hello")
    assert (response.status_code, response.text) == (200, "ok")


async def test_a_poll_waits_until_there_is_a_packet(engine: Server) -> None:
    """With nothing buffered the answer may wait, then carries the packets [Receiving data]."""
    async with Polling(engine) as polling:
        await polling.open()
        poll = await polling.pending()
        await polling.send("4hello")
        response = await within(poll)
    assert (response.status_code, response.text) == (200, "4hello")


async def test_a_second_concurrent_poll_is_a_bad_request_and_closes_the_session(engine: Server) -> None:
    """More than one active GET is answered with 400, and the session closes [Receiving data]."""
    async with Polling(engine) as polling:
        await polling.open()
        answers = await within(asyncio.gather(polling.get(), polling.get()))
        assert sorted(answer.status_code for answer in answers) == [200, 400]
        assert [answer.text for answer in answers if answer.status_code == 200] == ["1"]
        assert (await polling.get()).status_code == 400
        assert (await polling.post("4hello")).status_code == 400


async def test_a_second_concurrent_post_is_a_bad_request_and_closes_the_session(engine: Server) -> None:
    """More than one active POST is answered with 400, and the session closes [Sending data]."""
    async with Polling(engine) as polling, await RawSocket.connect(engine) as slow:
        await polling.open()
        head = f"POST /engine.io/?EIO=4&transport=polling&sid={polling.sid} HTTP/1.1\r\nHost: a\r\n"
        await slow.send(f"{head}Content-Length: 6\r\n\r\n4he".encode())
        await polling.until_under_way("POST")
        assert (await polling.post("4hello")).status_code == 400
        assert (await polling.get()).status_code == 400


async def test_a_cancelled_poll_closes_the_session(engine: Server) -> None:
    """A client whose poll is cut off has missed what that poll would have brought [Receiving data]."""
    async with Polling(engine) as polling:
        await polling.open()
        poll = await polling.pending()
        poll.cancel()
        assert (await polling.get()).status_code == 400
        assert (await polling.get()).status_code == 400


# Message, and its encoding for polling


async def test_polling_carries_a_text_message_both_ways(engine: Server) -> None:
    """Data goes in message packets once the handshake is done [Message]."""
    async with Polling(engine) as polling:
        await polling.open()
        await polling.send("4hello")
        assert await polling.receive() == ["4hello"]


async def test_polling_carries_several_messages_in_one_payload(engine: Server) -> None:
    """Packets are joined by the record separator, in both directions and in order [HTTP long-polling]."""
    async with Polling(engine) as polling:
        await polling.open()
        await polling.send("4test1", "4test2", "4test3")
        response = await polling.get()
    assert response.text == SEPARATOR.join(["4test1", "4test2", "4test3"])


async def test_polling_carries_binary_messages_as_base64(engine: Server) -> None:
    """Binary data is base64 behind a b, in a payload that is text [HTTP long-polling]."""
    async with Polling(engine) as polling:
        await polling.open()
        await polling.send("4hello", "bAQIDBA==")
        response = await polling.get()
    assert response.text == f"4hello{SEPARATOR}bAQIDBA=="


async def test_polling_carries_every_byte_value(engine: Server) -> None:
    """Binary data is base64 of the standard alphabet [HTTP long-polling]."""
    packet = "b" + base64.b64encode(bytes(range(256))).decode()
    async with Polling(engine) as polling:
        await polling.open()
        await polling.send(packet)
        assert await polling.receive() == [packet]


async def test_a_payload_is_declared_as_text(engine: Server) -> None:
    """Only binary data is declared as octet-stream; payloads are text, base64 included [Headers]."""
    async with Polling(engine) as polling:
        opening = await polling.get()
        polling.sid = opening.text.split('"sid":"')[1].split('"')[0]
        pushed = await polling.post("bAQIDBA==", "4hello")
        polled = await polling.get()
    for response in (opening, pushed, polled):
        content_type = response.headers["content-type"].lower().replace(" ", "")
        assert content_type.split(";")[0] in ("text/plain", "text/html")
    for response in (opening, polled):
        assert response.headers["content-type"].lower().replace(" ", "") == "text/plain;charset=utf-8"


@pytest.mark.parametrize("content_type", [None, "text/plain;charset=UTF-8", "text/plain"])
async def test_a_payload_without_a_type_is_text(engine: Server, content_type: str | None) -> None:
    """Without Content-Type the receiver takes the data for plain text [Headers]."""
    async with Polling(engine) as polling:
        await polling.open()
        headers = {"Content-Type": content_type} if content_type else {}
        response = await polling.request("POST", b"4hello", headers)
        assert (response.status_code, response.text) == (200, "ok")
        assert await polling.receive() == ["4hello"]


@pytest.mark.parametrize("text", ["€ à la carte", "𝄞\U0010ffff", "\x00\x01\x7f", "", "4", "b", "\n \r\n"])
async def test_text_is_utf8_over_polling(engine: Server, text: str) -> None:
    """Plain text is encoded as UTF-8, whatever it holds [Packet encoding]."""
    async with Polling(engine) as polling:
        await polling.open()
        await polling.send("4" + text)
        response = await polling.get()
    assert response.content == ("4" + text).encode()


async def test_messages_of_one_burst_come_in_order_over_polling(engine: Server) -> None:
    """Packets are concatenated in the order they were sent [HTTP long-polling]."""
    async with Polling(engine) as polling:
        await polling.open()
        await polling.send("4!burst")
        assert await polling.receive_all(4) == ["4one", "bAQI=", "4two", "4three"]


PYTHON, JAVASCRIPT, NEITHER = "1700000000.25", "qy1e5k3x", None


@pytest.mark.parametrize(
    ("time", "sizes"), [(PYTHON, [16, 16, 8]), (NEITHER, [16, 16, 8]), (JAVASCRIPT, [40])]
)
async def test_many_packets_are_handed_out_in_answers_that_the_client_can_take(
    engine: Server, time: str | None, sizes: list[int]
) -> None:
    """python-socketio's client, which may be any without a JavaScript client's `t`, takes 16 packets."""
    async with Polling(engine) as polling:
        await polling.open()
        sent = [f"4{number}" if number % 3 else f"b{number:04}" for number in range(40)]
        await polling.send(*sent)
        answers = [(await polling.request("GET", t=time)).text.split(SEPARATOR) for _ in sizes]
        assert [len(answer) for answer in answers] == sizes
        assert [packet for answer in answers for packet in answer] == sent
        await polling.send("4more")
        assert await polling.receive() == ["4more"]


@pytest.mark.parametrize("hanging", [True, False], ids=["a poll waits", "no poll waits"])
@pytest.mark.parametrize(("time", "sizes"), [(PYTHON, [16, 16, 8, 1]), (JAVASCRIPT, [40, 1])])
async def test_many_packets_left_at_the_end_are_handed_out_in_such_answers_too(
    engine: Server, hanging: bool, time: str, sizes: list[int]
) -> None:
    """The close packet is the last of them, and comes alone [Message]."""
    async with Polling(engine) as polling:
        await polling.open()
        sent = [f"4{number}" for number in range(40)]
        poll = asyncio.ensure_future(polling.request("GET", t=time)) if hanging else None
        if hanging:
            await polling.until_under_way("GET")
        await polling.send(*sent, "4!close")
        answers = [] if poll is None else [await within(poll)]
        answers += [await polling.request("GET", t=time) for _ in sizes[len(answers) :]]
        packets = [answer.text.split(SEPARATOR) for answer in answers]
        assert [len(some) for some in packets] == sizes
        assert [packet for some in packets for packet in some] == [*sent, "1"]
        assert (await polling.get()).status_code == 400


async def test_an_invalid_packet_closes_a_polling_session(engine: Server) -> None:
    """A packet starts with one of seven types [Protocol]."""
    async with Polling(engine) as polling:
        await polling.open()
        assert (await polling.post("abc")).status_code == 400
        assert (await polling.get()).status_code == 400


# Message, and its encoding for WebSocket


@pytest.mark.parametrize("text", ["hello", "", "€ 𝄞", "\x1e", "\x00", "4"])
async def test_a_websocket_carries_a_text_message_both_ways(engine: Server, text: str) -> None:
    """A text frame holds the type and the text as UTF-8 [WebSocket]."""
    async with websocket(engine) as ws:
        await read_handshake(ws)
        await ws.send("4" + text)
        assert await receive(ws) == "4" + text


@pytest.mark.parametrize("data", [b"\x01\x02\x03\x04", b"", b"4hello", bytes(range(256))])
async def test_a_websocket_carries_a_binary_message_both_ways(engine: Server, data: bytes) -> None:
    """Binary data is sent as is, without a type [WebSocket]."""
    async with websocket(engine) as ws:
        await read_handshake(ws)
        await ws.send(data)
        assert await receive(ws) == data


async def test_each_packet_has_a_frame_of_its_own(engine: Server) -> None:
    """One packet, one frame, also where several are sent at once [WebSocket]."""
    async with await RawSocket.websocket(engine) as raw:
        await raw.send(frame(TEXT, b"4!burst"))
        frames = [await raw.read_frame() for _ in range(4)]
    assert frames == [(TEXT, b"4one"), (BINARY, b"\x01\x02"), (TEXT, b"4two"), (TEXT, b"4three")]


@pytest.mark.parametrize("size", [124, 125, 126, 65535, 65536, 999_999])
async def test_messages_of_every_frame_size_are_carried(engine: Server, size: int) -> None:
    """A packet is one frame whatever its length, up to maxPayload [WebSocket]."""
    data = b"4" + b"x" * (size - 1)
    async with await RawSocket.websocket(engine) as raw:
        await raw.send(frame(TEXT, data))
        assert await raw.read_frame() == (TEXT, data)
        await raw.send(frame(BINARY, data))
        assert await raw.read_frame() == (BINARY, data)


async def test_many_frames_in_one_segment_are_all_read(engine: Server) -> None:
    """Frames need not arrive one by one [WebSocket]."""
    async with await RawSocket.websocket(engine) as raw:
        await raw.send(b"".join(frame(TEXT, b"4%d" % number) for number in range(200)))
        assert [await raw.read_frame() for _ in range(200)] == [(TEXT, b"4%d" % n) for n in range(200)]


async def test_a_message_in_fragments_is_one_packet(engine: Server) -> None:
    """The packet is the message, however it was cut; a ping may come between [WebSocket]."""
    message = "4€ and more".encode()
    async with await RawSocket.websocket(engine) as raw:
        await raw.send(frame(TEXT, message[:2], fin=False))  # inside the euro sign
        await raw.send(frame(PING, b"are you there"))
        assert await raw.read_frame() == (PONG, b"are you there")
        await raw.send(frame(0, message[2:5], fin=False) + frame(0, message[5:]))
        assert await raw.read_frame() == (TEXT, message)


async def test_the_closing_handshake_is_answered(engine: Server) -> None:
    """A close frame is answered with its code, and the connection ends [WebSocket]."""
    async with await RawSocket.websocket(engine) as raw:
        await raw.send(frame(CLOSE, (1000).to_bytes(2, "big")))
        opcode, payload = await raw.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (1000).to_bytes(2, "big"))
        assert await within(raw.reader.read()) == b""


ASKING = {"with b64": "1", "without b64": None}


@pytest.mark.parametrize("b64", ASKING.values(), ids=ASKING)
async def test_a_websocket_takes_binary_messages_as_base64_and_answers_in_kind(
    engine: Server, b64: str | None
) -> None:
    """Text behind a b is binary on every transport; who asks with b64 gets it so [Packet encoding]."""
    data = bytes(range(256))
    async with websocket(engine, b64=b64) as ws:
        await read_handshake(ws)
        for sent in (data, b""):
            text = "b" + base64.b64encode(sent).decode()
            await ws.send(text)
            assert await receive(ws) == (text if b64 else sent)
            await ws.send(sent)
            assert await receive(ws) == (text if b64 else sent)


async def test_an_empty_b64_asks_for_nothing(engine: Server) -> None:
    """As in Node's server, a parameter without a value is not set [Packet encoding]."""
    async with websocket(engine, b64="") as ws:
        await read_handshake(ws)
        await ws.send(b"\x01\x02")
        assert await receive(ws) == b"\x01\x02"


@pytest.mark.parametrize("end", [[], ["4!close"]], ids=["open", "closed at once"])
async def test_a_burst_for_a_client_that_asked_for_base64_keeps_its_order(
    engine: Server, end: list[str]
) -> None:
    """What is left when the session ends has the same form as before [Packet encoding]."""
    async with await RawSocket.websocket(engine, b64="1") as raw:
        await raw.send(b"".join(frame(TEXT, message.encode()) for message in ["4!burst", *end]))
        frames = [await raw.read_frame() for _ in range(4)]
    assert frames == [(TEXT, b"4one"), (TEXT, b"bAQI="), (TEXT, b"4two"), (TEXT, b"4three")]


@pytest.mark.parametrize("b64", ASKING.values(), ids=ASKING)
async def test_the_websocket_of_an_upgrade_says_for_itself_whether_it_wants_base64(
    engine: Server, b64: str | None
) -> None:
    """What waited for the poll takes the form that the WebSocket asked for [Upgrade]."""
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid, b64=b64) as ws:
            await ws.send("2probe")
            assert await receive(ws) == "3probe"
            await polling.send("bAQIDBA==")
            await ws.send("5")
            assert await receive(ws) == ("bAQIDBA==" if b64 else b"\x01\x02\x03\x04")
            await ws.send("bAQI=")
            assert await receive(ws) == ("bAQI=" if b64 else b"\x01\x02")


async def test_an_invalid_packet_closes_a_websocket(engine: Server) -> None:
    """A packet starts with one of seven types [Protocol]."""
    async with websocket(engine) as ws:
        await read_handshake(ws)
        await ws.send("abc")
        assert await close_code(ws) is not None


# Heartbeat


async def test_polling_carries_the_heartbeat(beating_engine: Server) -> None:
    """The server pings at each interval and the client answers [Heartbeat]."""
    async with Polling(beating_engine) as polling:
        await polling.open()
        for _ in range(3):
            assert await polling.receive() == ["2"]
            await polling.send("3")


async def test_a_websocket_carries_the_heartbeat(beating_engine: Server) -> None:
    """The server pings at each interval and the client answers [Heartbeat]."""
    async with websocket(beating_engine) as ws:
        await read_handshake(ws)
        for _ in range(3):
            assert await receive(ws) == "2"
            await ws.send("3")
        await ws.send("4alive")
        assert await receive(ws) == "4alive"


async def test_a_polling_client_that_does_not_answer_is_closed(strict_engine: Server) -> None:
    """No pong in time: the connection is considered closed [Heartbeat]."""
    async with Polling(strict_engine) as polling:
        await polling.open()
        strict_engine.wait_for_log(f"gone {polling.sid} ping timeout")
        assert (await polling.get()).status_code == 400


async def test_a_client_that_polls_and_does_not_answer_is_closed(strict_engine: Server) -> None:
    """Reading is not answering: without a pong the session ends under a hanging poll [Heartbeat]."""
    async with Polling(strict_engine) as polling:
        await polling.open()
        assert await polling.receive() == ["2"]
        response = await polling.get()
        assert response.status_code == 400 or set(response.text) <= {"1", "6"}
        assert (await polling.get()).status_code == 400
        strict_engine.wait_for_log(f"gone {polling.sid} ping timeout")


async def test_a_websocket_client_that_does_not_answer_is_closed(strict_engine: Server) -> None:
    """No pong in time: the connection is considered closed [Heartbeat]."""
    async with websocket(strict_engine) as ws:
        handshake = await read_handshake(ws)
        await close_code(ws)
        strict_engine.wait_for_log(f"gone {handshake['sid']} ping timeout")


async def test_the_heartbeat_goes_on_after_an_upgrade(beating_engine: Server) -> None:
    """The heartbeat checks the connection, whichever transport has it [Heartbeat]."""
    async with Polling(beating_engine) as polling:
        await polling.open()
        async with websocket(beating_engine, sid=polling.sid) as ws:
            await ws.send("2probe")
            assert await receive(ws) == "3probe"
            await ws.send("5")
            for _ in range(2):
                assert await receive(ws) == "2"
                await ws.send("3")
            await close_code(ws)
        beating_engine.wait_for_log(f"gone {polling.sid} ping timeout")


# Close


async def test_a_close_packet_over_polling_closes_the_session(engine: Server) -> None:
    """close says that the transport can be closed; the hanging poll gets a noop [Protocol]."""
    async with Polling(engine) as polling:
        await polling.open()
        poll = await polling.pending()
        await polling.send("1")
        response = await within(poll)
        assert (response.status_code, response.text) == (200, "6")
        assert (await polling.get()).status_code == 400


async def test_a_close_packet_over_a_websocket_closes_the_session(engine: Server) -> None:
    """close says that the transport can be closed [Protocol]."""
    async with websocket(engine) as ws:
        handshake = await read_handshake(ws)
        await ws.send("1")
        assert await close_code(ws) is not None
    engine.wait_for_log(f"gone {handshake['sid']}")


async def test_a_server_that_closes_tells_a_polling_client(engine: Server) -> None:
    """The server says close through the poll, and the session ends [Protocol]."""
    async with Polling(engine) as polling:
        await polling.open()
        poll = await polling.pending()
        await polling.post("4!close")
        response = await within(poll)
        assert (response.status_code, response.text) == (200, "1")
        assert (await polling.get()).status_code == 400


async def test_a_server_that_closes_ends_the_websocket(engine: Server) -> None:
    """The server may say close, then ends the connection [Protocol]."""
    async with websocket(engine) as ws:
        await read_handshake(ws)
        await ws.send("4!close")
        assert await close_code(ws) in (1000, 1001, 1005)


# Upgrade


async def test_a_session_is_upgraded(engine: Server) -> None:
    """The probe is answered over the WebSocket, the poll released by a noop [Upgrade]."""
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await ws.send("2probe")
            assert await receive(ws) == "3probe"
            assert await polling.receive() == ["6"]
            await ws.send("5")
            await ws.send("4hello")
            assert await receive(ws) == "4hello"


async def test_a_poll_under_way_is_released_by_a_noop(engine: Server) -> None:
    """A pending GET gets a noop, so that polling ends cleanly [Upgrade]."""
    async with Polling(engine) as polling:
        await polling.open()
        poll = await polling.pending()
        async with websocket(engine, sid=polling.sid) as ws:
            await ws.send("2probe")
            assert await receive(ws) == "3probe"
            response = await within(poll)
            assert (response.status_code, response.text) == (200, "6")
            await ws.send("5")
            await ws.send("4hello")
            assert await receive(ws) == "4hello"


async def test_no_message_is_lost_while_upgrading(engine: Server) -> None:
    """What is sent during the upgrade arrives once and in order [Upgrade]."""
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await polling.send("4before")
            await ws.send("2probe")
            assert await receive(ws) == "3probe"
            assert await polling.receive() == ["4before"]
            await polling.send("4during")  # its answer finds no poll, and waits for the upgrade
            await ws.send("5")
            await ws.send("4after")
            assert [await receive(ws), await receive(ws)] == ["4during", "4after"]


async def test_a_probe_that_goes_away_leaves_the_session_to_polling(engine: Server) -> None:
    """Only the upgrade packet completes the upgrade [Upgrade]."""
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await ws.send("2probe")
            assert await receive(ws) == "3probe"
        await polling.send("4hello")
        packets = await polling.receive()
        assert (packets if packets != ["6"] else await polling.receive()) == ["4hello"]
        async with websocket(engine, sid=polling.sid) as ws:
            await upgrade(polling, ws)


async def test_polling_after_the_upgrade_is_a_bad_request(engine: Server) -> None:
    """The session has left polling, and goes on undisturbed [Upgrade]."""
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await upgrade(polling, ws)
            assert (await polling.get()).status_code == 400
            assert (await polling.post("4lost")).status_code == 400
            await ws.send("4hello")
            assert await receive(ws) == "4hello"


async def test_an_upgrade_packet_that_overtakes_a_poll_wins(engine: Server) -> None:
    """probe and upgrade in one go: the session is the WebSocket's [Upgrade]."""
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await ws.send("2probe")
            await ws.send("5")
            assert await receive(ws) == "3probe"
            assert (await polling.get()).status_code == 400


async def expect_alive(ws: ClientConnection) -> None:
    await ws.send("4hello")
    assert await receive(ws) == "4hello"


# What Node's server (engine.io 6.6) does with a packet out of place in an open session, on both transports.
# A client of Engine.IO 3 pings, and probes a session that began with a WebSocket.
GOES_ON = ["3", "3probe", "3x", "5", "5x", "6", "6x", "0", "0{}"]
IS_CLOSED = ["2", "2probe", "7", "x", ""]


@pytest.mark.parametrize("packet", GOES_ON)
async def test_a_packet_that_says_nothing_leaves_the_session_as_it_is(engine: Server, packet: str) -> None:
    """A pong with any data is a pong; open, upgrade and noop packets mean nothing [Protocol]."""
    async with websocket(engine) as ws, Polling(engine) as polling:
        await read_handshake(ws)
        await ws.send(packet)
        await expect_alive(ws)
        await polling.open()
        await polling.send(packet, "4hello")
        assert await polling.receive() == ["4hello"]


@pytest.mark.parametrize("packet", IS_CLOSED)
async def test_a_packet_that_no_client_may_send_closes_the_session(engine: Server, packet: str) -> None:
    """It is the server that pings [Heartbeat]."""
    start = len(engine.log())
    async with websocket(engine) as ws, Polling(engine) as polling:
        await read_handshake(ws)
        await ws.send(packet)
        assert await close_code(ws) == 1002
        assert len(warnings(engine.log()[start:])) == 1
        await polling.open()
        assert (await polling.post(packet)).status_code == 400
        assert (await polling.get()).status_code == 400


async def test_a_probe_may_be_repeated(engine: Server) -> None:
    """Each is answered, as Node's server does [Upgrade]."""
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await ws.send("2probe")
            await ws.send("2probe")
            assert [await receive(ws), await receive(ws)] == ["3probe", "3probe"]
            await ws.send("5")
            await expect_alive(ws)


async def test_probes_without_end_end_the_upgrade(engine: Server) -> None:
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            for _ in range(11):
                await ws.send("2probe")
            assert await close_code(ws) == 1002
        await polling.send("4hello")  # the session stays on polling


async def test_a_pong_with_data_answers_a_ping(beating_engine: Server) -> None:
    """Whatever its data, as in Node's server [Heartbeat]."""
    async with websocket(beating_engine) as ws:
        await read_handshake(ws)
        for _ in range(3):
            assert await receive(ws) == "2"
            await ws.send("3probe")


async def test_an_empty_sid_opens_a_session(engine: Server) -> None:
    """As none does, on both transports; it is for a GET only [Handshake]."""
    async with Polling(engine) as polling, websocket(engine, sid="") as ws:
        response = await polling.request("GET", sid="")
        assert (response.status_code, response.text[:8]) == (200, '0{"sid":')
        assert (await polling.request("POST", "4hello", sid="")).status_code == 400
        await read_handshake(ws)
        await expect_alive(ws)


async def test_a_second_websocket_after_the_upgrade_is_closed(engine: Server) -> None:
    """One WebSocket per session: another is closed, the first goes on [WebSocket]."""
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await upgrade(polling, ws)
            assert await is_refused(engine, sid=polling.sid)
            await expect_alive(ws)


async def test_a_second_websocket_during_the_upgrade_is_closed(engine: Server) -> None:
    """One WebSocket per session: another is closed, the probing one goes on [WebSocket]."""
    async with Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await ws.send("2probe")
            assert await receive(ws) == "3probe"
            assert await is_refused(engine, sid=polling.sid)
            await ws.send("5")
            await expect_alive(ws)


async def test_a_second_websocket_for_a_websocket_session_is_closed(engine: Server) -> None:
    """One WebSocket per session, also where it began as one [WebSocket]."""
    async with websocket(engine) as ws:
        handshake = await read_handshake(ws)
        assert await is_refused(engine, sid=handshake["sid"])
        await expect_alive(ws)


async def test_polling_for_a_websocket_session_is_a_bad_request(engine: Server) -> None:
    """The session has one transport, and it is not this one [WebSocket]."""
    async with websocket(engine) as ws, Polling(engine) as polling:
        polling.sid = (await read_handshake(ws))["sid"]
        assert (await polling.get()).status_code == 400
        assert (await polling.post("4lost")).status_code == 400
        await expect_alive(ws)
