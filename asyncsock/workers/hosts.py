"""Processes of other hosts, reached through a message broker that has an inbox for each of them."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import Coroutine
from typing import Any

from ..engine.elsewhere import Owner, WorkersReport, alone
from ..engine.http import Request
from ..engine.server import EngineServer
from ..engine.transports.poll_request import PollRequest
from . import websockets
from .beside import BesideWorkers
from .host_frames import HostIncoming, HostOutgoing
from .links import ANSWER, ASK, END, HEAD, LEAVE, LOOK, AnsweringLink, AskingLink, Link, Post, parse
from .members import NAME_LENGTH
from .names import Names
from .workers import LOOK_AGAIN, RELEASE_TIME, Workers

NAME = re.compile(rf"[A-Za-z0-9_-]{{{NAME_LENGTH}}}\Z")
STRANGERS = 200  # processes that are asked and have never said anything: a client may name any
ASKERS = 1000  # processes that may ask this one
FORGIVEN = 5.0  # seconds after which a process that did not answer is asked again


class Hosts(BesideWorkers):
    """The processes of other hosts, together with the workers of this one.

    Args:
        engine: The server.
        post: The broker.
        name: The name of this process, which is that of its inbox.
        workers: The workers of this host, if there are several.

    Attributes:
        relayed: Requests of clients here that other hosts have answered.
    """

    def __init__(self, engine: EngineServer, post: Post, name: str, workers: Workers | None) -> None:
        super().__init__(workers)
        self.engine = engine
        self.post = post
        self.name = name
        self.relayed = 0
        self._asked: dict[str, AskingLink] = {}
        self._asking: dict[str, AnsweringLink] = {}
        self._neighbours = Names()  # the workers of this host
        self._heard = Names()
        self._gone = Names()
        self._has_left = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        post.on_data(self._received)

    # Elsewhere

    def owner(self, sid: str) -> Owner | None:
        """The process that has made the id of a session; None if that is this one, or is not there."""
        if self._workers is not None:
            worker = self._workers.owner(sid)
            if worker is not None:
                self._neighbours.add(worker.name)
                return worker
        name = sid[:NAME_LENGTH]
        return Host(self, name) if name in self._asked or self._may_be_there(name) else None

    def _may_be_there(self, name: str) -> bool:
        if self._has_left or name == self.name or not NAME.match(name) or self._neighbours.has(name):
            return False
        if self._gone.has(name, self._loop.time()):
            return False
        return self._heard.has(name) or len(self._asked) < STRANGERS

    def report(self) -> WorkersReport:
        """What there is of workers on this host, and what this one had others do."""
        if self._workers is None:
            return alone(len(self.engine.sessions), self.name, self.relayed)
        report = self._workers.report()
        report["relayed"] += self.relayed
        return report

    async def release(self) -> None:
        """Have the polls answered that wait here for sessions of others; then tell other hosts of the end."""
        await super().release()
        asked = [link.outgoing for link in self._asked.values()]
        for outgoing in asked:
            outgoing.release()
        end = self._loop.time() + RELEASE_TIME
        while any(outgoing.polls for outgoing in asked) and self._loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN)
        if self.engine.closing:
            await asyncio.sleep(0)  # until what was written in this tick is sent
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        self._has_left = True
        for name in {*self._asked, *self._asking}:
            self.post.send_to(name, HEAD.pack(LEAVE, 0, 0))
            self._lose(name)

    def stop(self) -> None:
        """Hear nothing more."""
        self._has_left = True
        self.post.on_data(None)
        for name in {*self._asked, *self._asking}:
            self._lose(name)
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()

    # Links

    def outgoing(self, name: str) -> HostOutgoing:
        """The requests for sessions of a process."""
        link = self._asked.get(name)
        if link is None:
            outgoing = HostOutgoing(self.engine.core, lambda: self._forget_asked(name), self.spawn)
            link = self._asked[name] = AskingLink(self.post, name, secrets.randbits(64), outgoing)
            self._watch()
        return link.outgoing

    def _forget_asked(self, name: str) -> None:
        if not self._asked.pop(name).is_answered:
            self._gone.add(name, self._loop.time() + FORGIVEN)

    def _lose(self, name: str) -> None:
        links: list[Link | None] = [self._asked.get(name), self._asking.get(name)]
        for link in links:
            if link is not None:
                link.lost()

    def _forget_asking(self, name: str) -> None:
        self._asking.pop(name, None)

    def _received(self, sender: str, data: bytes) -> None:
        kind, number, index, payload = parse(data)
        if not NAME.match(sender):
            raise ValueError("data from a process that is none")
        if self._has_left:
            return
        self._heard.add(sender)
        if kind == ASK:
            self._answer(sender, number, index, payload)
        elif kind == LEAVE:
            self._gone.add(sender)
            self._lose(sender)
        else:
            self._received_of(sender, kind, number, index, payload)

    def _received_of(self, sender: str, kind: int, number: int, index: int, payload: bytes) -> None:
        links: list[Link | None] = [self._asked.get(sender)]
        if kind == END:
            links.append(self._asking.get(sender))
        for link in links:
            if link is None or link.number != number:
                continue
            if kind == ANSWER:
                link.received(index, payload)
            else:
                link.is_answered = True
                link.lost()

    def _answer(self, sender: str, number: int, index: int, payload: bytes) -> None:
        link = self._asking.get(sender)
        if link is None or link.number != number:
            if link is not None:
                link.lost()  # it has begun anew
            if index or len(self._asking) >= ASKERS:
                self.post.send_to(sender, HEAD.pack(END, number, 0))
                return
            engine = self.engine
            incoming = HostIncoming(
                engine.core, engine.endpoint, lambda _: self._forget_asking(sender), self.spawn
            )
            link = self._asking[sender] = AnsweringLink(self.post, sender, number, incoming)
            self._watch()
        link.received(index, payload)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK, self._look)

    def _look(self) -> None:
        self._timer = None
        links: list[Link] = [*self._asked.values(), *self._asking.values()]
        for link in links:
            link.look()
        if links:
            self._watch()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine until it ends or this process stops."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Host:
    """A process of another host.

    Args:
        hosts: All of them.
        name: Its name.
    """

    def __init__(self, hosts: Hosts, name: str) -> None:
        self.name = name
        self._hosts = hosts

    def answer(self, poll_request: PollRequest, sid: str) -> None:
        """Answer a polling request for one of its sessions."""
        self._hosts.relayed += 1
        self._hosts.outgoing(self.name).answer(poll_request, sid)

    def open_websocket(self, request: Request, sid: str, key: bytes) -> socket.socket:
        """Ask for a WebSocket of one of its sessions: see `Owner.open_websocket`."""
        self._hosts.relayed += 1
        return self._hosts.outgoing(self.name).open_websocket(websockets.wanted(request, sid, key))

    def take_connection(self, descriptor: int, request: bytes) -> bool:
        """It is not on this host, and takes no connections of it."""
        return False
