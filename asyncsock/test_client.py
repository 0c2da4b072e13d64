"""The test clients, by Flask-SocketIO's name of its module."""

from asyncsock import SocketIOTestClient
from asyncsock.flask_bridge.testing import AsyncSocketIOTestClient

__all__ = ["AsyncSocketIOTestClient", "SocketIOTestClient"]
