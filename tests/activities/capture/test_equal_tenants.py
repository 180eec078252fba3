"""A tenant that is made from a captured blueprint equals its model in every table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from activities.capture.file import blueprint_text
from tests.activities.capture.conftest import Capture, Provision, loaded
from tests.support.tenants.comparing import comparable_rows
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio


async def test_a_tenant_of_the_captured_blueprint_is_golden_and_equals_its_model(
    model: UUID,
    capture: Capture,
    provision: Provision,
    database: asyncpg.Connection,
    *,
    golden: Mapping[str, Any],
    tmp_path: Path,
) -> None:
    assert await row_counts(database, model) == golden["psa"]["row_counts"]
    captured = await capture(model)
    assert captured.left_out == ()
    made = await provision(loaded(captured, tmp_path))
    assert await row_counts(database, made) == golden["psa"]["row_counts"]
    assert await comparable_rows(database, made) == await comparable_rows(database, model)


async def test_a_second_capture_writes_the_same_bytes_and_so_does_one_of_the_new_tenant(
    model: UUID, capture: Capture, provision: Provision, tmp_path: Path
) -> None:
    first = blueprint_text((await capture(model)).document)
    assert blueprint_text((await capture(model)).document) == first
    made = await provision(loaded(await capture(model), tmp_path))
    assert blueprint_text((await capture(made)).document) == first
