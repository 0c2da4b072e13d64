"""The chat example, used by several people in real Chromium.

The scenarios are in tests/browser/chat.mjs; each test here runs one of them against a server of its own,
which it stops and starts when the scenario asks for that. Screenshots are kept in artifacts/.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.required_parts import require
from tests.support.server_process import ROOT, Server, serve, stop
from tests.support.server_restarts import restarted
from tests.support.worker_processes import wait_for_workers

pytestmark = pytest.mark.browser

FOLDER = Path(__file__).parent / "browser"
ARTIFACTS = ROOT / "artifacts"
CLIENT = ROOT / "tests" / "js" / "node_modules" / "socket.io-client" / "dist" / "socket.io.min.js"
# Seconds for one scenario: less than the time limit of its test.
PATIENCE = 90.0


class Pages:
    """The Node process that drives Chromium."""

    def __init__(self) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            ["node", "chat.mjs", str(ARTIFACTS)],
            cwd=FOLDER,
            env={**os.environ, "CHROMIUM": str(shutil.which("chromium"))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def close(self) -> None:
        """End the process by ending its input, or by force after 10 seconds."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()

    def play(self, scenario: str, server: Server) -> None:
        """Run a scenario, and stop and start the server as it asks.

        Raises:
            AssertionError: the scenario failed, or the server logged a traceback.
        """
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        with ExitStack() as stack:
            stack.callback(watchdog.cancel)
            error = self._play(scenario, server, stack)
        assert error is None, f"{error}\nThe server's log:\n{server.log()}"
        assert "Traceback" not in server.log(), server.log()

    def _play(self, scenario: str, server: Server, stack: ExitStack) -> str | None:
        self._write(json.dumps({"scenario": scenario, "url": server.url}))
        assert self.process.stdout is not None
        other: list[str] = []
        for line in self.process.stdout:
            message = json.loads(line) if line.startswith("{") else {}
            if "ended" in message:
                return message["error"] and str(message["error"])
            if message.get("please") == "stop":
                stop(server.process)
            elif message.get("please") == "start":
                stack.enter_context(restarted(server))
            else:
                other.append(line)
                continue
            self._write("done")
        return f"The pages' process ended.\n{''.join(other)}"

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def running_pages() -> Iterator[list[Pages]]:
    """The process that all tests share; a list, as a test that finds it ended puts another in its place."""
    running: list[Pages] = []
    yield running
    for pages in running:
        pages.close()


@pytest.fixture
def pages(running_pages: list[Pages]) -> Pages:
    """A browser to play scenarios in."""
    for program in ("node", "chromium"):
        require(shutil.which(program), program)
    playwright = FOLDER / "node_modules" / "playwright-core"
    require(playwright.is_dir(), "npm package playwright-core in tests/browser")
    require(CLIENT.is_file(), "npm package socket.io-client in tests/js")
    if not running_pages or running_pages[-1].process.poll() is not None:
        running_pages.append(Pages())
    return running_pages[-1]


@pytest.fixture
def chat(pages: Pages) -> Iterator[Server]:
    """The chat example under uvicorn."""
    with serve("app:asgi", args=["--app-dir", "examples/chat"]) as server:
        yield server


@pytest.fixture
def chat_on_two_workers(pages: Pages, tmp_path: Path) -> Iterator[Server]:
    """The chat example under uvicorn with two workers, both of which serve."""
    env = {"CHAT_FILE": str(tmp_path / "chat")}
    with serve("app:asgi", args=["--app-dir", "examples/chat", "--workers", "2"], env=env) as server:
        wait_for_workers(server, 2, "Application startup complete")
        yield server


def test_two_people_see_each_other_and_talk_in_a_room(pages: Pages, chat: Server) -> None:
    pages.play("room", chat)


def test_somebody_who_comes_later_reads_what_was_said(pages: Pages, chat: Server) -> None:
    pages.play("history", chat)


def test_a_room_that_one_person_opens_can_be_joined_and_left_by_others(pages: Pages, chat: Server) -> None:
    pages.play("rooms", chat)


def test_others_see_that_somebody_is_typing(pages: Pages, chat: Server) -> None:
    pages.play("typing", chat)


def test_a_private_message_arrives_only_at_its_recipient(pages: Pages, chat: Server) -> None:
    pages.play("private", chat)


def test_commands_answer_in_the_room(pages: Pages, chat: Server) -> None:
    pages.play("commands", chat)


def test_each_mistake_gets_one_clear_message(pages: Pages, chat: Server) -> None:
    pages.play("mistakes", chat)


def test_two_tabs_of_one_user_are_one_person(pages: Pages, chat: Server) -> None:
    pages.play("tabs", chat)


def test_the_page_works_with_the_keyboard_alone(pages: Pages, chat: Server) -> None:
    pages.play("keyboard", chat)


def test_people_on_two_workers_are_in_one_chat_and_see_which_they_are_on(
    pages: Pages, chat_on_two_workers: Server
) -> None:
    pages.play("workers", chat_on_two_workers)


def test_pages_come_back_after_a_restart_and_send_what_was_written_meanwhile(
    pages: Pages, chat: Server
) -> None:
    pages.play("restart", chat)


@pytest.mark.parametrize("scenario", ["withoutClient", "waitingForClient"])
def test_the_page_says_that_it_has_no_client(pages: Pages, scenario: str) -> None:
    with serve("app:asgi", args=["--app-dir", "examples/chat"], env={"SOCKET_IO_CLIENT": "none"}) as server:
        pages.play(scenario, server)


def test_screenshots_of_every_view_fit_their_window(pages: Pages, chat: Server) -> None:
    started = time.time()
    pages.play("pictures", chat)
    views = ("login", "room", "private", "drawer", "reconnecting")
    for view in views:
        pictures = list(ARTIFACTS.glob(f"chat-{view}-*.png"))
        assert any(picture.stat().st_mtime >= started - 1 for picture in pictures), view
