"""Events that are numbered, so that tests/js/recovery.mjs can tell what is missing, repeated or misplaced."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOM = "even"
PERIOD = 0.01  # seconds from some events to the next
PATIENCE = 20.0


class Flow:
    """What one process emits: again and again to everybody, to a room and to some clients.

    Args:
        name: Of the process, in each event.
        folder: The same for all processes. Clients are noted there, and at the end how much was sent.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self._total = 0
        self._sent: Counter[str] = Counter()
        self._report = folder / f"sent-{os.getpid()}"
        self._report.touch()

    def next(self) -> list[tuple[str, tuple[Any, ...], str | None]]:
        """Some events to be emitted in this order, with arguments and recipient; none after `stop`."""
        if (self._folder / "stop").exists():
            return []
        sids = (self._folder / "sids").read_text().split()
        personal = [(f"sid:{sid}", sid) for sid in sids[self._total % 7 :: 7]]
        return [
            ("said", self._numbered(stream), to)
            for stream, to in [("all", None), (f"room:{ROOM}", ROOM), *personal]
        ]

    def _numbered(self, stream: str) -> tuple[str, str, int, int]:
        number, total = self._sent[stream], self._total
        self._sent[stream] += 1
        self._total += 1
        return self._name, stream, number, total

    def end(self) -> None:
        """Write down how much was sent."""
        new = self._report.with_name(f"new-{os.getpid()}")
        new.write_text(json.dumps({f"{self._name} {stream}": count for stream, count in self._sent.items()}))
        new.rename(self._report)


def note_client(folder: Path, sid: str) -> None:
    """Have all processes emit to a new client, too."""
    with (folder / "sids").open("a") as file:
        file.write(f"{sid}\n")


def stop(folder: Path) -> dict[str, int]:
    """Stop all processes' events; how many each has sent to each stream, unless it was killed."""
    (folder / "stop").touch()
    deadline = time.monotonic() + PATIENCE
    sent: dict[str, int] = {}
    for report in folder.glob("sent-*"):
        while not report.read_text() and Path(f"/proc/{report.name.removeprefix('sent-')}/exe").exists():
            assert time.monotonic() < deadline, f"{report.name} does not stop"
            time.sleep(0.01)
        sent |= json.loads(report.read_text() or "{}")
    return sent


@contextmanager
def emitting(emit: Callable[..., Any], folder: Path) -> Iterator[None]:
    """Emit from a thread of this process with ``emit(event, data, to=...)``, until `stop`."""

    def run() -> None:
        flow = Flow("outside", folder)
        while events := flow.next():
            for event, data, to in events:
                emit(event, data, to=to)
            time.sleep(PERIOD)
        flow.end()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join()
