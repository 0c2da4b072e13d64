"""The options logger and engineio_logger, and what is logged about requests that are refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from asyncsock import AsyncServer
from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import (
    HANDSHAKE,
    Socket,
    request,
)
from tests.support.engineio_in_process import FOREIGN, PATH, ask, handshake


@contextmanager
def unconfigured(name: str) -> Iterator[None]:
    """Make a logger what it is in a program that configures no logging."""
    logger = logging.getLogger(name)
    before = logger.level, logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [], False
    logger.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[1:]
        logger.setLevel(before[0])


@pytest.fixture(params=[(EngineServer, "asyncsock.engine"), (AsyncServer, "asyncsock.server")])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a server whose logger nobody has configured."""
    kind, name = request.param

    def make(**options: Any) -> Any:
        with unconfigured(name):
            yield kind(**options)

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(contextmanager(make)(**options))


def test_logger_true_shows_info_on_stderr(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    make(logger=True).logger.info("hello")
    assert capsys.readouterr().err == "hello\n"


def test_logger_true_twice_shows_a_line_once(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server = make(logger=True)
    type(server)(logger=True).logger.info("hello")
    assert capsys.readouterr().err == "hello\n"


def test_logger_true_keeps_a_level_that_is_set(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server = make()
    server.logger.setLevel(logging.ERROR)
    type(server)(logger=True).logger.info("hello")
    assert capsys.readouterr().err == ""


def test_logger_false_shows_warnings_only(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    logger = make(logger=False).logger
    logger.info("hello")
    logger.warning("careful")
    assert capsys.readouterr().err == "careful\n"


def test_logger_false_is_silent_under_a_root_logger_at_info(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    server = make(logger=False)
    server.logger.propagate = True
    with caplog.at_level(logging.DEBUG):
        server.logger.info("hello")
        server.logger.debug("hello")
        server.logger.warning("careful")
    assert caplog.messages == ["careful"]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR, logging.WARNING])
def test_logger_false_leaves_a_level_that_is_set(make: Callable[..., Any], level: int) -> None:
    above = logging.getLogger("asyncsock")
    above.setLevel(level)
    try:
        assert make(logger=False).logger.getEffectiveLevel() == level
    finally:
        above.setLevel(logging.NOTSET)


def test_logger_true_shows_what_another_server_has_silenced(make: Callable[..., Any]) -> None:
    server = make(logger=False)
    assert not server.logger.isEnabledFor(logging.INFO)
    assert type(server)(logger=True).logger.isEnabledFor(logging.INFO)
    assert type(server)(logger=False).logger.isEnabledFor(logging.INFO)


async def test_by_default_a_session_logs_nothing_under_a_root_logger_at_info(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ("asyncsock.server", "asyncsock.engine")
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(unconfigured(name))
            logging.getLogger(name).propagate = True
        stack.enter_context(caplog.at_level(logging.INFO))
        server = AsyncServer(logger=False, engineio_logger=False)
        server.on("say", lambda sid, data: data)
        async with Socket(server.handle_request) as socket:
            for packet in ("40", '420["say","hello"]'):
                socket.send(packet)
            for _ in range(3):
                await socket.receive()
            await server.emit("news")
            await server.shutdown()
    assert [record.getMessage() for record in caplog.records if record.name in names] == []


@pytest.mark.parametrize("kind", [EngineServer, AsyncServer])
def test_a_logger_that_is_given_is_used(kind: Callable[..., Any]) -> None:
    mine = logging.getLogger("tests.mine")
    assert kind(logger=mine).logger is mine


def test_the_engine_of_a_server_has_a_logger_option_of_its_own() -> None:
    mine, engines = logging.getLogger("tests.mine"), logging.getLogger("tests.engine")
    server = AsyncServer(logger=mine, engineio_logger=engines)
    assert (server.logger, server.eio.logger) == (mine, engines)


async def test_a_refused_request_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    await ask(EngineServer(), origin=FOREIGN)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("asyncsock.engine", "WARNING")
    assert "Not an accepted origin" in record.getMessage()


async def test_a_refused_origin_is_one_warning_that_names_it_and_the_remedy(
    ws: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with handshake(EngineServer(), ws, {"Origin": FOREIGN}):
        pass
    await ask(EngineServer(), origin=FOREIGN)
    records = [record for record in caplog.records if record.name == "asyncsock.engine"]
    for record, own in zip(records, ["http://127.0.0.1", "http://example.org"], strict=True):
        assert record.levelname == "WARNING"
        assert record.getMessage() == (
            f"GET /engine.io/ refused: 400 Not an accepted origin: name '{FOREIGN}' in cors_allowed_origins"
            f" to let it in (the server's own is '{own}';"
            " a proxy has to pass the Host and X-Forwarded-Proto headers)"
        )


async def test_an_origin_that_is_not_among_those_allowed_is_named(caplog: pytest.LogCaptureFixture) -> None:
    await ask(EngineServer(cors_allowed_origins="http://a.example"), origin=FOREIGN)
    (record,) = caplog.records
    assert record.getMessage().endswith(f"name '{FOREIGN}' in cors_allowed_origins to let it in")


async def test_what_a_client_sends_cannot_break_or_swell_a_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = "http://\x85\x1b[31mERROR fake\u00a0" + "x" * 10_000
    server = EngineServer()
    path = PATH + "\nERROR fake" + "y" * 10_000
    headers = {"Origin": bad, "Host": bad, "X-Forwarded-Host": bad + "2"}
    assert (await request(server.handle_request, "GET", path, HANDSHAKE, headers)).status == 400
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 1500
