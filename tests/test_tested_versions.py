"""The versions of other packages, and what happens when their insides are not those that were tested."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import socketio

from asyncsock import AsyncServer, checks, connections, disconnections, dispatch, routes, server
from asyncsock.engine.tested_versions import TESTED, warn_once
from asyncsock.flask_bridge import context
from tests.support.server_process import ROOT, serve


def lower_bounds() -> dict[str, str]:
    """The packages that a server asks for: not those of the mover, the manual and the tests."""
    text = (ROOT / "pyproject.toml").read_text()
    text = text.partition("\ndependencies = [")[2].partition("\nmigrate = [")[0]
    return dict(re.findall(r'"([a-z0-9-]+)(?:\[\w+\])?>=([\d.]+)[",]', text))  # for all systems


def parsed(version: str) -> list[int]:
    return [int(part) for part in re.sub(r"(\.0)+$", "", version).split(".")]


def test_the_oldest_versions_that_are_tested_are_the_lower_bounds_of_the_package() -> None:
    bounds = lower_bounds()
    bounds["werkzeug"] = TESTED["werkzeug"][0]  # Flask asks for it
    assert {name: parsed(bound) for name, bound in bounds.items()} == {
        name: parsed(oldest) for name, (oldest, _) in TESTED.items()
    }


def test_the_drivers_of_the_message_brokers_use_no_private_name_of_their_packages() -> None:
    own = {"self", "cls"}
    for path in (ROOT / "asyncsock" / "queues").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
                # `_replace` is a named tuple's.
                assert ast.unparse(node.value) in own or node.attr == "_replace", f"{path.name}: {node.attr}"


# python-socketio


def test_every_private_method_of_python_socketios_server_that_ours_has_or_calls_is_looked_for() -> None:
    def private(cls: type) -> set[str]:
        return {name for name in vars(cls) if re.match(r"_[a-z]", name)}

    theirs = {name for cls in socketio.AsyncServer.__mro__ for name in private(cls)}
    used = {
        name for cls in AsyncServer.__mro__ if cls.__module__.startswith("asyncsock") for name in private(cls)
    }
    holders = ("self", "super()", "server", "self._server")
    for module in (server, routes, connections, disconnections, dispatch):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in holders:
                used.add(node.attr)
    assert used & theirs == set(checks.PRIVATE)


def test_a_python_socketio_without_one_of_them_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    monkeypatch.setattr(checks, "PRIVATE", (*checks.PRIVATE, "_call_the_police"))
    for _ in range(2):
        AsyncServer(async_mode="asgi")
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "no AsyncServer._call_the_police," in warning
    assert "tested are {} to {}".format(*TESTED["python-socketio"]) in warning


# Flask

NAMES = [(cls, name) for cls, names in context.PARTS.items() for name in names]


@pytest.mark.parametrize(("cls", "name"), NAMES, ids=lambda value: getattr(value, "__name__", value))
def test_a_context_of_flasks_without_a_part_is_one_clear_error(
    cls: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed(self: object) -> None: ...

    code = cls.__init__.__code__  # type: ignore[misc]
    renamed.__code__ = renamed.__code__.replace(co_names=tuple(set(code.co_names) - {name}))
    monkeypatch.setattr(cls, "__init__", renamed)
    if name in vars(cls):
        monkeypatch.delattr(cls, name)
    with pytest.raises(
        ImportError, match=rf"{cls.__name__} has no {name} \(flask .* is installed, tested are 3"
    ):
        context.check_parts()


@pytest.mark.parametrize("name", ["_cv_app", "_cv_request"])
def test_a_flask_without_its_context_variables_is_one_clear_error(name: str) -> None:
    program = f"""
import flask
import flask.globals
del flask.globals.{name}
import asyncsock
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "ImportError: asyncsock cannot replay contexts with this Flask: cannot import name"
    )
    assert f"'{name}'" in last
    assert "tested are {} to {}".format(*TESTED["flask"]) in last


def test_the_code_takes_nothing_else_that_is_private_from_flasks_contexts() -> None:
    source = (Path(context.__file__)).read_text()
    private = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr)
    }
    of_ours = {name for cls in (context.ReplayedContext, context.ConnectionContext) for name in vars(cls)}
    flasks = {name for names in context.PARTS.values() for name in names if name.startswith("_")}
    assert private - of_ours <= flasks


# Werkzeug

WITHOUT_RELOADER = """
import sys
sys.modules["werkzeug._reloader"] = None  # importing it raises ImportError
import os, signal, threading
from flask import Flask
from asyncsock import SocketIO
app = Flask("app")
socketio = SocketIO(app)
app.route("/")(lambda: "served")
socketio.run(app, port=int(os.environ["PORT"]), use_reloader=True, debug=True)
"""


def test_run_serves_without_a_reloader_where_werkzeug_has_it_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WITHOUT_RELOADER)
    with serve(str(tmp_path / "program.py"), server="python") as running:
        assert httpx.get(running.url, trust_env=False).text == "served"
        log = running.log()
    assert log.count("the program is not reloaded when it changes, with this Werkzeug") == 1
    assert "tested are {} to {}".format(*TESTED["werkzeug"]) in log
