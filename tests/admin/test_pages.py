"""The official Admin UI beside the chat example, in real Chromium.

What people do there is in tests/browser/admin.mjs. Screenshots of each page are kept in artifacts/.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.required_parts import require
from tests.support.server_process import ROOT, Server, serve
from tests.support.worker_processes import wait_for_workers

pytestmark = pytest.mark.browser

BROWSER = ROOT / "tests" / "browser"
ARTIFACTS = ROOT / "artifacts"
PATIENCE = 150.0  # seconds for one scenario
PAGES = {
    "development": "connect refused dashboard sockets socket rooms room clients client events servers",
    "production": "dashboard servers",
}


@contextmanager
def chat(mode: str, workers: int, folder: Path) -> Iterator[Server]:
    """The chat example with the Admin UI, under uvicorn."""
    env = {"ADMIN_MODE": mode, "CHAT_FILE": str(folder / "chat")}
    args = ["--workers", str(workers)] if workers > 1 else []
    with serve("tests.apps.admin_chat:asgi", args=args, env=env) as server:
        wait_for_workers(server, workers, "Application startup complete")
        yield server
        assert "Traceback" not in server.log(), server.log()


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("mode", ["development", "production"])
def test_the_official_pages_show_what_is_there_and_act_on_it(mode: str, workers: int, tmp_path: Path) -> None:
    for program in ("node", "chromium"):
        require(shutil.which(program), program)
    for package in ("playwright-core", "@socket.io/admin-ui"):
        require((BROWSER / "node_modules" / package).is_dir(), f"npm package {package} in tests/browser")
    ARTIFACTS.mkdir(exist_ok=True)
    started = time.time()
    with chat(mode, workers, tmp_path) as server:
        outcome = subprocess.run(
            ["node", "admin.mjs", mode, server.url, str(ARTIFACTS), str(workers)],
            cwd=BROWSER,
            env={**os.environ, "CHROMIUM": str(shutil.which("chromium"))},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert outcome.returncode == 0, f"{outcome.stderr}\nThe server's log:\n{server.log()}"
    for page in PAGES[mode].split():
        picture = ARTIFACTS / f"admin-{mode}-{workers}-{page}.png"
        assert picture.stat().st_mtime >= started - 1, picture
