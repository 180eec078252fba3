"""`alga-tenants create`: sends a tenant request made of options or of a file, and watches the creation."""

import sys
from typing import Annotated, Any
from uuid import uuid4

import typer

from app.cli.console import say
from app.cli.exit_codes import ExitCode
from app.cli.operations.fields import ADMIN, CREATION_FIELDS, OPTIONS, STDIN, read_file, takes_fields
from app.cli.operations.report import Report, connected
from app.cli.options import DEFAULT_TIMEOUT, Timeout

REQUIRED = ("tenantName", "adminUser.firstName", "adminUser.lastName", "adminUser.email")


@takes_fields(CREATION_FIELDS)
@connected
def create(
    report: Report,
    given: dict[str, Any],
    *,
    admin_password_stdin: Annotated[
        bool,
        typer.Option(
            "--admin-password-stdin", help="Read the password from the first line of stdin.", rich_help_panel=ADMIN
        ),
    ] = False,
    admin_password_prompt: Annotated[
        bool, typer.Option("--admin-password-prompt", help="Ask for the password.", rich_help_panel=ADMIN)
    ] = False,
    file: Annotated[
        str | None, typer.Option(metavar="PATH", help="Read the whole request as JSON from a file; - means stdin.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Repeating a request with its key never makes a second tenant (default: generated)."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end of the creation.")] = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Create a tenant and watch the creation.

    The administrator's password can't be given on the command line.
    Without one, a password is generated and shown once.
    """
    if file == STDIN and admin_password_stdin:
        raise typer.BadParameter("stdin can't be both the request and the password")
    request = _complete(given) if file is None else read_file(file, given)
    admin = request.get("admin_user", request.get("adminUser"))
    if admin_password_stdin or admin_password_prompt:
        if not isinstance(admin, dict):
            raise typer.BadParameter("adminUser is not an object", param_hint="--file")
        option = "--admin-password-stdin" if admin_password_stdin else "--admin-password-prompt"
        report.aliases["adminUser.password"] = option
        admin["password"] = _read_password(needs_terminal=not admin_password_stdin)
    report.names_options = file is None
    report.idempotency_key = idempotency_key if idempotency_key is not None else str(uuid4())
    created = report.client.create_tenant(request, idempotency_key=report.idempotency_key)
    report.changed(created)
    report.note(f"started {created.workflow_id}")
    if created.temporary_password is not None:
        if not report.as_json:
            shown = f"temporary password of the administrator, shown only now: {created.temporary_password}"
            say(report.stdout, shown, "bold")
    elif not (isinstance(admin, dict) and admin.get("password")):
        report.note("This request was made before; the password generated then is not shown again.")
    return report.follow(created.workflow_id, timeout) if wait else ExitCode.DONE


def _complete(given: dict[str, Any]) -> dict[str, Any]:
    names = given.keys() | {f"adminUser.{name}" for name in given.get("adminUser", {})}
    if missing := [OPTIONS[name] for name in REQUIRED if name not in names]:
        raise typer.BadParameter(f"missing {', '.join(missing)}; or give --file with the whole request")
    return given


def _read_password(*, needs_terminal: bool) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    if needs_terminal:
        raise typer.BadParameter("there is no terminal to ask on", param_hint="--admin-password-prompt")
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise typer.BadParameter("the first line of stdin is empty", param_hint="--admin-password-stdin")
    return password
