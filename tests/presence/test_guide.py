"""The programs of docs/howto/presence.md do what it says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest

from tests.support.python_socketio_client import arrived, connected
from tests.support.server_process import ROOT, Server, serve
from tests.test_js_clients import require_clients

PAGE = (ROOT / "docs" / "howto" / "presence.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def online(tmp_path: Path) -> Iterator[Server]:
    """The program, with the handler that is shown later."""
    (tmp_path / "online.py").write_text("\n\n".join(blocks("python")))
    with serve("online:asgi", args=["--app-dir", str(tmp_path)]) as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


async def test_the_program_shows_who_is_in_the_lobby(online: Server) -> None:
    ada, grace = {"id": "ada", "name": "Ada"}, {"id": "grace", "name": "Grace"}
    async with connected(online.url, auth=ada) as one, httpx.AsyncClient(trust_env=False) as http:
        diffs = one.arrivals("presence_diff")
        async with connected(online.url, auth=grace) as two:
            joined = {"joins": {"grace": [{"name": "Grace"}]}, "leaves": {}}
            assert await arrived(diffs) == (joined, "lobby")
            await two.emit("away", grace)
            is_away = {"name": "Grace", "away": True}
            changed = {"joins": {"grace": [is_away]}, "leaves": {"grace": [{"name": "Grace"}]}}
            assert await arrived(diffs) == (changed, "lobby")
            people = {"ada": [{"name": "Ada"}], "grace": [is_away]}
            assert (await http.get(f"{online.url}/lobby")).json() == people
            await two.disconnect()
        left = {"joins": {}, "leaves": {"grace": [is_away]}}
        assert await arrived(diffs) == (left, "lobby")  # at once, as it has said goodbye
        assert await one.call("look") == {}


@pytest.mark.javascript
def test_the_page_keeps_a_list(online: Server, tmp_path: Path) -> None:
    require_clients("socket.io-client")
    (tmp_path / "online.mjs").write_text(*blocks("js"))
    (tmp_path / "node_modules").symlink_to(ROOT / "tests" / "js" / "node_modules")
    pages: list[subprocess.Popen[str]] = []

    def open_page(*who: str) -> IO[str]:
        line = ["node", "online.mjs", online.url, *who]
        pages.append(subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, text=True))
        output = pages[-1].stdout
        assert output is not None
        return output

    try:
        ada = open_page("ada", "Ada")
        assert ada.readline() == "Ada\n"
        assert open_page("grace", "Grace").readline() == "Ada, Grace\n"
        assert ada.readline() == "Ada, Grace\n"
        pages[1].kill()
        assert ada.readline() == "Ada\n"
    finally:
        for page in pages:
            page.kill()
            page.communicate()
