"""ZeroMQ, through the proxy process of python-socketio's ZmqManager: what it PULLs, it PUBlishes."""

from __future__ import annotations

import asyncio
import json as stdlib_json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import orjson

from .driver import AT_ONCE, KEEP_MESSAGES, SILENCE, Driver, needed

PROBE_AGAIN = 0.05  # seconds, while connecting
PUBLISHED_PROBE_AGAIN = 1.0  # seconds; well below `reconnecting.PUBLISH_TIMEOUT`
LISTENERS_RETURN = 0.5  # seconds that a reconnected publisher gives listeners to reconnect


class Envelope(msgspec.Struct):
    """What python-socketio's ZmqManager sends."""

    type: str = ""
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


_decode = msgspec.json.Decoder(Envelope).decode


def _decode_slowly(message: bytes) -> Envelope:
    """For what only the standard library reads, as in `wire.decode`, which decodes the data."""
    fields = stdlib_json.loads(message)
    if isinstance(fields, dict) and "data" in fields:
        fields["data"] = msgspec.Raw(stdlib_json.dumps(fields["data"]).encode())
    return msgspec.convert(fields, Envelope)


class ZmqDriver(Driver):
    """Pushes to, and subscribes to, a proxy, which all channels share.

    ZeroMQ acknowledges nothing, so each connection pushes probes, small messages to which it subscribes. When
    a probe comes back, what was pushed before it has passed the proxy. A process misses what the proxy
    publishes while the process is disconnected, or is behind by more than the proxy keeps for it: between
    half of its ``sndhwm`` and all of it (1,000 by default), as ZeroMQ frees it by halves.

    Args:
        url: ``zmq+tcp://host:sink+source``, the ports where the proxy pulls and where it publishes.
    """

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        with needed("zmq", "zmq+tcp"):
            import zmq
        self._zmq: Any = zmq
        match = re.fullmatch(r"zmq\+(tcp://[^/@+]+):([0-9]+)\+([0-9]+)/?", url)
        if match is None or not all(0 < int(port) < 65536 for port in match.groups()[1:]):
            raise ValueError("bad ZeroMQ URL: it has to be zmq+tcp://host:sinkport+sourceport")
        host, sink, source = match.groups()
        self._sink_address, self._source_address = f"{host}:{sink}", f"{host}:{source}"
        self._start = b'{"type":"message","channel":%s,"data":' % orjson.dumps(channel)
        self._probe_start = b'{"type":"probe","sender":"%s","number":' % uuid.uuid4().hex.encode()
        self._probes = 0
        self._context: Any = None
        self._sink: Any = None
        self._source: Any = None
        self._watched: dict[Any, Callable[[], None]] = {}  # by socket, what handles its events
        self._watcher: Any = None
        self._wake = asyncio.Event()
        self._lost = False
        self._was_connected = False
        self._first: list[bytes] = []

    async def connect(self, *, subscribe: bool) -> None:
        zmq = self._zmq
        self._wake, self._lost = asyncio.Event(), False
        self._watcher = _watcher_of(asyncio.get_running_loop())
        self._context = zmq.Context()
        sink = self._sink = self._context.socket(zmq.PUSH)
        sink.immediate = True  # sending fails while there is no peer
        sink.sndhwm = 0  # no limit of its own, as the size of a batch has one
        source = self._source = self._context.socket(zmq.SUB)
        source.rcvhwm = KEEP_MESSAGES  # the proxy has a limit of its own
        source.subscribe(b"" if subscribe else self._probe_start)
        # Not zmq.asyncio, which needs a future and several callbacks for each message.
        self._watch(source, self._on_message)
        for socket in (sink, source):
            self._watch(socket.get_monitor_socket(zmq.EVENT_DISCONNECTED), self._on_loss)
        sink.connect(self._sink_address)
        source.connect(self._source_address)
        self._first = await self._probe_until_answered()
        if not subscribe and self._was_connected:
            await asyncio.sleep(LISTENERS_RETURN)
        self._was_connected = True

    async def _probe_until_answered(self) -> list[bytes]:
        """Wait until what is pushed comes back, and return what comes with it."""
        probes: set[bytes] = set()  # the answer to an early one may come after the next was pushed
        while True:
            try:
                probes.add(self._push_probe())
            except ConnectionError:  # not connected yet
                await asyncio.sleep(PROBE_AGAIN)
                continue
            if await self._wait(PROBE_AGAIN) and not probes.isdisjoint(received := self._receive()):
                return received

    def _push_probe(self) -> bytes:
        self._probes += 1
        probe = b"%s%d}" % (self._probe_start, self._probes)
        self._push(probe)
        return probe

    def _push(self, message: bytes) -> None:
        try:
            self._sink.send(message, self._zmq.NOBLOCK)
        except self._zmq.Again:
            raise ConnectionError("the ZeroMQ proxy is away") from None

    def _watch(self, socket: Any, on_readable: Callable[[], None]) -> None:
        def on_event() -> None:  # the descriptor wakes us once, and again only after `events` was read
            if socket.events & self._zmq.POLLIN:
                on_readable()

        self._watcher.add_reader(socket.fd, on_event)
        on_event()
        self._watched[socket] = on_event

    def _on_message(self) -> None:
        self._wake.set()

    def _on_loss(self) -> None:
        self._lost = True
        self._wake.set()

    async def _wait(self, seconds: float) -> bool:
        """Wait until something has arrived, and return whether it has.

        Raises:
            ConnectionError: The proxy ended a connection.
        """
        self._wake.clear()
        if not self._lost and not self._source.events & self._zmq.POLLIN:
            timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()
        arrived = bool(self._source.events & self._zmq.POLLIN)
        if not arrived:  # a lost connection may not be noticed yet, and ZeroMQ itself reconnects
            for look in self._watched.values():
                look()
        if self._lost:
            raise ConnectionError("the ZeroMQ proxy ended the connection")
        return arrived

    def _receive(self) -> list[bytes]:
        """What has arrived."""
        received: list[bytes] = []
        try:
            while len(received) < AT_ONCE:
                received.append(self._source.recv(self._zmq.NOBLOCK))
        except self._zmq.Again:
            pass
        return received

    async def publish(self, messages: Sequence[bytes]) -> None:
        if self._lost:  # since the last call; what is pushed now would be pushed again later
            raise ConnectionError("the ZeroMQ proxy was away")
        for message in messages:
            self._push(self._start + message + b"}")
        probes = {self._push_probe()}
        while True:
            if not await self._wait(PUBLISHED_PROBE_AGAIN):  # the proxy is slow, or dropped the probe
                probes.add(self._push_probe())
            elif not probes.isdisjoint(self._receive()):
                return

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        received = self._first
        while True:
            yield self._unwrap(received)
            if not await self._wait(SILENCE):
                self._push_probe()
                if not await self._wait(SILENCE):
                    raise ConnectionError("the ZeroMQ proxy is silent")
            received = self._receive()

    def _unwrap(self, received: list[bytes]) -> list[bytes]:
        messages = []
        for message in received:
            if message.startswith(self._start):
                messages.append(message[len(self._start) : -1])
                continue
            try:
                envelope = _decode(message)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                try:
                    envelope = _decode_slowly(message)
                except (msgspec.MsgspecError, ValueError, RecursionError):
                    messages.append(message)  # the manager logs that it cannot be decoded
                    continue
            if envelope.type == "message" and envelope.channel == self.channel:
                messages.append(bytes(envelope.data))
        return messages

    async def close(self) -> None:
        for socket in self._watched:
            self._watcher.remove_reader(socket.fd)
        self._watched.clear()
        context, self._context = self._context, None
        if context is not None:
            if self._watcher is not asyncio.get_running_loop():
                self._watcher.close()
            context.destroy(linger=0)


def _watcher_of(loop: asyncio.AbstractEventLoop) -> Any:
    """What watches descriptors: the event loop, or a thread if the loop cannot, as asyncio's on Windows.

    Raises:
        ImportError: The thread's package is not installed.
    """
    if getattr(type(loop), "add_reader", None) is not asyncio.AbstractEventLoop.add_reader:
        return loop
    with needed("zmq", "zmq+tcp"):
        from tornado.platform.asyncio import SelectorThread
    return SelectorThread(loop)
