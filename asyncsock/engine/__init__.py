"""Engine.IO 4 on asyncio, usable on its own: `EngineServer` served by `asyncsock.ASGIApp`."""

from .server import EngineServer

__all__ = ["EngineServer"]
