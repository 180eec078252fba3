"""Every line of the table of database errors, with errors that real servers make."""

import re
from typing import Any

import pytest

from activities.database.errors import DATABASE_ERRORS, KNOWN_ERRORS, KnownError, classify
from app.embedded.postgres import EmbeddedPostgres
from tests.activities.database.provoking.provoked_by_connections import CONNECTIONS, nothing_listens
from tests.activities.database.provoking.provoked_by_pgbouncer import PGBOUNCER, UNDECLARED
from tests.activities.database.provoking.provoked_by_servers import SERVERS
from tests.activities.database.provoking.provoked_by_statements import (
    STATEMENTS,
    a_function_that_a_trigger_calls_refuses_a_row,
    a_key_is_taken,
    a_trigger_fails_with_a_statement_of_its_own,
    a_trigger_refuses_a_row,
)
from tests.activities.database.provoking.provoking import (
    Act,
    Provocation,
    Stage,
    assert_reported_as_the_table_says,
    each,
)
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

ALL: list[Provocation[Any]] = [*STATEMENTS.all, *CONNECTIONS.all, *SERVERS.all, *PGBOUNCER.all, *UNDECLARED.all]


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> str:
    return new_database()


def test_every_line_of_the_table_is_provoked() -> None:
    assert {known.name for known in KNOWN_ERRORS} == {provocation.line for provocation in ALL}


def test_every_line_has_a_name_of_its_own() -> None:
    assert len({known.name for known in KNOWN_ERRORS}) == len(KNOWN_ERRORS)


def test_only_faults_of_the_data_and_of_our_statements_are_final() -> None:
    final = {known.name for known in KNOWN_ERRORS if known.is_final}
    assert final == {"22", "23", "44000", "P0", "42", "0A000"}


@pytest.mark.parametrize("known", KNOWN_ERRORS, ids=lambda known: known.name)
def test_every_line_says_what_to_check(known: KnownError) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", known.code)
    assert known.meaning


@each(*STATEMENTS.all, *CONNECTIONS.all)
async def test_an_error_is_reported_as_the_table_says(
    provocation: Provocation[Stage], postgres: EmbeddedPostgres, database: str
) -> None:
    async with Stage(postgres, database) as stage:
        await assert_reported_as_the_table_says(provocation, stage)


@pytest.mark.parametrize(
    ("act", "facts"),
    [
        (a_key_is_taken, "(SQLSTATE 23505, table things, constraint things_pkey)"),
        (a_trigger_refuses_a_row, "(SQLSTATE P0001, function refuse())"),
        (a_function_that_a_trigger_calls_refuses_a_row, "(SQLSTATE P0001, function checks.forbid(integer,text))"),
        (a_trigger_fails_with_a_statement_of_its_own, "(SQLSTATE 22012)"),
        (nothing_listens, "(ConnectionRefusedError)"),
    ],
)
async def test_an_error_names_the_place_that_the_server_names(
    act: Act[Stage], facts: str, postgres: EmbeddedPostgres, database: str
) -> None:
    async with Stage(postgres, database) as stage:
        with pytest.raises(DATABASE_ERRORS) as caught:
            await act(stage)
    diagnosis = classify(caught.value)
    assert diagnosis is not None
    assert diagnosis.detail == f"{diagnosis.known.meaning} {facts}"
