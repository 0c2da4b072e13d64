"""Socket.IO protocol, version 5: what binds a server, clause by clause, under each kind of server.

Each docstring tells the clause in short and, in brackets, the section of the protocol document.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from tests.support.raw_clients import Polling, close_code, read_handshake, receive, websocket, within
from tests.support.server_process import Server

PATH = "/socket.io/"


def placeholder(number: int) -> str:
    return f'{{"_placeholder":true,"num":{number}}}'


def parse(packet: str | bytes, start: str) -> Any:
    """The JSON payload of a packet that starts with `start`."""
    assert isinstance(packet, str)
    assert packet.startswith(start), packet
    return json.loads(packet[len(start) :])


async def expect_connected(ws: ClientConnection, namespace: str = "/", auth: object = None) -> str:
    """Read the CONNECT packet of a namespace, then the event that its handler emits; return the sid."""
    prefix = "" if namespace == "/" else f"{namespace},"
    payload = parse(await receive(ws), f"40{prefix}")
    assert list(payload) == ["sid"]
    assert parse(await receive(ws), f"42{prefix}") == ["auth", auth or {}]
    sid: str = payload["sid"]
    return sid


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[ClientConnection]:
    """A WebSocket past the Engine.IO handshake."""
    async with websocket(server, PATH) as ws:
        await read_handshake(ws)
        yield ws


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[ClientConnection]:
    """A WebSocket that is connected to the main namespace."""
    async with opened(server) as ws:
        await ws.send("40")
        await expect_connected(ws)
        yield ws


async def echo(ws: ClientConnection, text: str = "still here") -> None:
    await ws.send(f'42["message","{text}"]')
    assert await receive(ws) == f'42["message-back","{text}"]'


# Connection to a namespace


async def test_the_main_namespace_is_connected(sockets: Server) -> None:
    """CONNECT is answered with CONNECT and the session id, before anything else [Connection]."""
    async with opened(sockets) as ws:
        await ws.send("40")
        assert isinstance(await expect_connected(ws), str)


async def test_the_main_namespace_is_connected_with_a_payload(sockets: Server) -> None:
    """CONNECT may carry a payload [Connection]."""
    async with opened(sockets) as ws:
        await ws.send('40{"token":"123"}')
        await expect_connected(ws, auth={"token": "123"})


@pytest.mark.parametrize("packet", ["40/custom,", "40/custom"])
async def test_a_custom_namespace_is_connected(sockets: Server, packet: str) -> None:
    """A namespace other than / stands before a comma [Connection, Format]."""
    async with opened(sockets) as ws:
        await ws.send(packet)
        assert isinstance(await expect_connected(ws, "/custom"), str)


async def test_a_custom_namespace_is_connected_with_a_payload(sockets: Server) -> None:
    """CONNECT may carry a namespace and a payload [Connection]."""
    async with opened(sockets) as ws:
        await ws.send('40/custom,{"token":"abc"}')
        await expect_connected(ws, "/custom", {"token": "abc"})


async def test_an_unknown_namespace_is_refused(sockets: Server) -> None:
    """CONNECT is answered with CONNECT_ERROR where it is not allowed [Connection]."""
    async with opened(sockets) as ws:
        await ws.send("40/random")
        assert await receive(ws) == '44/random,{"message":"Invalid namespace"}'


async def test_a_handler_refuses_a_connection(sockets: Server) -> None:
    """The payload of CONNECT_ERROR is an object with a message [Connection]."""
    async with opened(sockets) as ws:
        await ws.send("40/refusing,")
        assert parse(await receive(ws), "44/refusing,") == {"message": "Not authorized"}


async def test_a_handler_refuses_a_connection_with_data(sockets: Server) -> None:
    """The payload of CONNECT_ERROR is an object, as the official server fills it [Connection]."""
    async with opened(sockets) as ws:
        await ws.send('40/refusing,{"token":"wrong"}')
        payload = parse(await receive(ws), "44/refusing,")
        assert payload == {"message": "Not authorized", "data": {"code": 7}}


async def test_a_refused_client_may_try_another_namespace(sockets: Server) -> None:
    """A refusal is of the namespace, not of the client [Connection]."""
    async with opened(sockets) as ws:
        await ws.send("40/refusing,")
        assert isinstance(await receive(ws), str)
        await ws.send("40/custom,")
        await expect_connected(ws, "/custom")


async def test_several_namespaces_share_a_connection(sockets: Server) -> None:
    """A client may be connected to several namespaces at once; each has its own sid [Connection]."""
    async with websocket(sockets, PATH) as ws:
        engine_sid = (await read_handshake(ws))["sid"]
        await ws.send("40")
        first = await expect_connected(ws)
        await ws.send("40/custom,")
        second = await expect_connected(ws, "/custom")
        assert len({engine_sid, first, second}) == 3
        await ws.send('42/custom,["message","a"]')
        await ws.send('42["message","b"]')
        assert await receive(ws) == '42/custom,["message-back","a"]'
        assert await receive(ws) == '42["message-back","b"]'


@pytest.mark.parametrize(
    "packet",
    [
        '42["message","x"]',
        '42/custom,["message","x"]',
        "41",
        '43["x"]',
        "44{}",
        f'451-["message",{placeholder(0)}]',
        "4abc",
        "4",
        b"\x01\x02",
    ],
    ids=["event", "custom-event", "disconnect", "ack", "error", "binary", "junk", "empty", "attachment"],
)
async def test_a_client_that_does_not_connect_first_is_closed(sockets: Server, packet: str | bytes) -> None:
    """Anything before the CONNECT packet closes the connection at once [Connection]."""
    async with opened(sockets) as ws:
        await ws.send(packet)
        if packet[0] == "4" and packet[1:2] == "5":
            await ws.send(b"\x01")  # a server may read a packet to its end before it judges
        assert await close_code(ws) is not None


async def test_a_client_that_opens_no_namespace_is_closed(impatient_sockets: Server) -> None:
    """No CONNECT packet within the connect timeout closes the connection [Connection]."""
    async with opened(impatient_sockets) as ws:
        assert await close_code(ws) is not None


async def test_a_polling_client_that_opens_no_namespace_is_closed(impatient_sockets: Server) -> None:
    """The same for a client that polls [Connection]."""
    async with Polling(impatient_sockets, PATH) as polling:
        await polling.open()
        assert await polling.is_closed()


async def test_a_client_that_has_opened_a_namespace_stays(impatient_sockets: Server) -> None:
    """The connect timeout ends with the first namespace [Connection]."""
    async with connected(impatient_sockets) as ws, opened(impatient_sockets) as waiting:
        await close_code(waiting)  # its time is up, so the other's would be
        await echo(ws)


# Sending and receiving data


async def test_an_event_is_carried_both_ways(sockets: Server) -> None:
    """EVENT carries an array of a name and arguments [Sending and receiving data]."""
    async with connected(sockets) as ws:
        await ws.send('42["message",1,"2",{"3":[true]}]')
        assert await receive(ws) == '42["message-back",1,"2",{"3":[true]}]'


async def test_an_event_of_a_custom_namespace_is_carried_both_ways(sockets: Server) -> None:
    """The namespace stands before a comma, in both directions [Format]."""
    async with opened(sockets) as ws:
        await ws.send("40/custom,")
        await expect_connected(ws, "/custom")
        await ws.send('42/custom,["message","a,b"]')
        assert await receive(ws) == '42/custom,["message-back","a,b"]'


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        ",null",
        ",[],{}",
        ',"€ 𝄞"',
        ',{"_placeholder":true,"num":0}',
        ",[[[[[[1]]]]]]",
        ',0.1,-1e300,"\\u0000"',
        ",18446744073709551616,-9223372036854775809,9007199254740993",
    ],
)
async def test_arguments_of_every_json_type_keep_their_value(sockets: Server, arguments: str) -> None:
    """The payload is JSON [Format]."""
    async with connected(sockets) as ws:
        await ws.send(f'42["message"{arguments}]')
        back = parse(await receive(ws), "42")
        assert back == ["message-back", *json.loads(f"[null{arguments}]")[1:]]


async def test_attachments_are_carried_both_ways(sockets: Server) -> None:
    """BINARY_EVENT tells their number, then each follows in a message of its own [Format]."""
    async with connected(sockets) as ws:
        await ws.send(f'452-["message",{placeholder(0)},{placeholder(1)}]')
        await ws.send(b"\x01\x02\x03")
        await ws.send(b"\x04\x05\x06")
        back = [await receive(ws) for _ in range(3)]
        assert back[0] == f'452-["message-back",{placeholder(0)},{placeholder(1)}]'
        assert back[1:] == [b"\x01\x02\x03", b"\x04\x05\x06"]


async def test_attachments_of_a_custom_namespace_are_carried_both_ways(sockets: Server) -> None:
    """The number of attachments stands before the namespace [Format]."""
    async with opened(sockets) as ws:
        await ws.send("40/custom,")
        await expect_connected(ws, "/custom")
        await ws.send(f'451-/custom,["message",{placeholder(0)}]')
        await ws.send(b"\x01")
        assert await receive(ws) == f'451-/custom,["message-back",{placeholder(0)}]'
        assert await receive(ws) == b"\x01"


async def test_nested_and_reordered_attachments_find_their_places(sockets: Server) -> None:
    """A placeholder names its attachment by number, wherever it stands [Format]."""
    async with connected(sockets) as ws:
        await ws.send(f'452-["message",{{"a":[{placeholder(1)},"x"]}},{{"b":{placeholder(0)}}}]')
        await ws.send(b"zero")
        await ws.send(b"one")
        head = await receive(ws)
        attachments = [await receive(ws), await receive(ws)]
        _name, first, second = parse(head, "452-")
        assert attachments[first["a"][0]["num"]] == b"one"
        assert attachments[second["b"]["num"]] == b"zero"
        assert first["a"][1] == "x"


async def test_an_empty_attachment_is_an_attachment(sockets: Server) -> None:
    """An attachment may have no bytes [Format]."""
    async with connected(sockets) as ws:
        await ws.send(f'451-["message",{placeholder(0)}]')
        await ws.send(b"")
        assert await receive(ws) == f'451-["message-back",{placeholder(0)}]'
        assert await receive(ws) == b""


async def test_events_and_attachments_are_carried_by_polling(sockets: Server) -> None:
    """Each packet is a message of Engine.IO, whatever transport carries it [Packet encoding]."""
    async with Polling(sockets, PATH) as polling:
        await polling.open()
        await polling.send("40")
        connect, auth = await polling.receive_all(2)
        assert list(parse(connect, "40")) == ["sid"]
        assert auth == '42["auth",{}]'
        await polling.send('42["message","text"]', f'451-["message",{placeholder(0)}]', "bAQID")
        assert await polling.receive_all(3) == [
            '42["message-back","text"]',
            f'451-["message-back",{placeholder(0)}]',
            "bAQID",
        ]


@pytest.mark.parametrize("packet", ["42", "42[]", "42{}", '42"x"', "42null", "421", "42/custom,"])
async def test_an_event_that_is_no_array_closes_the_connection(sockets: Server, packet: str) -> None:
    """The payload of EVENT is a non-empty array, or the connection is closed [Sending and receiving data]."""
    async with connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


async def test_an_empty_binary_event_closes_the_connection(sockets: Server) -> None:
    """The same for BINARY_EVENT [Sending and receiving data]."""
    async with connected(sockets) as ws:
        await ws.send("451-[]")
        await ws.send(b"\x01")
        assert await close_code(ws) is not None


@pytest.mark.parametrize("packet", ["4abc", "47", "4-1", '49["message"]'])
async def test_an_unknown_packet_type_closes_the_connection(sockets: Server, packet: str) -> None:
    """There are seven packet types [Exchange protocol]."""
    async with connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


async def test_an_invalid_packet_closes_a_polling_session(sockets: Server) -> None:
    """The connection is closed, whatever transport carries it [Sending and receiving data]."""
    async with Polling(sockets, PATH) as polling:
        await polling.open()
        await polling.send("40")
        await polling.receive_all(2)
        assert (await polling.post("42{}")).status_code in (200, 400)
        assert await polling.is_closed()


# Acknowledgement


async def test_an_event_is_acknowledged(sockets: Server) -> None:
    """An event with an id is answered by an ACK with the same id [Acknowledgement]."""
    async with connected(sockets) as ws:
        await ws.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await receive(ws) == '43456[1,"2",{"3":[false]}]'


@pytest.mark.parametrize("number", ["0", "1", "4294967296", "9007199254740991"])
async def test_an_id_comes_back_as_it_was(sockets: Server, number: str) -> None:
    """The ACK has the event's id, zero and large ones included [Acknowledgement]."""
    async with connected(sockets) as ws:
        await ws.send(f'42{number}["message-with-ack","x"]')
        assert await receive(ws) == f'43{number}["x"]'


