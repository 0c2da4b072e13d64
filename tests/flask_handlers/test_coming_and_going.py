"""Connect and disconnect handlers."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from socketio.exceptions import ConnectionError as RefusedError

from tests.support.flask_visitors import both_kinds, cookies_of, in_namespaces, until
from tests.support.python_socketio_client import Client, arrived, connected, tags
from tests.support.raw_clients import CLOSE, TEXT, RawSocket, frame, read_handshake, websocket
from tests.support.server_process import Server


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
