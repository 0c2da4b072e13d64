"""What Flask applications do in their handlers, over a real server: tests/apps/flask_*.py."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from socketio.exceptions import ConnectionError as RefusedError

import asyncsock
from tests.support.python_socketio_client import WAIT, Client, arrived, connected, tags
from tests.support.raw_clients import CLOSE, TEXT, RawSocket, frame, read_handshake, receive, websocket
from tests.support.server_process import Server, serve

KINDS = ("coroutine", "function")
COUNT = 30

both_kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """tests/apps/flask_handlers.py, where a coroutine that is never awaited is an error."""
    with serve("tests.apps.flask_handlers:asgi", env={"PYTHONWARNINGS": "error::RuntimeWarning"}) as running:
        yield running
        log = running.log()
    assert [line for line in log.splitlines() if "never awaited" in line or "never retrieved" in line] == []


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """tests/apps/flask_factory.py: handlers do not overlap, every namespace is accepted."""
    database = tmp_path_factory.mktemp("database") / "file"
    with serve("tests.apps.flask_factory:asgi", env={"DATABASE": str(database)}) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    async with connected(server.url, mode="websocket") as client:
        yield client


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with visitor(server) as http:
        yield http


def visitor(server: Server) -> httpx.AsyncClient:
    """An HTTP client with a cookie jar."""
    return httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT)


def cookies_of(http: httpx.AsyncClient) -> dict[str, str]:
    """The header with which a Socket.IO client comes as the same visitor."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in http.cookies.items())}


@asynccontextmanager
async def in_namespaces(server: Server, *namespaces: str, **options: Any) -> AsyncIterator[Client]:
    async with connected(server.url, mode="websocket", namespaces=list(namespaces), **options) as client:
        yield client


