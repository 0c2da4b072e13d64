"""What a message broker has to be able to do."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

SILENCE = 5.0  # seconds that a broker may be silent, and that it may then take to answer
WATCH = 1.0  # seconds without a message after which a driver asks its broker for signs of life
AT_ONCE = 1000  # messages that a listener takes at once
KEEP_MESSAGES = 100_000  # that a process can be behind and lose nothing
INBOXES_RETURN = 0.4  # seconds that a reconnected publisher gives them, where the broker keeps no letters
QUEUE_EXPIRES = 300_000  # milliseconds that a queue outlives its process, or waits for it


class LoginRefused(ConnectionError):
    """The broker does not accept the user, the password or the certificate, or the directory is refused."""


class MessageRefused(ValueError):
    """The broker will never take a message, because it is too large for example."""


class Letter(bytes):
    """A message for the inbox of one process, which other messages do not reach.

    Attributes:
        inbox: The name of the inbox: letters, digits, ``-`` and ``_``.
    """

    inbox: str

    def __new__(cls, message: bytes, inbox: str) -> Letter:
        letter = super().__new__(cls, message)
        letter.inbox = inbox
        return letter


class Driver(ABC):
    """One connection to a broker, either to publish or to receive.

    An instance may be connected again after `close`, or after a method raised. It keeps what it needs to
    continue where it stopped, such as its position in a stream.

    Args:
        url: The broker, as given to `asyncsock.queues.from_url`.
        channel: The name of the channel, exchange, topic or subject.

    Attributes:
        has_inboxes: Whether it brings a `Letter` to the process that it is for, and to no other.
        spans_hosts: Whether processes of several hosts may use it.
        resumes: Whether a listener that was disconnected gets what was published meanwhile.
        replays: Whether a listener can also get what was published before it listened for the first time.
        replay_seconds: How long before, if it is to get that too. It is set before connecting.
        directory: Where the processes of a host meet, if the URL names it.
        inbox: The name of this process's inbox. It is set before connecting; without one, no letters come.
        own_listener: The driver that receives for the same process, if one does. What is published here need
            not come there.
        listener_name: How the publishers of other processes call it while it listens, where they know their
            listeners.
        listener_killed: Called by such a publisher with the name of a listener whose process was killed.
    """

    has_inboxes = False
    spans_hosts = True
    resumes = False
    replays = False
    replay_seconds = 0.0
    inbox: str | None = None
    own_listener: Driver | None = None
    listener_name = ""
    listener_killed: Callable[[str], object] | None = None
    directory: Path | None = None

    def __init__(self, url: str, channel: str) -> None:
        self.url = url
        self.channel = channel

    @abstractmethod
    async def connect(self, *, subscribe: bool) -> None:
        """Connect.

        Args:
            subscribe: True to receive with `messages`, which misses nothing that is published after this
                returns; False to publish.

        Raises:
            LoginRefused: Trying again with the same URL does not help.
            Exception: Any other error; connecting may be tried again.
        """

    @abstractmethod
    async def publish(self, messages: Sequence[bytes]) -> None:
        """Publish messages in their order; return when the broker has all of them.

        There is one call at a time. After an error the same messages are published again. So the broker must
        never take a message without those before it: listeners would drop these as repetitions.

        With inboxes, some may be a `Letter`. One whose process is gone is lost. Letters for one inbox keep
        their order, and so do the others; letters and others may pass each other.

        Raises:
            MessageRefused: The broker will never take one of them. The connection stays usable.
            Exception: Any other error; the connection has to be made again.
        """

    @abstractmethod
    def messages(self) -> AsyncIterator[Sequence[bytes]]:
        """Yield the messages as they arrive, those that arrived together as one item.

        Each that came to the inbox is a `Letter`.

        Asking for the next item acknowledges the last one, if the broker has acknowledgements. It raises
        when the connection is lost or the broker is silent for too long.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connection, in any state."""

    def listeners(self) -> Collection[str]:
        """The names of the listeners that this publisher is connected to, where it knows them."""
        return ()


@contextmanager
def needed(extra: str, scheme: str) -> Generator[None, None, None]:
    """Import a broker's package in a `with` block, by statements that bundlers such as PyInstaller see.

    Args:
        extra: The extra of asyncsock that installs the package.
        scheme: The scheme of the URLs that need it.

    Raises:
        ImportError: It is not installed; the message says how to install it.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or extra).partition(".")[0]
        raise ImportError(
            f"message queues with {scheme}:// need the package {package!r}: "
            f"pip install 'asyncsock[{extra}]' ({error})"
        ) from error


def mute_logger(name: str) -> None:
    """Keep a broker's package from logging each attempt to reconnect, as `Health` logs the loss once.

    A level that the application has set stays.
    """
    logger = logging.getLogger(name)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)


def host_and_port(host: str, default_port: int) -> str:
    """A host of a URL, as ``host:port``.

    Raises:
        ValueError: It is not ``host`` or ``host:port``.
    """
    parts = urlsplit(f"//{host}")
    if not parts.hostname or parts.port == 0:  # asking for the port raises ValueError where it is none
        raise ValueError(f"{host!r} is not host:port")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{name}:{parts.port or default_port}"
