"""``serve_client``: the JavaScript client from the npm package, as Node's server serves it."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest

from asyncsock import ASGIApp, AsyncServer, SocketIO
from asyncsock.client_files import BUILDS
from tests.support.asgi_in_process import Lifespan, request
from tests.support.doors import DOORS
from tests.support.required_parts import require
from tests.support.server_process import ROOT, Server, serve
from tests.support.uvicorn_in_process import running
from tests.support.worker_processes import wait_for_workers

INSTALLED = ROOT / "tests" / "js" / "node_modules" / "socket.io-client" / "dist"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An application's folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def package(folder: Path) -> Path:
    """The folder `dist` of the npm package, installed for the application."""
    require(INSTALLED.is_dir(), "npm package socket.io-client in tests/js")
    parent = folder / "node_modules" / "socket.io-client"
    parent.mkdir(parents=True)
    (parent / "dist").symlink_to(INSTALLED)
    return parent / "dist"


async def get(app: Any, name: str = "socket.io.js", **more: Any) -> Any:
    return await request(app, path=f"/socket.io/{name}", query="", **more)


def flask_app(**options: Any) -> ASGIApp:
    return SocketIO(flask.Flask(__name__), **options).asgi_app


@pytest.mark.parametrize("name", [name + end for name in BUILDS for end in ("", ".map")])
async def test_each_build_and_its_source_map_are_served(package: Path, name: str) -> None:
    answer = await get(flask_app(serve_client=True), name)
    assert (answer.status, answer.body) == (200, (INSTALLED / name).read_bytes())
    kind = "json" if name.endswith(".map") else "javascript"
    assert answer.headers["content-type"] == f"application/{kind}; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=0"


async def test_without_the_option_it_is_not_served_and_the_log_names_the_option(
    package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await get(flask_app())).status == 400
    assert "serve_client=True" in caplog.text


async def test_a_bare_server_serves_it_too(package: Path) -> None:
    answer = await get(ASGIApp(AsyncServer(serve_client=True)))
    assert answer.body == (INSTALLED / "socket.io.js").read_bytes()


async def test_the_package_is_found_beside_the_application_and_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "site" / "package" / "app.py"
    module.parent.mkdir(parents=True)
    module.touch()
    (tmp_path / "site" / "node_modules" / "socket.io-client" / "dist").mkdir(parents=True)
    (tmp_path / "site" / "node_modules" / "socket.io-client" / "dist" / "socket.io.js").write_text("client")
    monkeypatch.chdir("/")
    socketio = SocketIO(flask.Flask("package", root_path=str(module.parent)), serve_client=True)
    assert (await get(socketio.asgi_app)).text == "client"


async def test_a_folder_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "socket.io.min.js").write_text("small")
    app = flask_app(serve_client=tmp_path)
    assert (await get(app, "socket.io.min.js")).text == "small"
    assert (await get(app, "socket.io.js")).status == 404


async def test_a_file_may_be_given_and_is_the_main_one(tmp_path: Path) -> None:
    (tmp_path / "socket.io.min.js").write_text("small")
    (tmp_path / "secret.txt").write_text("secret")
    app = flask_app(serve_client=str(tmp_path / "socket.io.min.js"))
    answer = await get(app)
    assert (answer.status, answer.text) == (200, "small")
    assert (await get(app, "socket.io.min.js")).text == "small"
    assert (await get(app, "secret.txt")).status == 400


async def test_it_follows_the_path_of_the_server(package: Path) -> None:
    for option in ("path", "resource"):
        app = flask_app(serve_client=True, **{option: "/chat/io"})
        assert (await request(app, path="/chat/io/socket.io.js", query="")).status == 200
        assert (await get(app)).status == 404


async def test_it_is_found_below_a_root_path(package: Path) -> None:
    app = flask_app(serve_client=True)
    answer = await request(app, path="/api/socket.io/socket.io.js", query="", root_path="/api")
    assert answer.status == 200


async def test_it_is_found_where_middleware_has_changed_the_path(package: Path) -> None:
    app = flask.Flask(__name__)
    socketio = SocketIO(app, serve_client=True)
    inner = app.wsgi_app

    def shift(environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/below")
        return inner(environ, start_response)

    app.wsgi_app = shift  # type: ignore[method-assign]
    answer = await request(socketio.asgi_app, path="/below/socket.io/socket.io.js", query="")
    assert answer.body == (INSTALLED / "socket.io.js").read_bytes()


async def test_the_second_request_is_answered_with_304(package: Path) -> None:
    app = flask_app(serve_client=True)
    etag = (await get(app)).headers["etag"]
    for header in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        again = await get(app, headers={"If-None-Match": header})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert (await get(app, headers={"If-None-Match": '"other"'})).status == 200


async def test_it_is_compressed_for_who_accepts_that(package: Path) -> None:
    app = flask_app(serve_client=True)
    answer = await get(app, headers={"Accept-Encoding": "br, gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == (INSTALLED / "socket.io.js").read_bytes()
    assert "content-encoding" not in (await get(app, headers={"Accept-Encoding": "gzip;q=0"})).headers


async def test_a_head_request_has_the_length_and_no_body(package: Path) -> None:
    answer = await get(flask_app(serve_client=True), method="HEAD")
    size = (INSTALLED / "socket.io.js").stat().st_size
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(size))


async def test_another_method_is_refused(package: Path) -> None:
    answer = await get(flask_app(serve_client=True), method="POST")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_path_with_nothing_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"serve_client.*none.js"):
        SocketIO(flask.Flask(__name__), serve_client=str(tmp_path / "none.js"))


async def test_without_the_package_the_answer_and_one_log_line_say_how_to_get_it(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = flask_app(serve_client=True)
    lifespan = Lifespan(app)
    await lifespan.startup()
    for _ in range(3):
        answer = await get(app)
        assert answer.status == 404
        assert "npm install socket.io-client" in answer.text
        assert "https://cdn.socket.io/" in answer.text
    (line,) = [each for each in caplog.messages if "npm install" in each]
    assert "https://cdn.socket.io/" in line
    await lifespan.shutdown()


async def test_a_package_that_is_installed_later_is_found(folder: Path) -> None:
    app = flask_app(serve_client=True)
    assert (await get(app)).status == 404
    dist = folder / "node_modules" / "socket.io-client" / "dist"
    dist.mkdir(parents=True)
    (dist / "socket.io.js").write_text("client")
    assert (await get(app)).text == "client"


@pytest.mark.parametrize("door", DOORS)
async def test_every_door_of_uvicorn_serves_it(package: Path, door: str) -> None:
    async with (
        running(flask_app(serve_client=True), **DOORS[door]) as local,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{local.port}", trust_env=False) as http,
    ):
        answer = await http.get("/socket.io/socket.io.js")
        assert answer.content == (INSTALLED / "socket.io.js").read_bytes()
        headers = {"If-None-Match": answer.headers["etag"]}
        assert (await http.get("/socket.io/socket.io.js", headers=headers)).status_code == 304


PAGES = """
from flask import Flask
from asyncsock import SocketIO

