import hashlib
import io
import json
import tarfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
from playwright.sync_api import Page, expect

from app.auth.scopes import Scope
from tests.browser.conftest import OpenConsole
from tests.browser.visitor import Visitor
from tests.e2e.conftest import Service, request


def create(api: httpx.Client, name: str) -> str:
    created = api.post("/tenants", json=request(tenantName=name), headers={"Prefer": "wait=50"})
    assert created.status_code == 201, created.text
    tenant_id: str = created.json()["tenantId"]
    return tenant_id


def export(visitor: Visitor, tenant_id: str) -> str:
    """Export a tenant with secrets, wait for the archive, and return the id of the export."""
    visitor.go(f"/tenants/{tenant_id}/export")
    visitor.inspect()
    visitor.page.get_by_label("With secrets").check()
    visitor.page.get_by_label("Reason").fill("move")
    visitor.page.get_by_role("button", name="Export this tenant").click()
    expect(visitor.page.get_by_text("The archive is kept until")).to_be_visible()
    return urlsplit(visitor.page.url).path.rpartition("/")[2]


def download(page: Page, link: str) -> bytes:
    with page.expect_download() as started:
        page.get_by_role("link", name=link, exact=True).click()
    path: Path = started.value.path()
    return path.read_bytes()


def test_an_archive_is_written_downloaded_compared_and_removed(open_console: OpenConsole, api: httpx.Client) -> None:
    name = "Exported for a move"
    visitor = open_console()
    export_id = export(visitor, create(api, name))
    visitor.inspect()

    manifest = download(visitor.page, "Download the manifest")
    digest = hashlib.sha256(manifest).hexdigest()
    expect(visitor.page.get_by_text(digest)).to_be_visible()
    with tarfile.open(fileobj=io.BytesIO(download(visitor.page, "Download all as tar"))) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]
    assert files.pop("manifest.json") == manifest
    parts = {table["part"]["path"]: table["part"] for table in json.loads(manifest)["tables"] if table["part"]}
    assert {path: hashlib.sha256(content).hexdigest() for path, content in files.items()} == {
        path: part["sha256"] for path, part in parts.items()
    }
    users = download(visitor.page, "users")
    expect(visitor.page.get_by_role("row", name="users", exact=False).first).to_be_visible()
    assert users == files["parts/users.csv.zst"]
    path = f"/console/exports/{export_id}/parts/users"
    ranged = visitor.page.request.get(path, headers={"Range": "bytes=4-"})
    assert (ranged.status, ranged.body()) == (206, users[4:])

    visitor.page.get_by_role("link", name="Remove the archive").click()
    visitor.page.get_by_label("Tenant's name").fill("Another")
    visitor.page.get_by_role("button", name="Remove the archive").click()
    expect(visitor.page.get_by_text(f"must be exactly {name}")).to_be_visible()
    visitor.inspect()
    visitor.page.get_by_label("Tenant's name").fill(name)
    visitor.page.get_by_role("button", name="Remove the archive").click()
    expect(visitor.page.get_by_text("The archive was removed on")).to_be_visible()
    visitor.inspect()
    assert visitor.page.request.get(path).status == 409
    visitor.go(f"/exports?name={name}&archive=gone")
    expect(visitor.page.get_by_role("row", name=name)).to_contain_text("Removed")
    visitor.inspect()
    visitor.go(f"/exports?name={name}&archive=kept")
    expect(visitor.page.get_by_text("No export matches")).to_be_visible()
    visitor.inspect()


def test_a_damaged_archive_is_shown_in_words(open_console: OpenConsole, api: httpx.Client, service: Service) -> None:
    visitor = open_console(viewport={"width": 390, "height": 800})
    export_id = export(visitor, create(api, "Damaged in the store"))
    visitor.inspect()
    store = Path(unquote(urlsplit(service.environment["EXPORT_URL"]).path))
    [part] = store.glob(f"*/{export_id}/*/parts/users.csv.zst")

    part.write_bytes(part.read_bytes()[:-1])
    visitor.page.get_by_role("link", name="users", exact=True).evaluate("link => link.removeAttribute('download')")
    visitor.page.get_by_role("link", name="users", exact=True).click()
    expect(visitor.page.get_by_text("The archive of this export is damaged: parts/users.csv.zst")).to_be_visible()
    visitor.inspect()

    manifest = part.parents[1] / "manifest.json"
    manifest.write_text("{}")
    visitor.go(f"/exports/{export_id}/restore")
    visitor.page.get_by_role("button", name="Check the archive").click()
    expect(visitor.page.get_by_text("the manifest was changed")).to_be_visible()
    visitor.inspect()


def test_an_archive_without_its_manifest_is_shown_in_words(
    open_console: OpenConsole, api: httpx.Client, service: Service
) -> None:
    visitor = open_console()
    workflow_id = api.post(f"/tenants/{create(api, 'Without its manifest')}/exports").json()["workflowId"]
    visitor.go(f"/operations/{workflow_id}")
    expect(visitor.page.locator("main .badge").first).to_have_text("Completed")
    export_id = api.get(f"/operations/{workflow_id}").json()["result"]["exportId"]
    store = Path(unquote(urlsplit(service.environment["EXPORT_URL"]).path))
    [manifest] = store.glob(f"*/{export_id}/*/manifest.json")

    manifest.unlink()
    visitor.go(f"/exports/{export_id}")

    expect(visitor.page.get_by_role("alert")).to_contain_text("The archive is damaged")
    expect(visitor.page.get_by_role("link", name="Download all as tar")).to_have_count(0)
    visitor.inspect()


def test_a_reader_can_not_fetch_or_change_exports(open_console: OpenConsole, api: httpx.Client) -> None:
    tenant_id = create(api, "Only read")
    export_id = export(open_console(), tenant_id)
    reader = open_console(frozenset({Scope.TENANTS_READ}), tenant_id=tenant_id)

    reader.go("/exports")
    expect(reader.page.get_by_role("row")).to_have_count(2)
    reader.page.get_by_role("link", name="Only read").click()

    expect(reader.page.get_by_text("Included: password hashes")).to_be_visible()
    for action in ("Download all as tar", "Remove the archive", "Restore the tenant", "users"):
        expect(reader.page.get_by_role("link", name=action, exact=True)).to_have_count(0)
    for path in ("content", "parts/users", "remove", "restore"):
        assert reader.page.request.get(f"/console/exports/{export_id}/{path}").status == 403
