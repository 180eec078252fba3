"""Checks everything the service depends on, and says what is missing and how to fix it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import URL, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.exceptions import ApplicationError

from activities.alga.blueprints.blueprint import load_blueprints
from activities.alga.blueprints.schema import find_misfits
from activities.alga.blueprints.yaml_files import BlueprintError
from activities.alga.directory.external_resources import EXTERNAL_COLUMNS
from activities.alga.directory.rights import DIRECTORY_COLUMNS, DIRECTORY_TABLES
from activities.alga.schema_check import check_schema
from activities.database.errors import DATABASE_ERRORS
from activities.database.own_schema import SCHEMA
from activities.database.own_tables import OWN_METADATA
from activities.database.rights import unreadable_tables
from activities.errors import FinalError
from activities.export.storage import StorageError
from activities.mail.rendering import MailTemplateError, load_templates
from activities.product_changes.rights import PREVIEW_COLUMNS
from activities.purge.catalogue import CatalogueError, read_catalogue
from app.auth.keys.records import ApiKeyTable, KeyState
from app.auth.keys.signing import api_key_signer
from app.auth.oidc.provider import OpenIdProvider, ProviderError
from app.exports import archive_store
from app.mail import mail_transport
from app.outages import database_outage, temporal_outage
from app.settings import Settings
from app.temporal.client import connect
from app.temporal.errors import TemporalUnavailableError, remedy_of
from app.temporal.operations import TemporalOperations
from app.temporal.task_queue import QueueWorker, QueueWorkers, TaskQueue
from migrations.revisions import UnreleasedSchemaError, admin_engine, pending
from migrations.upgrade import ALL_RIGHTS

MAX_LISTED_KEYS = 10
MAX_LISTED_WORKERS = 10
MAX_LISTED_TABLES = 10
RIGHTS = "docs/security.md has the SQL"

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """The result of one check; `remedy` is empty if all is well."""

    level: Level
    subject: str
    problem: str
    remedy: str = ""


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Run every check; a check that can't run is a finding, too."""
    yield Finding("ok", "settings", "complete")
    yield _check_blueprints(settings)
    yield _check_templates(settings)
    async for finding in check_databases(settings):
        yield finding
    for finding in await _check_temporal(settings):
        yield finding
    provider = OpenIdProvider.of(settings)
    if provider is not None:
        yield await _check_provider(provider, settings.oidc_client_id)
    yield await _check_mail(settings)
    yield await _check_exports(settings)


async def check_databases(settings: Settings) -> AsyncIterator[Finding]:
    """Check what the worker's and the gateway's role find in the database."""
    for setting, url, check in (
        ("ADMIN_DATABASE_URL", settings.admin_database, _check_admin_database),
        ("DATABASE_URL", settings.gateway_database, _check_gateway_database),
    ):
        subject = f"database ({setting})"
        engine = admin_engine(url)
        try:
            async with engine.connect() as connection:
                findings = await check(connection, subject, settings)
        except DATABASE_ERRORS as error:
            outage = database_outage(error, setting, url)
            findings = [Finding("error", subject, outage.problem, outage.remedy)]
        finally:
            await engine.dispose()
        for finding in findings:
            yield finding


def _check_blueprints(settings: Settings) -> Finding:
    try:
        blueprints = load_blueprints(settings.blueprints_dir)
    except BlueprintError as error:
        return Finding("error", "blueprints", str(error), "correct the file")
    return Finding("ok", "blueprints", ", ".join(sorted(blueprints)))


def _check_templates(settings: Settings) -> Finding:
    try:
        load_templates(settings.mail_templates_dir)
    except MailTemplateError as error:
        return Finding("error", "mail templates", str(error), "correct the file")
    return Finding("ok", "mail templates", "complete")


async def _check_admin_database(connection: AsyncConnection, subject: str, settings: Settings) -> list[Finding]:
    version = await connection.scalar(text("SHOW server_version"))
    differences = [
        Finding(item.level, ".".join(filter(None, (item.table, item.column))), item.problem, item.remedy)
        for item in await check_schema(connection)
    ]
    differences += await _check_blueprint_tables(connection, settings)
    return [
        Finding("ok", subject, f"PostgreSQL {version}"),
        *(differences or [Finding("ok", "Alga's tables", "as the activities need them")]),
        await _check_own_schema(settings.admin_database),
    ]


