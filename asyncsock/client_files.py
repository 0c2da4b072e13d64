"""The JavaScript client of Socket.IO, served from an installed npm package as Node's server does.

The package is the application's own: nothing of it comes with this one.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .engine.http import Headers, Message, Receive, Scope, Send, accepts_gzip, answer
from .static_files import HeadOnly

# The builds that the package has, by the names that Node's server gives them too.
BUILDS = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")
NAMES = {name + end for name in BUILDS for end in ("", ".map")}
PACKAGE = Path("node_modules", "socket.io-client", "dist")
REMEDY = (
    "run `npm install socket.io-client` in the application's folder, or have the page load "
    "https://cdn.socket.io/4.8.3/socket.io.min.js"
)
MISSING = f"The JavaScript client of Socket.IO is not installed here: {REMEDY}\n".encode()
METHODS = ("GET", "HEAD")
logger = logging.getLogger("asyncsock.server")
SCRIPT, MAP = b"application/javascript; charset=utf-8", b"application/json; charset=utf-8"


@dataclass
class _File:
    """A file as it was when it was first asked for."""

    body: bytes
    gzipped: bytes
    etag: bytes


class ClientFiles:
    """An ASGI application that serves the builds of the client and their source maps, by their names.

    Args:
        option: True: the package is looked for as Node does, in ``node_modules`` of each of `places` and of
            the folders above. Or the path of a folder with these files, or of one of them, which then is
            ``socket.io.js`` whatever its name; the others are looked for beside it.

    Attributes:
        places: Where the search begins; the current folder is the first of them.

    Raises:
        FileNotFoundError: There is nothing at the path.
    """

    def __init__(self, option: Literal[True] | str | os.PathLike[str]) -> None:
        self.places = [Path.cwd()]
        self._folder: Path | None = None
        self._main: Path | None = None
        self._files: dict[str, _File] = {}
        if option is True:
            return
        path = Path(option).absolute()
        if path.is_dir():
            self._folder = path
        elif path.is_file():
            self._folder, self._main = path.parent, path
        else:
            raise FileNotFoundError(f"serve_client: there is no file {str(path)!r}")

    def find(self) -> Path | None:
        """The folder of the files; None while there is none."""
        if self._folder is None:
            folders = (above for place in self.places for above in (place, *place.parents))
            self._folder = next((folder / PACKAGE for folder in folders if (folder / PACKAGE).is_dir()), None)
        return self._folder

    def check(self) -> None:
        """Say in the log if there are none."""
        if self.find() is None:
            logger.warning("serve_client: the JavaScript client is not installed: %s", REMEDY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] not in METHODS:
            await answer(send, 405, b"Method Not Allowed\n", [(b"allow", ", ".join(METHODS).encode())])
            return
        if scope["method"] == "HEAD":
            send = HeadOnly(send)
        name = scope["path"].rpartition("/")[2]
        file = self._files.get(name) or await asyncio.to_thread(self._read, name)
        if file is None:
            await answer(send, 404, b"Not Found\n" if self.find() else MISSING, [])
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        start: Headers = [(b"etag", file.etag), (b"cache-control", b"public, max-age=0")]
        if _has(headers.get(b"if-none-match", b""), file.etag):
            await _respond(send, 304, b"", start)
            return
        body = file.body
        if accepts_gzip(headers.get(b"accept-encoding", b"").decode("latin-1")):
            body = file.gzipped
            start.append((b"content-encoding", b"gzip"))
        start += [
            (b"vary", b"accept-encoding"),
            (b"content-type", MAP if name.endswith(".map") else SCRIPT),
            (b"content-length", str(len(body)).encode()),
        ]
        await _respond(send, 200, body, start)

    def _read(self, name: str) -> _File | None:
        """A file, which is kept: there are eight, with about a megabyte."""
        folder = self.find()
        if folder is None:
            return None
        path = self._main if self._main is not None and name == BUILDS[0] else folder / name
        try:
            body = path.read_bytes()
        except OSError:
            return None
        digest = hashlib.sha256(body).hexdigest()[:20]
        # Weak, as it is the same for the file and for what it is compressed to.
        file = _File(body, gzip.compress(body), f'W/"{digest}"'.encode())
        self._files[name] = file
        return file


def _has(asked: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match header names a tag."""
    tags = {tag.strip().removeprefix(b"W/") for tag in asked.split(b",")}
    return b"*" in tags or etag.removeprefix(b"W/") in tags


async def _respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
