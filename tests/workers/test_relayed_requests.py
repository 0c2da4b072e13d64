"""Requests of which every byte is chosen, for sessions of the worker that gets them and of another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.support.launchers import launched
from tests.support.raw_clients import TEXT, RawSocket, frame, upgrade_request, within
from tests.support.server_log import trouble
from tests.support.server_process import Server
from tests.support.sessions_elsewhere import (
    LIMIT,
    Session,
    acknowledged,
    answer,
    chunked,
    connection_and_sessions,
    exchange,
    request,
)

PROXY = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
LARGE = 900_000  # bytes


@pytest.fixture(scope="module", params=["uvicorn", "uvicorn h11", "uvicorn wsproto"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with launched(request.param, 2) as server:
        yield server
        assert not trouble(server)


@pytest.fixture(params=["here", "elsewhere"])
def place(request: pytest.FixtureRequest) -> str:
    """Where the session of the test is: it must make no difference."""
    return str(request.param)


def echo(data: str, number: int = 1) -> str:
    return f"42{number}{json.dumps(['echo', data])}"


def echoes(body: str) -> dict[int, str]:
    """The acknowledgements of `echo` in a payload, by their numbers."""
    found = {}
    for packet in body.split("\x1e"):
        assert packet.startswith("43"), body
        number, _, values = packet[2:].partition("[")
        found[int(number)] = json.loads(f"[{values}")[0]["data"]
    return found


async def all_echoes(raw: RawSocket, session: Session, count: int) -> dict[int, str]:
    found: dict[int, str] = {}
    while len(found) < count:
        status, body = await exchange(raw, session.get())
        assert status == 200
        found |= echoes(body)
    return found


async def test_pipelined_requests_for_several_workers_and_for_flask_are_answered_in_their_order(
    server: Server,
) -> None:
    async with connection_and_sessions(server, "elsewhere", "here", "elsewhere") as (raw, *sessions):
        data = b""
        for number, session in enumerate(sessions):
            data += session.post(echo(f"to {number}")) + request("GET", f"/client?{number}")
        for session in sessions:
            data += session.get()
        data += request("POST", "/client", b"x" * 1000)
        await raw.send(data)
        for _ in sessions:
            assert await answer(raw) == (200, "ok")
            assert json.loads((await answer(raw))[1])["address"] == "127.0.0.1"
        for number in range(len(sessions)):
            status, body = await answer(raw)
            assert (status, echoes(body)) == (200, {1: f"to {number}"})
        assert json.loads((await answer(raw))[1])["body"] == 1000


async def test_a_request_may_be_split_anywhere(server: Server, place: str) -> None:
    async with connection_and_sessions(server, place) as (raw, session):
        data = session.post(echo("of two parts"))
        for position in range(1, len(data)):
            await raw.send(data[:position])
            await asyncio.sleep(0)
            await raw.send(data[position:])
            assert await answer(raw) == (200, "ok")
            assert echoes((await exchange(raw, session.get()))[1]) == {1: "of two parts"}
        await raw.send_slowly(data)
        assert await answer(raw) == (200, "ok")
        assert echoes((await exchange(raw, session.get()))[1]) == {1: "of two parts"}


async def test_a_body_may_come_in_chunks(server: Server, place: str) -> None:
    async with connection_and_sessions(server, place) as (raw, session):
        body = echo("ž" * 100).encode()
        data = request("POST", session.path, headers={"Transfer-Encoding": "chunked"})
        await raw.send(data + chunked(body[:1], body[1:150], body[150:]) + session.get())
        assert await answer(raw) == (200, "ok")
        assert echoes((await answer(raw))[1]) == {1: "ž" * 100}


async def test_a_body_may_wait_for_100_continue(server: Server, place: str) -> None:
    async with connection_and_sessions(server, place) as (raw, session):
        body = echo("expected")
        await raw.send(session.post(body, {"Expect": "100-continue"}).removesuffix(body.encode()))
        assert (await raw.response_head())[0] == 100
        await raw.send(body.encode())
        assert await answer(raw) == (200, "ok")
        assert echoes((await exchange(raw, session.get()))[1]) == {1: "expected"}


async def test_large_bodies_come_whole_and_their_answers_too(server: Server, place: str) -> None:
    async with connection_and_sessions(server, place) as (raw, session):
        texts = {number: str(number) * LARGE for number in (1, 2, 3)}
        for number, text in texts.items():
            assert await exchange(raw, session.post(echo(text, number))) == (200, "ok")
        assert await all_echoes(raw, session, 3) == texts


@pytest.mark.parametrize("encoding", ["length", "chunks"])
async def test_a_body_over_the_limit_is_refused_and_ends_the_session(
    server: Server, place: str, encoding: str
) -> None:
    async with connection_and_sessions(server, place) as (raw, session):
        body = b"4" * (LIMIT + 1)
        if encoding == "length":
            raw.writer.write(session.post(body))
        else:
            head = request("POST", session.path, headers={"Transfer-Encoding": "chunked"})
            raw.writer.write(head + chunked(body[: LIMIT // 2], body[LIMIT // 2 :]))
        assert (await raw.response_head())[0] == 413
        async with await RawSocket.connect(server) as other:
            status, text = await exchange(other, session.get())
            while status == 200:  # what was left for the client
                assert set(text.split("\x1e")) <= {"1", "6"}
                status, text = await exchange(other, session.get())
        assert (status, "Session ID unknown" in text) == (400, True)


async def test_a_session_ends_when_its_client_leaves_during_a_poll(server: Server, place: str) -> None:
    async with connection_and_sessions(server, place) as (raw, session):
        await raw.send(session.get())
        async with await RawSocket.connect(server) as other:
            # The answer shows that the poll has arrived, and so has what is asked for after it.
            assert await exchange(other, session.post(echo("before"))) == (200, "ok")
            assert echoes((await answer(raw))[1]) == {1: "before"}
            await raw.send(session.get())
            raw.writer.close()
            await raw.writer.wait_closed()

            async def gone() -> tuple[int, str]:
                while (result := await exchange(other, session.post("3")))[0] == 200:
                    pass
                return result

            status, text = await within(gone())
        assert (status, "Session ID unknown" in text) == (400, True)


@pytest.mark.parametrize("encoding", ["length", "chunks"])
async def test_a_request_in_a_body_stays_a_body(server: Server, place: str, encoding: str) -> None:
    """Also where it begins a segment, and so looks like the beginning of a request."""
    async with connection_and_sessions(server, place, "here", "elsewhere") as (raw, session, *victims):
        hidden = [victim.post("41") for victim in victims] + [request("GET", "/client?hidden")]
        log = len(server.log())
        if encoding == "length":
            parts = [session.post(echo("shown") + "\x1e" + b"".join(hidden).decode())]
            parts = [parts[0].removesuffix(b"".join(hidden)), *hidden]
        else:
            head = request("POST", session.path, headers={"Transfer-Encoding": "chunked"})
            parts = [head, *[part for data in hidden for part in (b"%x\r\n" % len(data), data, b"\r\n")]]
            parts.append(b"0\r\n\r\n")
        for part in parts:
            await raw.send(part)
            await asyncio.sleep(0.01)
        assert (await answer(raw))[0] == 400  # the payload is malformed
        assert (await exchange(raw, request("GET", "/client?behind")))[0] == 200
        async with await RawSocket.connect(server) as other:
            for victim in victims:
                assert await acknowledged(other, victim, "echo", "still here") is not None
    log_lines = server.wait_for_log("/client?behind", start=log)[log:]
    assert "/client?hidden" not in log_lines


async def test_each_request_has_one_line_in_the_access_log(server: Server, place: str) -> None:
    async with connection_and_sessions(server, place) as (raw, session):
        log = len(server.log())
        await raw.send(session.post(echo("logged"), PROXY) + session.get(PROXY))
        assert (await answer(raw))[0] == (await answer(raw))[0] == 200
        assert (await exchange(raw, request("GET", "/worker?last")))[0] == 200
    lines = server.wait_for_log("/worker?last", start=log)[log:].splitlines()
    found = [line for line in lines if session.sid in line]
    assert len(found) == 2, found
    for method, line in zip(("POST", "GET"), found, strict=True):
        assert f'203.0.113.7:0 - "{method} {session.path} HTTP/1.1" 200' in line


async def test_the_address_that_a_proxy_tells_is_that_of_the_client(server: Server, place: str) -> None:
    async with connection_and_sessions(server, place, headers=PROXY) as (raw, session):
        seen = await acknowledged(raw, session, "who")
        assert (seen["address"], seen["scheme"]) == ("203.0.113.7", "https")
        # The next request on the connection tells another.
        _, body = await exchange(raw, request("GET", "/client", headers={"X-Forwarded-For": "203.0.113.9"}))
        seen = json.loads(body)
        assert (seen["address"], seen["scheme"]) == ("203.0.113.9", "http")


async def test_a_session_moves_to_a_websocket(server: Server, place: str) -> None:
    async with connection_and_sessions(server, place) as (raw, session):
        await raw.send(upgrade_request("/socket.io/", {"sid": session.sid}))
        assert (await raw.response_head())[0] == 101
        await raw.send(frame(TEXT, b"2probe"))
        assert await raw.read_frame() == (TEXT, b"3probe")
        await raw.send(frame(TEXT, b"5") + frame(TEXT, echo("over it").encode()))
        assert echoes((await raw.read_frame())[1].decode()) == {1: "over it"}
        large = "x" * LARGE
        await raw.send(frame(TEXT, echo(large).encode()))
        assert echoes((await raw.read_frame())[1].decode()) == {1: large}
