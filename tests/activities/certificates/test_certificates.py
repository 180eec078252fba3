"""Certificates of deletions: what they say, and that no change of one goes unnoticed."""

import json
import re
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.certificates.certificate import Certificate
from activities.certificates.rows import find_certificate
from activities.certificates.signing import CertificateInvalidError, CertificateSigner, SignedCertificate
from app.audit.certificates import check_place
from app.audit.verification import verify
from tests.activities.certificates.deletion import OTHER, STARTED, TENANT, delete_tenant
from tests.support.audit import AUDIT

pytestmark = pytest.mark.anyio

SIGNER = CertificateSigner(b"the key of the certificates in tests")


@pytest.fixture
async def issued(audit_engine: AsyncEngine) -> Certificate:
    return await delete_tenant(audit_engine, AUDIT, SIGNER)


async def stored(engine: AsyncEngine, signer: CertificateSigner = SIGNER) -> tuple[SignedCertificate, Certificate]:
    async with engine.connect() as connection:
        found = await find_certificate(connection, signer, TENANT)
    assert found is not None
    return found


async def test_it_says_what_was_deleted_for_whom_and_how_that_is_proven(
    audit_engine: AsyncEngine, issued: Certificate
) -> None:
    signed, certificate = await stored(audit_engine)

    assert certificate == issued
    document = json.loads(signed.json)
    finished = datetime.fromisoformat(document.pop("purgeFinishedAt"))
    assert STARTED < finished <= datetime.now(UTC)
    assert re.fullmatch("[0-9a-f]{64}", document.pop("mac"))
    assert document.pop("audit") == {"sequence": 2, "hash": issued.audit.hash}
    assert document.pop("proof")["method"]
    assert document == {
        "formatVersion": 1,
        "operation": {"workflowId": "tenant_deletion-1", "runId": "run-1"},
        "tenant": {
            "id": str(TENANT),
            "name": "Ärger & Söhne",
            "productCode": "psa",
            "createdAt": "2025-01-02T03:04:05.000006Z",
        },
        "requestedBy": "ada",
        "requestedVia": "key:1",
        "requestedAt": "2026-01-02T00:00:00Z",
        "reason": "ended the contract",
        "confirmedBy": "bob",
        "confirmedVia": "key:2",
        "confirmedAt": "2026-01-03T00:00:00Z",
        "confirmationType": None,
        "gracePeriodDays": 30,
        "scheduledFor": "2026-02-02T00:00:00Z",
        "purgeStartedAt": "2026-02-02T00:00:01Z",
        "exportId": None,
        "rowsRemoved": {"visits": 2, "customers": 1},
        "totalRowsRemoved": 3,
        "rowsRemaining": 0,
        "disabledTriggers": [],
        "externalResources": [{"kind": "bucket", "prefix": "a/b", "share": "0.5"}],
    }
    assert (issued.proof.tables, issued.proof.kept_tables) == (2, ("records",))


async def test_its_event_is_in_the_audit_trail_at_the_place_that_it_names(
    audit_engine: AsyncEngine, issued: Certificate
) -> None:
    async with audit_engine.connect() as connection:
        await check_place(connection, AUDIT, issued)
        assert (await verify(connection, AUDIT)).is_intact


async def test_any_changed_digit_or_name_of_a_file_is_noticed(audit_engine: AsyncEngine, issued: Certificate) -> None:
    signed, _ = await stored(audit_engine)
    file = json.dumps(json.loads(signed.json), indent=4, ensure_ascii=False)
    assert SIGNER.open(SignedCertificate.parse(file)) == issued

    places = [found.start() for found in re.finditer("[0-9]", file)]
    assert len(places) > 200
    for place in places:
        changed = file[:place] + str((int(file[place]) + 1) % 10) + file[place + 1 :]
        with pytest.raises(CertificateInvalidError):
            SIGNER.open(SignedCertificate.parse(changed))
    for name in json.loads(file):
        with pytest.raises(CertificateInvalidError):
            SIGNER.open(SignedCertificate.parse(file.replace(f'"{name}"', f'"{name}_"')))


