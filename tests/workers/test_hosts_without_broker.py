"""Two processes as two hosts, in one process, and between them a post that may lose what it is given."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import pytest

from asyncsock.engine import EngineServer
from asyncsock.workers import hosts as hosts_module
from asyncsock.workers import links
from asyncsock.workers.host_frames import MOST
from asyncsock.workers.hosts import ASKERS, STRANGERS, Hosts
from asyncsock.workers.links import ANSWER, ASK, END, HEAD, LEAVE
from asyncsock.workers.relay import POLL
from tests.support.asgi_in_process import Answer
from tests.support.engineio_in_process import Poller
from tests.support.raw_clients import within

Handler = Callable[[str, bytes], None]
UNKNOWN = (400, '{"code":1,"message":"Session ID unknown"}')


class PostOffice:
    """Brings data to the inboxes of processes.

    Attributes:
        loses: Whether a message is lost.
        sent: The kind of each message, by who sent it.
    """

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.loses: Callable[[str, bytes], bool] = lambda sender, data: False
        self.sent: list[tuple[str, int]] = []


class Inbox:
    """The post of one process."""

    def __init__(self, office: PostOffice, name: str) -> None:
        self._office = office
        self._name = name

    def on_data(self, handler: Handler | None) -> None:
        self._office.handlers[self._name] = handler or (lambda sender, data: None)

    def send_to(self, name: str, data: bytes) -> None:
        self._office.sent.append((self._name, data[0]))
        handler = self._office.handlers.get(name)
        if handler is not None and not self._office.loses(self._name, data):
            asyncio.get_running_loop().call_soon(handler, self._name, data)


class Host:
    """A host, which echoes what clients send."""

    def __init__(self, office: PostOffice, name: str) -> None:
        self.engine = EngineServer()
        self.engine.on("message", lambda sid, data: self.engine.send(sid, data))
        self.hosts = Hosts(self.engine, Inbox(office, name), name, None)
        self.engine.join(self.hosts)

    def client_of(self, session: Poller) -> Poller:
        """A client with the session of another host."""
        client = Poller(self.engine)
        client.handshake = session.handshake
        return client


@pytest.fixture
def office() -> PostOffice:
    return PostOffice()


@pytest.fixture
async def pair(office: PostOffice) -> Any:
    """Two hosts, of which the second has a session, and a client of the first that asks for it."""
    near, far = Host(office, "near"), Host(office, "far_")
    yield near, far, near.client_of(await Poller(far.engine).open())
    for host in (near, far):
        host.hosts.stop()
        for sid in list(host.engine.sessions):
            await host.engine.disconnect(sid)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that have little patience."""
    for name, seconds in {"ANSWER_TIME": 0.1, "SIGN": 0.1, "SILENCE": 0.3, "IDLE": 0.2, "LOOK": 0.01}.items():
        monkeypatch.setattr(links, name, seconds)
    monkeypatch.setattr(hosts_module, "LOOK", 0.01)
    monkeypatch.setattr(hosts_module, "FORGIVEN", 0.05)


