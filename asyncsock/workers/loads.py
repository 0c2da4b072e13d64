"""How many sessions each worker has, in memory that they share: a small file of each."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".load"
FORM = struct.Struct("<Q?")


class Load(NamedTuple):
    """What a worker tells of itself.

    Attributes:
        sessions: How many sessions it has.
        takes: Whether it takes connections that others hand over.
    """

    sessions: int
    takes: bool


class Loads:
    """The loads of the workers in a directory.

    Args:
        directory: The directory.
        name: The name of this worker.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._path = directory / f"{name}{SUFFIX}"
        self._path.write_bytes(bytes(FORM.size))
        with self._path.open("r+b") as file:
            self._own = mmap.mmap(file.fileno(), FORM.size)
        self._others: dict[str, mmap.mmap] = {}

    def tell(self, sessions: int, takes: bool) -> None:
        """Tell the others the load of this worker."""
        FORM.pack_into(self._own, 0, sessions, takes)

    def of(self, name: str) -> Load | None:
        """The load of another worker; None if it is not there."""
        shared = self._others.get(name)
        if shared is None:
            try:
                with (self._directory / f"{name}{SUFFIX}").open("rb") as file:
                    shared = mmap.mmap(file.fileno(), FORM.size, prot=mmap.PROT_READ)
            except (OSError, ValueError):
                return None
            self._others[name] = shared
        return Load(*FORM.unpack_from(shared))

    def forget(self, name: str) -> None:
        """Forget a worker that is not there any more."""
        self._others.pop(name, None)

    def forget_all_but(self, names: AbstractSet[str]) -> None:
        """Forget the workers that are not among these."""
        for name in self._others.keys() - names:
            del self._others[name]

    def close(self) -> None:
        """Remove the load of this worker."""
        self.tell(0, False)
        self._path.unlink(missing_ok=True)
