"""A small OpenID provider on this machine: whoever comes is signed in at once as the person who is set."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "seminar"


class Provider(ThreadingHTTPServer):
    """Serves until `shutdown`; `claims` are told of whoever signs in."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.key = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
        self.claims: dict[str, Any] = {}
        self.nonce = ""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def id_token(self) -> str:
        """Who has signed in, signed."""
        now = int(time.time())
        facts = {"iss": self.address, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 600, "nonce": self.nonce}
        return jwt.encode({"alg": "RS256", "kid": "one"}, facts | self.claims, self.key)


class Handler(BaseHTTPRequestHandler):
    """Discovery, keys, and the two steps of the code flow."""

    server: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.server.nonce = asked.get("nonce", "")
            self.send_response(302)
            back = urlencode({"code": "once", "state": asked["state"]})
            self.send_header("Location", f"{asked['redirect_uri']}?{back}")
            self.end_headers()
        elif parts.path == "/keys":
            self.answer({"keys": [self.server.key.as_dict(private=False)]})
        else:
            of = self.server.address
            self.answer(
                {
                    "issuer": of, "authorization_endpoint": f"{of}/authorize", "token_endpoint": f"{of}/token",
                    "jwks_uri": f"{of}/keys", "response_types_supported": ["code"],
                    "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
                }
            )  # fmt: skip

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(
            {"access_token": "a", "token_type": "Bearer", "expires_in": 600, "id_token": self.server.id_token()}
        )

    def answer(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
