"""The server behind its guard, asked as a hostile page would ask it."""

from __future__ import annotations

import base64
import http.client
import os
from urllib.parse import urlsplit

import pytest


def ask(address: str, path: str, **headers: str) -> http.client.HTTPResponse:
    """One GET with these headers."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()


def websocket(address: str, **headers: str) -> int:
    """The status that answers an attempt to open the app's WebSocket: 101 is open."""
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    return ask(address, "/_stcore/stream", **upgrade, **headers).status


@pytest.mark.parametrize("path", ["/", "/life", "/_stcore/health", "/_stcore/host-config"])
def test_a_foreign_host_name_reads_nothing(app_url, path):
    answer = ask(app_url, path, Host="evil.example")
    assert answer.status == 421 and b"does not answer to the name 'evil.example'" in answer.read()


def test_a_websocket_opens_for_its_own_page_alone(app_url):
    host = urlsplit(app_url).netloc
    assert websocket(app_url, Origin=f"http://{host}") == 101
    assert websocket(app_url) == 101  # no browser, no origin
    assert websocket(app_url, Origin="http://evil.example") == 403
    assert websocket(app_url, Origin="http://127.0.0.1:9") == 403  # another port of this machine
    assert websocket(app_url, Host="evil.example", Origin="http://evil.example") == 403  # rebound


def test_no_other_page_may_frame_it_and_metrics_are_closed(app_url):
    answer = ask(app_url, "/")
    assert answer.status == 200
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert ask(app_url, "/_stcore/metrics").status == 404


def test_localhost_is_a_known_name(app_url):
    assert ask(app_url, "/_stcore/health", Host=f"localhost:{urlsplit(app_url).port}").status == 200
