"""What stands between the network and the app: known hosts, own origins, no frames of others, no metrics.

Streamlit's `server.allowedHosts` guards its WebSocket; this ASGI middleware holds every request to the same list, so
that a name that was made to point here (DNS rebinding) reads nothing, and refuses WebSockets that a page of another
origin opens, another port of this machine among them. See SECURITY.md.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

CLOSED = ("/_stcore/metrics",)
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class Guard:
    """ASGI middleware before everything that Streamlit serves."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host")
        if scope["type"] == "websocket":
            if not (is_host_allowed(host) and own_origin(headers.get("origin"), host)):
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        if not is_host_allowed(host):
            words = (
                f"This server does not answer to the name {host!r}. Start it with --server.allowedHosts to add a name."
            )
            await PlainTextResponse(words, 421)(scope, receive, send)
            return
        if scope["path"].rstrip("/").endswith(CLOSED):
            await PlainTextResponse("not found", 404)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, with_headers)


def own_origin(origin: str | None, host: str | None) -> bool:
    """Whether a page of `origin` may open a WebSocket: this server's own, or one of `server.corsAllowedOrigins`.

    A client that is no browser sends none.
    """
    if origin is None or urlsplit(origin).netloc == host:
        return True
    return origin in config.get_option("server.corsAllowedOrigins")
