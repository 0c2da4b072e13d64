"""Kafka. A process that was disconnected continues to read where it stopped."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from . import tls
from .driver import (
    AT_ONCE,
    SILENCE,
    WATCH,
    Driver,
    LoginRefused,
    MessageRefused,
    host_and_port,
    mute_logger,
    needed,
)

BATCH_BYTES = 900_000  # less than what a broker accepts unless told otherwise
GAP = 0.1  # seconds until a missing message counts as one that was removed
FIRST_READ = 200  # milliseconds
DEFAULT_REPLICATION = -1
PORT = 9092
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


class LastRecord(NamedTuple):
    """The last message of a partition that was received."""

    offset: int
    value: bytes | None = None  # None if it was there before we connected, and was not read


class KafkaDriver(Driver):
    """Publishes to the topic that is named as the channel, or reads all its partitions.

    There is no consumer group, as every process has to get every message. Kafka's own settings say how long
    it keeps messages. A topic that does not exist is created, with one partition.

    Args:
        url: ``kafka://user:password@host:port``, several hosts separated by commas; ``kafka://`` is
            ``localhost:9092``. A user logs in with ``PLAIN`` unless ``sasl_mechanism`` says
            ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``. ``kafkas://`` is over TLS, with the options of `tls`.
    """

    resumes = True
    replays = True

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        with needed("kafka", "kafka"):
            import aiokafka.admin
            import aiokafka.conn
            import aiokafka.errors
        self._kafka: Any = aiokafka
        self._errors: Any = aiokafka.errors
        self._hosts = _hosts(url)
        self._security = _security(url)
        self._options = {
            **self._security,
            "bootstrap_servers": self._hosts,
            "request_timeout_ms": int(SILENCE * 1000),
            "retry_backoff_ms": 50,
        }
        if not TOPIC_NAME.fullmatch(channel):
            raise ValueError(f"{channel!r} cannot be a Kafka topic: use letters, digits, '.', '_' and '-'")
        mute_logger("aiokafka")
        self._key = uuid.uuid4().hex.encode()  # keeps what we send in one partition, and so in order
        self._admin: Any = None
        self._producer: Any = None
        self._consumer: Any = None
        self._stopping: set[asyncio.Future[None]] = set()
        self._partitions: list[Any] = []
        self._last: dict[Any, LastRecord] = {}  # by partition
        self._ends: dict[Any, int] = {}
        self._missing: dict[Any, tuple[int, float]] = {}  # an offset and since when, by partition
        self._first_records: dict[Any, list[Any]] = {}

    async def connect(self, *, subscribe: bool) -> None:
        self._admin = self._kafka.admin.AIOKafkaAdminClient(**self._options)
        try:
            await self._admin.start()
        except Exception:
            await self._check_login()  # aiokafka's error does not say why the broker refused
            raise
        await self._create_topic()
        self._partitions = await self._find_partitions()
        if subscribe:
            await self._connect_consumer()
        else:
            await self._connect_producer()

    async def _check_login(self) -> None:
        """Log in to the first broker that can be reached, for its reason to refuse that.

        Raises:
            LoginRefused: It does not accept the user or the password, or its certificate is not trusted.
        """
        for host in self._hosts:
            name, _, port = host.rpartition(":")
            try:
                connection = await self._kafka.conn.create_conn(
                    name.strip("[]"), int(port), request_timeout_ms=int(SILENCE * 1000), **self._security
                )
                connection.close()
                return
            except ssl.SSLCertVerificationError as error:
                raise LoginRefused(f"Kafka's certificate is not trusted: {error}") from None
            except self._errors.UnsupportedSaslMechanismError:
                raise LoginRefused("Kafka does not know this login: use another ?sasl_mechanism=") from None
            except (self._errors.AuthenticationFailedError, self._errors.SaslAuthenticationFailed) as error:
                raise LoginRefused(f"Kafka refused the login: {error}") from None
            except KeyError:  # what aiokafka makes of a refusal by SCRAM
                raise LoginRefused("Kafka refused the login") from None
            except (OSError, self._errors.KafkaError, asyncio.TimeoutError):
                continue

    async def _create_topic(self) -> None:
        """Create the topic, unless it exists or the user may not create it."""
        for replication in (DEFAULT_REPLICATION, 1):
            topic = self._kafka.admin.NewTopic(self.channel, 1, 1)
            topic.replication_factor = replication  # set here, as NewTopic() refuses -1
            answer = await self._admin.create_topics([topic])
            if answer.topic_errors[0][1] != self._errors.InvalidReplicationFactorError.errno:
                return

    async def _find_partitions(self) -> list[Any]:
        """The partitions of the topic.

        Raises:
            ConnectionError: They are still being created.
        """
        (topic,) = await self._admin.describe_topics([self.channel])
        if not topic["partitions"] or any(partition["leader"] < 0 for partition in topic["partitions"]):
            raise ConnectionError("the Kafka topic is not ready")
        numbers = sorted(partition["partition"] for partition in topic["partitions"])
        return [self._kafka.TopicPartition(self.channel, number) for number in numbers]

    # Publishing

    async def _connect_producer(self) -> None:
        # Not an idempotent producer: not every broker has it, and receivers drop what comes twice.
        self._producer = self._kafka.AIOKafkaProducer(**self._options, acks="all", max_batch_size=BATCH_BYTES)
        await self._producer.start()

    async def publish(self, messages: Sequence[bytes]) -> None:
        while messages:
            messages = messages[await self._publish_some(messages) :]

    async def _publish_some(self, messages: Sequence[bytes]) -> int:
        """Publish the first messages as one batch, and return how many these are."""
        batch = self._producer.create_batch()
        number = 0
        for message in messages:
            if batch.append(key=self._key, value=message, timestamp=None) is None:
                break
            number += 1
        partition = self._partitions[zlib.crc32(self._key) % len(self._partitions)].partition
        sent = await self._producer.send_batch(batch, self.channel, partition=partition)
        sent.add_done_callback(_retrieve)
        try:
            while not (await asyncio.wait([sent], timeout=WATCH))[0]:
                await self._find_partitions()  # raises if no broker answers; the producer would keep trying
            await sent
        except self._errors.MessageSizeTooLargeError:
            raise MessageRefused("Kafka does not take as many bytes; raise its message.max.bytes") from None
        return number

    # Receiving

    async def _connect_consumer(self) -> None:
        self._consumer = self._kafka.AIOKafkaConsumer(
            **self._options, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        begins = await self._consumer.beginning_offsets(self._partitions)
        self._ends = await self._consumer.end_offsets(self._partitions)
        first = not self._last
        if first and self.replay_seconds:
            self._last = await self._before_replay()
            first = False
        for partition in self._partitions:
            begin = begins[partition]
            if partition not in self._last:
                self._last[partition] = LastRecord(self._ends[partition] - 1 if first else begin - 1)
            # The last message is read again, to see whether this is still the same topic.
            self._consumer.seek(partition, max(self._last[partition].offset, begin))
        records = self._first_records = await self._consumer.getmany(timeout_ms=FIRST_READ)
        if first:
            self._received(records)  # some brokers report an end that is too low
            self._first_records = {}
            return
        for partition in self._partitions:
            if self._last[partition].offset >= self._ends[partition] and partition not in records:
                self._last[partition] = LastRecord(begins[partition] - 1)
                self._consumer.seek(partition, begins[partition])

    async def _before_replay(self) -> dict[Any, LastRecord]:
        """The last records before those that are received although they are older than this listener."""
        start = int((time.time() - self.replay_seconds) * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._partitions, start))
        return {
            partition: LastRecord((at.offset if at is not None else self._ends[partition]) - 1)
            for partition, at in found.items()
        }

    def _received(self, records: dict[Any, list[Any]]) -> None:
        for partition, messages in records.items():
            self._last[partition] = LastRecord(messages[-1].offset, messages[-1].value)

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        records = self._first_records
        while True:
            records = {
                partition: messages
                for partition, found in records.items()
                if (messages := await self._without_gap(partition, found))
            }
            received: list[bytes] = []
            for partition, messages in records.items():
                received += [message.value for message in self._new(partition, messages)]
            if received:
                yield received
            self._received(records)
            records = await self._consumer.getmany(timeout_ms=int(WATCH * 1000), max_records=AT_ONCE)
            if not records:
                await asyncio.wait_for(self._watch(), SILENCE)

    async def _without_gap(self, partition: Any, messages: list[Any]) -> list[Any]:
        """The messages before the first gap, which is read again: some brokers deliver messages late."""
        before = self._last[partition].offset
        for index, message in enumerate(messages):
            if message.offset > before + 1:
                missing, now = before + 1, asyncio.get_running_loop().time()
                if self._missing.get(partition, (-1, 0.0))[0] != missing:
                    self._missing[partition] = missing, now
                if now < self._missing[partition][1] + GAP:
                    await asyncio.sleep(GAP / 10)
                    self._consumer.seek(partition, missing)
                    return messages[:index]
            before = message.offset
        return messages

    def _new(self, partition: Any, messages: list[Any]) -> list[Any]:
        """The messages after the last one that was received.

        Raises:
            ConnectionError: The topic was deleted and created again since then.
        """
        last = self._last[partition]
        if messages[0].offset != last.offset:
            return messages
        if last.value is not None and messages[0].value != last.value:
            self._last = {partition: LastRecord(-1) for partition in self._partitions}
            raise ConnectionError("the Kafka topic has been made anew")
        return messages[1:]

    async def _watch(self) -> None:
        """Raise if the broker does not answer or the topic has changed."""
        if await self._find_partitions() != self._partitions:
            raise ConnectionError("the partitions of the Kafka topic are not what they were")
        ends = await self._consumer.end_offsets(self._partitions)
        if any(ends[partition] < self._ends[partition] for partition in self._partitions):
            raise ConnectionError("the Kafka topic has been made anew")
        self._ends = ends

    async def close(self) -> None:
        stops = [client.stop for client in (self._consumer, self._producer) if client is not None]
        if self._admin is not None:
            stops.append(self._admin.close)
        self._consumer = self._producer = self._admin = None
        # They are slow when the broker is away, and have to finish even if this call is cancelled.
        stopping = [asyncio.ensure_future(_stop(stop)) for stop in stops]
        self._stopping.update(stopping)
        for task in stopping:
            task.add_done_callback(self._stopping.discard)
        if stopping:
            await asyncio.wait(stopping)


async def _stop(stop: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(Exception):
        await stop()


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Retrieve a future's exception, as asyncio logs those that nobody retrieves."""
    if not future.cancelled():
        future.exception()


