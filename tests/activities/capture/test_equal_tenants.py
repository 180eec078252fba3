"""A tenant that is made from a captured blueprint equals its model in every table."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from activities.capture.capture import Captured
from activities.capture.file import blueprint_text
from tests.activities.capture.conftest import Capture, Provision, loaded
from tests.support.tenants.comparing import comparable_rows
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def captured(unchanged_model: UUID, capture: Capture) -> Captured:
    return await capture(unchanged_model)


@pytest.fixture(scope="module")
async def made(captured: Captured, provision: Provision, tmp_path_factory: pytest.TempPathFactory) -> UUID:
    """The tenant that is made from the captured blueprint."""
    return await provision(loaded(captured, tmp_path_factory.mktemp("captured")))


async def test_a_tenant_of_the_captured_blueprint_is_golden_and_equals_its_model(
    unchanged_model: UUID,
    captured: Captured,
    made: UUID,
    database: asyncpg.Connection,
    golden: Mapping[str, Any],
) -> None:
    assert await row_counts(database, unchanged_model) == golden["psa"]["row_counts"]
    assert captured.left_out == ()
    assert await row_counts(database, made) == golden["psa"]["row_counts"]
    assert await comparable_rows(database, made) == await comparable_rows(database, unchanged_model)


async def test_a_second_capture_writes_the_same_bytes_and_so_does_one_of_the_new_tenant(
    unchanged_model: UUID, captured: Captured, made: UUID, capture: Capture
) -> None:
    first = blueprint_text(captured.document)
    assert blueprint_text((await capture(unchanged_model)).document) == first
    assert blueprint_text((await capture(made)).document) == first
