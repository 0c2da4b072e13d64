"""Run the core tests over the Python versions of this machine, and with the oldest supported libraries.

Each combination has a virtualenv of its own in .venv-matrix/, which is used again while pyproject.toml and
the versions in asyncsock/engine/tested_versions.py stay; the newest libraries are looked up once a day.
Two combinations run at once, each in two parts. The oldest libraries include those of the message brokers.
With --ends, which is for every change, one test stands for each module whose tests all start programs.

The newest Python, from 3.12 on, has them too and measures the coverage of asyncsock/: what runs in the tests'
own process, and not in the servers that they start. There, measuring takes no time; with older Pythons the
tests would take twice as long.

    python scripts/test_matrix.py                 all of them (make test-matrix)
    python scripts/test_matrix.py 3.12-newest     some of them
    python scripts/test_matrix.py --ends          the oldest libraries, and the newest Python
    python scripts/test_matrix.py --list
"""

from __future__ import annotations

import datetime
import hashlib
import os
import runpy
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pythons import VERSIONS, find_python

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-matrix"
TOOLS = ROOT / "tests" / "matrix.txt"
VERSIONS_FILE = ROOT / "asyncsock" / "engine" / "tested_versions.py"
TESTED: dict[str, tuple[str, str]] = runpy.run_path(str(VERSIONS_FILE))["TESTED"]
# The oldest libraries go with the first of these that is here: there are no wheels for later versions.
OLDEST_ON = ("3.10", "3.11")
AT_ONCE = 2
PARTS_AT_ONCE = 2  # of each: tests wait for servers that start and stop
MEASURES_FROM = (3, 12)  # where coverage.py can ask the interpreter instead of tracing each line
SHOWN_MODULES = 8
TESTS_FAILED = 1  # pytest's status: it ran all tests, and some failed
# What may depend on the versions of Python and of the libraries.
MODULES = {
    ".": (
        "asgi_app",
        "data",
        "deprecations",
        "drop_in",
        "migration",
        "surface",
    ),
    "codec": (
        "last_arguments",
        "msgpack",
        "packets",
        "values",
    ),
    "engine": (
        "engineio_protocol",
        "environ",
        "frames",
        "handlers",
        "logging",
        "methods",
        "options",
        "options_at_run_time",
        "origins",
        "subprotocols",
    ),
    "flask_bridge": (
        "application_json",
        "async_streams",
        "context",
        "file_sending",
        "options",
        "running",
        "sessions",
        "signals",
        "test_client",
        "thread_calls",
        "threads",
        "wsgi",
    ),
    "flask_handlers": (
        "answers",
        "coming_and_going",
        "emitting",
        "errors",
        "functions",
        "order",
        "registration",
        "what_handlers_see",
    ),
    "observing": (
        "metrics",
        "metrics_of_moves",
        "sentry",
        "traces",
    ),
    "recovery": (
        "claims",
        "coming_back",
        "flask",
        "log",
        "missed_events",
        "not_restored",
    ),
    "server": (
        "acknowledgements",
        "awaitables",
        "connect_handlers",
        "disconnecting",
        "events",
        "loops",
        "managers",
        "namespace_classes",
        "python_socketio_suite",
        "quick_decoding",
        "rooms",
        "serializers",
        "sessions",
        "socketio_protocol",
    ),
    "typed_events": (
        "annotations",
        "answers",
        "any_value",
        "conversion",
        "event_types",
        "handlers",
        "pydantic",
    ),
    "uvicorn": ("plain_connections", "probe"),
    "workers": (
        "directory",
        "frames",
        "greetings",
        "handover",
        "hosts_without_broker",
        "joining",
        "relay",
        "tunnels",
    ),
}
# Modules that take a third of the time, as each of their tests starts a program; and what stands for them.
STARTING_PROGRAMS = {
    "tests/flask_bridge/test_running.py": "test_run_serves_and_returns_at_a_signal",
    "tests/flask_bridge/test_signals.py": "test_the_programs_handler_runs_and_then_the_server_stops",
}
# One module for each message broker, with the broker.
BROKERS = (
    "test_kafka",
    "test_kombu",
    "test_nats",
    "test_rabbitmq",
    "test_redis",
    "test_redis_streams",
    "test_zmq",
)
# The servers that take the ordinary way are tested with one combination, by `make test`.
LEFT_OUT = "hypercorn or wsproto or granian"
# So are brokers that a test starts for itself; and python-socketio 5.14.0's own managers publish nothing.
LEFT_OUT_WITH_BROKERS = "sigkill or paused or too_large or amqps or each_side_has or python_socketio"


