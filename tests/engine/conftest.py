"""Fixtures that the tests of the engine share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["auto", "wsproto"], ids=["direct door", "plain door"])
def ws(request: pytest.FixtureRequest) -> str:
    """uvicorn's WebSocket class that leads to one of the doors."""
    return str(request.param)
