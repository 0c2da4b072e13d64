"""Random changes of bytes, and what a fuzzer has found."""

from __future__ import annotations

from random import Random

# What parsers look for, or stumble over.
PIECES = (
    *(
        b"\x00",
        b"\xff",
        b"\x80",
        b"\x1e",
        b"\r\n",
        b"\r\n\r\n",
        b":",
        b",",
        b"/",
        b"?",
        b"-",
        b'"',
        b"\\",
        b" ",
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"0",
        b"1",
        b"4",
        b"9" * 30,
        b"-1",
        b"1e999",
        b"NaN",
        b"null",
        b"\\ud800",
        b"\xc3\x28",
    ),
    *(b'{"_placeholder":true,"num":0}', b'"_placeholder"', b"\xed\xa0\x80", b"%0a", b"chunked", b"x" * 300),
)


class Finding(Exception):
    """The server did what it must not do.

    Args:
        what: What is wrong.
        data: The bytes that make it do so.
    """

    def __init__(self, what: str, data: bytes = b"") -> None:
        super().__init__(what)
        self.what = what
        self.data = data


def mutated(random: Random, data: bytes) -> bytes:
    """The bytes with a few changes, or with none."""
    changed = bytearray(data)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 8))):
        at = random.randrange(len(changed) + 1)
        stop = min(len(changed), at + random.choice((1, 1, 2, 4, 16, 200)))
        change = random.randrange(6)
        if change == 0:
            changed[at:at] = random.choice(PIECES)
        elif change == 1:
            changed[at:stop] = random.choice(PIECES)
        elif change == 2:
            del changed[at:stop]
        elif change == 3:
            changed[at:at] = changed[at:stop] * random.choice((1, 2, 20))
        elif change == 4 and at < len(changed):
            changed[at] ^= 1 << random.randrange(8)
        else:
            changed[at:stop] = random.randbytes(stop - at)
    return bytes(changed)


def pieces(random: Random, data: bytes) -> list[bytes]:
    """The bytes as they may arrive: in one piece or in several."""
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.choice((0, 0, 1, 3, 20))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]
