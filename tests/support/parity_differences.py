"""Where asyncsock differs from Flask-SocketIO on purpose, for the parity test."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.support.parity_script import Record, Records

# Where the two differ on purpose: functions that turn Flask-SocketIO's records of a step into asyncsock's.
DIFFERENCES: list[Callable[[str, Records], Records]] = []


def difference(rewrite: Callable[[str, Records], Records]) -> Callable[[str, Records], Records]:
    DIFFERENCES.append(rewrite)
    return rewrite


@difference
def what_a_refused_client_was_sent_does_not_arrive(step: str, records: Records) -> Records:
    """Clients throw away events in a namespace that they are not in."""
    if step == "being refused: emit":
        guest = [record for record in records["guest"] if record[3] != ["to a refused client"]]
        records = {**records, "guest": guest}
    return records


@difference
def connect_comes_before_the_events_of_the_connect_handler(step: str, records: Records) -> Records:
    """The protocol has no events in a namespace before its CONNECT packet."""

    def reorder(found: list[Record]) -> list[Record]:
        ordered: list[Record] = []
        for record in found:
            at = len(ordered)
            while record[0] == "CONNECT" and at and ordered[at - 1][:2] == ["EVENT", record[1]]:
                at -= 1
            ordered.insert(at, record)
        return ordered

    return {who: reorder(found) if who != "problem" else found for who, found in records.items()}


@difference
def a_disconnect_handler_does_not_reach_the_client_that_leaves(step: str, records: Records) -> Records:
    """Clients throw away events in a namespace that they have left."""
    if step in ("leaving a namespace", "a method that disconnects"):
        records = {**records, "b": [each for each in records["b"] if "departed" not in (each[3] or ())]}
    return records


@difference
def a_connect_error_is_an_object(step: str, records: Records) -> Records:
    """The protocol says so, and that the message for a namespace without handlers is "Invalid namespace"."""
    message = "Unable to connect" if step == "connecting twice" else "Invalid namespace"

    def reword(record: Record) -> Record:
        refused = record[0] == "CONNECT_ERROR" and record[3] == "Unable to connect"
        return [*record[:3], {"message": message}] if refused else record

    return {who: [*map(reword, found)] if who != "problem" else found for who, found in records.items()}


@difference
def what_is_no_number_arrives_as_null(step: str, records: Records) -> Records:
    """JSON has neither NaN nor infinities: JavaScript's clients disconnect when they get one."""
    if step.startswith("an event with: no numbers"):
        records = {**records, "a": [[*record[:3], without_nan(record[3])] for record in records["a"]]}
    return records


def without_nan(data: Any) -> Any:
    if isinstance(data, list):
        return [without_nan(item) for item in data]
    if isinstance(data, dict):
        return {key: without_nan(value) for key, value in data.items()}
    return None if isinstance(data, float) and not math.isfinite(data) else data


@difference
def an_event_that_is_named_like_the_wildcard_is_an_event(step: str, records: Records) -> Records:
    """There it runs the catch-all handler as the client that its first argument names."""
    if step == "an event that is named like a catch-all handler":
        ((kind, namespace, id, _),) = records["a"]
        answer = ["any event", "*", ["a sid"], "*", ["*", "a sid"]]
        records = {**records, "a": [[kind, namespace, id, answer]]}
    return records
