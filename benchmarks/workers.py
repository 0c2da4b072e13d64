"""Clients of a group of workers, whose requests come in at their own worker or at the other one."""

from __future__ import annotations

import time

from clients import HANDSHAKE, Client, LoadError, Swarm, frame
from http_clients import Connection, Poller, get, polling_acknowledgements
from measure import Meter, Outcome
from servers import PEERS, Server

EVENT = b'421["echo",{"data":"%s"}]' % (b"x" * 64)
PROBE = frame(b"2probe")
UPGRADE = frame(b"5")
MESSAGES = 200  # in a burst
MOST_TRIES = 1000  # connections, or sessions, until there are enough at both workers


class Group:
    """Two workers, sessions of each, and connections that each has accepted.

    A worker is known by what it answers to ``GET /worker`` and to the event ``worker``.
    """

    def __init__(self, server: Server) -> None:
        self._port = server.port
        self._foreign = PEERS[server.name].foreign
        self._idle: list[tuple[bytes, Connection]] = []

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *error: object) -> None:
        for _, connection in self._idle:
            connection.sock.close()

    def sessions(self, count: int) -> list[tuple[bytes, Poller]]:
        """Sessions that poll, half of them at each worker, which is named with each."""
        found: list[tuple[bytes, Poller]] = []
        for _ in range(MOST_TRIES):
            poller = Poller(self._port)
            owner = poller.ask(b'421["worker"]')
            if 2 * sum(worker == owner for worker, _ in found) >= count:
                poller.leave()
                continue
            found.append((owner, poller))
            if len(found) == count:
                return found
        raise LoadError("one worker gets all the sessions")

    def connection(self, owner: bytes) -> Connection:
        """A new connection for the requests of a session that is at a worker."""
        for number, (worker, connection) in enumerate(self._idle):
            if (worker != owner) == self._foreign:
                del self._idle[number]
                return connection
        for _ in range(MOST_TRIES):
            connection = Connection(self._port)
            worker = connection.fetch(get("/worker"))
            if (worker != owner) == self._foreign:
                return connection
            self._idle.append((worker, connection))
        raise LoadError("one worker gets all the connections")

    def pollers(self, count: int) -> list[Poller]:
        """Sessions with connections for them, which are as they come where the server does not care."""
        if self._foreign is None:
            return [Poller(self._port) for _ in range(count)]
        pollers = []
        for owner, poller in self.sessions(count):
            poller.use(self.connection(owner), self.connection(owner))
            pollers.append(poller)
        return pollers

    def upgrades(self, count: int) -> list[tuple[Connection, bytes]]:
        """Connections on each of which a session may move to a WebSocket, and the requests for that."""
        found = []
        for owner, poller in self.sessions(count):
            query = poller.path.replace("polling", "websocket").encode()
            request = (HANDSHAKE % b"").replace(b"/socket.io/?EIO=4&transport=websocket", query)
            poller.hang_up()
            found.append((self.connection(owner), request))
        return found


def _upgrade(swarm: Swarm, connection: Connection, request: bytes) -> None:
    """Move a session to a WebSocket, as clients do, and make that one of the swarm."""
    client = Client(connection.sock, time.perf_counter())
    client.upgraded = client.connected = True
    swarm.add(client)
    connection.sock.sendall(request)
    head, rest = b"", b""
    while not rest.startswith(b"\r\n\r\n"):
        if not (data := connection.sock.recv(4096)):
            raise LoadError(f"the server closed a connection that was being upgraded: {head!r}")
        head, separator, rest = (head + data).partition(b"\r\n\r\n")
        rest = separator + rest
    if not head.startswith(b"HTTP/1.1 101"):
        raise LoadError(f"the server refused a WebSocket: {head!r} {rest!r}")
    connection.sock.sendall(PROBE)
    while (1, b"3probe") not in client.frames(connection.sock.recv(4096)):
        pass
    connection.sock.sendall(UPGRADE)
    connection.sock.setblocking(False)


def polling(server: Server, size: int, seconds: float) -> Outcome:
    """Closed loop: a POST with an event, and the GET that brings its acknowledgement."""
    with Group(server) as group:
        pollers = group.pollers(size)
        polling_acknowledgements(pollers, EVENT, seconds / 5)
        with Meter(server.pid) as outcome:
            done = polling_acknowledgements(pollers, EVENT, seconds)
        outcome.operations, outcome.latencies = done.operations, done.latencies
        for poller in pollers:
            poller.leave()
    return outcome


def upgrade(server: Server, size: int, seconds: float) -> Outcome:
    """Sessions that poll move to WebSockets, one after the other."""
    with Group(server) as group, Swarm(server.port) as swarm:
        upgrades = group.upgrades(size)
        with Meter(server.pid, settle_after=True) as outcome:
            for connection, request in upgrades:
                started = time.perf_counter()
                _upgrade(swarm, connection, request)
                outcome.latencies.append(time.perf_counter() - started)
        outcome.operations = size
        swarm.leave(swarm.clients)
    return outcome


def upgraded(server: Server, size: int, seconds: float) -> Outcome:
    """Closed loop: an event and its acknowledgement, over WebSockets to which sessions have moved."""
    with Group(server) as group, Swarm(server.port) as swarm:
        for connection, request in group.upgrades(size):
            _upgrade(swarm, connection, request)
        event = [frame(EVENT)]
        swarm.ask(swarm.clients, event, b"431[", seconds / 5)
        with Meter(server.pid) as outcome:
            done = swarm.ask(swarm.clients, event, b"431[", seconds)
        outcome.operations, outcome.latencies = done.operations, done.latencies
        swarm.leave(swarm.clients)
    return outcome


def messages(server: Server, size: int, seconds: float) -> Outcome:
    """Bursts of broadcasts from one worker to a client of its own and one of the other worker."""
    with Group(server) as group, Swarm(server.port) as swarm:
        for connection, request in group.upgrades(size):
            _upgrade(swarm, connection, request)
        swarm.rest(0.5)  # until each worker hears the other
        burst = frame(b'42["burst",%d]' % MESSAGES)
        swarm.broadcast(swarm.clients[0], burst, swarm.clients, MESSAGES)
        swarm.latencies = []
        bursts = 0
        with Meter(server.pid) as outcome:
            end = time.perf_counter() + seconds
            while bursts < 1 or time.perf_counter() < end:
                swarm.broadcast(swarm.clients[0], burst, swarm.clients, MESSAGES)
                bursts += 1
        outcome.operations = bursts * MESSAGES
        outcome.latencies = swarm.latencies
        swarm.leave(swarm.clients)
    return outcome
