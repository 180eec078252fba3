"""The routes of API keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body, Path, Security
from pydantic import AfterValidator
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.keys.management import (
    CreatedKey,
    KeyManagement,
    KeyNotFoundError,
    KeyOrder,
    OtherTenantError,
    ScopeNotHeldError,
    UnusableKeyError,
)
from app.auth.scopes import Scope
from app.database import database_errors
from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.access.parameters import current_requester
from app.gateway.access.problems import OtherTenantIdError, TenantNotFoundError
from app.gateway.http.dependencies import service
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, Responses, problems
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.request_problems import BadOnBehalfOfError, DatabaseOutageError, ScopeMissingError
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
Keys = Annotated[KeyManagement, service(KeyManagement)]

LOCATION = {"Location": {"description": "Path of the new key.", "schema": {"type": "string"}}}
CREATED: Responses = {201: {"description": "The key, this once.", "headers": LOCATION}}


def _check_key_id(key_id: str) -> str:
    # PostgreSQL has no NUL in texts.
    if "\0" in key_id:
        raise ApiKeyNotFoundError
    return key_id


KeyId = Annotated[
    str, Path(description="The id in the list of keys.", examples=["Qm3ZxT8bLw2K"]), AfterValidator(_check_key_id)
]


@router.post(
    "",
    summary="Create an API key",
    status_code=201,
    response_model=CreatedApiKeyDocument,
    responses={**CREATED, **problems(*BODY_PROBLEMS, ScopeMissingError, ScopeEscalationError, TenantNotFoundError)},
)
async def create_key(
    requester: KeyManager,
    keys: Keys,
    wanted: Annotated[NewApiKeyRequest, Body()],
) -> Response:
    """Create a key and show its secret, this once. It can have only scopes that the caller has."""
    order = KeyOrder(wanted.name, wanted.scopes, wanted.tenant_id, wanted.expires_in)
    with _key_problems(OtherTenantIdError):
        return _created(await keys.create(order, requester))


@router.get("", summary="List API keys", response_model=ApiKeyList)
async def list_keys(requester: KeyManager, keys: Keys) -> Response:
    """Show all keys, oldest first, including unusable ones, but never their secrets.

    A key with the state `forged` can't be used: its row was not written by this service, or was changed since.
    """
    with database_errors():
        records = await keys.all(requester)
    return document_response(ApiKeyList(keys=tuple(key_document(record) for record in records)))


@router.get(
    "/{key_id}", summary="Read an API key", response_model=ApiKeyDocument, responses=problems(ApiKeyNotFoundError)
)
async def read_key(requester: KeyManager, keys: Keys, key_id: KeyId) -> Response:
    """Show one key, but not its secret."""
    with _key_problems():
        return document_response(key_document(await keys.find(key_id, requester)))


@router.delete(
    "/{key_id}",
    summary="Revoke an API key",
    response_model=ApiKeyDocument,
    responses=problems(ApiKeyNotFoundError, ScopeMissingError, ScopeEscalationError),
)
async def revoke_key(requester: KeyManager, keys: Keys, key_id: KeyId) -> Response:
    """Revoke a key. Gateways stop accepting it within seconds. Repeating the request changes nothing.

    The caller needs the key's scopes, so that a weak key can't put a stronger one out of service.
    """
    with _key_problems():
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
async def rotate_key(
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
    with _key_problems():
        return _created(await keys.rotate(key_id, requester, overlap=overlap, expires_in=wanted.expires_in))


@contextmanager
def _key_problems(of_other_tenant: type[ProblemError] = ApiKeyNotFoundError) -> Iterator[None]:
    """Turn errors of `KeyManagement` into problems."""
    try:
        with database_errors():
            yield
    except ScopeNotHeldError as error:
        raise ScopeEscalationError(str(error)) from None
    except OtherTenantError:
        raise of_other_tenant(is_denial=True) from None
    except KeyNotFoundError:
        raise ApiKeyNotFoundError from None
    except UnusableKeyError:
        raise ApiKeyUnusableError from None


def _created(created: CreatedKey) -> Response:
    location = {"Location": f"{PREFIX}/{created.record.key_id}"}
    return document_response(created_key_document(created), 201, location)
