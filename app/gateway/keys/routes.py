"""The routes of API keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Security
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.keys.management import (
    CreatedKey,
    KeyManagement,
    KeyOrder,
    OtherTenantError,
    ScopeNotHeldError,
    UnusableKeyError,
)
from app.auth.keys.records import ApiKeyRecord
from app.auth.scopes import Scope
from app.database import database_errors
from app.gateway.access.parameters import current_requester
from app.gateway.access.problems import OtherTenantIdError, TenantNotFoundError
from app.gateway.access.route import AuthenticatedRoute
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, Responses, problems
from app.gateway.http.problems.request_problems import BadOnBehalfOfError, DatabaseOutageError, ScopeMissingError
from app.gateway.http.provided import provide
from app.gateway.http.responses import document_response
from app.gateway.keys.documents import (
    ApiKeyDocument,
    ApiKeyList,
    CreatedApiKeyDocument,
    NewApiKeyRequest,
    RotateRequest,
    created_key_document,
    key_document,
)
from app.gateway.keys.problems import ApiKeyNotFoundError, ApiKeyUnusableError, ScopeEscalationError

PREFIX = "/api-keys"

router = APIRouter(
    prefix=PREFIX,
    tags=["API keys"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, BadOnBehalfOfError, DatabaseOutageError),
)

KeyManager = Annotated[Requester, Security(current_requester, scopes=[Scope.KEYS_MANAGE])]
KeyId = Annotated[str, Path(description="As the list of keys shows it.", examples=["Qm3ZxT8bLw2K"])]

LOCATION = {"Location": {"description": "Path of the new key.", "schema": {"type": "string"}}}
CREATED: Responses = {201: {"description": "The key, this once.", "headers": LOCATION}}


@router.post(
    "",
    summary="Make an API key",
    status_code=201,
    response_model=CreatedApiKeyDocument,
    responses={**CREATED, **problems(*BODY_PROBLEMS, ScopeMissingError, ScopeEscalationError, TenantNotFoundError)},
)
async def create_key(
    requester: KeyManager,
    keys: Annotated[KeyManagement, Depends(provide(KeyManagement))],
    wanted: Annotated[NewApiKeyRequest, Body()],
) -> Response:
    """Make a key and show its secret, this once; it can't do more than the caller."""
    order = KeyOrder(
        name=wanted.name,
        scopes=wanted.scopes,
        tenant_id=wanted.tenant_id,
        expires_in=_days(wanted.expires_in_days),
    )
    try:
        with database_errors():
            created = await keys.create(order, requester)
    except ScopeNotHeldError as error:
        raise ScopeEscalationError(str(error)) from None
    except OtherTenantError:
        raise OtherTenantIdError(is_denial=True) from None
    return _created(created)


@router.get("", summary="List API keys", response_model=ApiKeyList)
async def list_keys(
    requester: KeyManager, keys: Annotated[KeyManagement, Depends(provide(KeyManagement))]
) -> Response:
    """Show all keys, oldest first, unusable ones too, but never their secrets.

    A key whose state is `forged` opens nothing: its row was not written by this service, or was changed since.
    """
    with database_errors():
        records = await keys.all(requester)
    return document_response(ApiKeyList(keys=tuple(key_document(record) for record in records)))


@router.get(
    "/{key_id}", summary="Read an API key", response_model=ApiKeyDocument, responses=problems(ApiKeyNotFoundError)
)
async def read_key(
    requester: KeyManager, keys: Annotated[KeyManagement, Depends(provide(KeyManagement))], key_id: KeyId
) -> Response:
    """Show one key, but not its secret."""
    with _key_errors():
        record = await keys.find(_known_form(key_id), requester)
    return document_response(key_document(_found(record)))


@router.delete(
    "/{key_id}",
    summary="Revoke an API key",
    response_model=ApiKeyDocument,
    responses=problems(ApiKeyNotFoundError, ScopeMissingError, ScopeEscalationError),
)
async def revoke_key(
    requester: KeyManager, keys: Annotated[KeyManagement, Depends(provide(KeyManagement))], key_id: KeyId
) -> Response:
    """Revoke a key; gateways stop accepting it within seconds. Again is harmless.

    The caller needs the key's scopes, so that a weak key can't put a stronger one out of service.
    """
    with _key_errors():
        record = await keys.revoke(_known_form(key_id), requester)
    return document_response(key_document(_found(record)))


@router.post(
    "/{key_id}/rotate",
    summary="Rotate an API key",
    status_code=201,
    response_model=CreatedApiKeyDocument,
    responses={
        **CREATED,
        **problems(*BODY_PROBLEMS, ScopeMissingError, ScopeEscalationError, ApiKeyNotFoundError, ApiKeyUnusableError),
    },
)
async def rotate_key(
    requester: KeyManager,
    keys: Annotated[KeyManagement, Depends(provide(KeyManagement))],
    key_id: KeyId,
    wanted: Annotated[RotateRequest | None, Body()] = None,
) -> Response:
    """Make a key in another's place, with its name, scopes and tenant; both work until the overlap ends.

    If a key rotates itself, both are the same caller, so that repeated requests find what they started with the old
    one. A key that another caller rotates becomes a caller of its own. The caller needs the key's scopes.
    """
    wanted = wanted or RotateRequest()
    try:
        with _key_errors():
            created = await keys.rotate(
                _known_form(key_id),
                requester,
                overlap=timedelta(hours=wanted.overlap_hours),
                expires_in=_days(wanted.expires_in_days),
            )
    except UnusableKeyError:
        raise ApiKeyUnusableError from None
    if created is None:
        raise ApiKeyNotFoundError
    return _created(created)


@contextmanager
def _key_errors() -> Iterator[None]:
    """Turn what keeps a caller from one key into problems."""
    try:
        with database_errors():
            yield
    except ScopeNotHeldError as error:
        raise ScopeEscalationError(str(error)) from None
    except OtherTenantError:
        raise ApiKeyNotFoundError(is_denial=True) from None


def _created(created: CreatedKey) -> Response:
    location = {"Location": f"{PREFIX}/{created.record.key_id}"}
    return document_response(created_key_document(created), 201, location)


def _known_form(key_id: str) -> str:
    if "\0" in key_id:
        raise ApiKeyNotFoundError
    return key_id


def _found(record: ApiKeyRecord | None) -> ApiKeyRecord:
    if record is None:
        raise ApiKeyNotFoundError
    return record


def _days(days: int | None) -> timedelta | None:
    return timedelta(days=days) if days is not None else None
