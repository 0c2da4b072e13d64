"""Where the workers of one server meet: a directory that only their user can enter.

Workers share a listening socket that their parent has opened. Its inode is the same in all of them, and names
the directory. Everything in it is a Unix socket or a small file of one worker.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTING = 60.0  # seconds in which a directory may have no worker yet
OWNER_ONLY = 0o700
OF_OTHERS = 0o077  # the permissions that nobody but the owner may have
PEER_CREDENTIALS = struct.Struct("3i")  # process, user and group: struct ucred of unix(7)
SUPPORTED = sys.platform == "linux"
# Where programs have their sockets: of a service of systemd's, and of a user who is logged in.
PARENTS = ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")


class DirectoryRefused(OSError):
    """A directory that others can enter, or that somebody else has made."""


def private_directory(path: Path) -> Path:
    """Make a directory for this user only, unless it is there.

    Raises:
        DirectoryRefused: It is somebody else's, others may enter it, or it is no directory.
        OSError: It cannot be made.
    """
    try:
        path.mkdir(OWNER_ONLY)
    except FileExistsError:
        pass
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise DirectoryRefused(f"{path} is not a directory")
    if found.st_uid != os.getuid():
        raise DirectoryRefused(f"{path} belongs to another user ({found.st_uid})")
    if found.st_mode & OF_OTHERS:
        raise DirectoryRefused(f"{path} can be entered by other users: its mode has to be 700")
    return path


def shared_directory() -> Path | None:
    """The directory of the workers with which this process shares its listening socket; None if it has none.

    Raises:
        DirectoryRefused: It cannot be trusted.
        OSError: It cannot be made.
    """
    inodes = inherited_sockets()
    if not inodes:
        return None
    base = _base()
    with _locked(base):  # a directory that is removed could be the one that another worker has just made
        remove_abandoned(base)
        return private_directory(base / str(min(inodes)))


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_abandoned(base: Path) -> None:
    """Remove the directories of workers that were all killed."""
    for directory in base.iterdir():
        try:
            is_old = time.time() - directory.lstat().st_mtime > STARTING
            if is_old and directory.name.isdecimal() and not any(map(answers, directory.rglob("*"))):
                shutil.rmtree(directory)
        except OSError:
            pass  # another worker was faster


def answers(path: Path) -> bool:
    """Whether a process waits for connections on a Unix socket."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass  # it is busy
        return True


def _base() -> Path:
    for name in PARENTS:
        parent = os.environ.get(name, "").partition(":")[0]
        if parent and os.access(parent, os.W_OK | os.X_OK):
            return private_directory(Path(parent, "asyncsock"))
    return private_directory(Path("/tmp", f"asyncsock-{os.getuid()}"))


def inherited_sockets() -> set[int]:
    """The inodes of the sockets that wait for connections and were opened by the parent of this process.

    A server that runs alone opens its own after the application has started; one that another part of the
    program listens on is not its parent's.
    """
    if not SUPPORTED:
        return set()
    try:
        own = _inodes("self")
        inherited = _inherited(own)
    except OSError:  # there is no /proc, or no parent any more
        return set()
    return {inode for inode in inherited if _waits_for_connections(own[inode])}


def _inherited(own: dict[int, int]) -> set[int]:
    if os.environ.get("LISTEN_PID") == str(os.getpid()):  # sd_listen_fds(3)
        return {inode for inode, number in own.items() if number >= 3}
    try:
        return own.keys() & _inodes(str(os.getppid())).keys()
    except PermissionError:  # the parent is another user's, as of gunicorn that was given a user
        return {inode for inode, number in own.items() if os.fstat(number).st_uid != os.getuid()}


def _inodes(process: str) -> dict[int, int]:
    """The inodes of the sockets of a process, each with one of its descriptors.

    Raises:
        OSError: They cannot be known.
    """
    found = {}
    for name in os.listdir(f"/proc/{process}/fd"):
        try:
            target = os.readlink(f"/proc/{process}/fd/{name}")
        except OSError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            found[int(target[8:-1])] = int(name)
    return found


def _waits_for_connections(descriptor: int) -> bool:
    """Whether it is a stream socket that is bound to an address and not connected."""
    try:
        probe = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return False
    with probe:
        if probe.type != socket.SOCK_STREAM:
            return False
        try:
            probe.getpeername()
        except OSError:
            pass
        else:
            return False
        address = probe.getsockname()
        return bool(address if probe.family == socket.AF_UNIX else address[1])


def is_of_this_user(peer: socket.socket) -> bool:
    """Whether the process at the other end of a Unix socket has this process's user."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    user: int = PEER_CREDENTIALS.unpack(credentials)[1]
    return user == os.getuid()
