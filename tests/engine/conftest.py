"""Fixtures that the tests of the engine share."""

from __future__ import annotations

import pytest

from tests.support.doors import DOORS


@pytest.fixture(params=["auto", "wsproto"], ids=["direct", "plain ASGI"])
def ws(request: pytest.FixtureRequest) -> str:
    """uvicorn's WebSocket class that is served the direct way, or over plain ASGI."""
    return str(request.param)


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    """One of the `DOORS`."""
    return str(request.param)
