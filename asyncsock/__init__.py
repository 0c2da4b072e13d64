"""Socket.IO for Flask on asyncio."""

from socketio.exceptions import ConnectionRefusedError

from .asgi import ASGIApp
from .flask_bridge.extension import SocketIO
from .flask_bridge.functions import call, close_room, disconnect, emit, join_room, leave_room, rooms, send
from .flask_bridge.namespace import Namespace
from .flask_bridge.testing import SocketIOTestClient
from .server import AsyncServer

__all__ = [
    "ASGIApp",
    "AsyncServer",
    "ConnectionRefusedError",
    "Namespace",
    "SocketIO",
    "SocketIOTestClient",
    "call",
    "close_room",
    "disconnect",
    "emit",
    "join_room",
    "leave_room",
    "rooms",
    "send",
]
