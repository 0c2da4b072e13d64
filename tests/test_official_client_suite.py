"""What the suite of the official JavaScript client says of its server, against tests/apps/suite_twin.py.

The checks are in tests/js/suite, where node.mjs says what of that suite they cover; those of the engine alone
run against tests/apps/engine_twin.py. One Node process or one page in Chromium runs all of them for one kind
of server; the tests here report each by its name.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.javascript_checks import OUTSIDE, Outcomes, outcomes
from tests.support.ports import free_port
from tests.support.required_parts import require
from tests.support.server_log import trouble
from tests.support.server_process import Server, serve

TESTS = Path(__file__).parent
CLIENT = TESTS / "js" / "node_modules" / "socket.io-client"
ENGINE_CLIENT = TESTS / "js" / "node_modules" / "engine.io-client"
# Less than the time limit of one test, which waits for the whole run.
RUN_TIMEOUT = 50.0


class Kind(NamedTuple):
    """Which checks there are, where their client runs, and the server that it meets."""

    checks: str  # as node.mjs has it
    place: str
    target: str
    server: str
    way: str  # of a WebSocket, as the server's log names it


TWIN, ENGINE_TWIN = "tests.apps.suite_twin", "tests.apps.engine_twin:asgi"
SUITES = ("plain", "recovery", "engine")
KINDS = [
    *(
        Kind(checks, place, f"{TWIN}:{name}", server, way)
        for checks in ("plain", "recovery")
        for place, name, server, way in (
            ("node", "asgi", "uvicorn", "direct"),
            ("node", "asgi", "hypercorn", "plain ASGI"),
            ("page", "behind_middleware", "uvicorn", "plain ASGI"),
        )
    ),
    Kind("engine", "node", ENGINE_TWIN, "uvicorn", "direct"),
    Kind("engine", "node", ENGINE_TWIN, "hypercorn", "plain ASGI"),
    Kind("engine", "page", ENGINE_TWIN, "uvicorn", "direct"),
]
MARKS = {"node": pytest.mark.javascript, "page": pytest.mark.browser}


def known_checks(checks: str) -> dict[str, str]:
    """Where each check belongs, by its name; one without a name where Node is missing."""
    node = shutil.which("node")
    if node is None:
        return {"": "anywhere"}
    line = [node, "node.mjs", checks, "--list"]
    listing = subprocess.run(line, cwd=TESTS / "js" / "suite", check=True, capture_output=True, text=True)
    found = [json.loads(text) for text in listing.stdout.splitlines()]
    return {check["name"]: check["place"] for check in found}


def name_of(value: Any) -> str | None:
    return f"{value.checks}-{value.place}-{value.server}" if isinstance(value, Kind) else None


def each_kind() -> list[Any]:
    return [pytest.param(kind, marks=MARKS[kind.place]) for kind in KINDS]


def each_check() -> list[Any]:
    known = {checks: known_checks(checks) for checks in SUITES}
    return [
        pytest.param(kind, name, marks=MARKS[kind.place])
        for kind in KINDS
        for name, place in known[kind.checks].items()
        if place in ("anywhere", kind.place)
    ]


class Runs:
    """Runs the checks for each kind once, when the first test asks for it."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.servers: dict[Kind, Server] = {}
        self.outcomes: dict[Kind, Outcomes] = {}

    def run(self, kind: Kind) -> Outcomes:
        if kind not in self.outcomes:
            self._require(kind)
            env = {"RECOVERY": "yes"} if kind.checks == "recovery" else {}
            server = self.stack.enter_context(serve(kind.target, server=kind.server, env=env))
            self.servers[kind] = server
            self.outcomes[kind] = self._ask(server, kind)
        return self.outcomes[kind]

    def _ask(self, server: Server, kind: Kind) -> Outcomes:
        if kind.place == "node":
            line = ["node", "node.mjs", kind.checks, server.url]
            return outcomes(line, TESTS / "js" / "suite", RUN_TIMEOUT)
        line = ["node", "suite.mjs", kind.checks, server.url, f"http://127.0.0.1:{free_port()}"]
        env = {"CHROMIUM": str(shutil.which("chromium"))}
        return outcomes(line, TESTS / "browser", RUN_TIMEOUT, env)

    def _require(self, kind: Kind) -> None:
        require(shutil.which("node"), "node")
        for package in (CLIENT, ENGINE_CLIENT):
            require(package.is_dir(), f"npm package {package.name} in tests/js")
        if kind.place == "page":
            require(shutil.which("chromium"), "chromium")
            playwright = TESTS / "browser" / "node_modules" / "playwright-core"
            require(playwright.is_dir(), "npm package playwright-core in tests/browser")


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    with ExitStack() as stack:
        yield Runs(stack)


@pytest.mark.parametrize(("kind", "check"), each_check(), ids=name_of)
def test_the_official_client_finds_what_its_suite_expects(runs: Runs, kind: Kind, check: str) -> None:
    error = runs.run(kind).get(check, "the check did not run")
    if error is not None:
        pytest.fail(f"{check}\n{error}", pytrace=False)


@pytest.mark.parametrize("kind", each_kind(), ids=name_of)
def test_nothing_fails_outside_the_checks_and_nothing_is_logged_as_an_error(runs: Runs, kind: Kind) -> None:
    error = runs.run(kind).get(OUTSIDE)
    if error is not None:
        pytest.fail(error, pytrace=False)
    server = runs.servers[kind]
    assert f"websocket door: {kind.way}" in server.log()
    assert not trouble(server)
