"""docs/howto/documents.md: its program serves its page in TypeScript, by the types that are printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.document_programs import blocks, write_files
from tests.support.node_tools import compile_typescript
from tests.support.server_process import ROOT
from tests.support.started_programs import environment, started

PAGE = (ROOT / "docs" / "howto" / "documents.md").read_text()
ADDRESS = "http://127.0.0.1:8000"  # of the page; the server of a test has another


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, with what the command prints."""
    folder = tmp_path_factory.mktemp("page")
    write_files(PAGE, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    line = [sys.executable, "-m", "flask", "--app", "app", "socketio", "typescript"]
    ended = subprocess.run(line, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    (folder / "events.ts").write_text(ended.stdout)
    return folder


def test_the_command_prints_what_the_page_says(folder: Path) -> None:
    assert (folder / "events.ts").read_text() in blocks(PAGE, "ts")


@pytest.mark.javascript
def test_a_page_in_typescript_and_the_server_understand_each_other(folder: Path) -> None:
    page = folder / "page.ts"
    with started("uvicorn app:asgi", folder) as (_, server):
        assert ADDRESS in page.read_text()
        page.write_text(page.read_text().replace(ADDRESS, server.url))
        assert compile_typescript(folder, "page.ts", options=("--outDir", ".")) == {}
        ended = subprocess.run(
            ["node", "page.js"], cwd=folder, capture_output=True, text=True, timeout=30, check=False
        )
    assert ended.stdout.splitlines() == ["lobby: Good morning", "number 1"], ended.stderr
