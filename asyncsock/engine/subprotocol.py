"""The subprotocol of a WebSocket (RFC 6455 section 1.9), which the client's option ``protocols`` offers."""

from __future__ import annotations

import re

from .http import Headers, HTTPError

HEADER = b"sec-websocket-protocol"
_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch  # RFC 9110 section 5.6.2


def offered(headers: Headers) -> list[str]:
    """The subprotocols that a request offers, as ASGI has them in a scope."""
    lines = [value.decode("latin-1") for name, value in headers if name == HEADER]
    return [name.strip(" \t") for name in ",".join(lines).split(",")] if lines else []


def subprotocol(names: list[str]) -> str | None:
    """The subprotocol to answer with: the first that is offered, as Node's server does.

    A browser fails the connection if it has offered some and none is answered.

    Raises:
        HTTPError: 400; the offer is malformed.
    """
    if not names:
        return None
    if len(set(names)) < len(names) or not all(map(_is_token, names)):
        raise HTTPError(400, "Invalid Sec-WebSocket-Protocol header")
    return names[0]
