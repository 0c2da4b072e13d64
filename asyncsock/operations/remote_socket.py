"""A client of some process, as another one sees it."""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec

from ..engine.log import printable

ROOMS = (str, int, float, bool)  # the types of rooms that a message queue takes
WARNING_INTERVAL = 60.0  # seconds at least between two log lines about what cannot be sent
logger = logging.getLogger("asyncsock.server")
_encode = msgspec.msgpack.Encoder().encode
_warned_at = -WARNING_INTERVAL


class RemoteSocket(msgspec.Struct, frozen=True):
    """A client of this process or of another one, as it was when it was asked for.

    Attributes:
        sid: Its sid.
        namespace: The namespace that it is connected to.
        rooms: The rooms that it is in, its own among them. Of another process, those that are text or a
            number.
        session: A copy of its user session (see `AsyncServer.get_session`), which is empty at first. Of
            another process, it is in the form that msgpack gives it, and empty if it cannot be sent.
        remote_addr: The address that it has connected from.
        connect_time: When it has connected to the namespace, in Unix seconds.
    """

    sid: str
    namespace: str
    rooms: list[Any]
    session: dict[Any, Any]
    remote_addr: str
    connect_time: float


def packed(remote_socket: RemoteSocket) -> msgspec.Raw:
    """A client in a form that another process can read."""
    if all(isinstance(room, ROOMS) for room in remote_socket.rooms) and _is_sendable(remote_socket):
        return msgspec.Raw(_encode(remote_socket))
    return msgspec.Raw(_packed_in_part(remote_socket))


def _packed_in_part(remote_socket: RemoteSocket) -> bytes:
    rooms = [room for room in remote_socket.rooms if isinstance(room, ROOMS) and _is_sendable(room)]
    session = remote_socket.session
    if not _is_sendable(session):
        session = {}
        _warn(remote_socket.sid)
    return _encode(msgspec.structs.replace(remote_socket, rooms=rooms, session=session))


def _is_sendable(value: Any) -> bool:
    try:
        _encode(value)
    except Exception:  # whatever the encoder meets in a session
        return False
    return True


def _warn(sid: str) -> None:
    global _warned_at
    if time.monotonic() >= _warned_at + WARNING_INTERVAL:
        _warned_at = time.monotonic()
        logger.warning(
            "the user session of client %s cannot be sent to another process, which sees an empty one: "
            "fetch_sockets() gives what msgpack can encode",
            printable(sid),
        )
