"""A Socket.IO server for tests with real clients: it echoes, asks, counts and remembers."""

from __future__ import annotations

import asyncio
import enum
import logging
import math
import os
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import Any

from socketio.exceptions import ConnectionRefusedError

from asyncsock import ASGIApp, AsyncServer

logging.basicConfig(level=logging.INFO)
logging.getLogger("asyncsock").setLevel(logging.INFO)
logging.getLogger("asyncsock.engine").setLevel(logging.DEBUG)

Environ = dict[str, Any]


class Word(enum.Enum):
    W = "w"


server = AsyncServer(
    async_mode="asgi",
    namespaces=["/", "/chat", "/refusing"],
    serializer=os.environ.get("SERIALIZER", "default"),
)

reasons: dict[str, str] = {}  # why a client left, under the tag that it gave itself
items: dict[str, list[Any]] = defaultdict(list)  # what a client sent with "item", in the order of arrival
upgraded: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
background: set[asyncio.Task[None]] = set()


@server.event
async def connect(sid: str, environ: Environ, auth: Any) -> None:
    if isinstance(auth, dict) and auth.get("token") == "wrong":
        raise ConnectionRefusedError("wrong token", {"code": 42, "why": ["token", "ž"]})
    await server.save_session(sid, {"auth": auth, "environ": environ})
    await server.emit("welcome", {"sid": sid}, to=sid)
    if isinstance(auth, dict) and "burst" in auth:
        await send_burst(sid, *auth["burst"])


@server.event
async def disconnect(sid: str, reason: str) -> None:
    session = await server.get_session(sid)
    auth = session.get("auth")
    if isinstance(auth, dict) and "tag" in auth:
        reasons[auth["tag"]] = reason
    items.pop(sid, None)
    upgraded.pop(sid, None)


@server.event
async def echo(sid: str, *args: Any) -> Any:
    return args


@server.on("ozvěna 🐎")
async def echo_under_another_name(sid: str, *args: Any) -> Any:
    return args


@server.event
async def push(sid: str, *args: Any) -> None:
    """Send the arguments back as an event."""
    await server.emit("pushed", args, to=sid)


@server.event
async def push_to(sid: str, room: str, *args: Any) -> None:
    """Send the arguments to a room."""
    await server.emit("pushed in the room", args, room=room)


async def send_burst(sid: str, total: int, attachments: bool) -> None:
    """Send numbered events, all at once, every third with an attachment if any."""
    for number in range(total):
        data = bytes([number % 256]) if attachments and number % 3 == 1 else "text"
        await server.emit("one of many", (number, data), to=sid)


@server.event
async def burst(sid: str, total: int, attachments: bool, then_leave: bool = False) -> None:
    await send_burst(sid, total, attachments)
    if then_leave:
        await server.disconnect(sid)


@server.event
async def describe(sid: str, data: Any) -> Any:
    """The same structure with "bytes:<length>" in place of binary: what has arrived as bytes."""

    def described(value: Any) -> Any:
        if isinstance(value, bytes):
            return f"bytes:{len(value)}"
        if isinstance(value, list):
            return [described(item) for item in value]
        if isinstance(value, dict):
            return {key: described(item) for key, item in value.items()}
        return value

    return described(data)


@server.event
async def not_numbers(sid: str) -> Any:
    """Send NaN and infinity, which are not JSON, beside what only the standard library encodes."""
    data = {"nan": math.nan, "more": [math.inf, {1: -math.inf}], "half": "\ud83d", "large": 2**64}
    await server.emit("not numbers", data, to=sid)
    return data


@server.event
async def kinds(sid: str, *args: Any) -> list[Any]:
    """What the arguments have arrived as."""

    def kind(value: Any) -> Any:
        if isinstance(value, datetime):
            return (
                f"datetime {(value - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)}"
            )
        if isinstance(value, bytes):
            return f"bytes {len(value)}"
        if isinstance(value, list):
            return [kind(item) for item in value]
        if isinstance(value, dict):
            return {key: kind(item) for key, item in value.items()}
        return repr(value)

    return [kind(value) for value in args]


@server.event
async def peculiar(sid: str) -> Any:
    return {1: "a", None: (1, 2), "word": Word.W, "half": "x\ud83d"}


@server.event
async def ask(sid: str, data: Any) -> None:
    """Ask the client with a callback, then tell it what it answered."""

    async def answered(*answer: Any) -> None:
        await server.emit("answered", {"answer": list(answer)}, to=sid)

    await server.emit("question", data, to=sid, callback=answered)


@server.event
async def call(sid: str, data: Any) -> Any:
    """Ask the client with call(), and acknowledge with its answer."""
    return {"answer": await server.call("question", data, to=sid, timeout=10)}


@server.event
async def auth(sid: str) -> Any:
    return (await server.get_session(sid))["auth"]


@server.event
async def environ(sid: str, *keys: str) -> dict[str, str]:
    values = (await server.get_session(sid))["environ"]
    return {key: str(values.get(key)) for key in keys}


@server.event
async def transport(sid: str) -> str:
    return str(server.transport(sid))


@server.event
async def join(sid: str, room: str) -> list[str]:
    await server.enter_room(sid, room)
    return sorted(set(server.rooms(sid)) - {sid})


@server.event
async def leave(sid: str, room: str) -> list[str]:
    await server.leave_room(sid, room)
    return sorted(set(server.rooms(sid)) - {sid})


@server.event
async def tell(sid: str, room: str | None, data: Any) -> None:
    """To everyone in the room, or to everyone connected for None."""
    await server.emit("told", data, room=room)


@server.event
async def kick(sid: str) -> None:
    await server.disconnect(sid)


@server.event
async def reason_of(sid: str, tag: str) -> str | None:
    return reasons.get(tag)


@server.event
async def item(sid: str, number: int) -> None:
    items[sid].append(number)


@server.event
async def collected(sid: str) -> list[Any]:
    return items[sid]


@server.event
async def count(sid: str, before: int, total: int) -> None:
    """Emit "number" `total` times, paced; all after the first `before` once the client has upgraded."""

    async def run() -> None:
        for number in range(total):
            if number == before:
                await upgraded[sid].wait()
            await server.emit("number", number, to=sid)
            if number % 10 == 9:
                await asyncio.sleep(0.002)

    task = asyncio.create_task(run())
    background.add(task)
    task.add_done_callback(background.discard)


@server.event
async def has_upgraded(sid: str) -> None:
    upgraded[sid].set()


@server.on("connect", namespace="/chat")
async def connect_chat(sid: str, environ: Environ, auth: Any) -> None:
    await server.save_session(sid, {"auth": auth}, namespace="/chat")


@server.on("where", namespace="/")
async def where(sid: str) -> list[str]:
    return ["/", sid]


@server.on("where", namespace="/chat")
async def where_in_chat(sid: str) -> list[str]:
    return ["/chat", sid]


@server.on("say", namespace="/chat")
async def say(sid: str, text: str) -> None:
    await server.emit("said", text, namespace="/chat")


@server.on("auth", namespace="/chat")
async def auth_in_chat(sid: str) -> Any:
    return (await server.get_session(sid, namespace="/chat"))["auth"]


@server.on("connect", namespace="/refusing")
async def connect_refusing(sid: str, environ: Environ) -> bool:
    return False


asgi = ASGIApp(server)
