"""Welcome mails that are sent again: over REST, by the command and by Alga's client."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from temporalio.client import Client

from app.embedded.temporal import EmbeddedTemporal
from tests.activities.mail.test_welcome_mail import link_in
from tests.e2e.conftest import Service
from tests.e2e.exports.conftest import CommandLine
from tests.e2e.telemetry.test_secrecy import _all_that_temporal_shows, _assert_absent_from_database, _found
from tests.support.servers.mail import ACCEPTED, MailServer
from workflows.tenants.steps import SEND_WELCOME_EMAIL

pytestmark = pytest.mark.anyio


async def new_tenant(service: Service) -> dict[str, Any]:
    """Create a tenant whose administrator has got no mail yet."""
    return await service.provision(skipWelcomeEmail=True)


async def send(service: Service, tenant_id: str, expected: int = 202, **body: Any) -> dict[str, Any]:
    response = await service.http.post(f"/tenants/{tenant_id}/welcome-email", json=body)
    assert response.status_code == expected, response.text
    document: dict[str, Any] = response.json()
    return document


async def as_alga(service: Service, temporal: EmbeddedTemporal, **argument: Any) -> Any:
    """Return what Alga's client gets."""
    client = await Client.connect(temporal.address)
    return await client.execute_workflow(
        "resendWelcomeEmailWorkflow",
        {"triggeredBy": str(uuid4()), "triggeredByEmail": "staff@alga.example", **argument},
        id=f"resend-welcome-email-{argument.get('tenantId')}-{uuid4().hex}",
        task_queue=service.task_queue,
    )


