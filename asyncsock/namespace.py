"""Class-based namespaces, by Flask-SocketIO's name of their module."""

from asyncsock import Namespace

__all__ = ["Namespace"]
