"""What is published: the wheel has the package and nothing else, and says which version it is."""

from __future__ import annotations

import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import asyncsock
from scripts.distributions import build, faults


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    [built] = build(tmp_path_factory.mktemp("dist"), "--wheel")
    return built


def test_the_package_says_the_version_of_its_distribution() -> None:
    assert asyncsock.__version__ == version("asyncsock")


@pytest.mark.timeout(300)
def test_a_wheel_has_the_package_its_types_and_its_licence_and_nothing_else(wheel: Path) -> None:
    assert faults(wheel, asyncsock.__version__) == []


def test_what_is_wrong_with_a_wheel_is_found(wheel: Path, tmp_path: Path) -> None:
    broken = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("METADATA"):
                data += b"\n[a page](docs/index.md)\n"
            if not name.endswith(("py.typed", "LICENSE")):
                target.writestr(name, data)
        target.writestr("tests/conftest.py", "")
    assert faults(broken, "9.9.9") == [
        "the wheel lacks asyncsock/py.typed",
        "the wheel lacks the licence",
        "the wheel has tests/conftest.py",
        f"its version is {asyncsock.__version__}, not 9.9.9",
        "a link of its description leads nowhere: ](docs/index.md)",
    ]
