"""API keys, through the REST API or in the database itself."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.recorder import audit_trail
from app.auth.callers import operator
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.management import KeyManagement, KeyNotFoundError, KeyOrder, UnusableKeyError
from app.auth.keys.records import ResealedKeys
from app.auth.keys.signing import ApiKeySigner, api_key_signer
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.cli.connection.source import Source
from app.cli.console import fail
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.database import run_on_database
from app.client import ApiKey, CreatedApiKey, TenantsClient
from app.gateway.keys.documents import created_key_document, key_document
from app.settings import Settings

ResultT = TypeVar("ResultT")


class KeyStore(Protocol):
    """Creates, rotates, lists and revokes keys; commands exit with a message if that fails."""

    def create(
        self, name: str, scopes: Iterable[Scope] | None, tenant_id: UUID | None, expires_in_days: int | None
    ) -> CreatedApiKey:
        """Create a key, by default with the scopes `tenants:*`."""

    def rotate(self, key_id: str, overlap_hours: int, expires_in_days: int | None) -> CreatedApiKey:
        """Replace a key by a new one."""

    def all(self) -> list[ApiKey]:
        """Return all keys, oldest first."""

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key."""


def key_store(source: Source) -> KeyStore:
    """Return the keys that a command works on."""
    return DatabaseKeys(as_json=source.as_json) if source.client is None else GatewayKeys(source.client)


class GatewayKeys:
    """Keys through the REST API, as its caller may see and change them."""

    def __init__(self, client: TenantsClient) -> None:
        self._client = client

    def create(
        self, name: str, scopes: Iterable[Scope] | None, tenant_id: UUID | None, expires_in_days: int | None
    ) -> CreatedApiKey:
        """Create a key."""
        return self._client.create_api_key(name, scopes=scopes, tenant_id=tenant_id, expires_in_days=expires_in_days)

    def rotate(self, key_id: str, overlap_hours: int, expires_in_days: int | None) -> CreatedApiKey:
        """Replace a key by a new one."""
        return self._client.rotate_api_key(key_id, overlap_hours=overlap_hours, expires_in_days=expires_in_days)

    def all(self) -> list[ApiKey]:
        """Return all keys, oldest first."""
        return list(self._client.api_keys())

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key."""
        return self._client.revoke_api_key(key_id)


class DatabaseKeys:
    """Keys in the database, for the user who runs the command."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def create(
        self, name: str, scopes: Iterable[Scope] | None, tenant_id: UUID | None, expires_in_days: int | None
    ) -> CreatedApiKey:
        """Create a key."""
        granted = DEFAULT_SCOPES if scopes is None else frozenset(scopes)
        order = KeyOrder(name, granted, tenant_id, _days(expires_in_days))
        created = self._run(lambda keys: keys.create(order, operator()))
        return CreatedApiKey.model_validate_json(created_key_document(created).model_dump_json())

    def rotate(self, key_id: str, overlap_hours: int, expires_in_days: int | None) -> CreatedApiKey:
        """Replace a key by a new one."""
        overlap, expires_in = timedelta(hours=overlap_hours), _days(expires_in_days)
        try:
            created = self._run(lambda keys: keys.rotate(key_id, operator(), overlap=overlap, expires_in=expires_in))
        except UnusableKeyError:
            fail(f"API key {key_id} is revoked, expired or forged; create a new one", ExitCode.CONFLICT)
        return CreatedApiKey.model_validate_json(created_key_document(created).model_dump_json())

    def all(self) -> list[ApiKey]:
        """Return all keys, oldest first."""
        records = self._run(lambda keys: keys.all(operator()))
        return [ApiKey.model_validate_json(key_document(record).model_dump_json()) for record in records]

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key."""
        record = self._run(lambda keys: keys.revoke(key_id, operator()))
        return ApiKey.model_validate_json(key_document(record).model_dump_json())

    def reseal(self, old_secret: str) -> ResealedKeys:
        """Sign all keys again that the old secret verifies."""
        return self._run(lambda keys: keys.reseal(ApiKeySigner(old_secret), operator()))

    def _run(self, work: Callable[[KeyManagement], Awaitable[ResultT]]) -> ResultT:
        async def with_keys(engine: AsyncEngine, settings: Settings) -> ResultT:
            keys = ApiKeys(engine, api_key_signer(settings))
            try:
                return await work(KeyManagement(engine, keys, audit_trail(settings)))
            finally:
                keys.close()

        try:
            return run_on_database(with_keys, as_json=self._as_json)
        except KeyNotFoundError as error:
            fail(f"there is no API key with the id {error}; see `alga-tenants keys list`", ExitCode.NOT_FOUND)


def _days(days: int | None) -> timedelta | None:
    return timedelta(days=days) if days is not None else None
