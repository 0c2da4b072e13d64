"""Whatever a client sends as packets of Socket.IO, it is closed or ignored, and the server stays well."""

from __future__ import annotations

import asyncio
import re

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.support.raw_clients import Polling, close_code, read_handshake, receive, warnings, websocket
from tests.support.server_process import Server
from tests.support.survival import SOCKETS, connected, survives

PLACEHOLDER = '{"_placeholder":true,"num":0}'


async def is_closed_or_ignores(ws: ClientConnection) -> bool:
    """Whether the connection is closed, or goes on as if nothing had been sent."""
    try:
        await ws.send('42["message","next"]')
        return await receive(ws) == '42["message-back","next"]'
    except ConnectionClosed:
        return True


@pytest.mark.parametrize(
    "packet",
    [
        '42["message",',
        "42[",
        '42["message"]]',
        '42["message"] x',
        '42["message",NaN]',
        '42["message",Infinity]',
        "42['message']",
        '42["message","\x00"]',
        "42undefined",
        "40{bad",
        "40/custom,{bad",
        '4212["message",',
        "431[",
        '42/custom["message"]',
        "42[\ufeff]",
    ],
    ids=repr,
)
async def test_bad_json_closes_the_connection(sockets: Server, packet: str) -> None:
    async with survives(sockets), connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


@pytest.mark.parametrize(
    "packet",
    [
        "42" + "[" * 100_000,
        '42["message",' + "[" * 100_000 + "]" * 100_000 + "]",
        '42["message",' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "]",
        "40" + '{"a":' * 100_000 + "1" + "}" * 100_000,
        '42["message",' + "1" * 100_000 + "]",
    ],
    ids=["open", "lists", "objects", "auth", "digits"],
)
async def test_json_too_deep_or_long_to_read_closes_the_connection(sockets: Server, packet: str) -> None:
    async with survives(sockets), connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


@pytest.mark.parametrize("depth", [250, 500, 900, 1000])
@pytest.mark.parametrize(
    "packet", ['42["message",%s1%s]', '4212["message-with-ack",%s1%s]', f'451-["message",%s{PLACEHOLDER}%s]']
)
async def test_nested_json_is_returned_or_closes_the_connection(
    sockets: Server, packet: str, depth: int
) -> None:
    """What can be read can be written again; no client chooses the depth of our stack."""
    nested = packet % ('{"a":' * depth, "}" * depth)
    async with survives(sockets, warns=False), connected(sockets) as ws:
        try:
            await ws.send(nested)
            if nested.startswith("451-"):
                await ws.send(b"1")
            assert nested[nested.index('{"a"') :] in str(await receive(ws))
        except ConnectionClosed:
            pass


async def test_deep_json_over_polling_closes_the_session(sockets: Server) -> None:
    async with survives(sockets), Polling(sockets, SOCKETS) as polling:
        await polling.open()
        await polling.send("40")
        await polling.receive_all(2)
        assert (await polling.post("42" + "[" * 100_000)).status_code in (200, 400)
        assert await polling.is_closed()


@pytest.mark.parametrize("packet", ['42["message","\\ud800"]', '42["message",{"\\udfff":1}]'])
async def test_half_a_surrogate_pair_is_returned_or_closes_the_connection(
    sockets: Server, packet: str
) -> None:
    """JSON can say what UTF-8 cannot."""
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(packet)
        try:
            back = await receive(ws)
            assert back == packet.replace('"message"', '"message-back"')
        except ConnectionClosed:
            pass


@pytest.mark.parametrize("packet", ["4", "47", "49", "4abc", "4-1", "4 2", "4\x00", "4€", "4٢"])
async def test_an_unknown_packet_type_closes_the_connection(sockets: Server, packet: str) -> None:
    async with survives(sockets), connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


