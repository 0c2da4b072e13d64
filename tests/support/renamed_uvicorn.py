"""Serve two clients under a uvicorn in which one name is another, as a new release may have it.

    python -m tests.support.renamed_uvicorn H11Protocol.headers HttpToolsProtocol.on_response_complete

prints one line of JSON for each: the log records, and what went wrong. Each has a process of its own, forked
when everything has been imported, where uvicorn and what is derived from it are imported once more.
"""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import aiohttp  # noqa: F401 - python-socketio's client needs it
import socketio

from asyncsock import ASGIApp, AsyncServer

AT_ONCE = 2  # much of the time they wait
PATIENCE = 30.0  # seconds, of which a busy machine may need some
DERIVED = tuple(f"asyncsock.uvicorn.{name}" for name in ("access_log", "h11", "httptools"))

# In uvicorn's source, an object of a class of its own.
OWN = {
    "config",
    "connection",
    "cycle",
    "existing_cycle",
    "protocol",
    "self",
    "self.config",
    "self.cycle",
    "self.flow",
    "self.lifespan",
    "self.server_state",
    "server_state",
}


class Renamer(ast.NodeTransformer):
    """Gives an attribute or a method another name, wherever it is used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr == self.name and ast.unparse(node.value) in OWN:
            node.attr = f"renamed_{self.name.strip('_')}"
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        for method in node.body:
            if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name == self.name:
                method.name = f"renamed_{self.name.strip('_')}"
        return node


class Loader(SourceFileLoader):
    name_to_change = ""

    def source_to_code(self, data: Any, path: Any, **options: Any) -> CodeType:  # type: ignore[override]
        tree = ast.fix_missing_locations(Renamer(self.name_to_change).visit(ast.parse(data)))
        return compile(tree, path, "exec")

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)  # never from a cache


class Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] != "uvicorn":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None and Loader.name_to_change in text_of(spec.origin):
            spec.loader = Loader(name, spec.origin)
        return spec


def text_of(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")
        if record.exc_info:
            self.lines += traceback.format_exception(*record.exc_info)


async def exchange(http: str) -> None:
    import uvicorn

    server = AsyncServer(async_mode="asgi")
    server.on("echo", lambda sid, text: text)
    config = uvicorn.Config(ASGIApp(server), port=0, http=http, log_config=None, lifespan="on")  # type: ignore[arg-type]
    uvicorn_server = uvicorn.Server(config)
    serving = asyncio.ensure_future(uvicorn_server.serve())
    while not uvicorn_server.started:
        await asyncio.sleep(0.01)
        if serving.done():
            serving.result()
    port = uvicorn_server.servers[0].sockets[0].getsockname()[1]
    for transport in ("polling", "websocket"):
        client = socketio.AsyncClient(reconnection=False, request_timeout=PATIENCE)
        await client.connect(f"http://127.0.0.1:{port}", transports=[transport], wait_timeout=PATIENCE)
        assert await client.call("echo", "text", timeout=PATIENCE) == "text"
        assert client.transport() == transport
        await client.disconnect()
    # Not all clients are gone when it has to stop.
    client = socketio.AsyncClient(reconnection=False, request_timeout=PATIENCE)
    await client.connect(f"http://127.0.0.1:{port}", transports=["websocket"], wait_timeout=PATIENCE)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, PATIENCE)
    await client.wait()


def check(full_name: str) -> dict[str, Any]:
    kind, _, Loader.name_to_change = full_name.partition(".")
    for name in list(sys.modules):
        if name.partition(".")[0] == "uvicorn" or name in DERIVED:
            del sys.modules[name]
    sys.meta_path.insert(0, Finder())
    records = Records()
    logging.getLogger().addHandler(records)
    for name in ("asyncsock", "uvicorn"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    signal.signal(signal.SIGTERM, lambda *_: None)  # which uvicorn raises again
    error = ""
    try:
        asyncio.run(asyncio.wait_for(exchange("h11" if kind == "H11Protocol" else "httptools"), 2 * PATIENCE))
    except BaseException:
        error = traceback.format_exc()
    return {"name": full_name, "log": records.lines, "error": error}


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        running: dict[int, Path] = {}
        for number, name in enumerate(names):
            if len(running) == AT_ONCE:
                report(running)
            result = Path(folder, str(number))
            process = os.fork()
            if not process:
                result.write_text(json.dumps(check(name)))
                os._exit(0)
            running[process] = result
        while running:
            report(running)


def report(running: dict[int, Path]) -> None:
    """Wait for one of these processes, and print what it has found out."""
    process, _ = os.wait()
    print(running.pop(process).read_text(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
