"""A server of python-socketio's in our ASGI application."""

from __future__ import annotations

import socketio

from asyncsock import ASGIApp

asgi = ASGIApp(socketio.AsyncServer(async_mode="asgi"))
