"""Types of settings with checks of their own: URLs, ports, lists of addresses and origins."""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from activities.database.tls import TlsError, check_url
from app.crypto.payload_keys import parse_payload_keys

# Scheme, host and port in lower case, as browsers write them.
ORIGIN = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")

# A name, or an address with the brackets of IPv6.
SERVER_ADDRESS = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


def checked_by(check: Callable[[str], object]) -> AfterValidator:
    """Return a validator that keeps the value if `check`, called with its text, does not raise `ValueError`."""

    def validate(value: str | SecretStr) -> str | SecretStr:
        check(value.get_secret_value() if isinstance(value, SecretStr) else value)
        return value

    return AfterValidator(validate)


def _postgres_url(value: str) -> None:
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError("must be a URL like postgresql://user:password@host:5432/database") from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError("must start with postgresql://")
    if not url.database:
        raise ValueError("must name a database, as in postgresql://user:password@host:5432/database")
    try:
        check_url(url)
    except TlsError as error:
        raise ValueError(f"the parameter {error.parameter} {error.reason}") from None


def _server_address(value: str) -> None:
    if SERVER_ADDRESS.fullmatch(value) is None:
        raise ValueError("must be a host and a port, such as temporal.example.com:7233")


def _redis_url(value: str) -> None:
    if urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must start with redis:// or rediss://")


def _proxy_addresses(value: str) -> None:
    for item in split_list(value):
        try:
            ip_network(item)
        except ValueError:
            raise ValueError("must be IP addresses or networks like 10.0.0.0/8, separated by commas") from None


def _origins(value: str) -> None:
    for item in split_list(value):
        if item == "*":
            raise ValueError("must name each origin; `*` would let every page on the web call the gateway")
        if ORIGIN.fullmatch(item) is None:
            raise ValueError("must be origins as browsers send them, like https://admin.example.com, without a path")


def _worker_version(value: str) -> None:
    name, _, build = value.partition(":")
    if not name or not build:
        raise ValueError("must be the name of a deployment and a build, as in alga-tenants:1.2.3")


Port = Annotated[int, Field(ge=0, le=65535)]
PostgresUrl = Annotated[SecretStr, checked_by(_postgres_url)]
PayloadKeys = Annotated[SecretStr, checked_by(parse_payload_keys)]
ServerAddress = Annotated[str, checked_by(_server_address)]
RedisUrl = Annotated[SecretStr, checked_by(_redis_url)]
ProxyAddresses = Annotated[str, checked_by(_proxy_addresses)]
Origins = Annotated[str, checked_by(_origins)]
WorkerVersion = Annotated[str, checked_by(_worker_version)]


def split_list(value: str) -> list[str]:
    """Return the items of a setting that is a list."""
    return [item for item in (part.strip() for part in value.split(",")) if item]


def sqlalchemy_url(url: SecretStr) -> URL:
    """Return the URL for SQLAlchemy's asyncpg dialect."""
    return make_url(url.get_secret_value()).set(drivername="postgresql+asyncpg")


def is_protected_url(url: str, *, allow_http: bool) -> bool:
    """Return whether the connection to that address is encrypted, or stays on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018 - raises if it is no number
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and (allow_http or is_loopback(host)))


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
