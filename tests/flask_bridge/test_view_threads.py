"""How many views run at once, and answers that need no thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from flask import Flask

from asyncsock import SocketIO
from tests.support.asgi_in_process import request
from tests.support.raw_clients import within


class Views:
    """An application whose view waits until it may end."""

    def __init__(self, **options: Any) -> None:
        app = Flask("app")
        self.socketio = SocketIO(app, **options)
        self.may_end = threading.Event()
        self.begun = threading.Semaphore(0)
        app.add_url_rule("/", view_func=self.view)

    def view(self) -> str:
        self.begun.release()
        self.may_end.wait(20)
        return "ended"

    def load(self) -> tuple[int, int]:
        """How many views run, and how many wait for a thread."""
        running, waiting = self.socketio.asgi_app.other_asgi_app.pool.load()  # type: ignore[union-attr]
        return running, waiting

    async def visit(self, clients: int) -> list[asyncio.Task[Any]]:
        """Visit the view, and wait until as many run as can."""
        visits = [asyncio.ensure_future(request(self.socketio.asgi_app, path="/")) for _ in range(clients)]
        for _ in range(min(clients, self.socketio.server_options.get("view_threads", 64))):
            await within(asyncio.to_thread(self.begun.acquire))
        return visits


async def test_as_many_views_run_at_once_as_there_are_threads_for_them() -> None:
    views = Views(view_threads=3)
    visits = await views.visit(5)
    assert views.load() == (3, 2)
    views.may_end.set()
    assert [(await within(visit)).text for visit in visits] == ["ended"] * 5


async def test_64_views_run_at_once_by_default() -> None:
    views = Views()
    visits = await views.visit(65)
    assert views.load() == (64, 1)
    views.may_end.set()
    await within(asyncio.wait(visits))


@pytest.mark.parametrize("threads", [0, -1])
def test_fewer_than_one_thread_for_views_is_refused(threads: int) -> None:
    with pytest.raises(ValueError, match="view_threads must be at least 1"):
        SocketIO(Flask("app"), view_threads=threads)