@pytest.mark.parametrize(
    "packets",
    [
        ['45["x"]'],
        ["45"],
        ["45-"],
        ["451"],
        ['45-["x"]'],
        [f'45-1-["x",{PLACEHOLDER}]', b"1"],
        [f'451.5-["x",{PLACEHOLDER}]', b"1"],
        [f'45\u0661-["x",{PLACEHOLDER}]', b"1"],
        [f'451-["x",{PLACEHOLDER}]', "42[]"],
        [f'451-["x",{PLACEHOLDER}]', '42["message","x"]'],
        [f'452-["x",{PLACEHOLDER}]', b"1", "40"],
        ['4510000-["x"]'],
        ['451000000000000000000000000000000-["x"]'],
        ["451" + "0" * 50_000 + '-["x"]'],
        ["45" + "9" * 50_000 + '-["x"]'],
        ['451-["x",{"_placeholder":true,"num":1}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":-1}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":"0"}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":0.5}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":1e400}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":null}]', b"1"],
        ['451-["x",{"_placeholder":true}]', b"1"],
        [f'451-["message",{PLACEHOLDER},{PLACEHOLDER}]', b"copied"],
        [f'451-["message",[{",".join([PLACEHOLDER] * 10_000)}]]', b"multiplied"],
        [f"461-[{PLACEHOLDER},{PLACEHOLDER}]", b"1"],
        [f"451-[{PLACEHOLDER}]", b"message"],
        ["451-[1]", b"1"],
        ["451-{}", b"1"],
        ["451-", b"1"],
        ['461-["x"', b"1"],
        ['46["x"]'],
        ['461-[{"_placeholder":true,"num":9}]', b"1"],
        [b"attachment of nothing"],
    ],
    ids=lambda packets: " ".join(map(str, packets))[:70],
)
async def test_a_broken_binary_packet_closes_the_connection(
    sockets: Server, packets: list[str | bytes]
) -> None:
    async with survives(sockets), connected(sockets) as ws:
        try:
            for packet in packets:
                await ws.send(packet)
        except ConnectionClosed:
            pass
        assert await close_code(ws) is not None


async def test_a_broken_binary_packet_closes_a_polling_session(sockets: Server) -> None:
    async with survives(sockets), Polling(sockets, SOCKETS) as polling:
        await polling.open()
        await polling.send("40")
        await polling.receive_all(2)
        assert (await polling.post(f'451-["x",{PLACEHOLDER}]', "42[]")).status_code in (200, 400)
        assert await polling.is_closed()


async def test_a_binary_packet_of_no_attachments_is_an_event_or_closes(sockets: Server) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send('450-["message","x"]')
        try:
            assert await receive(ws) == '42["message-back","x"]'
        except ConnectionClosed:
            pass


async def test_a_client_that_leaves_amid_attachments_is_forgotten(sockets: Server) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(f'452-["message",{PLACEHOLDER}]')
        await ws.send(b"one")


@pytest.mark.parametrize(
    "packet", ["42[]", "42{}", '42"x"', "42null", "42[null]", "42[[]]", "42[{}]", "42[true]"]
)
async def test_an_event_without_a_name_closes_the_connection(sockets: Server, packet: str) -> None:
    async with survives(sockets), connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


async def test_an_event_named_by_a_number_runs_nothing(sockets: Server) -> None:
    """The official parser lets numbers pass as names, and ours may refuse them."""
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send("42[1]")
        assert await is_closed_or_ignores(ws)


@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error"])
@pytest.mark.parametrize("arguments", ["", ",{}", ",1,2,3"])
async def test_an_event_with_a_reserved_name_closes_the_connection(
    sockets: Server, name: str, arguments: str
) -> None:
    """It must not reach the handler that bears this name."""
    start = len(sockets.log())
    async with survives(sockets):
        async with connected(sockets) as ws:
            await ws.send(f'42["{name}"{arguments}]')
            assert await close_code(ws) is not None
        (sid,) = re.findall(r"connected / (\S+)", sockets.log()[start:])
        sockets.wait_for_log(f"gone / {sid}", start=start)
        assert sockets.log().count(sid) == 2


DIGITS = "1" * 30


@pytest.mark.parametrize(
    "number", [DIGITS, "9" * 5_000, "-1", "1.5", "1e3", "٣"], ids=lambda text: str(text)[:32]
)
async def test_an_id_out_of_range_is_returned_unchanged_or_closes(sockets: Server, number: str) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(f'42{number}["message-with-ack","x"]')
        try:
            assert await receive(ws) == f'43{number}["x"]'
        except ConnectionClosed:
            pass


