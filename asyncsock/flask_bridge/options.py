"""The options of `SocketIO`; unknown ones are ignored or refused."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from ..engine.signatures import nearest, refuse_misspelt
from ..server import AsyncServer
from .runner import Runner
from .wsgi import VIEW_THREADS

OWN_OPTIONS: dict[str, Any] = {  # with their defaults
    "async_mode": None,
    "channel": "flask-socketio",
    "manage_session": True,
    "message_queue": None,
    "path": None,
    "resource": None,
    "view_threads": VIEW_THREADS,
}


def without_unknown(options: dict[str, Any]) -> dict[str, Any]:
    """The options that `SocketIO` has. The others are left out, with one warning.

    Raises:
        TypeError: One is an option misspelt.
    """
    known = OWN_OPTIONS.keys() | AsyncServer.option_names()
    unknown = options.keys() - known
    if not unknown:
        return options
    refuse_misspelt("SocketIO", unknown, known)
    said = ", ".join(_ignored(name, known) for name in sorted(unknown))
    warnings.warn(f"SocketIO() ignores {said}. Remove what it ignores", stacklevel=3)
    return {name: value for name, value in options.items() if name in known}


def _ignored(name: str, known: set[str]) -> str:
    if name in inspect.signature(Runner.run).parameters:
        return f"{name!r} (it is an option of run())"
    similar = nearest(name, known)
    return f"{name!r} (the nearest option is {similar!r})" if similar else f"{name!r}"
