"""`alga-tenants tenants`: lists and shows tenants as Alga's database has them."""

from typing import Annotated

import typer

from app.cli.exit_codes import EXIT_CODES_HELP
from app.cli.operations.create import create
from app.cli.operations.report import Report, print_json
from app.cli.options import DEFAULT_LIMIT, DEFAULT_URL, MAX_PAGE_SIZE, ApiKey, AsJson, Limit, Url
from app.cli.output import print_tenants, show_tenant

app = typer.Typer(help="Create, list and show tenants.", no_args_is_help=True)
app.command("create", epilog=EXIT_CODES_HELP)(create)


@app.command("list", epilog=EXIT_CODES_HELP)
def list_tenants(
    *,
    api_key: ApiKey,
    search: Annotated[
        str | None, typer.Option(help="Part of a name or an e-mail address in any case, or a tenant id.")
    ] = None,
    product: Annotated[str | None, typer.Option(help="Only of this product: psa or algadesk.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state, such as active or suspended.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List all tenants in Alga's database."""
    report = Report(url, as_json=as_json)
    with report.client(api_key) as client:
        matching = client.tenants(
            search=search, product_code=product, state=state, page_size=min(limit, MAX_PAGE_SIZE)
        )
        report.show_list("tenants", matching, limit, print_tenants)


@app.command(epilog=EXIT_CODES_HELP)
def show(
    tenant_id: Annotated[str, typer.Argument(metavar="ID", help="The tenant's id, a UUID.")],
    *,
    api_key: ApiKey,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show a tenant."""
    report = Report(url, as_json=as_json)
    with report.client(api_key) as client:
        tenant = client.tenant(tenant_id)
    if as_json:
        print_json(tenant.as_json())
    else:
        show_tenant(report.stdout, tenant)
