"""Payloads of the polling transport (Engine.IO v4, "Packet encoding")."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable

from .packet import Packet

SEPARATOR = "\x1e"


def encode_payload(packets: Iterable[Packet]) -> bytes:
    """Join packets into the body of one polling answer."""
    return b"\x1e".join([packet.polling for packet in packets])


def decode_payload(body: bytes) -> list[str | bytes]:
    """Split the body of a POST into text packets and binary messages.

    Raises:
        ValueError: The body is not UTF-8, has an empty packet, or has bad base64.
    """
    return [_decode_packet(part) for part in body.decode().split(SEPARATOR)]


def _decode_packet(part: str) -> str | bytes:
    if not part:
        raise ValueError("empty packet")
    return decode_binary(part) if part[0] == "b" else part


def decode_binary(text: str) -> bytes:
    """The binary message that a text holds as base64 after a ``b``.

    Raises:
        ValueError: It is not base64.
    """
    return b64decode(text[1:], validate=True)
