"""Payloads of the polling transport (Engine.IO v4, "Packet encoding")."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator

from .packet import Packet

SEPARATOR = "\x1e"


def encode_payload(packets: Iterable[Packet]) -> bytes:
    """Join packets into the body of one polling answer."""
    return b"\x1e".join([packet.polling for packet in packets])


def decode_payload(body: bytes) -> Iterator[str | bytes]:
    """Split the body of a POST into text packets and binary messages, one at a time.

    Raises:
        ValueError: The body is not UTF-8; or, also from the iterator, a packet is empty or has bad base64.
    """
    payload = body.decode()
    return _packets(payload) if SEPARATOR in payload else iter((_decode_packet(payload),))


def _packets(payload: str) -> Iterator[str | bytes]:
    start = 0
    while (end := payload.find(SEPARATOR, start)) >= 0:
        yield _decode_packet(payload[start:end])
        start = end + 1
    yield _decode_packet(payload[start:])


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
