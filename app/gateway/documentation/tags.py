"""The tags of the OpenAPI document, in the order of the page at /docs."""

TAGS: list[dict[str, str]] = [
    {"name": "tenants", "description": "Create, read and change tenants."},
    {"name": "deletions", "description": "Delete tenants: request, confirm, undo, and the certificate."},
    {"name": "exports", "description": "Export tenants into archives, fetch these, and restore deleted tenants."},
    {"name": "operations", "description": "Follow, cancel, resume and change what was started."},
    {"name": "options", "description": "Read which values fields can have."},
    {"name": "webhooks", "description": "Let other systems receive events, and see what was delivered."},
    {"name": "API keys", "description": "Create, rotate and revoke keys."},
    {"name": "audit", "description": "Read who did what."},
    {"name": "codec", "description": "Decrypt payloads for Temporal's UI and command line."},
    {"name": "events", "description": "What webhooks receive."},
    {"name": "probes", "description": "For the platform that runs the gateway. They need no key."},
    {"name": "metrics", "description": "For Prometheus. They need no key."},
]
