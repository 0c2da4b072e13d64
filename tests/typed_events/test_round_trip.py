"""A client in TypeScript sends what fits each type to a server that checks it, and gets it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncsock.flask_bridge import commands
from tests.apps.type_table import app
from tests.support.javascript_checks import OUTSIDE, Outcomes, outcomes
from tests.support.node_tools import compile_typescript
from tests.support.server_process import serve
from tests.typed_events.type_table import CASES

HEAD = """\
import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents } from "./events.js";

declare const process: { argv: string[] };
type Sent = ServerToClientEvents;
const socket: Socket<Sent, ClientToServerEvents> = io(process.argv[2]!);

function got<Name extends keyof Sent>(name: Name): Promise<Parameters<Sent[Name]>[0]> {
  return new Promise((resolve) => (socket as any).once(name, resolve));
}

/** Whether there is all of a value in another, which may have default values beside it. */
function within(one: any, other: any): boolean {
  if (typeof one !== "object" || one === null) return one === other;
  return Object.keys(one).every((key) => within(one[key], other?.[key]));
}

async function check(name: keyof Sent, value: unknown, sent: Promise<unknown>) {
  const nothing = new Promise((resolve) => setTimeout(resolve, 5000, "nothing came"));
  const found = await Promise.race([sent, nothing]);
  const error = within(value, found) ? null : JSON.stringify([value, found]);
  console.log(JSON.stringify({ name: `${name} ${JSON.stringify(value)}`, error }));
}

"""


def program() -> Iterator[str]:
    for name, case in CASES.items():
        event = json.dumps(name)
        for value in map(json.dumps, case.right):
            yield f"{{ const sent = got({event}); socket.emit({event}, {value});"
            yield f"  await check({event}, {value}, sent); }}"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    folder: Path = tmp_path_factory.mktemp("client")
    printed = app.test_cli_runner().invoke(commands.socketio, ["typescript"]).output
    (folder / "events.ts").write_text(printed)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "client.ts").write_text(HEAD + "\n".join(program()) + "\nsocket.disconnect();\n")
    assert compile_typescript(folder, "client.ts", options=("--outDir", ".")) == {}
    with serve("tests.apps.type_table:asgi") as server:
        return outcomes(["node", "client.js", server.url], folder, timeout=60)


@pytest.mark.javascript
@pytest.mark.parametrize("name", CASES)
def test_what_a_client_sends_comes_back(name: str, results: Outcomes) -> None:
    assert OUTSIDE not in results, results[OUTSIDE]
    found: dict[str, Any] = {value: results[f"{name} {value}"] for value in map(compact, CASES[name].right)}
    assert found == dict.fromkeys(found)


def compact(value: Any) -> str:
    """A value as JavaScript's JSON has it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
