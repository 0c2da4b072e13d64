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


WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "SyntaxWarning")


def test_importing_all_modules_and_serving_a_handler_of_each_kind_warns_of_no_deprecation() -> None:
    options = [option for name in WARNINGS for option in ("-W", f"always::{name}")]
    program = subprocess.run(
        [sys.executable, *options, "-m", "tests.apps.warned"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert program.stdout.splitlines() == SERVED, program.stderr
    # What a library uses is for its authors to mend.
    ours = [line for line in program.stderr.splitlines() if line.startswith(f"{ROOT / 'asyncsock'}/")]
    assert not ours
