"""Errors of an unavailable server give the reason and the setting to check, without the texts of libraries."""

import asyncio
import socket
import ssl
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.database.engines import create_engine
from app.embedded.processes.ports import free_port
from app.outages import database_outage, temporal_outage
from app.settings import TemporalSettings
from app.temporal.errors import TemporalUnavailableError, reason_of

SETTING = "ADMIN_DATABASE_URL"
URL = make_url("postgresql+asyncpg://alga:Zw3kq@db.example:6432/alga")
CERTIFICATE = ssl.SSLCertVerificationError("certificate verify failed")
CERTIFICATE.verify_message = "self-signed certificate"
RUST = "Failed client connect: Server connection error: tonic::transport::Error(Transport, ConnectError({}))"


def wrapped(cause: BaseException) -> DBAPIError:
    """Return the driver's error as SQLAlchemy raises it."""
    error = OperationalError("SELECT 1", None, cause)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "problem", "remedy"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the name db.example can't be resolved", "DNS"),
        (ConnectionRefusedError(111, "Connect call failed"), "no server listens there", "that the server runs"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), "no server listens there", "host and port"),
        (TimeoutError(), "it does not respond", "firewalls"),
        (CERTIFICATE, "TLS failed (self-signed certificate)", "sslrootcert"),
        (ConnectionError('PostgreSQL server at "x" rejected SSL upgrade'), "it offers no TLS", "sslmode"),
        (asyncpg.InvalidPasswordError("no"), "the password of alga is wrong", "user and password"),
        (asyncpg.InvalidAuthorizationSpecificationError("no"), "it does not let alga in", "pg_hba.conf"),
        (asyncpg.InvalidCatalogNameError("no"), "it has no database alga", "the database in"),
        (asyncpg.TooManyConnectionsError("no"), "no connection is left", SETTING),
    ],
)
def test_an_outage_of_the_database_names_server_reason_and_setting(
    cause: BaseException, problem: str, remedy: str
) -> None:
    for error in (cause, wrapped(cause)):
        outage = database_outage(error, SETTING, URL)
        assert outage.problem.startswith(f"PostgreSQL at db.example:6432 can't be used: {problem}")
        assert remedy in outage.remedy
        assert SETTING in outage.remedy
        assert "Zw3kq" not in str(outage)


def test_a_closed_port_of_a_database_is_recognised() -> None:
    url = make_url(f"postgresql+asyncpg://alga:x@127.0.0.1:{free_port()}/alga")

    async def connect() -> None:
        engine = create_engine(url, application_name="test", pool_size=1, statement_timeout=1.0, pgbouncer=False)
        try:
            async with engine.connect():
                pass
        finally:
            await engine.dispose()

    with pytest.raises(OSError, match="Connect call failed") as caught:
        asyncio.run(connect())
    assert "no server listens there" in str(database_outage(caught.value, SETTING, url))


@pytest.mark.parametrize(
    ("text", "reason", "setting"),
    [
        ('"dns error", Custom {}', "its host name can't be resolved", "TEMPORAL_ADDRESS"),
        ("Os { kind: ConnectionRefused }", "no server listens there", "TEMPORAL_ADDRESS"),
        (
            "InvalidCertificate(UnknownIssuer)",
            "its TLS certificate is refused (UnknownIssuer)",
            "TEMPORAL_TLS_CA_FILE",
        ),
        ("InvalidMessage(InvalidContentType)", "it does not speak TLS", "TEMPORAL_TLS"),
        ("anything else", "it can't be reached", "TEMPORAL_ADDRESS"),
    ],
)
def test_an_outage_of_temporal_names_server_reason_and_setting(text: str, reason: str, setting: str) -> None:
    check(RuntimeError(RUST.format(text)), reason, setting)


@pytest.mark.parametrize(
    ("status", "reason", "setting"),
    [
        (RPCStatusCode.UNAUTHENTICATED, "it rejects the credential", "TEMPORAL_API_KEY"),
        (RPCStatusCode.NOT_FOUND, "it has no such namespace", "TEMPORAL_NAMESPACE"),
        (RPCStatusCode.DEADLINE_EXCEEDED, "it did not respond in time", "TEMPORAL_ADDRESS"),
    ],
)
def test_a_refusal_of_temporal_names_the_setting(status: RPCStatusCode, reason: str, setting: str) -> None:
    check(RPCError("raw", status, b""), reason, setting)


def check(error: Exception, reason: str, setting: str) -> None:
    settings: Any = TemporalSettings.model_construct(temporal_address="temporal.example:7233")
    outage = temporal_outage(TemporalUnavailableError(reason_of(error)), settings)
    assert outage.problem.startswith(f"Temporal at temporal.example:7233 can't be used: {reason}")
    assert setting in outage.remedy
    assert not {"tonic", "Rust", "Error("} & {*str(outage).split()}


def test_a_closed_port_of_temporal_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        asyncio.run(Client.connect(f"127.0.0.1:{free_port()}"))
    assert reason_of(caught.value) == "no server listens there"
