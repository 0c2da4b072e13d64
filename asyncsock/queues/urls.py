"""Which driver serves a URL."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from .base import QueueManager
from .driver import require

DRIVERS = {
    "redis": "redis:RedisDriver",
    "rediss": "redis:RedisDriver",
    "unix": "redis:RedisDriver",
    "redis+sentinel": "redis:RedisDriver",
    "rediss+sentinel": "redis:RedisDriver",
    "redis+cluster": "redis:RedisDriver",
    "rediss+cluster": "redis:RedisDriver",
    "redis+streams": "redis_streams:RedisStreamsDriver",
    "rediss+streams": "redis_streams:RedisStreamsDriver",
    "amqp": "rabbitmq:RabbitMQDriver",
    "amqps": "rabbitmq:RabbitMQDriver",
    "kafka": "kafka:KafkaDriver",
    "kafkas": "kafka:KafkaDriver",
    "nats": "nats:NatsDriver",
    "tls": "nats:NatsDriver",
    "zmq+tcp": "zmq:ZmqDriver",
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
}
BROKEN_LOGIN = "bad URL: the user or the password has a special character"


def from_url(url: str, channel: str = "socketio", write_only: bool = False, json: Any = None) -> QueueManager:
    """A client manager that shares its events with other processes through a message broker.

    Args:
        url: The broker: ``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://``, ``redis+cluster://``
            (pub/sub), ``redis+streams://``, ``amqp://``, ``amqps://``, ``kafka://``, ``kafkas://``,
            ``nats://``, ``zmq+tcp://host:sink+source``, or any URL that Kombu understands.
        channel: The same in all processes that belong together: a channel, exchange, topic or subject.
        write_only: Whether this process only emits, to the clients of others.
        json: The JSON module, where there is no server to ask.

    Raises:
        ValueError: The URL is malformed, or nobody understands it.
        ImportError: The broker's package is not installed; the message says how to install it.
    """
    scheme = _scheme(url)
    driver = DRIVERS.get(scheme)
    if driver is None:
        _check_kombu_knows(scheme)
        driver = "kombu:KombuDriver"
    module, _, name = driver.partition(":")
    make_driver = partial(getattr(importlib.import_module(f".{module}", __package__), name), url, channel)
    try:
        make_driver()  # what is wrong with the URL is said now, and not when it is used
    except ValueError as error:
        reason = BROKEN_LOGIN if "@" in url and "@" not in urlsplit(url).netloc else error
        raise ValueError(f"{reason} ({_advice(scheme)})") from None
    return QueueManager(url, make_driver, write_only, json)


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
        transports = require("kombu.transport", "kombu", scheme).TRANSPORT_ALIASES
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
