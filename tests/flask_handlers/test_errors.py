"""Errors in handlers."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.flask_visitors import KINDS, both_kinds, in_namespaces
from tests.support.python_socketio_client import Client, connected, tags
from tests.support.server_process import Server


@both_kinds
async def test_a_handlers_exception_is_logged_with_its_traceback_and_the_next_event_works(
    server: Server, client: Client, kind: str
) -> None:
    tag = next(tags)
    await client.emit(f"{kind} fail_with", tag)
    log = await asyncio.to_thread(server.wait_for_log, f"LookupError: {tag}")
    assert "Traceback (most recent call last)" in log
    assert "raise LookupError(text)" in log
    assert await client.call("echo", "still here") == "still here"


@both_kinds
async def test_a_handlers_own_type_error_is_logged_as_itself(
    server: Server, client: Client, kind: str
) -> None:
    start = len(server.log())
    await client.emit(f"{kind} fail_with_type_error")
    await asyncio.to_thread(server.wait_for_log, "len(7)", start=start)
    assert await client.call("calls", f"{kind} fail_with_type_error") == 1


@both_kinds
async def test_arguments_that_a_handler_does_not_take_are_logged(
    server: Server, client: Client, kind: str
) -> None:
    start = len(server.log())
    await client.emit(f"{kind} wants_one", 1, 2)
    await asyncio.to_thread(server.wait_for_log, "wants_one() takes 1 positional argument", start=start)
    assert await client.call(f"{kind} wants_one", 1) == 1


@pytest.mark.parametrize("error_handler", KINDS)
@both_kinds
async def test_the_result_of_on_error_is_the_acknowledgement(
    server: Server, kind: str, error_handler: str
) -> None:
    namespace = f"/{error_handler}-errors"
    async with in_namespaces(server, namespace) as client:
        answer = await client.call(f"{kind} fail", "why", namespace=namespace)
        sid = client.socket.get_sid(namespace)
        assert answer == ["handled", "builtins.LookupError", "why", f"{kind} fail", sid]


@both_kinds
async def test_the_result_of_on_error_default_is_the_acknowledgement(factory: Server, kind: str) -> None:
    async with connected(factory.url, mode="websocket") as client:
        assert await client.call(f"{kind} fail") == ["handled", "LookupError", f"{kind} fail", "/"]
