"""What one process tells another, or all others."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec

from ..codec.not_encodable import describe_failure


class Malformed(ValueError):
    """A message is not what another process of ours would send."""


class Role(IntEnum):
    """What a message is."""

    TOLD = 0
    QUESTION = 1
    ANSWER = 2
    NO_ANSWER = 3  # to a question that this process cannot answer, now or ever


class Envelope(msgspec.Struct, array_like=True):
    """A message.

    Attributes:
        kind: Which handler it is for.
        role: What it is.
        number: That of a question, and of the one that an answer is for.
        content: What the handler gets, in msgpack.
    """

    kind: str
    role: Role
    number: int
    content: msgspec.Raw


class Hello(msgspec.Struct):
    """Begins what a process tells others.

    Attributes:
        wants_answer: Whether it knows nothing of those who hear this.
        listener: What `QueueManager.listener_name` is there.
    """

    wants_answer: bool
    listener: str = ""


class Killed(msgspec.Struct):
    """Says that another process was killed."""

    name: str


class Sign(msgspec.Struct):
    """Says no more than its kind does."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode


def encode(kind: str, role: Role, number: int, content: Any) -> bytes:
    """A message.

    Raises:
        TypeError: The content cannot be encoded.
    """
    try:
        return _encode(Envelope(kind, role, number, msgspec.Raw(_encode(content))))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(
            f"{kind}: this cannot be sent to another process: {describe_failure(error)}"
        ) from None


def decode(data: bytes) -> Envelope:
    """Read a message, but for its content.

    Raises:
        Malformed: It is malformed.
    """
    try:
        envelope: Envelope = _decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Malformed(f"a malformed message of another process: {error}") from None
    return envelope


def content(envelope: Envelope, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
    """The content of a message.

    Raises:
        Malformed: It is malformed.
    """
    try:
        return decoder.decode(envelope.content)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Malformed(f"a malformed message of another process: {envelope.kind:.50}: {error}") from None
