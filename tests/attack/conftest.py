"""Attacks on a gateway in this process, if a test looks inside, or in another process."""

from tests.app.gateway.conftest import (
    api_key,
    database,
    gateway,
    gateway_database,
    http,
    keys,
    migrated_template,
    quick_hashes,
    settings,
    temporal_client,
)

__all__ = [
    "api_key",
    "database",
    "gateway",
    "gateway_database",
    "http",
    "keys",
    "migrated_template",
    "quick_hashes",
    "settings",
    "temporal_client",
]
