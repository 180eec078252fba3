from collections.abc import Awaitable, Callable, Iterator
from uuid import UUID

import asyncpg
import httpx
import pytest
from playwright.sync_api import expect

from app.auth.scopes import Scope
from app.embedded.processes.blocking import run_blocking
from tests.browser.conftest import OpenConsole
from tests.browser.visitor import Visitor
from tests.e2e.conftest import Service, request
from tests.e2e.obstacles import FINAL_ERROR, lift, place
from tests.e2e.replicas import Replica
from workflows.tenants.steps import COMPLETE


@pytest.fixture(scope="module")
def two_person_gateway(service: Service) -> Iterator[str]:
    """The address of a gateway on which another person has to confirm a deletion."""
    gateway = Replica(service, "gateway", {"DELETION_TWO_PERSON": "true"})
    try:
        run_blocking(gateway.start())
        yield gateway.url
    finally:
        gateway.process.stop()


def request_deletion(ada: Visitor, tenant_id: str, name: str) -> None:
    """Request a deletion with three days of grace, with the name wrong at first."""
    ada.go(f"/tenants/{tenant_id}/delete")
    expect(ada.heading).to_have_text(f"Delete {name}")
    expect(ada.page.get_by_label("Confirm it at once")).to_have_count(0)
    ada.inspect()
    ada.page.get_by_label("Reason").fill("contract ended")
    ada.page.get_by_label("Days of grace").fill("3")
    ada.page.get_by_label("Export the tenant before").uncheck()
    ada.page.get_by_label("Tenant's name").fill("Another")
    ada.page.get_by_role("button", name="Delete this tenant").click()
    expect(ada.page.get_by_text(f"Tenant's name must be exactly {name}")).to_be_visible()
    expect(ada.page.get_by_label("Reason")).to_have_value("contract ended")
    expect(ada.page.get_by_label("Export the tenant before")).not_to_be_checked()
    ada.inspect()
    ada.page.get_by_label("Tenant's name").fill(name)
    ada.page.get_by_role("button", name="Delete this tenant").click()
    expect(ada.heading).to_have_text(f"Deletion of {name}")
    expect(ada.page.get_by_text("Can be confirmed for")).to_be_visible()
    ada.inspect()


def confirm(bob: Visitor, name: str, requester: str) -> None:
    """Find the deletion in the list and confirm it, with the name wrong at first."""
    bob.go(f"/deletions?name={name}")
    bob.inspect()
    bob.page.get_by_role("link", name=name).click()
    expect(bob.page.get_by_role("link", name="Undo this deletion")).to_have_count(0)
    bob.page.get_by_role("link", name="Confirm this deletion").click()
    expect(bob.page.get_by_text(requester)).to_be_visible()
    bob.page.get_by_label("Tenant's name").fill(name.lower())
    bob.page.get_by_role("button", name="Confirm this deletion").click()
    expect(bob.page.get_by_text("must be exactly")).to_be_visible()
    bob.inspect()
    bob.page.get_by_label("Tenant's name").fill(name)
    bob.page.get_by_role("button", name="Confirm this deletion").click()
    expect(bob.page.get_by_text("Rows are deleted in 2 d 23 h")).to_be_visible()
    bob.inspect()


def test_two_people_delete_a_suspended_tenant_and_undo_that(
    open_console: OpenConsole, api: httpx.Client, two_person_gateway: str
) -> None:
    name = "Deleted by two"
    created = api.post("/tenants", json=request(tenantName=name), headers={"Prefer": "wait=50"}).json()
    tenant_id = created["tenantId"]
    assert api.put(f"/tenants/{tenant_id}/suspension", json={"reason": "unpaid"}).status_code == 200
    ada = open_console(url=two_person_gateway)
    bob = open_console(
        frozenset({Scope.TENANTS_READ, Scope.TENANTS_CONFIRM_DELETION}),
        url=two_person_gateway,
        viewport={"width": 390, "height": 800},
    )

    request_deletion(ada, tenant_id, name)
    ada.page.get_by_role("link", name="Confirm this deletion").click()
    expect(ada.page.get_by_text("have requested this deletion yourself")).to_be_visible()
    expect(ada.page.get_by_role("button", name="Confirm this deletion")).to_have_count(0)
    ada.inspect()
    ada.page.get_by_role("link", name="Back to the deletion").click()
    confirm(bob, name, f"key:{ada.key_id}")

    # Without a reload.
    expect(ada.page.get_by_text("Rows are deleted in 2 d 23 h")).to_be_visible()
    ada.page.get_by_role("link", name="Undo this deletion").click()
    ada.inspect()
    ada.page.get_by_label("Reason").fill("they have paid")
    ada.page.get_by_role("button", name="Undo this deletion").click()
    expect(ada.page.get_by_text("This deletion was undone")).to_be_visible()
    expect(ada.page.get_by_text("they have paid")).to_be_visible()
    assert api.get(f"/tenants/{tenant_id}").json()["state"] == "suspended"
    bob.go("/deletions?status=cancelled")
    expect(bob.page.get_by_role("row", name=name)).to_contain_text("Undone")
    bob.inspect()


