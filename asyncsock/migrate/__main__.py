"""`python -m asyncsock.migrate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .command import migrate


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m asyncsock.migrate",
        description="Show what moving a project from Flask-SocketIO to asyncsock takes, and what to look at.",
    )
    parser.add_argument("path", type=Path, help="the folder of the project, or one Python file")
    parser.add_argument("--write", action="store_true", help="make the changes instead of showing them")
    arguments = parser.parse_args()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return migrate(arguments.path, arguments.write, sys.stdout.write)


if __name__ == "__main__":
    raise SystemExit(main())
