"""One hostile client, in a process of its own: ``python flooder.py PORT FLOOD``.

It connects, prints a line, waits for one, floods the server, and prints how many bytes it has sent. It leaves
when its input ends. It gives way to the client that is measured on the same core (`os.nice`): most of its
time it waits for the server to take more.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from clients import HOST, Swarm, frame
from http_clients import Poller, post

SECONDS = 5.0  # of a flood
BODY = 1_000_000  # bytes of the largest POST that servers take by default
COPIES = 33_000  # of one attachment, as many as one message can name
ATTACHMENT = 300  # bytes of it
DEF_EVENTS = 80
READ = 1 << 20


@dataclass(frozen=True)
class Flood:
    """One thing that a hostile client does.

    Attributes:
        title: What it is, for the table.
        run: Does it, with the server's port: connects, calls what it is given to wait for its turn, and
            floods. It returns how many bytes it has sent, and what to keep until the client leaves.
        event: The event by which the other client asks for its answer.
    """

    title: str
    run: Callable[[int, Callable[[], None]], tuple[int, object]]
    event: str = "echo"


def _pour(sock: socket.socket, frames: bytes, reads: bool) -> int:
    """Send frames over and over until the time is over or the server hangs up; return the bytes sent."""
    waiting = select.poll()
    waiting.register(sock, select.POLLOUT | (select.POLLIN if reads else 0))
    view, position, sent = memoryview(frames), 0, 0
    end = time.perf_counter() + SECONDS
    try:
        while time.perf_counter() < end:
            for _, events in waiting.poll(100):
                if events & select.POLLIN and not sock.recv(READ):
                    return sent
                if events & (select.POLLOUT | select.POLLERR | select.POLLHUP):
                    count = sock.send(view[position:])
                    sent += count
                    position = (position + count) % len(view)
    except OSError:
        pass  # the server has cut it off
    return sent


def _frames(
    *frames: bytes, first: bytes = b"", reads: bool = False
) -> Callable[[int, Callable[[], None]], tuple[int, object]]:
    """A flood of frames over a WebSocket, after a first one."""

    def run(port: int, wait: Callable[[], None]) -> tuple[int, object]:
        swarm = Swarm(port)
        swarm.connect(1)
        sock = swarm.clients[0].sock
        several = b"".join(frames)
        many = several * max(1, READ // len(several))
        wait()
        sock.sendall(first)
        return _pour(sock, many, reads), swarm

    return run


def _polling(port: int) -> tuple[Poller, socket.socket]:
    """A session that polls, and a connection for its POSTs that does not wait for long."""
    poller = Poller(port)
    return poller, socket.create_connection((HOST, port), timeout=SECONDS)


def _send(sock: socket.socket, request: bytes) -> int:
    """Send a request and read what is answered, if the server does so in time; return the bytes sent."""
    try:
        sock.sendall(request)
        sock.recv(READ)
    except OSError:
        pass
    return len(request)


def _body(packet: bytes) -> bytes:
    """As many of a packet as fit into one POST."""
    return b"\x1e".join([packet] * ((BODY + 1) // (len(packet) + 1)))


def _one_post(packet: bytes) -> Callable[[int, Callable[[], None]], tuple[int, object]]:
    """A flood of packets in one POST, whose session then polls once."""

    def run(port: int, wait: Callable[[], None]) -> tuple[int, object]:
        poller, sock = _polling(port)
        request = post(poller.path, _body(packet))
        wait()
        sent = _send(sock, request)
        return sent + _send(poller.gets.sock, poller.get), (poller, sock)

    return run


def _posts(port: int, wait: Callable[[], None]) -> tuple[int, object]:
    """POST after POST, whose events are answered with events that the session never fetches."""
    poller, sock = _polling(port)
    request = post(poller.path, _body(b'42["back"]'))
    wait()
    sent = 0
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        sent += _send(sock, request)
        if sock.fileno() >= 0 and _hung_up(sock):
            sock = socket.create_connection((HOST, port), timeout=SECONDS)
    return sent, (poller, sock)


def _hung_up(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _placeholders(port: int, wait: Callable[[], None]) -> tuple[int, object]:
    """One attachment that an event names many times, for a handler that sends its data back."""
    copies = b",".join([b'{"_placeholder":true,"num":0}'] * COPIES)
    packet = frame(b'451-["back",[%s]]' % copies) + frame(bytes(ATTACHMENT), 2)
    swarm = Swarm(port)
    swarm.connect(1)
    sock = swarm.clients[0].sock
    wait()
    sock.setblocking(True)
    sock.settimeout(SECONDS)
    try:
        sock.sendall(packet)
    except OSError:
        pass
    time.sleep(SECONDS / 2)  # the server works on it
    return len(packet), swarm


def _def_events(port: int, wait: Callable[[], None]) -> tuple[int, object]:
    """Events for a handler that is a function, and blocks its thread for a while."""
    swarm = Swarm(port)
    swarm.connect(1)
    packets = frame(b'42["slow_def"]') * DEF_EVENTS
    wait()
    swarm.clients[0].sock.sendall(packets)
    time.sleep(SECONDS)
    return len(packets), swarm


def _nothing(port: int, wait: Callable[[], None]) -> tuple[int, object]:
    wait()
    time.sleep(SECONDS / 2)
    return 0, None


def _unfinished(whole: bytes) -> bytes:
    """A frame as one of a message that goes on."""
    return bytes((whole[0] & 0x7F,)) + whole[1:]


BEGINNING = _unfinished(frame(b"4"))
EMPTY = _unfinished(frame(b"", 0))
PING = frame(b"x" * 125, 9)
FLOODS = {
    "none": Flood("nobody floods", _nothing),
    "acks-post": Flood("one POST of `430[]` × 166,650", _one_post(b"430[]")),
    "slow-post": Flood('one POST of `42["slow"]` × 90,900, a handler of 30 s', _one_post(b'42["slow"]')),
    "namespaces-post": Flood("one POST of `40/x,` × 166,650", _one_post(b"40/x,")),
    "acks": Flood("WebSocket, 5 s of `430[]`", _frames(frame(b"430[]"))),
    "slow": Flood('WebSocket, 5 s of `42["slow"]`', _frames(frame(b'42["slow"]'))),
    "namespaces": Flood("WebSocket, 5 s of `40/x,`", _frames(frame(b"40/x,"))),
    "unread": Flood("WebSocket, events with acknowledgements, never reads", _frames(frame(b'421["echo",1]'))),
    "fragments": Flood("WebSocket, empty continuation frames", _frames(EMPTY, first=BEGINNING)),
    "pings": Flood("WebSocket, pings of 125 bytes, never reads", _frames(PING)),
    "placeholders": Flood(f"one attachment named {COPIES:,} times, a handler that re-emits", _placeholders),
    "outbox": Flood("polling, each event sent back, never fetched", _posts),
    "def": Flood(f"{DEF_EVENTS} events for a `def` handler of 12 s", _def_events, event="echo_def"),
}


def main() -> None:
    port, name = int(sys.argv[1]), sys.argv[2]
    os.nice(5)

    def wait() -> None:
        print("ready", flush=True)
        sys.stdin.readline()

    sent, kept = FLOODS[name].run(port, wait)
    print(sent, flush=True)
    sys.stdin.read()
    del kept


if __name__ == "__main__":
    main()
