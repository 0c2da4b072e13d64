"""Flask's session in handlers: the connection's own, or the one that the application's interface keeps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import pytest
from flask import current_app, g, session
from flask.sessions import SecureCookieSessionInterface, SessionInterface, SessionMixin

from asyncsock.flask_bridge.context import ConnectionContext
from asyncsock.flask_bridge.thread_calls import CallPool
from tests.support.replayed_contexts import (
    both_kinds,
    environ,
    event,
    flask_request,
    in_coroutine,
    in_function,
    in_worker,
    no_context_is_left,
    request,
)

# The session that the connection keeps (manage_session=True)


@both_kinds
async def test_a_handler_sees_the_visitors_session(app: flask.Flask, run: Any) -> None:
    assert await run(ConnectionContext(app, environ(app)), lambda: session["user"]) == "ada"


def test_changes_to_the_session_last_for_the_connection_in_all_its_namespaces(app: flask.Flask) -> None:
    connection = ConnectionContext(app, environ(app))
    with event(connection):
        session["count"] = 1
        del session["user"]
    with event(connection, namespace="/other"):
        assert dict(session) == {"count": 1}
    with event(ConnectionContext(app, environ(app))):
        assert dict(session) == {"user": "ada"}


async def test_events_in_coroutines_and_in_threads_share_the_session(app: flask.Flask) -> None:
    connection = ConnectionContext(app, environ())

    def write() -> None:
        session["from"] = "thread"

    await in_function(connection, write)
    assert await in_coroutine(connection, lambda: session["from"]) == "thread"


def test_the_first_events_of_a_connection_in_many_threads_share_one_session(app: flask.Flask) -> None:
    connection = ConnectionContext(app, environ())
    ready = threading.Barrier(8)

    def handle(number: int) -> None:
        with event(connection):
            ready.wait(10)
            session[str(number)] = number

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(handle, range(8)))
    with event(connection):
        assert len(session) == 8


def test_without_a_secret_key_the_connection_still_has_a_session() -> None:
    connection = ConnectionContext(flask.Flask("keyless"), environ())
    with event(connection):
        session["x"] = 1
    with event(connection):
        assert session["x"] == 1


def test_the_kept_session_has_the_attributes_of_a_session(app: flask.Flask) -> None:
    with event(ConnectionContext(app, environ())):
        session.permanent = True
        assert session.permanent
        assert session.modified
        assert not session.new


class Store(SessionInterface):
    """A server-side store that notes who asks it, and that can be made slow or to fail."""

    class Session(dict[str, Any], SessionMixin):
        def __init__(self, values: MutableMapping[str, Any]) -> None:
            super().__init__(values)
            self.modified = False

        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, value)
            self.modified = True

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"user": "ada"}
        self.opened: list[int] = []
        self.saved: list[int] = []
        self.messages: list[str] = []
        self.hold: dict[str, threading.Event] = {}
        self.fails = ""

    def open_session(self, app: flask.Flask, request: flask.Request) -> Session:
        assert current_app.name == app.name
        message = flask_request.event["message"]
        assert flask_request._get_current_object() is request
        g.opened_for = message
        if message in self.hold:
            assert self.hold[message].wait(10)
        if self.fails == "open":
            raise OSError("store is away")
        self.opened.append(threading.get_ident())
        self.messages.append(message)
        return self.Session(self.values)

    def save_session(self, app: flask.Flask, session: SessionMixin, response: flask.Response) -> None:
        assert isinstance(response, app.response_class)
        assert flask_request.sid
        if self.fails == "save":
            raise OSError("store is away")
        self.saved.append(threading.get_ident())
        self.values = dict(session)


@pytest.fixture
def store(app: flask.Flask) -> Store:
    store = Store()
    app.session_interface = store
    return store


async def test_a_kept_session_is_read_from_the_store_once_off_the_loop_and_never_saved(
    app: flask.Flask, store: Store
) -> None:
    connection = ConnectionContext(app, environ())
    for count in range(3):
        async with event(connection):
            session["count"] = count
    assert len(store.opened) == 1
    assert threading.get_ident() not in store.opened
    assert store.values == {"user": "ada"}


# The session that the app's interface opens and saves for each event (manage_session=False)


@both_kinds
async def test_an_unmanaged_session_is_opened_and_saved_around_each_event(
    app: flask.Flask, store: Store, run: Any
) -> None:
    connection = ConnectionContext(app, environ(), manage_session=False)

    def handler() -> None:
        assert g.opened_for == "chat"
        session["count"] = session.get("count", 0) + 1
        assert store.values.get("count", 0) == session["count"] - 1

    for _ in range(2):
        await run(connection, handler)
    assert store.values == {"user": "ada", "count": 2}
    assert len(store.opened) == len(store.saved) == 2
    assert threading.get_ident() not in store.opened + store.saved


async def test_an_unmodified_session_is_not_saved(app: flask.Flask, store: Store) -> None:
    await in_coroutine(ConnectionContext(app, environ(), manage_session=False), lambda: session["user"])
    assert store.saved == []


@both_kinds
async def test_the_session_of_a_handler_that_fails_is_not_saved(
    app: flask.Flask, store: Store, run: Any
) -> None:
    def handler() -> None:
        session["half"] = True
        raise ValueError

    with pytest.raises(ValueError):
        await run(ConnectionContext(app, environ(), manage_session=False), handler)
    assert store.saved == []


@both_kinds
@pytest.mark.parametrize("moment", ["open", "save"])
async def test_a_failing_store_raises_tears_down_and_leaves_no_context(
    app: flask.Flask, store: Store, run: Any, moment: str
) -> None:
    errors: list[Any] = []
    app.teardown_appcontext(errors.append)
    store.fails = moment

    def handler() -> None:
        session["x"] = 1

    with pytest.raises(OSError, match="store is away"):
        await run(ConnectionContext(app, environ(), manage_session=False), handler)
    assert [type(error) for error in errors] == [OSError]
    assert no_context_is_left()


@pytest.mark.parametrize("manage_session", [True, False])
async def test_events_start_in_order_when_the_store_is_slow(
    app: flask.Flask, store: Store, manage_session: bool
) -> None:
    store.hold = {"first": threading.Event()}
    connection = ConnectionContext(app, environ(), manage_session=manage_session)
    started: list[str] = []

    async def coroutine(message: str) -> None:
        async with event(connection, message):
            started.append(request.event["message"])

    async def function(message: str) -> None:
        context = event(connection, message)
        await context.open()

        def work() -> None:
            with context:
                started.append(request.event["message"])

        await in_worker(work)

    tasks = [
        asyncio.create_task(coroutine("first")),
        asyncio.create_task(coroutine("second")),
        asyncio.create_task(function("third")),
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    assert started == []
    store.hold["first"].set()
    await asyncio.gather(*tasks)
    assert started == ["first", "second", "third"]
    assert store.messages == (["first"] if manage_session else ["first", "second", "third"])


async def test_a_slow_store_of_one_connection_does_not_hold_another(app: flask.Flask, store: Store) -> None:
    store.hold = {"slow": threading.Event()}

    async def handle(message: str) -> None:
        async with event(ConnectionContext(app, environ(), manage_session=False), message):
            pass

    slow = asyncio.create_task(handle("slow"))
    await handle("quick")
    assert not slow.done()
    store.hold["slow"].set()
    await slow


@pytest.mark.parametrize("blocks", ["saving", "teardown"])
async def test_what_blocks_after_the_events_of_one_connection_does_not_hold_another(
    app: flask.Flask, store: Store, monkeypatch: pytest.MonkeyPatch, blocks: str
) -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def block(*args: Any) -> None:
        if request.event["message"] == "slow":
            begun.release()
            release.wait(10)

    if blocks == "saving":
        monkeypatch.setattr(store, "save_session", block)
    else:

        @app.teardown_appcontext
        async def teardown(error: BaseException | None) -> None:
            pass

        app.teardown_request(block)

    async def handle(connection: ConnectionContext, message: str) -> None:
        async with event(connection, message):
            session["x"] = 1

    with CallPool(4) as pool:
        slow, quick = [
            ConnectionContext(app, environ(), manage_session=False, threads=pool) for _ in range(2)
        ]
        tasks = [asyncio.create_task(handle(slow, "slow")) for _ in range(10)]
        for _ in range(2):
            assert await asyncio.to_thread(begun.acquire, timeout=10)
        for _ in range(10):
            await asyncio.wait_for(handle(quick, "quick"), 10)
        assert not any(task.done() for task in tasks)
        release.set()
        await asyncio.gather(*tasks)


async def test_a_store_is_asked_in_the_threads_that_were_given(app: flask.Flask, store: Store) -> None:
    with CallPool(1) as pool:
        ident = pool.submit(threading.get_ident).result()
        async with event(ConnectionContext(app, environ(), manage_session=False, threads=pool)):
            session["x"] = 1
    assert store.opened == store.saved == [ident]


async def test_cookie_sessions_are_opened_and_saved_on_the_loop(
    app: flask.Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = ConnectionContext(app, environ(app), manage_session=False)
    calls: list[Any] = []
    save = SecureCookieSessionInterface.save_session

    def note(*args: Any) -> None:
        calls.append(threading.get_ident())
        save(*args)

    monkeypatch.setattr(SecureCookieSessionInterface, "save_session", note)
    async with event(connection):
        session["x"] = 1
    assert calls == [threading.get_ident()]
    async with event(connection):
        assert dict(session) == {"user": "ada"}


async def test_a_cookie_interface_with_its_own_store_is_asked_off_the_loop(app: flask.Flask) -> None:
    threads: list[int] = []

    class Noting(SecureCookieSessionInterface):
        def open_session(self, app: flask.Flask, request: flask.Request) -> Any:
            threads.append(threading.get_ident())
            return super().open_session(app, request)

    env = environ(app)
    app.session_interface = Noting()
    async with event(ConnectionContext(app, env, manage_session=False)):
        assert session["user"] == "ada"
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_interface_that_opens_nothing_gives_a_null_session_that_is_not_saved() -> None:
    class Nothing(SessionInterface):
        def open_session(self, app: flask.Flask, request: flask.Request) -> None:
            return None

        def save_session(self, *args: Any) -> None:
            raise AssertionError("saved")

    app = flask.Flask("nothing")
    app.session_interface = Nothing()
    with event(ConnectionContext(app, environ(), manage_session=False)):
        assert session.get("x") is None
        with pytest.raises(RuntimeError, match="secret key"):
            session["x"] = 1
