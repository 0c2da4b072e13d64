"""Which versions of other packages the tests are run with.

`scripts/test_matrix.py` installs the oldest ones from here, which are the lower bounds in pyproject.toml.
Warnings about a package whose insides have changed name this range. The insides are looked at where they are
used: in uvicorn/probe.py, in checks.py (python-socketio) and in flask_bridge/context.py.
"""

from __future__ import annotations

import logging
from functools import cache

# The oldest and the newest version that have been tested.
TESTED = {
    "flask": ("3.0.0", "3.1.3"),
    "werkzeug": ("3.0.0", "3.1.9"),
    "python-socketio": ("5.14.0", "5.18.1"),
    "uvicorn": ("0.52.1", "0.54.0"),
    "websockets": ("13.0", "17.4"),
    "asgiref": ("3.8.0", "3.13.0"),
    "orjson": ("3.10.0", "3.13.0"),
    "msgspec": ("0.19.0", "0.22.0"),
    "msgpack": ("1.0.3", "1.2.4"),
    "prometheus-client": ("0.20.0", "0.26.0"),
    "opentelemetry-api": ("1.20.0", "1.45.2"),
    # The message brokers' packages.
    "redis": ("5.0.0", "8.1.0"),
    "aio-pika": ("9.0.0", "10.2.1"),  # they need aiormq 6.7.1 to 7.2.4
    "aiokafka": ("0.13.0", "0.14.0"),
    "pyzmq": ("26.0.0", "27.3.0"),
    "nats-py": ("2.15.0", "2.16.0"),
    "kombu": ("5.3.0", "5.7.0"),
}


def range_of(package: str) -> str:
    """In words, which version of a package is installed, and which have been tested."""
    from importlib.metadata import version  # slow to import, and needed for warnings only

    oldest, newest = TESTED[package]
    return f"{package} {version(package)} is installed, tested are {oldest} to {newest}"


@cache
def warn_once(logger: logging.Logger, text: str, package: str) -> None:
    """Warn that the insides of a package are not as they were when it was tested."""
    logger.warning("%s (%s)", text, range_of(package))
