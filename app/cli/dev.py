"""`alga-tenants dev`: the whole service on one machine, with nothing installed by hand."""

import asyncio
import os
import secrets
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from activities.alga.development import AlgaOwnsDatabaseError
from activities.catalogue import read_catalogue
from activities.purge import count_tenant_rows
from app.embedded.development import DEFAULT_PORT, Installation, install
from app.embedded.errors import StackError
from app.embedded.ports import free_port, is_free
from app.embedded.signals import StopRequested, stop_on_signals
from app.embedded.stack import DevStack
from migrations.upgrade import admin_engine


def command(
    port: Annotated[int | None, typer.Option(help="Port of the gateway; 8000 or a free one by default.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where data is kept; a folder of this checkout below /var/tmp by default.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when ready, and nothing else on stdout.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Provision an example tenant once ready.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Exit after the example; exit status 1 if it failed.")] = False,
) -> None:
    """Start PostgreSQL, Temporal, gateway and worker, and stay up until Ctrl-C.

    Where ADMIN_DATABASE_URL (with DATABASE_URL) or TEMPORAL_ADDRESS is set, that one is used instead of an
    embedded one. Data survives a restart. As root, PostgreSQL runs as the account nobody.
    """
    console = Console(stderr=as_json)