app = Flask(__name__)
SocketIO(app, serve_client=True).on("hi")(lambda: "answered")
SocketIO(app, serve_client=True, path="packed", serializer="msgpack").on("hi")(lambda: "answered in msgpack")
asgi = app.extensions["socketio"].asgi_app
END = 'socket.emit("hi", (answer) => { document.title = answer; });</script>'


@app.get("/module")
def module():
    build = "/socket.io/socket.io.esm.min.js"
    return f'<script type="module">import {{ io }} from "{build}"; const socket = io(); {END}'


@app.get("/page/<folder>/<name>")
def page(folder, name):
    begin = f'<script src="/{folder}/{name}"></script><script>const socket = io({{ path: "/{folder}" }});'
    return begin + END
"""


@pytest.mark.browser
def test_pages_use_each_build(package: Path, folder: Path) -> None:
    for part in ("node", "chromium"):
        require(shutil.which(part), part)
    browser = ROOT / "tests" / "browser"
    require((browser / "node_modules" / "playwright-core").is_dir(), "npm package playwright-core")
    (folder / "served_pages.py").write_text(PAGES)
    paths = ["page/socket.io/socket.io.js", "page/socket.io/socket.io.min.js", "module"]
    paths.append("page/packed/socket.io.msgpack.min.js")
    with serve("served_pages:asgi", args=["--app-dir", str(folder)]) as server:
        done = subprocess.run(
            ["node", "client_files.mjs", *(f"{server.url}/{path}" for path in paths)],
            cwd=browser,
            env={**os.environ, "CHROMIUM": str(shutil.which("chromium"))},
            capture_output=True,
            text=True,
            timeout=50,
        )
    assert done.stdout.splitlines() == ["answered"] * 3 + ["answered in msgpack"], done.stderr


PROGRAM = """
from flask import Flask
from asyncsock import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, serve_client=True)
asgi = socketio.asgi_app
"""


def answers(server: Server) -> list[httpx.Response]:
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        return [http.get("/socket.io/socket.io.js") for _ in range(4)]


@pytest.mark.parametrize("server", ["hypercorn", "granian"])
def test_other_servers_serve_it(package: Path, folder: Path, server: str) -> None:
    (folder / "served_program.py").write_text(PROGRAM)
    paths = {"PYTHONPATH": f"{ROOT}:{folder}"}
    with serve("served_program:asgi", server=server, env=paths) as running_server:
        for answer in answers(running_server):
            assert answer.content == (INSTALLED / "socket.io.js").read_bytes()


def test_all_workers_serve_it_with_one_tag(package: Path, folder: Path) -> None:
    (folder / "served_program.py").write_text(PROGRAM)
    args = ["--app-dir", str(folder), "--workers", "2"]
    with serve("served_program:asgi", args=args) as server:
        wait_for_workers(server, 2, "Application startup complete")
        assert len({answer.headers["etag"] for answer in answers(server)}) == 1


def test_nodes_server_gives_the_same_file_by_the_same_name(package: Path) -> None:
    socket_io = ROOT / "tests" / "browser" / "node_modules" / "socket.io"
    require(shutil.which("node"), "node")
    require(socket_io.is_dir(), "npm package socket.io in tests/browser")
    script = """
        const { Server } = require("socket.io");
        const server = require("http").createServer();
        new Server(server);
        server.listen(0, "127.0.0.1", async () => {
            const url = `http://127.0.0.1:${server.address().port}/socket.io/socket.io.js`;
            const answer = await fetch(url, { headers: { "accept-encoding": "identity" } });
            const names = ["content-type", "cache-control"];
            console.log(JSON.stringify(names.map((name) => answer.headers.get(name))));
            process.exit();
        });
    """
    done = subprocess.run(
        ["node", "-e", script], cwd=socket_io.parents[1], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.strip() == '["application/javascript; charset=utf-8","public, max-age=0"]', done.stderr
