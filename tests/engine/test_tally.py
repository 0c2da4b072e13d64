"""Counts by names that clients may make up."""

from __future__ import annotations

from asyncsock.engine.tally import LONGEST_NAME, MOST_NAMES, Tally


def test_a_tally_counts_names_beyond_its_bounds_as_one() -> None:
    tally = Tally()
    for number in range(10_000):
        tally.add(f"name {number}")
    tally.add("name 0", 5)
    tally.add("x" * (LONGEST_NAME + 1))
    assert len(tally) == MOST_NAMES + 1
    assert tally["name 0"] == 6
    assert tally["other"] == 10_000 - MOST_NAMES + 1
    assert tally.total == 10_006
