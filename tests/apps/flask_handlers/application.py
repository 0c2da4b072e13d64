"""The application, and what its handlers share."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import flask
from flask import Flask

from asyncsock import SocketIO

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

WAIT = 10.0

app = Flask("tests.apps.flask_handlers")
app.config["SECRET_KEY"] = "a secret"
socketio = SocketIO(app, ping_interval=0.2, ping_timeout=20)
request: Any = flask.request  # with the attributes that an event adds

Handler = Callable[..., Any]


def both(function: Handler) -> Handler:
    """Register a function as "function <name>", and what it does as the coroutine "coroutine <name>"."""

    @socketio.on(f"coroutine {function.__name__}")
    async def coroutine(*args: Any) -> Any:
        await asyncio.sleep(0)  # what it needs has to outlive a suspension
        return function(*args)

    socketio.on_event(f"function {function.__name__}", function)
    return function


here: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
here_in_threads: dict[str, threading.Event] = defaultdict(threading.Event)


@socketio.on("release")
async def release(tag: str) -> None:
    here[tag].set()
    here_in_threads[tag].set()


@socketio.on("echo")
async def echo(*args: Any) -> Any:
    return args


def name_of(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__name__}"


calls: Counter[str] = Counter()


def of_kind(kind: str, function: Handler) -> Handler:
    """The function itself, or a coroutine function with its signature."""
    if kind == "function":
        return function
    return _coroutines[function.__code__.co_argcount](function)


def _taking_nothing(function: Handler) -> Handler:
    async def coroutine() -> Any:
        await asyncio.sleep(0)
        return function()

    return coroutine


def _taking_one(function: Handler) -> Handler:
    async def coroutine(value: Any) -> Any:
        await asyncio.sleep(0)
        return function(value)

    return coroutine


_coroutines = [_taking_nothing, _taking_one]


@socketio.on("calls")
async def calls_of(what: str) -> int:
    return calls[what]
