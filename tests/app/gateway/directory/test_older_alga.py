"""The directory on a version of Alga that lacks tables and columns."""

from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr

from app.embedded.postgres import EmbeddedPostgres
from app.settings import Settings
from tests.app.gateway.conftest import as_gateway, create_key
from tests.app.gateway.directory.conftest import grant
from tests.app.gateway.rows import NOON, add_tenant, add_user
from tests.app.gateway.server import RunningGateway
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

MISSING = """
DROP TABLE tenant_addons, stripe_subscriptions, stripe_customers, apple_iap_subscriptions CASCADE;
DROP TABLE external_files, portal_domains, teams_integrations CASCADE;
ALTER TABLE users DROP COLUMN last_login_at;
ALTER TABLE google_email_provider_config DROP COLUMN pubsub_topic_name;
"""


async def test_what_is_missing_is_left_out(
    settings: Settings, new_database: NewDatabase, alga_plain_template: str, postgres: EmbeddedPostgres
) -> None:
    url = new_database(alga_plain_template)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(MISSING)
        await grant(url, str(urlsplit(postgres.url).username))
        tenant_id = await add_tenant(connection)
        await add_user(connection, tenant_id, created_at=NOON)
    finally:
        await connection.close()
    changes = {"database_url": SecretStr(as_gateway(postgres, url)), "admin_database_url": SecretStr(url)}
    older = settings.model_copy(update=changes)
    with RunningGateway(older, await create_key(older)) as gateway:
        async with gateway.client() as http:
            tenant = (await http.get(f"/tenants/{tenant_id}")).raise_for_status().json()
            users = (await http.get(f"/tenants/{tenant_id}/users")).raise_for_status().json()
            footprint = (await http.get(f"/tenants/{tenant_id}/footprint")).raise_for_status().json()
    assert (tenant["addons"], tenant["subscription"]["provider"]) == ([], None)
    assert [user["lastLoginAt"] for user in users["users"]] == [None]
    assert (footprint["tables"], footprint["external"]) == ({"tenants": 1, "users": 1}, [])
