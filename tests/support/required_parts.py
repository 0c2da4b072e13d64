"""Parts that a test needs and a machine may lack: skip by name here, fail in CI."""

from __future__ import annotations

import os

import pytest


def require(condition: object, name: str) -> None:
    """Skip the calling test where a part is missing; fail it where the CI variable is set.

    Args:
        condition: true where the part is there.
        name: the part, as the report should name it ("chromium", "redis-server").
    """
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"missing part: {name}", pytrace=False)
    pytest.skip(f"missing part: {name}")
