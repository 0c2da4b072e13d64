"""A connection to RabbitMQ: pamqp knows the methods of AMQP, messages are packed and unpacked here.

aio-pika and aiormq take a hundred times as long for a message, with tasks, queues and locks for each.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from .driver import LoginRefused, MessageRefused, require

HEARTBEAT = 5  # seconds, unless the URL says otherwise; a broker is silent after twice as many
GOODBYE = 0.5  # seconds that the broker has to end a connection in an orderly way
CHANNEL = 1

METHOD, HEADER, BODY = 1, 2, 3  # types of frames
FRAME = struct.Struct(">BHI")  # type, channel, size of the payload; after which comes FRAME_END
FRAME_END = b"\xce"
FRAME_OVERHEAD = 8
HEARTBEAT_FRAME = b"\x08\0\0\0\0\0\0\xce"
DELIVER, ACK, NACK = b"\0\x3c\0\x3c", b"\0\x3c\0\x50", b"\0\x3c\0\x78"
ACKNOWLEDGE = struct.Struct(">BHI4sQ?c")


class Address(NamedTuple):
    """What a URL says."""

    host: str
    port: int
    user: str
    password: str
    vhost: str
    heartbeat: int
    name: str
    tls: ssl.SSLContext | None


class Delivery(NamedTuple):
    """A message, and the number to acknowledge it with."""

    number: int
    body: bytes


def parse(url: str) -> Address:
    """Take a URL apart.

    Args:
        url: ``amqp://user:password@host:port/vhost``, or ``amqps://`` with aio-pika's options ``cafile``,
            ``capath``, ``cadata``, ``certfile``, ``keyfile`` and ``no_verify_ssl``; both with ``heartbeat``
            in seconds (0: none) and ``name``.

    Raises:
        ValueError: It is malformed, or names certificates that cannot be loaded.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        tls = _tls(options) if parts.scheme == "amqps" else None
        heartbeat = int(options.get("heartbeat", HEARTBEAT))
        if not 0 <= heartbeat < 65536:
            raise ValueError("heartbeat has to be between 0 and 65535 seconds")
        return Address(
            host=parts.hostname or "localhost",
            port=parts.port or (5672 if tls is None else 5671),
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            vhost=unquote(parts.path[1:]) or "/",
            heartbeat=heartbeat,
            name=options.get("name", "asyncsock"),
            tls=tls,
        )
    except (ValueError, OSError) as error:
        raise ValueError(f"bad RabbitMQ URL: {error}") from None


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    data = options.get("cadata")
    context = ssl.create_default_context(
        cafile=options.get("cafile"),
        capath=options.get("capath"),
        cadata=base64.b64decode(data) if data else None,
    )
    if "certfile" in options:
        context.load_cert_chain(options["certfile"], options.get("keyfile"))
    if options.get("no_verify_ssl", "0") != "0":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class RabbitMQConnection(asyncio.Protocol):
    """One connection with one channel.

    Args:
        address: The broker.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._frames = require("pamqp.frame", "rabbitmq", "amqp")
        self._commands = require("pamqp.commands", "rabbitmq", "amqp")
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._lost: Exception | None = None  # why the connection cannot be used any more
        self._closed = self._loop.create_future()
        self._waiting: asyncio.Future[Any] | None = None  # for what _wake has
        self._replies: list[Any] = []
        self._deliveries: list[Delivery] = []
        self._unconfirmed: set[int] = set()
        self._packed: dict[str, tuple[bytes, bytes]] = {}
        self._refused: MessageRefused | None = None
        self._published = 0
        self._rest = b""
        self._number = self._size = 0  # of the message that is being received
        self._body: list[bytes] = []
        self._heard = 0.0
        self._beat: asyncio.TimerHandle | None = None
        self._frame_max = 131072

    # Connecting

    async def open(self) -> None:
        """Connect, log in and open the channel.

        Raises:
            LoginRefused: The user, the virtual host or the broker's certificate is not accepted.
        """
        to, commands = self._address, self._commands
        try:
            await self._loop.create_connection(
                lambda: self, to.host, to.port, ssl=to.tls, server_hostname=to.host if to.tls else None
            )
        except ssl.SSLCertVerificationError as error:
            raise LoginRefused(f"RabbitMQ's certificate is not trusted: {error}") from None
        self._send(b"AMQP\0\0\x09\x01")
        await self._reply(commands.Connection.Start)
        able = ("authentication_failure_close", "basic.nack", "consumer_cancel_notify", "publisher_confirms")
        properties = {
            "product": "asyncsock",
            "connection_name": to.name,
            "capabilities": dict.fromkeys(able, True),
        }
        login = f"\0{to.user}\0{to.password}"
        self._send_method(commands.Connection.StartOk(client_properties=properties, response=login), 0)
        tune = await self._reply(commands.Connection.Tune)
        self._frame_max = min(tune.frame_max or self._frame_max, self._frame_max)
        self._send_method(commands.Connection.TuneOk(tune.channel_max, self._frame_max, to.heartbeat), 0)
        await self.call(commands.Connection.Open(to.vhost), channel=0)
        if to.heartbeat:
            self._keep_alive()
        await self.call(commands.Channel.Open())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none
        self._heard = self._loop.time()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ConnectionError(f"RabbitMQ closed the connection: {error or 'end of data'}"))
        self._end()

    def _end(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)

    def _keep_alive(self) -> None:
        heartbeat = self._address.heartbeat
        if self._loop.time() - self._heard > 2 * heartbeat:
            self._fail(ConnectionError(f"RabbitMQ was silent for {2 * heartbeat} s"))
        elif self._lost is None:
            self._send(HEARTBEAT_FRAME)
            self._beat = self._loop.call_later(heartbeat / 2, self._keep_alive)

    async def close(self) -> None:
        """Disconnect."""
        transport = self._transport
        if self._beat is not None:
            self._beat.cancel()
        if transport is None:
            return
        try:
            if self._lost is None:
                self._send_method(self._commands.Connection.Close(200, "", 0, 0), 0)
                await asyncio.wait([self._closed], timeout=GOODBYE)
        finally:
            self._fail(ConnectionError("the connection was closed"))

    def _fail(self, error: Exception) -> None:
        if self._lost is None:
            self._lost = error
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    # Methods

    async def call(self, method: Any, channel: int = CHANNEL) -> Any:
        """Send a method of pamqp's and return the reply.

        Raises:
            LoginRefused: The user may not do that.
            ConnectionError: The broker closed the connection, or refused.
        """
        self._send_method(method, channel)
        return await self._reply()

    def send(self, method: Any) -> None:
        """Send a method that has no reply."""
        self._send_method(method, CHANNEL)

    async def _reply(self, expected: type | None = None) -> Any:
        while not self._replies:
            await self._wait()
        reply = self._replies.pop(0)
        if expected is not None and not isinstance(reply, expected):
            raise ConnectionError(f"unexpected answer from RabbitMQ: {reply.name}")
        return reply

    async def _wait(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._waiting = self._loop.create_future()
        await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _send_method(self, method: Any, channel: int) -> None:
        self._send(self._frames.marshal(method, channel))

    def _send(self, data: bytes) -> None:
        if self._lost is not None:
            raise self._lost
        assert self._transport is not None
        self._transport.write(data)

    # Messages

    async def publish(self, exchange: str, messages: Sequence[bytes]) -> None:
        """Publish persistent messages, and return when the broker has confirmed all of them.

        Raises:
            MessageRefused: One is larger than the broker allows.
            ConnectionError: The connection was lost before.
        """
        if exchange not in self._packed:
            self._packed[exchange] = self._pack(exchange)
        before_size, after_size = self._packed[exchange]
        room = self._frame_max - FRAME_OVERHEAD
        frames: list[bytes] = []
        for message in messages:
            size = len(message)
            frames += (before_size, size.to_bytes(8, "big"), after_size)
            for start in range(0, size, room):
                part = message[start : start + room]
                frames += (FRAME.pack(BODY, CHANNEL, len(part)), part, FRAME_END)
            self._published += 1
            self._unconfirmed.add(self._published)
        self._send(b"".join(frames))
        while self._unconfirmed:
            if self._refused is not None:
                await self._reopen_channel()
            await self._wait()

    async def _reopen_channel(self) -> None:
        """Go on after the broker closed the channel because of a message."""
        refused, self._refused = self._refused, None
        self._published = 0
        self._unconfirmed = set()
        self._send_method(self._commands.Channel.CloseOk(), CHANNEL)
        await self.call(self._commands.Channel.Open())
        await self.call(self._commands.Confirm.Select())
        assert refused is not None
        raise refused

    def _pack(self, exchange: str) -> tuple[bytes, bytes]:
        """The method and the header of any message, before and after its size."""
        publish = self._frames.marshal(self._commands.Basic.Publish(exchange=exchange), CHANNEL)
        # As Kombu declares the text that it publishes, and therefore reads it.
        properties = self._commands.Basic.Properties(
            content_type="text/plain", content_encoding="utf-8", delivery_mode=2
        )
        content = require("pamqp.header", "rabbitmq", "amqp").ContentHeader(0, 0, properties)
        header = self._frames.marshal(content, CHANNEL)
        size_at = FRAME.size + 4
        return publish + header[:size_at], header[size_at + 8 :]

    async def deliveries(self) -> list[Delivery]:
        """Wait for messages, and return those that arrived together."""
        while not self._deliveries:
            await self._wait()
        deliveries, self._deliveries = self._deliveries, []
        return deliveries

    def acknowledge(self, number: int) -> None:
        """Tell the broker that a delivery, and all before it, were received."""
        self._send(ACKNOWLEDGE.pack(METHOD, CHANNEL, 13, ACK, number, True, FRAME_END))

    # Receiving

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._rest:
            data = self._rest + data
        start, end = 0, len(data)
        unpack = FRAME.unpack_from
        while end - start >= FRAME_OVERHEAD:
            kind, _, size = unpack(data, start)
            after = start + size + FRAME_OVERHEAD
            if after > end:
                break
            try:
                self._receive(kind, data, start + FRAME.size, after - 1)
            except Exception as error:
                self._fail(error)
                return
            start = after
        self._rest = data[start:]
        self._wake()

    def _receive(self, kind: int, data: bytes, start: int, end: int) -> None:
        """Take the frame whose payload is between two places."""
        if kind == BODY:
            self._body.append(data[start:end])
            self._size -= end - start
        elif kind == HEADER:
            self._size = int.from_bytes(data[start + 4 : start + 12], "big")
        elif kind == METHOD:
            name = data[start : start + 4]
            if name == DELIVER:
                number_at = start + 5 + data[start + 4]
                self._number = int.from_bytes(data[number_at : number_at + 8], "big")
            elif name == ACK:
                number = int.from_bytes(data[start + 4 : start + 12], "big")
                self._confirm(number, multiple=bool(data[start + 12] & 1))
            elif name == NACK:
                raise ConnectionError("RabbitMQ could not take a message")
            else:
                self._receive_method(self._frames.unmarshal(data[start - FRAME.size : end + 1])[2])
            return
        else:
            return
        if not self._size:
            self._deliveries.append(Delivery(self._number, b"".join(self._body)))
            self._body.clear()

    def _confirm(self, number: int, multiple: bool) -> None:
        if multiple:
            self._unconfirmed = {later for later in self._unconfirmed if later > number}
        else:
            self._unconfirmed.discard(number)

    def _receive_method(self, method: Any) -> None:
        if method.name in ("Connection.Close", "Channel.Close"):
            text = method.reply_text
            if method.reply_code == 406 and "message size" in text and self._unconfirmed:
                self._refused = MessageRefused(f"RabbitMQ does not take it: {text}")
                return
            # A virtual host that is only down, which has the same number, comes back.
            if method.reply_code == 403 or (method.reply_code == 530 and " is down" not in text):
                raise LoginRefused(f"RabbitMQ refused the login: {text}")
            raise ConnectionError(f"RabbitMQ closed the connection: {text}")
        if method.name == "Basic.Cancel":
            raise ConnectionError("RabbitMQ deleted the queue")
        if method.name == "Connection.CloseOk":
            self._end()
        self._replies.append(method)
