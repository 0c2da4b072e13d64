"""Installs the peers: a virtualenv in ``.peers``, npm packages in ``apps/node_modules``. Once per Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
APPS = HERE / "apps"
VENV = HERE / ".peers" / "venv"
PEER_PYTHON = str(VENV / "bin" / "python")
BUN = str(APPS / "node_modules" / ".bin" / "bun")


def install() -> None:
    """Install what is missing or older than its list.

    Raises:
        SystemExit: npm or Node is missing.
    """
    if not shutil.which("node") or not shutil.which("npm"):
        raise SystemExit("The benchmarks need Node and npm: apt-get install nodejs npm")
    stamp = HERE / ".peers" / "installed"
    lists = (APPS / "requirements.txt", APPS / "package.json")
    newest = max(path.stat().st_mtime for path in lists)
    ours = stamp.exists() and stamp.read_text() == sys.version
    if ours and stamp.stat().st_mtime >= newest:
        return
    print("Installing the peers", flush=True)
    stamp.parent.mkdir(exist_ok=True)
    if not ours:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    pip = [PEER_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([*pip, "--requirement", str(APPS / "requirements.txt")], check=True)
    npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(npm, cwd=APPS, check=True)
    stamp.write_text(sys.version)


def another(python: str) -> str:
    """The interpreter of a virtualenv of another Python that has asyncsock."""
    code = "import sys; print(sys.version)"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    folder = HERE / ".peers" / "pythons" / version.split()[0]
    found = str(folder / "bin" / "python")
    stamp = folder / "installed"
    project = HERE.parent / "pyproject.toml"
    current = stamp.exists() and stamp.stat().st_mtime >= project.stat().st_mtime
    if not current or stamp.read_text() != version:
        print(f"Installing asyncsock with {python}", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [found, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--editable", f"{HERE.parent}[redis,metrics]"], check=True)
        stamp.write_text(version)
    return found


def earlier(commit: str) -> Path:
    """A folder with the package as it was at a commit."""
    folder = HERE / ".peers" / "earlier" / commit
    if not (folder / "asyncsock").exists():
        folder.mkdir(parents=True, exist_ok=True)
        archive = ["git", "archive", "--format=tar", commit, "asyncsock"]
        packed = subprocess.run(archive, cwd=HERE.parent, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    return folder


def redis_server() -> str:
    """The path of redis-server, or "" where there is none: Debian's package is redis-server."""
    return shutil.which("redis-server") or ""


if __name__ == "__main__":
    install()
