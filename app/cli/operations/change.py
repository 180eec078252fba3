"""`alga-tenants operations change`: sends new parameters, made of options or of a file, to an open operation."""

from typing import Annotated

import typer

from app.cli.operations import tenant_fields as fields
from app.cli.operations.report import Report
from app.cli.options import DEFAULT_URL, ApiKey, AsJson, Url, WorkflowId

CHANGEABLE = (
    "--tenant-name, --company-name, --client-name, --plan, --billing-plan, --billing-source, --license-count, "
    "--email-provider, --addon, an option of the billing address, or --file"
)


def change(
    workflow_id: WorkflowId,
    *,
    api_key: ApiKey,
    tenant_name: fields.TenantName = None,
    company_name: fields.CompanyName = None,
    client_name: fields.ClientName = None,
    plan: fields.Plan = None,
    billing_plan: fields.BillingPlan = None,
    billing_source: fields.BillingSource = None,
    license_count: fields.LicenseCount = None,
    email_provider: fields.EmailProvider = None,
    addons: fields.Addons = None,
    address_line1: fields.AddressLine1 = None,
    address_line2: fields.AddressLine2 = None,
    address_city: fields.AddressCity = None,
    address_state: fields.AddressState = None,
    address_postal_code: fields.AddressPostalCode = None,
    address_country_code: fields.AddressCountryCode = None,
    address_phone: fields.AddressPhone = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Read the changes as JSON from this file, or from stdin with -."),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Change parameters of an operation before they are used; if it waits for a person, it goes on.

    --addon and the billing address replace all that was given before.
    In a file, null takes a value back.
    """
    changes = fields.without_blanks(
        {
            "tenantName": tenant_name,
            "companyName": company_name,
            "clientName": client_name,
            "plan": plan,
            "billingPlan": billing_plan,
            "billingSource": billing_source,
            "licenseCount": license_count,
            "emailProvider": email_provider,
            "addons": addons,
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
    if file is not None:
        changes = fields.read_file(file, changes)
    if not changes:
        raise typer.BadParameter(f"nothing to change; give one of {CHANGEABLE}")
    report = Report(url, as_json=as_json)
    with report.client(api_key) as client:
        report.changed(client.change(workflow_id, changes))
    report.finish()
