"""Which driver serves a URL."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from .driver import Driver, needed
from .manager import QueueManager

# Each driver is imported where a URL asks for it, by a statement that bundlers such as PyInstaller see.


def _redis() -> type[Driver]:
    from .redis import RedisDriver

    return RedisDriver


def _redis_streams() -> type[Driver]:
    from .redis_streams import RedisStreamsDriver

    return RedisStreamsDriver


def _rabbitmq() -> type[Driver]:
    from .rabbitmq import RabbitMQDriver

    return RabbitMQDriver


def _kafka() -> type[Driver]:
    from .kafka import KafkaDriver

    return KafkaDriver


def _nats() -> type[Driver]:
    from .nats import NatsDriver

    return NatsDriver


def _zmq() -> type[Driver]:
    from .zmq import ZmqDriver

    return ZmqDriver


def _local() -> type[Driver]:
    from .local import LocalDriver

    return LocalDriver


def _kombu() -> type[Driver]:
    from .kombu import KombuDriver

    return KombuDriver


DRIVERS = {
    "redis": _redis,
    "rediss": _redis,
    "unix": _redis,
    "redis+sentinel": _redis,
    "rediss+sentinel": _redis,
    "redis+cluster": _redis,
    "rediss+cluster": _redis,
    "redis+streams": _redis_streams,
    "rediss+streams": _redis_streams,
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
    "kafka": _kafka,
    "kafkas": _kafka,
    "nats": _nats,
    "tls": _nats,
    "zmq+tcp": _zmq,
    "local": _local,
}
EXAMPLES = {
    "redis": "redis://:password@localhost:6379/0",
    "unix": "unix:///run/redis/redis.sock",
    "redis+sentinel": "redis+sentinel://host1:26379,host2:26379/0/mymaster",
    "redis+cluster": "redis+cluster://host1:6379,host2:6379",
    "redis+streams": "redis+streams://:password@localhost:6379/0",
    "amqp": "amqp://user:password@localhost:5672/vhost",
    "kafka": "kafka://user:password@host1:9092,host2:9092",
    "nats": "nats://user:password@localhost:4222",
    "tls": "tls://user:password@localhost:4222",
    "zmq+tcp": "zmq+tcp://localhost:5555+5556",
    "local": "local:///run/app",
}
BROKEN_LOGIN = "bad URL: the user or the password has a special character"


def from_url(url: str, channel: str = "socketio", write_only: bool = False, json: Any = None) -> QueueManager:
    """A client manager that shares its events with other processes through a message broker.

    Args:
        url: The broker: ``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://``, ``redis+cluster://``
            (pub/sub), ``redis+streams://``, ``amqp://``, ``amqps://``, ``kafka://``, ``kafkas://``,
            ``nats://``, ``zmq+tcp://host:sink+source``, or any URL that Kombu understands. Without a broker,
            ``local:///directory`` is for the processes of one user on one host.
        channel: The same in all processes that belong together: a channel, exchange, topic or subject.
        write_only: Whether this process only emits, to the clients of others.
        json: The JSON module of a process without a server.

    Raises:
        ValueError: The URL is malformed, or no driver knows its scheme.
        ImportError: The broker's package is not installed; the message says how to install it.
        NotImplementedError: This platform does not support ``local://``.
    """
    scheme = _scheme(url)
    driver = DRIVERS.get(scheme)
    if driver is None:
        _check_kombu_knows(scheme)
        driver = _kombu
    make_driver = partial(driver(), url, channel)
    try:
        make_driver()  # a bad URL raises now, and not when it is used
    except ValueError as error:
        reason = BROKEN_LOGIN if "@" in url and "@" not in urlsplit(url).netloc else error
        raise ValueError(f"{reason} ({_advice(scheme)})") from None
    return QueueManager(url, make_driver, write_only, json)


def for_workers(directory: Path, channel: str) -> QueueManager:
    """A client manager for the workers of a server, which meet in a directory."""
    return from_url(f"local://{quote(str(directory))}", channel)


def _scheme(url: str) -> str:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if not scheme or "://" not in url:
        shown = "..." if "@" in url else url  # there may be a password in it
        raise ValueError(f"message_queue={shown!r} is not a URL; one is for example {EXAMPLES['redis']}")
    if "#" in url:
        raise ValueError(f"{BROKEN_LOGIN} ({_advice(scheme)})")
    return scheme


def _advice(scheme: str) -> str:
    example = EXAMPLES.get(
        scheme.replace("rediss", "redis").replace("amqps", "amqp").replace("kafkas", "kafka")
    )
    if example is None:
        return "see Kombu's documentation for its URLs"
    return f"a URL is for example {example}; a password's special characters are written as %40"


def _check_kombu_knows(scheme: str) -> None:
    known = ", ".join(f"{name}://" for name in DRIVERS)
    try:
        with needed("kombu", scheme):
            from kombu.transport import TRANSPORT_ALIASES as transports
    except ImportError:
        raise ImportError(
            f"no message queue for {scheme}://; known are {known}, and with "
            "pip install 'asyncsock[kombu]' those of Kombu"
        ) from None
    base = scheme.partition("+")[0]
    if scheme not in transports and (base not in transports or base in DRIVERS):
        raise ValueError(
            f"no message queue for {scheme}://; known are {known} and "
            f"Kombu's {', '.join(f'{name}://' for name in sorted(transports))}"
        )