async def test_a_new_link_is_sent_and_the_password_stays(
    mailing: Service, mail_server: MailServer, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    query = "SELECT user_id::text, email, hashed_password FROM users WHERE tenant = $1"
    user = await database.fetchrow(query, tenant_id)
    started = await send(mailing, tenant_id)
    assert (started["kind"], started["tenantName"]) == ("welcome_email", "Acme")
    document = await mailing.finished(started["workflowId"])
    assert (document["status"], document["warnings"]) == ("completed", [])
    assert document["result"] == {"tenantId": tenant_id, "userId": user["user_id"]}
    assert [(step["name"], step["status"]) for step in document["steps"]] == [
        ("validate", "completed"),
        (SEND_WELCOME_EMAIL, "completed"),
    ]
    assert mail_server.recipients[-1] == user["email"]
    assert await database.fetchrow(query, tenant_id) == user
    token = parse_qs(urlsplit(link_in(mail_server.received[-1])).query)["token"][0]
    seen = await _all_that_temporal_shows([document["workflowId"]], temporal)
    for secret in (token, token.split(".")[2], user["email"]):
        assert _found(secret, seen) == set()
    await _assert_absent_from_database(database, token)
    audit = "SELECT action FROM alga_tenants.audit_events WHERE workflow_id = $1"
    assert await database.fetchval(audit, document["workflowId"]) == "tenant.welcome_email"


async def test_a_tenant_may_have_three_in_a_while(mailing: Service, mail_server: MailServer) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    before = len(mail_server.received)
    for _ in range(3):
        response = await mailing.http.post(f"/tenants/{tenant_id}/welcome-email", headers={"Prefer": "wait=30"})
        assert (response.status_code, response.json()["status"]) == (200, "completed")
    response = await mailing.http.post(f"/tenants/{tenant_id}/welcome-email")
    assert (response.status_code, response.json()["code"]) == (429, "rate-limited")
    assert 0 < int(response.headers["Retry-After"]) <= 15 * 60
    assert len(mail_server.received) == before + 3
    # Another tenant is not concerned.
    await send(mailing, (await new_tenant(mailing))["tenantId"])


async def test_the_limit_also_holds_for_algas_client(mailing: Service, temporal: EmbeddedTemporal) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    results = [await as_alga(mailing, temporal, tenantId=tenant_id) for _ in range(4)]
    assert [result["success"] for result in results] == [True, True, True, False]
    assert "too many welcome mails; retry in " in results[-1]["error"]


async def test_algas_client_gets_the_address_and_the_name(
    mailing: Service, mail_server: MailServer, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    email = await database.fetchval("SELECT email FROM users WHERE tenant = $1", tenant_id)
    result = await as_alga(mailing, temporal, tenantId=tenant_id)
    assert result == {"success": True, "email": email, "tenantName": "Acme"}
    assert mail_server.recipients[-1] == email


async def test_an_unknown_field_of_algas_client_is_a_warning(mailing: Service, temporal: EmbeddedTemporal) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    assert (await as_alga(mailing, temporal, tenantId=tenant_id, locale="de"))["success"]
    wanted = {"tenantId": tenant_id, "kind": "welcome_email"}
    [operation] = (await mailing.http.get("/operations", params=wanted)).json()["operations"]
    assert [warning["field"] for warning in operation["warnings"]] == ["locale"]


@pytest.mark.parametrize("user_id", [str(UUID(int=1)), "no-uuid"])
async def test_a_user_who_is_no_administrator_is_refused_by_name(
    mailing: Service, mail_server: MailServer, temporal: EmbeddedTemporal, user_id: str
) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    before = len(mail_server.received)
    result = await as_alga(mailing, temporal, tenantId=tenant_id, userId=user_id)
    assert result["success"] is False
    assert user_id in result["error"] or "userId" in result["error"]
    response = await mailing.http.post(f"/tenants/{tenant_id}/welcome-email", json={"userId": user_id})
    if response.status_code == 202:
        document = await mailing.finished(response.json()["workflowId"])
        assert (document["status"], document["error"]["code"]) == ("failed", "no-administrator")
        assert document["error"]["errors"][0]["field"] == "userId"
    else:
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "userId")
    assert len(mail_server.received) == before


async def test_a_mail_that_can_not_be_sent_fails_the_operation(
    mailing: Service, mail_server: MailServer, temporal: EmbeddedTemporal
) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    mail_server.reply = lambda _: "550 5.7.1 relaying denied"
    try:
        document = await mailing.finished((await send(mailing, tenant_id))["workflowId"])
        result = await as_alga(mailing, temporal, tenantId=tenant_id)
    finally:
        mail_server.reply = lambda _: ACCEPTED
    assert (document["status"], document["error"]["code"]) == ("failed", "mail-refused")
    assert (document["error"]["step"], document["error"]["status"]) == (SEND_WELCOME_EMAIL, 502)
    assert result["success"] is False
    assert "550 5.7.1 relaying denied" in result["error"]


async def test_a_server_that_is_down_for_long_fails_it_as_well(mailing: Service, mail_server: MailServer) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    mail_server.reply = lambda _: "451 4.3.0 try later"
    try:
        started = await send(mailing, tenant_id)
        # While one is open, the same request returns it, and it can't be sent to another user.
        assert (await send(mailing, tenant_id))["workflowId"] == started["workflowId"]
        other = await send(mailing, tenant_id, 409, userId=str(uuid4()))
        assert (other["code"], started["workflowId"] in other["detail"]) == ("operation-in-progress", True)
        document = await mailing.finished(started["workflowId"])
    finally:
        mail_server.reply = lambda _: ACCEPTED
    assert (document["status"], document["error"]["code"]) == ("failed", "mail-unavailable")


async def test_a_suspended_tenant_gets_no_mail(mailing: Service, database: asyncpg.Connection) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    suspend = "UPDATE tenants SET suspended_at = now(), suspended_reason = 'tenant_cancelled' WHERE tenant = $1"
    await database.execute(suspend, tenant_id)
    document = await mailing.finished((await send(mailing, tenant_id))["workflowId"])
    assert (document["status"], document["error"]["code"]) == ("failed", "tenant-suspended")


async def test_an_unknown_tenant_is_a_404_and_an_error(mailing: Service, temporal: EmbeddedTemporal) -> None:
    unknown = str(uuid4())
    assert (await send(mailing, unknown, 404))["code"] == "tenant-not-found"
    assert await as_alga(mailing, temporal, tenantId=unknown) == {
        "success": False,
        "error": f"there is no tenant {unknown}",
    }
    assert "tenantId" in (await as_alga(mailing, temporal))["error"]


async def test_the_command_waits_until_the_mail_is_sent(mailing: Service, mail_server: MailServer) -> None:
    tenant_id = (await new_tenant(mailing))["tenantId"]
    before = len(mail_server.received)
    command_line = CommandLine(mailing.installation.url, mailing.installation.api_key)
    ran = await command_line.run("tenants", "invite", tenant_id, "--json")
    assert (ran.code, ran.document["status"], ran.document["kind"]) == (0, "completed", "welcome_email")
    assert len(mail_server.received) == before + 1
