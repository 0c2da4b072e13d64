"""Processes that tell each other their changes come to know the same people, whatever is late or lost."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asyncsock.presence.people import OWN, Change, Diffs, Meta, Metas, Place
from asyncsock.presence.replica import WAITING, Outcome, Replica

ROOM: Place = ("/", "room")
META = Meta(b"1")
NAMES = ["one", "two", "three"]


class Process:
    """A replica, and what one of its clients has been shown."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.replica = Replica()
        self.shown: Metas = {}

    def show(self, diffs: Diffs) -> None:
        for _, diff in diffs:
            for key in diff.leaves:
                del self.shown[key]
            self.shown.update(diff.joins)

    def owners(self) -> dict[str, str]:
        """Whose each client is, by sid."""
        found = {}
        for owner in {OWN, *NAMES} - {self.name}:
            for change in self.replica.people.of(owner):
                found[change.sid] = owner or self.name
        return found


class Network:
    """Brings what a process tells everybody in order, and what it tells one alone in an order of its own."""

    def __init__(self) -> None:
        self.processes = {name: Process(name) for name in NAMES}
        self.ways: dict[tuple[str, str, str], deque[tuple[Any, ...]]] = {}

    def put(self, kind: str, sender: str, to: str, *message: Any) -> None:
        self.ways.setdefault(("all" if kind == "told" else "one", sender, to), deque()).append(
            (kind, *message)
        )

    def change(self, name: str, changes: list[Change]) -> None:
        process = self.processes[name]
        process.show(process.replica.change(changes))
        self.tell(name, changes)

    def tell(self, name: str, changes: list[Change]) -> None:
        for other in set(NAMES) - {name}:
            self.put("told", name, other, self.processes[name].replica.number, changes)

    def tell_state(self, name: str, to: str) -> None:
        number, state = self.processes[name].replica.number, self.processes[name].replica.people.of(OWN)
        half = len(state) // 2
        self.put("state", name, to, number, 0, state[:half], False)
        self.put("state", name, to, number, half, state[half:], True)

    def lose(self, way: int) -> None:
        waiting = [messages for messages in self.ways.values() if messages]
        if waiting:
            waiting[way % len(waiting)].popleft()

    def bring(self, way: int) -> bool:
        waiting = [key for key, messages in self.ways.items() if messages]
        if not waiting:
            return False
        key = waiting[way % len(waiting)]
        _, sender, to = key
        kind, *message = self.ways[key].popleft()
        process, outcome = self.processes[to], Outcome([])
        if kind == "told":
            outcome = process.replica.told(sender, *message)
        elif kind == "asked":
            self.tell_state(to, sender)
        else:
            outcome = process.replica.received(sender, *message)
        process.show(outcome.diffs)
        if outcome.moved:
            self.change(to, list(outcome.moved))
        if outcome.ask:
            self.put("asked", to, sender)
        return True

    def settle(self, people: dict[str, tuple[str, str]]) -> None:
        """Let everything arrive that is on its way, and what processes tell each other that connect again.

        A process does not wait for ever for a client to come back: it may not have heard that it has moved.
        """
        for name, process in self.processes.items():
            for change in process.replica.people.of(OWN):
                if change.sid not in people or people[change.sid][0] != name:
                    self.change(name, [change._replace(key=None)])
        for _ in range(2):
            for name, to in itertools.permutations(NAMES, 2):
                self.tell_state(name, to)
            while self.bring(0):
                pass


Step = tuple[str, str, str | None, int]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(["change", "move", "bring", "bring", "bring", "lose"]),
        st.sampled_from("abc"),
        st.none() | st.sampled_from(["ada", "grace"]),
        st.integers(min_value=0, max_value=7),
    ),
    max_size=40,
)


def play(network: Network, script: list[Step]) -> dict[str, tuple[str, str]]:
    """Do what a script says. Returns the process and the key of each client that is somebody."""
    homes = dict(zip("abc", NAMES, strict=True))
    moves = dict.fromkeys("abc", 0)
    people: dict[str, tuple[str, str]] = {}
    for what, sid, key, number in script:
        if what == "bring":
            network.bring(number)
        elif what == "lose":
            network.lose(number)
        elif what == "change":
            network.change(homes[sid], [Change(ROOM, sid, key, META, moves[sid])])
            people.pop(sid, None)
            if key is not None:
                people[sid] = homes[sid], key
        elif sid in people:
            homes[sid] = NAMES[number % 3] if NAMES[number % 3] != homes[sid] else NAMES[(number + 1) % 3]
            moves[sid] += 1
            people[sid] = homes[sid], people[sid][1]
            network.change(homes[sid], [Change(ROOM, sid, people[sid][1], META, moves[sid])])
    return people


@given(steps)
def test_processes_that_have_heard_of_everything_know_the_same_people(script: list[Step]) -> None:
    network = Network()
    people = play(network, script)
    network.settle(people)
    for process in network.processes.values():
        assert process.owners() == {sid: owner for sid, (owner, _) in people.items()}
        assert set(process.replica.people.there(ROOM)) == {key for _, key in people.values()}


@given(steps)
def test_what_pages_are_shown_is_what_their_process_knows(script: list[Step]) -> None:
    network = Network()
    play(network, script)
    for process in network.processes.values():
        assert process.shown == process.replica.people.there(ROOM)


@given(steps)
def test_a_process_that_ends_takes_its_people_with_it(script: list[Step]) -> None:
    network = Network()
    people = play(network, script)
    network.settle(people)
    two = network.processes["two"]
    two.show(two.replica.forget("one"))
    assert two.shown.keys() == {key for owner, key in people.values() if owner != "one"}


def change(sid: str, key: str | None = "ada") -> Change:
    return Change(ROOM, sid, key, META)


def test_a_missing_change_is_asked_for_once() -> None:
    replica = Replica()
    assert replica.told("one", 2, [change("b")]) == Outcome([], ask=True)
    assert replica.told("one", 3, [change("c")]) == Outcome([])
    assert not replica.received("one", 2, 0, [change("a"), change("b")], True).ask
    assert {each.sid for each in replica.people.of("one")} == {"a", "b", "c"}


def test_a_change_that_comes_again_is_ignored() -> None:
    replica = Replica()
    replica.told("one", 1, [change("a")])
    replica.told("one", 2, [change("a", None)])
    assert replica.told("one", 1, [change("a")]) == Outcome([])
    assert replica.people.of("one") == []


def test_a_state_that_is_older_than_what_is_known_is_ignored() -> None:
    replica = Replica()
    replica.told("one", 1, [change("a")])
    replica.told("one", 2, [change("a", None)])
    assert replica.received("one", 1, 0, [change("a")], True) == Outcome([])
    assert replica.people.of("one") == []


def test_a_state_of_which_a_part_is_missing_is_not_taken_for_the_whole() -> None:
    replica = Replica()
    replica.told("one", 1, [change("a")])
    replica.received("one", 2, 0, [change("b")], False)
    assert replica.received("one", 2, 2, [change("d")], True) == Outcome([])
    assert {each.sid for each in replica.people.of("one")} == {"a"}


def test_the_changes_that_are_kept_for_later_are_bounded() -> None:
    replica = Replica()
    asked = [replica.told("one", number, [change(str(number))]).ask for number in range(2, 3 * WAITING)]
    assert sum(asked) == 3
    assert replica.received("one", 1, 0, [], True).ask  # the first of them are not kept, and it knows that
    replica.received("one", 3 * WAITING, 0, [change("a")], True)
    assert {each.sid for each in replica.people.of("one")} == {"a"}
