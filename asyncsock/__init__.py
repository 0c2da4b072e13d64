"""Socket.IO for Flask on asyncio."""

from .asgi import ASGIApp
from .server import AsyncServer

__all__ = ["ASGIApp", "AsyncServer"]
