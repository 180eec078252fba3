"""Draws the pictures of the console for the README: `python scripts/screenshots.py`, with Chromium installed.

It starts the product on a port of its own, creates tenants through the API, and stops it again.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
MAX_BYTES = 150 * 1024
COLOURS = 128
PATIENCE = 120.0
COMPANIES = (
    ("Northwind IT", "Ines", "Lindqvist"),
    ("Bluebird Managed Services", "Tom", "Abara"),
    ("Harbour Networks", "Mei", "Tanaka"),
    ("Quarry Lane Support", "Ada", "Novak"),
    ("Foxglove Computing", "Luis", "Ortega"),
    ("Saltmarsh Cloud", "Greta", "Holm"),
    ("Ridgeway Systems", "Omar", "Haddad"),
    ("Juniper Helpdesk", "Nora", "Walsh"),
)


def main() -> int:
    """Write the pictures and return the exit status."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the console for the README.")
    parser.add_argument("--port", type=int, default=8199, help="port of the gateway (default: 8199)")
    parser.add_argument(
        "--folder", type=Path, default=PICTURES, help="where the pictures go (default: docs/pictures)"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with started(arguments.port) as product:
        tenant = fill(product["url"], product["apiKey"])
        draw(product["url"], product["apiKey"], tenant, arguments.folder)
    return 0


@contextmanager
def started(port: int) -> Iterator[dict[str, str]]:
    """Run the product with an empty database; yield its addresses and its key."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        # PostgreSQL runs as another account if this is root.
        Path(folder).chmod(0o711)
        command = [Path(sys.executable).with_name("alga-tenants"), "dev", "--json", "--port", str(port)]
        process = subprocess.Popen([*command, "--data-dir", f"{folder}/data"], stdout=subprocess.PIPE, text=True)  # noqa: S603
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait()


def fill(url: str, key: str) -> str:
    """Create tenants, suspend one, begin to delete another, let a creation fail; return the id of a tenant."""
    headers = {"Authorization": f"Bearer {key}", "X-On-Behalf-Of": "jane.doe@example.com"}
    with httpx.Client(base_url=url, headers=headers, timeout=PATIENCE) as api:
        tenants = [create(api, number)["tenantId"] for number in range(len(COMPANIES))]
        suspended, deleted, shown = tenants[1], tenants[4], tenants[2]
        api.put(f"/tenants/{suspended}/suspension", json={"reason": "Unpaid for 60 days"}).raise_for_status()
        deletion = {"reason": "Contract ended", "export": False}
        requested = api.post(f"/tenants/{deleted}/deletion", json=deletion)
        until_confirmable(api, requested.raise_for_status().json()["workflowId"])
        # Its administrator's e-mail is that of another tenant.
        create(api, 0, tenantName="Northwind IT, second office")
    return str(shown)


def until_confirmable(api: httpx.Client, workflow_id: str) -> None:
    """Return once the deletion waits for its confirmation, which the overview shows."""
    with api.stream("GET", f"/operations/{workflow_id}/events") as events:
        for line in events.iter_lines():
            if '"status":"awaiting_confirmation"' in line:
                return
    raise ValueError(f"{workflow_id} has ended")


def create(api: httpx.Client, number: int, **changes: str) -> dict[str, Any]:
    """Create a tenant and wait for the end."""
    company, first, last = COMPANIES[number]
    email = f"{first}.{last}@{company.split()[0]}.example".lower()
    body = {
        "tenantName": company,
        "adminUser": {"firstName": first, "lastName": last, "email": email},
        "licenseCount": 5 + 5 * number,
        "productCode": "algadesk" if number % 3 == 0 else "psa",
    }
    response = api.post("/tenants", json=body | changes, headers={"Prefer": "wait=60"})
    if response.status_code not in {201, 202, 409}:
        response.raise_for_status()
    document: dict[str, Any] = response.json()
    return document


def draw(url: str, key: str, tenant: str, folder: Path) -> None:
    """Take the pictures, light and 1280 pixels wide."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(base_url=url, color_scheme="light", viewport={"width": 1280, "height": 800})
        page.goto("/console/sign-in")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        for name, path in (("overview", "/console/overview"), ("tenant", f"/console/tenants/{tenant}")):
            page.goto(path)
            page.wait_for_load_state("load")
            write(page, folder / f"console-{name}.png")
        browser.close()


def write(page: Page, file: Path) -> None:
    """Write what the window shows, with few colours; raise `ValueError` if the picture is too large."""
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"{file} has {file.stat().st_size} bytes, more than {MAX_BYTES}")
    print(file)


if __name__ == "__main__":
    sys.exit(main())