@dataclass
class Environment:
    """A virtualenv: a Python version, with the newest or the oldest libraries."""

    version: str
    python: str
    oldest: bool
    measured: bool = False
    quick: bool = False

    @property
    def name(self) -> str:
        return f"{self.version}-{'oldest' if self.oldest else 'newest'}"

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def bin(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def has_brokers(self) -> bool:
        return self.oldest or self.measured

    def install(self) -> None:
        """Make the virtualenv, or bring it up to date."""
        stamp, wanted = self.folder / "installed", self._ingredients()
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        if not self.bin.is_file():
            run([self.python, "-m", "venv", "--clear", str(self.folder)])
        pip = [str(self.bin), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if self.oldest:
            constraints = self.folder / "oldest.txt"
            constraints.write_text("".join(f"{name}=={oldest}\n" for name, (oldest, _) in TESTED.items()))
            pip += ["--constraint", str(constraints)]
        else:
            pip += ["--upgrade", "--upgrade-strategy", "eager"]
        pip += ["--editable", ".[all]" if self.has_brokers else "."]
        run([*pip, "--requirement", str(TOOLS)])
        stamp.write_text(wanted)

    def _ingredients(self) -> str:
        digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + TOOLS.read_bytes())
        digest.update(VERSIONS_FILE.read_bytes() if self.oldest else str(datetime.date.today()).encode())
        return f"{self.python} {self.has_brokers} {digest.hexdigest()}"

    def installed(self) -> str:
        """The versions that matter, for the report; those that the table does not know yet are marked."""
        freeze = run([str(self.bin), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"])
        versions = dict(line.lower().split("==") for line in freeze.splitlines() if "==" in line)
        return ", ".join(
            f"{name} {versions[name]}"
            + ("" if self.oldest or versions[name] == newest else " (newer or older)")
            for name, (_, newest) in TESTED.items()
            if name in versions
        )

    def test(self) -> str:
        """Run the core tests, and those of the brokers where they are installed; returns the results."""
        for data in self.folder.glob("coverage*"):
            data.unlink()
        core = core_files(self.quick)
        parts = [("half of the core", core[::2], LEFT_OUT), ("the other half", core[1::2], LEFT_OUT)]
        if self.has_brokers:
            files = [f"tests/queues/{module}.py" for module in BROKERS]
            parts.append(("message brokers", files, LEFT_OUT_WITH_BROKERS))
        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            results = pool.map(self._test, *zip(*parts, strict=True))
            told = ", ".join(
                [f"{result} ({name})" for (name, *_), result in zip(parts, results, strict=True)]
            )
        return told + (f"\n{self._coverage()}" if self.measured else "")

    def _test(self, name: str, files: list[str], left_out: str) -> str:
        measuring = (
            ["-m", "coverage", "run", "--parallel-mode", "--source=asyncsock"] if self.measured else []
        )
        pytest = (
            *measuring,
            *("-m", "pytest", "-q", "-o", f"cache_dir={self.folder / 'cache' / name}"),
            *("-m", "not slow and not browser and not javascript", "-k", f"not ({left_out})"),
            *files,
        )
        try:
            return _last_line(self._run(*pytest))
        except Failed as failed:
            if failed.status != TESTS_FAILED:
                raise
            flaky = [line for line in str(failed).splitlines() if line.startswith("FAILED")]
            again = self._run(*pytest, "--last-failed", "--last-failed-no-failures", "none")
            return "\n".join([_last_line(str(failed)), *flaky, f"once more: {_last_line(again)}"])

    def _coverage(self) -> str:
        """The coverage of asyncsock/ in all, and of the modules that have least."""
        self._run("-m", "coverage", "combine", "--quiet")
        lines = self._run("-m", "coverage", "report", "--sort=cover").strip().splitlines()
        modules = [line for line in lines if line.startswith("asyncsock")]
        least = ", ".join(f"{line.split()[0]} {line.split()[-1]}" for line in modules[:SHOWN_MODULES])
        return f"   coverage of asyncsock/: {lines[-1].split()[-1]}; least of all {least}"

    def _run(self, *arguments: str) -> str:
        coverage = {"COVERAGE_FILE": str(self.folder / "coverage"), "COVERAGE_CORE": "sysmon"}
        return run([str(self.bin), *arguments], **coverage if self.measured else {})


def core_files(quick: bool) -> list[str]:
    files = [f"tests/{folder}/test_{module}.py" for folder, modules in MODULES.items() for module in modules]
    if not quick:
        return files
    return [f"{file}::{STARTING_PROGRAMS[file]}" if file in STARTING_PROGRAMS else file for file in files]


def _last_line(output: str) -> str:
    return output.strip().rpartition("\n")[2]


class Failed(Exception):
    """A command failed; the text is its output.

    Args:
        output: The output.
        status: The exit status.
    """

    def __init__(self, output: str, status: int) -> None:
        super().__init__(output)
        self.status = status


def run(command: list[str], **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | variables
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stdout}", done.returncode)
    return done.stdout


def environments() -> list[Environment]:
    """What this machine can run."""
    pythons = {version: python for version in VERSIONS if (python := find_python(version))}
    for version in VERSIONS:
        if version not in pythons:
            print(f"Python {version} is not here: not tested", flush=True)
    oldest = next((version for version in OLDEST_ON if version in pythons), None)
    if oldest is None:
        print(
            f"None of Python {', '.join(OLDEST_ON)} is here: the oldest libraries are not tested", flush=True
        )
    first = [Environment(oldest, pythons[oldest], oldest=True)] if oldest else []
    others = [Environment(version, python, oldest=False) for version, python in pythons.items()]
    if others:
        newest = others[-1]
        newest.measured = tuple(map(int, newest.version.split("."))) >= MEASURES_FROM
        if not newest.measured:
            print(f"Python {newest.version} does not measure coverage", flush=True)
    return first + others


def ends(found: list[Environment]) -> list[Environment]:
    """The oldest libraries, and the newest Python if it measures or is not the one that `make test` uses."""
    oldest = [environment for environment in found if environment.oldest]
    newest = [environment for environment in found if not environment.oldest][-1:]
    of_make_test = "{}.{}".format(*sys.version_info)
    return oldest + [each for each in newest if each.measured or each.version != of_make_test]


def check(environment: Environment) -> bool:
    """Install and test one of them, and print how it went."""
    began = time.monotonic()
    try:
        environment.install()
        installed = time.monotonic() - began
        result = environment.test()
        took = f"{installed:.0f} s to install, {time.monotonic() - began - installed:.0f} s to test"
        print(f"== {environment.name}: {result}\n   {environment.installed()} ({took})", flush=True)
        return True
    except Failed as failure:
        print(f"== {environment.name}: FAILED\n{failure}", flush=True)
        return False


def main(names: list[str]) -> int:
    found = environments()
    if names == ["--list"]:
        print(*(environment.name for environment in found), sep="\n")
        return 0
    if names == ["--ends"]:
        found = ends(found)
        names = [environment.name for environment in found]
        if not names:
            print("Nothing here that `make test` does not test")
            return 0
        for environment in found:
            environment.quick = True
    chosen = [environment for environment in found if not names or environment.name in names]
    if not chosen or set(names) - {environment.name for environment in chosen}:
        print(f"There is no such combination here: {' '.join(names)} (see --list)", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return 0 if all(list(pool.map(check, chosen))) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
