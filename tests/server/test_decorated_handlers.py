"""Connect and disconnect handlers behind decorators that hide how many arguments they take.

Each wrapper goes around a handler that takes the last argument (auth or reason), may take it, or does
without. Whatever the wrapper, the handler runs once and gets what it takes.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest
import socketio as python_socketio
from flask import Flask

from asyncsock import AsyncServer, Namespace, SocketIO
from asyncsock.engine import EngineServer
from asyncsock.engine.signatures import fit
from tests.support.log_records import errors
from tests.support.raw_clients import within
from tests.support.socketio_in_process import opened

Handler = Callable[..., Any]
AUTH = {"token": "t"}


# The wrappers


def bare(f: Handler) -> Handler:
    def wrapper(*args: Any) -> Any:
        return f(*args)

    return wrapper


def with_keywords(f: Handler) -> Handler:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return f(*args, **kwargs)

    return wrapper


def checking(f: Handler) -> Handler:
    """With two functions in the closure."""

    def is_allowed() -> bool:
        return True

    def wrapper(*args: Any) -> Any:
        return f(*args) if is_allowed() else False

    return wrapper


def catching(f: Handler) -> Handler:
    def wrapper(*args: Any) -> Any:
        try:
            return f(*args)
        finally:
            pass

    return wrapper


def through_another(f: Handler) -> Handler:
    def call(function: Handler, *args: Any) -> Any:
        return function(*args)

    def wrapper(*args: Any) -> Any:
        return call(f, *args)

    return wrapper


class Wrapper:
    def __init__(self, f: Handler) -> None:
        self.f = f

    def __call__(self, *args: Any) -> Any:
        return self.f(*args)


def twice(f: Handler) -> Handler:
    return with_keywords(Wrapper(f))


def partial(f: Handler) -> Handler:
    return functools.partial(bare(f))


def around_partial(f: Handler) -> Handler:
    return bare(functools.partial(f))


def wraps(f: Handler) -> Handler:
    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return f(*args, **kwargs)

    return wrapper


def wraps_outside(f: Handler) -> Handler:
    return wraps(bare(f))


def wraps_inside(f: Handler) -> Handler:
    return bare(wraps(f))


def none(f: Handler) -> Handler:
    return f


WRAPPERS = [
    none, bare, with_keywords, checking, catching, through_another, Wrapper, twice, partial, around_partial,
    wraps, wraps_outside, wraps_inside,
]  # fmt: skip


def awaiting(f: Handler) -> Handler:
    async def wrapper(*args: Any) -> Any:
        return await f(*args)

    return wrapper


def awaiting_with_wraps(f: Handler) -> Handler:
    return functools.wraps(f)(awaiting(f))


class AwaitingWrapper:
    def __init__(self, f: Handler) -> None:
        self.f = f

    async def __call__(self, *args: Any) -> Any:
        return await self.f(*args)


def awaiting_twice(f: Handler) -> Handler:
    return awaiting(AwaitingWrapper(f))


# The handlers: what they take after what is fixed


def handler(takes: str, fixed: int, calls: list[Any], coroutine: bool, fails: bool = False) -> Handler:
    """A handler that notes what it gets after its fixed arguments."""

    def note(*last: Any) -> None:
        calls.append(last)
        if fails:
            raise TypeError("the handler's own")

    names = ["a", "b", "c"][:fixed]
    more = {"last": ["last"], "optional": ["last='nothing'"], "none": []}[takes]
    given = "last" if more else ""
    code = f"{'async ' if coroutine else ''}def handle({', '.join(names + more)}): note({given})"
    namespace: dict[str, Any] = {"note": note}
    exec(code, namespace)
    return namespace["handle"]  # type: ignore[no-any-return]


TAKES = ["last", "optional", "none"]
FUNCTIONS = [(wrapper, False) for wrapper in WRAPPERS]
COROUTINES = [
    *[(wrapper, True) for wrapper in (none, awaiting, awaiting_with_wraps, AwaitingWrapper, awaiting_twice)],
]
APIS = ["Flask", "Flask class", "AsyncServer", "AsyncNamespace", "AsyncServer, any namespace"]


def name(value: Any) -> str:
    return (
        f"{value[0].__name__}-{'coroutine' if value[1] else 'function'}"
        if isinstance(value, tuple)
        else value
    )


def serve(api: str, on: dict[str, Handler]) -> AsyncServer:
    """A server with these handlers."""
    if api.startswith("Flask"):
        socketio = SocketIO(Flask(__name__))
        if api == "Flask":
            for event, handle in on.items():
                socketio.on_event(event, handle)
        else:
            namespace = Namespace("/")
            for event, handle in on.items():
                setattr(namespace, f"on_{event}", handle)
            socketio.on_namespace(namespace)
        return socketio.server
    server = AsyncServer()
    if api == "AsyncNamespace":
        theirs = python_socketio.AsyncNamespace("/")
        for event, handle in on.items():
            setattr(theirs, f"on_{event}", handle)
        server.register_namespace(theirs)
    else:
        for event, handle in on.items():
            server.on(event, handle, namespace="*" if "any" in api else "/")
    return server


def fixed_arguments(api: str, event: str) -> int:
    """How many arguments come before the auth or the reason."""
    if api.startswith("Flask"):
        return 0
    return (2 if event == "connect" else 1) + ("any namespace" in api)


async def come_and_go(server: AsyncServer, auth: str) -> str:
    """A client connects and leaves; the answer to CONNECT."""
    async with opened(server) as client:
        client.send(f"40{auth}")
        answer: str = await client.receive()
        client.send("41")
        await client.packets()
        while server.eio.tasks:
            await asyncio.sleep(0)
    return answer[:2]


@pytest.mark.parametrize("decorated", FUNCTIONS + COROUTINES, ids=name)
@pytest.mark.parametrize("api", APIS)
async def test_a_decorated_handler_gets_what_it_takes(api: str, decorated: tuple[Any, bool]) -> None:
    wrapper, coroutine = decorated
    fixed = {event: fixed_arguments(api, event) for event in ("connect", "disconnect")}
    for takes in TAKES:
        calls: dict[str, list[Any]] = {"connect": [], "disconnect": []}
        on = {event: wrapper(handler(takes, fixed[event], calls[event], coroutine)) for event in calls}
        server = serve(api, on)
        for _ in range(2):  # what the first call has shown holds for the second
            assert await within(come_and_go(server, '{"token":"t"}')) == "40", takes
        reasons = [("client disconnect",)] * 2 if takes != "none" else [()] * 2
        auths = [(AUTH,)] * 2 if takes != "none" else [()] * 2
        assert calls == {"connect": auths, "disconnect": reasons}, takes


# What the wrapped function's own errors are


@pytest.mark.parametrize("takes", TAKES)
@pytest.mark.parametrize("decorated", FUNCTIONS + COROUTINES, ids=name)
@pytest.mark.parametrize("api", ["Flask", "AsyncServer", "AsyncNamespace"])
async def test_the_type_error_of_a_decorated_handler_is_its_own_and_comes_once(
    api: str, decorated: tuple[Any, bool], takes: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrapper, coroutine = decorated
    calls: list[Any] = []
    server = serve(
        api,
        {"connect": wrapper(handler(takes, fixed_arguments(api, "connect"), calls, coroutine, fails=True))},
    )
    for _ in range(2):
        assert await within(come_and_go(server, "")) == "44"
    assert len(calls) == 2
    assert errors(caplog) == ['TypeError("the handler\'s own")'] * 2


def helper() -> None:
    """Takes nothing."""


def adds_wrongly(*args: Any) -> Any:
    return None + 1  # type: ignore[operator]


def calls_wrongly(*args: Any) -> None:
    helper(args[0])  # type: ignore[call-arg]


@pytest.mark.parametrize("body", [adds_wrongly, calls_wrongly])
def test_a_type_error_of_a_body_with_any_arguments_is_not_tried_again(body: Handler) -> None:
    calls: list[Any] = []

    def handle(*args: Any) -> Any:
        calls.append(args)
        return body(*args)

    with pytest.raises(TypeError, match="NoneType|takes 0 positional"):
        fit(handle, 2)("a", "b")
    assert calls == [("a", "b")]


def test_a_wrapper_around_something_that_takes_neither_raises_its_first_error() -> None:
    def handle(a: Any, b: Any, c: Any, d: Any) -> None:
        raise AssertionError

    fitted = fit(bare(handle), 2)
    for _ in range(2):
        with pytest.raises(TypeError, match="2 required positional arguments: 'c' and 'd'"):
            fitted("a", "b")


def test_a_handler_with_any_arguments_gets_them_all() -> None:
    calls: list[Any] = []

    def factory(notify: Handler) -> Handler:
        def handle(*args: Any) -> None:  # it has one function in its closure, and is no wrapper of it
            notify()
            calls.append(args)

        return handle

    fitted = fit(factory(helper), 3)
    fitted("sid", "environ", "auth")
    fitted("sid", "environ", "auth")
    assert calls == [("sid", "environ", "auth")] * 2


def test_a_wrapper_that_returns_before_it_calls_decides_nothing() -> None:
    calls: list[Any] = []
    allowed = False

    def handle(a: Any) -> None:
        calls.append(a)

    def wrapper(*args: Any) -> Any:
        return handle(*args) if allowed else "refused"

    fitted = fit(wrapper, 2)
    assert fitted("a", "b") == "refused"
    allowed = True
    fitted("a", "b")
    assert calls == ["a"]


def test_the_wrappers_own_code_runs_twice_for_the_first_call_only() -> None:
    runs: list[int] = []

    def wrapper(*args: Any) -> Any:
        runs.append(len(args))
        return helper(*args)

    fitted = fit(wrapper, 1)
    fitted("reason")
    fitted("reason")
    assert runs == [1, 0, 0]


def test_what_is_not_written_in_python_is_tried_too() -> None:
    assert fit(bare([].clear), 1)("reason") is None
    assert fit({}.get, 3)("key", "default", "more") == "default"


async def test_a_function_that_returns_what_a_wrapped_coroutine_does_is_tried_too() -> None:
    calls: list[Any] = []

    async def handle(sid: Any) -> None:
        calls.append(sid)

    fitted = fit(bare(awaiting(handle)), 2)
    await fitted("sid", "reason")
    await fitted("sid", "reason")
    assert calls == ["sid", "sid"]


async def test_the_engines_disconnect_handler_may_be_decorated_too() -> None:
    calls: list[Any] = []
    for wrapper in WRAPPERS:
        server = EngineServer()
        server.on("disconnect", wrapper(handler("none", 1, calls, False)))
        server.handlers["disconnect"]("sid", "reason")
    assert calls == [()] * len(WRAPPERS)