def seen(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.text


async def test_a_request_for_a_session_of_another_host_is_answered(pair: Any) -> None:
    near, _, client = pair
    assert seen(await client.post("4one", "4two")) == (200, "ok")
    assert await client.get() == ["4one", "4two"]
    assert near.hosts.report()["relayed"] == 2


async def test_a_poll_that_waits_for_long_is_kept_by_signs_of_life(
    quick: None, office: PostOffice, pair: Any
) -> None:
    _, far, client = pair
    waiting = asyncio.ensure_future(client.get())
    signs = []
    while len(signs) < 5:
        await asyncio.sleep(0.01)
        signs = [each for each in office.sent if each == ("far_", ANSWER)]
        assert not waiting.done()
    far.engine.send(client.sid, "at last")
    assert await within(waiting) == ["4at last"]


async def test_an_owner_that_says_nothing_is_given_up_and_asked_again_later(
    quick: None, office: PostOffice, pair: Any
) -> None:
    _, _, client = pair
    office.loses = lambda sender, data: sender == "far_"
    assert seen(await within(client.post("4heard"))) == UNKNOWN
    before = len(office.sent)
    assert seen(await client.post("4not sent")) == UNKNOWN
    assert len(office.sent) == before
    office.loses = lambda sender, data: False

    async def ask_again() -> None:
        while seen(await client.post("4again")) == UNKNOWN:
            await asyncio.sleep(0.01)

    await within(ask_again())
    assert await client.get() == ["4heard", "4again"]


@pytest.mark.parametrize("loser", ["near", "far_"])
async def test_a_message_that_is_lost_ends_the_requests_that_wait_and_the_next_ones_are_answered(
    quick: None, office: PostOffice, pair: Any, loser: str
) -> None:
    near, far, client = pair
    waiting = asyncio.ensure_future(client.request("GET"))
    await asyncio.sleep(0)
    lost: list[bytes] = []

    def lose_one(sender: str, data: bytes) -> bool:
        loses = sender == loser and not lost and data[0] in (ASK, ANSWER) and len(data) > HEAD.size
        if loses:
            lost.append(data)
        return loses

    office.loses = lose_one
    other = near.client_of(await Poller(far.engine).open())
    asked = asyncio.ensure_future(other.post("4lost, or its answer"))
    assert seen(await within(waiting)) == UNKNOWN
    assert seen(await within(asked)) == UNKNOWN
    third = near.client_of(await Poller(far.engine).open())
    while seen(await third.post("4next")) != (200, "ok"):
        await asyncio.sleep(0.01)
    assert await third.get() == ["4next"]


async def test_a_link_that_is_not_used_ends_at_both_hosts(quick: None, pair: Any) -> None:
    near, far, client = pair
    await client.post("4one")
    while near.hosts._asked or far.hosts._asking:
        await asyncio.sleep(0.01)
    assert await client.get() == ["4one"]


async def test_an_asker_that_falls_silent_is_given_up(quick: None, office: PostOffice, pair: Any) -> None:
    _, far, client = pair
    waiting = asyncio.ensure_future(client.request("GET"))
    while not far.hosts._asking:
        await asyncio.sleep(0)
    office.loses = lambda sender, data: True
    while far.hosts._asking:
        await asyncio.sleep(0.01)
    assert seen(await within(waiting)) == UNKNOWN
    assert client.sid not in far.engine.sessions


async def test_a_host_that_stops_answers_the_others_and_is_not_asked_again(
    office: PostOffice, pair: Any
) -> None:
    near, far, client = pair
    waiting = asyncio.ensure_future(client.request("GET"))
    while not far.hosts._asking:
        await asyncio.sleep(0)
    await within(far.engine.shutdown())
    assert seen(await within(waiting)) == (200, "1")
    assert office.sent[-1] == ("far_", LEAVE)
    await asyncio.sleep(0)
    assert near.hosts.owner(client.sid) is None
    assert seen(await client.request("GET")) == UNKNOWN


@pytest.mark.parametrize("name", ["", "near", "a", "a.b>", "\r\nxx", "ä123", "*..."])
async def test_a_name_that_is_no_other_process_is_not_asked(office: PostOffice, pair: Any, name: str) -> None:
    near, _, _ = pair
    assert near.hosts.owner(name) is None
    assert office.sent == []


async def test_clients_that_name_processes_at_random_do_not_keep_others_from_theirs(
    office: PostOffice, pair: Any
) -> None:
    near, _, client = pair
    await client.post("4one")
    strangers = [near.client_of(client) for _ in range(STRANGERS + 10)]
    waiting = []
    for number, stranger in enumerate(strangers):
        stranger.handshake = {"sid": f"{number:04}{'x' * 20}"}
        waiting.append(asyncio.ensure_future(stranger.request("GET")))
    await asyncio.sleep(0)
    assert len(near.hosts._asked) <= STRANGERS
    assert await client.get() == ["4one"]
    for request in waiting:
        request.cancel()


def frame(kind: int, payload: bytes, number: int = 1) -> bytes:
    return struct.pack("<IBI", len(payload), kind, number) + payload


@pytest.mark.parametrize(
    "payload",
    [
        frame(POLL, b"no poll"),
        frame(200, b""),
        b"\xff" * 9,
        struct.pack("<IBI", MOST + 1, POLL, 1),
        frame(5, b"no wish for a WebSocket"),
        frame(5, b"\x94\xa1x\xc4\x00\xc2\xc4\x00") * 2,
        frame(7, b"", 99),
    ],
    ids=["a poll", "a kind", "a head", "a size", "a wish", "a second stream", "a count for nothing"],
)
async def test_malformed_frames_of_another_host_end_its_link_alone(
    office: PostOffice, pair: Any, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    _, far, client = pair
    await client.post("4one")
    far.hosts._received("evil", HEAD.pack(ASK, 7, 0) + payload)
    await asyncio.sleep(0.05)
    lines = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert len(lines) <= 2  # of a second stream, the first is refused too
    assert not [record for record in caplog.records if record.exc_info]
    assert await client.get() == ["4one"]


@pytest.mark.parametrize("data", [b"", b"x", b"\x04" * HEAD.size, b"\xff" * 100])
async def test_data_that_are_no_message_are_refused(pair: Any, data: bytes) -> None:
    _, far, _ = pair
    with pytest.raises(ValueError, match="malformed"):
        far.hosts._received("evil", data)
    with pytest.raises(ValueError, match="that is none"):
        far.hosts._received("a.b", HEAD.pack(ASK, 1, 0))


async def test_those_who_ask_are_limited(office: PostOffice, pair: Any) -> None:
    _, far, client = pair
    await client.post("4one")
    for number in range(ASKERS + 10):
        far.hosts._received(f"{number:04}", HEAD.pack(ASK, 1, 0))
    assert len(far.hosts._asking) == ASKERS
    assert office.sent[-1] == ("far_", END)
    assert await client.get() == ["4one"]