async def test_an_event_of_a_custom_namespace_is_acknowledged(sockets: Server) -> None:
    """The namespace stands before the id [Acknowledgement]."""
    async with opened(sockets) as ws:
        await ws.send("40/custom,")
        await expect_connected(ws, "/custom")
        await ws.send('42/custom,12["message-with-ack","bar"]')
        assert await receive(ws) == '43/custom,12["bar"]'


@pytest.mark.parametrize("event", ["nothing", "message-with-ack"])
async def test_an_acknowledgement_of_nothing_is_an_empty_array(sockets: Server, event: str) -> None:
    """The payload of ACK is an array, possibly empty [Acknowledgement]."""
    async with connected(sockets) as ws:
        await ws.send(f'4212["{event}"]')
        assert await receive(ws) == "4312[]"


async def test_an_event_without_a_handler_is_acknowledged_or_ignored(sockets: Server) -> None:
    """Nobody can answer it, and nobody is harmed [Acknowledgement]."""
    async with connected(sockets) as ws:
        await ws.send('4212["no such event"]')
        await ws.send('42["message","after"]')
        packet = await receive(ws)
        if packet != '42["message-back","after"]':
            assert packet == "4312[]"
            assert await receive(ws) == '42["message-back","after"]'


async def test_an_event_without_an_id_is_not_acknowledged(sockets: Server) -> None:
    """The id requests the acknowledgement [Acknowledgement]."""
    async with connected(sockets) as ws:
        await ws.send('42["message-with-ack","x"]')
        await echo(ws)


