"""The ids of sessions and clients. A checksum in each tells it from other text."""

from __future__ import annotations

import os
from base64 import b64decode
from binascii import b2a_base64
from typing import Any
from zlib import crc32

RANDOM = 11  # bytes; with 4 bytes of checksum they are 15, or 20 characters of base64
LENGTH = 20
_FOR_URLS = bytes.maketrans(b"+/", b"-_")


def make_id() -> str:
    """A new id of 20 characters: 88 random bits, so that nobody can guess it, and their CRC-32."""
    random = os.urandom(RANDOM)
    encoded = b2a_base64(random + crc32(random).to_bytes(4, "big"), newline=False)
    return encoded.translate(_FOR_URLS).decode()


def is_id(name: Any) -> bool:
    """Whether `make_id` of any process has made a name. It is wrong about one in 2**32 of other names."""
    if not isinstance(name, str) or len(name) != LENGTH:
        return False
    try:
        decoded = b64decode(name, b"-_", validate=True)
    except ValueError:
        return False
    random, checksum = decoded[:RANDOM], decoded[RANDOM:]
    return checksum == crc32(random).to_bytes(4, "big")
