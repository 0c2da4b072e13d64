"""What clients claim in their CONNECT packets, and what the option may be."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsock import AsyncServer
from asyncsock.recovery.clients import MOST_TEXT, Claim, key_of, make_pid, read_claim
from asyncsock.recovery.options import RecoveryOptions, read_options

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from(["pid", "offset", "token", ""])


@given(st.one_of(JSON, st.dictionaries(KEYS, JSON), st.dictionaries(KEYS, st.text(max_size=80))))
def test_whatever_a_client_sends_is_a_claim_of_short_text_or_none(auth: Any) -> None:
    rest, claim, claims = read_claim(auth)
    if isinstance(auth, dict) and "pid" in auth:
        assert claims
        assert rest == {key: value for key, value in auth.items() if key not in ("pid", "offset")}
    else:
        assert rest is auth
        assert (claim, claims) == (None, False)
    if claim is not None:
        assert (claim.pid, claim.offset) == (auth["pid"], auth.get("offset"))
        assert max(len(claim.pid), len(claim.offset or "")) <= MOST_TEXT
        assert len(claim.key) == 16


@pytest.mark.parametrize("offset", [{}, [], 5, 1.5, True, "x" * (MOST_TEXT + 1), "\udc80", b"x"])
def test_a_claim_with_an_impossible_offset_cannot_be_true(offset: Any) -> None:
    assert read_claim({"pid": "p", "offset": offset, "token": 1}) == ({"token": 1}, None, True)


@pytest.mark.parametrize("pid", [None, {}, [], 5, True, "x" * (MOST_TEXT + 1), "ü", "\ud800", b"x"])
def test_a_claim_with_an_impossible_pid_cannot_be_true(pid: Any) -> None:
    assert read_claim({"pid": pid, "offset": "o"}) == ({}, None, True)


def test_a_client_that_has_got_no_event_claims_without_an_offset() -> None:
    for auth in ({"pid": "p"}, {"pid": "p", "offset": None}):
        assert read_claim(auth) == ({}, Claim("p", None), True)


def test_an_offset_without_a_pid_is_the_applications_own() -> None:
    assert read_claim({"offset": "o"}) == ({"offset": "o"}, None, False)


def test_the_auth_of_the_client_is_not_changed() -> None:
    auth = {"pid": "p", "offset": "o", "token": 1}
    read_claim(auth)
    assert auth == {"pid": "p", "offset": "o", "token": 1}


def test_private_ids_are_secrets_that_fit_into_a_claim() -> None:
    pids = {make_pid() for _ in range(1000)}
    assert len({key_of(pid) for pid in pids}) == 1000
    assert all(24 <= len(pid) <= MOST_TEXT and read_claim({"pid": pid})[1] for pid in pids)


# The option


@pytest.mark.parametrize("value", [None, False])
def test_it_is_off(value: Any) -> None:
    assert read_options(value) is None
    assert not AsyncServer(connection_state_recovery=value).recovers


def test_it_is_on_with_numbers_of_ones_own() -> None:
    assert read_options(True) == read_options({}) == RecoveryOptions()
    options = read_options({"max_disconnection_duration": 5, "max_bytes": 1000})
    assert options == RecoveryOptions(5, 1000)


@pytest.mark.parametrize("value", ["yes", 1, 0, 1.5, [], [("max_bytes", 5)], {"maxDisconnectionDuration": 5}])
def test_a_value_that_is_no_option_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="connection_state_recovery=.*True, or a dictionary of"):
        AsyncServer(connection_state_recovery=value)


@pytest.mark.parametrize("number", [0, -1, True, None, "5", math.nan, [1], 1j])
@pytest.mark.parametrize("name", RecoveryOptions._fields)
def test_a_bound_has_to_be_a_number_above_zero(name: str, number: Any) -> None:
    with pytest.raises(ValueError, match=f"connection_state_recovery: {name}="):
        AsyncServer(connection_state_recovery={name: number})


@given(JSON)
def test_any_value_is_taken_or_refused_with_one_of_two_errors(value: Any) -> None:
    try:
        options = read_options(value)
    except (TypeError, ValueError):
        return
    assert options is None or isinstance(options, RecoveryOptions)
