"""Clients that behave: they arrive, do something, check the answers, and leave in one of many ways."""

from __future__ import annotations

import asyncio
import base64
import json
from random import Random
from typing import Any

from soak.link import Gone, Link
from tests.support.raw_clients import CLOSE, frame

SEPARATOR = "\x1e"
ARRIVALS = ("polling", "websocket", "upgrade")


class Visitor:
    """A client in the namespace ``/``, over polling, a WebSocket, or first one and then the other."""

    def __init__(self, port: int, random: Random) -> None:
        self.port = port
        self.random = random
        self.polls: Link | None = None
        self.posts: Link | None = None
        self.websocket: Link | None = None
        self._target = "/socket.io/?EIO=4&transport=polling"
        self._received: list[str | bytes] = []
        self._asked = 0
        self._is_in_other = False

    async def arrive(self, how: str) -> None:
        if how == "websocket":
            self.websocket = await Link.open(self.port)
            await self.websocket.upgrade()
        else:
            self.polls, self.posts = await Link.open(self.port), await Link.open(self.port)
        opened = json.loads(str(await self.expect("0"))[1:])
        self._target += f"&sid={opened['sid']}"
        await self.send("40" + json.dumps({"name": self.random.random()}))
        await self.expect("40")
        await self.expect('42["welcome"')
        if how == "upgrade":
            await self._upgrade(opened["sid"])

    async def _upgrade(self, sid: str) -> None:
        assert self.polls is not None
        websocket = await Link.open(self.port)
        await websocket.upgrade(sid=sid)
        await websocket.send("2probe")
        assert await websocket.receive() == "3probe"
        await websocket.send("5")
        self.websocket = websocket
        self.close_polling()

    # Packets

    async def send(self, *packets: str | bytes) -> None:
        if self.websocket is not None:
            for packet in packets:
                await self.websocket.send(packet)
            return
        assert self.posts is not None
        texts = [
            packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode()
            for packet in packets
        ]
        status, answer = await self.posts.request("POST", self._target, SEPARATOR.join(texts))
        if (status, answer) != (200, "ok"):
            raise Gone(f"a POST was answered with {status} {answer[:100]}")

    async def receive(self) -> str | bytes:
        if self._received:
            return self._received.pop(0)
        if self.websocket is not None:
            return await self.websocket.receive()
        assert self.polls is not None
        status, answer = await self.polls.request("GET", self._target)
        if status != 200:
            raise Gone(f"a poll was answered with {status} {answer[:100]}")
        packets = answer.split(SEPARATOR)
        if "2" in packets:
            await self.send("3")
        self._received = [
            base64.b64decode(packet[1:]) if packet[:1] == "b" else packet
            for packet in packets
            if packet != "2"
        ]
        return await self.receive()

    async def expect(self, beginning: str) -> str:
        """The next text packet that begins so. Others, such as broadcasts, are passed over."""
        while True:
            packet = await self.receive()
            if isinstance(packet, str):
                if packet.startswith(beginning):
                    return packet
                if packet[:2] in ("41", "44") or packet[:1] == "1":
                    raise Gone(f"{packet!r} came, not {beginning!r}")

    async def ask(self, event: str, *data: Any, namespace: str = "") -> Any:
        """What the server acknowledges an event with."""
        self._asked += 1
        await self.send(f"42{namespace}{self._asked}" + json.dumps([event, *data]))
        beginning = f"43{namespace}{self._asked}["
        answer = json.loads((await self.expect(beginning))[len(beginning) - 1 :])
        return answer[0] if len(answer) == 1 else answer

    # What it does

    async def act(self) -> None:
        await getattr(self, self.random.choice(ACTS))()

    async def echo(self) -> None:
        data = {"number": self.random.random(), "text": "ü" * self.random.randrange(2000)}
        assert await self.ask(self.random.choice(["echo", "echo_def"]), data) == data

    async def echo_bytes(self) -> None:
        data = self.random.randbytes(self.random.randrange(3000))
        self._asked += 1
        await self.send(f'451-{self._asked}["echo",{{"_placeholder":true,"num":0}}]', data)
        await self.expect(f"461-{self._asked}[")
        while isinstance(got := await self.receive(), str):
            pass
        assert got == data

    async def rooms(self) -> None:
        names = ["square", *(f"room {self.random.randrange(50)}" for _ in range(self.random.randrange(5)))]
        assert await self.ask("join", *names) == len(names)
        number = self.random.randrange(1 << 40)
        await self.send("42" + json.dumps(["say", names[-1], number]))
        await self.expect(f'42["said",{number}]')
        if self.random.random() < 0.5:
            await self.ask("leave", names[0])

    async def other_namespace(self) -> None:
        if not self._is_in_other:
            await self.send("40/other,")
            await self.expect("40/other,")
            self._is_in_other = True
        assert await self.ask("echo", 1, namespace="/other,") == 1
        if self.random.random() < 0.5:
            await self.send("41/other,")
            self._is_in_other = False
            assert await self.ask("echo", 2) == 2

    async def question(self) -> None:
        await self.send('42["ask",1]')
        packet = await self.expect("42")
        while "question" not in packet:
            packet = await self.expect("42")
        if self.random.random() < 0.5:
            await self.send(f"43{packet[2 : packet.index('[')]}[1]")
            await self.ask("echo", 3)

    async def unanswered_call(self) -> None:
        assert await self.ask("call", 1) == []

    async def failing(self) -> None:
        await self.send('42["fail"]')
        await self.ask("echo", 4)

    async def view(self) -> None:
        link = await Link.open(self.port)
        assert await link.request("GET", "/say") == (200, "said")
        link.close()

    # How it leaves

    async def leave(self) -> None:
        how = self.random.choice(LEAVES)
        if how == "packets":
            await self.send("41", "1")
        elif how == "close packet":
            await self.send("1")
        elif how == "close frame" and self.websocket is not None:
            await self.websocket.write(frame(CLOSE, b"\x03\xe8"))
            await self.websocket.until_gone()
        elif how == "reset":
            for link in (self.polls, self.posts, self.websocket):
                if link is not None:
                    link.reset()
        elif how == "silence":
            if self.websocket is not None:
                await self.websocket.until_gone()
            else:
                await asyncio.sleep(3)
        elif how == "under a poll" and self.websocket is None:
            assert self.polls is not None
            await self.polls.write(f"GET {self._target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        self.close()

    def close(self) -> None:
        self.close_polling()
        if self.websocket is not None:
            self.websocket.close()

    def close_polling(self) -> None:
        for link in (self.polls, self.posts):
            if link is not None:
                link.close()


ACTS = (
    *("echo", "echo_bytes", "rooms", "other_namespace", "question", "unanswered_call", "failing", "view"),
    *("echo", "rooms"),
)
LEAVES = ("packets", "close packet", "close frame", "reset", "silence", "under a poll", "end of stream")


async def visit(port: int, random: Random) -> None:
    """One visit of a client that behaves."""
    visitor = Visitor(port, random)
    try:
        await visitor.arrive(random.choice(ARRIVALS))
        for _ in range(random.randrange(6)):
            await visitor.act()
        await visitor.leave()
    finally:
        visitor.close()
