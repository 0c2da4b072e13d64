"""Directories for Unix sockets: one that is private, and those that are refused because they are not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.other_users import NOBODY, as_root


@contextmanager
def private_folder() -> Iterator[Path]:
    """A directory of this user only, with a short path, as sockets need it."""
    with TemporaryDirectory(prefix="asyncsock-test-") as folder:
        yield Path(folder)


def readable_by_the_group(path: Path) -> None:
    path.mkdir(mode=0o750)


def open_to_all(path: Path) -> None:
    path.mkdir(mode=0o711)


def of_another_user(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)


def symbolic_link(path: Path) -> None:
    target = path.with_name("target")
    target.mkdir(mode=0o700)
    path.symlink_to(target)


def dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def file(path: Path) -> None:
    path.touch(mode=0o600)


# A function that makes such a directory, and what is said of it.
not_private = pytest.mark.parametrize(
    ("make", "why"),
    [
        (readable_by_the_group, "its mode has to be 700"),
        (open_to_all, "its mode has to be 700"),
        pytest.param(of_another_user, "belongs to another user", marks=as_root),
        (symbolic_link, "is not a directory"),
        (dangling_link, "is not a directory"),
        (file, "is not a directory"),
    ],
)
