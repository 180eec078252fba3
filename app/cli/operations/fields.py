"""Options for the fields of a tenant request, and the JSON document that they or a file make."""

import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.connection.completion import PRODUCTS, one_of
from app.cli.options import keyword, replace_first_parameter

TENANT = "Tenant"
ADMIN = "Administrator"
ADDRESS = "Billing address"
STDIN = "-"


@dataclass(frozen=True)
class Field:
    """An option and the JSON field that it sets, such as `--address-city` and `billingAddress.city`.

    `values` are those that shells complete.
    """

    option: str
    path: str
    help: str
    panel: str = TENANT
    type: Any = str
    values: tuple[str, ...] = ()

    @property
    def parameter(self) -> inspect.Parameter:
        """The option as a parameter of a command."""
        option = typer.Option(
            self.option,
            help=self.help,
            rich_help_panel=self.panel,
            autocompletion=one_of(self.values) if self.values else None,
        )
        return keyword(self.option.removeprefix("--").replace("-", "_"), Annotated[self.type | None, option])


CHANGEABLE_FIELDS = (
    Field("--tenant-name", "tenantName", "Name of the tenant."),
    Field("--company-name", "companyName", "Name of the company (default: the tenant's name)."),
    Field("--client-name", "clientName", "Name of the tenant's own client record (default: the company's name)."),
    Field("--plan", "plan", "solo or pro.", values=("solo", "pro")),
    Field("--billing-plan", "billingPlan", "A contract line of the product's blueprint."),
    Field(
        "--billing-source",
        "billingSource",
        "manual (default), stripe or apple_iap.",
        values=("manual", "stripe", "apple_iap"),
    ),
    Field("--license-count", "licenseCount", "Number of licensed users.", type=int),
    Field("--email-provider", "emailProvider", "resend (default) or smtp.", values=("resend", "smtp")),
    Field("--addon", "addons", "Key of an add-on; may be repeated.", type=list[str]),
    Field("--address-line1", "billingAddress.line1", "Street.", ADDRESS),
    Field("--address-line2", "billingAddress.line2", "Second line of the street.", ADDRESS),
    Field("--address-city", "billingAddress.city", "City.", ADDRESS),
    Field("--address-state", "billingAddress.state", "State.", ADDRESS),
    Field("--address-postal-code", "billingAddress.postalCode", "Postal code.", ADDRESS),
    Field("--address-country-code", "billingAddress.countryCode", "ISO 3166-1 code of two letters.", ADDRESS),
    Field("--address-phone", "billingAddress.phone", "Phone number.", ADDRESS),
)
CREATION_FIELDS = (
    *CHANGEABLE_FIELDS,
    Field("--product", "productCode", "psa (default) or algadesk.", values=PRODUCTS),
    Field("--tenant-id", "tenantId", "UUID of the new tenant (default: generated)."),
    Field("--skip-welcome-email", "skipWelcomeEmail", "Send the administrator no mail.", type=bool),
    Field("--portal-user", "portalUser", "Make a portal user in the management tenant, too.", type=bool),
    Field(
        "--skip-customer-tracking", "skipCustomerTracking", "Make no customer in the management tenant.", type=bool
    ),
    Field("--admin-first-name", "adminUser.firstName", "First name.", ADMIN),
    Field("--admin-last-name", "adminUser.lastName", "Last name.", ADMIN),
    Field("--admin-email", "adminUser.email", "E-mail address and login name.", ADMIN),
)
OPTIONS = {field.path: field.option for field in CREATION_FIELDS} | {
    "adminUser.password": "administrator's password",
    "billingAddress": "billing address",
    "eventId": "--event-id",
    "eventTypes": "--event-type",
    "expiresAt": "--expires",
    "exportId": "EXPORT",
    "gracePeriodDays": "--grace-days",
    "key": "KEY",
    "occurredAfter": "--occurred-after",
    "occurredBefore": "--occurred-before",
    "overlapHours": "--overlap-hours",
    "startedAfter": "--started-after",
    "startedBefore": "--started-before",
    "url": "URL of the receiver",
    "userType": "--type",
    **{
        name: f"--{name}"
        for name in ("confirm", "description", "export", "kind", "name", "reason", "search", "state", "status")
    },
}


def option_of(path: str) -> str:
    """Return the option that sets a JSON field or query parameter, or the path if no option does."""
    return OPTIONS.get(re.sub(r"\.[0-9]+$", "", path), path)


def takes_fields(fields: tuple[Field, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field; its first parameter becomes the JSON document that they make."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_options(*positional: Any, **arguments: Any) -> None:
            document: dict[str, Any] = {}
            for field in fields:
                value = arguments.pop(field.parameter.name)
                if value is not None and value != []:
                    parent, _, name = field.path.rpartition(".")
                    (document.setdefault(parent, {}) if parent else document)[name] = value
            command(document, *positional, **arguments)

        replace_first_parameter(command, with_options, (field.parameter for field in fields))
        return with_options

    return decorate


def read_file(file: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object in a file, or on stdin if `file` is `-`; options in `given` exclude a file."""
    if given:
        raise typer.BadParameter("--file can't be combined with options for fields; leave out one of them")
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--file") from None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{file}: not a JSON object", param_hint="--file")
    return document
