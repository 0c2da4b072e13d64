"""The command shows a diff, writes only when it is told to, and does not load the application."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("libcst")

from asyncsock.flask_bridge import commands
from asyncsock.migrate.__main__ import main
from asyncsock.migrate.command import migrate
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


def run(folder: Path, *arguments: str) -> tuple[str, str]:
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
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("words", [MODULE, FLASK], ids=["python -m", "flask"])
def test_it_shows_a_diff_and_writes_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    project(tmp_path, {"app.py": BROKEN})
    output, errors = run(tmp_path, *words, ".")
    assert output.startswith(DIFF)
    assert "\nPlease look at these yourself:\napp.py:7: app.run() serves no Socket.IO" in output
    assert errors == ""
    assert (tmp_path / "app.py").read_text() == BROKEN


Command = Callable[..., str]


@pytest.fixture(params=["python -m", "flask"])
def command(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command in this process: takes its arguments and the status to expect, returns what it says."""

    def call(*arguments: object, status: int = 0) -> str:
        words = [str(each) for each in arguments]
        if request.param == "flask":
            done = CliRunner().invoke(commands.socketio, ["migrate", *words])
            assert done.exit_code == status, done.output
            return done.output
        monkeypatch.setattr(sys, "argv", ["migrate", *words])
        assert main() == status
        return "".join(capsys.readouterr())

    return call


def test_it_writes_when_it_is_told_to(command: Command, tmp_path: Path) -> None:
    project(tmp_path, {"app.py": BROKEN})
    output = command(tmp_path, "--write")
    assert output.startswith("changed app.py\n\nPlease look at these yourself:\napp.py:8: app.run()")
    assert (tmp_path / "app.py").read_text() == BROKEN.replace(FLASK_APP, MOVED_APP)
    assert command(tmp_path, "--write").startswith("Nothing to change.\n")


def test_the_output_is_a_patch(tmp_path: Path) -> None:
    project(tmp_path, {"web/app.py": BROKEN.rstrip(), "requirements.txt": b"flask-socketio\r\neventlet"})
    shown: list[str] = []
    migrate(tmp_path, False, shown.append)
    environment = {"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    patch = "".join(shown).encode()
    subprocess.run(["git", "apply"], cwd=tmp_path, env=environment, input=patch, check=True)
    assert (tmp_path / "requirements.txt").read_bytes() == b"asyncsock\r\n"
    again: list[str] = []
    migrate(tmp_path, False, again.append)
    assert again[0] == "Nothing to change.\n"


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate(tmp_path / "missing", False, print) == 1
    assert "missing" in capsys.readouterr().err


def test_without_libcst_it_names_the_extra(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, {"app.py": FLASK_APP})
    monkeypatch.setitem(sys.modules, "libcst", None)
    assert "pip install 'asyncsock[migrate]'" in command(tmp_path, status=1)


def test_nothing_else_of_asyncsock_imports_libcst(tmp_path: Path) -> None:
    script = (
        "import sys, asyncsock, asyncsock.flask_bridge.commands, asyncsock.queues; "
        "print('libcst' in sys.modules)"
    )
    assert run(tmp_path, "-c", script)[0] == "False\n"
