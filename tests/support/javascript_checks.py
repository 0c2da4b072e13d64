"""Run a JavaScript program that prints {"name", "error"} as a line of JSON for each of its checks."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

OUTSIDE = "no error outside the checks"
Outcomes = dict[str, str | None]


def outcomes(
    line: Sequence[str], folder: Path, timeout: float, env: Mapping[str, str] | None = None
) -> Outcomes:
    """What each check of one process came to: None for a check that passed.

    Whatever else the process prints or fails with is under the name `OUTSIDE`.

    Args:
        line: the command line.
        folder: where it runs.
        timeout: seconds after which it is killed.
        env: environment variables beside those of this process.
    """
    process = subprocess.Popen(
        line,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    found: Outcomes = {}
    other: list[str] = []
    assert process.stdout is not None
    with process:
        for text in process.stdout:
            if text.startswith("{"):
                outcome = json.loads(text)
                found[outcome["name"]] = outcome["error"]
            else:
                other.append(text)
    watchdog.cancel()
    if process.returncode or other:
        found[OUTSIDE] = f"exit code {process.returncode}\n{''.join(other)}"
    return found
