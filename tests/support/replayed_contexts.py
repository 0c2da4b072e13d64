"""The contexts in which Flask handlers run, entered by a test as the server enters them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import pytest
from asgiref.sync import sync_to_async
from werkzeug.test import create_environ

from asyncsock.flask_bridge.context import ConnectionContext
from asyncsock.flask_bridge.event_context import EventContext

flask_request: Any = flask.request  # with the attributes that an event adds
request = flask_request


def environ(app: flask.Flask | None = None, host: str = "localhost", **headers: str) -> dict[str, Any]:
    """What the server makes of a handshake; with an app, it carries the cookies of a visitor named ada."""
    if app is not None:
        client = app.test_client()
        with client.session_transaction() as visitor:
            visitor["user"] = "ada"
        cookie = client.get_cookie("session")
        assert cookie is not None
        headers["Cookie"] = f"session={cookie.value}"
    env = create_environ(
        "/socket.io/",
        f"http://{host}/",
        query_string="EIO=4&transport=websocket&room=7",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        environ_base={"REMOTE_ADDR": "10.1.2.3"},
    )
    env["asgi.scope"] = {"type": "websocket", "path": "/socket.io/"}
    return env


def event(
    connection: ConnectionContext, message: str = "chat", *args: Any, namespace: str = "/"
) -> EventContext:
    return EventContext(connection.replay("sid1", namespace, message, args))


async def in_worker(function: Any, *args: Any) -> Any:
    """Run a function the way in which the server runs `def` handlers."""
    with ThreadPoolExecutor(1) as pool:
        return await sync_to_async(function, thread_sensitive=False, executor=pool)(*args)


def no_context_is_left() -> bool:
    return not flask.has_app_context() and not flask.has_request_context()


async def in_coroutine(connection: ConnectionContext, handler: Any) -> Any:
    async with event(connection):
        result = handler()
        await asyncio.sleep(0)
    assert no_context_is_left()
    return result


async def in_function(connection: ConnectionContext, handler: Any) -> Any:
    def work() -> Any:
        with event(connection):
            return handler()

    result = await in_worker(work)
    assert no_context_is_left()
    return result


both_kinds = pytest.mark.parametrize("run", [in_coroutine, in_function])
