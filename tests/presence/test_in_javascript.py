"""The real JavaScript client keeps a list of who is there: tests/js/presence.mjs."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.server_process import ROOT, Start
from tests.test_js_clients import require_clients


@pytest.mark.javascript
def test_a_page_knows_who_is_there_from_the_state_and_the_diffs(running: Start) -> None:
    require_clients("socket.io-client")
    server = running("tests.apps.presence:asgi", "uvicorn")
    line = ["node", "presence.mjs", server.url]
    played = subprocess.run(line, cwd=ROOT / "tests" / "js", capture_output=True, text=True, timeout=45)
    assert (played.stdout, played.returncode) == ("all passed\n", 0), played.stderr + server.log()