async def until(ask: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
    """Ask until the answer is the wanted one, and return it."""

    async def asking() -> Any:
        while not wanted(answer := await ask()):
            await asyncio.sleep(0.01)
        return answer

    return await asyncio.wait_for(asking(), WAIT)


async def collected(queue: asyncio.Queue[tuple[Any, ...]], count: int = COUNT) -> list[Any]:
    """The first argument of so many events."""
    return [(await arrived(queue))[0] for _ in range(count)]


# What a handler sees


@both_kinds
async def test_a_handler_sees_the_connecting_request_and_its_own_event(server: Server, kind: str) -> None:
    headers = {"X-Tone": "warm", "Cookie": "colour=blue"}
    async with connected(f"{server.url}?room=7", mode="websocket", headers=headers) as client:
        seen = await client.call(f"{kind} describe_request", "one", {"two": 2})
        assert seen.pop("args")["room"] == "7"
        assert seen == {
            "header": "warm",
            "cookie": "blue",
            "remote_addr": "127.0.0.1",
            "path": "/socket.io/",
            "sid": client.socket.get_sid("/"),
            "namespace": "/",
            "event": {"message": f"{kind} describe_request", "args": ["one", {"two": 2}]},
            "scope": "/socket.io/",
            "app": "tests.apps.flask_handlers",
        }


async def test_coroutines_run_on_the_loop_and_functions_in_threads(client: Client) -> None:
    assert await client.call("coroutine thread_name") == "MainThread"
    assert (await client.call("function thread_name")).startswith("asyncsock-handler-")


@both_kinds
async def test_a_handler_sees_the_session_that_a_view_has_set(
    server: Server, http: httpx.AsyncClient, kind: str
) -> None:
    await http.get("/sign-in/ada")
    async with connected(server.url, mode="websocket", headers=cookies_of(http)) as client:
        assert await client.call(f"{kind} remember", "user", "ada again") == "ada"


@both_kinds
async def test_the_session_is_kept_from_event_to_event_and_views_do_not_see_it(
    server: Server, http: httpx.AsyncClient, kind: str
) -> None:
    await http.get("/sign-in/ada")
    async with connected(server.url, mode="websocket", headers=cookies_of(http)) as client:
        assert await client.call(f"{kind} remember", "colour", "red") is None
        for other in KINDS:
            assert await client.call(f"{other} remember", "colour", "blue") in ("red", "blue")
        assert (await http.get("/session")).json() == {"user": "ada"}


@both_kinds
async def test_g_is_new_for_each_event(client: Client, kind: str) -> None:
    assert await client.call(f"{kind} note_in_g", 1) is None
    assert await client.call(f"{kind} note_in_g", 2) is None


@both_kinds
async def test_url_for_builds_addresses(server: Server, client: Client, kind: str) -> None:
    assert await client.call(f"{kind} address_of_a_view") == ["/session", f"{server.url}/session"]


@both_kinds
async def test_flashed_messages_arrive_in_a_later_event(client: Client, kind: str) -> None:
    await client.call(f"{kind} flash_text", "saved")
    assert await client.call(f"{kind} flashed") == ["saved"]
    assert await client.call(f"{kind} flashed") == []


@both_kinds
async def test_templates_see_request_session_and_g(
    server: Server, http: httpx.AsyncClient, kind: str
) -> None:
    await http.get("/sign-in/ada")
    async with connected(server.url, mode="websocket", headers=cookies_of(http)) as client:
        assert await client.call(f"{kind} render", "hello") == f"HELLO {kind} render ada noted"


@both_kinds
async def test_two_events_at_once_see_their_own_event_and_g(client: Client, kind: str) -> None:
    one, two = next(tags), next(tags)
    answers = await asyncio.gather(
        client.call(f"{kind} meet", one, two), client.call(f"{kind} meet", two, one)
    )
    assert answers == [(one, [one, two]), (two, [two, one])]


# Sending


@both_kinds
async def test_what_a_handler_emits_arrives_in_order_awaited_or_not(client: Client, kind: str) -> None:
    numbers = client.arrivals("number")
    await client.emit(f"{kind} count")
    assert await collected(numbers) == list(range(COUNT))


@pytest.mark.parametrize("place", ["function", "coroutine", "thread"])
async def test_what_a_view_or_its_thread_emits_arrives_in_order(
    client: Client, http: httpx.AsyncClient, place: str
) -> None:
    numbers = client.arrivals("number")
    assert (await http.get(f"/count/{place}/{client.socket.get_sid('/')}")).text == "ok"
    assert await collected(numbers) == list(range(COUNT))


@pytest.mark.parametrize("target", KINDS)
@both_kinds
async def test_what_a_background_task_of_a_handler_emits_arrives_in_order(
    client: Client, kind: str, target: str
) -> None:
    numbers = client.arrivals("number")
    await client.emit(f"{kind} start_to_count", target)
    assert await collected(numbers) == list(range(COUNT))


@pytest.mark.parametrize("target", KINDS)
async def test_what_a_background_task_of_a_view_emits_arrives_in_order(
    client: Client, http: httpx.AsyncClient, target: str
) -> None:
    numbers = client.arrivals("number")
    assert (await http.get(f"/start/{target}/{client.socket.get_sid('/')}")).text == "ok"
    assert await collected(numbers) == list(range(COUNT))


@pytest.mark.parametrize("target", KINDS)
async def test_a_background_task_from_before_the_start_of_the_server_runs(
    client: Client, target: str
) -> None:
    numbers = client.arrivals("number")
    await client.emit("tell those that began early", target)
    assert await collected(numbers) == list(range(COUNT))


@both_kinds
async def test_a_handler_that_returns_emit_acknowledges_with_nothing(client: Client, kind: str) -> None:
    numbers = client.arrivals("number")
    assert await client.call(f"{kind} return_emit") is None
    assert await arrived(numbers) == (1,)


@both_kinds
async def test_emit_raises_what_is_wrong_with_the_data(client: Client, kind: str) -> None:
    assert await client.call(f"{kind} emit_what_cannot_be_sent") == "TypeError"


@both_kinds
async def test_data_changed_after_emit_goes_out_as_it_was(client: Client, kind: str) -> None:
    numbers = client.arrivals("number")
    await client.emit(f"{kind} emit_and_change")
    assert await arrived(numbers) == ([1],)


async def test_nothing_warns_of_calls_that_are_not_awaited(server: Server, client: Client) -> None:
    await client.call("coroutine do_join", "a room")
    await client.call("coroutine do_leave", "a room")
    await client.call("coroutine do_close", "a room")
    await client.call("coroutine tell_with_send", "text", False)
    await client.call("coroutine count")
    log = server.log()
    assert "never awaited" not in log
    assert "RuntimeWarning" not in log


# Libraries that need a real task

LIBRARIES: dict[str, Any] = {
    "asyncio.wait_for": ["in time", "too late"],
    "anyio.move_on_after": [True],
    "anyio.create_task_group": ["one", "two"],
    "httpx.AsyncClient": {},
    "aiohttp.ClientSession": {},
}
if sys.version_info >= (3, 11):
    LIBRARIES["asyncio.timeout"] = ["in time", "too late"]
    LIBRARIES["asyncio.TaskGroup"] = ["one", "two"]


@pytest.mark.parametrize("name", LIBRARIES)
async def test_a_handler_may_begin_with_it(client: Client, name: str) -> None:
    assert await client.call(name) == LIBRARIES[name]


# Order


@pytest.mark.parametrize(
    "kinds", [("coroutine",), ("function",), KINDS], ids=["coroutine", "function", "mixed"]
)
async def test_events_of_one_client_start_in_the_order_sent(client: Client, kinds: tuple[str, ...]) -> None:
    for number in range(200):
        await client.emit(f"{kinds[number % len(kinds)]} start", number)
    started = await until(lambda: client.call("started"), lambda found: len(found) == 200)
    assert started == list(range(200))


@pytest.mark.parametrize(
    "kinds", [("coroutine",), ("function",), KINDS], ids=["coroutine", "function", "mixed"]
)
async def test_without_async_handlers_each_event_ends_before_the_next_begins(
    factory: Server, kinds: tuple[str, ...]
) -> None:
    async with connected(factory.url, mode="websocket") as client:
        for number in range(50):
            await client.emit(f"{kinds[number % len(kinds)]} work", number)
        happened = await client.call("happened")
        assert happened == [f"{what} {number}" for number in range(50) for what in ("begin", "end")]


async def test_a_function_that_blocks_delays_no_coroutine(client: Client) -> None:
    tag = next(tags)
    blocked = asyncio.ensure_future(client.call("function block", tag))
    assert await client.call("echo", "meanwhile") == "meanwhile"
    assert not blocked.done()
    await client.call("release", tag)
    assert await blocked == "released"


async def test_a_function_that_blocks_delays_no_heartbeat(server: Server) -> None:
    tag = next(tags)
    async with websocket(server, "/socket.io/") as ws:
        await receive(ws)
        await ws.send("40")
        assert str(await receive(ws)).startswith("40")
        await ws.send(f'421["function block","{tag}"]')
        for _ in range(3):
            assert await receive(ws) == "2"
            await ws.send("3")
        await ws.send(f'422["release","{tag}"]')
        packets = {await receive(ws) for _ in range(2)} - {"2"}
        while len(packets) < 2:
            packets |= {await receive(ws)} - {"2"}
        assert packets == {'431["released"]', "432[]"}


# Acknowledgements


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text", "text"),
        ("number", 1.5),
        ("tuple", ("one", {"two": 2})),
        ("list", [1, [2]]),
        ("none", None),
        ("dict", {"a": {"b": None}}),
        ("bytes", b"\x00\xff"),
        ("bytes deeper", {"a": [b"\x00", "text"]}),
    ],
)
@both_kinds
async def test_a_client_gets_what_the_handler_returns(
    client: Client, kind: str, name: str, expected: Any
) -> None:
    assert await client.call(f"{kind} answer", name) == expected


