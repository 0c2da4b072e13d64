"""Clients under load at a server of several workers, and what went wrong for them.

The clients are those of npm (tests/js/workers.mjs) or of python-socketio, and the server runs
tests/apps/workers.py.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import requests

from tests.support.python_socketio_client import Client
from tests.support.required_parts import require
from tests.support.server_process import Server

JS = Path(__file__).resolve().parents[1] / "js"
KINDS = ("v4", "v3", "async", "sync")  # the npm client's versions, and python-socketio's two clients
MODES = ("polling", "upgrade", "websocket")
ROOM = "everybody"
PATIENCE = 10.0  # seconds for one answer


@dataclass(frozen=True)
class Load:
    """What the clients do.

    Attributes:
        clients: How many there are.
        acks: How many acknowledgements each asks for; None: until they are told to stop.
        broadcasts: How many events all senders send to everybody, together.
        senders: How many clients send them.
    """

    clients: int
    acks: int | None
    broadcasts: int = 0
    senders: int = 4


@dataclass
class Seen:
    """What one client has seen.

    Attributes:
        workers: The processes that served it, each where it followed another.
        acks: The right acknowledgements.
        wrong: Other answers, and missing ones.
        heard: The next number expected from each sender.
        misheard: Numbers that came instead of the one that was expected.
        connects: How often it has connected.
        disconnects: The reasons.
        errors: Of its transports, with the status of HTTP, and of attempts to connect.
        transport: What it used in the end; None if it was not connected.
    """

    workers: list[int] = field(default_factory=list)
    acks: int = 0
    wrong: list[str] = field(default_factory=list)
    heard: dict[str, int] = field(default_factory=dict)
    misheard: list[str] = field(default_factory=list)
    connects: int = 0
    disconnects: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    transport: str | None = None


def troubles(seen: list[Seen], load: Load, mode: str) -> list[str]:
    """Each thing that went wrong for one client, in words; empty if all was as it has to be."""
    heard = {str(number): load.broadcasts // load.senders for number in range(load.senders)}
    expected = {
        "acks": load.acks,
        "wrong": [],
        "heard": {sender: count for sender, count in heard.items() if count},
        "misheard": [],
        "connects": 1,
        "disconnects": [],
        "errors": [],
        "transport": "polling" if mode == "polling" else "websocket",
    }
    found = []
    for number, client in enumerate(seen):
        values = asdict(client)
        for name, value in expected.items():
            if values[name] != value:
                found.append(f"client {number} at {client.workers}: {name} {values[name]}, not {value}")
    if len(seen) != load.clients:
        found.append(f"{len(seen)} clients, not {load.clients}")
    return found


class Running:
    """Clients under load.

    Attributes:
        joined: The worker of each client when all had joined; None for one that has not been able to.
    """

    joined: list[int | None]

    async def finish(self) -> list[Seen]:
        """Wait for the end of the load, or end what has none, and say what each client has seen."""
        raise NotImplementedError


@asynccontextmanager
async def under_load(server: Server, kind: str, mode: str, load: Load) -> AsyncIterator[Running]:
    """Put clients of a kind (one of KINDS), which connect in one way (one of MODES), under load."""
    run = _with_javascript if kind in ("v3", "v4") else _with_python
    async with run(server, kind, mode, load) as running:
        yield running


# The npm client


async def json_line(process: asyncio.subprocess.Process) -> Any:
    """The object in the next line that a program writes; what is not one, and what follows, is the error."""
    assert process.stdout is not None
    text = await process.stdout.readline()
    assert text.startswith(b"{"), (text + await process.stdout.read()).decode()
    return json.loads(text)


class _Script(Running):
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> Any:
        return await json_line(self._process)

    async def finish(self) -> list[Seen]:
        assert self._process.stdin is not None
        self._process.stdin.close()
        return [Seen(**client) for client in (await self.line())["clients"]]


@asynccontextmanager
async def _with_javascript(server: Server, kind: str, mode: str, load: Load) -> AsyncIterator[Running]:
    require(shutil.which("node"), "node")
    require(
        (JS / "node_modules" / "socket.io-client-3").is_dir(), "npm package socket.io-client-3 in tests/js"
    )
    trusted = {"NODE_EXTRA_CA_CERTS": str(server.authority)} if server.authority else {}
    process = await asyncio.create_subprocess_exec(
        *("node", "workers.mjs", server.url, json.dumps({"version": kind, "mode": mode, **asdict(load)})),
        cwd=JS,
        env={**os.environ, **trusted},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 24,
    )
    script = _Script(process)
    try:
        script.joined = (await script.line())["joined"]
        yield script
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# python-socketio's clients


class _LoadedClient:
    def __init__(self, number: int, client: Client, load: Load) -> None:
        self.seen = Seen()
        self.client = client
        self.name = str(number)
        self.load = load
        self.says = load.broadcasts // load.senders if number < load.senders else 0
        self.stopping = False
        loop = asyncio.get_running_loop()

        def on(event: str, handler: Any) -> None:
            client.socket.on(event, lambda *args: loop.call_soon_threadsafe(handler, *args))

        on("said", self._hear)
        on("connect", self._connected)
        on("disconnect", self.seen.disconnects.append)
        on("connect_error", lambda error: self.seen.errors.append(f"not connected: {error}"))

    def _connected(self) -> None:
        self.seen.connects += 1

    def _hear(self, sender: str, number: int) -> None:
        expected = self.seen.heard.get(sender, 0)
        if number != expected:
            self.seen.misheard.append(f"{sender}: {number} for {expected}")
        self.seen.heard[sender] = number + 1

    async def ask(self, event: str, *args: Any) -> Any:
        """The acknowledgement; None if there is none."""
        try:
            answer = await self.client.call(event, *args)
        except Exception as error:
            self.seen.wrong.append(f"no answer to {event}: {error!r}")
            return None
        if self.seen.workers[-1:] != [answer["worker"]]:
            self.seen.workers.append(answer["worker"])
        return answer

    async def join(self) -> int:
        await self.client.connect()
        worker: int = (await self.ask("join", ROOM))["worker"]
        return worker

    async def run(self) -> None:
        number = 0
        while not self.stopping and (self.load.acks is None or number < max(self.load.acks, self.says)):
            if number < self.says:
                await self.ask("say", ROOM, self.name, number)
            if self.load.acks is None or number < self.load.acks:
                await self._echo(f"{self.name}:{number}")
            number += 1
            if self.load.acks is None:
                await asyncio.sleep(0.02)

    async def _echo(self, data: str) -> None:
        answer = await self.ask("echo", data)
        if answer is not None:
            if answer["data"] == data:
                self.seen.acks += 1
            else:
                self.seen.wrong.append(f"{answer['data']} for {data}")


class _Clients(Running):
    def __init__(self, clients: list[_LoadedClient], load: Load) -> None:
        self._clients = clients
        self._load = load
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.joined = await asyncio.gather(*[client.join() for client in self._clients])
        self._tasks = [asyncio.ensure_future(client.run()) for client in self._clients]

    async def finish(self) -> list[Seen]:
        for client in self._clients:
            client.stopping = self._load.acks is None
        await asyncio.gather(*self._tasks)
        heard_by = asyncio.get_running_loop().time() + PATIENCE
        while self._are_waiting() and asyncio.get_running_loop().time() < heard_by:
            await asyncio.sleep(0.01)
        for client in self._clients:
            if client.client.socket.connected:
                client.seen.transport = client.client.socket.transport()
        return [copy.deepcopy(client.seen) for client in self._clients]  # before they are closed

    def _are_waiting(self) -> bool:
        return self._load.acks is not None and any(
            sum(client.seen.heard.values()) < self._load.broadcasts for client in self._clients
        )


@asynccontextmanager
async def _with_python(server: Server, kind: str, mode: str, load: Load) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        clients = []
        for number in range(load.clients):
            session: Any
            if kind == "async":
                context = (
                    ssl.create_default_context(cafile=str(server.authority)) if server.authority else True
                )
                connector = aiohttp.TCPConnector(ssl=context)
                session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            else:
                session = stack.enter_context(requests.Session())
                session.trust_env = False  # no other certificates
                session.verify = str(server.authority) if server.authority else True
            client = Client(
                server.url, kind, mode, http_session=session, reconnection=True, reconnection_delay=0.1
            )
            stack.push_async_callback(client.close)
            clients.append(_LoadedClient(number, client, load))
        running = _Clients(clients, load)
        await running.start()
        yield running
