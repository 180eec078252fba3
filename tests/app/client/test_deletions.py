"""Both clients delete tenants."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from activities.certificates.certificate import Certificate
from activities.certificates.signing import CertificateSigner, SignedCertificate
from app.client import ArgumentError, AuthenticationError, Deletion
from app.gateway.deletions.schemas import DeletionDocument
from tests.app.client.conftest import Call
from tests.app.client.scripted_server import (
    DELETION_ID,
    TENANT_ID,
    TENANT_PATH,
    Reply,
    ScriptedServer,
    deleting,
    deletion,
    problem,
)

PATH = f"{TENANT_PATH}/deletion"
NOON = datetime(2026, 1, 31, 12, 0, 0, 500_000, UTC)
CERTIFICATE = Certificate.model_validate(
    {
        "operation": {"workflowId": DELETION_ID, "runId": "r"},
        "tenant": {"id": TENANT_ID, "name": "Ärger & Söhne", "productCode": "psa", "createdAt": NOON},
        "requestedBy": "Ada Byron",
        "requestedVia": "key:ops",
        "requestedAt": NOON,
        "reason": "contract ended",
        "confirmedBy": "Grace",
        "confirmedVia": "key:second",
        "confirmedAt": NOON,
        "confirmationType": None,
        "gracePeriodDays": 0,
        "scheduledFor": NOON,
        "purgeStartedAt": NOON,
        "purgeFinishedAt": NOON,
        "exportId": None,
        "rowsRemoved": {"tenants": 1, "permissions": 852},
        "totalRowsRemoved": 853,
        "rowsRemaining": 0,
        "proof": {"method": "count", "tables": 459, "keptTables": []},
        "disabledTriggers": [],
        "externalResources": [],
        "audit": {"sequence": 7, "hash": "0" * 64},
    }
)


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({}, {}),
        (
            {"grace_period_days": 0, "export": False, "confirm": True},
            {"gracePeriodDays": 0, "export": False, "confirm": True},
        ),
    ],
)
def test_a_request_sends_what_was_given_only(
    server: ScriptedServer, call: Call, arguments: dict[str, Any], sent: dict[str, Any]
) -> None:
    server.script("POST", PATH, Reply(202, deleting("queued")))
    operation = call("request_deletion", UUID(TENANT_ID), reason="contract ended", **arguments)
    assert (operation.workflow_id, operation.kind) == (DELETION_ID, "tenant_deletion")
    assert server.received[0].body == {"reason": "contract ended", **sent}


def test_the_newest_deletion_is_read(server: ScriptedServer, call: Call) -> None:
    server.script("GET", PATH, Reply(200, deletion(novelty=1)))
    found = call("deletion", TENANT_ID)
    assert (found.tenant_name, found.grace_period_days, found.confirmed_at) == ("Acme", 30, None)
    assert found.operation.status == "awaiting_confirmation"
    assert found.as_json() == deletion(novelty=1)


def test_a_confirmation_and_an_undo_are_sent(server: ScriptedServer, call: Call) -> None:
    server.script("POST", f"{PATH}/confirm", Reply(202, deleting("running")))
    server.script("POST", f"{PATH}/undo", Reply(202, deleting("rolling_back")))
    assert call("confirm_deletion", TENANT_ID).status == "running"
    assert call("undo_deletion", TENANT_ID, reason="renewed").status == "rolling_back"
    call("undo_deletion", TENANT_ID)
    assert [received.body for received in server.received] == [{}, {"reason": "renewed"}, {}]


def test_a_missing_second_person_is_no_conflict(server: ScriptedServer, call: Call) -> None:
    server.script("POST", f"{PATH}/confirm", problem(403, "second-person-required"))
    with pytest.raises(AuthenticationError):
        call("confirm_deletion", TENANT_ID)


def test_an_id_that_is_none_is_refused(server: ScriptedServer, call: Call) -> None:
    with pytest.raises(ArgumentError):
        call("confirm_deletion", "..")
    assert server.received == []


def test_a_certificate_stays_as_it_was_signed(server: ScriptedServer, call: Call) -> None:
    signer = CertificateSigner(b"k" * 32)
    server.script("GET", f"{PATH}/certificate", Reply(200, signer.sign(CERTIFICATE).json.encode()))
    found = call("certificate", TENANT_ID)
    assert (found.tenant["id"], found.total_rows_removed, found.rows_remaining) == (TENANT_ID, 853, 0)
    assert signer.open(SignedCertificate.parse(json.dumps(found.as_json()))) == CERTIFICATE


def test_the_model_has_every_field_of_the_gateway() -> None:
    assert set(DeletionDocument.model_fields) <= set(Deletion.model_fields)
