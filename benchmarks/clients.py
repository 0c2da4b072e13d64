"""The load: thousands of Socket.IO clients over raw sockets and one epoll, in one thread.

One system call to read and a few bytecodes per message, so that a server on a core of its own is the limit
and not this. The frames that clients send are built beforehand.
"""

from __future__ import annotations

import select
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from measure import Outcome

HOST = "127.0.0.1"
MASK = b"\x5a\xa5\x3c\xc3"
READ = 262144
WINDOW = 100  # connections being opened at once: less than the least listen backlog here (128)
PER_ADDRESS = 10_000  # clients: an address has about 28,000 ports, some of which are still closing
BIND_WITHOUT_PORT = 24  # IP_BIND_ADDRESS_NO_PORT of Linux: the port is chosen by connect()
TIMEOUT = 60.0  # seconds without any progress after which a server counts as stuck
HANDSHAKE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"%s\r\n"
)
# The headers that Chromium adds for a page of the same origin.
CHROMIUM = (
    b"Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) "
    b"AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nOrigin: http://127.0.0.1\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
)


class LoadError(Exception):
    """A server did not do what the workload waits for."""


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A client's frame, masked as it has to be."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = (MASK * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return head + MASK + masked


CONNECT = frame(b"40")
PONG = frame(b"3")
CLOSE = frame(b"\x03\xe8", 8)


class Client:
    """One WebSocket. `stage` is what it waits for: the handshake, its namespace, or nothing."""

    __slots__ = ("connected", "expected", "inflate", "sent", "sock", "started", "tail", "upgraded", "wants")

    def __init__(self, sock: socket.socket, started: float) -> None:
        self.sock = sock
        self.started = started
        self.sent = 0.0
        self.tail = b""
        self.upgraded = False
        self.connected = False
        self.wants = 0  # messages that it still waits for
        self.expected = b""  # the bytes of the answer that it had last
        self.inflate: zlib._Decompress | None = None

    def frames(self, data: bytes) -> list[tuple[int, bytes]]:
        """The opcodes and payloads of the frames that are complete with `data`. Pings are answered."""
        if self.tail:
            data = self.tail + data
        found = []
        position, end = 0, len(data)
        while end - position >= 2:
            opcode, size, start = data[position], data[position + 1], position + 2
            if size == 126:
                size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            elif size == 127:
                size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
            if start + size > end:
                break
            payload = data[start : start + size]
            if opcode & 0x40 and self.inflate is not None:
                payload = self.inflate.decompress(payload + b"\x00\x00\xff\xff")
            position = start + size
            opcode &= 15
            if opcode == 9:
                self._answer(frame(payload, 10))
            elif payload == b"2":
                self._answer(PONG)
            else:
                found.append((opcode, payload))
        self.tail = data[position:]
        return found

    def _answer(self, pong: bytes) -> None:
        with suppress(ConnectionError):  # it is leaving
            self.sock.send(pong)


