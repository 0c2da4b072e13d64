"""What Python or a library is about to remove is not used in our own modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVED = [
    "async handler",
    "async view",
    "class-based handler",
    "def handler",
    "def view",
    "handler of any event",
    "polling",
]


def test_importing_all_modules_and_serving_a_handler_of_each_kind_warns_of_no_deprecation() -> None:
    program = subprocess.run(
        [sys.executable, "-m", "tests.apps.warned"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert program.stdout.splitlines() == SERVED, program.stderr
