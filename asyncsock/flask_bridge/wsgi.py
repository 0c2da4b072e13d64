"""A WSGI application (a Flask app) served over ASGI: each request in a thread, bodies streamed both ways."""

from __future__ import annotations

from ..engine.http import ASGI, Receive, Scope, Send
from ..engine.tally import Tally
from ..uvicorn.whole_request import WholeRequest
from .thread_calls import CallPool
from .view_request import ViewRequest
from .wsgi_extensions import WsgiCallable

VIEW_THREADS = 64


class WsgiApp:
    """An ASGI application that runs a WSGI application in a pool of threads.

    Args:
        wsgi_app: the WSGI callable, such as a Flask app.
        threads: the most requests that run at once; a streamed response occupies its thread until it ends.
            Further requests wait for a free thread. Threads are made as they are needed.

    Attributes:
        answered: How many requests were answered, by the status.

    Example:
        asgi = WsgiApp(flask_app, threads=100)
    """

    def __init__(self, wsgi_app: WsgiCallable, threads: int = VIEW_THREADS) -> None:
        self.wsgi_app = wsgi_app
        self.pool = CallPool(threads, "asyncsock-view")
        self.answered = Tally()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            successor = await self.serve(scope, receive, send)
            if successor is not None:
                await successor(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.refuse(receive, send)
        else:
            raise ValueError(f"WsgiApp serves HTTP only, not the ASGI scope type {scope['type']!r}")

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> ASGI | None:
        """Serve an HTTP request, or return the ASGI application that it is handed over to."""
        request = ViewRequest(self.wsgi_app, self.pool.exchange(), self.answered, scope)
        request.start()
        return await request.serve(receive, send)

    def begin_whole_request(self, whole: WholeRequest) -> ViewRequest | None:
        """Begin to answer a request without ASGI; None if there are no threads."""
        request = ViewRequest(self.wsgi_app, self.pool.exchange(), self.answered, whole.scope, whole)
        try:
            request.start()
        except RuntimeError:
            return None
        return request

    async def refuse(self, receive: Receive, send: Send) -> None:
        """Refuse a WebSocket, which WSGI cannot serve."""
        await receive()
        await send({"type": "websocket.close"})

    def close(self) -> None:
        """Let idle threads end. Requests that are running go on; new ones fail."""
        self.pool.shutdown(wait=False)
