"""The manual as Sphinx builds it, with every public name in it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import asyncsock
from tests.support.required_parts import require
from tests.support.server_process import ROOT

pytestmark = pytest.mark.timeout(300)

BROWSER = ROOT / "tests" / "browser"


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built pages. Warnings and broken references are errors, as in `make docs`."""
    for package in ("sphinx", "myst_parser", "furo"):
        require(importlib.util.find_spec(package), f"Python package {package}")
    folder = tmp_path_factory.mktemp("manual")
    options = ["-b", "html", "-W", "--keep-going", "-n", "-q"]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    return folder


def test_the_manual_builds_without_a_warning(manual: Path) -> None:
    assert (manual / "index.html").is_file()


def public_names() -> Iterator[tuple[str, Any]]:
    """What a program may use, with the names of classes' methods and properties."""
    for module in ("asyncsock", "asyncsock.engine", "asyncsock.queues", "asyncsock.test_client"):
        for name in importlib.import_module(module).__all__:
            thing = getattr(importlib.import_module(module), name)
            if module == "asyncsock.test_client" and hasattr(asyncsock, name):
                continue
            yield f"{module}.{name}", thing
            if inspect.isclass(thing) and name != "QueueManager":  # it has the methods of any client manager
                yield from members(f"{module}.{name}", thing)


def members(name: str, thing: type) -> Iterator[tuple[str, Any]]:
    for owner in thing.__mro__:
        if owner.__module__ == "builtins":
            continue
        for member, value in vars(owner).items():
            is_theirs = not owner.__module__.startswith("asyncsock.")  # python-socketio's, if it says nothing
            if member.startswith("_") or (is_theirs and not inspect.getdoc(getattr(thing, member))):
                continue
            if callable(value) or isinstance(value, (property, classmethod, staticmethod)):
                yield f"{name}.{member}", getattr(thing, member)


def test_every_public_name_is_in_the_reference(manual: Path) -> None:
    """As Sphinx lists them for other manuals: a line for each, behind a head of four lines."""
    packed = (manual / "objects.inv").read_bytes().split(b"\n", 4)[4]
    shown = {line.split()[0] for line in zlib.decompress(packed).decode().splitlines() if " py:" in line}
    names = {name for name, _ in public_names()}
    assert len(names) > 150
    assert sorted(names - shown) == []


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name, thing in public_names() if not inspect.getdoc(thing)] == []


@pytest.mark.browser
def test_no_page_is_wider_than_a_phone(manual: Path) -> None:
    """Screenshots are kept in artifacts/."""
    for part in ("node", "chromium"):
        require(shutil.which(part), part)
    require((BROWSER / "node_modules" / "playwright-core").is_dir(), "npm package playwright-core")
    artifacts = ROOT / "artifacts"
    artifacts.mkdir(exist_ok=True)
    command = ["node", "manual.mjs", str(manual), str(artifacts)]
    environment = {**os.environ, "CHROMIUM": str(shutil.which("chromium"))}
    looked = subprocess.run(
        command, cwd=BROWSER, env=environment, capture_output=True, text=True, timeout=200
    )
    assert (looked.stdout, looked.stderr, looked.returncode) == ("", "", 0)
