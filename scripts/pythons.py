"""The Pythons of this machine that the project supports. As a command: prints the path of the newest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13")


def find_python(version: str) -> str | None:
    """An interpreter of a version that can make virtualenvs: pyenv's, or one on the path."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [str(folder / "bin" / "python") for folder in sorted(pyenv.glob(f"{version}.*"), reverse=True)]
    places += [found] if (found := shutil.which(f"python{version}")) else []
    code = "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for place in places:
        try:
            asked = subprocess.run([place, "-c", code], capture_output=True, text=True)
        except OSError:
            continue
        if asked.stdout.strip() == version:  # not a shim of a version that is not there
            return place
    return None


if __name__ == "__main__":
    print(next((found for version in reversed(VERSIONS) if (found := find_python(version))), sys.executable))
