"""The command line, `alga-tenants`."""

import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated, ClassVar

import typer

from app.cli.exit_codes import EXIT_CODES_HELP
from app.cli.lazy_commands import LazyCommand, LazyGroup

TENANTS = "Tenants"
SHORT = "Short forms"
SERVICE = "Service"


class _Root(LazyGroup):
    lazy_commands: ClassVar = {
        "tenants": LazyCommand("app.cli.tenants.tenants:app", "Create, show, suspend and delete tenants.", TENANTS),
        "operations": LazyCommand("app.cli.operations.operations:app", "List, watch and change operations.", TENANTS),
        "exports": LazyCommand(
            "app.cli.operations.exports:app", "Export tenants, and download and verify archives.", TENANTS
        ),
        "restores": LazyCommand("app.cli.operations.restores:app", "Restore deleted tenants.", TENANTS),
        "webhooks": LazyCommand(
            "app.cli.operations.webhooks:app", "Send events to other systems, and show what they received.", TENANTS
        ),
        "create": LazyCommand("app.cli.tenants.create:create", "Create a tenant: tenants create.", SHORT),
        "list": LazyCommand(
            "app.cli.operations.operations:list_operations", "List operations: operations list.", SHORT
        ),
        "status": LazyCommand("app.cli.operations.operations:show", "Show an operation: operations show.", SHORT),
        "watch": LazyCommand("app.cli.operations.operations:watch", "Watch an operation: operations watch.", SHORT),
        "resume": LazyCommand(
            "app.cli.operations.operations:resume", "Resume an operation: operations resume.", SHORT
        ),
        "cancel": LazyCommand(
            "app.cli.operations.operations:cancel", "Cancel an operation: operations cancel.", SHORT
        ),
        "dev": LazyCommand("app.cli.processes.dev:app", "Start everything on this machine, to try it out.", SERVICE),
        "open": LazyCommand(
            "app.cli.processes.opening:command", "Open the console, the documentation or Temporal's UI.", SERVICE
        ),
        "gateway": LazyCommand("app.cli.processes.gateway:command", "Run the gateway process.", SERVICE),
        "worker": LazyCommand("app.cli.processes.worker:command", "Run the worker process.", SERVICE),
        "migrate": LazyCommand("app.cli.maintenance.migrate:command", "Upgrade the schema alga_tenants.", SERVICE),
        "doctor": LazyCommand(
            "app.cli.maintenance.doctor:command", "Report what is missing and how to fix it.", SERVICE
        ),
        "reconcile": LazyCommand(
            "app.cli.maintenance.reconcile:command", "Compare operations with Temporal.", SERVICE
        ),
        "track": LazyCommand(
            "app.cli.maintenance.track:command", "Make a tenant a customer in the management tenant.", SERVICE
        ),
        "replay": LazyCommand("app.cli.maintenance.replay:command", "Check workflows before a deployment.", SERVICE),
        "blueprints": LazyCommand(
            "app.cli.maintenance.blueprints:app", "Capture, check and compare blueprints.", SERVICE
        ),
        "keys": LazyCommand("app.cli.maintenance.keys:app", "Create, rotate, list and revoke API keys.", SERVICE),
        "mail": LazyCommand("app.cli.maintenance.mail:app", "Show the welcome mail.", SERVICE),
        "archives": LazyCommand(
            "app.cli.maintenance.archives:app", "Import archives of other installations.", SERVICE
        ),
        "audit": LazyCommand("app.cli.maintenance.audit:app", "Verify and list the audit trail.", SERVICE),
        "certificate": LazyCommand(
            "app.cli.maintenance.certificate:app", "Show and verify certificates of deletions.", SERVICE
        ),
    }


# Tracebacks for people would print local variables, and secrets with them.
app = typer.Typer(
    cls=_Root,
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"alga-tenants {version('alga-tenants')}")
        raise typer.Exit


@app.callback()
def alga_tenants(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Create and manage Alga PSA tenants."""


def main() -> None:
    """Run the command that the arguments name, and exit."""
    try:
        app(prog_name="alga-tenants")
    except SystemExit as error:
        if "temporalio" not in sys.modules:
            raise
        # Threads of Temporal's SDK may still hold the interpreter. Finalizing it would abort one exit in ten with
        # status 134 (measured with temporalio 1.35 and Python 3.11).
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(error.code or 0))
