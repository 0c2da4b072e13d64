"""NATS. With JetStream, a process that was disconnected continues to read where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import orjson

from .driver import (
    INBOXES_RETURN,
    KEEP_MESSAGES,
    SILENCE,
    Driver,
    Letter,
    LoginRefused,
    MessageRefused,
    host_and_port,
    needed,
)

KEEP_BYTES, KEEP_SECONDS = 256 * 1024 * 1024, 3600.0  # that a process can be behind and lose nothing
PORT = 4222
NO_JETSTREAM = (None, 10039, 10076)  # error codes: nobody answers, not for this account, not at all


class NatsDriver(Driver):
    """Publishes to, or subscribes to, the subject that is named as the channel.

    A message of NATS holds one or more of ours, one per line: a batch is accepted as a whole or not at all.
    If the server has JetStream, a stream keeps them. An existing stream of the subject is used as it is.
    An inbox is a subject below that of the channel, and no stream keeps what is sent there.

    Args:
        url: ``nats://`` or ``tls://`` with ``host:port``, several hosts separated by commas, and before them
            ``user:password@`` or ``token@`` if the server asks for it.
    """

    has_inboxes = True
    replays = True

    @property
    def resumes(self) -> bool:  # type: ignore[override]
        return self._jetstream is not None

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        parts = urlsplit(url)
        with needed("nats", parts.scheme):
            import nats.js.errors
        self._nats: Any = nats
        self._errors: Any = nats.js.errors
        if parts.path.strip("/"):
            raise ValueError("bad NATS URL: it has to be nats://host:port, or nats://host:port,host:port")
        login, _, hosts = parts.netloc.rpartition("@")
        try:
            self._servers = [f"{parts.scheme}://{host_and_port(host, PORT)}" for host in hosts.split(",")]
        except ValueError as error:
            raise ValueError(f"bad NATS URL: {error}") from None
        self._login = _login(login)
        # Of characters that both subjects and streams may have; servers mishandle % in the names of streams.
        self._subject = quote(channel, safe="").replace(".", "%2E").replace("%", "=")
        self._client: Any = None
        self._jetstream: Any = None
        self._failure: Exception | None = None
        self._arrived: list[Any] = []
        self._wake = asyncio.Event()
        self._lost: asyncio.Future[None]
        self._stream_created: str | None = None  # when: a later stream may have the same name
        self._position = 0  # in the stream, of the last message received
        self._was_connected = False
        self._letters_from = 0.0  # on the loop's clock

    async def connect(self, *, subscribe: bool) -> None:
        self._reset()
        client = self._client = self._nats.NATS()
        self._servers.append(self._servers.pop(0))
        try:
            await client.connect(
                self._servers[-1],
                **self._login,
                allow_reconnect=False,
                max_reconnect_attempts=1,  # also counts attempts to connect; fewer means no limit
                reconnect_time_wait=0.05,
                connect_timeout=SILENCE,
                ping_interval=SILENCE,
                max_outstanding_pings=1,
                error_cb=partial(self._fail, client),
                closed_cb=partial(self._fail, client, ConnectionError("the connection to NATS is lost")),
            )
        except self._nats.errors.NoServersError as error:
            raise self._failure or error from None
        except self._nats.errors.Error as error:
            if "authorization" in str(error).lower():
                raise LoginRefused(f"NATS refused the login: {error}") from None
            raise
        self._reset()  # the first of two attempts may have failed
        reading: asyncio.Task[None] | None = getattr(client, "_reading_task", None)
        if reading is not None:  # nobody else looks at its error, which asyncio would log with a traceback
            reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        stream = await self._find_stream()
        self._jetstream = client.jetstream(timeout=SILENCE) if stream is not None else None
        if subscribe:
            await self._listen(stream)
        elif self._was_connected:
            self._letters_from = asyncio.get_running_loop().time() + INBOXES_RETURN
        self._was_connected = True

    async def _listen(self, stream: dict[str, Any] | None) -> None:
        if self.inbox is not None:
            await self._client.subscribe(self._address(self.inbox), cb=self._receive)
        if stream is not None:
            await self._read_on(stream)
        else:
            await self._client.subscribe(self._subject, cb=self._receive)
        await self._client.flush(SILENCE)

    def _address(self, inbox: str) -> str:
        return f"{self._subject}.{inbox}"

    def _reset(self) -> None:
        self._failure, self._arrived, self._wake = None, [], asyncio.Event()
        self._lost = asyncio.get_running_loop().create_future()

    async def _find_stream(self) -> dict[str, Any] | None:
        """The stream that keeps the subject, made if there is none; None where there is no JetStream."""
        jetstream = self._client.jetstream(timeout=SILENCE)
        try:
            try:
                name = await jetstream.find_stream_name_by_subject(self._subject)
            except self._errors.NotFoundError:
                name = self._subject
                await jetstream.add_stream(
                    name=name,
                    subjects=[self._subject],
                    storage="file",
                    max_msgs=KEEP_MESSAGES,  # each of which is a batch of ours
                    max_bytes=KEEP_BYTES,
                    max_age=KEEP_SECONDS,
                )
        except self._errors.ServiceUnavailableError as error:
            if self._jetstream is not None or error.err_code not in NO_JETSTREAM:
                raise  # JetStream is away for a while
            return None
        # Not by the client's own method, which in some versions does not tell when the stream was created.
        answer = await self._client.request(f"$JS.API.STREAM.INFO.{name}", timeout=SILENCE)
        stream: dict[str, Any] = orjson.loads(answer.data)
        if "error" in stream:
            raise ConnectionError(f"JetStream: {stream['error']['description']}")
        return stream

    async def _read_on(self, stream: dict[str, Any]) -> None:
        """Subscribe to everything after the last message that was received."""
        last = stream["state"]["last_seq"]
        start: dict[str, Any] = {}
        if self._stream_created is None:
            self._position = last
            if self.replay_seconds:
                since = datetime.now(timezone.utc) - timedelta(seconds=self.replay_seconds)
                start = {"deliver_policy": "by_start_time", "opt_start_time": since.isoformat()}
        elif stream["created"] != self._stream_created or last < self._position:
            self._position = 0  # the stream was deleted and created again
        self._stream_created = stream["created"]
        inbox = self._client.new_inbox()
        await self._client.subscribe(inbox, cb=self._receive)
        await self._jetstream.add_consumer(
            stream["config"]["name"],
            deliver_subject=inbox,
            **(start or {"deliver_policy": "by_start_sequence", "opt_start_seq": self._position + 1}),
            filter_subject=self._subject,
            ack_policy="none",
            flow_control=True,
            idle_heartbeat=SILENCE,
        )

    async def publish(self, messages: Sequence[bytes]) -> None:
        publishing = asyncio.ensure_future(self._publish(messages))
        try:  # the client would wait for an answer even after the connection is lost
            await asyncio.wait([publishing, self._lost], return_when=asyncio.FIRST_COMPLETED)
            if self._failure is not None:
                raise ConnectionError(str(self._failure))
            await publishing
        finally:
            publishing.cancel()

    async def _publish(self, messages: Sequence[bytes]) -> None:
        letters: dict[str, list[bytes]] = {}
        others = []
        for message in messages:
            if isinstance(message, Letter):
                letters.setdefault(message.inbox, []).append(message)
            else:
                others.append(message)
        for batch in self._batches(others):
            if self._jetstream is not None:
                await self._jetstream.publish(self._subject, batch)
            else:
                await self._client.publish(self._subject, batch)
        if letters:
            await self._publish_letters(letters)
        if letters or self._jetstream is None:
            await self._client.flush(SILENCE)

    async def _publish_letters(self, letters: dict[str, list[bytes]]) -> None:
        await asyncio.sleep(self._letters_from - asyncio.get_running_loop().time())
        for inbox, messages in letters.items():
            for batch in self._batches(messages):
                await self._client.publish(self._address(inbox), batch)

    def _batches(self, messages: Sequence[bytes]) -> Iterator[bytes]:
        limit = self._client.max_payload
        batch: list[bytes] = []
        size = 0
        for message in messages:
            if len(message) > limit:
                raise MessageRefused(f"the NATS server takes {limit} bytes; raise its max_payload")
            if size + len(message) > limit:
                yield b"\n".join(batch)
                batch, size = [], 0
            batch.append(message)
            size += len(message) + 1
        if batch:
            yield b"\n".join(batch)

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        # JetStream sends heartbeats. Without it, the client itself pings the server.
        patience = 2 * SILENCE if self._jetstream is not None else None
        inbox = self.inbox
        address = self._address(inbox) if inbox is not None else None
        expected = 1
        while True:
            if patience is None:
                await self._wake.wait()
            else:
                await asyncio.wait_for(self._wake.wait(), patience)
            self._wake.clear()
            arrived, self._arrived = self._arrived, []
            lines: list[bytes] = []
            position = self._position
            for message in arrived:
                if inbox is not None and message.subject == address:
                    lines += [Letter(line, inbox) for line in message.data.split(b"\n")]
                    continue
                if message.headers and "Status" in message.headers:
                    await self._answer(message)
                    continue
                if self._jetstream is not None:
                    sequence = message.metadata.sequence
                    if sequence.consumer != expected:
                        raise ConnectionError("messages of NATS are missing")
                    expected += 1
                    position = sequence.stream
                lines += message.data.split(b"\n")
            if lines:
                yield lines
            self._position = position
            if self._failure is not None:
                raise ConnectionError(str(self._failure))

    async def _answer(self, control: Any) -> None:
        """Tell the server that there is room for more, if it asks."""
        reply = control.reply or control.headers.get("Nats-Consumer-Stalled")
        if reply:
            await self._client.publish(reply)

    async def _receive(self, message: Any) -> None:
        self._arrived.append(message)
        self._wake.set()

    async def _fail(self, client: Any, error: Exception) -> None:
        if client is self._client and self._failure is None:
            self._failure = error
            self._wake.set()
            self._lost.set_result(None)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _login(text: str) -> dict[str, str]:
    name, colon, password = text.partition(":")
    if colon:
        return {"user": unquote(name), "password": unquote(password)}
    return {"token": unquote(name)} if name else {}