def _hosts(url: str) -> list[str]:
    parts = urlsplit(url)
    if parts.path.strip("/"):
        raise ValueError("bad Kafka URL: it has to be kafka://host:port, or kafka://host:port,host:port")
    hosts = parts.netloc.rpartition("@")[2] or "localhost"
    try:
        return [host_and_port(host, PORT) for host in hosts.split(",")]
    except ValueError as error:
        raise ValueError(f"bad Kafka URL: {error}") from None


def _security(url: str) -> dict[str, Any]:
    """aiokafka's options for the login and for TLS.

    Raises:
        ValueError: The URL has an unknown option, or names a file that cannot be used.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    login, at, _ = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    encrypted = parts.scheme == "kafkas"
    unknown = set(options) - {"sasl_mechanism"} - set(tls.OPTIONS if encrypted else ())
    if unknown:
        raise ValueError(f"bad Kafka URL: {parts.scheme}:// has no option {', '.join(sorted(unknown))}")
    security: dict[str, Any] = {}
    if encrypted:
        try:
            security["ssl_context"] = tls.client_context(options)
        except (OSError, ValueError) as error:
            raise ValueError(f"bad Kafka URL: {error}") from None
    if at:
        mechanism = options.get("sasl_mechanism", "PLAIN")
        if mechanism not in MECHANISMS:
            raise ValueError(f"bad Kafka URL: sasl_mechanism has to be {', '.join(MECHANISMS)}")
        security |= {
            "sasl_mechanism": mechanism,
            "sasl_plain_username": unquote(user),
            "sasl_plain_password": unquote(password),
        }
    protocol = "SSL" if encrypted else "PLAINTEXT"
    return {**security, "security_protocol": f"SASL_{protocol}" if at else protocol}