async def test_attachments_are_acknowledged_with_attachments(sockets: Server) -> None:
    """BINARY_ACK tells their number before the id [Acknowledgement]."""
    async with connected(sockets) as ws:
        await ws.send(f'452-789["message-with-ack",{placeholder(0)},{placeholder(1)}]')
        await ws.send(b"\x01\x02\x03")
        await ws.send(b"\x04\x05\x06")
        back = [await receive(ws) for _ in range(3)]
        assert back == [f"462-789[{placeholder(0)},{placeholder(1)}]", b"\x01\x02\x03", b"\x04\x05\x06"]


async def test_an_attachment_may_be_acknowledged_without_one(sockets: Server) -> None:
    """A BINARY_EVENT is acknowledged by a plain ACK where the answer is plain [Acknowledgement]."""
    async with connected(sockets) as ws:
        await ws.send(f'451-14["nothing",{placeholder(0)}]')
        await ws.send(b"\x01\x02\x03\x04")
        assert await receive(ws) == "4314[]"


async def asked(ws: ClientConnection, prefix: str = "") -> int:
    """Have the server ask something, and return the id of its question."""
    await ws.send(f'42{prefix}["ask-me","why"]')
    packet = await receive(ws)
    assert isinstance(packet, str)
    head, bracket, tail = packet.partition("[")
    assert bracket + tail == '["question","why"]'
    assert head.startswith(f"42{prefix}")
    return int(head[2 + len(prefix) :])


