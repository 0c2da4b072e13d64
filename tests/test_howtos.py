"""The programs of the how-tos do what the pages say: authentication, jobs, files and tests."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from flask import Flask
from socketio.exceptions import ConnectionError

from asyncsock import SocketIO
from tests.support.brokers import Redis
from tests.support.document_programs import blocks, write_files
from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.server_process import ROOT, Server
from tests.support.started_programs import environment, started
from tests.test_js_clients import require_clients

TIMEOUT = 30


def page(name: str) -> str:
    return (ROOT / "docs" / "howto" / name).read_text()


def first_line(name: str, file: str) -> str:
    """The command that the first line of a program says."""
    (code,) = [code for code in blocks(page(name), "python") if code.startswith(f"# {file} ")]
    return code.splitlines()[0].removeprefix(f"# {file}").strip()


@contextmanager
def program(name: str, file: str, folder: Path, *, text: str | None = None, **env: str) -> Iterator[Server]:
    """A program of a page, under the command that its first line says."""
    write_files(text or page(name), folder)
    command = first_line(name, file)
    assert command.startswith("uvicorn ")
    with started(command, folder, **env) as (_, server):
        yield server


@contextmanager
def node(file: str, folder: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    """A JavaScript program of a page, on its way."""
    require_clients("socket.io-client")
    (folder / "node_modules").symlink_to(ROOT / "tests" / "js" / "node_modules")
    process = subprocess.Popen(
        ["node", file, url], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def output_of(file: str, folder: Path, url: str) -> list[str]:
    """What a JavaScript program prints until it ends."""
    with node(file, folder, url) as process:
        output, _ = process.communicate(timeout=TIMEOUT)
    return output.splitlines()


# authentication.md


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Server]:
    with program("authentication.md", "accounts.py", tmp_path) as server:
        yield server


@contextmanager
def browser(server: Server, name: str, password: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        assert http.post("/login", data={"name": name, "password": password}).text == "welcome"
        yield http


def cookies_of(http: httpx.Client) -> dict[str, str]:
    """The headers of a page in that browser."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in http.cookies.items())}


async def test_who_is_logged_in_is_known_in_handlers(accounts: Server) -> None:
    with browser(accounts, "ada", "engine") as http:
        async with connected(accounts.url, headers=cookies_of(http)) as ada:
            assert await ada.call("who am i") == "ada"


async def refusal(url: str, headers: dict[str, str]) -> Any:
    """What a client is told whose connection is refused."""
    client = Client(url)
    told = client.arrivals("connect_error")
    with pytest.raises(ConnectionError):
        await client.connect(headers=headers)
    await client.close()
    return (await arrived(told))[0]


async def test_who_is_not_logged_in_is_refused(accounts: Server) -> None:
    assert await refusal(accounts.url, {}) == {"message": "log in first"}


async def test_logging_out_everywhere_ends_all_connections_and_all_cookies(accounts: Server) -> None:
    with (
        browser(accounts, "ada", "engine") as desk,
        browser(accounts, "ada", "engine") as phone,
        browser(accounts, "grace", "compiler") as other,
    ):
        copied = cookies_of(phone)
        async with (
            connected(accounts.url, headers=cookies_of(desk)) as at_desk,
            connected(accounts.url, headers=copied) as at_phone,
            connected(accounts.url, headers=cookies_of(other)) as grace,
        ):
            gone = [client.arrivals("disconnect") for client in (at_desk, at_phone)]
            assert desk.post("/logout-everywhere").text == "bye"
            assert [await arrived(queue) for queue in gone] == [("server disconnect",)] * 2
            assert await grace.call("who am i") == "grace"
        assert await refusal(accounts.url, copied) == {"message": "log in first"}


@pytest.mark.parametrize("kind", ["coroutine", "function"])
def test_a_decorator_lets_only_members_use_a_handler(kind: str) -> None:
    (code,) = [each for each in blocks(page("authentication.md"), "python") if "members_only" in each]
    names: dict[str, Any] = {"members": {"ada"}, "current_user": SimpleNamespace(name="ada")}
    exec(code, names)
    app = Flask(__name__)
    socketio = SocketIO(app)

    async def coroutine() -> str:
        return "in"

    def function() -> str:
        return "in"

    socketio.on("open")(names["members_only"](coroutine if kind == "coroutine" else function))
    client = socketio.test_client(app)
    assert client.emit("open", callback=True) == "in"
    names["members"].clear()
    client.emit("open")
    assert not client.is_connected()


@pytest.mark.javascript
def test_a_page_renews_its_token_when_it_has_to(tmp_path: Path) -> None:
    with program("authentication.md", "tokens.py", tmp_path) as server:
        with node("tokens.mjs", tmp_path, server.url) as process:
            assert process.stdout is not None
            said = [process.stdout.readline().strip() for _ in range(2)]
            process.kill()
    assert said == ["a new token is needed", "I am ada"]


@pytest.mark.javascript
def test_a_connection_ends_with_its_token(tmp_path: Path) -> None:
    text = page("authentication.md").replace('"TOKEN_AGE"] = 3600', '"TOKEN_AGE"] = 2')
    with (
        program("authentication.md", "tokens.py", tmp_path, text=text) as server,
        node("tokens.mjs", tmp_path, server.url) as process,
    ):
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(5)]
        process.kill()
    again = ["a new token is needed", "I am ada"]
    assert said == [*again, "io server disconnect", *again]


