"""An archive that a scripted server sends."""

import hashlib
import json

from tests.app.client.scripted_server import TENANT_ID, Reply, ScriptedServer

EXPORT_ID = "5d0e7a52-5c1e-4c52-9b0e-3f6f3e6d2a22"
EXPORT_PATH = f"/exports/{EXPORT_ID}"
EXPORTS_PATH = f"/tenants/{TENANT_ID}/exports"
PARTS = {"users": b"u" * 1000, "tenants": b"t" * 10}


def part_of(content: bytes, name: str) -> dict[str, object]:
    return {"path": f"parts/{name}.csv.zst", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def manifest(**changes: dict[str, object]) -> bytes:
    """Return a manifest, with other parts for some tables."""
    parts = {name: part_of(content, name) for name, content in PARTS.items()} | changes
    tables = [{"name": name, "part": part} for name, part in parts.items()]
    return json.dumps({"exportId": EXPORT_ID, "tables": [*tables, {"name": "tickets", "part": None}]}).encode()


def export(**changes: object) -> dict[str, object]:
    """Return the document of a complete export."""
    return {
        "exportId": EXPORT_ID,
        "tenantId": TENANT_ID,
        "tenantName": "Acme",
        "workflowId": "tenant-export-1",
        "state": "completed",
        "masked": True,
        "reason": None,
        "requestedAt": "2026-01-31T12:00:00Z",
        "requestedBy": "key:ops",
        "requestedVia": "key:ops",
        "progress": None,
        "totals": {"rows": 12, "bytes": 1010},
        "completedAt": "2026-01-31T12:00:09Z",
        "expiresAt": "2026-03-02T12:00:09Z",
        "removedAt": None,
        "manifestSha256": "0" * 64,
        "links": {"self": EXPORT_PATH, "content": f"{EXPORT_PATH}/content"},
        **changes,
    }


def script_archive(server: ScriptedServer) -> None:
    """Let the server send the archive without failures."""
    server.script("GET", f"{EXPORT_PATH}/manifest", Reply(200, manifest()))
    for name, content in PARTS.items():
        server.script("GET", f"{EXPORT_PATH}/parts/{name}", Reply(200, content))