async def _check_blueprint_tables(connection: AsyncConnection, settings: Settings) -> list[Finding]:
    """Check the tables of blueprints that can be read; the others have a finding of their own."""
    try:
        blueprints = load_blueprints(settings.blueprints_dir)
    except BlueprintError:
        return []
    remedy = "correct the file; `alga-tenants blueprints check FILE` names the lines"
    return [
        Finding("error", f"blueprint {product}", str(misfit), remedy)
        for product, blueprint in blueprints.items()
        for misfit in await find_misfits(connection, blueprint)
    ]


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


async def _check_gateway_database(connection: AsyncConnection, subject: str, settings: Settings) -> list[Finding]:
    for table in OWN_METADATA.sorted_tables:
        needed = str(table.info.get("gateway_rights", ALL_RIGHTS)).split(", ")
        rights = (func.has_table_privilege(table.fullname, right) for right in needed)
        if not await connection.scalar(select(and_(*rights))):
            return [Finding("error", subject, f"no rights on {table.fullname}", "run `alga-tenants migrate`")]
    if unreadable := await unreadable_tables(connection, DIRECTORY_COLUMNS):
        remedy = f"grant SELECT on them: {RIGHTS}; without it `GET /tenants` responds with 503"
        return [Finding("error", subject, f"no rights on {', '.join(unreadable)}", remedy)]
    role = await _check_gateway_role(connection, subject)
    findings = [role, await _check_footprints(connection)]
    return [*findings, *await _check_keys(connection, ApiKeyTable(api_key_signer(settings)))]


async def _check_footprints(connection: AsyncConnection) -> Finding:
    """Look for tables that the role may not read: footprints are refused then, or previews of product changes."""
    subject = "footprints"
    try:
        catalogue = await read_catalogue(connection)
    except CatalogueError as error:
        return Finding("error", subject, str(error), "correct the table, or report it")
    wanted = catalogue.ownership_columns | EXTERNAL_COLUMNS | PREVIEW_COLUMNS
    unreadable = await unreadable_tables(connection, wanted)
    if unreadable:
        listed = ", ".join(unreadable[:MAX_LISTED_TABLES]) + (", …" if len(unreadable) > MAX_LISTED_TABLES else "")
        problem = f"the gateway's role may not read {len(unreadable)} table(s) that they or previews read: {listed}"
        return Finding("warning", subject, problem, f"grant SELECT on them: {RIGHTS}")
    return Finding("ok", subject, "the gateway's role may count every table")


async def _check_gateway_role(connection: AsyncConnection, subject: str) -> Finding:
    """Look for rights that the gateway does not need, and that an attacker with its password would use."""
    writable = []
    for table in DIRECTORY_TABLES:
        regclass = func.to_regclass(table)
        rights = (
            func.has_table_privilege(regclass, "INSERT, UPDATE, DELETE, TRUNCATE"),
            func.has_any_column_privilege(regclass, "INSERT, UPDATE"),
        )
        if await connection.scalar(select(or_(*rights))):
            writable.append(table)
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
        else Finding("warning", "API keys", "none is in use", "run `alga-tenants keys create NAME`")
    ]
    if forged:
        listed = ", ".join(forged[:MAX_LISTED_KEYS]) + (", …" if len(forged) > MAX_LISTED_KEYS else "")
        problem = f"{len(forged)} row(s) that this service did not write, or that were changed since: {listed}"
        remedy = (
            "after a change of AUDIT_SECRET or NEXTAUTH_SECRET run `alga-tenants keys reseal`; otherwise find out "
            "who has written to the database, and run `alga-tenants keys revoke ID`"
        )
        findings.append(Finding("error", "forged API keys", problem, remedy))
    return findings


