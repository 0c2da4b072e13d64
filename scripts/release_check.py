"""Build the sdist and the wheel, and try each of them alone with each Python that is here.

Each is installed into a fresh virtualenv with nothing but what it asks for, serves one event and shows its
commands, with deprecation warnings as errors. Before that, `twine check` renders the README as the page of a
package index, and the contents are looked at.

    python scripts/release_check.py            with all Pythons (make release-check)
    python scripts/release_check.py 3.11       with some of them

The distributions are in dist/ afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from distributions import ROOT, build, faults, project_version
from pythons import VERSIONS, find_python

DIST = ROOT / "dist"
PROGRAM = ROOT / "scripts" / "one_event.py"
AT_ONCE = 2


STRICT = {"PYTHONWARNINGS": "error::DeprecationWarning,error::PendingDeprecationWarning"}


class Failed(Exception):
    """A command failed; the text is its output."""


def run(command: list[str], folder: Path = ROOT, **variables: str) -> None:
    """Run a command that finds no package but those of its own virtualenv."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stdout}")


def try_alone(distribution: Path, python: str) -> None:
    """Install a distribution into a fresh virtualenv, and have it serve an event."""
    with tempfile.TemporaryDirectory() as folder:
        run([python, "-m", "venv", folder])
        of_venv = str(Path(folder, "bin", "python"))
        run([of_venv, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(distribution)])
        run([of_venv, "-m", "pip", "check", "--disable-pip-version-check"])
        run([of_venv, str(PROGRAM), project_version()], Path(folder), **STRICT)


def check(distribution: Path, version: str) -> bool:
    """Try a distribution with a version of Python, and print how it went."""
    kind = "wheel" if distribution.suffix == ".whl" else "sdist"
    python = find_python(version)
    if python is None:
        print(f"== Python {version} is not here: {kind} not tried", flush=True)
        return True
    try:
        try_alone(distribution, python)
    except Failed as failure:
        print(f"== {version}, {kind}: FAILED\n{failure}", flush=True)
        return False
    print(f"== {version}, {kind}: installed alone, it serves", flush=True)
    return True


def main(versions: list[str]) -> int:
    for old in DIST.glob("asyncsock-*"):
        old.unlink()
    distributions = build(DIST)
    run([sys.executable, "-m", "twine", "check", "--strict", *map(str, distributions)])
    wrong = [f"{each.name}: {fault}" for each in distributions for fault in faults(each, project_version())]
    if wrong:
        print(*wrong, sep="\n")
        return 1
    print(
        "==",
        " and ".join(each.name for each in distributions),
        "are whole, and their page is valid",
        flush=True,
    )
    tries = [(each, version) for version in versions or VERSIONS for each in distributions]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return 0 if all(list(pool.map(lambda each: check(*each), tries))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