@pytest.mark.parametrize(
    "file",
    [
        "",
        "[]",
        "1",
        "{}",
        '{"mac": 5}',
        '{"mac": "xyz"}',
        '{"mac": "\\ud800"}',
        "[" * 100_000,
        '{"mac": "00", "a": NaN}',
    ],
)
def test_what_is_no_certificate_is_invalid(file: str) -> None:
    with pytest.raises(CertificateInvalidError):
        SIGNER.open(SignedCertificate.parse(file))


async def test_a_name_that_is_there_twice_hides_no_value(audit_engine: AsyncEngine, issued: Certificate) -> None:
    signed, _ = await stored(audit_engine)
    assert issued.total_rows_removed == 3

    with pytest.raises(CertificateInvalidError, match="only once"):
        SignedCertificate.parse(signed.json.replace("{", '{"totalRowsRemoved":9,', 1))


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE alga_tenants.certificates SET document = replace(document, '\"visits\":2', '\"visits\":3')",
        "UPDATE alga_tenants.certificates SET document = document || ' '",
        "UPDATE alga_tenants.certificates SET mac = set_byte(mac, 5, get_byte(mac, 5) # 1)",
        "UPDATE alga_tenants.certificates SET document = '', mac = ''",
        "UPDATE alga_tenants.certificates SET workflow_id = 'another'",
        "UPDATE alga_tenants.certificates SET run_id = 'another'",
    ],
)
@pytest.mark.usefixtures("issued")
async def test_a_changed_row_is_noticed(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection, tampering: str
) -> None:
    assert await audit_database.execute(tampering) == "UPDATE 1"

    with pytest.raises(CertificateInvalidError):
        await stored(audit_engine)


@pytest.mark.usefixtures("issued")
async def test_a_certificate_is_not_shown_for_another_tenant(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    await audit_database.execute("UPDATE alga_tenants.certificates SET tenant_id = $1", OTHER)

    async with audit_engine.connect() as connection:
        assert await find_certificate(connection, SIGNER, TENANT) is None
        with pytest.raises(CertificateInvalidError, match="another deletion"):
            await find_certificate(connection, SIGNER, OTHER)


@pytest.mark.usefixtures("issued")
async def test_another_key_is_noticed(audit_engine: AsyncEngine) -> None:
    with pytest.raises(CertificateInvalidError, match="another key"):
        await stored(audit_engine, CertificateSigner(b"another key"))


@pytest.mark.parametrize(
    ("tampering", "shown"),
    [
        ("DELETE FROM alga_tenants.audit_events WHERE sequence = 2", "event 2 is missing"),
        ("UPDATE alga_tenants.audit_events SET caller = 'x' WHERE sequence = 2", "event 2 differs"),
        (
            (
                "UPDATE alga_tenants.audit_events SET sequence = -sequence;"
                "UPDATE alga_tenants.audit_events SET sequence = 3 + sequence"
            ),
            "event 2 differs",
        ),
    ],
)
async def test_a_trail_without_its_event_does_not_confirm_it(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection, issued: Certificate, tampering: str, shown: str
) -> None:
    await audit_database.execute("ALTER TABLE alga_tenants.audit_events DISABLE TRIGGER USER")
    await audit_database.execute(tampering)

    async with audit_engine.connect() as connection:
        with pytest.raises(CertificateInvalidError, match=shown):
            await check_place(connection, AUDIT, issued)


async def test_another_event_does_not_confirm_it(audit_engine: AsyncEngine, issued: Certificate) -> None:
    second = await delete_tenant(audit_engine, AUDIT, SIGNER, workflow_id="tenant_deletion-2")
    wrong = issued.model_copy(update={"audit": second.audit})

    async with audit_engine.connect() as connection:
        with pytest.raises(CertificateInvalidError, match="event 4 is another one"):
            await check_place(connection, AUDIT, wrong)


async def test_a_tenant_has_the_newest_of_its_certificates_and_each_operation_its_own(
    audit_engine: AsyncEngine, issued: Certificate
) -> None:
    second = await delete_tenant(audit_engine, AUDIT, SIGNER, workflow_id="tenant_deletion-2")

    assert (await stored(audit_engine))[1] == second
    async with audit_engine.connect() as connection:
        for certificate in (issued, second):
            found = await find_certificate(connection, SIGNER, certificate.operation.workflow_id)
            assert found is not None
            assert found[1] == certificate
        assert await find_certificate(connection, SIGNER, "tenant_deletion-3") is None
