"""`alga-tenants tenants change-product`."""

from typing import Annotated

import typer
from rich.console import Console

from app.cli.connection.completion import one_of
from app.cli.console import print_json, say, visible
from app.cli.exit_codes import ExitCode
from app.cli.operations.report import Report, connected
from app.cli.options import DEFAULT_TIMEOUT, TenantId, Timeout, Wait, Yes, confirmed
from app.cli.rendering.hints import with_commands
from app.cli.rendering.tenants import print_indented
from app.cli.tenants.changes import follow_change
from app.client import ChangedRows, ProductChangePreview


@connected
def change_product(
    report: Report,
    tenant_id: TenantId,
    *,
    product: Annotated[str, typer.Option(help="The new product: psa.", autocompletion=one_of(["psa"]))],
    preview: Annotated[bool, typer.Option("--preview", help="Only show what would be written.")] = False,
    yes: Yes = False,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Change a tenant of product algadesk to product psa, in one transaction.

    Rows that it lacks are added, and nothing is taken from it. There is no way back.
    """
    if preview or not yes:
        found = report.client.preview_product_change(tenant_id, product_code=product)
        if preview or not found.is_allowed:
            _show(report, found)
            return ExitCode.DONE if found.is_allowed else ExitCode.CONFLICT
        about = f"{found.tenant_id}, {found.rows:,} new rows"
        if found.product_code != product and not confirmed(
            f"Change {visible(found.name)} ({about}) to {product}, with no way back?"
        ):
            report.note("Nothing was changed.")
            return ExitCode.CANCELLED
    changed = report.client.change_product(tenant_id, product_code=product, wait=0)
    return follow_change(report, changed, timeout, wait=wait, already=f"of product {product}")


def _show(report: Report, preview: ProductChangePreview) -> None:
    if report.as_json:
        print_json(preview.as_json())
        return
    console = report.stdout
    say(console, f"{preview.name}  {preview.product_code} -> {preview.new_product_code}", "bold")
    for title, parts in (
        ("would be added", preview.tables),
        ("would be changed", preview.changes),
        ("stays, though a new tenant would not have it", preview.stays),
    ):
        _show_parts(console, title, parts)
    if preview.product_code == preview.new_product_code:
        say(console, "The tenant has this product; nothing would be written.")
    for warning in preview.warnings:
        say(console, f"warning: {with_commands(warning.detail)}", "yellow")
    for refusal in preview.refusals:
        say(console, f"refused ({refusal.code}): {with_commands(refusal.detail)}", "bold red")


def _show_parts(console: Console, title: str, parts: tuple[ChangedRows, ...]) -> None:
    if parts:
        say(console, title, "bold")
    for part in parts:
        say(console, f"{part.rows:>12,}  {part.table}")
        if part.examples:
            more = ", …" if len(part.examples) < part.rows else ""
            print_indented(console, f"{', '.join(part.examples)}{more}")
