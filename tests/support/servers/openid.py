"""An OpenID provider on loopback: discovery and keys over real HTTP, and tokens signed with those keys."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from app.embedded.processes.ports import free_port
from tests.support.certificates import Authority

AUDIENCE = "alga-tenants"
DISCOVERY = "/.well-known/openid-configuration"
CERTS = "/certs"
AUTHORIZATION = "/auth"
TOKEN = "/token"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
Respond = Callable[[BaseHTTPRequestHandler], None]


def new_key(algorithm: str = "ES256", *, bits: int = 2048) -> PrivateKey:
    """Return a private key for such signatures."""
    curves: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def published(key: PrivateKey, algorithm: str, **members: Any) -> dict[str, Any]:
    """Return the public part as a JSON Web Key."""
    return _as_jwk(key.public_key(), algorithm, **members)


def _as_jwk(key: PrivateKey | PublicKey, algorithm: str, **members: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(get_default_algorithms()[algorithm].to_jwk(key))
    document.pop("key_ops", None)
    return document | {"use": "sig", "alg": algorithm} | members


class OpenIdServer:
    """Serves in its `with` block, and again after `stop` and `start`; records the requested paths.

    `keys` are the published keys by key id; `responses` replace the response at a path.
    """

    def __init__(self, certificate_in: Path | None = None) -> None:
        """With a folder for its certificate, it speaks TLS; `ca_file` is the authority that clients have to trust."""
        self.port = free_port()
        authority = Authority(certificate_in) if certificate_in is not None else None
        self.ca_file = authority.file if authority is not None else None
        self._certificate = authority.issue("127.0.0.1") if authority is not None else None
        scheme = "http" if authority is None else "https"
        self.issuer = f"{scheme}://127.0.0.1:{self.port}/realms/alga"
        self.asked: list[str] = []
        self.responses: dict[str, Respond] = {}
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
                provider.responses.get(path, provider._respond)(self)

            do_POST = do_GET  # noqa: N815 - the base class's name

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate.certificate, self._certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="openid")
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = None

    def public_key(self) -> PublicKey:
        """Return the public part of the newest key."""
        return self._private.public_key()

    def rotate(self, algorithm: str = "ES256", *, keep: bool = True, bits: int = 2048) -> None:
        """Sign with a new key from now on; with `keep` the others stay published."""
        self.algorithm, self.key_id = algorithm, f"key-{uuid4().hex[:8]}"
        self._private = new_key(algorithm, bits=bits)
        document = published(self._private, algorithm, kid=self.key_id)
        self.keys = {**(self.keys if keep else {}), self.key_id: document}

    def publish_private_key(self) -> None:
        """Publish the private part of the newest key, as a careless provider might."""
        self.keys[self.key_id] = _as_jwk(self._private, self.algorithm, kid=self.key_id)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a valid token; a change to None removes one."""
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
        """Return a token with such claims."""
        return self.sign(self.claims(**changes), header)

    def sign(self, claims: Any, header: Mapping[str, Any] | None = None) -> str:
        """Sign any JSON with the newest key; None removes a header."""
        given = {"alg": self.algorithm, "typ": "JWT", "kid": self.key_id, **(header or {})}
        shown = {name: value for name, value in given.items() if value is not None}
        return self.sign_bytes(encode(shown), encode(claims))

    def sign_bytes(self, header: str, payload: str) -> str:
        """Return two encoded parts with their signature, unchecked."""
        signing = get_default_algorithms()[self.algorithm]
        signature = signing.sign(f"{header}.{payload}".encode(), self._private)
        return f"{header}.{payload}.{base64url(signature)}"

    def number_asked(self, path: str) -> int:
        return self.asked.count(path)

    def _respond(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.removeprefix("/realms/alga")
        documents: dict[str, Any] = {
            DISCOVERY: {
                "issuer": self.issuer,
                "jwks_uri": self.issuer + CERTS,
                "authorization_endpoint": self.issuer + AUTHORIZATION,
                "token_endpoint": self.issuer + TOKEN,
            },
            CERTS: {"keys": list(self.keys.values())},
        }
        if path in documents:
            send(request, json.dumps(documents[path]).encode())
        else:
            send(request, b"{}", status=404)


def encode(document: Any) -> str:
    """Return a part of a token."""
    return base64url(json.dumps(document).encode())


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def send(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """Send the response; names of headers are written with underscores."""
    request.send_response(status)
    for name, value in {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)
