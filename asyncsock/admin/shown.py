"""Clients and what they send, in the form and size in which the Admin UI gets them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from ..connection import Client

MOST_VALUES = 200  # of one event or client, all levels of nesting together
MOST_DEPTH = 8
LONGEST_TEXT = 1000  # characters
MOST_HEADERS = 40
MOST_TEXT = 10_000  # characters of one event together, or of the rooms of a client
MOST_ROOMS = 1000
SECRET_HEADERS = frozenset([b"authorization", b"cookie", b"proxy-authorization", b"x-api-key"])
SECRET_END = 10  # characters at the end of a session's id, without which it is no key to the session
LARGEST_INTEGER = 2**53


def shown(value: Any) -> Any:
    """A value as JSON with little of it left out if it is small, and much if it is large."""
    return _Shown().plain(value, 0)


class _Shown:
    def __init__(self) -> None:
        self._left = MOST_VALUES
        self._left_of_text = MOST_TEXT

    def plain(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int) and -LARGEST_INTEGER < value < LARGEST_INTEGER:
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f"({len(value)} bytes)"
        if depth < MOST_DEPTH and isinstance(value, (list, tuple)):
            return self._list(value, depth)
        if depth < MOST_DEPTH and isinstance(value, dict):
            return self._object(value, depth)
        return f"({type(value).__name__})"

    def _list(self, values: Any, depth: int) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if self._left <= 0:
                found.append(f"({len(values) - len(found)} more)")
                break
            found.append(self.plain(value, depth + 1))
        return found

    def _object(self, values: dict[Any, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            if self._left <= 0:
                found["…"] = f"({len(values) - len(found)} more)"
                break
            name = key if isinstance(key, (str, int, float)) else type(key).__name__
            found[self._text(str(name))] = self.plain(value, depth + 1)
        return found

    def _text(self, value: str) -> str:
        short = text(value, min(LONGEST_TEXT, max(self._left_of_text, 10)))
        self._left_of_text -= len(short)
        return short


def text(value: str, longest: int = LONGEST_TEXT) -> str:
    """A text that is not too long, and can be sent."""
    short = value if len(value) <= longest else f"{value[:longest]}…"
    return str(short) if short.isascii() else short.encode(errors="replace").decode()


def room(name: Any) -> Any:
    """The name of a room, which is the same when it comes back if it is text or a number."""
    if isinstance(name, str):
        return text(name)
    return shown(name) if isinstance(name, (int, float)) else text(str(name))


def time(seconds: float) -> str:
    """A time in Unix seconds, as JavaScript writes it."""
    written = datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")


def client_id(client: Client) -> str:
    """The id of a client's session, as far as it does not let others take the session over."""
    return client.eio_sid[:-SECRET_END]


def socket(client: Client) -> dict[str, Any]:
    """A client, as the Admin UI calls a socket."""
    session = client.connection.session
    users = session.user_session
    data = users.get(client.namespace) if isinstance(users, dict) else None
    return {
        "id": client.sid,
        "clientId": client_id(client),
        "transport": session.transport.name,
        "nsp": client.namespace,
        "data": shown(data if isinstance(data, dict) else {}),
        "handshake": _handshake(client),
        "rooms": [client.sid, *_rooms(client)],
    }


def _rooms(client: Client) -> Iterator[Any]:
    left = MOST_TEXT
    for name in islice(client.rooms, MOST_ROOMS):
        shown_name = room(name)
        left -= len(str(shown_name))
        if left < 0:
            return
        yield shown_name


def _handshake(client: Client) -> dict[str, Any]:
    session = client.connection.session
    scope = session.scope
    query = scope.get("query_string", b"").decode("latin-1")
    headers = dict(_shown_header(*header) for header in list(scope.get("headers", ()))[:MOST_HEADERS])
    return {
        "address": session.address,
        "headers": headers,
        "query": shown(dict(parse_qsl(query, keep_blank_values=True))),
        "issued": int(client.connect_time * 1000),
        "secure": scope.get("scheme") in ("https", "wss"),
        "time": time(client.connect_time),
        "url": text(f"{scope.get('path', '')}?{query}" if query else scope.get("path", "")),
        "xdomain": "origin" in headers,
    }


def _shown_header(name: bytes, value: bytes) -> tuple[str, str]:
    shown_value = "(not shown)" if name.lower() in SECRET_HEADERS else text(value.decode("latin-1"))
    return text(name.decode("latin-1").lower()), shown_value
