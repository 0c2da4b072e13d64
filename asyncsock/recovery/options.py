"""The option ``connection_state_recovery``."""

from __future__ import annotations

from typing import Any, NamedTuple

DURATION = 120.0  # seconds, as in Node's server
BYTES = 64 * 1024 * 1024


class RecoveryOptions(NamedTuple):
    """How long and in how much memory clients that lost their connection can come back.

    Attributes:
        max_disconnection_duration: Seconds.
        max_bytes: Bytes of events and of such clients that one process keeps.
    """

    max_disconnection_duration: float = DURATION
    max_bytes: int = BYTES


def read_options(value: Any) -> RecoveryOptions | None:
    """The options that a value of ``connection_state_recovery`` means; None if it is off.

    Args:
        value: True, False, None, or a dictionary of the fields of `RecoveryOptions`.

    Raises:
        TypeError: It is something else, or has an unknown key.
        ValueError: A number is not above zero.
    """
    if value is None or value is False:
        return None
    if value is True:
        return RecoveryOptions()
    if not isinstance(value, dict) or not value.keys() <= set(RecoveryOptions._fields):
        fields = " and ".join(map(repr, RecoveryOptions._fields))
        raise TypeError(f"connection_state_recovery={value!r:.100}: it is True, or a dictionary of {fields}")
    for name, number in value.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not number > 0:
            raise ValueError(f"connection_state_recovery: {name}={number!r:.100} has to be a number above 0")
    return RecoveryOptions(**value)