@pytest.mark.parametrize("callback", KINDS)
@both_kinds
async def test_the_callback_of_emit_runs_in_the_flask_context(
    client: Client, kind: str, callback: str
) -> None:
    client.answer("question", lambda data: ({"heard": data}, b"2"))
    answered = client.arrivals("answered")
    await client.emit(f"{kind} ask", callback, "how")
    assert await arrived(answered) == (
        {
            "sid": client.socket.get_sid("/"),
            "app": "tests.apps.flask_handlers",
            "answer": [{"heard": "how"}, b"2"],
        },
    )


@both_kinds
async def test_call_in_a_handler_returns_the_clients_answer(client: Client, kind: str) -> None:
    client.answer("question", lambda data: {"heard": data})
    assert await client.call(f"{kind} call", [1, b"2"]) == {"answer": {"heard": [1, b"2"]}}


@both_kinds
async def test_call_in_a_view_returns_the_clients_answer(
    client: Client, http: httpx.AsyncClient, kind: str
) -> None:
    client.answer("question", lambda data: {"heard": data})
    answer = await http.get(f"/call/{kind}/{client.socket.get_sid('/')}")
    assert answer.json() == {"answer": {"heard": "from a view"}}


@pytest.mark.parametrize("place", ["coroutine", "function", "view"])
async def test_call_raises_timeout_error_where_no_answer_comes(
    client: Client, http: httpx.AsyncClient, place: str
) -> None:
    over = asyncio.Event()
    client.answer("silence", over.wait)
    if place == "view":
        raised = (await http.get(f"/call-in-vain/{client.socket.get_sid('/')}")).text
    else:
        raised = await client.call(f"{place} call in vain")
    over.set()
    assert raised == "socketio.exceptions.TimeoutError"


