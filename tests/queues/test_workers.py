"""What works across the workers of one server that was given no message queue."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.python_socketio_client import Client, arrived
from tests.support.server_process import Server
from tests.support.worker_processes import clients_of_both, supervised

APP = "tests.apps.cluster:asgi"
STARTED = "Application startup complete"


def environment(runtime: str) -> dict[str, str]:
    return {"KIND": "asyncsock", "QUEUE": "", "CHANNEL": "unused", "XDG_RUNTIME_DIR": runtime}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("workers")
    with TemporaryDirectory(prefix="asyncsock-test-") as runtime:
        with supervised("uvicorn", APP, 2, folder, environment(runtime), STARTED) as server:
            yield server


@pytest.fixture
async def clients(workers: Server) -> AsyncIterator[list[Client]]:
    """A client of each worker."""
    async with AsyncExitStack() as stack:
        yield await clients_of_both(workers, stack)


async def test_a_broadcast_reaches_the_clients_of_each_worker_once(clients: list[Client]) -> None:
    heard = [client.arrivals("said") for client in clients]
    for number, client in enumerate(clients):
        await client.call("put", "said", number, {})
        assert [await arrived(queue) for queue in heard] == [(number,)] * 2
    assert [queue.qsize() for queue in heard] == [0, 0]


async def test_a_room_has_members_at_both_workers(clients: list[Client]) -> None:
    near, far = clients
    heard = [client.arrivals("in the room") for client in clients]
    for client in clients:
        await near.call("enter", client.socket.get_sid(), "room")
    await near.call("put", "in the room", 1, {"room": "room"})
    await near.call("leave", far.socket.get_sid(), "room")
    await near.call("put", "in the room", 2, {"room": "room"})
    await near.call("put", "in the room", 3, {"to": far.socket.get_sid()})
    assert [await arrived(heard[1]), await arrived(heard[1])] == [(1,), (3,)]
    assert [await arrived(heard[0]), await arrived(heard[0])] == [(1,), (2,)]


async def test_call_and_callbacks_bring_the_answer_of_a_client_of_the_other_worker(
    clients: list[Client],
) -> None:
    near, far = clients
    answered = near.arrivals("answered")
    far.answer("question", lambda question: {"asked": question})
    assert await near.call("ask", far.socket.get_sid(), "what?") == {"asked": "what?"}
    await near.call("ask_later", far.socket.get_sid(), "how?")
    assert await arrived(answered) == ([{"asked": "how?"}],)


async def test_a_client_of_the_other_worker_can_be_disconnected(clients: list[Client]) -> None:
    near, far = clients
    gone = far.arrivals("disconnect")
    await near.call("kick", far.socket.get_sid())
    await arrived(gone)


async def test_a_worker_in_place_of_one_that_was_killed_is_heard_and_hears(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="asyncsock-test-") as runtime:
        with supervised("uvicorn", APP, 2, tmp_path, environment(runtime), STARTED) as server:
            async with AsyncExitStack() as stack:
                survivor, other = await clients_of_both(server, stack)
                gone = other.arrivals("disconnect")
                started = len(server.log())
                os.kill((await other.call("where"))["process"], signal.SIGKILL)
                await arrived(gone)
                server.wait_for_log(STARTED, 20, start=started)
                await survivor.disconnect()
                clients = await clients_of_both(server, stack)
                heard = [client.arrivals("said") for client in clients]
                for number, client in enumerate(clients):
                    await client.call("put", "said", number, {})
                    assert [await arrived(queue) for queue in heard] == [(number,)] * 2
            (directory,) = Path(runtime, "asyncsock").iterdir()
            assert len(list(directory.glob("*.bus"))) == 2


async def test_workers_without_a_safe_directory_serve_each_alone_and_say_so(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="asyncsock-test-") as runtime:
        Path(runtime, "asyncsock").mkdir(mode=0o755)
        with supervised("uvicorn", APP, 2, tmp_path, environment(runtime), STARTED) as server:
            async with AsyncExitStack() as stack:
                near, far = await clients_of_both(server, stack)
                heard = [near.arrivals("said"), far.arrivals("said")]
                await near.call("put", "said", 1, {})
                assert await arrived(heard[0]) == (1,)
                await far.call("put", "said", 2, {})
                assert await arrived(heard[1]) == (2,)
            assert server.log().count("does not find the others") == 2
            assert "its mode has to be 700" in server.log()
