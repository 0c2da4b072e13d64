"""Running the parity test's clients through its steps, and the ways to say what a step is.

No step sleeps. Those that wait for an acknowledgement see what the handler sent to this client before; a
barrier, an event that every client in ``/`` sends at the end of each step, brings what it sent to others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from tests.support.parity_client import Client, linked, normal
from tests.support.server_process import Server

Record = list[Any]  # type, namespace, id, data
Records = dict[str, Any]  # of one step: what each client got
Step = Callable[["Script"], Awaitable[None]]

STEPS: dict[str, Step] = {}


class Script:
    """The clients that go through the steps: `a` and `b` all the way, others in one step."""

    def __init__(self, server: Server, transport: str, stack: AsyncExitStack) -> None:
        self.server = server
        self.transport = transport
        self._stack = stack
        self._clients: list[Client] = []
        self._guests: list[Client] = []
        self.a: Client
        self.b: Client

    async def client(self, name: str) -> Client:
        client = await self._stack.enter_async_context(linked(self.server, self.transport, name))
        self._clients.append(client)
        return client

    async def guest(self, namespace: str | None = "/", auth: Any = None) -> Client:
        """A client of this step only, connected to a namespace."""
        guest = await self.client("guest")
        self._guests.append(guest)
        if namespace == "/":
            await guest.enter(auth)
        elif namespace is not None:
            await guest.connect(namespace, auth)
        return guest

    async def run(self, step: Step) -> Records:
        records: Records = {}
        try:
            await step(self)
            for client in self._clients:
                if "/" in client.connected:
                    await client.barrier()
            for guest in self._guests:
                await self._close(guest)
        except (TimeoutError, ConnectionError) as error:
            records["problem"] = str(error)
        sids = {
            sid: f"<sid of {client.name} in {namespace}>"
            for client in self._clients
            for sid, namespace in client.all_sids.items()
        }
        for client in self._clients:
            records[client.name] = [normal(list(record), sids) for record in client.records]
            client.records = []
        for guest in self._guests:
            self._clients.remove(guest)
            await guest.close()  # if a problem left it open
        self._guests = []
        return records

    async def _close(self, guest: Client) -> None:
        """Close a guest's connection; what the others are told of it belongs to its step."""
        was_in = "/" in guest.connected
        told = [(client, len(client.records)) for client in (self.a, self.b)]
        await guest.close()
        if was_in:
            for client, before in told:
                await client.arrived(before + 1)


def step(function: Step) -> Step:
    STEPS[function.__name__.replace("_", " ")] = function
    return function


def asked(name: str, event: str, *args: Any, namespace: str = "/") -> None:
    """A step in which `a` sends an event and gets an acknowledgement."""

    async def ask(script: Script) -> None:
        await script.a.ask(event, *args, namespace=namespace)

    STEPS[name] = ask


def joined(namespace: str) -> None:
    """A step in which both clients connect to a namespace."""

    async def join(script: Script) -> None:
        await script.a.connect(namespace)
        await script.b.connect(namespace)
        if namespace == "/class":
            await script.a.arrived(3)
            await script.b.arrived(2)

    STEPS[f"connecting to {namespace}"] = join
