"""The welcome mail of a creation, through gateway, Temporal and worker, to a real mail server."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import Client, WorkflowHandle

from app.embedded.temporal import EmbeddedTemporal
from tests.activities.mail.test_links import verified
from tests.activities.mail.test_welcome_mail import link_in
from tests.e2e.conftest import MANAGEMENT_TENANT, Service, request
from tests.e2e.mail.conftest import KEY
from tests.e2e.telemetry.test_secrecy import _all_that_temporal_shows, _assert_absent_from_database, _found
from tests.support.servers.mail import ACCEPTED, MailServer, text_of
from tests.support.tenants.stripe import insert_management_tenant
from workflows.tenants.steps import SEND_WELCOME_EMAIL

pytestmark = pytest.mark.anyio


def step(document: dict[str, Any]) -> str:
    return str({line["name"]: line["status"] for line in document["steps"]}[SEND_WELCOME_EMAIL])


async def create_as_alga(mailing: Service, temporal: EmbeddedTemporal, **changes: Any) -> WorkflowHandle[Any, Any]:
    """Start a creation as Alga's client does, which gets the responses in clear."""
    client = await Client.connect(temporal.address)
    argument = request(**changes)
    return await client.start_workflow(
        "tenantCreationWorkflow", argument, id=f"tenant-creation-{uuid4().hex}", task_queue=mailing.task_queue
    )


async def test_a_new_administrator_gets_one_mail_whose_link_nothing_else_holds(
    mailing: Service, mail_server: MailServer, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    before = len(mail_server.received)
    handle = await create_as_alga(mailing, temporal)
    result, state = await handle.result(), await handle.query("getState")
    assert (result["emailSent"], state["emailSent"], state["step"]) == (True, True, "completed")
    document = await mailing.status(handle.id)
    assert (step(document), document["warnings"]) == ("completed", [])
    (message,) = mail_server.received[before:]
    token = parse_qs(urlsplit(link_in(message)).query)["token"][0]
    email = await database.fetchval("SELECT email FROM users WHERE tenant = $1", document["tenantId"])
    assert verified(token, KEY, datetime.now(UTC))["email"] == email == mail_server.recipients[-1]
    seen = await _all_that_temporal_shows([document["workflowId"]], temporal)
    for part in (token, *token.split(".")[1:]):
        assert _found(part, seen) == set()
        await _assert_absent_from_database(database, part)
        for log in mailing.logs.iterdir():
            assert part not in log.read_text(), log


async def test_a_portal_user_gets_a_link_for_the_portal_which_nothing_else_holds(
    mailing: Service, mail_server: MailServer, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    await insert_management_tenant(database, MANAGEMENT_TENANT)
    await database.execute(
        "INSERT INTO roles (tenant, role_name, msp, client) VALUES ($1, 'Admin', false, true)", MANAGEMENT_TENANT
    )
    before, name = len(mail_server.received), f"Portal {uuid4().hex}"
    document = await mailing.provision(tenantName=name, portalUser=True, skipCustomerTracking=False)
    assert (step(document), document["warnings"]) == ("completed", [])
    (message,) = mail_server.received[before:]
    links = [urlsplit(word) for word in text_of(message).split() if "token=" in word]
    queries = [parse_qs(link.query) for link in links]
    assert [query["portal"] for query in queries] == [["msp"], ["client"]]
    token = queries[1]["token"][0]
    claims = verified(token, KEY, datetime.now(UTC))
    email = await database.fetchval("SELECT email FROM users WHERE tenant = $1", document["tenantId"])
    assert (claims["user_type"], claims["email"]) == ("client", email)
    hashes = await database.fetch("SELECT hashed_password FROM users WHERE email = $1", email)
    assert len({row[0] for row in hashes}) == 2
    seen = await _all_that_temporal_shows([document["workflowId"]], temporal)
    for part in token.split(".")[1:]:
        assert _found(part, seen) == set()
        await _assert_absent_from_database(database, part)
    refused = await mailing.http.post("/tenants", json=request(portalUser=True))
    assert refused.status_code == 422
    assert [fault["field"] for fault in refused.json()["errors"]] == ["portalUser"]


async def test_a_creation_may_skip_the_mail(
    mailing: Service, mail_server: MailServer, temporal: EmbeddedTemporal
) -> None:
    before = len(mail_server.received)
    document = await mailing.provision(skipWelcomeEmail=True)
    assert (step(document), document["parameters"]["skipWelcomeEmail"]) == ("skipped", True)
    handle = await create_as_alga(mailing, temporal, skipWelcomeEmail=True)
    assert (await handle.result())["emailSent"] is False
    assert (await handle.query("getState"))["emailSent"] is False
    assert len(mail_server.received) == before


async def test_a_refused_mail_is_a_warning_that_says_how_to_send_it_again(
    mailing: Service, mail_server: MailServer, temporal: EmbeddedTemporal
) -> None:
    mail_server.reply = lambda _: "550 5.1.1 no such mailbox"
    tenant_id = str(uuid4())
    try:
        handle = await create_as_alga(mailing, temporal, tenantId=tenant_id)
        result = await handle.result()
    finally:
        mail_server.reply = lambda _: ACCEPTED
    assert (result["success"], result["emailSent"]) == (True, False)
    assert (await handle.query("getState"))["emailSent"] is False
    document = await mailing.status(handle.id)
    assert step(document) == "failed"
    (warning,) = document["warnings"]
    assert (warning["code"], warning["step"]) == ("mail-refused", SEND_WELCOME_EMAIL)
    assert "550 5.1.1 no such mailbox" in warning["detail"]
    assert warning["detail"].endswith(f"the mail can be sent again: POST /tenants/{tenant_id}/welcome-email")