# Coming and going


@both_kinds
async def test_a_connect_handler_with_a_parameter_gets_the_auth(
    server: Server, http: httpx.AsyncClient, kind: str
) -> None:
    await http.get("/sign-in/ada")
    namespace, auth = f"/{kind}-auth", {"token": ["right"]}
    client = Client(server.url, mode="websocket")
    greetings = client.arrivals("connected", namespace)
    await client.connect([namespace], auth=auth, headers=cookies_of(http))
    sid = client.socket.get_sid(namespace)
    assert await arrived(greetings) == ({"auth": auth, "sid": sid, "user": "ada"},)
    await client.close()


@both_kinds
async def test_a_connect_handler_with_a_parameter_gets_none_without_auth(server: Server, kind: str) -> None:
    namespace = f"/{kind}-auth"
    client = Client(server.url, mode="websocket")
    greetings = client.arrivals("connected", namespace)
    await client.connect([namespace])
    assert (await arrived(greetings))[0]["auth"] is None
    await client.close()


@both_kinds
async def test_a_connect_handler_without_a_parameter_is_called_with_auth_or_not(
    server: Server, kind: str
) -> None:
    namespace = f"/{kind}-plain"
    for auth in (None, {"token": 1}):
        client = Client(server.url, mode="websocket")
        greetings = client.arrivals("connected", namespace)
        await client.connect([namespace], auth=auth)
        assert await arrived(greetings) == ("without auth",)
        await client.close()


@both_kinds
async def test_a_connect_handler_that_returns_false_refuses(server: Server, kind: str) -> None:
    client = Client(server.url, mode="websocket")
    errors = client.arrivals("connect_error", f"/{kind}-false")
    with pytest.raises(RefusedError):
        await client.connect([f"/{kind}-false"])
    assert (await arrived(errors))[0]["message"] == "Connection rejected by server"
    await client.close()


@both_kinds
async def test_the_data_of_a_refusal_arrives(server: Server, kind: str) -> None:
    client = Client(server.url, mode="websocket")
    errors = client.arrivals("connect_error", f"/{kind}-refusing")
    with pytest.raises(RefusedError):
        await client.connect([f"/{kind}-refusing"], auth={"code": 42})
    assert await arrived(errors) == ({"message": "no entry", "data": {"code": 42}},)
    await client.close()


@both_kinds
async def test_a_connect_handlers_own_type_error_is_logged_and_refuses(server: Server, kind: str) -> None:
    start = len(server.log())
    with pytest.raises(RefusedError):
        async with in_namespaces(server, f"/{kind}-broken", auth={"token": 1}):
            pass
    server.wait_for_log("TypeError: object of type 'int' has no len()", start=start)
    async with connected(server.url, mode="websocket") as client:
        assert await client.call("calls", f"/{kind}-broken") == 1


