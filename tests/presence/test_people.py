"""Who is in which room, and what joins and leaves result from each change."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsock.presence.people import OWN, Change, Diff, Diffs, Meta, Metas, People, Place

ROOM: Place = ("/", "room")
PLACES: list[Place] = [ROOM, ("/", None), ("/chat", 1)]
OWNERS = [OWN, "one", "two"]
AT, AWAY = Meta(b'"at"'), Meta(b'"away"')

keys = st.sampled_from(["ada", "grace"])
metas = st.sampled_from([AT, AWAY, Meta(b"{}", (b"picture",))])
sids = st.sampled_from("abcd")
changes = st.builds(
    Change, st.sampled_from(PLACES), sids, st.none() | keys, metas, st.integers(min_value=0, max_value=3)
)
told = st.tuples(st.sampled_from(OWNERS), st.lists(changes, max_size=4))


def is_here(sid: str, key: str | None, meta: Meta = AT, place: Place = ROOM, moves: int = 0) -> Change:
    return Change(place, sid, key, meta, moves)


def apply(shown: dict[Place, Metas], diffs: Diffs) -> None:
    """What a page does with the diffs it gets, which begins with the state that it was sent."""
    for place, diff in diffs:
        people = shown.setdefault(place, {})
        for key in diff.leaves:
            del people[key]
        assert not people.keys() & diff.joins.keys()
        people.update(diff.joins)


def entries_in(people: People, place: Place) -> dict[str, list[Meta]]:
    found: dict[str, list[Meta]] = {}
    for sid in "abcd":
        entry = people.entry(place, sid)
        if entry is not None:
            found.setdefault(entry.key, []).append(entry.meta)
    return found


@given(st.lists(told))
def test_a_key_is_in_a_place_exactly_while_a_client_has_it(steps: list[tuple[str, list[Change]]]) -> None:
    people = People()
    for owner, its_changes in steps:
        people.update(owner, its_changes)
        for place in PLACES:
            there, entries = people.there(place), entries_in(people, place)
            assert there.keys() == entries.keys()
            for key, shown in there.items():
                assert sorted(shown, key=repr) == sorted(set(entries[key]), key=repr)


@given(st.lists(told))
def test_the_diffs_in_order_give_the_state(steps: list[tuple[str, list[Change]]]) -> None:
    people, shown = People(), dict[Place, Metas]()
    for owner, its_changes in steps:
        apply(shown, people.update(owner, its_changes))
        for place in PLACES:
            assert shown.get(place, {}) == people.there(place)


@given(st.lists(told))
def test_a_diff_names_only_what_changes(steps: list[tuple[str, list[Change]]]) -> None:
    people = People()
    for owner, its_changes in steps:
        for _, diff in people.update(owner, its_changes):
            assert diff.joins or diff.leaves
            assert all(diff.joins[key] != diff.leaves[key] for key in diff.joins.keys() & diff.leaves.keys())


@given(st.lists(told), st.sampled_from(OWNERS), st.lists(changes, max_size=4))
def test_replacing_gives_a_process_the_entries_of_its_state_and_leaves_those_of_others(
    steps: list[tuple[str, list[Change]]], owner: str, state: list[Change]
) -> None:
    people = People()
    for other, its_changes in steps:
        people.update(other, its_changes)
    others = {each: people.of(each) for each in OWNERS if each != owner}
    people.replace(owner, state)
    assert people.replace(owner, state) == []
    named = {(change.place, change.sid) for change in state}
    assert {(each.place, each.sid) for each in people.of(owner)} <= named
    for other, had in others.items():  # of which some have moved to the owner, perhaps
        assert set(people.of(other)) <= set(had)


@given(st.lists(told))
def test_nothing_is_kept_of_those_who_have_left(steps: list[tuple[str, list[Change]]]) -> None:
    people = People()
    for owner, its_changes in steps:
        people.update(owner, its_changes)
    for owner in OWNERS:
        people.replace(owner, ())
    assert vars(people) == vars(People())


# One rule each


def joins(*pairs: tuple[str, list[Meta]]) -> Diffs:
    return [(ROOM, Diff(dict(pairs), {}))]


def leaves(*pairs: tuple[str, list[Meta]]) -> Diffs:
    return [(ROOM, Diff({}, dict(pairs)))]


def after(*its_changes: Change) -> People:
    people = People()
    people.update(OWN, its_changes)
    return people


def test_a_second_tab_is_neither_a_join_nor_a_leave() -> None:
    people = People()
    assert people.update(OWN, [is_here("a", "ada")]) == joins(("ada", [AT]))
    assert people.update("one", [is_here("b", "ada")]) == []
    assert people.update(OWN, [is_here("a", None)]) == []
    assert people.update("one", [is_here("b", None)]) == leaves(("ada", [AT]))


def test_another_meta_is_one_diff_with_the_old_as_a_leave_and_the_new_as_a_join() -> None:
    people = after(is_here("a", "ada"))
    assert people.update(OWN, [is_here("a", "ada", AWAY)]) == [(ROOM, Diff({"ada": [AWAY]}, {"ada": [AT]}))]


def test_a_tab_with_another_meta_changes_its_key() -> None:
    people = after(is_here("a", "ada"))
    diff = Diff({"ada": [AT, AWAY]}, {"ada": [AT]})
    assert people.update(OWN, [is_here("b", "ada", AWAY)]) == [(ROOM, diff)]


def test_the_same_again_is_nothing() -> None:
    people = after(is_here("a", "ada"), is_here("b", "ada", AWAY))
    assert people.update(OWN, [is_here("a", "ada")]) == []
    assert people.replace(OWN, people.of(OWN)) == []


def test_another_key_is_somebody_else() -> None:
    people = after(is_here("a", "ada"))
    diff = Diff({"grace": [AT]}, {"ada": [AT]})
    assert people.update(OWN, [is_here("a", "grace")]) == [(ROOM, diff)]


def test_several_changes_of_one_key_are_one_diff() -> None:
    people = after(is_here("a", "ada"))
    assert people.update(OWN, [is_here("a", None), is_here("b", "ada")]) == []


def test_a_client_that_moves_to_another_process_neither_leaves_nor_joins() -> None:
    people = after(is_here("a", "ada"))
    assert people.update("one", [is_here("a", "ada", moves=1)]) == []
    assert people.update(OWN, [is_here("a", None)]) == []
    assert people.replace(OWN, ()) == []
    assert people.update("one", [is_here("a", None)]) == leaves(("ada", [AT]))


@pytest.mark.parametrize("key", ["ada", None])
def test_a_process_does_not_change_what_another_one_has(key: str | None) -> None:
    people = after(is_here("a", "ada", moves=1))
    assert people.update("one", [is_here("a", key, AWAY, moves=1)]) == []


def test_the_state_of_a_process_is_one_diff_for_each_place() -> None:
    people = People()
    people.update("one", [is_here("a", "ada"), is_here("b", "grace"), is_here("a", "ada", place=PLACES[1])])
    diffs: Iterable[tuple[Place, Diff]] = people.replace("one", [is_here("b", "grace", AWAY)])
    assert dict(diffs) == {
        ROOM: Diff({"grace": [AWAY]}, {"ada": [AT], "grace": [AT]}),
        PLACES[1]: Diff({}, {"ada": [AT]}),
    }