async def _check_temporal(settings: Settings) -> list[Finding]:
    client = await connect(settings, lazy=True)
    try:
        await TemporalOperations(client, settings).check()
    except TemporalUnavailableError as error:
        outage = temporal_outage(error, settings)
        return [Finding("error", "Temporal", outage.problem, outage.remedy)]
    serves = Finding("ok", "Temporal", f"{settings.temporal_address} serves")
    return [serves, *await _check_task_queue(TaskQueue(client, settings), settings)]


async def _check_task_queue(queue: TaskQueue, settings: Settings) -> list[Finding]:
    subject = f"task queue {queue.name}"
    try:
        workers, stranded = await queue.workers(), await queue.stranded()
    except TemporalUnavailableError as error:
        return [Finding("error", subject, str(error), remedy_of(str(error)))]
    findings = []
    if workers.own:
        findings.append(Finding("ok", subject, f"polled by {_listed(workers.own)}"))
    elif not workers.foreign:
        findings.append(Finding("warning", subject, "no worker polls", "start `alga-tenants worker`"))
    if workers.foreign:
        findings.append(_foreign_workers(queue, workers, is_allowed=settings.allow_foreign_pollers))
    if stranded:
        listed = ", ".join(f"{number} {name}" for name, number in sorted(stranded.items()))
        query = f"TaskQueue='{queue.name}' AND ExecutionStatus='Running'"
        remedy = f'let them end before the queue is handed over: `temporal workflow list --query "{query}"`'
        findings.append(Finding("warning", "open workflows", f"our workers can't continue {listed}", remedy))
    return findings


def _foreign_workers(queue: TaskQueue, workers: QueueWorkers, *, is_allowed: bool) -> Finding:
    alone = "" if workers.own else ", and no worker of ours does"
    problem = f"poll task queue {queue.name}{alone}: {_listed(workers.foreign)}"
    remedy = "set TEMPORAL_TASK_QUEUE to a queue of our own, or stop those workers; ours don't start until then"
    if is_allowed:
        remedy = "stop either side soon: ALLOW_FOREIGN_POLLERS is true, and workflows of both may stand still"
    return Finding("warning" if is_allowed else "error", "foreign workers", problem, remedy)


def _listed(workers: Sequence[QueueWorker]) -> str:
    more = ", …" if len(workers) > MAX_LISTED_WORKERS else ""
    return ", ".join(worker.shown for worker in workers[:MAX_LISTED_WORKERS]) + more


async def _check_provider(provider: OpenIdProvider, client_id: str | None) -> Finding:
    try:
        keys = await provider.fetch_keys()
        if client_id is not None:
            await provider.fetch_endpoints()
    except ProviderError as error:
        return Finding("error", "OpenID provider", str(error), "check OIDC_ISSUER, OIDC_JWKS_URL and OIDC_CA_FILE")
    return Finding("ok", "OpenID provider", f"{provider.issuer} signs with {len(keys)} key(s)")


async def _check_mail(settings: Settings) -> Finding:
    """Connect to what sends mails, with its credential, and send nothing."""
    transport = mail_transport(settings)
    if transport is None:
        return Finding("ok", "mail", "MAIL_PROVIDER is none, so no welcome mail is sent")
    try:
        place = await transport.check()
    except (FinalError, ApplicationError) as error:
        setting = "SMTP_*" if settings.mail_provider == "smtp" else "RESEND_API_KEY"
        return Finding("error", "mail", str(error), f"check {setting} and that the server can be reached")
    if not settings.mails_have_links:
        remedy = "set ALGA_SECRET_KEY, or hand over the password yourself"
        return Finding("warning", "mail", f"{place} responds, but mails have no link", remedy)
    return Finding("ok", "mail", f"{place} responds; mails have a link")


async def _check_exports(settings: Settings) -> Finding:
    """List a folder of the store of archives that is never written, and write nothing."""
    try:
        store = archive_store(settings, is_interactive=True)
        if store is None:
            return Finding("ok", "exports", "EXPORT_URL is not set, so exports and restores are refused")
        await store.list("doctor")
    except StorageError as error:
        return Finding("error", "exports", error.detail, "check EXPORT_URL, AWS_* and that the store can be reached")
    return Finding("ok", "exports", f"{settings.export_url} responds")
