"""A Flask application for tests of what its Socket.IO handlers can do.

Most handlers exist twice: "coroutine <name>" is a coroutine function, "function <name>" a function. The tests
of each module here are in the module of tests/flask_handlers with its name.
"""

from __future__ import annotations

from tests.apps.flask_handlers import (  # noqa: F401 - their handlers are registered
    answers,
    coming_and_going,
    emitting,
    errors,
    functions,
    order,
    registration,
    what_handlers_see,
)
from tests.apps.flask_handlers.application import socketio

asgi = socketio.asgi_app
