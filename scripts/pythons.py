"""The Pythons of this machine that the project supports. As a command: prints the path of the best.

The best is the newest that was built with profile-guided optimization, or the newest of all where none was.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
NOT_OPTIMIZED = "not optimized"


def build() -> str:
    """How this interpreter was compiled: which optimizations of a whole program, or `NOT_OPTIMIZED`."""
    arguments = shlex.split(sysconfig.get_config_var("CONFIG_ARGS") or "")
    if "--enable-optimizations" in arguments:
        return "PGO and LTO" if "--with-lto" in arguments else "PGO"
    # Debian and Ubuntu optimize in a way of their own, of which configure knows nothing.
    return "the distribution's, with PGO and LTO" if "--prefix=/usr" in arguments else NOT_OPTIMIZED


def find_python(version: str) -> str | None:
    """An interpreter of a version that can make virtualenvs: pyenv's, or one on the path."""
    return next((python for python, _ in _builds(version)), None)


def best_python() -> str:
    """The newest optimized interpreter, or the newest; this one where none of `VERSIONS` is here."""
    found = [each for version in reversed(VERSIONS) for each in _builds(version)]
    optimized = [python for python, how in found if how != NOT_OPTIMIZED]
    return next(iter(optimized or [python for python, _ in found]), sys.executable)


def _builds(version: str) -> Iterator[tuple[str, str]]:
    """The interpreters of a version that can make virtualenvs, and how each was compiled."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [str(folder / "bin" / "python") for folder in sorted(pyenv.glob(f"{version}.*"), reverse=True)]
    for folder in os.get_exec_path():  # all of them: a shim of pyenv's may hide the system's
        places += [found] if (found := shutil.which(f"python{version}", path=folder)) else []
    for place in places:
        try:
            asked = subprocess.run([place, __file__, "--build"], capture_output=True, text=True)
        except OSError:
            continue
        found_version, _, how = asked.stdout.strip().partition(" ")
        if found_version == version:  # not a shim of a version that is not there
            yield place, how


if __name__ == "__main__":
    if sys.argv[1:] == ["--build"]:
        import ensurepip  # noqa: F401  # Debian has it in a package of its own

        print("{}.{}".format(*sys.version_info[:2]), build())
    else:
        print(best_python())
