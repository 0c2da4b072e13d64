"""The workers of one server, as one of them sees them."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Coroutine
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..engine.elsewhere import Door, WorkersReport
from ..engine.http import Request, unknown_session
from ..engine.server import EngineServer
from ..engine.transports.poll_request import PollRequest
from . import websockets
from .directory import is_of_this_user, private_directory
from .greeting import CONNECTION, RELAY, WEBSOCKET, Greeting, Left, greet, read_greeting
from .loads import Loads
from .members import NAME_LENGTH, Members
from .relay import Incoming, Outgoing

RELEASE_TIME = 0.5  # seconds that the others have to answer the polls that wait here when this worker stops
LOOK_AGAIN = 0.005  # seconds
TELL_INTERVAL = 0.5  # seconds; a worker that gets a new session tells at once how many it has
# How many sessions more than another a worker may have before the other gets the new ones: at least the first
# number, and a share of its own.
SLACK, SLACK_SHARE = 8, 16


class Workers:
    """The other workers, which have sessions that clients of this one ask for; and what they ask of this one.

    Args:
        engine: The server.
        directory: Where the workers of all servers meet that share a listening socket.
        group: The same in the workers of one server.
        name: The name of this worker, which `make_name` has made.

    Attributes:
        loads: How many sessions each worker has.
        relayed: Requests of clients here that others have answered.
        handed_over: Connections of clients that others have taken.
        taken: Those that this worker has taken from others.
    """

    def __init__(self, engine: EngineServer, directory: Path, group: str, name: str) -> None:
        self.engine = engine
        own = private_directory(directory / blake2b(group.encode(), digest_size=6).hexdigest())
        self.members = Members(own, name)
        self.name = name
        self._door: Door | None = None
        self._leaves = False
        self.relayed = self.handed_over = self.taken = 0
        self.loads = Loads(own, self.name)
        self.incoming: set[Incoming] = set()
        self.websockets: set[Any] = set()  # that clients of others have with sessions here
        self._others: dict[str, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._listen()
        self._timer = self._loop.call_later(TELL_INTERVAL, self._tell_again)

    # Elsewhere

    def use_door(self, door: Door) -> None:
        """Let others hand over connections, for ``door`` to serve."""
        self._door = door
        self.tell()

    def owner(self, sid: str) -> Worker | None:
        """The worker that has made the id of a session; None if that is this one, or is not there."""
        name = sid[:NAME_LENGTH]
        if name == self.name:
            return None
        if name in self._others or name in self.members.others():
            return self.worker(name)
        return None

    def worker(self, name: str) -> Worker:
        """The worker of a name."""
        other = self._others.get(name)
        if other is None:
            other = self._others[name] = Worker(self, name)
        return other

    def lighter(self) -> Worker | None:
        """The worker that should have a new session, if that is not this one."""
        self.tell()
        own = len(self.engine.sessions)
        fewest = sys.maxsize if self._stops else own - SLACK - own // SLACK_SHARE
        found = None
        for name in self.members.others():
            load = self.loads.of(name)
            if load is not None and load.takes and load.sessions < fewest:
                found, fewest = name, load.sessions
        return self.worker(found) if found is not None else None

    @property
    def _stops(self) -> bool:
        return self._leaves or self.engine.stopping

    def tell(self) -> None:
        """Tell the others how many sessions this worker has."""
        takes = self._door is not None and not self._stops
        self.loads.tell(len(self.engine.sessions), takes)

    def _tell_again(self) -> None:
        self.tell()
        self._forget_those_who_left()
        self._listen()
        self._timer = self._loop.call_later(TELL_INTERVAL, self._tell_again)

    def leave(self) -> None:
        """Have the others take what is new, because this worker stops."""
        self._leaves = True
        self.tell()
        if self._door is not None:
            self._door.hand_over_idle()

    async def release(self) -> None:
        """Have the polls answered that wait here for sessions of others."""
        links = [other.link for other in self._others.values() if other.link is not None]
        for link in links:
            link.release()
        end = self._loop.time() + RELEASE_TIME
        while any(map(len, links)) and self._loop.time() < end:  # noqa: ASYNC110 - there are several events
            await asyncio.sleep(LOOK_AGAIN)
        if self._door is not None:
            self._door.hand_over_idle()

    def report(self) -> WorkersReport:
        """What there is of workers, and what this one had others do."""
        loads = {name: self.loads.of(name) for name in sorted(self.members.others())}
        return {
            "name": self.name,
            "sessions": len(self.engine.sessions),
            "others": {name: load.sessions for name, load in loads.items() if load is not None},
            "relayed": self.relayed,
            "handed_over": self.handed_over,
            "taken": self.taken,
        }

    # Other workers

    def stop(self) -> None:
        """Leave the directory, and drop all connections to others."""
        self._loop.remove_reader(self.members.listener.fileno())
        self._timer.cancel()
        self.loads.close()
        self.members.close()
        for other in list(self._others.values()):
            if other.link is not None:
                other.link.abort()
        for incoming in list(self.incoming):
            incoming.close()
        for task in list(self._tasks):
            task.cancel()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine until it ends or this worker stops."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, name: str) -> None:
        """Forget the connection to another worker."""
        self._others.pop(name, None)
        self.loads.forget(name)

    def _forget_those_who_left(self) -> None:
        members = self.members.others()
        self.loads.forget_all_but(members)
        for name in self._others.keys() - members:
            if self._others[name].link is None:
                del self._others[name]

    def _listen(self) -> None:
        self._loop.add_reader(self.members.listener.fileno(), self._accept)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.members.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # this process has too many files open: `_tell_again` tries again
                self.engine.logger.error(
                    "connections of other workers have to wait (%s): raise the limit on open files", error
                )
                self._loop.remove_reader(self.members.listener.fileno())
                return
            connection.setblocking(False)
            if is_of_this_user(connection):
                self.spawn(self._serve(connection))
            else:
                if self.engine.core.log_lines.allow("connections of other users"):
                    self.engine.logger.warning("another user's connection to this worker was closed")
                connection.close()

    async def _serve(self, connection: socket.socket) -> None:
        """Do what another worker wants."""
        try:
            greeting = await read_greeting(connection)
            if greeting.descriptor is None:
                await self._attach(connection, greeting)
            else:
                connection.close()
                await self._adopt(greeting.descriptor, greeting.text)
        except Left:  # as one does that looks who is there
            connection.close()
        except (OSError, ValueError) as error:
            connection.close()
            if self.engine.core.log_lines.allow("connections of other workers"):
                self.engine.logger.warning("a connection of another worker was closed: %s", error)
        except BaseException:
            connection.close()
            raise

    async def _attach(self, connection: socket.socket, greeting: Greeting) -> None:
        core, endpoint = self.engine.core, self.engine.endpoint
        if greeting.wants == RELAY:
            incoming = Incoming(core, endpoint, self.incoming.discard)
            self.incoming.add(incoming)
            await self._loop.connect_accepted_socket(lambda: incoming, connection)
        else:
            await websockets.serve(connection, greeting.text, core, endpoint, self.websockets)

    async def _adopt(self, descriptor: int, request: bytes) -> None:
        """Serve a client that another worker has handed over."""
        try:
            client = socket.socket(fileno=descriptor)
        except OSError:  # it is no socket
            os.close(descriptor)
            raise
        try:
            client.setblocking(False)
            if self._door is None:
                raise ValueError("it has handed over a client, which this worker cannot serve")
            await self._door.adopt(client, request)
        except BaseException as error:
            client.close()
            if isinstance(error, OSError):
                return  # the client has left
            raise
        self.taken += 1
        self.tell()


class Worker:
    """Another worker.

    Args:
        workers: All of them.
        name: Its name.

    Attributes:
        link: The connection over which it is asked to answer polls, if there is one.
    """

    def __init__(self, workers: Workers, name: str) -> None:
        self.name = name
        self.link: Outgoing | None = None
        self._workers = workers

    def answer(self, poll_request: PollRequest, sid: str) -> None:
        """Answer a polling request for one of its sessions.

        Raises:
            HTTPError: It is not there any more.
        """
        if self.link is None:
            self.link = self._open_link()
        self._workers.relayed += 1
        self.link.answer(poll_request, sid)

    def _open_link(self) -> Outgoing:
        try:
            connection = self._connect(RELAY)
        except OSError:
            self._workers.forget(self.name)
            raise unknown_session() from None
        loop = asyncio.get_running_loop()
        link = Outgoing(self._workers.engine.core, lambda: self._workers.forget(self.name))

        async def attach() -> None:
            await loop.connect_accepted_socket(lambda: link, connection)

        self._workers.spawn(attach())
        return link

    def _connect(self, wants: int, text: bytes = b"", descriptor: int | None = None) -> socket.socket:
        connection = self._workers.members.connect(self.name)
        if connection is None:
            raise ConnectionError(f"worker {self.name} is not there")
        try:
            greet(connection, wants, text, descriptor)
        except OSError:
            connection.close()
            raise
        return connection

    def take_connection(self, descriptor: int, request: bytes) -> bool:
        """Take over the connection of a client: see `Owner.take_connection`."""
        load = self._workers.loads.of(self.name)
        if load is None or not load.takes:
            return False
        try:
            self._connect(CONNECTION, request, descriptor).close()
        except OSError:
            return False
        self._workers.handed_over += 1
        return True

    def open_websocket(self, request: Request, sid: str, key: bytes) -> socket.socket:
        """Ask for a WebSocket of one of its sessions: see `Owner.open_websocket`."""
        self._workers.relayed += 1
        return self._connect(WEBSOCKET, websockets.wanted(request, sid, key))
