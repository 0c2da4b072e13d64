"""Who may use the Admin UI."""

from __future__ import annotations

import hashlib
import inspect
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from hmac import compare_digest
from typing import Any

import msgspec

from ..cluster import Cluster

MOST_WRONG = 10  # logins of one address in a minute
MINUTE = 60.0
MOST_ADDRESSES = 10_000  # of which wrong logins are counted
DAY = 24 * 60 * 60.0  # for which a browser need not log in again
MOST_SESSIONS = 1000
Auth = dict[str, Any] | list[dict[str, Any]] | Callable[[Any], Any] | bool | None


class Refused(Exception):
    """A login is refused; the text is for the client."""


class WrongLogin(msgspec.Struct):
    """Somebody at an address has tried to log in."""

    address: str


class NewSession(msgspec.Struct):
    """A browser has logged in, and may come back with what this is the hash of."""

    hash: bytes


class Logins:
    """Checks logins, for all processes as one: wrong ones are counted, and right ones remembered.

    Args:
        auth: What `AsyncServer.instrument` was given.
        is_debug: Whether everybody may log in if ``auth`` is None.
        cluster: The processes.

    Raises:
        ValueError: ``auth`` is empty.
        TypeError: It is of another type than it may be.
    """

    def __init__(self, auth: Auth, is_debug: Callable[[], bool], cluster: Cluster) -> None:
        _check(auth)
        self._auth = auth
        self._is_debug = is_debug
        self._cluster = cluster
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()  # until when, and how many
        self._sessions: OrderedDict[bytes, float] = OrderedDict()  # until when, by their hashes
        cluster.on("admin.wrong_login", WrongLogin, lambda _, login: self._count(login.address))
        cluster.on("admin.session", NewSession, lambda _, session: self._keep(session.hash))

    @property
    def are_open(self) -> bool:
        """Whether everybody may log in."""
        return self._auth is False or (self._auth is None and self._is_debug())

    @property
    def are_closed(self) -> bool:
        """Whether nobody may, because it was not said who."""
        return self._auth is None and not self._is_debug()

    async def check(self, given: Any, address: str) -> str | None:
        """Check what somebody logs in with.

        Returns:
            What the browser may come back with, if it has none yet.

        Raises:
            Refused: It is wrong, or there were too many wrong ones.
        """
        if self.are_open:
            return None
        network = _network(address)
        until, count = self._wrong.get(network, (0.0, 0))
        if count >= MOST_WRONG and time.monotonic() < until:
            raise Refused("too many wrong logins: try again in a minute")
        if self._is_session(given):
            return None
        self._count(network)  # before the answer is known, as many may be asked at once
        if not await self._is_right(given):
            self._cluster.tell("admin.wrong_login", WrongLogin(network))
            raise Refused("invalid credentials")  # the text that the Admin UI knows
        self._uncount(network)
        token = secrets.token_hex(16)
        self._keep(_hash(token))
        self._cluster.tell("admin.session", NewSession(_hash(token)))
        return token

    async def _is_right(self, given: Any) -> bool:
        auth = self._auth
        if auth is None or isinstance(auth, bool):
            return False
        if isinstance(auth, (dict, list)):
            checked = [_is_same(given, right) for right in (auth if isinstance(auth, list) else [auth])]
            return any(checked)
        result = auth(given)
        return bool(await result if inspect.isawaitable(result) else result)

    # Wrong logins

    def _count(self, network: str) -> None:
        now = time.monotonic()
        until, count = self._wrong.pop(network, (0.0, 0))
        self._wrong[network] = (until, count + 1) if now < until else (now + MINUTE, 1)
        if len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def _uncount(self, network: str) -> None:
        until, count = self._wrong.get(network, (0.0, 0))
        if count:
            self._wrong[network] = until, count - 1

    # Sessions

    def _is_session(self, given: Any) -> bool:
        token = given.get("sessionId") if isinstance(given, dict) else None
        return isinstance(token, str) and time.monotonic() < self._sessions.get(_hash(token), 0.0)

    def _keep(self, hash: bytes) -> None:
        self._sessions[hash] = time.monotonic() + DAY
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)


def _check(auth: Any) -> None:
    if auth is None or auth is False or callable(auth):
        return
    logins = auth if isinstance(auth, list) else [auth]
    if not all(isinstance(login, dict) for login in logins):
        raise TypeError(
            f"auth of type {type(auth).__name__}: it is a dictionary such as "
            '{"username": ..., "password": ...}, a list of them, a function, or False for no login'
        )
    if not logins or not all(logins):
        raise ValueError(f"auth={auth!r} is empty: pass False to let everybody in")


def _is_same(given: Any, right: dict[str, Any]) -> bool:
    if not isinstance(given, dict) or given.keys() != right.keys():
        return False
    checked = [_is_equal(given[name], right[name]) for name in right]  # all of them, as above
    return all(checked)


def _is_equal(given: Any, right: Any) -> bool:
    if isinstance(given, str) and isinstance(right, str):  # in a time that does not tell how much is right
        return compare_digest(given.encode(errors="replace"), right.encode(errors="replace"))
    return type(given) is type(right) and bool(given == right)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _network(address: str) -> str:
    """What counts as one address: of IPv6, the network that one customer has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
