"""`alga-tenants create`: sends a tenant request made of options or of a file, and watches the creation."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import uuid4

import typer

from app.cli.exit_codes import ExitCode
from app.cli.operations import tenant_fields as fields
from app.cli.operations.report import Report, settled_code
from app.cli.options import DEFAULT_TIMEOUT, DEFAULT_URL, ApiKey, AsJson, Timeout, Url
from app.cli.output import follow

ADMIN = "Administrator"
REQUIRED = {
    "tenantName": "--tenant-name",
    "firstName": "--admin-first-name",
    "lastName": "--admin-last-name",
    "email": "--admin-email",
}


def create(
    *,
    api_key: ApiKey,
    tenant_name: fields.TenantName = None,
    company_name: fields.CompanyName = None,
    client_name: fields.ClientName = None,
    product: Annotated[str | None, fields.option("psa (default) or algadesk.", fields.TENANT)] = None,
    plan: fields.Plan = None,
    billing_plan: fields.BillingPlan = None,
    billing_source: fields.BillingSource = None,
    license_count: fields.LicenseCount = None,
    email_provider: fields.EmailProvider = None,
    addons: fields.Addons = None,
    tenant_id: Annotated[
        str | None, fields.option("A UUID minted beforehand; else one is made.", fields.TENANT)
    ] = None,
    admin_first_name: Annotated[str | None, fields.option("Given name.", ADMIN)] = None,
    admin_last_name: Annotated[str | None, fields.option("Family name.", ADMIN)] = None,
    admin_email: Annotated[str | None, fields.option("E-mail address, and the name to log in with.", ADMIN)] = None,
    admin_password_stdin: Annotated[
        bool,
        typer.Option(
            "--admin-password-stdin", help="Read the password from the first line of stdin.", rich_help_panel=ADMIN
        ),
    ] = False,
    admin_password_prompt: Annotated[
        bool, typer.Option("--admin-password-prompt", help="Ask for the password.", rich_help_panel=ADMIN)
    ] = False,
    address_line1: fields.AddressLine1 = None,
    address_line2: fields.AddressLine2 = None,
    address_city: fields.AddressCity = None,
    address_state: fields.AddressState = None,
    address_postal_code: fields.AddressPostalCode = None,
    address_country_code: fields.AddressCountryCode = None,
    address_phone: fields.AddressPhone = None,
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
    """Create a tenant and watch the creation.

    The administrator's password is never taken from the command line.
    If none is given, one is made and shown once.
    """
    given = fields.without_blanks(
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
            "addons": addons,
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
    if file == fields.STDIN and admin_password_stdin:
        raise typer.BadParameter("stdin can't be both the request and the password")
    request = _from_options(given) if file is None else fields.read_file(file, given)
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
            report.note("This request was made before; the password that was made then is not shown again.")
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
