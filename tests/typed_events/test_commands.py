"""The commands that print the documents, for an application whose events have types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from flask import Flask

from asyncsock import SocketIO
from asyncsock.flask_bridge import commands
from tests.support.node_tools import asyncapi_problems, compile_typescript
from tests.support.server_process import ROOT

CHAT = ("--app", "examples/chat/app.py")


class Message(msgspec.Struct):
    text: str


def application() -> Flask:
    app = Flask("house")
    socketio = SocketIO(app)

    @socketio.on("say")
    async def say(message: Message) -> int:
        return 1

    socketio.event_type("said", Message)
    return app


def printed(app: Flask, *arguments: str) -> str:
    """What `flask socketio` prints for an application of this process."""
    return app.test_cli_runner().invoke(commands.socketio, arguments).output


def flask(*arguments: str, seed: str = "0") -> str:
    """What the `flask` command prints, with Python's hashes from a seed."""
    line = [sys.executable, "-m", "flask", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
    ended = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def test_the_title_and_the_version_of_the_asyncapi_document() -> None:
    document = json.loads(printed(application(), "asyncapi"))
    assert document["info"]["title"] == "house"
    assert list(document["operations"]) == ["root.receive.say", "root.send.said"]
    titled = printed(application(), "asyncapi", "--title", "Our house", "--version", "2.1.0")
    info = json.loads(titled)["info"]
    assert (info["title"], info["version"]) == ("Our house", "2.1.0")


def test_typescript_has_what_the_application_takes_and_sends() -> None:
    document = printed(application(), "typescript")
    assert (
        "  say: (message: Message, callback: (answer: number | InvalidPayload) => void) => void;\n"
        in document
    )
    assert "  said: (data: Message) => void;\n" in document


def test_an_application_without_a_server_of_ours_is_told_so() -> None:
    for command in ("asyncapi", "typescript"):
        assert "has no Socket.IO server of asyncsock" in printed(Flask("bare"), command)


@pytest.mark.parametrize("command", ["asyncapi", "typescript"])
def test_each_run_prints_the_same_valid_document(command: str, tmp_path: Path) -> None:
    document = flask(*CHAT, "socketio", command, seed="1")
    assert flask(*CHAT, "socketio", command, seed="2") == document
    if command == "asyncapi":
        assert asyncapi_problems(json.loads(document)) == []
    else:
        (tmp_path / "events.ts").write_text(document)
        assert compile_typescript(tmp_path, "events.ts") == {}
