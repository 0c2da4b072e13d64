"""What other processes do to a client that has lost its connection, and what they send it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from asyncsock import AsyncServer
from tests.support.cluster_in_process import eventually, servers
from tests.support.raw_clients import within
from tests.support.recovery_states import nothing_is_kept
from tests.support.returning_visitors import Visitor, visitors


@pytest.fixture
async def pair() -> AsyncIterator[list[AsyncServer]]:
    with TemporaryDirectory(prefix="asyncsock-test-") as folder:
        url = f"local://{Path(folder)}"
        async with servers(url, "channel", 2, connection_state_recovery=True) as found:
            yield found


async def arrived(server: AsyncServer, *witnesses: Visitor) -> None:
    """Wait until what a server has said has come to the process of others."""
    server.emit("said")
    for witness in witnesses:
        assert (await within(witness.events_until("said")))[-1] == ["said"]


async def test_events_of_other_processes_are_missed_too(pair: list[AsyncServer]) -> None:
    here, there = pair
    async with visitors(here) as guests:
        guest, witness = await guests.come(), await guests.come()
        here.enter_room(guest.sid, "room")
        await guest.lose()
        there.emit("room", b"1", to="room")
        there.emit("sid", to=guest.sid)
        there.emit("elsewhere", to="elsewhere")
        there.emit("left out", skip_sid=guest.sid)
        there.emit("passing", volatile=True)
        there.emit("question", to=guest.sid, callback=lambda: None)
        await arrived(there, witness)
        await guest.come()
        assert guest.recovered
        assert await guest.events() == [["room", b"1"], ["sid"], ["said"]]


@pytest.mark.parametrize("from_there", [False, True])
async def test_a_client_leaves_a_room_while_it_is_away(pair: list[AsyncServer], from_there: bool) -> None:
    here, there = pair
    async with visitors(here) as guests:
        guest, witness = await guests.come(), await guests.come()
        for room in ("one", "two", "three"):
            here.enter_room(guest.sid, room)
        await guest.lose()
        acting = there if from_there else here
        await acting.leave_room(guest.sid, "one")
        await acting.close_room("two")
        acting.emit("one", to="one")
        acting.emit("two", to="two")
        acting.emit("three", to="three")
        await arrived(acting, witness)
        await guest.come()
        assert await guest.events() == [["three"], ["said"]]
        assert here.rooms(guest.sid) == [guest.sid, "three"]


@pytest.mark.parametrize("from_there", [False, True])
async def test_a_client_is_disconnected_while_it_is_away(pair: list[AsyncServer], from_there: bool) -> None:
    here, there = pair
    async with visitors(here) as guests:
        guest = await guests.come()
        await guest.lose()
        await (there if from_there else here).disconnect(guest.sid)
        assert here._recovery is not None
        await eventually(lambda: not here._recovery.waiting_rooms.counts)
        nothing_is_kept(here)
        await guest.come()
        assert not guest.recovered
