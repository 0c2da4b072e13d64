"""A short run of `make soak`: clients come and go, some of them hostile, and nothing is left of them."""

from __future__ import annotations

import pytest

from soak.run import soak
from tests.support.server_process import serve


@pytest.mark.slow
async def test_nothing_is_left_of_clients_that_come_and_go() -> None:
    with serve("soak.app:asgi", args=["--no-access-log"]) as server:
        faults = await soak(server, 4, 2, seed=1, judges_memory=False)
    assert not faults, "\n".join(faults)