async def test_the_server_asks_for_an_acknowledgement(sockets: Server) -> None:
    """Either side may ask; the answer reaches the caller [Acknowledgement]."""
    async with connected(sockets) as ws:
        number = await asked(ws)
        await ws.send(f'43{number}["because",1]')
        assert await receive(ws) == '42["you-said","because",1]'


async def test_the_server_asks_in_a_custom_namespace(sockets: Server) -> None:
    """The answer is of the namespace that asked [Acknowledgement]."""
    async with opened(sockets) as ws:
        await ws.send("40/custom,")
        await expect_connected(ws, "/custom")
        number = await asked(ws, "/custom,")
        await ws.send(f"43/custom,{number}[]")
        assert await receive(ws) == '42/custom,["you-said"]'


async def test_the_server_is_answered_with_an_attachment(sockets: Server) -> None:
    """BINARY_ACK reaches the caller too [Acknowledgement]."""
    async with connected(sockets) as ws:
        number = await asked(ws)
        await ws.send(f'461-{number}["because",{placeholder(0)}]')
        await ws.send(b"\x07")
        assert await receive(ws) == f'451-["you-said","because",{placeholder(0)}]'
        assert await receive(ws) == b"\x07"


async def test_an_answer_counts_once(sockets: Server) -> None:
    """An id is answered by one ACK; another, or one never asked for, changes nothing [Acknowledgement]."""
    async with connected(sockets) as ws:
        number = await asked(ws)
        await ws.send(f"43{number}[1]")
        await ws.send(f"43{number}[2]")
        await ws.send("4398765[3]")
        assert await receive(ws) == '42["you-said",1]'
        await echo(ws)


