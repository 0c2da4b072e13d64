"""Handlers of all kinds and names, and those that begin with a library that needs a task."""

from __future__ import annotations

import asyncio
from functools import partial, wraps
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import httpx

from tests.apps.flask_handlers.application import WAIT, Handler, request, socketio


@socketio.on("asyncio.timeout")
async def use_timeout() -> list[str]:
    async with asyncio.timeout(WAIT):  # type: ignore[attr-defined,unused-ignore]
        await asyncio.sleep(0)
    try:
        async with asyncio.timeout(0):  # type: ignore[attr-defined,unused-ignore]
            await asyncio.sleep(WAIT)
    except TimeoutError:
        return ["in time", "too late"]
    return ["never"]


@socketio.on("asyncio.TaskGroup")
async def use_task_group() -> list[str]:
    async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
        tasks = [group.create_task(asyncio.sleep(0, text)) for text in ("one", "two")]
    return [task.result() for task in tasks]


@socketio.on("asyncio.wait_for")
async def use_wait_for() -> list[str]:
    first = await asyncio.wait_for(asyncio.sleep(0, "in time"), WAIT)
    try:
        await asyncio.wait_for(asyncio.sleep(WAIT), 0.001)
    except asyncio.TimeoutError:
        return [first, "too late"]
    return ["never"]


@socketio.on("anyio.move_on_after")
async def use_move_on_after() -> list[bool]:
    with anyio.move_on_after(0.001) as scope:
        await anyio.sleep(WAIT)
    return [scope.cancelled_caught]


@socketio.on("anyio.create_task_group")
async def use_anyio_task_group() -> list[str]:
    found: list[str] = []

    async def find(text: str) -> None:
        await anyio.lowlevel.checkpoint()
        found.append(text)

    async with anyio.create_task_group() as group:
        group.start_soon(find, "one")
        group.start_soon(find, "two")
    return sorted(found)


@socketio.on("httpx.AsyncClient")
async def use_httpx() -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{request.host_url}session")).json()


@socketio.on("aiohttp.ClientSession")
async def use_aiohttp() -> Any:
    async with aiohttp.ClientSession() as client, client.get(f"{request.host_url}session") as answer:
        return await answer.json()


@socketio.event
async def named_after_the_coroutine(value: Any) -> Any:
    return value


@socketio.event
def named_after_the_function(value: Any) -> Any:
    return value


@socketio.event(namespace="/named")
async def named_in_a_namespace(value: Any) -> Any:
    return request.namespace, value


@socketio.on("stacked one")
@socketio.on("stacked two")
@socketio.on("stacked three", namespace="/named")
def stacked() -> Any:
    return request.namespace, request.event["message"]


@socketio.on("*", namespace="/catching")
async def catch_in_coroutine(event: str, *args: Any) -> Any:
    return "coroutine", event, request.sid, list(args)


@socketio.on("*", namespace="/catching-in-function")
def catch_in_function(event: str, *args: Any) -> Any:
    return "function", event, request.sid, list(args)


@socketio.on("known", namespace="/catching")
async def known() -> str:
    return "known"


def decorated(function: Handler) -> Handler:
    """What a project's own decorators look like: a function around a handler of any kind."""

    @wraps(function)
    def wrapper(*args: Any) -> Any:
        return function("decorated", *args)

    return wrapper


def decorated_with_coroutine(function: Handler) -> Handler:
    """A coroutine function around a function."""

    @wraps(function)
    async def wrapper(*args: Any) -> Any:
        await asyncio.sleep(0)
        return function("decorated", *args)

    return wrapper


@socketio.on("a function around a coroutine function")
@decorated
async def decorated_coroutine(*args: Any) -> Any:
    await asyncio.sleep(0)
    return args, request.event["message"]


@socketio.on("a function around a function")
@decorated
def decorated_function(*args: Any) -> Any:
    return args, request.event["message"]


@socketio.on("a coroutine function around a function")
@decorated_with_coroutine
def decorated_into_coroutine(*args: Any) -> Any:
    return args, request.event["message"]


class Bound:
    async def coroutine(self, *args: Any) -> Any:
        await asyncio.sleep(0)
        return args, request.event["message"]

    def function(self, *args: Any) -> Any:
        return args, request.event["message"]

    async def __call__(self, *args: Any) -> Any:
        return await self.coroutine(*args)


socketio.on_event("a bound coroutine function", partial(Bound().coroutine, "decorated"))
socketio.on_event("a bound function", partial(Bound().function, "decorated"))
socketio.on_event("an object whose call is a coroutine function", Bound())
