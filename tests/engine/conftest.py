"""Fixtures that the tests of the engine share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["auto", "wsproto"], ids=["direct", "plain ASGI"])
def ws(request: pytest.FixtureRequest) -> str:
    """uvicorn's WebSocket class that is served the direct way, or over plain ASGI."""
    return str(request.param)
