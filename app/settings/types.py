"""Types of settings that a plain type does not check: URLs, lists of addresses and origins."""

import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from activities.database.tls import TlsError, check_url
from app.crypto.payload_keys import parse_payload_keys

# Scheme, host and port in lower case, as browsers write them.
ORIGIN = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def _postgres_url(value: SecretStr) -> SecretStr:
    try:
        url = make_url(value.get_secret_value())
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
    return value


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]


def _redis_url(value: SecretStr) -> SecretStr:
    if urlsplit(value.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must start with redis:// or rediss://")
    return value


def _proxy_addresses(value: str) -> str:
    for item in split_list(value):
        try:
            ip_network(item)
        except ValueError:
            raise ValueError("must be IP addresses or networks like 10.0.0.0/8, separated by commas") from None
    return value


def _origins(value: str) -> str:
    for item in split_list(value):
        if item == "*":
            raise ValueError("must name each origin; `*` would let every page that somebody visits call the gateway")
        if ORIGIN.fullmatch(item) is None:
            raise ValueError("must be origins as browsers send them, like https://admin.example.com, without a path")
    return value


def _payload_keys(value: SecretStr) -> SecretStr:
    parse_payload_keys(value.get_secret_value())
    return value


PayloadKeys = Annotated[SecretStr, AfterValidator(_payload_keys)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
ProxyAddresses = Annotated[str, AfterValidator(_proxy_addresses)]
Origins = Annotated[str, AfterValidator(_origins)]


def _worker_version(value: str) -> str:
    name, _, build = value.partition(":")
    if not name or not build:
        raise ValueError("must be the name of a deployment and a build, as in alga-tenants:1.2.3")
    return value


WorkerVersion = Annotated[str, AfterValidator(_worker_version)]


def split_list(value: str) -> list[str]:
    """The items of a setting that is a list."""
    return [item for item in (part.strip() for part in value.split(",")) if item]


def sqlalchemy_url(url: SecretStr) -> URL:
    """The URL as SQLAlchemy's asyncpg dialect wants it."""
    return make_url(url.get_secret_value()).set(drivername="postgresql+asyncpg")
