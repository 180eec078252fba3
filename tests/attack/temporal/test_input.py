"""Whatever a stranger sends to our workflows, they end, and nothing too large is stored."""

import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus

from app.temporal.encryption import ENCRYPTED, KEY_ID
from tests.attack.temporal.stranger import Stranger, asking, clear, ended
from tests.e2e.conftest import SECRET, Service
from tests.support.servers.temporal import codec_of
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio

# Temporal takes no message of over 4 MiB, and no payload of over 2.
MUCH = 300_000
NUL = "\0"


async def key_id() -> bytes:
    [sealed] = await codec_of(SECRET).encode([Payload()])
    return sealed.metadata[KEY_ID]


def payload(encoding: bytes, data: bytes) -> Payload:
    return Payload(metadata={"encoding": encoding}, data=data)


MALFORMED: dict[str, list[Payload]] = {
    "no argument": [],
    "broken JSON": [payload(b"json/plain", b"{nope")],
    "a number": [clear(5)],
    "a list": [clear([[]])],
    "half of a surrogate pair": [payload(b"json/plain", b'{"tenantName": "\\ud800"}')],
    "JSON in UTF-16": [payload(b"json/plain", json.dumps(asking()).encode("utf-16"))],
    "nested deeply": [payload(b"json/plain", b"[" * 100_000)],
    "bytes": [payload(b"binary/plain", b"\0\1")],
    "an unknown encoding": [payload(b"strange", b"x")],
    "no encoding": [Payload(data=b"x")],
    "a message of Protobuf": [payload(b"json/protobuf", b"{}")],
    "wrong types": [clear({"tenantName": 5, "adminUser": [], "addons": "x", "licenseCount": "many"})],
    "numbers without end": [payload(b"json/plain", b'{"licenseCount": ' + b"9" * 10_000 + b"}")],
    "an invalid e-mail": [clear(asking(adminUser={"firstName": "", "lastName": "", "email": "@"}))],
}


@pytest.mark.parametrize(
    ("workflow_type", "case"),
    [
        *(("tenantCreationWorkflow", case) for case in MALFORMED),
        *(("algadeskTenantCreationWorkflow", case) for case in ("no argument", "broken JSON", "wrong types")),
    ],
)
async def test_an_unreadable_argument_fails_the_operation_at_once(
    service: Service, stranger: Stranger, workflow_type: str, case: str
) -> None:
    handle = await stranger.start(*MALFORMED[case], workflow_type=workflow_type)
    assert await ended(handle) is WorkflowExecutionStatus.FAILED
    document = await service.status(handle.id)
    assert (document["status"], document["error"]["code"]) == ("failed", "invalid-request")


@pytest.mark.parametrize("data", [b"", b"x" * 12, b"x" * 100])
async def test_a_forged_argument_fails_the_operation_at_once(
    service: Service, stranger: Stranger, data: bytes
) -> None:
    forged = Payload(metadata={"encoding": ENCRYPTED, KEY_ID: await key_id()}, data=data)
    handle = await stranger.start(forged)
    assert await ended(handle) is WorkflowExecutionStatus.FAILED
    assert (await service.status(handle.id))["error"]["code"] == "invalid-request"


@pytest.mark.parametrize("workflow_type", ["tenantCreationWorkflow", "healthCheckWorkflow"])
async def test_further_arguments_are_ignored(stranger: Stranger, workflow_type: str) -> None:
    arguments = [clear(asking()), clear("and"), clear("more")]
    signal_input = [clear({}), clear("and more")]
    handle = await stranger.start_signalled("resume", signal_input, *arguments, workflow_type=workflow_type)
    assert await ended(handle) is WorkflowExecutionStatus.COMPLETED


async def test_a_nul_in_a_workflows_id_fails_the_operation_at_once(stranger: Stranger) -> None:
    handle = await stranger.start(clear(asking()), workflow_id=f"a{NUL}b-{uuid4()}")
    assert await ended(handle) is WorkflowExecutionStatus.FAILED


@pytest.mark.parametrize("text", [NUL, f"Acme{NUL}", "A" * MUCH], ids=["nul", "with nul", "much"])
async def test_no_name_blocks_an_operation_or_makes_pages_large(
    service: Service, stranger: Stranger, database: asyncpg.Connection, text: str
) -> None:
    asked = asking(tenantName=text, companyName=text, clientName=text, billingPlan=text, addons=[text] * 2)
    handle = await stranger.start(clear(asked))
    assert await ended(handle) is WorkflowExecutionStatus.FAILED
    document = await service.status(handle.id)
    assert (document["status"], document["error"]["code"]) == ("failed", "invalid-request")
    assert await row_counts(database, document["tenantId"]) == {}
    assert await is_listed_in_short(service, handle.id)


@pytest.mark.parametrize("text", [NUL, "x" * MUCH], ids=["nul", "much"])
async def test_no_reason_blocks_an_operation_or_makes_pages_large(
    service: Service, stranger: Stranger, text: str
) -> None:
    cancel = [clear({"reason": text, "cancelledBy": text})]
    handle = await stranger.start_signalled("cancel", cancel, clear(asking()))
    assert await ended(handle) is WorkflowExecutionStatus.FAILED
    assert (await service.status(handle.id))["status"] == "cancelled"
    assert await is_listed_in_short(service, handle.id)


@pytest.mark.parametrize(
    ("signal", "argument"),
    [
        ("cancel", "please"),
        ("resume", [1]),
        ("update", {"field": NUL, "value": NUL}),
        ("update", {"field": "companyName", "value": NUL * MUCH}),
        ("update", {"field": "x" * MUCH, "value": {}}),
        ("update", 5),
        ("unknown", {}),
    ],
)
async def test_no_signal_blocks_an_operation(stranger: Stranger, signal: str, argument: Any) -> None:
    for arguments in ([clear(argument), clear("more")], [payload(b"json/plain", b"{nope")]):
        # At once, because an operation that has ended takes no signal.
        await ended(await stranger.start_signalled(signal, arguments, clear(asking())))


async def is_listed_in_short(service: Service, workflow_id: str) -> bool:
    """Return whether the newest page lists the operation, and no entry of it is large."""
    response = await service.http.get("/operations", params={"pageSize": 10})
    assert response.status_code == 200
    listed = response.json()["operations"]
    assert max(len(json.dumps(operation)) for operation in listed) < 20_000
    return workflow_id in {operation["workflowId"] for operation in listed}
