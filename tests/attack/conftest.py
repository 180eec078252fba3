"""The gateway of tests/gateway, for tests that attack it."""

from tests.gateway.conftest import (
    api_key,
    database,
    gateway,
    gateway_database,
    http,
    keys,
    migrated_template,
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
    "settings",
    "temporal_client",
]