# background-jobs.md


async def test_a_task_and_a_thread_emit(tmp_path: Path) -> None:
    with program("background-jobs.md", "ticker.py", tmp_path) as server:
        async with connected(server.url) as client:
            ticks, disks = client.arrivals("tick"), client.arrivals("disk")
            for queue in (ticks, disks):
                ((number,), _) = [await arrived(queue) for _ in range(2)]
                assert number > 0


async def test_a_job_reports_to_one_client(tmp_path: Path) -> None:
    with program("background-jobs.md", "reports.py", tmp_path) as server:
        async with connected(server.url) as one, connected(server.url) as two:
            pages, done = one.arrivals("page"), one.arrivals("done")
            others = two.arrivals("page")
            assert await one.call("report", "sales") == "started"
            assert [await arrived(pages) for _ in range(5)] == [
                (number, f"sales, page {number}") for number in range(1, 6)
            ]
            assert await arrived(done) == ("sales",)
            assert await two.call("report", "costs") == "started"
            assert await arrived(others) == (1, "costs, page 1")


async def test_a_scheduler_emits(tmp_path: Path) -> None:
    with program("background-jobs.md", "alarm.py", tmp_path) as server:
        async with connected(server.url) as client:
            assert await arrived(client.arrivals("alarm")) == ("time for tea",)


async def test_a_celery_task_answers_the_client_that_ordered(tmp_path: Path) -> None:
    with Redis() as redis, program("background-jobs.md", "shop.py", tmp_path, REDIS=redis.url) as server:
        line = first_line("background-jobs.md", "jobs.py")
        worker = subprocess.Popen(
            [*line.split(), "-c", "1", "-l", "ERROR"],
            cwd=tmp_path,
            env=environment(REDIS=redis.url),
            start_new_session=True,
        )
        try:
            async with connected(server.url) as one, connected(server.url) as two:
                invoices, others = one.arrivals("invoice"), two.arrivals("invoice")
                assert await one.call("order", 7) == "ordered"
                assert await asyncio.wait_for(invoices.get(), TIMEOUT) == ("invoice for order 7",)
                assert others.empty()
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


# files-and-binary.md


@pytest.mark.javascript
async def test_bytes_arrive_as_bytes(tmp_path: Path) -> None:
    with program("files-and-binary.md", "pictures.py", tmp_path) as server:
        async with connected(server.url) as other:
            pictures = other.arrivals("picture")
            said = await asyncio.to_thread(output_of, "pictures.mjs", tmp_path, server.url)
            assert said == ["{ size: 4 }", "{ error: 'That is no PNG picture.' }"]
            assert await arrived(pictures) == ({"name": "dot.png", "data": b"\x89PNG"},)


async def test_what_is_larger_than_the_limit_closes_the_connection(tmp_path: Path) -> None:
    with program("files-and-binary.md", "pictures.py", tmp_path) as server:
        async with connected(server.url, mode="websocket") as client:
            gone = client.arrivals("disconnect")
            await client.emit("picture", "huge.png", bytes(5_000_001))
            await arrived(gone)
        server.wait_for_log("exceeds limit of 5000000 bytes")


async def test_a_file_from_a_form_is_told_to_all(tmp_path: Path) -> None:
    with program("files-and-binary.md", "uploads.py", tmp_path) as server:
        async with connected(server.url) as client, httpx.AsyncClient(trust_env=False) as http:
            told = client.arrivals("file")
            content = bytes(3_000_000)
            answer = await http.post(f"{server.url}/files", files={"file": ("a name", content)})
            assert answer.status_code == 204
            ((news,),) = [await arrived(told)]
            assert news["size"] == len(content)
            assert (await http.get(server.url + news["url"])).content == content


@pytest.mark.javascript
def test_a_page_sends_a_file_in_parts(tmp_path: Path) -> None:
    with program("files-and-binary.md", "uploads.py", tmp_path) as server:
        said = output_of("uploads.mjs", tmp_path, server.url)
    assert sorted(said) == sorted(["737856", "475712", "213568", "0", "there"])


async def test_more_than_was_said_is_refused(tmp_path: Path) -> None:
    with program("files-and-binary.md", "uploads.py", tmp_path) as server:
        async with connected(server.url) as client:
            assert "error" in await client.call("begin", 500_000_001)
            assert "error" in await client.call("part", b"before the beginning")
            assert await client.call("begin", 3) == {}
            assert "error" in await client.call("part", b"four")
            assert await client.call("part", b"two") == {"left": 0}


async def test_pieces_arrive_in_order(tmp_path: Path) -> None:
    with program("files-and-binary.md", "measurements.py", tmp_path) as server:
        async with connected(server.url, mode="websocket") as client:
            pieces = client.arrivals("piece")
            assert await client.call("measurements") == "all"
            numbers = [(await arrived(pieces))[0] for _ in range(100)]
            assert numbers == list(range(100))


# testing.md


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    write_files(page("testing.md"), tmp_path)
    (tmp_path / "test_fixtures.py").write_text(
        "def test_the_fixture_is_connected(client):\n    assert client.is_connected()\n"
    )
    done = subprocess.run(
        ["pytest"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "8 passed" in done.stdout, done.stdout
