"""The right to disable a trigger, and the error without it."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.errors import MissingRightError
from tests.activities.purge.conftest import run_script
from tests.activities.purge.small import THEIRS, purge, values
from tests.activities.purge.triggers.guarded import guard

pytestmark = pytest.mark.anyio

ROLES = """
    CREATE ROLE "The keeper"; CREATE ROLE helper; CREATE ROLE stranger; CREATE ROLE distant NOINHERIT;
    GRANT "The keeper" TO helper, distant;
    GRANT USAGE, CREATE ON SCHEMA public TO "The keeper";
    GRANT USAGE ON SCHEMA public TO stranger, distant;
    ALTER TABLE "Stock movements" OWNER TO "The keeper";
    GRANT SELECT, DELETE ON "Stock movements" TO stranger, distant;
    GRANT ALL ON log TO "The keeper", stranger, distant;
"""


@pytest.fixture
async def guarded(empty: AsyncConnection) -> AsyncConnection:
    await guard(empty)
    await run_script(empty, ROLES)
    return empty


@pytest.mark.parametrize("role", ['"The keeper"', "helper", "postgres"])
async def test_the_owner_its_members_and_a_superuser_may_disable_a_trigger(
    guarded: AsyncConnection, role: str
) -> None:
    await guarded.execute(text(f"SET LOCAL ROLE {role}"))
    await purge(guarded)
    assert await values(guarded, 'SELECT tenant FROM "Stock movements"') == [THEIRS]


@pytest.mark.parametrize("role", ["stranger", "distant"])
async def test_a_role_without_the_right_gets_a_remedy_for_an_administrator(
    guarded: AsyncConnection, role: str
) -> None:
    await guarded.execute(text(f"SET LOCAL ROLE {role}"))

    with pytest.raises(MissingRightError) as caught:
        await purge(guarded)

    assert caught.value.code == "missing-right"
    assert str(caught.value) == (
        f'trigger "Append only" of table public."Stock movements" forbids the change, and role {role} may not '
        f'disable it, because "The keeper" owns the table; an administrator can run: '
        f'GRANT "The keeper" TO {role} WITH INHERIT TRUE'
    )
    assert len(await values(guarded, 'SELECT tenant FROM "Stock movements"')) == 3
    await guarded.execute(text("RESET ROLE"))
    await guarded.execute(text(caught.value.remedy))
    await guarded.execute(text(f"SET LOCAL ROLE {role}"))
    await purge(guarded)
    assert await values(guarded, 'SELECT tenant FROM "Stock movements"') == [THEIRS]
