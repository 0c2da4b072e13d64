"""Where traces come from and go on: headers of a handshake, a client's auth, messages of other processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter

from ..engine.log import shown

LONGEST = 8192  # characters of a field, as many as W3C's baggage may have
MOST_ROOMS = 10  # that a span names


class Headers(Getter[dict[str, Any]]):
    """Reads the headers of a WSGI environ."""

    def get(self, carrier: dict[str, Any], key: str) -> list[str] | None:
        value = carrier.get("HTTP_" + key.upper().replace("-", "_"))
        return None if value is None else [value]

    def keys(self, carrier: dict[str, Any]) -> list[str]:
        return [key[5:].lower().replace("_", "-") for key in carrier if key.startswith("HTTP_")]


class Fields(Getter[Any]):
    """Reads the fields of what a client or another process has sent, which may be anything."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        value = carrier.get(key) if isinstance(carrier, dict) else None
        return [value] if isinstance(value, str) and len(value) <= LONGEST else None

    def keys(self, carrier: Any) -> list[str]:
        return [key for key in carrier if isinstance(key, str)] if isinstance(carrier, dict) else []


_headers, _fields = Headers(), Fields()


def of_handshake(environ: dict[str, Any], auth: Any) -> Context | None:
    """The trace that a client names in its auth, or in the headers of its first request; None if in neither.

    Args:
        environ: The WSGI environ of that request.
        auth: What came with its CONNECT packet.
    """
    return of_fields(auth) or _if_valid(propagate.extract(environ, Context(), getter=_headers))


def of_fields(fields: Any) -> Context | None:
    """The trace that some fields name, such as ``traceparent``; None if they are something else."""
    return _if_valid(propagate.extract(fields, Context(), getter=_fields))


def fields_of_current() -> dict[str, str]:
    """The fields that name the current trace."""
    fields: dict[str, str] = {}
    propagate.inject(fields)
    return fields


def links_to(context: Context | None) -> list[trace.Link]:
    """A link to the span of a context, if there is one."""
    return [] if context is None else [trace.Link(trace.get_current_span(context).get_span_context())]


def _if_valid(context: Context) -> Context | None:
    return context if trace.get_current_span(context).get_span_context().is_valid else None


# The names of attributes that only some spans have: OpenTelemetry's for messaging, and others like them.
NAMES = {
    "acknowledged": "messaging.socket.io.acknowledged",
    "client": "messaging.client.id",
    "connected": "messaging.socket.io.connected",
    "reason": "messaging.socket.io.reason",
    "rooms": "messaging.socket.io.rooms",
}


def attributes(
    operation: str, kind: str, event: str, namespace: str, more: Mapping[str, Any]
) -> dict[str, Any]:
    """What a span says: what every span does, and more by the keys of `NAMES`."""
    return {
        "messaging.system": "socket.io",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": shown(namespace),
        "messaging.socket.io.event_name": shown(event),
        "messaging.socket.io.namespace": shown(namespace),
        **{NAMES[key]: value for key, value in more.items()},
    }


def rooms_of(room: Any) -> list[str]:
    """The rooms of an emit, as far as a span names them."""
    rooms = room if isinstance(room, (list, tuple, set, frozenset)) else [room]
    return [shown(str(each)) for each in list(rooms)[:MOST_ROOMS]]
