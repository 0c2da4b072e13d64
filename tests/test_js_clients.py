"""The real JavaScript clients, versions 4, 3, and 4 with msgpack, against tests/apps/clients.py.

The checks themselves are in tests/js/checks.mjs. Each Node process runs all of them for one client over one
transport on one server; the tests here report each by its name.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.javascript_checks import OUTSIDE, Outcomes, outcomes
from tests.support.required_parts import require
from tests.support.server_log import trouble
from tests.support.server_process import Server, serve
from tests.support.server_restarts import QUICK_STOP, restarted

pytestmark = pytest.mark.javascript

FOLDER = Path(__file__).parent / "js"
TARGET = "tests.apps.clients:asgi"
WAYS = {"direct": "uvicorn", "plain ASGI": "hypercorn"}
VERSIONS = ("v4", "v3")
PARSERS = (*VERSIONS, "msgpack")
MODES = ("polling", "websocket", "upgrade")
# Less than the time limit of one test, which waits for the whole run.
RUN_TIMEOUT = 45.0

Run = tuple[str, str, str]


def known_checks() -> list[tuple[Run, str]]:
    """Every run with every check that belongs to it; one entry without a name where Node is missing."""
    node = shutil.which("node")
    if node is None:
        return [(("direct", "v4", "polling"), "")]
    listing = subprocess.run(
        [node, "checks.mjs", "--list"], cwd=FOLDER, check=True, capture_output=True, text=True
    )
    checks = [json.loads(line) for line in listing.stdout.splitlines()]
    return [
        ((way, version, mode), check["name"])
        for way in WAYS
        for version in PARSERS
        for mode in MODES
        for check in checks
        if version in check["only"].get("versions", PARSERS) and check["only"].get("mode", mode) == mode
    ]


PACKAGES = ("socket.io-client", "socket.io-client-3", "socket.io-msgpack-parser")


def require_clients(*packages: str) -> None:
    require(shutil.which("node"), "node")
    for package in packages or PACKAGES:
        require((FOLDER / "node_modules" / package).is_dir(), f"npm package {package} in tests/js")


class Runs:
    """Runs each combination once, when the first test asks for it."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.servers: dict[tuple[str, str], Server] = {}
        self.outcomes: dict[Run, Outcomes] = {}

    def server(self, way: str, version: str) -> Server:
        serializer = "msgpack" if version == "msgpack" else "default"
        key = way, serializer
        if key not in self.servers:
            serving = serve(TARGET, server=WAYS[way], env={"SERIALIZER": serializer})
            self.servers[key] = self.stack.enter_context(serving)
        return self.servers[key]

    def run(self, run: Run) -> Outcomes:
        if run not in self.outcomes:
            way, version, mode = run
            line = ["node", "checks.mjs", self.server(way, version).url, version, mode]
            self.outcomes[run] = outcomes(line, FOLDER, RUN_TIMEOUT)
        return self.outcomes[run]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    require_clients()
    with ExitStack() as stack:
        yield Runs(stack)


def name_of(value: Any) -> str:
    return "-".join(value) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize(("run", "check"), known_checks(), ids=name_of)
def test_with_the_javascript_client(runs: Runs, run: Run, check: str) -> None:
    error = runs.run(run).get(check, "the check did not run")
    if error is not None:
        pytest.fail(f"{check}\n{error}", pytrace=False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", PARSERS)
@pytest.mark.parametrize("way", WAYS)
def test_nothing_fails_outside_the_checks(runs: Runs, way: str, version: str, mode: str) -> None:
    error = runs.run((way, version, mode)).get(OUTSIDE)
    if error is not None:
        pytest.fail(error, pytrace=False)


@pytest.mark.parametrize("version", PARSERS)
@pytest.mark.parametrize("way", WAYS)
def test_the_clients_come_in_by_the_way_that_is_meant_and_nothing_is_logged_as_an_error(
    runs: Runs, way: str, version: str
) -> None:
    for mode in MODES:
        runs.run((way, version, mode))
    server = runs.server(way, version)
    assert f"websocket door: {way}" in server.log()
    assert not trouble(server)


@pytest.fixture(scope="module", params=list(WAYS))
def after_restart(request: pytest.FixtureRequest) -> Callable[[str, str], dict[str, Any]]:
    """What happened to each of six clients when their server was stopped and started again."""
    require_clients()
    name = WAYS[request.param]
    with serve(TARGET, server=name, args=QUICK_STOP.get(name, ())) as server:
        process = subprocess.Popen(
            ["node", "restart.mjs", server.url],
            cwd=FOLDER,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        watchdog = threading.Timer(RUN_TIMEOUT, process.kill)
        watchdog.start()
        assert process.stdout is not None
        with process:
            assert process.stdout.readline() == '{"ready":true}\n'
            with restarted(server):
                lines = process.stdout.readlines()
        watchdog.cancel()

    def report(version: str, mode: str) -> dict[str, Any]:
        for line in lines:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                if (found["version"], found["mode"]) == (version, mode):
                    return found
        pytest.fail(f"no report in:\n{''.join(lines)}", pytrace=False)

    return report


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_comes_back_when_the_server_does(
    after_restart: Callable[[str, str], dict[str, Any]], version: str, mode: str
) -> None:
    report = after_restart(version, mode)
    assert report["error"] is None, report["error"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_of_a_server_that_stops_sees_its_connection_close(
    after_restart: Callable[[str, str], dict[str, Any]], version: str, mode: str
) -> None:
    # "transport error" is what a client says whose request fails
    assert after_restart(version, mode)["reason"] in ("transport close", "transport error")


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_after_always_connect_is_a_disconnection_by_the_server(way: str) -> None:
    require_clients(*PACKAGES[:2])
    with serve("tests.apps.always_connect:asgi", server=WAYS[way]) as server:
        line = ["node", "refused.mjs", server.url]
        done = subprocess.run(line, cwd=FOLDER, capture_output=True, text=True, timeout=RUN_TIMEOUT)
    reports = [json.loads(text) for text in done.stdout.splitlines()]
    assert [(report["version"], report["mode"]) for report in reports] == [
        (version, mode) for version in VERSIONS for mode in MODES
    ], done.stderr
    # With a reason in it, as python-socketio sends it, it is a "parse error", after which they come again.
    assert {(report["reason"], report["again"]) for report in reports} == {("io server disconnect", False)}
