"""uvicorn's insides are looked at when the server starts, and what it lacks is done without."""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState
from websockets.asyncio.client import connect as websocket_connect

from asyncsock.engine.tested_versions import TESTED
from asyncsock.uvicorn.probe import ATTRIBUTES, METHODS
from tests.support.python_socketio_client import use_two_clients
from tests.support.raw_clients import NO_PROXY
from tests.support.server_process import ROOT, serve

OURS = ROOT / "asyncsock" / "uvicorn"
# What asyncio, httptools and logging call, or Python: uvicorn cannot give these other names.
OF_OTHERS = {
    "__call__",
    "connection_lost",
    "connection_made",
    "data_received",
    "format",
    "on_body",
    "on_headers_complete",
    "on_message_complete",
    "pause_writing",
    "resume_writing",
}
NAMES = sorted(
    f"{kind}.{name}"
    for table in (ATTRIBUTES, METHODS)
    for kind, names in table.items()
    for name in names
    if name not in OF_OTHERS
)


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, Any]]:
    """What happened with each name changed in turn."""
    line = [sys.executable, "-m", "tests.support.renamed_uvicorn", "nothing", *NAMES]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield {run["name"]: run for run in map(json.loads, process.stdout)}


@pytest.mark.timeout(300)
def test_a_uvicorn_that_has_all_names_serves_the_direct_way(runs: dict[str, Any]) -> None:
    run = runs["nothing"]
    assert not run["error"]
    assert any("websocket door: direct" in line for line in run["log"])
    assert not [line for line in run["log"] if line.startswith(("WARNING", "ERROR"))]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_without_a_name_of_uvicorns_clients_are_served_over_plain_asgi(
    name: str, runs: dict[str, Any]
) -> None:
    run = runs[name]
    assert not run["error"]
    assert any("websocket door: plain ASGI" in line for line in run["log"])
    (warning,) = [line for line in run["log"] if line.startswith(("WARNING", "ERROR", "Traceback"))]
    assert f".{name.partition('.')[2]}" in warning
    assert f"uvicorn {uvicorn.__version__} is installed" in warning
    assert "tested are {} to {}".format(*TESTED["uvicorn"]) in warning


# The tables and the code