async def left(server: Server, namespace: str, tag: str) -> list[str]:
    """What the disconnect handler noted about the client with this tag."""
    async with connected(server.url, mode="websocket") as watcher:
        found = await until(
            lambda: watcher.call("gone"), lambda entries: any(entry[1] == tag for entry in entries)
        )
    entries = [entry[2:] for entry in found if entry[:2] == [namespace, tag]]
    assert len(entries) == 1
    reason: list[str] = entries[0]
    return reason


async def enter(server: Server, namespace: str, tag: str) -> RawSocket:
    """A client that is in this namespace only."""
    raw = await RawSocket.websocket(server, "/socket.io/")
    await raw.send(frame(TEXT, f'40{namespace},{{"tag":"{tag}"}}'.encode()))
    _, packet = await raw.read_frame()
    assert packet.startswith(f"40{namespace},".encode())
    return raw


@both_kinds
async def test_a_disconnect_handler_gets_the_reason_when_the_client_disconnects(
    server: Server, kind: str
) -> None:
    tag, namespace = next(tags), f"/{kind}-auth"
    async with await enter(server, namespace, tag) as raw:
        await raw.send(frame(TEXT, f"41{namespace},".encode()))
        assert await left(server, namespace, tag) == ["client disconnect"]


@pytest.mark.parametrize("goodbye", [frame(TEXT, b"1"), frame(CLOSE, b"\x03\xe8")], ids=["packet", "frame"])
@both_kinds
async def test_a_client_that_disconnects_and_closes_at_once_has_its_handler_run(
    server: Server, kind: str, goodbye: bytes
) -> None:
    tag, namespace = next(tags), f"/{kind}-auth"
    async with await enter(server, namespace, tag) as raw:
        await raw.send(frame(TEXT, f"41{namespace},".encode()) + goodbye)
        assert await left(server, namespace, tag) == ["client disconnect"]


@both_kinds
async def test_a_disconnect_handler_gets_the_reason_when_the_server_disconnects(
    server: Server, kind: str
) -> None:
    tag, namespace = next(tags), f"/{kind}-auth"
    async with in_namespaces(server, namespace, auth={"tag": tag}) as client:
        gone = client.arrivals("disconnect", namespace)
        await client.emit("kick", namespace=namespace)
        assert await arrived(gone) == ("server disconnect",)
    assert await left(server, namespace, tag) == ["server disconnect"]


@both_kinds
async def test_a_disconnect_handler_gets_the_reason_when_the_connection_breaks(
    server: Server, kind: str
) -> None:
    tag, namespace = next(tags), f"/{kind}-auth"
    async with await enter(server, namespace, tag):
        pass
    assert await left(server, namespace, tag) == ["transport close"]


@both_kinds
async def test_a_disconnect_handler_without_a_parameter_is_called(server: Server, kind: str) -> None:
    tag, namespace = next(tags), f"/{kind}-plain"
    async with connected(f"{server.url}?tag={tag}", mode="websocket", namespaces=[namespace]):
        pass
    assert await left(server, namespace, tag) == []


@both_kinds
async def test_what_a_client_sends_just_before_it_disconnects_and_closes_is_handled(
    server: Server, kind: str
) -> None:
    tag, namespace = next(tags), f"/{kind}-auth"
    packets = [f'42{namespace},["say","{tag}"]', f"41{namespace},", "1"]
    async with await enter(server, namespace, tag) as raw:
        await raw.send(b"".join(frame(TEXT, packet.encode()) for packet in packets))
        assert await left(server, namespace, tag) == ["client disconnect"]
    async with connected(server.url, mode="websocket") as client:
        await until(lambda: client.call("calls", tag), lambda calls: calls == 1)


