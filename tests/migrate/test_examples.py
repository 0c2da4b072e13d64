"""The mover writes what was written by hand into the example, and moves the projects of the tests."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("libcst")

from asyncsock.migrate.mover import move
from tests.migrate.moving import moved
from tests.support.server_process import ROOT

EXAMPLE = ROOT / "examples" / "migrated"


def test_before_becomes_after_up_to_the_coroutine() -> None:
    (file,) = move(EXAMPLE / "before.py")[0]
    after = (EXAMPLE / "after.py").read_text()
    start, name, rest = after.partition("async def close():")
    body, decorator, end = rest.partition("\n\n\n@")
    assert name
    assert decorator
    as_function = f"{start}def close():{body.replace('await ', '')}{decorator}{end}"
    # asyncsock's own linter puts its import apart, as that of the project
    assert file.changed() == as_function.replace("\n\nfrom asyncsock", "\nfrom asyncsock")
    assert file.remarks == []


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "tests" / "projects").iterdir()))
def test_a_second_run_over_a_project_of_the_tests_changes_nothing(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "projects" / name, tmp_path, dirs_exist_ok=True)
    result = moved(tmp_path, {})
    assert any(file.endswith(".py") for file in result.changed)
    sources = "".join(text for file, text in result.files.items() if file.endswith(".py"))
    assert not re.search("flask_socketio|async_mode=", sources)
