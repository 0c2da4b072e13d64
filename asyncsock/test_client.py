"""The test client, by Flask-SocketIO's name of its module."""

from asyncsock import SocketIOTestClient

__all__ = ["SocketIOTestClient"]
