"""Socket.IO for Flask on asyncio."""

from socketio.exceptions import ConnectionRefusedError

from .asgi import ASGIApp
from .flask_bridge.extension import SocketIO
from .flask_bridge.functions import (
    call,
    close_room,
    disconnect,
    emit,
    join_room,
    leave_room,
    presence,
    rooms,
    send,
    track,
    untrack,
)
from .flask_bridge.namespace import Namespace
from .flask_bridge.testing import SocketIOTestClient
from .operations import AnswersMissing, RemoteSocket
from .server import AsyncServer
from .typed.event_type import EventType
from .typed.invalid_payload import InvalidPayload

__version__ = "0.1.0"

__all__ = [
    "ASGIApp",
    "AnswersMissing",
    "AsyncServer",
    "ConnectionRefusedError",
    "EventType",
    "InvalidPayload",
    "Namespace",
    "RemoteSocket",
    "SocketIO",
    "SocketIOTestClient",
    "call",
    "close_room",
    "disconnect",
    "emit",
    "join_room",
    "leave_room",
    "presence",
    "rooms",
    "send",
    "track",
    "untrack",
]
