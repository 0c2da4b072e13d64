"""The access log of requests that the engine does not answer itself."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from uvicorn.logging import AccessFormatter

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.uvicorn.access_log import FORMAT, MESSAGE, NAME, AccessLog
from tests.support.asgi_in_process import other
from tests.support.raw_clients import RawSocket
from tests.support.uvicorn_in_process import running

REQUESTS = [
    b"GET /page?a=%20&b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /%C5%BE%20 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
    b"GET /page HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n",
    b"GET /page HTTP/1.0\r\n\r\n",
]


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_it_has_the_lines_that_uvicorn_would_have_written(
    http: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = ASGIApp(EngineServer(), other)

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    async def logged(served: Any) -> list[tuple[Any, ...]]:
        """What is logged of the requests, with the clients' ports left out."""
        found: list[tuple[Any, ...]] = []
        async with running(served, http=http) as local:
            for request in REQUESTS:
                caplog.clear()
                async with await RawSocket.connect(local) as raw:
                    port = str(raw.writer.get_extra_info("sockname")[1])
                    await raw.send(request)
                    assert (await raw.response_head())[0] == 200
                [record] = [each for each in caplog.records if each.name == "uvicorn.access"]
                found.append((record.levelno, record.msg, str(record.args).replace(port, "port")))
        return found

    with caplog.at_level(logging.INFO, "uvicorn.access"):
        assert await logged(app) == await logged(wrapper)


def test_it_can_be_used_as_the_logger_that_it_replaces(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog()
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        log.info("a line of %s", "another uvicorn")
        log.warning("another line")
    assert [record.getMessage() for record in caplog.records] == ["a line of another uvicorn", "another line"]
    assert log.name == "uvicorn.access"


# uvicorn's own configuration: no record is made for a line


ANSWERED = ("203.0.113.7:5000", "GET", "/page?a=%20", 200)
LINE = 'INFO:     203.0.113.7:5000 - "GET /page?a=%20 HTTP/1.1" 200 OK\n'
logger = logging.getLogger(NAME)


class Stream(io.StringIO):
    """A stream that knows what of it has been flushed."""

    flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()


class Loud(Stream):
    """A stream in capital letters."""

    def write(self, text: str) -> int:
        return super().write(text.upper())


class Kept(logging.Handler):
    """A handler that keeps its records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.StreamHandler[Stream]]:
    """The handler of the access log, as uvicorn configures it, with a stream of the test's.

    No fixture: pytest adds handlers of its own when the fixtures are made.
    """
    handler = logging.StreamHandler(Stream())
    handler.setFormatter(AccessFormatter(FORMAT, use_colors=False))
    level = logger.level
    with monkeypatch.context() as patch:
        for name, value in {"handlers": [handler], "filters": [], "propagate": False}.items():
            patch.setattr(logger, name, value)
        logger.setLevel(logging.INFO)
        try:
            yield handler
        finally:
            logger.setLevel(level)


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of the records that are made."""
    made: list[Any] = []
    make = AccessLog._like_first

    def like_first(self: AccessLog, arguments: tuple[object, ...]) -> logging.LogRecord:
        made.append(arguments)
        return make(self, arguments)

    monkeypatch.setattr(AccessLog, "_like_first", like_first)
    return made


def test_a_line_is_written_and_flushed_at_once_and_no_record_is_made(
    monkeypatch: pytest.MonkeyPatch, records: list[Any]
) -> None:
    with configured(monkeypatch) as handler:
        log = AccessLog()
        for lines in (1, 2):
            log(*ANSWERED)
            assert handler.stream.flushed == lines * LINE
    assert not records


Change = Callable[[logging.StreamHandler[Stream], pytest.MonkeyPatch, Kept], None]
CHANGES: dict[str, Change] = {
    "another handler": lambda handler, patch, kept: logger.addHandler(kept),
    "a handler above": lambda handler, patch, kept: (
        patch.setattr(logger, "propagate", True),
        # not the root's: once uvicorn is configured, its own logger does not propagate
        patch.setattr(logging.getLogger("uvicorn"), "handlers", [kept]),
    ),
    "a filter": lambda handler, patch, kept: logger.addFilter(lambda record: False),
    "a filter of the handler": lambda handler, patch, kept: handler.addFilter(lambda record: False),
    "a level": lambda handler, patch, kept: logger.setLevel(logging.WARNING),
    "a level of the handler": lambda handler, patch, kept: handler.setLevel(logging.WARNING),
    "disabled": lambda handler, patch, kept: patch.setattr(logger, "disabled", True),
    "a formatter": lambda handler, patch, kept: handler.setFormatter(logging.Formatter("%(message)s")),
    "a stream": lambda handler, patch, kept: handler.setStream(Loud()),
    "a terminator": lambda handler, patch, kept: patch.setattr(handler, "terminator", "\r\n"),
    "a method of the handler": lambda handler, patch, kept: patch.setattr(handler, "emit", kept.emit),
    "a method of the logger": lambda handler, patch, kept: patch.setattr(logger, "handle", kept.emit),
    "a method of all handlers": lambda handler, patch, kept: patch.setattr(
        logging.StreamHandler, "emit", lambda self, record: kept.emit(record)
    ),
    "a method of all loggers": lambda handler, patch, kept: patch.setattr(
        logging.Logger, "callHandlers", lambda self, record: kept.emit(record)
    ),
}


@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("change", list(CHANGES))
def test_what_a_program_has_changed_in_logging_holds(
    monkeypatch: pytest.MonkeyPatch, change: str, when: str
) -> None:
    kept = Kept()

    def seen() -> tuple[str, list[str]]:
        texts = handler.stream.getvalue(), [record.getMessage() for record in kept.records]
        kept.records.clear()
        handler.stream.seek(0)
        handler.stream.truncate()
        return texts

    with configured(monkeypatch) as handler, monkeypatch.context() as patch:
        if when == "before":
            CHANGES[change](handler, patch, kept)
        log = AccessLog()
        if when == "meanwhile":
            log(*ANSWERED)
            assert seen() == (LINE, [])
            CHANGES[change](handler, patch, kept)
        log(*ANSWERED)
        ours = seen()
        logger.info(MESSAGE, *ANSWERED[:3], "1.1", ANSWERED[3])
        assert ours == seen()
        assert ours != (LINE, [])


def test_a_stream_that_fails_is_reported_as_by_logging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], records: list[Any]
) -> None:
    with configured(monkeypatch) as handler:
        log = AccessLog()
        handler.stream.close()
        log(*ANSWERED)
    report = capsys.readouterr().err
    assert report.startswith("--- Logging error ---")
    assert "I/O operation on closed file" in report
    assert "203.0.113.7:5000" in report
    assert len(records) == 1
