"""What asyncsock keeps in memory, whatever else this process does."""

from __future__ import annotations

import gc
import json
import tracemalloc
from pathlib import Path

import asyncsock

# The files that make what is kept: asyncsock's, those of JSON, and the tests'.
FOLDERS = [Path(module.__file__).parent for module in (asyncsock, json)] + [Path(__file__).parents[1]]
FILES = [tracemalloc.Filter(True, str(folder / "*")) for folder in FOLDERS]


def allocated() -> int:
    """How many bytes are in use that these files have taken since tracemalloc was started.

    What other tests of this process have left at work may take memory, too, and is not counted.
    """
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces(FILES)
    return sum(trace.size for trace in snapshot.traces)
