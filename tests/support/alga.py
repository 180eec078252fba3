"""Facts about Alga that are stored beside the repository."""

import json
import runpy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.embedded.processes.blocking import run_blocking
from tests.support.servers.databases import NewDatabase

ALGA = Path(__file__).parents[3] / "shared" / "alga"
CATALOGS = {"plain": "catalog.json", "citus": "catalog_citus.json"}


def need_facts() -> Path:
    """Return the folder of facts; skip the test without it."""
    if not ALGA.is_dir():
        pytest.skip("the description of Alga's schema is not at ../shared/alga")
    return ALGA


def golden() -> dict[str, Any]:
    """Return the rows that Alga's own code wrote for two tenants."""
    facts: dict[str, Any] = json.loads((need_facts() / "golden.json").read_text())
    return facts


@cache
def catalog(shape: str) -> dict[str, Any]:
    """Return the description of Alga's tables in the given shape."""
    facts: dict[str, Any] = json.loads((need_facts() / CATALOGS[shape]).read_text())
    return facts


def build_template(shape: str, new_database: NewDatabase) -> str:
    """Make a database with all of Alga's tables in the given shape, and the global rows that a new tenant needs."""
    folder = need_facts()
    builder: dict[str, Any] = runpy.run_path(str(folder / "build_schema.py"))
    statements = list(builder["statements"](catalog(shape)))
    statements += builder["reference_statements"]()
    url = new_database()
    # One script, because thousands of round trips take as long as the tables.
    run_blocking(builder["run"](url, [";\n".join(statements)]))
    return url