class Swarm:
    """Clients of one server. A workload sets `pending`, starts something, and runs the swarm until 0."""

    def __init__(self, port: int, headers: bytes = b"") -> None:
        self.port = port
        self.pending = 0
        self.latencies: list[float] = []
        self.message = b""  # a broadcast's frame, as the server in question writes it
        self.clients: list[Client] = []
        self.on_readable: Callable[[Client], None] = self._connecting
        self._handshake = HANDSHAKE % headers
        self._by_fd: dict[int, Client] = {}
        self._epoll = select.epoll()

    def __enter__(self) -> Swarm:
        return self

    def __exit__(self, *error: object) -> None:
        for client in self.clients:
            client.sock.close()
        self._epoll.close()

    def run(self, timeout: float = TIMEOUT) -> None:
        """Handle what arrives until nothing is pending.

        Raises:
            LoadError: nobody had what it waits for in `timeout` seconds, whatever else arrived.
        """
        poll, by_fd, clock = self._epoll.poll, self._by_fd, time.monotonic
        pending, deadline = self.pending, clock() + timeout
        while pending > 0:
            events = poll(max(0.0, deadline - clock()), 1024)
            on_readable = self.on_readable
            for fd, _ in events:
                on_readable(by_fd[fd])
            if self.pending < pending:
                deadline = clock() + timeout
            elif clock() > deadline:
                raise LoadError(f"{self.pending} clients waited {timeout:.0f} s in vain")
            pending = self.pending

    def rest(self, seconds: float) -> None:
        """Only answer pings for a while."""
        end = time.monotonic() + seconds
        self.on_readable = self._counting
        while (left := end - time.monotonic()) > 0:
            for fd, _ in self._epoll.poll(left):
                self._counting(self._by_fd[fd])

    # Connecting

    def connect(self, count: int) -> list[float]:
        """Connect clients, each to the namespace ``/``, and return how long each took in seconds."""
        self.on_readable = self._connecting
        self._left = count
        self.latencies = []
        self.pending = count
        for _ in range(min(WINDOW, count)):
            self._open()
        self.run()
        return self.latencies

    def _open(self) -> None:
        self._left -= 1
        started = time.perf_counter()
        sock = socket.socket()
        if block := len(self.clients) // PER_ADDRESS:
            sock.setsockopt(socket.IPPROTO_IP, BIND_WITHOUT_PORT, 1)
            sock.bind((f"127.0.0.{1 + block}", 0))
        sock.connect((HOST, self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.add(Client(sock, started))
        sock.send(self._handshake)

    def add(self, client: Client) -> None:
        self.clients.append(client)
        self._by_fd[client.sock.fileno()] = client
        self._epoll.register(client.sock, select.EPOLLIN)

    def _connecting(self, client: Client) -> None:
        data = client.sock.recv(READ)
        if not data:
            raise LoadError(f"the server closed a connection that was being opened: {client.tail[:300]!r}")
        if not client.upgraded:
            head, separator, data = (client.tail + data).partition(b"\r\n\r\n")
            if not separator:
                client.tail = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise LoadError(f"the server refused a WebSocket: {head[:300]!r}")
            if b"permessage-deflate" in head:
                client.inflate = zlib.decompressobj(-15)
            client.upgraded = True
            client.tail = b""
        for _, payload in client.frames(data):
            if payload[:1] == b"0":
                client.sock.send(self._greeting(client))
            else:
                self._greeted(client, payload)

    def _greeting(self, client: Client) -> bytes:
        return CONNECT

    def _greeted(self, client: Client, payload: bytes) -> None:
        """Take a packet that comes after the greeting."""
        if payload[:2] == b"40":
            self._connected(client)

    def _connected(self, client: Client) -> None:
        client.connected = True
        self.latencies.append(time.perf_counter() - client.started)
        self.pending -= 1
        if self._left:
            self._open()

    # Leaving

    def leave(self, clients: list[Client]) -> list[float]:
        """Close clients as a browser does, and return how long each took in seconds."""
        self.on_readable = self._leaving
        self.latencies = []
        self.pending = len(clients)
        for client in clients:
            client.connected = False
            client.started = time.perf_counter()
            try:
                client.sock.send(CLOSE)
            except ConnectionError as error:
                raise LoadError(f"the server had already closed a connection: {error}")
        self.run()
        gone = {id(client) for client in clients}
        self.clients = [client for client in self.clients if id(client) not in gone]
        return self.latencies

    def _leaving(self, client: Client) -> None:
        try:
            data = client.sock.recv(READ)
        except ConnectionError:
            data = b""
        if client.connected:
            if not data:
                raise LoadError("the server closed a connection")
            client.frames(data)
        elif not data or any(opcode == 8 for opcode, _ in client.frames(data)):
            self.latencies.append(time.perf_counter() - client.started)
            self.pending -= 1
            del self._by_fd[client.sock.fileno()]
            self._epoll.unregister(client.sock)
            client.sock.close()

    # Broadcasts

    def broadcast(self, sender: Client, packet: bytes, recipients: list[Client], count: int) -> None:
        """Send an event for which each recipient gets `count` messages, and wait for them all."""
        for client in recipients:
            client.wants = count
        self.on_readable = self._counting
        self.pending = len(recipients)
        self._started = time.perf_counter()
        sender.sock.send(packet)
        self.run()

    def expect(self, clients: list[Client], count: int) -> None:
        """Wait for messages that somebody else causes."""
        for client in clients:
            client.wants = count
        self.on_readable = self._counting
        self.pending = len(clients)
        self._started = time.perf_counter()

    def _counting(self, client: Client) -> None:
        data = client.sock.recv(READ)
        if data == self.message and not client.tail:
            client.wants -= 1
        elif not data:
            raise LoadError("the server closed a connection")
        else:
            count = data.count(self.message) if self.message and not client.tail else 0
            if count and count * len(self.message) == len(data):
                client.wants -= count
            else:
                client.wants -= self._count_frames(client, data)
        if client.wants == 0:
            client.wants = -1
            self.latencies.append(time.perf_counter() - self._started)
            self.pending -= 1

    def _count_frames(self, client: Client, data: bytes) -> int:
        count = 0
        for _, payload in client.frames(data):
            if payload.startswith(b'42["msg"'):
                count += 1
                if not self.message and client.inflate is None:
                    size = len(payload)
                    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
                    self.message = head + payload
        return count

    # Closed loops, one per client

    def ask(self, clients: list[Client], packets: list[bytes], answer: bytes, seconds: float) -> Outcome:
        """Each client sends an event, waits for its answer and sends the next, for a while.

        Args:
            clients: The clients that ask.
            packets: The frames of one event: the second is a binary attachment.
            answer: What the answer's packet begins with. With an attachment, that is awaited.
            seconds: How long to go on.
        """
        outcome = Outcome()
        event = b"".join(packets)
        binary = len(packets) > 1
        end = time.perf_counter() + seconds
        latencies = outcome.latencies
        clock = time.perf_counter

        def answered(client: Client) -> None:
            data = client.sock.recv(READ)
            if data != client.expected or client.tail:
                if not data:
                    raise LoadError("the server closed a connection")
                whole = not client.tail
                complete = False
                for opcode, payload in client.frames(data):
                    if (opcode == 2) if binary else payload.startswith(answer):
                        complete = True
                    elif payload.startswith(b"44"):
                        raise LoadError(f"the server refused an event: {payload[:200]!r}")
                if not complete:
                    return
                client.expected = data if whole and not client.tail else b""
            now = clock()
            latencies.append(now - client.sent)
            if now < end:
                client.sent = now
                client.sock.send(event)
            else:
                self.pending -= 1

        self.on_readable = answered
        self.pending = len(clients)
        for client in clients:
            client.expected = b""
            client.sent = clock()
            client.sock.send(event)
        self.run()
        outcome.operations = len(latencies)
        return outcome

    def acknowledged(self, clients: list[Client], packets: list[bytes]) -> None:
        """Each client sends one event with acknowledgement number 1, and gets it."""
        self.on_readable = self._acknowledged
        self.pending = len(clients)
        for client, packet in zip(clients, packets, strict=True):
            client.sock.send(packet)
        self.run()

    def _acknowledged(self, client: Client) -> None:
        for _, payload in client.frames(client.sock.recv(READ)):
            if payload.startswith(b"431"):
                self.pending -= 1

    def in_rooms(self, rooms: list[list[Client]], packets: list[bytes], seconds: float) -> Outcome:
        """In each room, one client sends an event and all wait for the message, for a while."""
        outcome = Outcome()
        clock = time.perf_counter
        end = clock() + seconds
        room_of = {id(client): room for room, members in enumerate(rooms) for client in members}
        waiting = [0] * len(rooms)
        started = [0.0] * len(rooms)

        def start(room: int) -> None:
            waiting[room] = len(rooms[room])
            for client in rooms[room]:
                client.wants = 1
            started[room] = clock()
            rooms[room][0].sock.send(packets[room])

        def got(client: Client) -> None:
            data = client.sock.recv(READ)
            if data == self.message and not client.tail:
                client.wants -= 1
            elif not data:
                raise LoadError("the server closed a connection")
            else:
                client.wants -= self._count_frames(client, data)
            if client.wants == 0:
                client.wants = -1
                room = room_of[id(client)]
                outcome.latencies.append(clock() - started[room])
                waiting[room] -= 1
                if not waiting[room]:
                    if clock() < end:
                        start(room)
                    else:
                        self.pending -= 1

        self.on_readable = got
        self.pending = len(rooms)
        for room in range(len(rooms)):
            start(room)
        self.run()
        outcome.operations = len(outcome.latencies)
        return outcome


@contextmanager
def looking_on(port: int) -> Iterator[None]:
    """A browser with the Admin UI, which the server reports to."""
    with socket.create_connection((HOST, port), timeout=TIMEOUT) as sock:
        received = b""
        for send, until in ((HANDSHAKE % b"", b'"sid"'), (frame(b"40/admin,"), b'["config"')):
            sock.sendall(send)
            while until not in received:
                data = sock.recv(READ)
                if not data:
                    raise LoadError(f"the server refused the Admin UI: {received[-300:]!r}")
                received += data
        yield
