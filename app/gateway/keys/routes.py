"""The routes of API keys."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from app.auth.keys.management import CreatedKey, KeyOrder
from app.database import database_errors
from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.access.problems import OtherTenantIdError, TenantNotFoundError
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, CONDITIONAL, Responses, problems
from app.gateway.http.parameters import IfNoneMatch
from app.gateway.http.problems.request_problems import BadOnBehalfOfError, DatabaseOutageError, ScopeMissingError
from app.gateway.http.responses import conditional_response, document_response
from app.gateway.keys.documents import (
    ApiKeyDocument,
    ApiKeyList,
    CreatedApiKeyDocument,
    NewApiKeyRequest,
    RotateRequest,
    created_key_document,
    key_document,
)
from app.gateway.keys.parameters import KeyId, KeyManager, Keys
from app.gateway.keys.problems import ApiKeyNotFoundError, ApiKeyUnusableError, ScopeEscalationError, key_problems

PREFIX = "/api-keys"

router = APIRouter(
    prefix=PREFIX,
    tags=["API keys"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, BadOnBehalfOfError, DatabaseOutageError),
)

LOCATION = {"Location": {"description": "Path of the new key.", "schema": {"type": "string"}}}
CREATED: Responses = {201: {"description": "The key, this once.", "headers": LOCATION}}


@router.post(
    "",
    summary="Create an API key",
    status_code=201,
    response_model=CreatedApiKeyDocument,
    responses={**CREATED, **problems(*BODY_PROBLEMS, ScopeMissingError, ScopeEscalationError, TenantNotFoundError)},
)
async def create_api_key(
    requester: KeyManager,
    keys: Keys,
    wanted: Annotated[NewApiKeyRequest, Body()],
) -> Response:
    """Create a key and show its secret, this once. It can have only scopes that the caller has."""
    order = KeyOrder(wanted.name, wanted.scopes, wanted.tenant_id, wanted.expires_in)
    with key_problems(OtherTenantIdError):
        return _created(await keys.create(order, requester))


@router.get("", summary="List API keys", response_model=ApiKeyList, responses=CONDITIONAL)
async def list_api_keys(requester: KeyManager, keys: Keys, if_none_match: IfNoneMatch) -> Response:
    """Show all keys, oldest first, including unusable ones, but never their secrets.

    A key with the state `forged` can't be used: its row was not written by this service, or was changed since.
    """
    with database_errors():
        records = await keys.all(requester)
    document = ApiKeyList(keys=tuple(key_document(record) for record in records))
    return conditional_response(document, if_none_match)


@router.get(
    "/{key_id}", summary="Read an API key", response_model=ApiKeyDocument, responses=problems(ApiKeyNotFoundError)
)
async def read_api_key(requester: KeyManager, keys: Keys, key_id: KeyId) -> Response:
    """Show one key, but not its secret."""
    with key_problems():
        return document_response(key_document(await keys.find(key_id, requester)))


@router.delete(
    "/{key_id}",
    summary="Revoke an API key",
    response_model=ApiKeyDocument,
    responses=problems(ApiKeyNotFoundError, ScopeMissingError, ScopeEscalationError),
)
async def revoke_api_key(requester: KeyManager, keys: Keys, key_id: KeyId) -> Response:
    """Revoke a key. Gateways stop accepting it within seconds. Repeating the request changes nothing.

    The caller needs the key's scopes, so that a weak key can't put a stronger one out of service.
    """
    with key_problems():
        return document_response(key_document(await keys.revoke(key_id, requester)))


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
async def rotate_api_key(
    requester: KeyManager,
    keys: Keys,
    key_id: KeyId,
    wanted: Annotated[RotateRequest | None, Body()] = None,
) -> Response:
    """Create a key that replaces another, with its name, scopes and tenant. Both work until the overlap ends.

    If a key rotates itself, both are the same caller, so that repeated requests find what they started with the old
    one. A key that another caller rotates becomes a caller of its own. The caller needs the key's scopes.
    """
    wanted = wanted or RotateRequest()
    overlap = timedelta(hours=wanted.overlap_hours)
    with key_problems():
        return _created(await keys.rotate(key_id, requester, overlap=overlap, expires_in=wanted.expires_in))


def _created(created: CreatedKey) -> Response:
    location = {"Location": f"{PREFIX}/{created.record.key_id}"}
    return document_response(created_key_document(created), 201, location)
