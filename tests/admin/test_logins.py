"""Who may use the Admin UI."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncsock import AsyncServer
from tests.admin.conftest import Instrumented
from tests.support.admin_clients import refusal, watching
from tests.support.log_records import recorded
from tests.support.socketio_in_process import opened

RIGHT = {"username": "admin", "password": "secret"}


def function(given: Any) -> bool:
    return bool(given == RIGHT)


async def coroutine_function(given: Any) -> bool:
    await asyncio.sleep(0)
    return bool(given == RIGHT)


def test_auth_has_to_be_given() -> None:
    with pytest.raises(ValueError, match="auth"):
        AsyncServer().instrument()


@pytest.mark.parametrize("auth", [{}, [], [{}]])
def test_an_empty_login_is_refused_at_the_start(auth: Any) -> None:
    with pytest.raises(ValueError, match="empty"):
        AsyncServer().instrument(auth=auth)


@pytest.mark.parametrize("auth", [True, "secret", [RIGHT, "secret"], 0])
def test_a_login_of_another_type_is_refused_at_the_start(auth: Any) -> None:
    with pytest.raises(TypeError, match="auth of type"):
        AsyncServer().instrument(auth=auth)


@pytest.mark.parametrize("given", [None, {"foo": "bar"}])
async def test_with_auth_false_everybody_logs_in(instrumented: Instrumented, given: Any) -> None:
    async with watching(instrumented(), given) as admin:
        await admin.gets("config")


@pytest.mark.parametrize("auth", [RIGHT, [{"foo": "bar"}, RIGHT], function, coroutine_function])
async def test_the_right_login_is_accepted_and_others_are_not(instrumented: Instrumented, auth: Any) -> None:
    server = instrumented(auth=auth)
    async with watching(server, RIGHT) as admin:
        await admin.gets("config")
    for wrong in (None, {"username": "admin", "password": "secre"}, {**RIGHT, "more": 1}, "secret", [RIGHT]):
        assert await refusal(server, wrong) == "invalid credentials"


async def test_a_login_function_that_fails_lets_nobody_in(
    instrumented: Instrumented, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(given: Any) -> bool:
        raise OSError("the database is away")

    await refusal(instrumented(auth=fail), RIGHT)
    assert "the database is away" in caplog.text


async def test_after_ten_wrong_logins_an_address_has_to_wait(
    instrumented: Instrumented, caplog: pytest.LogCaptureFixture
) -> None:
    server = instrumented(auth=RIGHT)
    async with opened(server) as client:  # one connection may ask as often as it likes
        for _ in range(10):
            client.send('40/admin,{"username":"admin","password":"guess"}')
            assert "invalid credentials" in await client.receive()
    assert "too many wrong logins" in await refusal(server, RIGHT)
    assert len(recorded(caplog, 30)) <= 11


async def test_logins_that_are_asked_at_once_are_counted_too(instrumented: Instrumented) -> None:
    asked, answer = [], asyncio.Event()

    async def slow(given: Any) -> bool:
        asked.append(given)
        await answer.wait()
        return False

    server = instrumented(auth=slow)
    waiting = [asyncio.create_task(refusal(server, {"guess": number})) for number in range(30)]
    while sum(task.done() for task in waiting) < 20:
        await asyncio.sleep(0)
    answer.set()
    refusals = await asyncio.gather(*waiting)
    assert len(asked) == 10
    assert sum("too many" in text for text in refusals) == 20


async def test_right_logins_are_not_counted(instrumented: Instrumented) -> None:
    server = instrumented(auth=RIGHT)
    for _ in range(15):
        async with watching(server, RIGHT) as admin:
            await admin.gets("config")


async def test_a_page_that_is_loaded_again_need_not_log_in(instrumented: Instrumented) -> None:
    server = instrumented(auth=RIGHT)
    async with watching(server, RIGHT) as admin:
        [token] = await admin.gets("session")
    async with watching(server, {"sessionId": token}) as admin:
        await admin.gets("config")
    assert await refusal(server, {"sessionId": token[:-1]}) == "invalid credentials"


async def test_who_is_not_logged_in_can_do_nothing(instrumented: Instrumented) -> None:
    server = instrumented(auth=RIGHT)
    async with opened(server) as client, opened(server) as other:
        sid = await other.connect("/foo")
        client.send('40/admin,{"password":"guess"}')
        assert "invalid" in await client.receive()
        client.send(f'42/admin,["_disconnect","/foo",true,"{sid}"]')
        client.send("40/foo,")
        await client.receive()
        assert await other.packets() == []


def test_a_server_is_instrumented_once(instrumented: Instrumented) -> None:
    with pytest.raises(RuntimeError, match="before"):
        instrumented().instrument(auth=False)


@pytest.mark.parametrize(
    ("option", "value"), [("mode", "debug"), ("namespace", "admin"), ("server_stats_interval", 0)]
)
def test_an_option_that_cannot_be_is_refused(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option):
        AsyncServer().instrument(auth=False, **{option: value})


def test_a_namespace_that_has_handlers_is_refused() -> None:
    server = AsyncServer()
    server.on("connect", print, namespace="/admin")
    with pytest.raises(ValueError, match="has handlers already"):
        server.instrument(auth=False)
