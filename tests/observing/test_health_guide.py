"""The commands of the guide's section about health checks."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import httpx
import pytest

from tests.support.server_process import ROOT, serve

GUIDE = (
    (ROOT / "docs" / "howto" / "deploy.md")
    .read_text()
    .partition("\n## Health checks\n")[2]
    .partition("\n## ")[0]
)


def test_the_command_of_docker_succeeds_as_long_as_the_server_lives() -> None:
    found = re.search(r"CMD (\[.*\])", GUIDE)
    assert found is not None
    _, *arguments = json.loads(found[1])
    with serve("tests.apps.healthy:asgi", env={"DRAIN": "0"}) as server:
        line = [sys.executable, *(each.replace("5000", str(server.port)) for each in arguments)]
        assert subprocess.run(line).returncode == 0
    assert subprocess.run(line, stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.parametrize("path", sorted(set(re.findall(r"path: \"?(/[^\s,\"]+)", GUIDE))))
def test_the_probes_of_kubernetes_ask_what_the_server_answers(path: str) -> None:
    with serve("tests.apps.healthy:asgi", env={"DRAIN": "0"}) as server:
        assert httpx.get(f"{server.url}{path}", trust_env=False).status_code == 200
