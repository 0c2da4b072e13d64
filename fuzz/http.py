"""HTTP: mutated heads and bodies, pipelined, to the connections that the server has of its own."""

from __future__ import annotations

import asyncio
import json
import re
from random import Random

from fuzz.mutations import Finding, mutated, pieces
from fuzz.servers import Target
from soak.link import Gone, Link, request
from tests.support.raw_clients import upgrade_request

POLLING = "/socket.io/?EIO=4&transport=polling"
HEADERS = (
    *(
        b"",
        b"",
        b"Connection: close\r\n",
        b"Connection: keep-alive, Upgrade\r\n",
        b"Expect: 100-continue\r\n",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 99999999999\r\n",
        b"Host: b\r\n",
    ),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Upgrade: h2c\r\n"),
    *(
        b"X-Forwarded-For: 1.2.3.4, [::1\r\n",
        b"Origin: http://a:99999\r\n",
        b"Cookie: \xff=\xfe\r\n",
        b" folded\r\n",
    ),
    *(
        b"Accept-Encoding: gzip\r\n",
        b"X: " + b"y" * 20_000 + b"\r\n",
        b"Content-Type: text/plain;charset=x\r\n",
    ),
)
CHUNKED = (
    b"5\r\n42[1]\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"5;a=b\r\n40\x1e40\r\n0\r\nT: 1\r\n\r\n",
    b"fffffffff\r\n",
)


def one_request(random: Random, sid: str) -> bytes:
    """A request, often a valid one."""
    path = random.choice(
        (POLLING, f"{POLLING}&sid={sid}", f"{POLLING}&sid=x", "/", "/socket.io/", "/%0a", "*")
    )
    kind = random.randrange(6)
    if kind == 0:
        data = upgrade_request(
            "/socket.io/", random.choice(({}, {"sid": sid}, {"EIO": "3"}, {"transport": "polling"}))
        )
    elif kind == 1:
        data = request("POST", path, random.choice((b"40", b"42[1]", b"3\x1e3", b"\xff", b"", b"x" * 3000)))
    elif kind == 2:
        head = request("POST", path).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        data = head + random.choice(CHUNKED)
    else:
        data = request(random.choice(("GET", "GET", "HEAD", "OPTIONS", "PUT", "get", "PRI")), path)
    head, blank, body = data.partition(b"\r\n\r\n")
    data = head + b"\r\n" + random.choice(HEADERS) + blank[2:] + body
    return mutated(random, data) if random.random() < 0.6 else data


async def one(target: Target, seed: str) -> bytes:
    """One case: a connection with some requests, in pieces, and what is answered to them; what it has sent.

    Raises:
        Finding: an answer is none, or the server does not end the connection.
    """
    random = Random(seed)
    opening = await Link.open(target.port)
    sid: str = json.loads((await opening.request("GET", POLLING))[1][1:])["sid"]
    data = b"".join(one_request(random, sid) for _ in range(random.choice((1, 1, 2, 4))))
    link = await Link.open(target.port)
    try:
        for piece in pieces(random, data):
            await link.write(piece)
            await asyncio.sleep(0)
        link.writer.write_eof()
        answers = await asyncio.wait_for(link.reader.read(), 20)
    except (Gone, ConnectionError, OSError):
        answers = b""
    except asyncio.TimeoutError:
        raise Finding("the connection stays open though the client has ended its side", data) from None
    finally:
        link.reset()
        await opening.write(request("POST", f"{POLLING}&sid={sid}", b"1"))
        await opening.answer()
        opening.close()
    judge(answers, data)
    return data


def judge(answers: bytes, data: bytes) -> None:
    """See that what came back begins as an answer does, and that no answer is a server's error."""
    if answers and not answers.startswith(b"HTTP/1.1 "):
        raise Finding(f"the answer begins with {answers[:60]!r}", data)
    statuses = re.findall(rb"HTTP/1\.1 (\d\d\d) ", answers)
    if any(status >= b"500" and status not in (b"501", b"505") for status in statuses):
        raise Finding(f"a request was answered with {statuses}", data)
