"""One more argument at the end of an encoded event, with every codec."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from socketio.msgpack_packet import MsgPackPacket
from socketio.packet import Packet as PythonPacket

from asyncsock.codec import make_codec
from asyncsock.codec.base import EVENT, Codec
from asyncsock.codec.packet_class import PacketCodec

TEXT = "abcDEF_-1234567890"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab]"\\é,'), inner, max_size=3),
    max_leaves=20,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]))


class OwnPacket(PythonPacket):
    """A packet class that is not python-socketio's."""

    def encode(self) -> Any:
        return super().encode()


class Spacious:
    """A json module that writes more white space than it must."""

    loads = staticmethod(json.loads)

    @staticmethod
    def dumps(value: Any, **options: Any) -> str:
        return f" {json.dumps(value, indent=2)} \n"


CODECS: dict[str, Codec] = {
    "JSON": make_codec(PythonPacket),
    "the standard library's json": make_codec(PythonPacket, json),
    "a json module with white space": make_codec(PythonPacket, Spacious),
    "msgpack": make_codec(MsgPackPacket),
    "a packet class": make_codec(OwnPacket),
}
every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


def decoded(codec: Codec, packets: list[Any]) -> Any:
    """What a client of python-socketio's decodes."""
    first, *attachments = packets
    if codec is CODECS["msgpack"]:
        assert attachments == []
        return SimpleNamespace(**msgpack.unpackb(first.data, strict_map_key=False)).data
    packet = PythonPacket(encoded_packet=first.text[1:])
    assert packet.attachment_count == len(attachments)
    for attachment in attachments:
        packet.add_attachment(attachment.data)
    return packet.data


@every_codec
@given(NAMES, st.lists(VALUES, max_size=20))
def test_it_comes_after_the_others_and_changes_none(codec: Codec, name: str, arguments: list[Any]) -> None:
    body = codec.encode([name, *arguments])
    before = decoded(codec, codec.assemble(EVENT, "/", body))
    longer = codec.with_argument(body, TEXT)
    assert decoded(codec, codec.assemble(EVENT, "/", longer)) == [*before, TEXT]
    assert decoded(codec, codec.assemble(EVENT, "/", body)) == before


@every_codec
@pytest.mark.parametrize("count", [0, 13, 14, 15, 16, 65_534, 65_535])
def test_any_number_of_arguments_becomes_one_more(codec: Codec, count: int) -> None:
    longer = codec.with_argument(codec.encode(["event", *range(count)]), TEXT)
    assert decoded(codec, codec.assemble(EVENT, "/", longer)) == ["event", *range(count), TEXT]


@every_codec
def test_a_body_that_was_detached_does_not_change_with_the_data(codec: Codec) -> None:
    binary = b"12" if isinstance(codec, PacketCodec) else bytearray(b"12")  # old packet classes refuse those
    data: Any = {"list": [1], "bytes": binary}
    body = codec.detach(codec.encode(["event", data]))
    data["list"].append(2)
    if isinstance(binary, bytearray):
        binary[0] = 0
    longer = codec.with_argument(body, TEXT)
    assert decoded(codec, codec.assemble(EVENT, "/", longer))[1:] == [{"list": [1], "bytes": b"12"}, TEXT]
