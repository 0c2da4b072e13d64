"""The floor: accepts the load's clients and does one ``send()`` system call for each per broadcast.

It speaks just enough of WebSocket and Engine.IO for the load generator to take it for a server.
"""

from __future__ import annotations

import os
import select
import socket

OPEN = b'0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def frame(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else bytes((0x81, 126)) + size.to_bytes(2, "big")
    return head + payload


def unmask(data: bytes) -> bytes:
    """The payload of the one small frame that the load sends."""
    size = data[1] & 127
    return bytes(byte ^ data[2 + i % 4] for i, byte in enumerate(data[6 : 6 + size]))


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=4096)
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    message = frame(b'42["msg",{"data":"' + b"x" * 100 + b'"}]')
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                epoll.register(client, select.EPOLLIN)
                continue
            client = clients[fd]
            try:
                data = client.recv(65536)
            except ConnectionError:
                data = b""
            if data[:4] == b"GET ":
                client.send(SWITCH + frame(OPEN))
            elif not data or data[0] & 15 == 8:
                epoll.unregister(fd)
                clients.pop(fd).close()
            elif (text := unmask(data)) == b"40":
                client.send(frame(b'40{"sid":"floor"}'))
            elif text.startswith(b'42["go",'):
                batch = message * int(text[8:-1])
                for each in clients.values():
                    each.send(batch)


main()
