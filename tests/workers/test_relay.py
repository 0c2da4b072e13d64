"""Requests for sessions of another worker are answered as the owner of the session answers them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from asyncsock.engine import EngineServer
from tests.support.log_records import errors, recorded
from tests.support.raw_clients import SEPARATOR, Polling, RawSocket, upgrade_request, within
from tests.support.uvicorn_in_process import Local
from tests.support.workers_in_process import group, opened, until, workers_of

FOREIGN = "https://elsewhere.example"
OPTIONS: dict[str, Any] = {
    "max_http_buffer_size": 10_000,
    "cors_allowed_origins": FOREIGN,
    "cookie": "io",
}


@pytest.fixture(params=["httptools", "plain ASGI"])
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Group:
    """Two workers, and what the second has seen of its sessions.

    Attributes:
        ended: The reasons for which sessions ended, by their ids.
    """

    near: EngineServer
    far: EngineServer
    here: Local
    there: Local
    received: list[Any]
    ended: dict[str, str]

    async def client(self, through: str) -> Polling:
        """A client of the second worker, that makes its requests to the "owner" or to "another"."""
        sid = await opened(self.there)
        client = Polling(self.there if through == "owner" else self.here)  # type: ignore[arg-type]
        client.sid = sid
        return client

    async def waits(self, request: Any) -> asyncio.Task[httpx.Response]:
        """A relayed request, which waits at the second worker."""
        task = asyncio.ensure_future(request)
        await until(lambda: any(each.serving for each in workers_of(self.far).incoming))
        return task


@asynccontextmanager
async def two(door: str, **options: Any) -> AsyncIterator[Group]:
    near, far = EngineServer(**OPTIONS, **options), EngineServer(**OPTIONS, **options)
    received: list[Any] = []
    ended: dict[str, str] = {}

    @far.on("message")
    def message(sid: str, data: Any) -> None:
        received.append(data)

    @far.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        ended[sid] = reason

    async with group(near, far, door=door) as (here, there):
        yield Group(near, far, here, there, received, ended)


def shape(response: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """All of an answer but its date."""
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return response.status_code, response.content, headers


async def both(door: str, scenario: Any, **options: Any) -> list[Any]:
    """What comes of a scenario at the owner of a session, and at another worker."""
    results = []
    for through in ("owner", "another"):
        async with two(door, **options) as workers, await workers.client(through) as client:
            results.append((await scenario(workers, client), workers.received, list(workers.ended.values())))
    return results


async def test_a_message_goes_each_way(door: str) -> None:
    async def scenario(workers: Group, client: Polling) -> Any:
        posted = await client.post("4text", "bAQID")
        workers.far.send(client.sid, "answer")  # type: ignore[arg-type]
        workers.far.send(client.sid, b"\x00\xff")  # type: ignore[arg-type]
        return shape(posted), shape(await client.get())

    owner, another = await both(door, scenario)
    assert owner == another
    assert owner[0][1][:2] == (200, b"4answer\x1ebAP8=")
    assert owner[1] == ["text", b"\x01\x02\x03"]


async def test_origins_compression_and_their_headers_are_those_of_the_owner(door: str) -> None:
    async def scenario(workers: Group, client: Polling) -> Any:
        workers.far.send(client.sid, "x" * 5000)  # type: ignore[arg-type]
        allowed = await client.request("GET", headers={"Origin": FOREIGN, "Accept-Encoding": "gzip"})
        refused = await client.request("GET", headers={"Origin": "https://evil.example"})
        return shape(allowed), shape(refused)

    owner, another = await both(door, scenario)
    assert owner == another
    (status, body, headers), refused = owner[0]
    assert (status, body) == (200, b"4" + b"x" * 5000)
    assert headers["content-encoding"] == "gzip"
    assert headers["access-control-allow-origin"] == FOREIGN
    assert "set-cookie" not in headers
    assert refused[0] == 400


@pytest.mark.parametrize("way", ["content-length", "chunks"])
async def test_a_post_that_is_too_large_is_refused_and_ends_the_session(door: str, way: str) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"4" + b"x" * 999

    async def scenario(workers: Group, client: Polling) -> Any:
        content: Any = b"4" + b"x" * 20_000 if way == "content-length" else parts()
        return shape(await client.request("POST", content))[:2]

    owner, another = await both(door, scenario)
    assert owner == another
    assert owner[0][0] == 413
    assert owner[2] == ["transport error"]


async def test_malformed_and_unknown_packets_end_the_session(door: str) -> None:
    async def scenario(workers: Group, client: Polling) -> Any:
        return shape(await client.post("nonsense"))[:2], shape(await client.get())[:2]

    owner, another = await both(door, scenario)
    assert owner == another
    assert owner[0][0][0] == 400


async def test_a_session_that_its_client_ends_is_unknown_after(door: str) -> None:
    async def scenario(workers: Group, client: Polling) -> Any:
        return [shape(await client.post("1"))[:2], shape(await client.get())[:2]]

    owner, another = await both(door, scenario)
    assert owner == another
    assert b'"code":1' in owner[0][1][1].replace(b" ", b"")
    assert owner[2] == ["client disconnect"]


async def test_a_session_that_the_server_ends_leaves_its_last_packets(door: str) -> None:
    async def scenario(workers: Group, client: Polling) -> Any:
        assert client.sid is not None
        workers.far.send(client.sid, "last")
        await workers.far.disconnect(client.sid)
        return [shape(await client.get())[:2] for _ in range(3)]

    owner, another = await both(door, scenario)
    assert owner == another
    assert owner[0][:2] == [(200, b"4last"), (200, b"1")]


async def test_python_socketio_gets_no_more_than_16_packets_at_once(door: str) -> None:
    async def scenario(workers: Group, client: Polling) -> Any:
        for number in range(40):
            workers.far.send(client.sid, str(number))  # type: ignore[arg-type]
        answers = [await client.request("GET", t=time) for time in ("1234.5", "1", "")]
        return [len(answer.text.split(SEPARATOR)) for answer in answers]

    owner, another = await both(door, scenario)
    assert owner == another
    assert owner[0] == [16, 16, 8]


async def test_another_client_gets_all_packets_at_once(door: str) -> None:
    async def scenario(workers: Group, client: Polling) -> Any:
        for number in range(40):
            workers.far.send(client.sid, str(number))  # type: ignore[arg-type]
        return len((await client.request("GET", t="PdJwXyz")).text.split(SEPARATOR))

    owner, another = await both(door, scenario)
    assert owner[0] == another[0] == 40


async def test_a_second_get_ends_the_session_and_answers_both(door: str) -> None:
    async with two(door) as workers, await workers.client("another") as client:
        first = await workers.waits(client.get())
        second = await client.get()
        assert second.status_code == 400
        assert (await first).text == "1"
        assert list(workers.ended.values()) == ["transport error"]


async def test_a_get_waits_for_a_packet(door: str) -> None:
    async with two(door) as workers, await workers.client("another") as client:
        waiting = await workers.waits(client.get())
        workers.far.send(client.sid, "now")  # type: ignore[arg-type]
        assert (await waiting).text == "4now"


async def test_a_client_that_leaves_during_a_get_has_left_its_session(door: str) -> None:
    async with two(door) as workers, await workers.client("another") as client:
        waiting = await workers.waits(client.get())
        waiting.cancel()
        await until(lambda: workers.ended)
        assert list(workers.ended.values()) == ["transport close"]
        assert not any(each.serving for each in workers_of(workers.far).incoming)


async def test_the_polls_of_a_worker_that_is_gone_are_refused_once(
    door: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(door) as workers, await workers.client("another") as client:
        waiting = await workers.waits(client.get())
        for incoming in list(workers_of(workers.far).incoming):
            incoming.abort()  # as the kernel does for a process that was killed
        response = await waiting
        assert (response.status_code, response.json()["code"]) == (400, 1)
        refusals = [line for line in recorded(caplog, logging.WARNING) if "refused: 400" in line]
        assert len(refusals) == 1
        assert errors(caplog) == []


async def test_a_worker_that_stops_has_its_polls_at_others_answered(door: str) -> None:
    async with two(door) as workers, await workers.client("another") as client:
        waiting = await workers.waits(client.get())
        await workers_of(workers.near).release()
        assert (await waiting).text == "6"
        assert workers.ended == {}


async def test_a_request_has_one_line_in_each_log(door: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "uvicorn.access")
    async with two(door) as workers, await workers.client("another") as client:
        caplog.clear()
        await client.post("4one")
        client.sid = (client.sid or "")[:4] + "0" * 20
        await client.get()
        lines = [record.getMessage() for record in caplog.records]
        assert sum("POST" in line for line in lines if "200" in line) == 1
        assert sum("refused: 400" in line for line in lines) == 1
        assert len([record for record in caplog.records if record.name == "uvicorn.access"]) == 2


# Ids that nobody has made


def hostile(workers: Group) -> list[str]:
    own, other = workers_of(workers.near).name, workers_of(workers.far).name
    return [
        "../..",
        "/etc",
        "....",
        "*",
        "?" * 4,
        "\0" * 8,
        "%00%2f",
        "é" * 20,
        "\U0001f600" * 5,
        "x" * 5_000,
        own,
        other,
        own + "../../..",
        other + "../../../etc/passwd",
        other + "\0",
        other + "é",
        other + "x" * 5_000,
        f".{other}",
        f"{other}.worker",
    ]


async def test_a_poll_with_a_hostile_id_is_refused_and_touches_no_file(
    door: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(door) as workers, Polling(workers.here) as client:  # type: ignore[arg-type]
        members = workers_of(workers.near).members
        names: list[str] = []
        path = members._path
        monkeypatch.setattr(members, "_path", lambda name: names.append(name) or path(name))
        for sid in hostile(workers):
            client.sid = sid
            for method in ("GET", "POST"):
                response = await client.request(method)
                assert (response.status_code, response.json()["code"]) == (400, 1), sid
        assert set(names) <= {workers_of(workers.far).name}
        assert errors(caplog) == []


async def test_a_websocket_with_a_hostile_id_is_refused(door: str, caplog: pytest.LogCaptureFixture) -> None:
    async with two(door) as workers:
        for sid in hostile(workers):
            async with await RawSocket.connect(workers.here) as raw:  # type: ignore[arg-type]
                await raw.send(upgrade_request("/engine.io/", {"sid": sid}))
                status, _ = await raw.response_head()
                assert status in (400, 403), sid
                await within(raw.reader.read())
        assert errors(caplog) == []
        assert not workers_of(workers.far).websockets
