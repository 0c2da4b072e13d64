"""Where workers meet: which directory it is, who is refused, and what is left of workers that were killed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from asyncsock import AsyncServer
from asyncsock.engine import EngineServer
from asyncsock.workers import directory as meeting
from asyncsock.workers.directory import inherited_sockets, private_directory, shared_directory
from asyncsock.workers.members import Members, make_name
from tests.support.doors import served
from tests.support.log_records import recorded
from tests.support.other_users import NOBODY, as_root
from tests.support.private_directories import not_private, private_folder
from tests.support.raw_clients import Polling
from tests.support.server_process import ROOT
from tests.support.workers_in_process import group

TELL = """
import json, os, sys
from asyncsock.workers.directory import inherited_sockets
if sys.argv[1:]:
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
print(json.dumps(sorted(inherited_sockets())))
"""


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the directories of the workers of this user are."""
    with private_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield private_directory(folder / "asyncsock")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def inode(listener: socket.socket) -> int:
    return os.fstat(listener.fileno()).st_ino


def found_by_a_child(*listeners: socket.socket, user: int | None = None, **environment: str) -> list[int]:
    """What a process finds that was given some sockets."""
    arguments = [] if user is None else [str(user)]
    child = subprocess.run(
        [sys.executable, "-c", TELL, *arguments],
        pass_fds=[each.fileno() for each in listeners],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: list[int] = json.loads(child.stdout)
    return found


# Inherited sockets


def test_the_listening_sockets_of_the_parent_are_found(listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, private_folder() as folder:
        with socket.socket(socket.AF_UNIX) as local, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            local.bind(str(folder / "socket"))
            local.listen()
            datagrams.bind(("127.0.0.1", 0))
            with socket.create_connection(listener.getsockname()) as client, socket.socket() as unbound:
                found = found_by_a_child(listener, other, local, datagrams, client, unbound)
            assert found == sorted(map(inode, (listener, other, local)))


def test_a_socket_that_this_process_listens_on_is_not_inherited(listener: socket.socket) -> None:
    ready, done = threading.Event(), threading.Event()

    def listen() -> None:
        with socket.create_server(("127.0.0.1", 0)):
            ready.set()
            done.wait(5)

    thread = threading.Thread(target=listen)
    thread.start()
    ready.wait(5)
    assert inode(listener) not in inherited_sockets()
    assert found_by_a_child() == []
    done.set()
    thread.join()


def test_a_program_that_systemd_starts_takes_its_sockets_from_the_third_on(listener: socket.socket) -> None:
    with mock.patch.dict(os.environ, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}):
        assert inode(listener) in inherited_sockets()
    assert found_by_a_child(listener, LISTEN_PID="1", LISTEN_FDS="1") == [inode(listener)]


@as_root
def test_a_worker_with_a_user_of_its_own_finds_the_socket_that_its_parent_has_opened(
    listener: socket.socket,
) -> None:
    assert found_by_a_child(listener, user=NOBODY) == [inode(listener)]


def test_a_system_without_proc_has_no_workers(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "listdir", mock.Mock(side_effect=FileNotFoundError))
        assert inherited_sockets() == set()
        assert shared_directory() is None
    assert list(base.iterdir()) == []


def test_another_system_has_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "SUPPORTED", False)
    assert inherited_sockets() == set()


# Directories that are refused


@not_private
@pytest.mark.parametrize("which", ["base", "the group's"])
async def test_a_directory_that_is_not_private_is_refused_with_one_warning(
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Path], None],
    why: str,
    which: str,
) -> None:
    if which == "base":
        base.rmdir()
        make(base)
    else:
        make(base / "42")
    monkeypatch.setattr(meeting, "inherited_sockets", lambda: {43, 42})
    server = EngineServer()
    async with served(server, "httptools") as local, Polling(local) as client:  # type: ignore[arg-type]
        assert len((await client.open())["sid"]) == 20
        assert server.endpoint.elsewhere is None
    (warning,) = recorded(caplog, logging.WARNING)
    assert "this worker does not find the others" in warning
    assert why in warning


