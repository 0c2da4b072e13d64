"""What a Socket.IO handler can rely on from Flask: contexts, request, URLs, teardown, extensions."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Iterator
from typing import Any

import flask
import httpx
import pytest
from flask import current_app, g, session
from werkzeug.exceptions import HTTPException

from asyncsock import SocketIO
from asyncsock.flask_bridge.context import ConnectionContext
from asyncsock.flask_bridge.event_context import EventContext
from tests.support.replayed_contexts import both_kinds, environ, event, no_context_is_left, request

# The request


@both_kinds
async def test_a_handler_sees_the_connecting_request(app: flask.Flask, run: Any) -> None:
    env = environ(Cookie="colour=blue", X_Tone="warm")

    def handler() -> None:
        assert current_app._get_current_object() is app  # type: ignore[attr-defined]
        assert request.args["room"] == "7"
        assert request.headers["X-Tone"] == "warm"
        assert request.cookies["colour"] == "blue"
        assert request.remote_addr == "10.1.2.3"
        assert request.path == "/socket.io/"
        assert request.environ is env
        assert request.environ["asgi.scope"]["type"] == "websocket"
        assert flask.has_request_context()

    await run(ConnectionContext(app, env), handler)


def test_a_request_carries_the_sid_the_namespace_and_the_event(app: flask.Flask) -> None:
    with EventContext(ConnectionContext(app, environ()).replay("abc", "/admin", "rename", ("x", 2))):
        assert request.sid == "abc"
        assert request.namespace == "/admin"
        assert request.event == {"message": "rename", "args": ("x", 2)}


def test_a_handshake_matches_no_route_and_nothing_raises(app: flask.Flask) -> None:
    with event(ConnectionContext(app, environ())):
        flask.url_for("hello", name="x")
        assert request.endpoint is None
        assert request.blueprint is None
        assert request.blueprints == []
        assert request.url_rule is None
        assert request.view_args is None
        assert request.routing_exception is None


async def test_overlapping_events_of_a_connection_do_not_see_each_other(app: flask.Flask) -> None:
    connection = ConnectionContext(app, environ())
    entered = [asyncio.Event() for _ in range(3)]
    leave = [asyncio.Event() for _ in range(3)]

    async def handle(number: int) -> None:
        async with EventContext(connection.replay("s", f"/{number}", f"event{number}", (number,))):
            g.number = request.mark = number
            entered[number].set()
            await leave[number].wait()
            assert (g.number, request.mark) == (number, number)
            expected = {"message": f"event{number}", "args": (number,)}
            assert request.event == expected
            assert request.namespace == f"/{number}"
        assert no_context_is_left()

    tasks = [asyncio.create_task(handle(number)) for number in range(3)]
    for each in entered:
        await each.wait()
    for number in (1, 0, 2):
        leave[number].set()
        await tasks[number]


def test_g_is_fresh_in_each_event(app: flask.Flask) -> None:
    connection = ConnectionContext(app, environ())
    with event(connection):
        g.value = 1
    with event(connection):
        assert "value" not in g


async def test_a_thread_with_a_copied_context_sees_the_event(app: flask.Flask) -> None:
    async with event(ConnectionContext(app, environ()), "copied"):
        g.value = 5
        seen = await asyncio.to_thread(lambda: (request.event["message"], g.value))
    assert seen == ("copied", 5)


async def test_a_task_that_a_handler_leaves_behind_keeps_its_context(app: flask.Flask) -> None:
    go = asyncio.Event()

    async def later() -> Any:
        await go.wait()
        return request.sid

    async with event(ConnectionContext(app, environ())):
        task = asyncio.create_task(later())
    go.set()
    assert await task == "sid1"


def test_an_event_inside_another_flask_context_has_its_own(app: flask.Flask) -> None:
    with app.test_request_context("/outer"):
        g.outer = True
        with event(ConnectionContext(app, environ())):
            assert "outer" not in g
            assert request.path == "/socket.io/"
        assert g.outer
        assert request.path == "/outer"


def test_outside_events_flask_raises_its_own_error(app: flask.Flask) -> None:
    with event(ConnectionContext(app, environ())):
        pass
    with pytest.raises(RuntimeError, match="outside of request context"):
        _ = request.sid
    with pytest.raises(RuntimeError, match="outside of application context"):
        _ = g.anything


def test_a_custom_request_class_and_a_custom_g_are_used(app: flask.Flask) -> None:
    closed = []

    class Request(flask.Request):
        event: dict[str, Any]

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.tenant = self.args["room"]

        def close(self) -> None:
            closed.append(self.event["message"])
            super().close()

    class Globals:
        def __init__(self) -> None:
            self.started = True

    app.request_class = Request
    app.app_ctx_globals_class = Globals  # type: ignore[assignment]
    connection = ConnectionContext(app, environ())
    for message in ("one", "two"):
        with event(connection, message):
            assert isinstance(request._get_current_object(), Request)
            assert request.tenant == "7"
            assert g.started
    assert closed == ["one", "two"]


def test_a_request_uses_the_json_provider_of_the_app(app: flask.Flask) -> None:
    with event(ConnectionContext(app, environ())):
        assert request.json_module is app.json


async def test_a_client_without_events_costs_no_flask_request(app: flask.Flask) -> None:
    built: list[str] = []

    class Noting(flask.Request):
        def __init__(self, environ: Any) -> None:
            built.append(environ["QUERY_STRING"])
            super().__init__(environ)

    app.request_class = Noting
    socketio = SocketIO(app)
    greeted = asyncio.Event()

    @socketio.event
    async def hello() -> None:
        greeted.set()

    transport = httpx.ASGITransport(app=socketio.asgi_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        url = "/socket.io/?EIO=4&transport=polling"
        opened = await client.get(url)
        url += "&sid=" + json.loads(opened.text[1:])["sid"]
        await client.post(url, content="40")
        assert (await client.get(url)).text.startswith('40{"sid"')
        assert not built
        await client.post(url, content='42["hello"]')
        await greeted.wait()
        assert built == ["EIO=4&transport=polling"]


def test_a_dropped_connection_is_freed_without_the_garbage_collector(app: flask.Flask) -> None:
    freed = threading.Event()

    class Watched:
        def __del__(self) -> None:
            freed.set()

    env = dict(environ(app))  # a copy: the test client holds the original
    env["watched"] = Watched()
    connection = ConnectionContext(app, env)
    gc.disable()
    try:
        with event(connection):
            session["x"] = flask.url_for("hello", name="x")
            assert request.host_url
        del env, connection
        assert freed.is_set()
    finally:
        gc.enable()


# URLs, templates, messages


@both_kinds
async def test_url_for_builds_from_the_connecting_request(app: flask.Flask, run: Any) -> None:
    def handler() -> None:
        assert flask.url_for("hello", name="bob") == "/hello/bob"
        assert flask.url_for("hello", name="bob", _external=True) == "http://chat.example/hello/bob"
        assert flask.url_for(".hello", name="bob") == "/hello/bob"

    await run(ConnectionContext(app, environ(host="chat.example")), handler)


def test_the_url_adapter_is_made_once_per_connection_and_only_if_used(app: flask.Flask) -> None:
    made = []
    create = app.create_url_adapter
    app.create_url_adapter = lambda request: made.append(1) or create(request)  # type: ignore[func-returns-value,method-assign]
    connection = ConnectionContext(app, environ())
    with event(connection):
        pass
    assert made == []
    for _ in range(3):
        with event(connection):
            flask.url_for("hello", name="x")
    assert made == [1]


def test_a_function_for_the_end_of_the_app_context_builds_urls_from_the_config(app: flask.Flask) -> None:
    app.config["SERVER_NAME"] = "site.example"
    urls = []
    app.teardown_appcontext(lambda error: urls.append(flask.url_for("hello", name="x")))
    with event(ConnectionContext(app, environ())):
        pass
    assert urls == ["http://site.example/hello/x"]


def test_a_host_that_is_not_trusted_is_refused(app: flask.Flask) -> None:
    app.config["TRUSTED_HOSTS"] = ["good.example"]
    with event(ConnectionContext(app, environ(host="evil.example"))):
        with pytest.raises(HTTPException):
            _ = request.host
    with event(ConnectionContext(app, environ(host="good.example"))):
        assert request.host == "good.example"
        assert flask.url_for("hello", name="x", _external=True) == "http://good.example/hello/x"


@both_kinds
async def test_a_template_sees_request_session_and_g(app: flask.Flask, run: Any) -> None:
    app.context_processor(lambda: {"extra": "more"})

    def handler() -> str:
        g.word = "hi"
        return flask.render_template_string(
            "{{ request.sid }} {{ session.user }} {{ g.word }} {{ extra }} {{ url_for('hello', name='b') }}"
        )

    text = await run(ConnectionContext(app, environ(app)), handler)
    assert text == "sid1 ada hi more /hello/b"


def test_a_flashed_message_is_read_by_a_later_event_and_then_gone(app: flask.Flask) -> None:
    connection = ConnectionContext(app, environ())
    with event(connection):
        flask.flash("saved", "info")
    with event(connection):
        assert flask.get_flashed_messages(with_categories=True) == [("info", "saved")]
        assert flask.get_flashed_messages() == ["saved"]
    with event(connection):
        assert flask.get_flashed_messages() == []


def test_before_and_after_request_functions_do_not_run(app: flask.Flask) -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError("called")

    app.before_request(refuse)
    app.after_request(refuse)
    with event(ConnectionContext(app, environ())):
        flask.after_this_request(refuse)


@both_kinds
async def test_a_copied_request_context_works_in_a_plain_thread(app: flask.Flask, run: Any) -> None:
    ended: list[str] = []
    app.teardown_request(lambda error: ended.append(threading.current_thread().name))
    seen: list[Any] = []

    def handler() -> None:
        session["step"] = 2

        @flask.copy_current_request_context
        def work() -> None:
            message = request.event["message"]
            seen.append((message, session["step"], flask.url_for("hello", name="x"), current_app.name))
            assert request.routing_exception is None

        thread = threading.Thread(target=work, name="plain")
        thread.start()
        thread.join()

    await run(ConnectionContext(app, environ()), handler)
    assert seen == [("chat", 2, "/hello/x", "context_app")]
    assert ended[0] == "plain"
    assert len(ended) == 2


def test_a_copied_request_context_works_after_the_event(app: flask.Flask) -> None:
    with event(ConnectionContext(app, environ(app))):

        @flask.copy_current_request_context
        def later() -> tuple[str, str]:
            return request.sid, session["user"]

    assert later() == ("sid1", "ada")
    assert no_context_is_left()


def test_a_generator_streams_with_the_context_during_and_after_the_event(app: flask.Flask) -> None:
    connection = ConnectionContext(app, environ(app))
    ended: list[str] = []
    app.teardown_request(lambda error: ended.append("request"))

    def words() -> Iterator[str]:
        yield request.sid
        yield session["user"]
        assert request.routing_exception is None

    with event(connection):
        assert list(flask.stream_with_context(words())) == ["sid1", "ada"]
        assert ended == []
        assert request.sid == "sid1"
        rest = flask.stream_with_context(words())
    assert list(rest) == ["sid1", "ada"]
    assert "request" in ended
    assert no_context_is_left()


def test_a_generator_that_outlives_its_event_halfway_keeps_the_context_until_it_ends(
    app: flask.Flask,
) -> None:
    ended: list[str] = []
    app.teardown_appcontext(lambda error: ended.append("app"))

    def words() -> Iterator[str]:
        yield request.sid
        yield g.word

    with event(ConnectionContext(app, environ())):
        g.word = "kept"
        generator = flask.stream_with_context(words())
        assert next(generator) == "sid1"
    assert ended == []
    assert list(generator) == ["kept"]
    assert ended == ["app"]
    assert no_context_is_left()


# Teardown and signals


@both_kinds
@pytest.mark.parametrize("failure", [None, ValueError("no")])
async def test_teardown_functions_run_once_with_the_error_that_ended_the_handler(
    app: flask.Flask, run: Any, failure: Exception | None
) -> None:
    calls: list[Any] = []
    app.teardown_appcontext(lambda error: calls.append(("app", error, flask.has_request_context())))
    app.teardown_request(lambda error: calls.append(("request", error, request.sid)))

    def handler() -> None:
        assert calls == []
        if failure is not None:
            raise failure

    connection = ConnectionContext(app, environ())
    if failure is None:
        await run(connection, handler)
    else:
        with pytest.raises(ValueError):
            await run(connection, handler)
    assert calls == [("request", failure, "sid1"), ("app", failure, False)]
    assert no_context_is_left()


@both_kinds
async def test_the_context_signals_are_sent_once_per_event(app: flask.Flask, run: Any) -> None:
    sent: list[Any] = []

    def listener(name: str) -> Any:
        def listen(sender: flask.Flask, **extra: Any) -> None:
            assert sender is app
            sent.append((name, extra.get("exc")))

        return listen

    names = ("appcontext_pushed", "request_tearing_down", "appcontext_tearing_down", "appcontext_popped")
    listeners = {name: listener(name) for name in names}
    for name, listen in listeners.items():
        getattr(flask, name).connect(listen, app)
    await run(ConnectionContext(app, environ()), lambda: sent.append(("handler", None)))
    order = [
        "appcontext_pushed",
        "handler",
        "request_tearing_down",
        "appcontext_tearing_down",
        "appcontext_popped",
    ]
    assert sent == [(name, None) for name in order]


def test_tearing_down_signals_carry_the_error(app: flask.Flask) -> None:
    errors: list[Any] = []

    def listen(sender: flask.Flask, exc: BaseException | None) -> None:
        errors.append(exc)

    flask.request_tearing_down.connect(listen, app)
    flask.appcontext_tearing_down.connect(listen, app)
    failure = KeyError("x")
    with pytest.raises(KeyError), event(ConnectionContext(app, environ())):
        raise failure
    assert errors == [failure, failure]


@pytest.mark.parametrize("which", ["teardown_request", "teardown_appcontext"])
def test_a_failing_teardown_function_still_leaves_the_contexts_popped(app: flask.Flask, which: str) -> None:
    ended: list[str] = []

    def fail(error: BaseException | None) -> None:
        raise OSError("teardown")

    getattr(app, which)(fail)
    if which == "teardown_request":
        app.teardown_appcontext(lambda error: ended.append("app"))
    with pytest.raises(OSError, match="teardown"), event(ConnectionContext(app, environ())):
        pass
    assert no_context_is_left()
    assert ended == (["app"] if which == "teardown_request" else [])


def test_a_failing_listener_of_the_push_leaves_no_context(app: flask.Flask) -> None:
    def listen(sender: flask.Flask) -> None:
        raise OSError("pushed")

    flask.appcontext_pushed.connect(listen, app)
    with pytest.raises(OSError), event(ConnectionContext(app, environ())):
        raise AssertionError("entered")
    assert no_context_is_left()


@both_kinds
async def test_coroutine_teardown_functions_run_on_the_loop(app: flask.Flask, run: Any) -> None:
    loop = asyncio.get_running_loop()
    seen: list[Any] = []

    @app.teardown_request
    async def end_request(error: BaseException | None) -> None:
        await asyncio.sleep(0)
        seen.append((asyncio.get_running_loop() is loop, request.sid))

    @app.teardown_appcontext
    async def end_app(error: BaseException | None) -> None:
        seen.append((asyncio.get_running_loop() is loop, g.value))

    def handler() -> None:
        g.value = 3

    await run(ConnectionContext(app, environ()), handler)
    assert seen == [(True, "sid1"), (True, 3)]


async def test_a_cancelled_coroutine_is_torn_down(app: flask.Flask) -> None:
    errors: list[Any] = []
    app.teardown_appcontext(errors.append)
    entered = asyncio.Event()

    async def handle() -> None:
        async with event(ConnectionContext(app, environ())):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(handle())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(errors[0], asyncio.CancelledError)


def test_an_app_that_overrides_the_teardown_methods_has_them_called() -> None:
    calls = []

    class App(flask.Flask):
        def do_teardown_appcontext(self, exc: Any = None) -> None:
            calls.append(exc)
            super().do_teardown_appcontext(exc)

    with event(ConnectionContext(App("sub"), environ())):
        pass
    assert calls == [None]


# Extensions


@both_kinds
async def test_flask_login_knows_the_user(app: flask.Flask, run: Any) -> None:
    flask_login = pytest.importorskip("flask_login")
    loaded: list[str] = []

    class User(flask_login.UserMixin):  # type: ignore[misc, name-defined]
        def __init__(self, name: str) -> None:
            self.id = name

    manager = flask_login.LoginManager(app)
    manager.session_protection = None

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(name: str) -> User:
        loaded.append(name)
        return User(name)

    connection = ConnectionContext(app, environ())
    assert await run(connection, lambda: flask_login.current_user.is_authenticated) is False
    await run(connection, lambda: flask_login.login_user(User("grace")))
    assert (
        await run(connection, lambda: (flask_login.current_user.id, flask_login.current_user.id))
        == ("grace",) * 2
    )
    assert loaded == ["grace"]
    await run(connection, flask_login.logout_user)
    assert await run(connection, lambda: flask_login.current_user.is_authenticated) is False


@both_kinds
async def test_flask_sqlalchemy_frees_its_session_after_each_event(app: flask.Flask, run: Any) -> None:
    flask_sqlalchemy = pytest.importorskip("flask_sqlalchemy")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = flask_sqlalchemy.SQLAlchemy(app)
    registry = db.session.registry.registry
    connection = ConnectionContext(app, environ())

    def handler() -> int:
        value = db.session.execute(sqlalchemy.text("select 42")).scalar()
        assert len(registry) == 1
        return int(value)

    for _ in range(3):
        assert await run(connection, handler) == 42
        assert len(registry) == 0


async def test_flask_sqlalchemy_gives_overlapping_events_a_session_each(app: flask.Flask) -> None:
    flask_sqlalchemy = pytest.importorskip("flask_sqlalchemy")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = flask_sqlalchemy.SQLAlchemy(app)
    connection = ConnectionContext(app, environ())
    sessions: list[Any] = []
    all_in = asyncio.Event()

    async def handle() -> None:
        async with event(connection):
            mine = db.session()
            sessions.append(mine)
            if len(sessions) == 3:
                all_in.set()
            await all_in.wait()
            assert db.session() is mine

    await asyncio.gather(*(handle() for _ in range(3)))
    assert len({id(each) for each in sessions}) == 3
    assert len(db.session.registry.registry) == 0


@both_kinds
async def test_flask_babel_asks_its_selector_in_each_event(app: flask.Flask, run: Any) -> None:
    flask_babel = pytest.importorskip("flask_babel")
    flask_babel.Babel(
        app,
        locale_selector=lambda: session.get("locale") or request.accept_languages.best_match(["de", "en"]),
    )
    connection = ConnectionContext(app, environ(Accept_Language="de"))

    def handler() -> str:
        return str(flask_babel.format_decimal(1234.5))

    assert await run(connection, handler) == "1.234,5"
    await run(connection, lambda: session.__setitem__("locale", "en"))
    assert await run(connection, handler) == "1,234.5"


@both_kinds
async def test_flask_session_saves_to_its_store_without_manage_session(
    app: flask.Flask, run: Any, tmp_path: Any
) -> None:
    flask_session = pytest.importorskip("flask_session")
    cachelib = pytest.importorskip("cachelib")
    app.config["SESSION_TYPE"] = "cachelib"
    app.config["SESSION_CACHELIB"] = cachelib.FileSystemCache(str(tmp_path))
    flask_session.Session(app)

    @app.route("/read")
    def read() -> Any:
        return dict(session)

    @app.route("/write")
    def write() -> str:
        session["user"] = "ada"
        return ""

    browser = app.test_client()
    browser.get("/write")
    cookie = browser.get_cookie("session")
    assert cookie is not None
    env = environ(Cookie=f"session={cookie.value}")

    def handler() -> None:
        assert session["user"] == "ada"
        session["seen"] = session.get("seen", 0) + 1

    kept = ConnectionContext(app, dict(env))
    await run(kept, handler)
    assert "seen" not in browser.get("/read").json  # type: ignore[operator]
    assert await run(kept, lambda: session["seen"]) == 1

    shared = ConnectionContext(app, dict(env), manage_session=False)
    await run(shared, handler)
    assert browser.get("/read").json["seen"] == 1  # type: ignore[index]
    await run(shared, handler)
    assert browser.get("/read").json["seen"] == 2  # type: ignore[index]
