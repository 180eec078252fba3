import base64
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import Client

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.temporal import EmbeddedTemporal
from tests.e2e.conftest import Service, request
from tests.e2e.obstacles import waiting
from tests.support.sql_watch.watch import LOG_FOLDER
from tests.support.tenants.rows import tenant_tables
from workflows.tenants.steps import CREATE_ADMIN_USER

pytestmark = pytest.mark.anyio

END_CONNECTIONS = """
    SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
    WHERE datname = current_database() AND starts_with(application_name, 'alga-tenants-worker')
"""


async def test_only_the_hash_of_the_password_is_stored(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    password = f"unmistakable-{uuid4().hex}"
    body = request()
    body["adminUser"]["password"] = password
    good = await service.finished((await service.create(**body))["workflowId"])
    clash = await service.finished((await service.create(**body))["workflowId"])
    wrong = await service.http.post(
        "/tenants", json={**body, "tenantName": 5, "adminUser": {**body["adminUser"], "x": 1}}
    )
    assert (good["status"], clash["status"], wrong.status_code) == ("completed", "failed", 422)
    assert password not in str(good) + str(clash) + wrong.text
    await _assert_absent_from_history(temporal.address, [good["workflowId"], clash["workflowId"]], password)
    await _assert_absent_from_database(database, password)
    for log in service.logs.iterdir():
        assert password not in log.read_text(), log


async def test_a_log_of_all_statements_holds_no_password_and_no_hash(
    service: Service, database: asyncpg.Connection, postgres: EmbeddedPostgres
) -> None:
    """Values are parameters, which an operator who logs all statements can leave out of the log."""
    settings = {"log_statement": "all", "log_parameter_max_length": "0"}
    name = await database.fetchval("SELECT quote_ident(current_database())")
    admin = await asyncpg.connect(postgres.admin_url)
    try:
        for setting, value in settings.items():
            await admin.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
        # The settings are those of new connections.
        await database.execute(END_CONNECTIONS)
        body = request()
        document = await service.finished((await service.create(**body))["workflowId"])
    finally:
        for setting in settings:
            await admin.execute(f"ALTER DATABASE {name} RESET {setting}")
        await admin.close()
    query = "SELECT hashed_password FROM users WHERE tenant = $1"
    password_hash = await database.fetchval(query, document["tenantId"])
    # The statement watch of the tests makes the server log to a folder.
    files = [postgres.data_dir / "server.log", *postgres.data_dir.rglob(f"{LOG_FOLDER}/*")]
    log = b"".join(file.read_bytes() for file in files)
    assert b"INSERT INTO public.users" in log or b"INSERT INTO users" in log
    for secret in (body["adminUser"]["password"], password_hash, password_hash.partition(":")[2]):
        assert secret.encode() not in log
        # The form of a literal in a script.
        assert secret.encode().hex().encode() not in log


async def test_a_generated_password_is_returned_once_and_not_stored(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    body = request()
    del body["adminUser"]["password"]
    headers = {"Idempotency-Key": str(uuid4())}
    first = (await service.http.post("/tenants", json=body, headers=headers)).json()
    again = (await service.http.post("/tenants", json=body, headers=headers)).json()
    password = first["temporaryPassword"]
    assert len(password) >= 20
    assert again["workflowId"] == first["workflowId"]
    assert "temporaryPassword" not in again
    finished = await service.finished(first["workflowId"])
    assert password not in str(finished)
    await _assert_absent_from_history(temporal.address, [first["workflowId"]], password)
    await _assert_absent_from_database(database, password)


async def test_the_api_key_is_stored_as_argon2id_and_not_logged(
    service: Service, database: asyncpg.Connection
) -> None:
    key = service.installation.api_key
    hashes = [row[0] for row in await database.fetch("SELECT secret_hash FROM alga_tenants.api_keys")]
    assert hashes
    assert all(stored.startswith("$argon2id$") for stored in hashes)
    await _assert_absent_from_database(database, key)
    for log in service.logs.iterdir():
        assert key not in log.read_text(), log


async def test_temporal_stores_nothing_personal_in_clear(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    """Check histories, memos, listings and files of a completed, a failed and a cancelled creation."""
    mark, sounds, control = uuid4().hex, _sounds(), f"{uuid4().hex} {_sounds()}"
    person = f"person-{mark}"
    in_clear = await _show(temporal, control)
    body: dict[str, Any] = {
        "tenantName": f"Tenant {mark}",
        "companyName": f"Company {mark}",
        "adminUser": {
            "firstName": f"First-{mark} {sounds}",
            "lastName": f"Last-{mark} {sounds}",
            "email": f"mail-{mark}@acme.example",
            "password": f"password-{mark}",
        },
    }
    on_behalf = {"X-On-Behalf-Of": person}
    completed = await service.finished((await service.create(headers=on_behalf, **body))["workflowId"])
    failed = await service.finished((await service.create(headers=on_behalf, **body))["workflowId"])
    tenant_id = uuid4()
    async with waiting(database, CREATE_ADMIN_USER, tenant_id):
        held = {**body, "adminUser": {**body["adminUser"], "email": f"other-{mark}@acme.example"}}
        stopped = await service.create(headers=on_behalf, **held, tenantId=str(tenant_id))
        await service.http.request(
            "DELETE", stopped["links"]["cancel"], json={"reason": f"reason-{mark}"}, headers=on_behalf
        )
    cancelled = await service.finished(stopped["workflowId"])
    assert [operation["status"] for operation in (completed, failed, cancelled)] == [
        "completed",
        "failed",
        "cancelled",
    ]
    assert cancelled["cancelledBy"] == person
    password_hash = await database.fetchval(
        "SELECT hashed_password FROM users WHERE tenant = $1", completed["tenantId"]
    )
    shown = await _all_that_temporal_shows(
        [in_clear, completed["workflowId"], failed["workflowId"], stopped["workflowId"]], temporal
    )
    files = [path.read_bytes() for path in temporal.data_dir.glob("temporal.db*")]
    assert len(shown) > 30
    for seen in (shown, files):
        assert _found(control, seen), "what is in clear would be found"
        for secret in (mark, sounds, password_hash, password_hash.partition(":")[2]):
            assert _found(secret, seen) == set(), secret


async def _show(temporal: EmbeddedTemporal, text: str) -> str:
    """Store a text in clear in Temporal, as a client without encryption does, and return the workflow's id."""
    client = await Client.connect(temporal.address)
    workflow_id = f"in-clear-{uuid4()}"
    await client.start_workflow("anybody's", text, id=workflow_id, task_queue="nobody-polls", memo={"text": text})
    return workflow_id


def _sounds() -> str:
    """Return letters outside of ASCII that occur nowhere else in this order."""
    return "".join("äßçñžøλжđéõåşłþŵ"[int(digit, 16)] for digit in uuid4().hex)


def _found(text: str, seen: list[bytes]) -> set[bytes]:
    return {form for form in _forms(text) if any(form in each for each in seen)}


def _forms(text: str) -> set[bytes]:
    """Return the forms in which a text may be stored: plain, as JSON, in UTF-16, and within base64."""
    escaped = json.dumps(text)[1:-1].encode()
    shifted = {
        base64.b64encode(b"\0" * shift + plain)[4 if shift else 0 : -4]
        for plain in (text.encode(), escaped)
        for shift in range(3)
    }
    return {text.encode(), escaped, text.encode("utf-16-le"), text.encode("utf-16-be"), *shifted}


async def _all_that_temporal_shows(workflow_ids: list[str], temporal: EmbeddedTemporal) -> list[bytes]:
    client = await Client.connect(temporal.address)
    seen = []
    for workflow_id in workflow_ids:
        handle = client.get_workflow_handle(workflow_id)
        seen += [event.SerializeToString() for event in (await handle.fetch_history()).events]
        seen.append((await handle.describe()).raw_description.SerializeToString())
    seen += [found.raw_info.SerializeToString() async for found in client.list_workflows()]
    return seen


async def _assert_absent_from_history(address: str, workflow_ids: list[str], secret: str) -> None:
    client = await Client.connect(address)
    for workflow_id in workflow_ids:
        handle = client.get_workflow_handle(workflow_id)
        history = b"".join([event.SerializeToString() for event in (await handle.fetch_history()).events])
        assert secret.encode() not in history
        description = (await handle.describe()).raw_description.SerializeToString()
        assert secret.encode() not in description


async def _assert_absent_from_database(database: asyncpg.Connection, secret: str) -> None:
    tables = [f"alga_tenants.{name}" for name in ("operations", "idempotency_keys", "api_keys")]
    tables += [f'public."{table}"' for table in await tenant_tables(database, even_empty=False)]
    found = "SELECT '{0}' WHERE EXISTS (SELECT FROM {0} t WHERE strpos(t::text, $1) > 0)"
    assert await database.fetch(" UNION ALL ".join(found.format(table) for table in tables), secret) == []