@both_kinds
async def test_a_client_that_leaves_while_its_connect_handler_runs_has_its_disconnect_handler_run(
    server: Server, client: Client, kind: str
) -> None:
    tag, namespace = next(tags), f"/{kind}-slow"
    async with websocket(server, "/socket.io/") as ws:
        session_id = (await read_handshake(ws))["sid"]
        await ws.send(f'40{namespace},{{"tag":"{tag}"}}')
        await until(lambda: client.call("calls", tag), bool)
    await until(lambda: client.call("knows", session_id), lambda known: not known)
    await client.call("release", tag)
    assert await left(server, namespace, tag) == ["transport close"]


@both_kinds
async def test_a_disconnect_handlers_own_type_error_is_logged(server: Server, kind: str) -> None:
    start = len(server.log())
    async with in_namespaces(server, f"/{kind}-breaking"):
        pass
    await asyncio.to_thread(server.wait_for_log, "len(6)", start=start)
    async with connected(server.url, mode="websocket") as client:
        assert await client.call("calls", f"/{kind}-breaking") == 1


# Errors


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


# Registration


@both_kinds
async def test_event_registers_under_the_functions_name(client: Client, kind: str) -> None:
    assert await client.call(f"named_after_the_{kind}", 5) == 5


async def test_event_takes_a_namespace(server: Server) -> None:
    async with in_namespaces(server, "/named") as client:
        assert await client.call("named_in_a_namespace", 5, namespace="/named") == ("/named", 5)


async def test_decorators_stack(server: Server) -> None:
    async with in_namespaces(server, "/", "/named") as client:
        assert await client.call("stacked one") == ("/", "stacked one")
        assert await client.call("stacked two") == ("/", "stacked two")
        assert await client.call("stacked three", namespace="/named") == ("/named", "stacked three")


@pytest.mark.parametrize(
    ("kind", "namespace"), [("coroutine", "/catching"), ("function", "/catching-in-function")]
)
async def test_a_handler_of_any_event_gets_its_name(server: Server, kind: str, namespace: str) -> None:
    async with in_namespaces(server, namespace) as client:
        sid = client.socket.get_sid(namespace)
        answer = await client.call("whatever", 1, {"two": 2}, namespace=namespace)
        assert answer == (kind, "whatever", sid, [1, {"two": 2}])


async def test_a_handler_of_any_event_gets_none_that_has_its_own(server: Server) -> None:
    async with in_namespaces(server, "/catching") as client:
        assert await client.call("known", namespace="/catching") == "known"


async def test_handlers_of_any_namespace_get_those_without_handlers(factory: Server) -> None:
    client = Client(factory.url, mode="websocket")
    greetings, heard = client.arrivals("connected", "/new/one"), client.arrivals("heard", "/new/one")
    await client.connect(["/new/one"], auth={"token": 1})
    sid = client.socket.get_sid("/new/one")
    assert await arrived(greetings) == (["/new/one", {"token": 1}],)
    assert await client.call("where", 1, 2, namespace="/new/one") == ("/new/one", sid, [1, 2])
    assert await client.call("whatever", 3, namespace="/new/one") == ("whatever", "/new/one", sid, [3])
    assert await arrived(heard) == ("whatever",)
    await client.close()


@pytest.mark.parametrize(
    "name",
    [
        "a function around a coroutine function",
        "a function around a function",
        "a coroutine function around a function",
        "a bound coroutine function",
        "a bound function",
    ],
)
async def test_a_handler_may_be(client: Client, name: str) -> None:
    assert await client.call(name, 1) == (["decorated", 1], name)


async def test_a_handler_may_be_an_object_whose_call_is_a_coroutine_function(client: Client) -> None:
    name = "an object whose call is a coroutine function"
    assert await client.call(name, 1) == ([1], name)


async def test_handlers_registered_before_init_app_are_called(factory: Server) -> None:
    async with connected(factory.url, mode="websocket") as client:
        assert await client.call("coroutine who") is None


# The functions


@both_kinds
async def test_rooms_are_joined_left_and_closed(client: Client, kind: str) -> None:
    one, two = next(tags), next(tags)
    assert await client.call(f"{kind} do_join", one) == [one]
    assert await client.call(f"{kind} do_join", two) == sorted([one, two])
    assert await client.call(f"{kind} do_leave", one) == [two]
    assert await client.call(f"{kind} do_close", two) == []


