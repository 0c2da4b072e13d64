"""Imported by the servers that tests start: hides packages that only the tests' own clients need.

python-socketio imports each of them that it finds, which takes a third of the time that a server needs to
start. An installation of asyncsock has none of them. ``NEEDS`` names those that a test wants.
"""

import os
import sys

for name in {"aiohttp", "kafka", "requests", "websocket"}.difference(os.environ.get("NEEDS", "").split()):
    sys.modules[name] = None  # type: ignore[assignment]
