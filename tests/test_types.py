"""The type checkers keep the types of decorated handlers, and find the mistakes in their use."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.required_parts import require
from tests.support.server_process import ROOT

FOLDER = ROOT / "tests" / "typed"
PYRIGHT = FOLDER / "node_modules" / ".bin" / "pyright"
Place = tuple[str, int]


def mypy() -> set[Place]:
    """Where `mypy --strict` finds errors in the typed programs."""
    line = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--ignore-missing-imports"]
    line += ["--follow-imports=silent", f"--cache-dir={ROOT / '.mypy_cache' / 'typed'}"]
    ended = subprocess.run(
        [*line, *map(str, FOLDER.glob("*.py"))], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    found = re.findall(r"^(\S+\.py):(\d+): error: ", ended.stdout, re.MULTILINE)
    return {(Path(file).name, int(number)) for file, number in found}


def pyright() -> set[Place]:
    """Where pyright finds errors in its strict mode."""
    require(PYRIGHT.exists(), "pyright (npm)")
    line = [str(PYRIGHT), "--outputjson", "--pythonpath", sys.executable, "-p", str(FOLDER)]
    ended = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    found = json.loads(ended.stdout)["generalDiagnostics"]
    return {(Path(item["file"]).name, item["range"]["start"]["line"] + 1) for item in found}


def mistakes() -> set[Place]:
    lines = (FOLDER / "mistakes.py").read_text().splitlines()
    return {("mistakes.py", number) for number, line in enumerate(lines, 1) if line.endswith("  # wrong")}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_type_checker_finds_each_mistake_and_nothing_else(check: object) -> None:
    assert callable(check)
    assert check() == mistakes()
    assert len(mistakes()) > 5
