"""A connection to Redis: redis-py connects and logs in, hiredis reads whole batches of replies."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from ..engine.tested_versions import warn_once
from .driver import SILENCE, LoginRefused, needed
from .health import logger

READ_BYTES = 256 * 1024
ONE_REPLY = 3600.0  # seconds to wait for a reply, where `watch` is what notices a silence
CONNECT_TIMEOUT = 4.0  # seconds, divided among the servers that the URL names
SENTINEL_PORT = 26379
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class RedisConnection:
    """One connection, with commands and their replies in batches.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://``, or one of the first two with ``+sentinel``,
            ``+cluster`` or ``+streams``. With Sentinel, the path is ``/db/service``; several hosts are
            separated by commas. The query has options of redis-py's connections, such as ``ssl_ca_certs``;
            ``sentinel_username`` and ``sentinel_password`` are for Sentinel itself.

    Raises:
        ValueError: The URL is malformed, or names a file that is not there.
    """

    def __init__(self, url: str) -> None:
        scheme = urlsplit(url).scheme
        with needed("redis", scheme):
            import hiredis
            import redis.asyncio
            import redis.exceptions
        self._redis: Any = redis.asyncio
        self._exceptions: Any = redis.exceptions
        self._hiredis: Any = hiredis
        self._service = ""  # that Sentinel is asked for
        self._master: Any = None  # a pool of connections to its master
        try:
            self._servers = self._parse(url)  # a pool of connections per host
            for pool in self._servers:
                pool.make_connection()  # options that it does not know raise now
        except (ValueError, TypeError, self._redis.RedisError) as error:
            raise ValueError(f"bad Redis URL: {error}") from None
        self._connection: Any = None
        self._parser: Any = None
        self._stream: Any = None  # the reader of redis-py's connection
        self._heard = False

    def _parse(self, url: str) -> list[Any]:
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        options = dict(parse_qsl(parts.query))
        for name in FILES:
            if name in options and not os.path.isfile(options[name]):
                raise ValueError(f"{name}={options[name]}: there is no such file")
        if kind == "sentinel":
            return self._parse_sentinel(parts._replace(scheme=scheme), options)
        plain = parts._replace(scheme=scheme)
        login, at, hosts = parts.netloc.rpartition("@")
        if scheme == "unix":
            if hosts or len(parts.path) < 2:
                raise ValueError("the path of the socket is missing")
        else:
            _check_db(parts.path[1:])
        if kind != "cluster":
            return [self._pool(urlunsplit(plain))]
        # Every node of a cluster passes on what is published at any of them.
        return [self._pool(urlunsplit(plain._replace(netloc=f"{login}{at}{host}"))) for host in _hosts(hosts)]

    def _parse_sentinel(self, parts: SplitResult, options: dict[str, str]) -> list[Any]:
        login, at, hosts = parts.netloc.rpartition("@")
        db, _, self._service = parts.path.strip("/").partition("/")
        if not self._service:
            raise ValueError("the path has to be /db/service")
        _check_db(db)
        prefix = "sentinel_"
        own = {
            name.removeprefix(prefix): options.pop(name) for name in list(options) if name.startswith(prefix)
        }
        parts = parts._replace(query=urlencode(options))
        self._master = self._pool(urlunsplit(parts._replace(netloc=f"{login}{at}", path=f"/{db}")))
        return [
            self._pool(urlunsplit(parts._replace(netloc=host, path="")), port=SENTINEL_PORT, **own)
            for host in _hosts(hosts)
        ]

    def _pool(self, url: str, **defaults: Any) -> Any:
        # Its connections do not try again on their own.
        return self._redis.ConnectionPool.from_url(url, protocol=2, **defaults)

    async def open(self) -> None:
        """Connect and log in, at the first server that answers.

        Raises:
            LoginRefused: The server refuses the user or the password, or its certificate is not trusted.
        """
        for left in range(len(self._servers) - 1, -1, -1):
            server = self._servers.pop(0)
            self._servers.append(server)  # after a loss, the others are tried first
            try:
                await asyncio.wait_for(self._open(server), CONNECT_TIMEOUT / len(self._servers))
                break
            except Exception as error:
                await self.close()
                refused = self._login_refused(error)
                if refused is not None:
                    raise refused from None
                if not left:
                    raise
        self._parser = self._hiredis.Reader(replyError=self._redis.ResponseError)
        # It is private, but redis-py's own method reads one reply at a time.
        self._stream = getattr(self._connection, "_reader", None)
        if not hasattr(self._stream, "read"):
            self._stream = None
            text = (
                "redis-py's connections have no _reader: replies are read one by one, which takes more time"
            )
            warn_once(logger, text, "redis")

    async def _open(self, server: Any) -> None:
        connection = self._connection = server.make_connection()
        await connection.connect()
        if self._master is None:
            return
        await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        address = await connection.read_response()
        await self.close()
        if address is None:
            raise ConnectionError(f"Sentinel knows no service {self._service!r}")
        connection = self._connection = self._master.make_connection()
        connection.host, connection.port = address[0].decode(), int(address[1])
        await connection.connect()

    async def send(self, *commands: Sequence[bytes | str | int]) -> None:
        """Send commands."""
        packed = [self._hiredis.pack_command(tuple(command)) for command in commands]
        await self._connection.send_packed_command(packed, check_health=False)

    async def read(self) -> list[Any]:
        """Wait for replies, and return those that have arrived.

        Raises:
            ConnectionError: The connection is lost.
            redis.ResponseError: A command failed.
        """
        if self._stream is None:
            return [await self._read_one()]
        gets = self._parser.gets
        while True:
            received = await self._stream.read(READ_BYTES)
            if not received:
                raise ConnectionError("Redis closed the connection")
            self._heard = True
            self._parser.feed(received)
            replies = []
            while (reply := gets()) is not False:
                if isinstance(reply, self._redis.ResponseError):
                    raise self._login_refused(reply) or reply
                replies.append(reply)
            if replies:
                return replies

    async def _read_one(self) -> Any:
        try:
            reply = await self._connection.read_response(disable_decoding=True, timeout=ONE_REPLY)
        except self._redis.ResponseError as error:
            raise self._login_refused(error) or error
        self._heard = True
        return reply

    async def execute(self, *commands: Sequence[bytes | str | int]) -> list[Any]:
        """Send commands and return one reply for each."""
        await self.send(*commands)
        replies: list[Any] = []
        while len(replies) < len(commands):
            replies += await self.read()
        return replies

    async def watch(self) -> None:
        """Ping a server that is silent; close the connection when it does not answer."""
        while True:
            self._heard = False
            await asyncio.sleep(SILENCE)
            if self._heard:
                continue
            await self.send(["PING"])
            await asyncio.sleep(SILENCE)
            if not self._heard:
                await self.close()
                return

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    def _login_refused(self, error: Exception) -> LoginRefused | None:
        """The refusal of a login that an error means; None if it means something else."""
        text = str(error)
        if "NOAUTH" in text or "Authentication required" in text:
            where = "?sentinel_password= if it is Sentinel's, or else " if self._service else ""
            return LoginRefused(
                f"Redis refused the login: it wants a password ({where}redis://:password@host)"
            )
        refusals = (self._redis.AuthenticationError, self._exceptions.NoPermissionError)
        if isinstance(error, refusals) or text.startswith(("WRONGPASS", "NOPERM")):
            return LoginRefused(f"Redis refused the login: {text}")
        if isinstance(error.__context__, ssl.SSLCertVerificationError):
            return LoginRefused(f"the certificate of Redis is not trusted: {error.__context__}")
        return None


def _check_db(text: str) -> None:
    if text and not text.isdecimal():
        raise ValueError(f"{text!r} is not the number of a database")


def _hosts(text: str) -> list[str]:
    hosts = text.split(",")
    if not all(urlsplit(f"//{host}").hostname for host in hosts):
        raise ValueError("a host is missing; several are separated by commas")
    return hosts
