"""The shortest way from a message to its handler, for what clients send most.

That is a small event in the main namespace with a handler of its own, in JSON without attachments. One
function does for it what the methods of `ReceivingServer` do, one after another, for any message. Whatever
else it meets, or cannot make out, it leaves to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .codec.base import EVENT, SHALLOW, WITHOUT_HANDLER, Incoming
from .codec.json_codec import NOT_DECODED, decode_json, may_be_deep
from .connection import CONNECTED
from .engine.session import Session

if TYPE_CHECKING:
    from .incoming import ReceivingServer

ID_DIGITS = 15  # enough for every id below 2**53 but the largest, which go the long way


def make_shortcut(server: ReceivingServer) -> Callable[[Session, str | bytes], bool]:
    """A function that handles a session's message and returns True, or does nothing and returns False."""
    connections, handlers, eio = server.connections, server.handlers, server.eio

    def handle(session: Session, message: str | bytes) -> bool:
        if type(message) is not str or message[:2] != "42":
            return False
        if len(message) > SHALLOW and may_be_deep(message):
            return False
        start = message.find("[")
        id = None
        if start != 2:
            digits = message[2:start]
            if start < 0 or start > 2 + ID_DIGITS or not (digits.isascii() and digits.isdigit()):
                return False
            id = int(digits)
        try:
            data = decode_json(message[start:])
        except NOT_DECODED:
            return False
        if not data or type(event := data[0]) is not str or event in WITHOUT_HANDLER:
            return False
        registered = handlers.get("/")
        if registered is None or (handler := registered.get(event)) is None or eio.closing:
            return False
        connection = connections[session.sid]
        client = connection.clients.get("/")
        if client is None or client.state is not CONNECTED or connection.partial is not None:
            return False
        data[0] = sid = client.sid  # from here on, the arguments
        args = tuple(data)
        data[0] = event  # as in every packet
        packet = Incoming(EVENT, "/", id, data)
        eio.tasks.start(server._run_event(handler, args, connection, sid, packet), packet, session.sid)
        return True

    return handle
