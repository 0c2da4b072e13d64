"""The command shows a diff, writes only when it is told to, and does not load the application."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("libcst")

from tests.migrate.moving import FLASK_APP, MOVED_APP, project
from tests.support.server_process import ROOT

MODULE = ("-m", "asyncsock.migrate")
FLASK = ("-m", "flask", "socketio", "migrate")
BROKEN = f"import not_installed_any_more\n{FLASK_APP}app.run()\n"
DIFF = f"""\
--- a/app.py
+++ b/app.py
@@ -1,7 +1,8 @@
 import not_installed_any_more
 from flask import Flask
-from flask_socketio import SocketIO
+from asyncsock import SocketIO
{" "}
 app = Flask(__name__)
 socketio = SocketIO(app)
+asgi = socketio.asgi_app
 app.run()
"""


def run(folder: Path, *arguments: str, status: int = 0) -> tuple[str, str]:
    """Run Python in a folder; returns what it wrote to its output and to its errors."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("command", [MODULE, FLASK], ids=["python -m", "flask"])
def test_it_shows_a_diff_and_writes_nothing(command: tuple[str, ...], tmp_path: Path) -> None:
    project(tmp_path, {"app.py": BROKEN})
    output, errors = run(tmp_path, *command, ".")
    assert output.startswith(DIFF)
    assert "\nPlease look at these yourself:\napp.py:7: app.run() serves no Socket.IO" in output
    assert errors == ""
    assert (tmp_path / "app.py").read_text() == BROKEN


@pytest.mark.parametrize("command", [MODULE, FLASK], ids=["python -m", "flask"])
def test_it_writes_when_it_is_told_to(command: tuple[str, ...], tmp_path: Path) -> None:
    project(tmp_path, {"app.py": BROKEN})
    output, _ = run(tmp_path, *command, ".", "--write")
    assert output.startswith("changed app.py\n\nPlease look at these yourself:\napp.py:8: app.run()")
    assert (tmp_path / "app.py").read_text() == BROKEN.replace(FLASK_APP, MOVED_APP)
    output, _ = run(tmp_path, *command, ".", "--write")
    assert output.startswith("Nothing to change.\n")


def test_the_output_is_a_patch(tmp_path: Path) -> None:
    project(tmp_path, {"web/app.py": BROKEN.rstrip(), "requirements.txt": b"flask-socketio\r\neventlet"})
    environment = {
        "PYTHONPATH": str(ROOT),
        "PATH": "/usr/bin:/bin",
        "GIT_CEILING_DIRECTORIES": str(tmp_path.parent),
    }
    shown = subprocess.run(
        [sys.executable, *MODULE, "."], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    subprocess.run(["git", "apply"], cwd=tmp_path, env=environment, input=shown.stdout, check=True)
    assert (tmp_path / "requirements.txt").read_bytes() == b"asyncsock\r\n"
    assert run(tmp_path, *MODULE, ".")[0].startswith("Nothing to change.\n")


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    _, errors = run(tmp_path, *MODULE, "missing", status=1)
    assert "missing" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("command", [MODULE, FLASK], ids=["python -m", "flask"])
def test_without_libcst_it_names_the_extra(command: tuple[str, ...], tmp_path: Path) -> None:
    project(tmp_path, {"sitecustomize.py": "import sys\nsys.modules['libcst'] = None\n", "app.py": FLASK_APP})
    script = (
        "import runpy, sys; sys.modules['libcst'] = None; "
        f"sys.argv = ['x', {', '.join(map(repr, command[2:]))}{',' if command[2:] else ''} '.']; "
        f"runpy.run_module({command[1]!r}, run_name='__main__', alter_sys=True)"
    )
    _, errors = run(tmp_path, "-c", script, status=1)
    assert "pip install 'asyncsock[migrate]'" in errors
    assert "Traceback" not in errors


def test_nothing_else_of_asyncsock_imports_libcst(tmp_path: Path) -> None:
    script = (
        "import sys, asyncsock, asyncsock.flask_bridge.commands, asyncsock.queues; "
        "print('libcst' in sys.modules)"
    )
    assert run(tmp_path, "-c", script)[0] == "False\n"