def test_a_tenant_is_deleted_certified_restored_and_reactivated(
    open_console: OpenConsole, api: httpx.Client, service: Service
) -> None:
    name = "Deleted by mistake"
    created = api.post("/tenants", json=request(tenantName=name), headers={"Prefer": "wait=50"}).json()
    tenant_id = created["tenantId"]
    visitor = open_console()
    visitor.go(f"/tenants/{tenant_id}/delete")
    visitor.page.get_by_label("Reason").fill("contract ended")
    visitor.page.get_by_label("Days of grace").fill("0")
    visitor.page.get_by_label("Confirm it at once").check()
    visitor.page.get_by_label("Tenant's name").fill(name)
    visitor.page.get_by_role("button", name="Delete this tenant").click()
    expect(visitor.page.get_by_text("All rows of this tenant were deleted on")).to_be_visible()
    visitor.inspect()

    visitor.page.get_by_role("link", name="Certificate").click()
    expect(visitor.page.get_by_text("This certificate is genuine")).to_be_visible()
    visitor.inspect()
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("link", name="Download").click()
    assert download.value.path().read_text() == api.get(f"/tenants/{tenant_id}/deletion/certificate").text

    visitor.page.get_by_role("link", name="Deletion", exact=True).click()
    visitor.page.get_by_role("link", name="Export made before").click()
    visitor.page.get_by_role("link", name="Restore the tenant").click()
    visitor.inspect()
    visitor.page.get_by_role("button", name="Check the archive").click()
    expect(visitor.page.get_by_text("would be restored. Nothing was written.")).to_be_visible()
    visitor.inspect()
    visitor.page.get_by_label("Tenant's name").fill("Another")
    visitor.page.get_by_role("button", name="Restore this tenant").click()
    expect(visitor.page.get_by_text(f"must be exactly {name}")).to_be_visible()
    visitor.page.get_by_label("Tenant's name").fill(name)
    visitor.page.get_by_role("button", name="Restore this tenant").click()
    expect(visitor.page.get_by_text("The tenant exists again")).to_be_visible()
    visitor.inspect()

    visitor.go(f"/deletions/{tenant_id}")
    expect(visitor.page.get_by_text("The tenant was restored since.")).to_be_visible()
    assert api.delete(f"/tenants/{tenant_id}/suspension").status_code == 200
    assert api.get(f"/tenants/{tenant_id}").json()["state"] == "active"

    run_blocking(administer(service, change_certificate, UUID(tenant_id)))
    visitor.go(f"/deletions/{tenant_id}/certificate")
    expect(visitor.page.get_by_text("the certificate was changed, or signed with another key")).to_be_visible()
    visitor.inspect()


def test_a_parked_deletion_says_what_to_do_and_is_resumed(
    open_console: OpenConsole, api: httpx.Client, service: Service
) -> None:
    created = api.post("/tenants", json=request(tenantName="Parked"), headers={"Prefer": "wait=50"}).json()
    tenant_id = created["tenantId"]
    visitor = open_console(viewport={"width": 390, "height": 800})
    visitor.go(f"/deletions?name={tenant_id}")
    expect(visitor.page.get_by_text("No ended deletion matches.")).to_be_visible()
    visitor.inspect()
    run_blocking(administer(service, place, COMPLETE, UUID(tenant_id), FINAL_ERROR))
    body = {"reason": "contract ended", "gracePeriodDays": 0, "export": False, "confirm": True}
    assert api.post(f"/tenants/{tenant_id}/deletion", json=body).status_code == 202

    visitor.go(f"/deletions/{tenant_id}")
    expect(visitor.page.get_by_text("What to do:")).to_be_visible()
    expect(visitor.page.get_by_text("Needs attention")).to_be_visible()
    visitor.inspect()
    run_blocking(administer(service, lift, UUID(tenant_id)))
    visitor.page.get_by_role("button", name="Resume now").click()
    expect(visitor.heading).to_contain_text("Parked")
    visitor.go(f"/deletions/{tenant_id}")

    expect(visitor.page.get_by_text("All rows of this tenant were deleted on")).to_be_visible()


async def administer(service: Service, act: Callable[..., Awaitable[None]], *arguments: object) -> None:
    """Act on the database as its administrator."""
    connection = await asyncpg.connect(service.installation.admin_database_url)
    try:
        await act(connection, *arguments)
    finally:
        await connection.close()


async def change_certificate(connection: asyncpg.Connection, tenant_id: UUID) -> None:
    changed = "UPDATE alga_tenants.certificates SET document = replace(document, 'contract ended', 'other')"
    assert await connection.execute(f"{changed} WHERE tenant_id = $1", tenant_id) == "UPDATE 1"
