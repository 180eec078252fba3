"""An OpenID provider on loopback: discovery and keys over real HTTP, and tokens signed by those keys."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from app.embedded.ports import free_port

AUDIENCE = "alga-tenants"
DISCOVERY = "/.well-known/openid-configuration"
CERTS = "/certs"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Answer = Callable[[BaseHTTPRequestHandler], None]


def new_key(algorithm: str = "ES256", *, bits: int = 2048) -> PrivateKey:
    """A private key that makes such signatures."""
    curves: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def published(key: PrivateKey, algorithm: str, **members: Any) -> dict[str, Any]:
    """The public part as a JSON Web Key."""
    document: dict[str, Any] = json.loads(get_default_algorithms()[algorithm].to_jwk(key.public_key()))
    document.pop("key_ops", None)
    return document | {"use": "sig", "alg": algorithm} | members


class OpenIdServer:
    """Serves while its block runs, and again after `stop` and `start`; counts what it is asked.

    `keys` are what it publishes, by key id; `answers` replace what it says at a path.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}/realms/alga"
        self.asked: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.key_id = ""
        self.algorithm = "ES256"
        self._private: PrivateKey = new_key()
        self.rotate()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/realms/alga")
                provider.asked.append(path)
                provider.answers.get(path, provider._answer)(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="openid")
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = None

    def rotate(self, algorithm: str = "ES256", *, keep: bool = True) -> None:
        """Sign with a new key from now on."""
        self.algorithm, self.key_id, self._private = algorithm, f"key-{uuid4().hex[:8]}", new_key(algorithm)
        document = published(self._private, algorithm, kid=self.key_id)
        self.keys = {**(self.keys if keep else {}), self.key_id: document}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good token; a change to None leaves one out."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "service-1",
            "iat": now,
            "exp": now + 300,
            "scope": "tenants:read tenants:create",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A token of such claims, signed with the newest key; the header is added to and replaces parts of ours."""
        headers = {"kid": self.key_id, **(header or {})}
        return jwt.encode(self.claims(**changes), self._private, self.algorithm, headers=headers)

    def number_asked(self, path: str) -> int:
        return self.asked.count(path)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.removeprefix("/realms/alga")
        documents: dict[str, Any] = {
            DISCOVERY: {"issuer": self.issuer, "jwks_uri": self.issuer + CERTS},
            CERTS: {"keys": list(self.keys.values())},
        }
        if path in documents:
            send(request, json.dumps(documents[path]).encode())
        else:
            send(request, b"{}", status=404)


def send(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """Answer the request."""
    request.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
