"""The manual as Sphinx builds it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.required_parts import require
from tests.support.server_process import ROOT


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


@pytest.mark.timeout(300)
def test_the_manual_builds_without_a_warning(manual: Path) -> None:
    assert (manual / "index.html").is_file()
