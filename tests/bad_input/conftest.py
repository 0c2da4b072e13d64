"""The servers whose WebSockets go different ways."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", params=["uvicorn", "uvicorn-wsproto"])
def asgi_server(request: pytest.FixtureRequest) -> str:
    """The server whose WebSockets we take the direct way, and one that hands them on over ASGI."""
    return str(request.param)