async def test_workers_meet_in_a_directory_for_this_user_only(base: Path) -> None:
    with mock.patch.object(meeting, "inherited_sockets", return_value={43, 42}):
        async with served(EngineServer(), "httptools"):
            (directory,) = base.iterdir()
            assert directory.name == "42"
            for each in (base, directory, *(path for path in directory.iterdir() if path.is_dir())):
                assert stat.S_IMODE(each.stat().st_mode) == 0o700
    assert list(directory.iterdir()) == []


# What killed workers leave


def abandoned(base: Path, name: str = "42", age: float = 100) -> Path:
    """The directory of a worker that was killed."""
    directory = private_directory(base / name)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(directory / "dead.worker"))
        killed.listen()
    (directory / "dead.load").write_bytes(bytes(8))
    os.utime(directory, (time.time() - age, time.time() - age))
    return directory


def test_an_abandoned_directory_is_removed(base: Path) -> None:
    directory = abandoned(base)
    meeting.remove_abandoned(base)
    assert not directory.exists()


@pytest.mark.parametrize("backlog", [1, 0])
def test_a_directory_in_use_is_not_removed(base: Path, backlog: int) -> None:
    directory = abandoned(base)
    with socket.socket(socket.AF_UNIX) as worker, socket.socket(socket.AF_UNIX) as waiting:
        worker.bind(str(directory / "here.worker"))
        worker.listen(backlog)
        if not backlog:
            waiting.connect(str(directory / "here.worker"))  # so that it accepts nobody now
        os.utime(directory, (0, 0))
        meeting.remove_abandoned(base)
        assert directory.exists()


def test_a_directory_that_is_being_made_is_not_removed(base: Path) -> None:
    directory = private_directory(base / "42")
    meeting.remove_abandoned(base)
    assert directory.exists()


def test_what_is_not_of_workers_is_not_removed(base: Path) -> None:
    named = abandoned(base, "application")
    link = base / "43"
    link.symlink_to(named)
    os.utime(link, (0, 0), follow_symlinks=False)
    (base / "44").touch()
    os.utime(base / "44", (0, 0))
    meeting.remove_abandoned(base)
    assert {path.name for path in base.iterdir()} == {"application", "43", "44"}
    assert (named / "dead.worker").exists()


def test_workers_that_start_together_remove_nothing_of_each_other(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(barrier: threading.Barrier, made: list[Members]) -> None:
        barrier.wait()
        directory = shared_directory()
        assert directory is not None
        made.append(Members(private_directory(directory / "group"), make_name()))

    monkeypatch.setattr(meeting, "inherited_sockets", lambda: {42})
    for _ in range(20):
        abandoned(base)
        barrier = threading.Barrier(8)
        made: list[Members] = []

        threads = [threading.Thread(target=start, args=(barrier, made)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 8
        assert all(len(members.others()) == 7 for members in made)
        for members in made:
            members.close()


async def test_workers_whose_directory_was_removed_serve_each_alone() -> None:
    near, far = EngineServer(), EngineServer()
    async with group(near, far) as (here, _):
        workers = near.endpoint.elsewhere
        assert workers is not None
        shutil.rmtree(workers.members.directory)  # type: ignore[attr-defined]
        async with Polling(here) as client:
            await client.open()
            await client.send("4one")
            client.sid = "gone0123456789012345"
            assert (await client.get()).status_code == 400


# A server that is alone


async def test_a_server_that_is_alone_has_nothing_of_workers(base: Path) -> None:
    server = AsyncServer()
    with mock.patch.object(meeting, "inherited_sockets", return_value=set()):
        async with served(server, "httptools") as local, Polling(local) as client:  # type: ignore[arg-type]
            handshake = await client.open()
            assert len(handshake["sid"]) == 20
            assert server.eio.endpoint.elsewhere is None
            assert server.eio.core.process_name == ""
            timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
            assert not any("orkers" in repr(timer) for timer in timers)
    assert list(base.iterdir()) == []
