"""`alga-tenants certificate`: shows and verifies certificates of deletions, directly in the database."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.across_tenants import parse_tenant_id
from activities.certificates.certificate import Certificate
from activities.certificates.rows import find_certificate
from activities.certificates.signing import CertificateInvalidError, SignedCertificate
from app.audit.certificates import certificate_signer, check_place
from app.audit.recorder import audit_trail
from app.cli.console import fail, print_json, say
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.database import run_on_database
from app.cli.options import AsJson
from app.cli.rendering.tables import Column, print_table
from app.settings import Settings

app = typer.Typer(help="Show and verify certificates of deletions.", no_args_is_help=True)

MAX_FILE_BYTES = 10_000_000
SUBJECT_HELP = "The deleted tenant's id, or the deletion's workflow id."


@app.command()
def show(
    subject: Annotated[str, typer.Argument(metavar="TENANT|WORKFLOW", help=SUBJECT_HELP)], *, as_json: AsJson = False
) -> None:
    """Show the newest certificate of a tenant, or that of a deletion.

    The output of --json is a file for `certificate verify --file`.
    """

    async def work(engine: AsyncEngine, settings: Settings) -> tuple[SignedCertificate, Certificate]:
        return await _find(engine, settings, subject)

    try:
        signed, certificate = run_on_database(work, as_json=as_json)
    except CertificateInvalidError as error:
        fail(str(error))
    if as_json:
        typer.echo(signed.json)
    else:
        _show(certificate)


@app.command()
def verify(
    subject: Annotated[str | None, typer.Argument(metavar="[TENANT|WORKFLOW]", help=SUBJECT_HELP)] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file with the output of `certificate show --json`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a certificate, and that the audit trail confirms it.

    Reads the certificate from the database, or from a file with --file.
    `audit verify` checks the rest of the trail.

    Exits with 1 if the certificate was changed or is not confirmed.
    """
    if (subject is None) == (file is None):
        raise typer.BadParameter("give either an id or --file")

    async def work(engine: AsyncEngine, settings: Settings) -> Certificate:
        if file is not None:
            certificate = certificate_signer(settings).open(SignedCertificate.parse(_content(file)))
        else:
            _, certificate = await _find(engine, settings, str(subject))
        async with engine.connect() as connection:
            await check_place(connection, audit_trail(settings), certificate)
        return certificate

    try:
        certificate = run_on_database(work, as_json=as_json)
    except CertificateInvalidError as error:
        if as_json:
            print_json({"verified": False, "reason": str(error)})
            raise typer.Exit(ExitCode.FAILED) from None
        fail(f"not verified: {error}")
    tenant, workflow = str(certificate.tenant.id), certificate.operation.workflow_id
    if as_json:
        print_json({"verified": True, "tenantId": tenant, "workflowId": workflow, "auditEvent": _place(certificate)})
    else:
        console = Console(highlight=False)
        say(console, f"verified: tenant {tenant} was deleted by {workflow}", "green")
        say(console, f"audit event: {_place(certificate)}")


async def _find(engine: AsyncEngine, settings: Settings, subject: str) -> tuple[SignedCertificate, Certificate]:
    async with engine.connect() as connection:
        found = await find_certificate(connection, certificate_signer(settings), parse_tenant_id(subject) or subject)
    if found is None:
        fail(f"there is no certificate of {subject}", ExitCode.NOT_FOUND)
    return found


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise CertificateInvalidError("the file is too large for a certificate")
        return content.decode()
    except OSError as error:
        fail(f"{file} can't be read: {error.strerror}", ExitCode.INVALID)
    except UnicodeDecodeError:
        raise CertificateInvalidError("the file is not in UTF-8") from None


def _show(certificate: Certificate) -> None:
    console = Console(highlight=False)
    tenant, operation, proof = certificate.tenant, certificate.operation, certificate.proof
    days = f"{certificate.grace_period_days} days"
    triggers = [f"{disabled.trigger} of {disabled.table}" for disabled in certificate.disabled_triggers]
    lines = {
        "tenant": " ".join(filter(None, (str(tenant.id), tenant.name, tenant.product_code))),
        "operation": f"{operation.workflow_id}, run {operation.run_id}",
        "requested": _act(certificate.requested_at, certificate.requested_by, certificate.requested_via),
        "reason": certificate.reason or "none",
        "confirmed": _act(certificate.confirmed_at, certificate.confirmed_by, certificate.confirmed_via),
        "grace period": f"{days}, until {_time(certificate.scheduled_for)}",
        "purge": f"{_time(certificate.purge_started_at)} to {_time(certificate.purge_finished_at)}",
        "export": certificate.export_id or "none",
        "rows removed": str(certificate.total_rows_removed),
        "rows remaining": f"{certificate.rows_remaining} in {proof.tables} tables",
        "tables kept": ", ".join(proof.kept_tables) or "none",
        "triggers disabled": ", ".join(triggers) or "none",
        "outside the database": str(len(certificate.external_resources)),
        "audit event": _place(certificate),
    }
    for name, text in lines.items():
        say(console, f"{name:<22}{text}")
    columns = (Column("table"), Column("rows removed", justify="right"))
    print_table(console, columns, [(label, str(rows)) for label, rows in certificate.rows_removed.items()])


def _act(at: datetime | None, by: str | None, via: str | None) -> str:
    people = f"by {by}{f' with {via}' if via != by else ''}" if by else "by an unknown caller"
    return f"{_time(at)} {people}" if at else "never"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "an unknown time"


def _place(certificate: Certificate) -> str:
    return f"{certificate.audit.sequence}:{certificate.audit.hash}"
