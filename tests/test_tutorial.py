"""The program of README.md, and each step of docs/tutorial, typed and started as it says, in real Chromium.

Screenshots are kept in artifacts/.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.document_programs import commands, write_files
from tests.support.required_parts import require
from tests.support.server_process import ROOT
from tests.support.started_programs import Started, environment, started

pytestmark = pytest.mark.browser

STEPS = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
BROWSER = ROOT / "tests" / "browser"
ARTIFACTS = ROOT / "artifacts"
CLIENT = ROOT / "tests" / "js" / "node_modules" / "socket.io-client" / "dist" / "socket.io.min.js"
PATIENCE = 120.0  # seconds for a scenario


def type_it(step: Path, folder: Path) -> None:
    """The files of a step, with those that stay from the steps before."""
    for page in STEPS[: STEPS.index(step) + 1]:
        write_files(page.read_text(), folder)


def server_command(step: Path) -> str:
    (command,) = [line for line in commands(step.read_text()) if line.startswith("uvicorn ")]
    return command


def play(scenario: str, url: str, program: Started) -> None:
    """Do in Chromium what the page of a step says, and stop and start the server when that is said."""
    for part in ("node", "chromium"):
        require(shutil.which(part), part)
    require((BROWSER / "node_modules" / "playwright-core").is_dir(), "npm package playwright-core")
    require(CLIENT.is_file(), "npm package socket.io-client in tests/js")
    ARTIFACTS.mkdir(exist_ok=True)
    process = subprocess.Popen(
        ["node", "tutorial.mjs", scenario, url, str(ARTIFACTS), str(CLIENT)],
        cwd=BROWSER,
        env={**os.environ, "CHROMIUM": str(shutil.which("chromium"))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        encoding="utf-8",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    other = []
    try:
        for line in process.stdout:
            if line == "stop\n":
                program.stop()
            elif line == "start\n":
                program.start()
            else:
                other.append(line)
                continue
            process.stdin.write("done\n")
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
    assert (process.returncode, other) == (0, []), "".join(other)


def test_the_program_of_the_readme_shows_what_it_says(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    write_files(readme.read_text(), tmp_path)
    with started(server_command(readme), tmp_path) as (program, server):
        play("README", server.url, program)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_the_step_shows_what_its_page_says(step: Path, tmp_path: Path) -> None:
    type_it(step, tmp_path)
    with started(server_command(step), tmp_path) as (program, server):
        play(step.stem, server.url, program)


def test_the_types_of_the_fourth_step_are_printed(tmp_path: Path) -> None:
    step = ROOT / "docs" / "tutorial" / "4-messages.md"
    type_it(step, tmp_path)
    (command,) = [line for line in commands(step.read_text()) if line.startswith("flask ")]
    done = subprocess.run(
        command.split(), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for name in ("ClientToServerEvents", "ServerToClientEvents", "Message", "Receipt", "Said"):
        assert name in done.stdout


def test_the_tests_of_the_last_step_pass(tmp_path: Path) -> None:
    type_it(STEPS[-1], tmp_path)
    assert commands(STEPS[-1].read_text())[-2:] == ["pip install pytest", "pytest"]
    done = subprocess.run(
        ["pytest"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert "4 passed" in done.stdout, done.stdout
