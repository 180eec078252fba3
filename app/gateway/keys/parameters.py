"""Parameters of the endpoints for API keys."""

from typing import Annotated

from fastapi import Path, Security
from pydantic import AfterValidator

from app.auth.callers import Requester
from app.auth.keys.management import KeyManagement
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.http.dependencies import service
from app.gateway.keys.problems import ApiKeyNotFoundError


def _check_key_id(key_id: str) -> str:
    # PostgreSQL has no NUL in texts.
    if "\0" in key_id:
        raise ApiKeyNotFoundError
    return key_id


KeyManager = Annotated[Requester, Security(current_requester, scopes=[Scope.KEYS_MANAGE])]
Keys = Annotated[KeyManagement, service(KeyManagement)]
KeyId = Annotated[str, Path(description="An `id` of `GET /api-keys`."), AfterValidator(_check_key_id)]
