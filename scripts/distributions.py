"""What the sdist and the wheel of this project have to contain, and must not.

As a command: prints the version of the project.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "asyncsock"
# Besides the package itself.
IN_SDIST = (
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "PKG-INFO",
    "README.md",
    "docs/index.md",
    "pyproject.toml",
    "tests/conftest.py",
)
NOWHERE = {".git", ".venv", "__pycache__", "_build", "artifacts", "dist", "node_modules"}
RELATIVE_LINK = re.compile(r"\]\((?!https?://)[^)]*\)")


def project_version() -> str:
    """The version of the project, as its source says it."""
    found = re.search(r'^__version__ = "(.+)"$', (PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def build(folder: Path, *options: str) -> list[Path]:
    """Build into a folder: the sdist and, out of that, the wheel; or with ``--wheel`` that alone."""
    line = [sys.executable, "-m", "build", "--outdir", str(folder), *options, str(ROOT)]
    subprocess.run(line, check=True, capture_output=True, text=True)
    return sorted(folder.glob("asyncsock-*"))


def faults(distribution: Path, version: str) -> list[str]:
    """What is wrong with an sdist or a wheel.

    Args:
        distribution: The file.
        version: The version that it should have.
    """
    is_wheel = distribution.suffix == ".whl"
    names, metadata = _read_wheel(distribution) if is_wheel else _read_sdist(distribution)
    return [
        *(_wheel_faults(names) if is_wheel else _sdist_faults(names)),
        *_metadata_faults(metadata, version),
    ]


def _read_wheel(wheel: Path) -> tuple[set[str], str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        return set(names), archive.read(metadata).decode()


def _read_sdist(sdist: Path) -> tuple[set[str], str]:
    with tarfile.open(sdist) as archive:
        top = sdist.name.removesuffix(".tar.gz")
        metadata = archive.extractfile(f"{top}/PKG-INFO")
        assert metadata is not None
        return {name.removeprefix(f"{top}/") for name in archive.getnames()}, metadata.read().decode()


def _package_files() -> set[str]:
    files = [*PACKAGE.rglob("*.py"), PACKAGE / "py.typed"]
    return {path.relative_to(ROOT).as_posix() for path in files}


def _wheel_faults(names: set[str]) -> Iterator[str]:
    yield from (f"the wheel lacks {name}" for name in sorted(_package_files() - names))
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        yield "the wheel lacks the licence"
    if not any(name.endswith(".dist-info/entry_points.txt") for name in names):
        yield "the wheel lacks the entry points"
    for name in sorted(names - _package_files()):
        if not PurePosixPath(name).parts[0].endswith(".dist-info"):
            yield f"the wheel has {name}"


def _sdist_faults(names: set[str]) -> Iterator[str]:
    yield from (f"the sdist lacks {name}" for name in sorted(_package_files().union(IN_SDIST) - names))
    yield from (
        f"the sdist has {name}" for name in sorted(names) if NOWHERE.intersection(PurePosixPath(name).parts)
    )


def _metadata_faults(text: str, version: str) -> Iterator[str]:
    metadata = Parser().parsestr(text)
    if metadata["Version"] != version:
        yield f"its version is {metadata['Version']}, not {version}"
    if metadata["License-Expression"] != "MIT":
        yield "its licence is not said"
    links = RELATIVE_LINK.findall(metadata.get_payload())
    yield from (f"a link of its description leads nowhere: {link}" for link in links)


if __name__ == "__main__":
    print(project_version())
