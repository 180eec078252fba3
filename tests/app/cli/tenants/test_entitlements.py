"""The commands that change licences and add-ons."""

import pytest

from tests.app.cli.conftest import Run
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    TENANT_ID,
    TENANT_PATH,
    Reply,
    ScriptedServer,
    document,
    problem,
    tenant,
)

LICENCE = ("tenants", "licence", TENANT_ID)
RESULT = {"tenantId": TENANT_ID, "licenseCount": 25, "isRepeated": False}
WARNING = {"code": "users-above-licence", "detail": "the tenant has 30 active users, and the licence allows 25"}


def of_kind(status: str) -> dict[str, object]:
    ended = {"result": RESULT, "warnings": [WARNING]} if status == "completed" else {}
    return document(status, kind="tenant_licence_change", parameters={"licenseCount": 25}, **ended)


def test_a_licence_is_changed_and_its_warning_shown(server: ScriptedServer, run: Run) -> None:
    server.script("PATCH", f"{TENANT_PATH}/licence", Reply(202, of_kind("queued")))
    server.script("GET", OPERATION_PATH, Reply(200, of_kind("completed")))
    ran = run(*LICENCE, "--license-count=25", "--event-id=evt_1")
    assert ran.code == 0
    assert "the tenant has 30 active users" in " ".join(ran.stdout.split())
    assert (server.received[0].body, server.received[0].headers["prefer"]) == (
        {"licenseCount": 25, "eventId": "evt_1"},
        "wait=0",
    )


def test_a_repeated_event_shows_the_tenant(server: ScriptedServer, run: Run) -> None:
    server.script("PATCH", f"{TENANT_PATH}/licence", Reply(200, tenant()))
    ran = run(*LICENCE, "--plan=pro", "--event-id=evt_1")
    assert (ran.code, "changed as requested already; nothing was started" in ran.stderr) == (0, True)


def test_an_addon_is_granted_until_a_date_and_revoked(server: ScriptedServer, run: Run) -> None:
    path = f"{TENANT_PATH}/addons/teams"
    server.script("PUT", path, Reply(202, of_kind("queued")))
    server.script("DELETE", path, Reply(202, of_kind("queued")))
    arguments = (TENANT_ID, "teams", "--no-wait")
    assert run("tenants", "grant-addon", *arguments, "--expires=2030-01-31T12:00:00Z").code == 0
    assert run("tenants", "revoke-addon", *arguments).code == 0
    assert server.received[0].body == {"expiresAt": "2030-01-31T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (LICENCE, "give --license-count, --plan, or both"),
        ((*LICENCE, "--license-count=0"), "--license-count"),
        (("tenants", "grant-addon", TENANT_ID, "teams", "--expires=soon"), "is not a time"),
    ],
)
def test_invalid_usage_names_the_option(run: Run, arguments: tuple[str, ...], message: str) -> None:
    ran = run(*arguments)
    assert (ran.code, message in ran.stderr) == (2, True), ran.stderr


def test_an_event_id_that_was_used_is_a_conflict(server: ScriptedServer, run: Run) -> None:
    fault = {"field": "eventId", "detail": "this id was used for another change of the tenant"}
    server.script("PATCH", f"{TENANT_PATH}/licence", problem(409, "event-id-used", errors=[fault]))
    ran = run(*LICENCE, "--license-count=25", "--event-id=evt_1")
    assert (ran.code, "--event-id: this id was used" in ran.stderr) == (7, True)
