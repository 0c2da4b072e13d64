"""For each type of a table, both documents and the server agree on what fits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncsock.typed.asyncapi import to_asyncapi
from asyncsock.typed.description import Description, describe
from asyncsock.typed.event_type import EventType
from asyncsock.typed.typescript import RESERVED, to_typescript
from tests.support.node_tools import asyncapi_problems, compile_typescript, run_node
from tests.typed_events.type_table import CASES, Case

HEAD = """\
import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents } from "./events";
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();
"""


def handler(case: Case) -> Any:
    async def handle(data: Any) -> None: ...

    handle.__annotations__ = {"data": case.type, "return": None}
    return handle


@pytest.fixture(scope="module")
def described() -> Description:
    handlers = [(name, handler(case), "/") for name, case in CASES.items()]
    sent: list[EventType[Any]] = [
        EventType(None, name, (case.type,), "/")  # type: ignore[arg-type] # nothing is emitted
        for name, case in CASES.items()
    ]
    return describe(handlers, event_types=sent, reserved=RESERVED)


def lines(name: str, case: Case) -> Iterator[str]:
    event = json.dumps(name)
    received = f"Parameters<ClientToServerEvents[{event}]>[0]"
    sent = f"Parameters<ServerToClientEvents[{event}]>[0]"
    yield f"{{ const same: Same<{received}, {case.received}> = true; }}"
    yield f"{{ const same: Same<{sent}, {case.sent or case.received}> = true; }}"
    for value in [*case.right, *case.unseen]:
        yield f"socket.emit({event}, {json.dumps(value)});"
    for value in case.wrong:
        yield "// @ts-expect-error"
        yield f"socket.emit({event}, {json.dumps(value)});"


@pytest.fixture(scope="module")
def errors(described: Description, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What TypeScript's compiler says about each case."""
    folder: Path = tmp_path_factory.mktemp("table")
    (folder / "events.ts").write_text(to_typescript(described))
    program = [(name, line) for name, case in CASES.items() for line in lines(name, case)]
    (folder / "program.ts").write_text(HEAD + "".join(f"{line}\n" for _, line in program))
    found: dict[str, list[str]] = {name: [] for name in CASES}
    for number, error in compile_typescript(folder, "program.ts").items():
        name, line = program[number - 1 - HEAD.count("\n")]
        found[name].append(f"{line}: {error}")
    return found


@pytest.mark.parametrize("name", CASES)
def test_typescript_accepts_what_fits_and_nothing_else(name: str, errors: dict[str, list[str]]) -> None:
    assert errors[name] == []


@pytest.fixture(scope="module")
def valid(described: Description) -> dict[str, tuple[list[bool], list[bool]]]:
    """What the JSON Schema of each case says to what fits and to what does not."""
    components = {"schemas": described.components}
    events = {event.name: event.arguments[0].schema for event in described.namespaces[0].received}
    cases = [[events[name], [*case.right, *case.wrong, *case.unseen]] for name, case in CASES.items()]
    results = run_node("json_schema.mjs", {"components": components, "cases": cases})
    count = {name: len(case.right) for name, case in CASES.items()}
    return {
        name: (found[: count[name]], found[count[name] :]) for name, found in zip(CASES, results, strict=True)
    }


@pytest.mark.parametrize("name", CASES)
def test_the_schema_accepts_what_fits_and_nothing_else(
    name: str, valid: dict[str, tuple[list[bool], list[bool]]]
) -> None:
    right, wrong = valid[name]
    assert all(right), CASES[name].right
    assert not any(wrong), [*CASES[name].wrong, *CASES[name].unseen]


def test_the_parser_of_asyncapi_finds_nothing_wrong(described: Description) -> None:
    assert asyncapi_problems(to_asyncapi(described, "table", "1.0.0")) == []
