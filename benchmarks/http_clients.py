"""The load over HTTP: Socket.IO clients that poll, and plain requests. One epoll, one thread."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable

from clients import HOST, TIMEOUT, LoadError
from measure import Outcome


class Connection:
    """One kept-alive HTTP connection that has at most one request on its way."""

    __slots__ = ("buffer", "chunked", "closes", "needed", "on_response", "port", "sock", "start", "status")

    def __init__(self, port: int, on_response: Callable[[bytes], None] | None = None) -> None:
        self.port = port
        self.on_response = on_response or _no_response
        self.status = 0
        self.open()

    def open(self) -> None:
        self.buffer = b""
        self.start = self.needed = 0
        self.chunked = self.closes = False
        self.sock = socket.create_connection((HOST, self.port), timeout=TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self) -> bytes | None:
        """The body of the response when it is complete, after at most one system call.

        Raises:
            LoadError: the server closed the connection.
        """
        data = self.sock.recv(262144)
        if not data:
            raise LoadError(f"the server closed a connection in a response: {self.buffer[:200]!r}")
        self.buffer = data = self.buffer + data if self.buffer else data
        if not self.needed:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return None
            self.status = int(data[9:12])
            head = data[:end].lower()
            self.start = self.needed = end + 4
            at = head.find(b"\r\ncontent-length:")
            self.chunked = at < 0 and b"\r\ntransfer-encoding: chunked" in head
            if at >= 0:
                self.needed += int(head[at + 17 :].split(b"\r\n", 1)[0])
            elif not self.chunked:
                raise LoadError(f"a response of unknown length: {head!r}")
            self.closes = b"\r\nconnection: close" in head
        if len(data) < self.needed or (self.chunked and not data.endswith(b"\r\n0\r\n\r\n")):
            return None
        body = _chunks(data[self.start :]) if self.chunked else data[self.start : self.needed]
        self.buffer = b""
        self.needed = 0
        if self.closes:
            self.sock.close()
            self.open()
        return body

    def fetch(self, request: bytes) -> bytes:
        """Send a request and wait for its response."""
        self.sock.sendall(request)
        while (body := self.read()) is None:
            pass
        if self.status != 200:
            raise LoadError(f"the server answered {self.status} {body[:200]!r}")
        return body


def _no_response(body: bytes) -> None:
    raise LoadError(f"a response to nothing: {body!r}")


def _chunks(data: bytes) -> bytes:
    """The body of a complete chunked response."""
    parts = []
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return b"".join(parts)
        parts.append(data[:length])
        data = data[length + 2 :]


def loop(connections: list[Connection], pending: Callable[[], bool]) -> None:
    """Handle responses while `pending` says so."""
    epoll = select.epoll()
    by_fd = {connection.sock.fileno(): connection for connection in connections}
    for fd in by_fd:
        epoll.register(fd, select.EPOLLIN)
    while pending():
        events = epoll.poll(TIMEOUT)
        if not events:
            raise LoadError(f"no response for {TIMEOUT:.0f} s")
        for fd, _ in events:
            connection = by_fd[fd]
            sock = connection.sock
            body = connection.read()
            if connection.sock is not sock:  # the server asked for a new connection
                by_fd[connection.sock.fileno()] = connection
                epoll.register(connection.sock, select.EPOLLIN)
            if body is not None:
                connection.on_response(body)
    epoll.close()


def get(path: str) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n" % path.encode()


def post(path: str, body: bytes) -> bytes:
    return (
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nContent-Type: text/plain;charset=UTF-8\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body)
    )


def requests(
    port: int, connections: int, seconds: float, path: str = "/", text: bytes = b"world", least: int = 0
) -> Outcome:
    """GET a path on some connections, each again as soon as it is answered.

    Args:
        port: The server's.
        connections: How many.
        seconds: How long.
        path: What to get.
        text: What is in an answer.
        least: How many bytes an answer has at least.
    """
    outcome = Outcome()
    request = get(path)
    clock = time.perf_counter
    end = clock() + seconds
    busy = connections

    def start() -> None:
        sent = [0.0]

        def answered(body: bytes) -> None:
            nonlocal busy
            now = clock()
            if connection.status == 200 and text in body and len(body) >= least:
                outcome.latencies.append(now - sent[0])
            else:
                outcome.errors += 1
            if now < end:
                sent[0] = now
                connection.sock.send(request)
            else:
                busy -= 1

        connection = Connection(port, answered)
        opened.append(connection)
        sent[0] = clock()
        connection.sock.send(request)

    opened: list[Connection] = []
    try:
        for _ in range(connections):
            start()
        loop(opened, lambda: busy > 0)
    finally:
        for connection in opened:
            connection.sock.close()
    outcome.operations = len(outcome.latencies)
    if not outcome.operations:
        raise LoadError(f"all {outcome.errors} requests were answered with errors")
    return outcome


class Poller:
    """A Socket.IO client that stays with HTTP long-polling, on two connections as in a browser."""

    def __init__(self, port: int) -> None:
        self.gets = Connection(port, self._polled)
        self.posts = Connection(port, self._posted)
        path = "/socket.io/?EIO=4&transport=polling"
        opened = self.gets.fetch(get(path))
        path += "&sid=" + json.loads(opened[1:])["sid"]
        self.gets.fetch(post(path, b"40"))
        self.get = get(path)
        self.event = b""
        self.close = post(path, b"1")
        if not (connected := self.gets.fetch(self.get)).startswith(b"40"):
            raise LoadError(f"no namespace: {connected!r}")
        self.path = path
        self._acknowledged = self._accepted = self._hanging = False
        self.latencies: list[float] = []
        self.end = 0.0
        self.busy = False

    def ask(self, event: bytes) -> bytes:
        """Send an event, and return what its acknowledgement number 1 has."""
        self.gets.fetch(post(self.path, event))
        return self.gets.fetch(self.get).removeprefix(b"431[").removesuffix(b"]")

    def use(self, gets: Connection, posts: Connection) -> None:
        """Go on over other connections."""
        self.hang_up()
        self.gets, self.posts = gets, posts
        gets.on_response, posts.on_response = self._polled, self._posted

    def begin(self, event: bytes, end: float) -> None:
        """Poll, and send the first event."""
        self.event = post(self.path, event)
        self.end = end
        self.busy = True
        if not self._hanging:
            self._poll()
        self._send()

    def _poll(self) -> None:
        self._hanging = True
        self.gets.sock.send(self.get)

    def _send(self) -> None:
        self._acknowledged = self._accepted = False
        self._sent = time.perf_counter()
        self.posts.sock.send(self.event)

    def _posted(self, body: bytes) -> None:
        self._accepted = True
        self._next()

    def _polled(self, body: bytes) -> None:
        self._hanging = False
        if self.gets.status != 200:
            raise LoadError(f"a poll was answered with {self.gets.status} {body[:200]!r}")
        if b"431[" in body:
            self.latencies.append(time.perf_counter() - self._sent)
            self._acknowledged = True
        if self._acknowledged and time.perf_counter() >= self.end:
            self._next()
            return
        self._poll()
        self._next()

    def _next(self) -> None:
        if self._acknowledged and self._accepted:
            if time.perf_counter() < self.end:
                self._send()
            else:
                self.busy = False

    def leave(self) -> None:
        try:
            self.posts.fetch(self.close)
        except (LoadError, OSError):
            pass  # a server may cut the connection of a session that ends
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connections; the session goes on."""
        self.gets.sock.close()
        self.posts.sock.close()


def polling_acknowledgements(pollers: list[Poller], event: bytes, seconds: float) -> Outcome:
    """Each client sends an event, waits for its acknowledgement and sends the next, for a while."""
    end = time.perf_counter() + seconds
    for poller in pollers:
        poller.latencies = []
        poller.begin(event, end)
    connections = [each for poller in pollers for each in (poller.gets, poller.posts)]
    loop(connections, lambda: any(poller.busy for poller in pollers))
    latencies = [latency for poller in pollers for latency in poller.latencies]
    return Outcome(operations=len(latencies), latencies=latencies)
