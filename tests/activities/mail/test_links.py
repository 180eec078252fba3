"""The link for a password, verified as Alga's page does it."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from activities.mail.links import AlgaSite

KEY = "the-key-that-signs-algas-own-links"
ISSUED_AT = datetime(2026, 1, 1, 9, 30, 15, 250_000, tzinfo=UTC)


def verified(token: str, key: str, now: datetime) -> dict[str, Any]:
    """Verify a token with HS256 and return its claims; raises `ValueError`."""
    header, payload, signature = token.split(".")
    expected = hmac.digest(key.encode(), f"{header}.{payload}".encode(), hashlib.sha256)
    if not hmac.compare_digest(expected, _decoded(signature)):
        raise ValueError("the signature is wrong")
    claims: dict[str, Any] = json.loads(_decoded(payload))
    if json.loads(_decoded(header))["alg"] != "HS256" or claims["exp"] <= now.timestamp():
        raise ValueError("the token has expired")
    return claims


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def link() -> str:
    made = AlgaSite("https://alga.example.com/", KEY).password_link("ada+1@acme.example", ISSUED_AT)
    assert made is not None
    return made


def test_the_link_has_what_algas_page_reads() -> None:
    parts = urlsplit(link())
    assert (parts.scheme, parts.netloc) == ("https", "alga.example.com")
    assert parts.path == "/auth/password-reset/set-new-password"
    query = parse_qs(parts.query)
    assert query.keys() == {"token", "portal"}
    assert query["portal"] == ["msp"]
    claims = verified(query["token"][0], KEY, ISSUED_AT)
    assert (claims["email"], claims["user_type"]) == ("ada+1@acme.example", "internal")
    assert (claims["username"], claims["password"], claims["clientName"]) == ("", "", "")


def test_the_token_expires_after_a_day() -> None:
    claims = verified(parse_qs(urlsplit(link()).query)["token"][0], KEY, ISSUED_AT + timedelta(hours=23, minutes=59))
    assert claims["exp"] - claims["iat"] == 24 * 3600


def test_each_attempt_makes_the_same_link() -> None:
    assert link() == link()


def test_there_is_no_link_without_algas_key() -> None:
    site = AlgaSite("https://alga.example.com")
    assert site.password_link("ada@acme.example", ISSUED_AT) is None
    assert site.forgot_password_url == "https://alga.example.com/auth/msp/forgot-password"
    assert KEY not in repr(AlgaSite("https://alga.example.com", KEY))
