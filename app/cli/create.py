"""`alga-tenants create`: reads a tenant request from options or a file, sends it, and watches what becomes of it."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from app.cli.exit_codes import ExitCode
from app.cli.options import DEFAULT_TIMEOUT, DEFAULT_URL, ApiKey, AsJson, Timeout, Url
from app.cli.output import follow
from app.cli.report import Report, settled_code

TENANT = "Tenant"
ADMIN = "Administrator"
ADDRESS = "Billing address"
STDIN = "-"
REQUIRED = {
    "tenantName": "--tenant-name",
    "firstName": "--admin-first-name",
    "lastName": "--admin-last-name",
    "email": "--admin-email",
}


def _option(help_text: str, panel: str) -> Any:
    return typer.Option(help=help_text, rich_help_panel=panel)


def create(
    *,
    api_key: ApiKey,
    tenant_name: Annotated[str | None, _option("Name of the tenant.", TENANT)] = None,
    company_name: Annotated[str | None, _option("The company's name; the tenant's by default.", TENANT)] = None,
    client_name: Annotated[
        str | None, _option("Name of the tenant's own client record; the company's by default.", TENANT)
    ] = None,
    product: Annotated[str | None, _option("psa (default) or algadesk.", TENANT)] = None,
    plan: Annotated[str | None, _option("solo or pro.", TENANT)] = None,
    billing_plan: Annotated[str | None, _option("A contract line of the product's blueprint.", TENANT)] = None,
    billing_source: Annotated[str | None, _option("manual (default), stripe or apple_iap.", TENANT)] = None,
    license_count: Annotated[int | None, _option("Licensed users.", TENANT)] = None,
    email_provider: Annotated[str | None, _option("resend (default) or smtp.", TENANT)] = None,
    addon: Annotated[list[str] | None, _option("An add-on's key; may be repeated.", TENANT)] = None,
    tenant_id: Annotated[str | None, _option("A UUID minted beforehand; else one is made.", TENANT)] = None,
    admin_first_name: Annotated[str | None, _option("Given name.", ADMIN)] = None,
    admin_last_name: Annotated[str | None, _option("Family name.", ADMIN)] = None,
    admin_email: Annotated[str | None, _option("E-mail address, and the name to log in with.", ADMIN)] = None,
    admin_password_stdin: Annotated[
        bool,
        typer.Option(
            "--admin-password-stdin", help="Read the password from the first line of stdin.", rich_help_panel=ADMIN
        ),
    ] = False,
    admin_password_prompt: Annotated[
        bool, typer.Option("--admin-password-prompt", help="Ask for the password.", rich_help_panel=ADMIN)
    ] = False,
    address_line1: Annotated[str | None, _option("Street.", ADDRESS)] = None,
    address_line2: Annotated[str | None, _option("More of the street.", ADDRESS)] = None,
    address_city: Annotated[str | None, _option("City.", ADDRESS)] = None,
    address_state: Annotated[str | None, _option("State.", ADDRESS)] = None,
    address_postal_code: Annotated[str | None, _option("Postal code.", ADDRESS)] = None,
    address_country_code: Annotated[str | None, _option("Two letters of ISO 3166-1.", ADDRESS)] = None,
    address_phone: Annotated[str | None, _option("Phone number.", ADDRESS)] = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Read the whole request as JSON from this file, or from stdin with -."),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key and request never make a second tenant; new by default.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", show_default=True, help="Watch until it has ended.")
    ] = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Create a tenant and watch it being made.

    The administrator's password is never taken from the command line.
    Where none is given, one is made and shown once.
    """
    given = _without_blanks(
        {
            "tenantName": tenant_name,
            "companyName": company_name,
            "clientName": client_name,
            "productCode": product,
            "plan": plan,
            "billingPlan": billing_plan,
            "billingSource": billing_source,
            "licenseCount": license_count,
            "emailProvider": email_provider,
            "addons": addon or None,
            "tenantId": tenant_id,
            "adminUser": {"firstName": admin_first_name, "lastName": admin_last_name, "email": admin_email},
            "billingAddress": {
                "line1": address_line1,
                "line2": address_line2,
                "city": address_city,
                "state": address_state,
                "postalCode": address_postal_code,
                "countryCode": address_country_code,
                "phone": address_phone,
            },
        }
    )
    if file == STDIN and admin_password_stdin:
        raise typer.BadParameter("stdin can't be both the request and the password")
    request = _from_options(given) if file is None else _from_file(file, given)
    if admin_password_stdin or admin_password_prompt:
        _set_password(request, _password_from_stdin() if admin_password_stdin else _password_from_prompt())
    report = Report(url, as_json=as_json)
    report.idempotency_key = idempotency_key if idempotency_key is not None else str(uuid4())
    code = _run(report, api_key, request, timeout=timeout if wait else None)
    report.finish()
    raise typer.Exit(code)


def _run(report: Report, api_key: str, request: Mapping[str, Any], timeout: float | None) -> ExitCode:
    with report.client(api_key) as client:
        created = client.create_tenant(request, idempotency_key=report.idempotency_key)
        report.changed(created)
        report.note(f"started {created.workflow_id}")
        if created.temporary_password is not None:
            report.show_password(created.temporary_password)
        elif not _has_password(request):
            report.note("This request was answered before; the password that was made then is not shown again.")
        if timeout is None:
            return ExitCode.DONE
        document = follow(client, created.workflow_id, report.stderr, timeout=timeout, on_change=report.changed)
        return settled_code(document)


def _from_options(given: dict[str, Any]) -> dict[str, Any]:
    names = given.keys() | given.get("adminUser", {}).keys()
    missing = [option for name, option in REQUIRED.items() if name not in names]
    if missing:
        raise typer.BadParameter(f"needed: {', '.join(missing)}; or --file with the whole request")
    return given


def _from_file(file: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if given:
        raise typer.BadParameter("--file holds the whole request; leave out the options of its fields")
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
        request = json.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--file") from None
    if not isinstance(request, dict):
        raise typer.BadParameter(f"{file}: not a JSON object", param_hint="--file")
    return request


def _password_from_stdin() -> str:
    if sys.stdin.isatty():
        return _password_from_prompt()
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise typer.BadParameter("the first line of stdin is empty", param_hint="--admin-password-stdin")
    return password


def _password_from_prompt() -> str:
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on", param_hint="--admin-password-prompt")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _admin_key(request: Mapping[str, Any]) -> str:
    return "admin_user" if "admin_user" in request else "adminUser"


def _has_password(request: Mapping[str, Any]) -> bool:
    admin = request.get(_admin_key(request))
    return isinstance(admin, dict) and admin.get("password") is not None


def _set_password(request: dict[str, Any], password: str) -> None:
    key = _admin_key(request)
    if not isinstance(request.get(key), dict):
        raise typer.BadParameter(f"the request's {key} is not an object", param_hint="--file")
    request[key] = {**request[key], "password": password}


def _without_blanks(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without what was not given, and without objects that are then empty."""
    parts = {name: _without_blanks(value) if isinstance(value, dict) else value for name, value in document.items()}
    return {name: value for name, value in parts.items() if value is not None and value != {}}
