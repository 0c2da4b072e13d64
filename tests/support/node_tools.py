"""TypeScript's compiler and the parser of AsyncAPI, as npm has them."""

from __future__ import annotations

import atexit
import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.required_parts import require
from tests.support.server_process import ROOT

FOLDER = ROOT / "tests" / "typed"
NODE_MODULES = FOLDER / "node_modules"
TSC = NODE_MODULES / ".bin" / "tsc"


def compile_typescript(folder: Path, *files: str, options: tuple[str, ...] = ("--noEmit",)) -> dict[int, str]:
    """Compile a program in a folder with ``--strict``, against the real socket.io-client.

    Returns:
        What is wrong, by the number of the line in the last of the files.
    """
    require(TSC.exists(), "typescript (npm)")
    link = folder / "node_modules"
    if not link.exists():
        link.symlink_to(NODE_MODULES)
    line = [str(TSC), "--strict", "--target", "es2022", "--lib", "es2022,dom", "--module", "nodenext"]
    line.append("--skipLibCheck")  # what libraries declare takes two thirds of the time
    ended = subprocess.run(
        [*line, "--pretty", "false", *options, *files],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = {}
    for text in ended.stdout.splitlines():
        found = re.match(r"(.+?)\((\d+),\d+\): error (.*)", text)
        if found is not None:
            assert found[1] == files[-1], ended.stdout
            errors[int(found[2])] = found[3]
    assert (ended.returncode == 0) == (not errors), ended.stdout + ended.stderr
    return errors


def run_node(script: str, data: Any) -> Any:
    """Run a script of `FOLDER` with data as JSON on its input; the JSON on its output."""
    require(NODE_MODULES.exists(), "@asyncapi/parser (npm)")
    ended = subprocess.run(
        ["node", str(FOLDER / script)], input=json.dumps(data), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


def asyncapi_problems(document: Any) -> list[str]:
    """What the official parser finds wrong with an AsyncAPI document."""
    parser = _asyncapi_parser()
    assert parser.stdin is not None
    assert parser.stdout is not None
    parser.stdin.write(json.dumps(document) + "\n")
    parser.stdin.flush()
    problems: list[str] = json.loads(parser.stdout.readline() or '["the parser has ended"]')
    return problems


@cache
def _asyncapi_parser() -> subprocess.Popen[str]:
    """The process of the parser, which takes longer to start than to read a document."""
    require(NODE_MODULES.exists(), "@asyncapi/parser (npm)")
    line = ["node", str(FOLDER / "asyncapi.mjs")]
    parser = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(parser.communicate, timeout=10)  # which closes its input, and so ends it
    return parser