@both_kinds
async def test_the_functions_take_another_clients_sid_and_namespace(
    server: Server, client: Client, kind: str
) -> None:
    room = next(tags)
    async with in_namespaces(server, "/elsewhere") as other:
        told, gone = other.arrivals("told", "/elsewhere"), other.arrivals("disconnect", "/elsewhere")
        sid = other.socket.get_sid("/elsewhere")
        found = await client.call(f"{kind} do_for", sid, "/elsewhere", room)
        assert found == [[room, f"{room} too"], [room], []]
        assert [await arrived(told), await arrived(told)] == [("in a room",), ("alone",)]
        await client.call(f"{kind} do_disconnect", sid, "/elsewhere")
        assert await arrived(gone) == ("server disconnect",)


@both_kinds
async def test_disconnect_without_arguments_disconnects_who_sent_the_event(client: Client, kind: str) -> None:
    gone = client.arrivals("disconnect")
    await client.emit(f"{kind} do_disconnect_me")
    assert await arrived(gone) == ("server disconnect",)


class Crowd:
    """Three clients of one namespace that listen to "told"; the first is in room one, the second in two."""

    def __init__(self, clients: list[Client]) -> None:
        self.clients = clients
        self.told = [client.arrivals("told") for client in clients]
        self.sids = [client.socket.get_sid("/") for client in clients]
        self.rooms = [next(tags), next(tags)]

    async def heard(self, *, end: str) -> list[list[Any]]:
        """What each heard before the end, which somebody tells everybody now."""
        await self.clients[0].call("coroutine tell", {"broadcast": True}, end)
        found: list[list[Any]] = []
        for queue in self.told:
            found.append([])
            while (said := (await arrived(queue))[0]) != end:
                found[-1].append(said)
        return found


@pytest.fixture
async def crowd(server: Server) -> AsyncIterator[Crowd]:
    async with (
        connected(server.url, mode="websocket") as one,
        connected(server.url, mode="websocket") as two,
        connected(server.url, mode="websocket") as three,
    ):
        crowd = Crowd([one, two, three])
        for client, room in zip(crowd.clients, crowd.rooms, strict=False):
            await client.call("coroutine do_join", room)
        yield crowd


@both_kinds
async def test_emit_reaches_who_it_is_addressed_to(crowd: Crowd, kind: str) -> None:
    """Each message is named after the clients that are to hear it; the first client asks for it."""
    sids, rooms = crowd.sids, crowd.rooms
    orders: list[tuple[dict[str, Any], str]] = [
        ({}, "1"),
        ({"broadcast": True}, "123"),
        ({"broadcast": True, "include_self": False}, "23"),
        ({"to": sids[1]}, "2"),
        ({"room": sids[2]}, "3"),
        ({"to": rooms[1]}, "2"),
        ({"to": rooms}, "12"),
        ({"to": [*rooms, sids[0], sids[1]]}, "12"),
        ({"to": rooms, "include_self": False}, "2"),
        ({"broadcast": True, "skip_sid": sids[1]}, "13"),
        ({"broadcast": True, "skip_sid": [sids[0], sids[2]]}, "2"),
        ({"to": rooms[0], "skip_sid": sids[0]}, "nobody"),
        ({"to": next(tags)}, "nobody"),
        ({"broadcast": True, "namespace": "/elsewhere"}, "elsewhere"),
    ]
    for options, who in orders:
        await crowd.clients[0].call(f"{kind} tell", options, who)
    expected = [[who for _, who in orders if str(number) in who] for number in (1, 2, 3)]
    assert await crowd.heard(end=next(tags)) == expected


@both_kinds
async def test_emit_takes_several_arguments(client: Client, kind: str) -> None:
    told = client.arrivals("told")
    await client.emit(f"{kind} tell_several")
    assert await arrived(told) == ("one", {"two": 2}, b"three")


