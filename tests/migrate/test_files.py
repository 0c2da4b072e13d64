"""Which files are read, and that what is not changed stays as it is, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("libcst")

from asyncsock.migrate.mover import move
from asyncsock.migrate.tree import LARGEST
from tests.migrate.moving import FLASK_APP, MOVED_APP, moved, project


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encoding_mark_and_newlines_are_kept(encoding: str, newline: str, tmp_path: Path) -> None:
    cookie = "# coding: latin-1\n" if encoding == "latin-1" else ""
    text = f"{cookie}# Grüße\n{FLASK_APP}\nif True:\n\tprint('é', \t'\f')  \n"
    after = text.replace(FLASK_APP, MOVED_APP)
    moved(tmp_path, {"app.py": text.replace("\n", newline).encode(encoding)})
    assert (tmp_path / "app.py").read_bytes() == after.replace("\n", newline).encode(encoding)


def test_a_script_in_an_unknown_encoding_keeps_its_bytes(tmp_path: Path) -> None:
    moved(tmp_path, {"app.py": FLASK_APP, "Procfile": b"# caf\xe9\nweb: gunicorn -k gevent app:app\n"})
    assert (tmp_path / "Procfile").read_bytes() == (
        b"# caf\xe9\nweb: gunicorn -k uvicorn_worker.UvicornWorker app:asgi\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        "node_modules/a/app.py",
        ".git/app.py",
        ".venv/lib/app.py",
        "lib/python3.11/site-packages/app.py",
        "__pycache__/app.py",
        "app.ipynb",
        "app.md",
    ],
)
def test_these_files_are_not_read(name: str, tmp_path: Path) -> None:
    assert moved(tmp_path, {"main.py": FLASK_APP, name: FLASK_APP}).changed == ["main.py"]


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "conda-meta/history"])
def test_an_environment_of_any_name_is_not_read(mark: str, tmp_path: Path) -> None:
    files = {"main.py": FLASK_APP, f"mine/{mark}": "", "mine/lib/app.py": FLASK_APP, "mine/app.py": FLASK_APP}
    assert moved(tmp_path, files).changed == ["main.py"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    project(tmp_path / "other", {"app.py": FLASK_APP})
    project(tmp_path / "mine", {"app.py": FLASK_APP})
    os.symlink(tmp_path / "other", tmp_path / "mine/folder")
    os.symlink(tmp_path / "other/app.py", tmp_path / "mine/file.py")
    assert [file.name for file in move(tmp_path / "mine")[0]] == ["app.py"]


def test_a_binary_file_is_not_read(tmp_path: Path) -> None:
    project(tmp_path, {"app.py": FLASK_APP, "data.txt": b"flask-socketio\0", "a.sh": b"\0\1"})
    assert [file.name for file in move(tmp_path)[0]] == ["app.py"]


@pytest.mark.parametrize(
    "raw",
    [
        b"# coding: nothing\nimport flask_socketio\n",
        b"import flask_socketio\n\xff",
        b"import flask_socketio\n" + b"#" * LARGEST,
    ],
)
def test_a_python_file_that_cannot_be_read_is_named(raw: bytes, tmp_path: Path) -> None:
    project(tmp_path, {"app.py": FLASK_APP, "odd.py": raw})
    assert move(tmp_path)[1] == ["odd.py"]


def test_one_file_can_be_moved(tmp_path: Path) -> None:
    project(tmp_path, {"app.py": FLASK_APP, "other.py": FLASK_APP})
    (file,) = move(tmp_path / "app.py")[0]
    assert (file.name, file.changed()) == ("app.py", MOVED_APP)


def test_an_executable_file_stays_one(tmp_path: Path) -> None:
    project(tmp_path, {"app.py": FLASK_APP})
    (tmp_path / "app.py").chmod(0o755)
    moved(tmp_path, {"README": ""})
    assert (tmp_path / "app.py").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "app.py").read_text() == MOVED_APP
