from collections.abc import Callable

import asyncpg
import pytest

from app.embedded.processes.blocking import run_blocking
from tests.e2e.conftest import Service

# Runs a statement on Alga's tables.
Execute = Callable[..., None]


@pytest.fixture
def execute(service: Service) -> Execute:
    async def run(statement: str, *values: object) -> None:
        connection = await asyncpg.connect(service.installation.admin_database_url)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    return lambda statement, *values: run_blocking(run(statement, *values))
