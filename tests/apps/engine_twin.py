"""What the server does that the suite of the official Engine.IO client needs, for tests/js/suite."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer

logging.basicConfig(level=logging.INFO)
logging.getLogger("asyncsock.engine").setLevel(logging.DEBUG)

JAVASCRIPT = Path(__file__).parents[1] / "js"

server = EngineServer(ping_interval=0.5, max_http_buffer_size=100, cookie="io")


@server.on("connect")
async def connect(sid: str, environ: dict[str, Any]) -> bool:
    if "deny" in environ["QUERY_STRING"]:
        return False
    await server.send(sid, "hi")
    return True


@server.on("message")
async def message(sid: str, data: str | bytes) -> None:
    await server.send(sid, data)


SCRIPTS = [*JAVASCRIPT.glob("suite/*js"), JAVASCRIPT / "node_modules/engine.io-client/dist/engine.io.js"]
FILES = {
    f"/{'checks' if path.parent.name == 'suite' else 'client'}/{path.name}": {
        "filename": str(path),
        "content_type": "text/javascript; charset=utf-8",
    }
    for path in SCRIPTS
}
FILES["/checks/page.html"] = {"filename": str(JAVASCRIPT / "suite/page.html"), "content_type": "text/html"}
asgi = ASGIApp(server, static_files=FILES, socketio_path="engine.io")