@both_kinds
async def test_send_is_a_message_event_or_a_json_event(client: Client, kind: str) -> None:
    messages, jsons = client.arrivals("message"), client.arrivals("json")
    await client.emit(f"{kind} tell_with_send", "text", False)
    assert await arrived(messages) == ("text",)
    await client.emit(f"{kind} tell_with_send", {"a": 1}, True)
    assert await arrived(jsons) == ({"a": 1},)


FUNCTIONS = ("emit", "emit to all", "send", "call", "join_room", "leave_room", "close_room", "rooms")
FUNCTIONS += ("disconnect", "join_room for one")


@pytest.mark.parametrize("place", ["view", "async view", "thread", "task"])
@pytest.mark.parametrize("name", FUNCTIONS)
async def test_without_an_event_it_raises_an_error_that_says_what_to_use(
    http: httpx.AsyncClient, name: str, place: str
) -> None:
    kind, text = (await http.get(f"/without-context/{place}/{name}")).json()
    assert kind == "RuntimeError"
    assert text.startswith(name.split()[0])
    assert "socketio.emit()" in text


@pytest.mark.parametrize("name", ["join_room for one in a namespace", "close_room in a namespace"])
async def test_without_an_application_it_raises_the_same_error(http: httpx.AsyncClient, name: str) -> None:
    kind, text = (await http.get(f"/without-context/thread/{name}")).json()
    assert kind == "RuntimeError"
    assert text.startswith(name.split()[0])
    assert "socketio.emit()" in text


async def test_a_view_may_name_the_client_and_its_namespace(client: Client, http: httpx.AsyncClient) -> None:
    assert (await http.get(f"/for-one/{client.socket.get_sid('/')}")).json() == ["from a view"]


# Options


def test_without_an_application_one_clear_error_is_raised() -> None:
    socketio = asyncsock.SocketIO()
    for use in (
        lambda: socketio.asgi_app,
        lambda: socketio.emit("event"),
        lambda: socketio.close_room("room"),
    ):
        with pytest.raises(RuntimeError, match=r"init_app"):
            use()


@both_kinds
async def test_flasks_json_encodes_what_flask_can(factory: Server, kind: str) -> None:
    expected = {"day": "Thu, 02 Jan 2020 00:00:00 GMT", "id": str(UUID(int=5))}
    async with connected(factory.url, mode="websocket") as client:
        values = client.arrivals("values")
        assert await client.call(f"{kind} values") == expected
        assert await arrived(values) == (expected,)


# Teardown and extensions


@both_kinds
async def test_teardown_functions_run_once_per_event(client: Client, kind: str) -> None:
    for _ in range(3):
        await client.call(f"{kind} note_in_g", 1)
    torn_down = await client.call("torn down", f"{kind} note_in_g")
    assert torn_down == {"request None": 3, "app None": 3}


@both_kinds
async def test_teardown_functions_get_the_handlers_exception(client: Client, kind: str) -> None:
    await client.emit(f"{kind} fail_with", "why")
    found = await until(lambda: client.call("torn down", f"{kind} fail_with"), bool)
    assert found == {"request LookupError('why')": 1, "app LookupError('why')": 1}


@both_kinds
async def test_flask_logins_current_user_is_who_signed_in(factory: Server, kind: str) -> None:
    async with visitor(factory) as http:
        await http.get("/sign-in/ada")
        headers = cookies_of(http)
    async with connected(factory.url, mode="websocket", headers=headers) as client:
        assert await client.call(f"{kind} who") == "ada"
    async with connected(factory.url, mode="websocket") as stranger:
        assert await stranger.call(f"{kind} who") is None


@both_kinds
async def test_flask_sqlalchemy_frees_its_session_after_each_event(factory: Server, kind: str) -> None:
    async with connected(factory.url, mode="websocket") as client:
        for _ in range(1_000):
            assert await client.call(f"{kind} query") == 42
        async with visitor(factory) as http:
            assert (await http.get("/database")).json() == {"sessions": 0, "connections": 0}


# HTTP


async def test_many_slow_views_are_handled_at_once(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(http.get("/slow") for _ in range(32)))
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "ok")] * 32