@pytest.mark.parametrize("payload", ["{}", '"x"', "", "null"])
async def test_an_answer_that_is_no_array_closes_the_connection(sockets: Server, payload: str) -> None:
    """The payload of ACK is an array [Acknowledgement]."""
    async with connected(sockets) as ws:
        number = await asked(ws)
        await ws.send(f"43{number}{payload}")
        assert await close_code(ws) is not None


async def test_an_invalid_id_closes_the_connection(sockets: Server) -> None:
    """The id is an integer [Format]."""
    async with connected(sockets) as ws:
        await ws.send('42abc["message-with-ack",1,"2",{"3":[false]}]')
        assert await close_code(ws) is not None


# Disconnection from a namespace


async def test_leaving_a_namespace_is_not_answered(sockets: Server) -> None:
    """DISCONNECT has no answer: that to the next packet is what comes next [Disconnection]."""
    async with connected(sockets) as ws:
        await ws.send("41")
        await ws.send("40")
        await expect_connected(ws)


@pytest.mark.parametrize("packet", ["41/custom,", "41/custom"])
async def test_leaving_a_namespace_leaves_the_others(sockets: Server, packet: str) -> None:
    """The connection may go on for another namespace [Disconnection]."""
    async with connected(sockets) as ws:
        await ws.send("40/custom,")
        sid = await expect_connected(ws, "/custom")
        await ws.send(packet)
        await echo(ws)
        sockets.wait_for_log(f"gone /custom {sid} client disconnect")


async def test_the_main_namespace_is_left_like_any_other(sockets: Server) -> None:
    """The main namespace has no special part in it [Disconnection]."""
    async with connected(sockets) as ws:
        await ws.send("40/custom,")
        await expect_connected(ws, "/custom")
        await ws.send("41")
        await ws.send('42/custom,["message","x"]')
        assert await receive(ws) == '42/custom,["message-back","x"]'


async def test_a_namespace_may_be_entered_again(sockets: Server) -> None:
    """At any time a client may leave, and connect again under a new sid [Disconnection]."""
    async with connected(sockets) as ws:
        await ws.send("40/custom,")
        first = await expect_connected(ws, "/custom")
        await ws.send("41/custom,")
        await ws.send("40/custom,")
        assert await expect_connected(ws, "/custom") != first


@pytest.mark.parametrize("namespace", ["/", "/custom"])
async def test_the_server_disconnects_a_client(sockets: Server, namespace: str) -> None:
    """The server ends the connection to a namespace with DISCONNECT [Disconnection]."""
    prefix = "" if namespace == "/" else f"{namespace},"
    async with opened(sockets) as ws:
        await ws.send(f"40{prefix}")
        sid = await expect_connected(ws, namespace)
        await ws.send(f'42{prefix}["throw-me-out"]')
        assert await receive(ws) == f"41{prefix}"
        sockets.wait_for_log(f"gone {namespace} {sid} server disconnect")


async def test_a_connection_that_ends_leaves_every_namespace(sockets: Server) -> None:
    """What carries the namespaces is gone, and so are they [Disconnection]."""
    async with connected(sockets) as ws:
        await ws.send("40/custom,")
        sid = await expect_connected(ws, "/custom")
    sockets.wait_for_log(f"gone /custom {sid} transport close")


# Sample session


async def test_the_sample_session(sockets: Server) -> None:
    """Both protocols together: poll, upgrade, another namespace, attachments, close [Sample session]."""
    async with Polling(sockets, PATH) as polling:
        await polling.open()
        await polling.send("40")
        connect, auth = await polling.receive_all(2)
        assert list(parse(connect, "40")) == ["sid"]
        assert auth == '42["auth",{}]'
        await polling.send('42["message","hello"]', '42["message","world"]')
        assert await polling.receive_all(2) == ['42["message-back","hello"]', '42["message-back","world"]']
        async with websocket(sockets, PATH, sid=polling.sid) as ws:
            poll = await polling.pending()
            await ws.send("2probe")
            assert await receive(ws) == "3probe"
            assert (await within(poll)).text == "6"
            await ws.send("5")
            await ws.send('42["message","hello"]')
            await ws.send("40/custom,")
            assert await receive(ws) == '42["message-back","hello"]'
            await expect_connected(ws, "/custom")
            await ws.send(f'451-/custom,1["message-with-ack",{placeholder(0)}]')
            await ws.send(b"\x01\x02\x03")
            assert await receive(ws) == f"461-/custom,1[{placeholder(0)}]"
            assert await receive(ws) == b"\x01\x02\x03"
            await ws.send("1")
            assert await close_code(ws) is not None
