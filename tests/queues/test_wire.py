"""The messages between processes, against python-socketio's own client managers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st

from asyncsock.packets import JSONCodec, event_arguments
from asyncsock.queues import wire

HOST = "0" * 32
text = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | text | st.binary(max_size=100)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)
arguments = st.lists(trees, max_size=3).map(tuple)
rooms = st.none() | text.filter(bool) | st.lists(text, min_size=1, max_size=3)
codec = JSONCodec()


class TheirManager(socketio.PubSubManager):
    """python-socketio's manager, which keeps what it would publish and what it would emit."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[str] = []

    def _publish(self, data: Any) -> None:
        self.published.append(json.dumps(data))


class TheirListener(TheirManager):
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.emitted: list[tuple[Any, ...]] = []
        monkeypatch.setattr(socketio.Manager, "emit", self.keep)

    def keep(self, event: str, data: Any, **options: Any) -> None:
        self.emitted.append((event, data, options))


@given(event=text, data=arguments, room=rooms, skip=rooms)
def test_python_socketio_reads_what_is_written(
    event: str, data: tuple[Any, ...], room: Any, skip: Any
) -> None:
    fields = wire.emit_fields(event, codec.encode(event_arguments(data)), "/chat", room, skip, None)
    with pytest.MonkeyPatch.context() as patch:
        listener = TheirListener(patch)
        listener._handle_emit(json.loads(wire.encode(fields, HOST, 1)))
        ((name, received, options),) = listener.emitted
    assert (name, options["namespace"], options["room"], options["skip_sid"]) == (event, "/chat", room, skip)
    # they give a single argument as it is, and null stands for none
    expected: Any = data if len(data) != 1 else data[0]
    assert received == expected


@given(event=text, data=arguments, room=rooms, skip=rooms)
def test_what_python_socketio_writes_is_read(event: str, data: tuple[Any, ...], room: Any, skip: Any) -> None:
    manager = TheirManager()
    manager.emit(event, data, namespace="/chat", room=room, skip_sid=skip)
    message = wire.decode(manager.published[0].encode())
    assert (message.method, message.event, message.namespace) == ("emit", event, "/chat")
    assert (message.room, message.skip_sid) == (room, skip)
    assert (message.sender, message.host_id) == (None, manager.host_id)
    body = wire.event_arguments(message)
    assert codec.load(body) == ([] if data == (None,) else list(data))
    assert codec.load(codec.prepend(event, body)) == [event, *codec.load(body)]


@given(data=arguments, id=st.integers(0, 2**53), seq=st.integers(1, 2**62))
def test_an_acknowledgement_comes_back_as_it_was(data: tuple[Any, ...], id: int, seq: int) -> None:
    encoded = wire.encode(wire.callback_fields("asker", "sid", "/", id, codec.encode(list(data))), HOST, seq)
    message = wire.decode(encoded)
    assert (message.host_id, message.sender, message.seq, message.id) == ("asker", HOST, seq, id)
    assert codec.load(wire.callback_arguments(message)) == list(data)


@given(event=text, data=arguments, seq=st.integers(1, 2**62))
def test_the_mark_of_a_sender_is_in_its_messages_only(event: str, data: tuple[Any, ...], seq: int) -> None:
    fields = wire.emit_fields(event, codec.encode(event_arguments(data)), "/", None, None, None)
    end = wire.encode(fields, HOST, seq)[-wire.MARK_WITHIN :]
    assert wire.mark(HOST) in end
    assert wire.mark("1" * 32) not in end


@given(st.binary() | st.text().map(lambda value: value.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_message_or_a_value_error(data: bytes) -> None:
    try:
        wire.event_arguments(wire.decode(data))
    except ValueError:
        pass
