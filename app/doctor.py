"""Looks at everything that the service needs from outside, and says what is missing and how to mend it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import URL, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.blueprints.blueprint import BlueprintError, load_blueprints
from activities.alga.directory import DIRECTORY_TABLES
from activities.alga.schema_check import check_schema
from activities.database.errors import DATABASE_ERRORS
from activities.database.own_tables import SCHEMA, own_metadata
from app.auth.keys.records import ApiKeyTable, KeyState
from app.auth.keys.signing import api_key_signer
from app.auth.oidc.provider import OpenIdProvider, ProviderError
from app.settings import Settings
from app.temporal.client import connect
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from migrations.upgrade import ALL_RIGHTS, UnreleasedSchemaError, admin_engine, pending

TABLE_WRITING_RIGHTS = "INSERT, UPDATE, DELETE, TRUNCATE"
COLUMN_WRITING_RIGHTS = "INSERT, UPDATE"
MAX_NAMED_KEYS = 10

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """What one check saw; `remedy` is empty where all is well."""

    level: Level
    subject: str
    problem: str
    remedy: str = ""

    def as_document(self) -> dict[str, str]:
        """The finding for JSON."""
        return asdict(self)


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Run every check; one that can't run is itself a finding."""
    yield Finding("ok", "settings", "complete")
    yield _check_blueprints(settings)
    checks: tuple[tuple[str, str, Callable[[Settings], Awaitable[list[Finding]]]], ...] = (
        ("database (ADMIN_DATABASE_URL)", "check ADMIN_DATABASE_URL and that the server runs", _check_admin_database),
        ("database (DATABASE_URL)", "check DATABASE_URL and that the server runs", _check_gateway_database),
    )
    for subject, remedy, check in checks:
        try:
            for finding in await check(settings):
                yield finding
        except DATABASE_ERRORS as error:
            yield Finding("error", subject, f"can't be used: {type(getattr(error, 'orig', error)).__name__}", remedy)
    yield await _check_temporal(settings)
    provider = OpenIdProvider.of(settings)
    if provider is not None:
        yield await _check_provider(provider)


def _check_blueprints(settings: Settings) -> Finding:
    try:
        blueprints = load_blueprints(settings.blueprints_dir)
    except BlueprintError as error:
        return Finding("error", "blueprints", str(error), "correct the file")
    return Finding("ok", "blueprints", ", ".join(sorted(blueprints)))


async def _check_admin_database(settings: Settings) -> list[Finding]:
    url = settings.admin_database
    engine = admin_engine(url)
    try:
        async with engine.connect() as connection:
            version = await connection.scalar(text("SHOW server_version"))
            findings = [Finding("ok", "database (ADMIN_DATABASE_URL)", f"PostgreSQL {version}")]
            findings += [
                Finding(item.level, ".".join(filter(None, (item.table, item.column))), item.problem, item.remedy)
                for item in await check_schema(connection)
            ]
    finally:
        await engine.dispose()
    if all(finding.level == "ok" for finding in findings):
        findings.append(Finding("ok", "Alga's tables", "as the activities need them"))
    return [*findings, await _check_own_schema(url)]


async def _check_own_schema(url: URL) -> Finding:
    subject = f"schema {SCHEMA}"
    try:
        lacks_migration = await pending(url)
    except UnreleasedSchemaError as error:
        problem = f"is of an unreleased version (revision {error.revision})"
        return Finding("error", subject, problem, f"run `DROP SCHEMA {SCHEMA} CASCADE`, then `alga-tenants migrate`")
    if lacks_migration:
        return Finding("error", subject, "is not up to date", "run `alga-tenants migrate`")
    return Finding("ok", subject, "up to date")


async def _check_gateway_database(settings: Settings) -> list[Finding]:
    subject = "database (DATABASE_URL)"
    engine = admin_engine(settings.gateway_database)
    try:
        async with engine.connect() as connection:
            for table in own_metadata.sorted_tables:
                needed = str(table.info.get("gateway_rights", ALL_RIGHTS)).split(", ")
                rights = (func.has_table_privilege(table.fullname, right) for right in needed)
                allowed = await connection.scalar(select(and_(*rights)))
                if not allowed:
                    return [Finding("error", subject, f"no rights on {table.fullname}", "run `alga-tenants migrate`")]
            for table in DIRECTORY_TABLES:
                if not await connection.scalar(select(func.has_table_privilege(table.name, "SELECT"))):
                    remedy = "grant SELECT on it; without it `GET /tenants` answers 503"
                    return [Finding("error", subject, f"no rights on {table.name}", remedy)]
            findings = [await _check_gateway_role(connection, subject)]
            findings += await _check_keys(connection, ApiKeyTable(api_key_signer(settings)))
    finally:
        await engine.dispose()
    return findings


async def _check_gateway_role(connection: AsyncConnection, subject: str) -> Finding:
    """Look for rights that the gateway does not need, and that an attacker who has its password would use."""
    writable = []
    for table in DIRECTORY_TABLES:
        rights = (
            func.has_table_privilege(table.name, TABLE_WRITING_RIGHTS),
            func.has_any_column_privilege(table.name, COLUMN_WRITING_RIGHTS),
        )
        if await connection.scalar(select(or_(*rights))):
            writable.append(table.name)
    if writable:
        return Finding(
            "warning",
            subject,
            f"may read and write our tables, but may write Alga's, too: {', '.join(writable)}",
            "give the gateway a role of its own, which only reads Alga's tables; docs/security.md has the SQL",
        )
    return Finding("ok", subject, "may read and write our tables")


async def _check_keys(connection: AsyncConnection, table: ApiKeyTable) -> list[Finding]:
    now = datetime.now(UTC)
    states = {key.key_id: key.state(now) for key in await table.list(connection)}
    active = sum(state is KeyState.ACTIVE for state in states.values())
    forged = [key_id for key_id, state in states.items() if state is KeyState.FORGED]
    findings = [
        Finding("ok", "API keys", f"{active} in use")
        if active
        else Finding("warning", "API keys", "there is none in use", "run `alga-tenants keys create NAME`")
    ]
    if forged:
        named = ", ".join(forged[:MAX_NAMED_KEYS]) + (", …" if len(forged) > MAX_NAMED_KEYS else "")
        findings.append(
            Finding(
                "error",
                "forged API keys",
                f"{len(forged)} row(s) that this service did not write, or that were changed since: {named}",
                "after a change of AUDIT_SECRET or NEXTAUTH_SECRET run `alga-tenants keys reseal`; otherwise find "
                "out who has written to the database, and run `alga-tenants keys revoke ID`",
            )
        )
    return findings


async def _check_temporal(settings: Settings) -> Finding:
    client = await connect(settings, lazy=True)
    try:
        await TemporalOperations(client, settings).check()
    except TemporalUnavailableError as error:
        return Finding(
            "error", "Temporal", f"{settings.temporal_address} does not answer: {error}", "check TEMPORAL_ADDRESS"
        )
    return Finding("ok", "Temporal", f"{settings.temporal_address} serves")


async def _check_provider(provider: OpenIdProvider) -> Finding:
    try:
        keys = await provider.fetch_keys()
    except ProviderError as error:
        return Finding("error", "OpenID provider", str(error), "check OIDC_ISSUER, OIDC_JWKS_URL and OIDC_CA_FILE")
    return Finding("ok", "OpenID provider", f"{provider.issuer} signs with {len(keys)} key(s)")
