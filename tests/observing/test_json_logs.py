"""The documented configuration of logs in JSON, with a real uvicorn."""

from __future__ import annotations

import json
import os
from typing import Any

import httpx

from tests.support.server_process import ROOT, serve

FILES = ROOT / "docs" / "files"


def test_every_line_of_a_server_is_json() -> None:
    options = ["--log-config", str(FILES / "logging.json")]
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(FILES)])}
    with serve("tests.apps.logged:asgi", args=options, env=environment) as server:
        for protocol in (3, 4):
            httpx.get(f"{server.url}/socket.io/?EIO={protocol}&transport=polling", trust_env=False)
        server.wait_for_log("LookupError")
        lines: list[dict[str, Any]] = [json.loads(line) for line in server.log().splitlines()]
    assert all(line.keys() >= {"time", "level", "logger", "process", "message"} for line in lines)
    by_message = {line["message"]: line for line in lines}
    [refused] = [line for line in lines if "refused: 400" in line["message"]]
    assert (refused["level"], refused["logger"]) == ("WARNING", "asyncsock.engine")
    assert by_message["error in the connect handler"]["traceback"].endswith("LookupError: nobody\nis here")
    assert by_message["Application startup complete."]["logger"] == "uvicorn.error"
