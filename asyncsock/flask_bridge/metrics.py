"""The metrics of the Flask side: threads, and requests to the application."""

from __future__ import annotations

from ..observing.reading import Reading
from .threads import ThreadPool
from .wsgi import WsgiApp


class FlaskSource:
    """Adds to a reading what there is to know of an application.

    Args:
        pools: The threads that work for it, by what they do.
        app: The application, if this server serves it.
    """

    def __init__(self, pools: dict[str, ThreadPool], app: WsgiApp | None) -> None:
        self._pools = pools
        self._app = app

    def __call__(self, reading: Reading) -> None:
        for name, pool in self._pools.items():
            busy, waiting = pool.load()
            reading.add("threads_busy", busy, name)
            reading.add("thread_jobs_waiting", waiting, name)
        if self._app is not None:
            reading.add_all("http_requests_total", self._app.answered)
