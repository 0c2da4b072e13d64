"""What a server says at its start, or at the first request, of other processes that it cannot reach."""

from __future__ import annotations

import logging
import multiprocessing

import pytest

from asyncsock import AsyncServer
from asyncsock.engine import EngineServer
from asyncsock.engine.ids import make_id
from asyncsock.queues import from_url
from asyncsock.workers import joining
from asyncsock.workers.joining import Joining
from asyncsock.workers.strangers import Strangers
from tests.support.asgi_in_process import request
from tests.support.log_records import recorded


@pytest.mark.parametrize(
    ("url", "needs"),
    [
        ("redis://localhost", False),
        ("redis+streams://localhost", True),
        ("amqp://localhost", False),
        ("nats://localhost", False),
        ("kafka://localhost", True),
        ("zmq+tcp://localhost:1+2", True),
        ("memory://", True),
        ("local:///run/app", False),
    ],
)
def test_several_hosts_need_affinity_with_queues_that_carry_no_requests(url: str, needs: bool) -> None:
    assert from_url(url).needs_affinity is needs
    assert not from_url(url, write_only=True).needs_affinity


async def test_the_first_request_for_the_session_of_a_stranger_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = AsyncServer(client_manager=from_url("memory://"))
    others = Joining(server, server.eio, "/socket.io/")
    others.join()
    own = server.eio.core.process_name
    assert own
    for sid in (own + make_id(), "made up", "abcd" + make_id(), "efgh" + make_id()):
        query = f"EIO=4&transport=polling&sid={sid}"
        assert (await request(server.handle_request, query=query)).status == 400
    [warning] = [line for line in recorded(caplog, logging.WARNING) if "another process" in line]
    assert "WebSockets only" in warning
    others.leave()
    assert not server.eio.core.process_name


def test_a_stranger_is_told_by_the_form_of_an_id(caplog: pytest.LogCaptureFixture) -> None:
    strangers = Strangers(EngineServer(), None)
    for sid in ("", "abcd", "abcd" + "x" * 20, strangers.name + make_id(), make_id()):
        assert strangers.owner(sid) is None
    assert not caplog.records


@pytest.mark.parametrize("has_parent", [True, False])
def test_a_worker_on_a_platform_where_none_finds_the_others_says_so(
    has_parent: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(joining, "SUPPORTED", False)
    monkeypatch.setattr(joining, "shared_directory", lambda: None)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object() if has_parent else None)
    Joining(EngineServer(), EngineServer(), "/socket.io/").join()
    said = [line for line in recorded(caplog, logging.WARNING) if "on Linux only" in line]
    assert len(said) == has_parent
