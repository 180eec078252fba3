"""TLS as our engines make it, towards a PgBouncer that takes nothing else and a PostgreSQL that has none.

The PostgreSQL of the wheel is built without TLS, and PgBouncer speaks the same protocol to clients.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import gateway_engine, worker_engine
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.processes import unprivileged_account
from app.settings import DatabaseSettings, Settings
from migrations.revisions import admin_engine
from tests.support.certificates import Authority, Pair
from tests.support.servers.pgbouncer import PgBouncer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(server_folder: Path) -> Authority:
    return Authority(server_folder)


@pytest.fixture(scope="module")
def stranger(server_folder: Path) -> Authority:
    """An untrusted authority."""
    return Authority(server_folder, "stranger")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    return authority.issue("client.example")


@pytest.fixture(scope="module")
def shown(authority: Authority) -> dict[str, str]:
    """The server's side, by PgBouncer's names: a certificate for `localhost`."""
    pair = authority.issue("localhost")
    if (account := unprivileged_account()) is not None:
        os.chown(pair.key, account.uid, account.gid)
    return {"client_tls_cert_file": str(pair.certificate), "client_tls_key_file": str(pair.key)}


@pytest.fixture(scope="module")
def server(server_folder: Path, postgres: EmbeddedPostgres, shown: dict[str, str]) -> Iterator[str]:
    """The URL of a server that takes only TLS."""
    with bouncer_with(server_folder / "tls", postgres, shown, client_tls_sslmode="require") as bouncer:
        yield by_name(bouncer.url(postgres.admin_url))


@pytest.fixture(scope="module")
def suspicious_server(
    server_folder: Path, postgres: EmbeddedPostgres, shown: dict[str, str], authority: Authority
) -> Iterator[str]:
    """The URL of a server that takes only clients that show a certificate."""
    trusted = {"client_tls_sslmode": "verify-ca", "client_tls_ca_file": str(authority.file)}
    with bouncer_with(server_folder / "mutual-tls", postgres, shown, **trusted) as bouncer:
        yield by_name(bouncer.url(postgres.admin_url))


def bouncer_with(folder: Path, postgres: EmbeddedPostgres, shown: dict[str, str], **settings: str) -> PgBouncer:
    return PgBouncer(folder, postgres, server_port=None, **(shown | settings))


def by_name(url: str) -> str:
    """The URL with the name that the server's certificate has."""
    return url.replace("127.0.0.1", "localhost")


def settings_for(url: str, **given: str) -> Settings:
    return Settings(
        database_url=SecretStr(url),
        admin_database_url=SecretStr(url),
        nextauth_secret=SecretStr("a-long-and-serious-secret"),
        database_pgbouncer=True,
        **{f"database_tls_{name}": value for name, value in given.items()},  # type: ignore[arg-type] # all are text
    )


async def reaches(engine: AsyncEngine) -> bool:
    try:
        async with engine.connect() as connection:
            return bool(await connection.scalar(text("SELECT true")))
    finally:
        await engine.dispose()


async def try_url(url: str) -> bool:
    given = {"database_url": SecretStr(url), "admin_database_url": SecretStr(url)}
    return await reaches(admin_engine(DatabaseSettings.model_validate(given).admin_database))


async def test_all_engines_use_the_certificates_that_are_set(
    suspicious_server: str, authority: Authority, client: Pair
) -> None:
    settings = settings_for(
        suspicious_server,
        mode="verify-full",
        ca_file=str(authority.file),
        cert_file=str(client.certificate),
        key_file=str(client.key),
    )
    for engine in (
        gateway_engine(settings),
        worker_engine(settings),
        admin_engine(settings.admin_database),
        admin_engine(settings.gateway_database),
    ):
        assert await reaches(engine)


async def test_a_url_may_ask_for_tls_as_libpq_understands_it(
    suspicious_server: str, authority: Authority, client: Pair
) -> None:
    own = f"sslcert={client.certificate}&sslkey={client.key}"
    assert await try_url(f"{suspicious_server}?sslmode=verify-full&sslrootcert={authority.file}&{own}")


@pytest.mark.parametrize("parameters", ["sslmode=require", "sslmode=prefer", ""])
async def test_without_authorities_to_trust_a_certificate_is_not_looked_at(server: str, parameters: str) -> None:
    assert await try_url(f"{server}?{parameters}")


async def test_plain_text_is_refused_by_a_server_that_asks_for_tls(server: str) -> None:
    with pytest.raises(DBAPIError, match="SSL required"):
        await try_url(f"{server}?sslmode=disable")


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
async def test_a_certificate_of_a_strange_authority_is_refused(server: str, stranger: Authority, mode: str) -> None:
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        await try_url(f"{server}?sslmode={mode}&sslrootcert={stranger.file}")


async def test_the_systems_authorities_do_not_sign_for_a_strange_one(server: str) -> None:
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        await try_url(f"{server}?sslmode=verify-full&sslrootcert=system")


async def test_a_certificate_for_another_host_is_refused_where_the_host_counts(
    server: str, authority: Authority
) -> None:
    elsewhere = server.replace("localhost", "127.0.0.1")
    assert await try_url(f"{elsewhere}?sslmode=verify-ca&sslrootcert={authority.file}")
    with pytest.raises(OSError, match=r"certificate is not valid for '127\.0\.0\.1'"):
        await try_url(f"{elsewhere}?sslmode=verify-full&sslrootcert={authority.file}")


async def test_a_client_without_a_certificate_is_refused(suspicious_server: str, authority: Authority) -> None:
    with pytest.raises((DBAPIError, OSError)):
        await try_url(f"{suspicious_server}?sslmode=verify-full&sslrootcert={authority.file}")


async def test_a_client_certificate_of_a_strange_authority_is_refused(
    suspicious_server: str, authority: Authority, stranger: Authority
) -> None:
    pair = stranger.issue("client.example")
    own = f"sslcert={pair.certificate}&sslkey={pair.key}"
    with pytest.raises((DBAPIError, OSError)):
        await try_url(f"{suspicious_server}?sslmode=verify-full&sslrootcert={authority.file}&{own}")


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_there_is_no_plain_text_where_tls_was_asked_for(
    postgres: EmbeddedPostgres, authority: Authority, mode: str
) -> None:
    authorities = f"&sslrootcert={authority.file}" if mode == "verify-full" else ""
    with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
        await try_url(f"{by_name(postgres.admin_url)}?sslmode={mode}{authorities}")


async def test_renewed_files_count_from_the_next_connection(
    server: str, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(stranger.file.read_bytes())
    engine = worker_engine(settings_for(server, mode="verify-full", ca_file=str(trusted)))
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        await reaches(engine)
    trusted.write_bytes(authority.file.read_bytes())
    assert await reaches(engine)
