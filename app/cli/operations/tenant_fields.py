"""Options for the fields of a tenant, and the JSON document that they or a file make."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

TENANT = "Tenant"
ADDRESS = "Billing address"
STDIN = "-"


def option(help_text: str, panel: str) -> Any:
    """Return an option of a panel of the help."""
    return typer.Option(help=help_text, rich_help_panel=panel)


TenantName = Annotated[str | None, option("Name of the tenant.", TENANT)]
CompanyName = Annotated[str | None, option("The company's name; the tenant's by default.", TENANT)]
ClientName = Annotated[
    str | None, option("Name of the tenant's own client record; the company's by default.", TENANT)
]
Plan = Annotated[str | None, option("solo or pro.", TENANT)]
BillingPlan = Annotated[str | None, option("A contract line of the product's blueprint.", TENANT)]
BillingSource = Annotated[str | None, option("manual (default), stripe or apple_iap.", TENANT)]
LicenseCount = Annotated[int | None, option("Licensed users.", TENANT)]
EmailProvider = Annotated[str | None, option("resend (default) or smtp.", TENANT)]
Addons = Annotated[
    list[str] | None, typer.Option("--addon", help="Key of an add-on; may be repeated.", rich_help_panel=TENANT)
]
AddressLine1 = Annotated[str | None, option("Street.", ADDRESS)]
AddressLine2 = Annotated[str | None, option("More of the street.", ADDRESS)]
AddressCity = Annotated[str | None, option("City.", ADDRESS)]
AddressState = Annotated[str | None, option("State.", ADDRESS)]
AddressPostalCode = Annotated[str | None, option("Postal code.", ADDRESS)]
AddressCountryCode = Annotated[str | None, option("Two letters of ISO 3166-1.", ADDRESS)]
AddressPhone = Annotated[str | None, option("Phone number.", ADDRESS)]


def without_blanks(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document without missing values, and without objects that are then empty."""
    parts = {name: without_blanks(value) if isinstance(value, dict) else value for name, value in document.items()}
    return {name: value for name, value in parts.items() if value not in (None, [], {})}


def read_file(file: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object in a file, or on stdin if `file` is `-`; `given` are options, which exclude a file."""
    if given:
        raise typer.BadParameter("--file excludes the options of fields; leave out either")
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--file") from None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{file}: not a JSON object", param_hint="--file")
    return document
