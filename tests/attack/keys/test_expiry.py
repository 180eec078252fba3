"""A key that expires while the authenticator remembers it."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from app.auth.authenticator import Authenticator
from app.auth.remembered_callers import REMEMBERED_SECONDS
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio

LIFE = timedelta(seconds=2)


async def test_a_key_is_not_remembered_beyond_its_expiry(keys: Keys) -> None:
    assert LIFE.total_seconds() < REMEMBERED_SECONDS
    authenticator = Authenticator(keys.api_keys)
    made = await keys.create(expires_in=LIFE)
    headers = {"x-api-key": made.key}
    assert await authenticator.authenticate(headers) is not None
    assert made.record.expires_at is not None
    while datetime.now(UTC) <= made.record.expires_at:  # noqa: ASYNC110 - time has to pass
        await anyio.sleep(0.05)
    assert await authenticator.authenticate(headers) is None
