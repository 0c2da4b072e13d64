"""The usual event is decoded quickly, and that changes nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncsock import AsyncServer
from asyncsock.engine.session import Session
from tests.support.recorded_sessions import Recorder, open_session, settled, take_the_long_way

TURN = ""  # stands for a turn of the event loop among messages


def start(calls: list[Any]) -> tuple[AsyncServer, Session, Recorder]:
    """A server that notes what its handlers are called with, and a session with it."""
    server = AsyncServer()

    @server.on("connect")
    async def connect(sid: str, *args: Any) -> None:
        calls.append(("connect", sid))
        await asyncio.sleep(0)

    @server.on("disconnect")
    def disconnect(*args: Any) -> None:
        calls.append(("disconnect", *args))

    @server.on("echo")
    async def echo(*args: Any) -> Any:
        calls.append(("echo", *args))
        return args[1:]

    @server.on("fail")
    async def fail(*args: Any) -> None:
        calls.append(("fail", *args))
        raise RuntimeError("a handler's own")

    @server.on("leave")
    def leave(sid: str, *args: Any) -> Any:
        calls.append(("leave", sid, *args))
        return server.disconnect(sid)

    @server.on("*", namespace="/chat")
    async def anything(*args: Any) -> None:
        calls.append(("anything", *args))

    return server, *open_session(server)


def effects(messages: list[str | bytes], quickly: bool) -> Any:
    """What a server does with a session's messages: its handlers' calls, what it sends, if it goes on.

    The messages come at once, but where a `TURN` of the event loop stands between them.
    """
    calls: list[Any] = []

    async def run() -> Any:
        server, session, transport = start(calls)
        if not quickly:
            take_the_long_way(server)
        session.receive("40")
        for message in messages:
            if message == TURN:
                await asyncio.sleep(0)
            else:
                session.receive(message)
        await settled(server)
        return calls, transport.sent, session.is_open

    return asyncio.run(run())


names = st.sampled_from(["echo", "fail", "leave", "unknown", "connect", "disconnect", "connect_error", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ids = (
    st.just("")
    | st.integers(0, 2**60).map(str)
    | st.sampled_from(["0", "007", "-1", "1_0", "+1", " 1", "¹", "٣"])
)
arrays = st.tuples(names | values, st.lists(values)).map(lambda data: json.dumps([data[0], *data[1]]))
deep = st.integers(150, 450).map(lambda depth: '["echo",' + "[" * depth + "]" * depth + "]")
broken = st.sampled_from(
    ["", "[", "[]", "{}", '["echo"', '["echo"]]', '["echo",NaN]', '["echo",1e999]', '"echo"']
)
events = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["42", "42", "42", "43", "451-", "4", "2", "52"]),
    st.sampled_from(["", "", "", "/,", "/chat,", "/chat?x=1,", "/other,", "/chat"]),
    ids,
    arrays | deep | broken,
)
anything = (
    st.sampled_from([TURN, TURN, "40", "40/chat,", "41", "3", "6", "4", "x", b"x"]) | st.text() | st.binary()
)


@settings(max_examples=400)
@given(st.lists(events | anything, max_size=6))
@example(['451-["echo",{"_placeholder":true,"num":0}]', '42["echo"]'])
@example(['42["echo","\ud800"]', '42["echo"]'])
@example([f'42{2**53 - 1}["echo",1]', f'42{2**53}["echo",1]', '42["echo"]'])
@example(['42٣["echo"]', '42["echo"]'])
@example(['42["disconnect"]', '42["echo"]'])
@example(['42[["echo"]]', '42["echo"]'])
@example(['42["echo",' + "[" * 300 + "]" * 300 + "]", '42["echo"]'])
@example(["42/chat,1", '42/chat,"', "421", '42["echo"]'])
@example(['42/chat,1["one",2]', '42/chat,/chat,["one"]', '42/[,["one"]', '42/,1["echo"]'])
@example(['42["leave"]', '42["echo"]', TURN, '42["echo"]'])
def test_decoding_quickly_changes_nothing(messages: list[str | bytes]) -> None:
    for before in ([], [TURN], [TURN] * 4):  # the client not yet connected, connecting, connected
        assert effects([*before, *messages], quickly=True) == effects([*before, *messages], quickly=False)


@pytest.mark.parametrize(
    ("message", "quickly"),
    [
        ('42["echo",1]', True),
        ('421["echo",1]', True),
        ('42["echo","' + "x" * 10_000 + '"]', True),
        ('42["unknown"]', True),
        ('42/chat,["echo"]', True),
        ('42/chat,1["echo"]', True),
        ('42/chat?x=1,["echo"]', False),
        (f'42{2**53 - 1}["echo"]', False),
        ("41", False),
    ],
)
async def test_the_usual_event_is_decoded_quickly(
    message: str, quickly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, session, _ = start([])
    session.receive("40")
    await settled(server)
    decoded: list[str] = []
    decode = server.codec.decode
    monkeypatch.setattr(server.codec, "decode", lambda text: decoded.append(text) or decode(text))
    session.receive(message)
    await settled(server)
    assert decoded == ([] if quickly else [message[1:]])


async def test_no_handler_runs_before_the_client_is_connected_or_when_the_server_stops() -> None:
    calls: list[Any] = []
    server, session, _ = start(calls)
    session.receive("40")
    session.receive('42["echo"]')
    await settled(server)
    server.eio.core.closing = True
    session.receive('42["echo"]')
    await settled(server)
    assert [name for name, *_ in calls] == ["connect"]
    assert session.is_open