def touched(file: str, *holders: str) -> set[str]:
    """The attributes that a module's code takes from expressions like these."""
    return {
        node.attr
        for node in ast.walk(ast.parse((OURS / file).read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in holders
    }


async def made(cls: Any) -> set[str]:
    """The names that a protocol object of uvicorn's has when it has read a request line."""
    config = uvicorn.Config(use_two_clients, interface="asgi3", log_config=None)  # any application
    state, loop = ServerState(), asyncio.get_running_loop()
    protocol = cls(config=config, server_state=state, app_state={}, _loop=loop)
    protocol.connection_made(asyncio.Transport())
    if cls is HttpToolsProtocol:
        protocol.on_message_begin()
    return {name for name in dir(protocol) if not hasattr(object, name) and not name.startswith("__")}


@pytest.mark.parametrize(
    ("cls", "file", "our_class"),
    [
        (H11Protocol, "h11.py", "H11Connection"),
        (HttpToolsProtocol, "httptools.py", "HTTPToolsConnection"),
    ],
)
async def test_the_tables_have_every_name_of_the_protocols_that_the_code_uses_and_no_other(
    cls: Any, file: str, our_class: str
) -> None:
    its_own = await made(cls)
    (definition,) = [
        node
        for node in ast.walk(ast.parse((OURS / file).read_text()))
        if isinstance(node, ast.ClassDef) and node.name == our_class
    ]
    inside = {
        node.attr
        for node in ast.walk(definition)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "super()")
    }
    overridden = {node.name for node in definition.body if isinstance(node, ast.FunctionDef)}
    used = inside | overridden
    if cls is HttpToolsProtocol:
        used |= touched("poll_request.py", "self._http")
    for shared in ("installation.py", "guard.py", "handover.py"):
        used |= touched(shared, "http")
    used.add("shutdown")  # called by uvicorn, on our WebSockets too
    kind = cls.__name__
    assert used & its_own == set(ATTRIBUTES[kind]) | set(METHODS[kind])


def test_the_tables_have_every_name_of_the_other_objects_that_the_code_uses_and_no_other() -> None:
    assert touched("install.py", "lifespan") == set(ATTRIBUTES["LifespanOn"])
    config = touched("install.py", "config") | touched("installation.py", "config", "self._config")
    assert config == set(ATTRIBUTES["Config"])
    assert touched("install.py", "served", "proxy_headers") == set(ATTRIBUTES["ProxyHeadersMiddleware"])
    flow = touched("httptools.py", "self.flow") | touched("guard.py", "http.flow")
    assert flow == set(ATTRIBUTES["FlowControl"])
    holders = "self._arguments['server_state']", "arguments['server_state']"
    state = touched("installation.py", *holders)
    assert state == set(ATTRIBUTES["ServerState"])
    cycle = set(ATTRIBUTES["RequestResponseCycle"])
    assert touched("httptools.py", "self.cycle") <= cycle <= set(vars_of(RequestResponseCycle))
    assert set(METHODS["ProxyHeadersMiddleware"]) <= set(vars(ProxyHeadersMiddleware))
    formatter = touched("access_log.py", "self", "super()") - {"__dict__"}
    ours = {
        "_first",
        "_like_first",
        "_line",
        "_logger",
        "_make_line",
        "_make_record",
        "_shortcut",
        "_write",
        "info",
        "line",
    }
    assert formatter - ours == {*ATTRIBUTES["AccessFormatter"], *METHODS["AccessFormatter"]}


def vars_of(cls: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = cls.__init__.__code__.co_names
    return names


def test_what_uvicorn_asks_of_the_exchange_that_answers_a_request_is_in_the_table() -> None:
    """Our exchange is in the place of uvicorn's; in these methods uvicorn can meet it."""
    tree = ast.parse(Path(sys.modules[HttpToolsProtocol.__module__].__file__ or "").read_text())
    (protocol,) = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "HttpToolsProtocol"
    ]
    asked = {
        node.attr
        for method in protocol.body
        if isinstance(method, ast.FunctionDef) and method.name in ("on_headers_complete", "shutdown")
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self.cycle", "existing_cycle")
    }
    assert asked <= set(ATTRIBUTES["RequestResponseCycle"])


# Where it fails all the same

POLLING = "/socket.io/?EIO=4&transport=polling"

FAILING = """
import {module} as module
from tests.apps.two_applications import asgi

def fail(*args, **kwargs):
    raise RuntimeError("an accident")

module.{name} = fail
"""


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("asyncsock.uvicorn.plain_connection", "PlainConnection.__init__"),
        ("asyncsock.uvicorn.plain_connection", "PlainConnection._read"),
        ("asyncsock.uvicorn.plain_connection", "Handshake"),
        ("asyncsock.uvicorn.plain_connection", "PollHead"),
        ("asyncsock.uvicorn.installation", "Installation.owns"),
    ],
)
async def test_a_direct_way_that_fails_before_it_has_a_request_loses_none(
    module: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "failing.py").write_text(FAILING.format(module=module, name=name))
    with serve("failing:asgi", env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}) as server:
        await use_two_clients(server.url)
        await use_two_clients(server.url)
        log = server.log()
    assert "websocket door: direct" in log
    assert log.count("the direct door failed") == 1
    assert "RuntimeError: an accident" in log


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("asyncsock.uvicorn.httptools", "HTTPToolsConnection.__init__"),
        ("asyncsock.uvicorn.httptools", "HTTPToolsConnection._take_request"),
        ("asyncsock.uvicorn.installation", "Installation.owns"),
        ("asyncsock.uvicorn.installation", "Handshake"),
    ],
)
async def test_the_way_of_requests_that_are_not_plain_loses_none_either(
    module: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "failing.py").write_text(FAILING.format(module=module, name=name))
    twice = [("x", "1"), ("x", "2")]  # a header that is repeated makes a request unusual
    with serve("failing:asgi", env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}) as server:
        for _ in range(2):
            answer = httpx.get(f"{server.url}{POLLING}", headers=twice, trust_env=False)
            assert answer.text.startswith("0{")
            url = f"{server.ws_url}{POLLING.replace('polling', 'websocket')}"
            async with websocket_connect(url, additional_headers=twice, **NO_PROXY) as websocket:
                assert str(await websocket.recv()).startswith("0{")
        assert server.log().count("the direct door failed") == 1


async def test_a_direct_way_that_fails_at_an_answer_is_closed(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(
        FAILING.format(module="asyncsock.uvicorn.plain_connection", name="PlainConnection.answer")
    )
    with serve("failing:asgi", env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}) as server:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{server.url}{POLLING}", trust_env=False)
        await use_two_clients(server.url)
        assert server.log().count("the direct door failed") == 1
