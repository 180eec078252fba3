"""The command line, `alga-tenants`."""

import logging
import os
import sys
from typing import ClassVar, NoReturn

import typer

from app.cli.exit_codes import EXIT_CODES_HELP
from app.cli.lazy import LazyCommand, LazyGroup

PEOPLE = "Tenants"
SHORT = "Short forms"
SERVICE = "Service"


def _short(target: str, help_text: str) -> LazyCommand:
    return LazyCommand(target, help_text, SHORT, is_client=True)


class _Root(LazyGroup):
    lazy_commands: ClassVar = {
        "tenants": LazyCommand("app.cli.operations.tenants:app", "Create, list and show tenants.", PEOPLE),
        "operations": LazyCommand(
            "app.cli.operations.operations:app", "List, show, watch and change operations.", PEOPLE
        ),
        "create": _short("app.cli.operations.create:create", "Create a tenant and watch it: tenants create."),
        "list": _short("app.cli.operations.operations:list_operations", "List operations: operations list."),
        "status": _short("app.cli.operations.operations:show", "Show an operation: operations show."),
        "watch": _short("app.cli.operations.operations:watch", "Watch an operation: operations watch."),
        "resume": _short("app.cli.operations.operations:resume", "Resume an operation: operations resume."),
        "cancel": _short("app.cli.operations.operations:cancel", "Cancel an operation: operations cancel."),
        "dev": LazyCommand(
            "app.cli.processes.dev:command", "Start everything on this machine, for trying out.", SERVICE
        ),
        "gateway": LazyCommand("app.cli.processes.gateway:command", "Run the gateway process.", SERVICE),
        "worker": LazyCommand("app.cli.processes.worker:command", "Run the worker process.", SERVICE),
        "migrate": LazyCommand(
            "app.cli.maintenance.migrate:command", "Bring schema alga_tenants up to date.", SERVICE
        ),
        "doctor": LazyCommand(
            "app.cli.maintenance.doctor:command", "Say what is missing, and how to mend it.", SERVICE
        ),
        "reconcile": LazyCommand(
            "app.cli.maintenance.reconcile:command", "Compare operations with Temporal.", SERVICE
        ),
        "replay": LazyCommand(
            "app.cli.maintenance.replay:command", "Check running workflows before a deploy.", SERVICE
        ),
        "keys": LazyCommand("app.cli.maintenance.keys:app", "Create, list and revoke API keys.", SERVICE),
        "audit": LazyCommand("app.cli.maintenance.audit:app", "Verify and list what was done and refused.", SERVICE),
    }


# Tracebacks for people would print local variables, and secrets with them.
app = typer.Typer(
    cls=_Root,
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def alga_tenants() -> None:
    """Create and look after Alga PSA tenants."""


def main() -> None:
    """Run the command that the arguments name, and exit."""
    try:
        app(prog_name="alga-tenants")
    except SystemExit as ending:
        if "temporalio" in sys.modules:
            _leave(ending.code)
        raise


def _leave(code: object) -> NoReturn:
    """Exit without tearing the interpreter down.

    Threads of Temporal's SDK may still hold the interpreter then, which aborts one exit in ten with status 134
    (measured with temporalio 1.35 and Python 3.11). All that is left to do is to write out what was said.
    """
    if isinstance(code, str):
        print(code, file=sys.stderr)  # noqa: T201 - as the interpreter would
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
