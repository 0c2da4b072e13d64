"""Programs that others wrote for python-socketio, at their current releases: with it and with asyncsock.

`make test-programs` installs each into a virtualenv of its own. A check drives a program as its users do and
returns what they saw; it runs once with each library, and must see the same. Open WebUI and InvokeAI bring
gigabytes of other packages: they are here in the shape of their socket modules.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import socketio

from tests.support.brokers import Redis
from tests.support.ports import free_port
from tests.support.python_socketio_client import WAIT, Client, arrived, connected
from tests.support.required_parts import require
from tests.support.server_process import ROOT, Server, stop, wait_for_port

PROGRAMS = Path(__file__).parent
LIBRARIES = ("python-socketio", "asyncsock")
MODES = ("polling", "websocket", "upgrade")
pytestmark = pytest.mark.timeout(300)


def python(name: str) -> list[str]:
    """The Python that a program is installed for."""
    path = PROGRAMS / name / ".venv" / "bin" / "python"
    require(path.exists(), f"{name}, which `make test-programs` installs")
    return [str(path)]


def copied(name: str, library: str, folder: Path) -> Path:
    """A copy of a program's folder."""
    place = folder / library
    shutil.copytree(PROGRAMS / name, place, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    return place


def environment(library: str) -> dict[str, str]:
    """The variables that a program needs to run on a library."""
    return {
        # those of this pytest would make NiceGUI believe that it is under test
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "SOCKETIO_IS": library,
        "PYTHONPATH": f"{PROGRAMS / 'replacement'}{os.pathsep}{ROOT}",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def program(
    name: str, library: str, folder: Path, line: list[str], env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a program on a library, in a copy of its folder.

    Args:
        name: its folder beside this file.
        library: one of LIBRARIES.
        folder: an empty one.
        line: the arguments after `python`; $PORT is its port.
        env: environment variables beside those of this process.
    """
    place = copied(name, library, folder)
    port = free_port()
    log_path = place.with_suffix(".log")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*python(name), *[part.replace("$PORT", str(port)) for part in line]],
            cwd=place,
            env={**environment(library), "PORT": str(port), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, port, log_path)
    try:
        wait_for_port(server, 90)
        yield server
        assert ("socketio is asyncsock" in server.log()) == (library == "asyncsock")
    finally:
        stop(process)


Check = Callable[[Server], Awaitable[Any]]


async def with_both(
    check: Check, name: str, folder: Path, line: list[str], env: Mapping[str, str] | None = None
) -> Any:
    """What a check saw with asyncsock, which is what it saw with python-socketio."""
    before, after = [await with_one(library, check, name, folder, line, env) for library in LIBRARIES]
    assert after == before
    return after


async def with_one(
    library: str,
    check: Check,
    name: str,
    folder: Path,
    line: list[str],
    env: Mapping[str, str] | None = None,
) -> Any:
    """What a check saw with one library."""
    with program(name, library, folder, line, env) as server:
        try:
            return await check(server)
        except Exception as error:
            error.args = (f"{error}\nwith {library}, whose log is:\n{server.log()}",)
            raise


async def on_page(scenario: str, server: Server) -> list[str]:
    """What the page of a program showed in Chromium; see pages.mjs."""
    for part in ("node", "chromium"):
        require(shutil.which(part), part)
    require((ROOT / "tests/browser/node_modules/playwright-core").is_dir(), "npm package playwright-core")
    pages = await asyncio.create_subprocess_exec(
        *("node", str(PROGRAMS / "pages.mjs"), scenario, server.url),
        env={**os.environ, "CHROMIUM": str(shutil.which("chromium"))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await pages.communicate()
    assert pages.returncode == 0, errors.decode()
    seen: list[str] = json.loads(output)
    return seen


# NiceGUI


async def test_a_page_of_nicegui(tmp_path: Path) -> None:
    seen = await with_both(lambda server: on_page("nicegui", server), "nicegui", tmp_path, ["main.py"])
    assert seen[-2:] == ["clicked 3 times", "websocket"]


@pytest.mark.parametrize(
    ("tests", "passed"),
    [("user_tests.py", "6 passed"), ("screen_tests.py", "7 passed")],
    ids=["without a browser", "with a browser"],
)
def test_tests_with_the_fixtures_of_nicegui(tests: str, passed: str, tmp_path: Path) -> None:
    """Each test has an event loop of its own, and all share the module's server."""
    if tests == "screen_tests.py":
        require(shutil.which("chromedriver"), "chromedriver")
    for library in LIBRARIES:
        place = copied("nicegui", library, tmp_path)
        main = "main_file=main.py" if tests == "user_tests.py" else "main_file="
        line = [*python("nicegui"), "-m", "pytest", "-p", "no:cacheprovider", "-o", main, tests]
        ended = subprocess.run(line, cwd=place, env=environment(library), capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert passed in ended.stdout


# Chainlit


async def test_a_chat_of_chainlit_with_a_login(tmp_path: Path) -> None:
    line = ["-m", "chainlit", "run", "main.py", "--headless", "--host", "127.0.0.1", "--port", "$PORT"]
    env = {"CHAINLIT_AUTH_SECRET": "a secret of this test, long enough to sign a token with it"}
    seen = await with_both(lambda server: on_page("chainlit", server), "chainlit", tmp_path, line, env)
    assert seen[-1] == "4 messages"


async def test_who_has_not_logged_in_gets_no_chat_of_chainlit(tmp_path: Path) -> None:
    async def check(server: Server) -> list[Any]:
        seen: list[Any] = []
        for mode in MODES:
            client = Client(server.url, mode=mode)
            auth = {
                "sessionId": "1",
                "clientType": "webapp",
                "userEnv": "{}",
                "chatProfile": "",
                "threadId": "",
            }
            try:
                with pytest.raises(socketio.exceptions.ConnectionError) as refused:
                    await client.connect(socketio_path="/ws/socket.io", auth=auth)
                seen.append(str(refused.value))
            finally:
                await client.close()
        return seen

    line = ["-m", "chainlit", "run", "main.py", "--headless", "--host", "127.0.0.1", "--port", "$PORT"]
    env = {"CHAINLIT_AUTH_SECRET": "a secret of this test, long enough to sign a token with it"}
    assert len(await with_both(check, "chainlit", tmp_path, line, env)) == 3


# Reflex


async def test_the_backend_of_reflex(tmp_path: Path) -> None:
    namespace = "/_event"
    state = "reflex___state____state.counter___counter____state"
    router = {"pathname": "/", "query": {}, "asPath": "/"}

    def without_headers(update: Any) -> str:
        """An update without what names the connection."""
        delta = update.get("delta", {}).get("reflex___state____state")
        return json.dumps({**update, "delta": sorted(delta)} if delta else update, sort_keys=True)

    async def check(server: Server) -> list[Any]:
        client = Client(server.url, mode="websocket")
        updates, pongs = (client.arrivals(event, namespace) for event in ("event", "ping"))
        try:
            client.url += "?token=a-token"
            await client.connect([namespace], socketio_path="/_event")
            await client.emit("ping", namespace=namespace)
            seen: list[Any] = [await arrived(pongs)]
            for name, payload, expected in (
                ("reflex___state____state.hydrate", {}, 1),
                (f"reflex___state____state.{state.partition('.')[2]}.increment", {}, 1),
                (f"reflex___state____state.{state.partition('.')[2]}.increment", {}, 1),
                (f"reflex___state____state.{state.partition('.')[2]}.count_down", {}, 2),
                (f"reflex___state____state.{state.partition('.')[2]}.add", {"name": "Zoë 🎈"}, 1),
            ):
                event = {"name": name, "payload": payload, "router_data": router, "token": "a-token"}
                await client.emit("event", event, namespace=namespace)
                seen += [without_headers(*await arrived(updates)) for _ in range(expected)]
        finally:
            await client.close()
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
            seen.append((await http.get("/ping")).text)
        return seen

    line = ["-m", "uvicorn", "--factory", "counter.counter:app", "--host", "127.0.0.1", "--port", "$PORT"]
    env = {"__REFLEX_SKIP_COMPILE": "true", "REFLEX_TELEMETRY_ENABLED": "false"}
    seen = await with_both(check, "reflex", tmp_path, line, env)
    assert "Zoë" in json.loads(seen[-2])["delta"][state]["names_rx_state_"][0]


# FastAPI: fastapi-socketio, and the shapes of Open WebUI and InvokeAI


def uvicorn(module: str, *arguments: str) -> list[str]:
    return ["-m", "uvicorn", f"{module}:app", "--host", "127.0.0.1", "--port", "$PORT", *arguments]


@pytest.mark.parametrize("mode", MODES)
async def test_an_application_of_fastapi_socketio(mode: str, tmp_path: Path) -> None:
    async def check(server: Server) -> list[Any]:
        path = {"mode": mode, "socketio_path": "/ws/socket.io"}
        async with connected(server.url, **path) as one, connected(server.url, **path) as two:
            joined, told, left = (one.arrivals(event) for event in ("joined", "told", "left"))
            names = {one.socket.get_sid(): "one", two.socket.get_sid(): "two"}
            seen: list[Any] = [await client.call("join", "a room") for client in (one, two)]
            seen += [names[(await arrived(joined))[0]["sid"]] for _ in range(2)]
            two.answer("question", lambda data: {"answer to": data["text"]})
            seen += [await two.call("ask", text) for text in ("first", "second")]
            async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
                seen += [(await http.get("/")).json(), (await http.post("/tell/a room?text=hello")).json()]
                seen += [(await http.get("/ws/elsewhere")).status_code]
            seen.append(await arrived(told))
            await one.emit("leave", "a room")
            seen.append(await arrived(left))
        return seen

    seen = await with_both(check, "fastapi", tmp_path, uvicorn("manager"), {"SOCKETIO_PATH": "/ws/socket.io"})
    by_default = await with_one("asyncsock", check, "fastapi", tmp_path / "default", uvicorn("manager"))
    assert by_default == seen
    assert seen[:6] == [
        "welcome",
        "welcome",
        "one",
        "two",
        [{"answer to": "first"}, 1],
        [{"answer to": "second"}, 2],
    ]


@pytest.mark.parametrize("mode", ["polling", "websocket"])
@pytest.mark.parametrize("redis", [False, True], ids=["one process", "redis"])
async def test_a_workspace_in_the_shape_of_open_webui(mode: str, redis: bool, tmp_path: Path) -> None:
    async def check(server: Server) -> list[Any]:
        path = {"mode": mode, "socketio_path": "/ws/socket.io"}
        ann, ben = Client(server.url, mode=mode), Client(server.url, mode=mode)
        names = ("connected", "events:channel", "ydoc:document:update", "unknown", "left")
        welcome, channel, update, unknown, left = (ann.arrivals(name) for name in names)
        try:
            await ann.connect(socketio_path="/ws/socket.io", auth={"token": "a-token"})
            seen: list[Any] = [await arrived(welcome)]
            await ben.connect(socketio_path="/ws/socket.io", headers={"X-Agent": "an agent"})
            seen.append(await ben.call("user-join", {"auth": {"token": "b-token"}}))
            seen.append([await client.call("join-channels", {"id": "x"}) for client in (ann, ben)])
            await ben.emit("events:channel", {"id": "x", "data": {"type": "typing"}})
            await ben.emit("events:channel", {"id": "y", "data": {"type": "typing"}})
            seen.append(await arrived(channel))
            await ben.emit("ydoc:document:update", {"user": "ann", "update": b"\x00\x01\xff"})
            seen.append(await arrived(update))
            await ann.emit("no such event", 1, "two")
            seen.append(await arrived(unknown))
            ann.answer("events", lambda data: {"done": data["type"]})
            seen.append(await ann.call("ask-tool", {}))
            seen.append(await ben.call("ask-tool", {"timeout": 0.2}))
            async with connected(server.url, **path) as stranger:
                gone = stranger.arrivals("disconnect")
                await stranger.emit("user-join", {"auth": {"token": "no token"}})
                await arrived(gone)
                seen.append(await arrived(left))
            await ben.disconnect()
            seen.append(await arrived(left))
        finally:
            for client in (ann, ben):
                await client.close()
        return seen

    env = {"WEBSOCKETS": "1" if mode == "websocket" else "0"}
    if not redis:
        seen = await with_both(check, "fastapi", tmp_path, uvicorn("workspace"), env)
    else:
        with Redis() as broker:
            seen = await with_both(
                check, "fastapi", tmp_path, uvicorn("workspace"), {**env, "REDIS": broker.url}
            )
    assert seen[0] == ({"path": "/ws/socket.io/"},)
    assert seen[4] == ({"update": [0, 1, 255]},)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("base", ["", "/invoke"])
async def test_pictures_in_the_shape_of_invokeai(mode: str, base: str, tmp_path: Path) -> None:
    async def check(server: Server) -> list[Any]:
        path = {"mode": mode, "socketio_path": f"{base}/ws/socket.io"}
        seen: list[Any] = []
        with pytest.raises(socketio.exceptions.ConnectionError) as refused:
            async with connected(server.url, **path, auth={"token": "nobody"}):
                pass
        seen.append(str(refused.value))
        headers = {"Authorization": "Bearer ann"}
        async with connected(server.url, **path, auth={"token": "admin"}) as admin:
            steps, left = admin.arrivals("progress"), admin.arrivals("user_left")
            async with connected(server.url, **path, headers=headers) as ann:
                progress, gone = ann.arrivals("progress"), ann.arrivals("disconnect")
                await ann.emit("subscribe_queue", {"queue_id": "default"})
                async with httpx.AsyncClient(
                    base_url=server.url + base, trust_env=False, timeout=WAIT
                ) as http:
                    for step in (1, 2):
                        seen.append((await http.post(f"/progress/default/ann/{step}")).json())
                        seen += [await arrived(progress), await arrived(steps)]
                    seen.append((await http.delete("/users/ann")).status_code)
                seen.append(await arrived(gone))
            seen.append(await arrived(left))
            seen.append([steps.qsize(), progress.qsize()])
        return seen

    seen = await with_both(check, "fastapi", tmp_path, uvicorn("pictures"), {"BASE": base})
    assert seen[-1] == [0, 0]
