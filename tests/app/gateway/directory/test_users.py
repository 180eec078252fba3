"""The users of a tenant, without secrets."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.rows import NOON, add_deletion, add_tenant, insert

pytestmark = pytest.mark.anyio


async def add_person(database: asyncpg.Connection, tenant: UUID, name: str, *roles: str, **row: Any) -> UUID:
    user_id = uuid4()
    person = {"first_name": name, "last_name": "Byron", "email": f"{name}@acme.example", "created_at": NOON, **row}
    await insert(
        database, "users", tenant=tenant, user_id=user_id, username=name, hashed_password="not to be shown", **person
    )
    for role in roles:
        role_id = uuid4()
        await insert(database, "roles", tenant=tenant, role_id=role_id, role_name=role)
        await insert(database, "user_roles", tenant=tenant, user_id=user_id, role_id=role_id)
    return user_id


async def first_names(http: httpx.AsyncClient, tenant_id: UUID, **params: Any) -> list[str]:
    response = await http.get(f"/tenants/{tenant_id}/users", params=params)
    assert response.status_code == 200, response.text
    return [user["firstName"] for user in response.json()["users"]]


async def test_a_user_is_shown_with_roles_and_without_secrets(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(shaped_database)
    knows_logins = "SELECT true FROM pg_attribute WHERE attname = 'last_login_at' AND attrelid = 'users'::regclass"
    login = {"last_login_at": NOON} if await shaped_database.fetchval(knows_logins) else {}
    user_id = await add_person(shaped_database, tenant_id, "ada", "Technician", "Admin", **login)
    await add_person(shaped_database, await add_tenant(shaped_database), "other", "Finance")
    page = (await shaped_http.get(f"/tenants/{tenant_id}/users")).json()
    assert page == {
        "users": [
            {
                "userId": str(user_id),
                "email": "ada@acme.example",
                "firstName": "ada",
                "lastName": "Byron",
                "userType": "internal",
                "isInactive": False,
                "roles": ["Admin", "Technician"],
                "lastLoginAt": "2025-03-01T12:00:00Z" if login else None,
                "createdAt": "2025-03-01T12:00:00Z",
            }
        ],
        "nextPageToken": None,
    }


async def test_users_are_filtered_by_type_and_activity(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    for days, (name, user_type, is_inactive) in enumerate(
        (("ada", "internal", False), ("bob", "internal", True), ("cy", "client", False), ("dee", "client", True))
    ):
        created_at = NOON - timedelta(days=days)
        await add_person(
            database, tenant_id, name, user_type=user_type, is_inactive=is_inactive, created_at=created_at
        )
    assert await first_names(http, tenant_id) == ["ada", "bob", "cy", "dee"]
    assert await first_names(http, tenant_id, userType="client") == ["cy", "dee"]
    assert await first_names(http, tenant_id, isInactive="true") == ["bob", "dee"]
    assert await first_names(http, tenant_id, isInactive="false", userType="internal") == ["ada"]


async def test_pages_have_each_user_once(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    made = {f"user-{number}" for number in range(5)}
    for name in made:
        await add_person(database, tenant_id, name)
    seen: list[str] = []
    params: dict[str, Any] = {"pageSize": 2}
    while True:
        page = (await http.get(f"/tenants/{tenant_id}/users", params=params)).json()
        seen += [user["firstName"] for user in page["users"]]
        if page["nextPageToken"] is None:
            break
        params["pageToken"] = page["nextPageToken"]
    assert len(seen) == len(made)
    assert set(seen) == made


async def test_a_deleted_tenant_has_no_users_and_an_unknown_one_is_not_found(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    deleted = uuid4()
    await add_deletion(database, deleted, deleted_at=NOON)
    assert await first_names(http, deleted) == []
    assert_problem(await http.get(f"/tenants/{uuid4()}/users"), 404, "tenant-not-found")


@pytest.mark.parametrize(
    ("params", "field"),
    [({"userType": "robot"}, "userType"), ({"isInactive": "maybe"}, "isInactive"), ({"pageToken": "x"}, "pageToken")],
)
async def test_an_invalid_filter_is_named(
    http: httpx.AsyncClient, database: asyncpg.Connection, params: dict[str, Any], field: str
) -> None:
    response = await http.get(f"/tenants/{await add_tenant(database)}/users", params=params)
    assert_problem(response, 422, "invalid-request")
    assert faults(response).keys() == {field}
