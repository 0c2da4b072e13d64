"""Checks for setups that cannot work. Each raises or logs one error that names the remedy."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import threading

ASYNC_MODES = (None, "asgi", "asyncio", "threading")
START = (
    "`flask --app ... socketio run` or socketio.run(app) in development, `uvicorn module:asgi` in "
    "production, where the module has `asgi = socketio.asgi_app`"
)
NOT_ASGI = (
    "the ASGI server was given the Flask application, which is no ASGI application, as in `uvicorn "
    "module:app`: every request fails. Give it socketio.asgi_app: with `asgi = socketio.asgi_app` in the "
    "module, start `uvicorn module:asgi`, or gunicorn with uvicorn's worker and module:asgi"
)

GREENLET = (
    "a handler or a view has started a greenlet, as with gevent.spawn(), and no gevent loop runs here: it "
    "runs only while its thread waits in gevent, otherwise never. Use socketio.start_background_task(), "
    "socketio.sleep() for gevent.sleep(), and queue.Queue or asyncio.Queue for gevent's queues"
)

logger = logging.getLogger("asyncsock.wsgi")


def refuse_other_loops(async_mode: str | None) -> None:
    """Refuse an ``async_mode`` that means eventlet or gevent.

    Raises:
        ValueError: It means one of them, or is unknown.
    """
    if async_mode not in ASYNC_MODES:
        raise ValueError(
            f"async_mode={async_mode!r}: asyncsock runs on asyncio only. Remove async_mode and any monkey "
            "patching, and start the application with `uvicorn module:asgi` or socketio.run(app)"
        )


def refuse_monkey_patching() -> None:
    """Refuse to run where eventlet or gevent has replaced the parts of Python that asyncio stands on.

    Raises:
        RuntimeError: One of them has done so.
    """
    for package, module, ask, call in (
        ("eventlet", "eventlet.patcher", "is_monkey_patched", "eventlet.monkey_patch()"),
        ("gevent", "gevent.monkey", "is_module_patched", "gevent.monkey.patch_all()"),
    ):
        is_patched = getattr(sys.modules.get(module), ask, None)
        if is_patched is not None and any(map(is_patched, ("socket", "select", "thread", "_thread", "time"))):
            raise RuntimeError(
                f"{package} has monkey-patched Python, and asyncsock runs on asyncio: remove {call} and any "
                f"{package} worker class, and start the application with {START}"
            )


class _CalledAsASGI(logging.Filter):
    """Looks at what uvicorn logs, and says once what to start where it called a WSGI application.

    uvicorn gives it one argument or three, so that Python refuses the call and none of our code runs.
    """

    said = False

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not self.said and isinstance(error, TypeError):
            text = str(error)
            if "__call__() " in text and ("'start_response'" in text or "takes 3 positional" in text):
                self.said = True
                logger.error(NOT_ASGI)
        return True


_called_as_asgi = _CalledAsASGI()


def watch_uvicorn() -> None:
    """Have the log say what to start where uvicorn, or gunicorn's uvicorn worker, serves the Flask object."""
    logging.getLogger("uvicorn.error").addFilter(_called_as_asgi)


def watch_greenlets() -> None:
    """Have the log say what to use, once, where a handler or a view starts a greenlet of gevent's.

    gevent tells us of each, so that no event pays for it. Where it is imported later, nobody is told.
    """
    gevent = sys.modules.get("gevent")
    if gevent is not None:
        gevent.Greenlet.add_spawn_callback(_look_at_greenlet)


def _look_at_greenlet(greenlet: object) -> None:
    on_a_loop = asyncio._get_running_loop() is not None
    if on_a_loop or threading.current_thread().name.startswith("asyncsock-"):
        _warn_of_greenlets()


@functools.cache
def _warn_of_greenlets() -> None:
    logger.warning(GREENLET)
