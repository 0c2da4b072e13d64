"""What another user of this machine can do with what workers and processes have in a directory."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


async def as_nobody(act: Callable[[Path], bool], path: Path) -> bool:
    """Whether a function returns True for a path in a process of another user."""
    return await asyncio.to_thread(_as_nobody, act, path)


def _as_nobody(act: Callable[[Path], bool], path: Path) -> bool:
    child = os.fork()
    if child == 0:
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os._exit(0 if act(path) else 1)
        except BaseException:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def is_kept_out(path: Path) -> bool:
    """Whether the directory cannot be listed, nor a socket in it connected to."""
    for attempt in (
        lambda: os.listdir(path.parent),
        lambda: socket.socket(socket.AF_UNIX).connect(str(path)),
    ):
        try:
            attempt()
        except PermissionError:
            continue
        return False
    return True


def is_hung_up_on(path: Path) -> bool:
    """Whether a connection to a socket is closed at once."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        return connection.recv(1) == b""


def hears_nothing(path: Path) -> bool:
    """Whether what connects to a socket here says nothing."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(5)
        with listener.accept()[0] as connection:
            return connection.recv(1) == b""