@pytest.mark.parametrize(
    "number", [DIGITS, "9" * 5_000, "-1", "0", "1.5", "٣"], ids=lambda text: str(text)[:32]
)
async def test_an_answer_to_no_question_is_ignored_or_closes(sockets: Server, number: str) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(f'43{number}["x"]')
        assert await is_closed_or_ignores(ws)


@pytest.mark.parametrize("namespace", ["/random", "/random,", "/custom/more,", "/" + "x" * 100_000, "/€,"])
async def test_an_unknown_namespace_is_answered_with_an_error_packet(sockets: Server, namespace: str) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(f"40{namespace}")
        name = namespace.rstrip(",")
        assert await receive(ws) == f'44{name},{{"message":"Invalid namespace"}}'
        await ws.send('42["message","x"]')
        assert await receive(ws) == '42["message-back","x"]'


@pytest.mark.parametrize(
    "packet", ['42/custom,["message"]', "41/custom,", '43/custom,1["x"]', '42/random,["x"]']
)
async def test_a_packet_for_a_namespace_not_entered_is_ignored_or_closes(
    sockets: Server, packet: str
) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(packet)
        assert await is_closed_or_ignores(ws)


@pytest.mark.parametrize(
    "packet",
    [
        "40/%s,",
        '42/%s,["x"]',
        "41/%s,",
        '43/%s,1["x"]',
        '42["%s"]',
        '421%s["x"]',
        "4%s",
        '45%s-["x"]',
        '451-["x",{"_placeholder":true,"num":"%s"}]',
    ],
)
async def test_a_client_does_not_write_the_log(sockets: Server, packet: str) -> None:
    """What it sends is logged shortened and quoted, if at all: no line of its own, no page of its own."""
    start = len(sockets.log())
    async with survives(sockets, warns=False), connected(sockets) as ws:
        try:
            await ws.send(packet % ("\nWARNING forged\n" + "x" * 50_000))
            await ws.send('42["message","next"]')
            while await receive(ws) != '42["message-back","next"]':
                pass
        except ConnectionClosed:
            pass
    log = sockets.log()[start:]
    assert "WARNING forged" not in warnings(log)
    assert len(log) < 5_000


@pytest.mark.parametrize("packet", ["40", "40{}", '40{"token":1}'])
async def test_connecting_twice_makes_no_second_client(sockets: Server, packet: str) -> None:
    start = len(sockets.log())
    async with survives(sockets, warns=False):
        async with connected(sockets) as ws:
            await ws.send(packet)
            await ws.send('42["message","next"]')
            try:
                while await receive(ws) != '42["message-back","next"]':
                    pass  # an error packet is in order too
            except ConnectionClosed:
                pass
        assert sockets.log()[start:].count("connected / ") == 1


@pytest.mark.parametrize("packet", ["40[1]", '40"x"', "401", "40null", "41{}", "44{}", '44"x"', "41[1]"])
async def test_a_packet_with_a_payload_of_another_kind_harms_nobody(sockets: Server, packet: str) -> None:
    async with survives(sockets, warns=False), websocket(sockets, SOCKETS) as ws:
        await read_handshake(ws)
        try:
            await ws.send(packet)
            await ws.send("40")
            await receive(ws)
        except ConnectionClosed:
            pass


@pytest.mark.parametrize(
    "packet",
    ['42["message","x"]', "41", '43["x"]', "44{}", "4abc", b"\x01"],
    ids=["event", "disconnect", "ack", "error", "junk", "attachment"],
)
async def test_a_packet_before_connect_closes_the_connection(sockets: Server, packet: str | bytes) -> None:
    async with survives(sockets), websocket(sockets, SOCKETS) as ws:
        await read_handshake(ws)
        await ws.send(packet)
        assert await close_code(ws) is not None


async def test_a_flood_of_bad_clients_leaves_the_others_alone(sockets: Server) -> None:
    packets = ["42[", "4abc", '45["x"]', "42{}"]

    async def misbehave(packet: str) -> int | None:
        async with connected(sockets) as ws:
            await ws.send(packet)
            return await close_code(ws)

    async with survives(sockets), connected(sockets) as ws:
        codes = await asyncio.gather(*(misbehave(packets[number % 4]) for number in range(40)))
        assert None not in codes
        await ws.send('42["message","x"]')
        assert await receive(ws) == '42["message-back","x"]'
