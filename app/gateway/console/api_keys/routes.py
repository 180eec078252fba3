"""Pages of API keys."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.keys.management import CreatedKey, KeyManagement, KeyOrder
from app.auth.keys.records import ApiKeyRecord, KeyState
from app.auth.scopes import DEFAULT_SCOPES, MEANINGS, Scope, in_order
from app.auth.sessions.sessions import Sessions
from app.database import database_errors
from app.gateway.access.problems import OtherTenantIdError
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm, number_of, validated
from app.gateway.console.rendering import page, see_other
from app.gateway.console.sign_in.cookies import SESSION
from app.gateway.http.dependencies import service
from app.gateway.keys.documents import (
    DEFAULT_OVERLAP_HOURS,
    NewApiKeyRequest,
    RotateRequest,
    created_key_document,
    key_document,
)
from app.gateway.keys.parameters import KeyId, KeyManager, Keys
from app.gateway.keys.problems import key_problems

CREATE_FIELDS = ("name", "scopes", "tenantId", "expiresInDays")
ROTATE_FIELDS = ("overlapHours", "expiresInDays")

router = APIRouter(prefix="/api-keys", route_class=ConsoleRoute)

SessionsService = Annotated[Sessions, service(Sessions)]


@router.get("")
async def list_keys(request: Request, requester: KeyManager, keys: Keys) -> Response:
    """Show the keys, newest first: those that can be used, and then the others."""
    with database_errors():
        records = await keys.all(requester)
    documents = [key_document(record) for record in reversed(records)]
    return page(
        request,
        "api_keys/list.html",
        usable=[key for key in documents if key.state is KeyState.ACTIVE],
        others=[key for key in documents if key.state is not KeyState.ACTIVE],
    )


@router.get("/new")
async def show_new(request: Request, requester: KeyManager) -> Response:
    """Show the form of a new key."""
    return _new_page(request, requester, Form())


@router.post("")
async def create_key(request: Request, requester: KeyManager, keys: Keys, form: SubmittedForm) -> Response:
    """Create a key and show it, this once."""
    attempt = Attempt(request)
    with attempt:
        wanted = validated(
            NewApiKeyRequest,
            {
                "name": form["name"],
                "scopes": form.chosen("scopes"),
                "tenantId": form["tenantId"] or None,
                "expiresInDays": number_of(form["expiresInDays"]) if form["expiresInDays"] else None,
            },
        )
        order = KeyOrder(wanted.name, wanted.scopes, wanted.tenant_id, wanted.expires_in)
        with key_problems(OtherTenantIdError):
            return _created_page(request, await keys.create(order, requester))
    shown = form.rejected(attempt.problem, fields=CREATE_FIELDS)
    return _new_page(request, requester, shown, attempt.problem.status)


@router.get("/{key_id}")
async def show_key(
    request: Request, requester: KeyManager, keys: Keys, sessions: SessionsService, key_id: KeyId
) -> Response:
    """Show a key."""
    record = await _find(keys, key_id, requester)
    return page(request, "api_keys/key.html", **_context(request, sessions, requester, record))


@router.get("/{key_id}/rotate")
async def show_rotation(
    request: Request, requester: KeyManager, keys: Keys, sessions: SessionsService, key_id: KeyId
) -> Response:
    """Show what a rotation does, and ask how long the old key works."""
    record = await _find(keys, key_id, requester)
    return page(request, "api_keys/rotate.html", form=Form(), **_context(request, sessions, requester, record))


@router.post("/{key_id}/rotate")
async def rotate_key(  # noqa: PLR0917 - of the request
    request: Request,
    requester: KeyManager,
    keys: Keys,
    sessions: SessionsService,
    key_id: KeyId,
    form: SubmittedForm,
) -> Response:
    """Replace a key, and show the new one, this once."""
    record = await _find(keys, key_id, requester)
    attempt = Attempt(request)
    with attempt:
        given = {name: number_of(form[name]) for name in ROTATE_FIELDS if form[name]}
        wanted = validated(RotateRequest, given)
        overlap = timedelta(hours=wanted.overlap_hours)
        with key_problems():
            created = await keys.rotate(key_id, requester, overlap=overlap, expires_in=wanted.expires_in)
        return _created_page(request, created, replaced=key_document(await _find(keys, key_id, requester)))
    shown = form.rejected(attempt.problem, fields=ROTATE_FIELDS)
    context = _context(request, sessions, requester, record)
    return page(request, "api_keys/rotate.html", attempt.problem.status, form=shown, **context)


@router.get("/{key_id}/revoke")
async def show_revocation(
    request: Request, requester: KeyManager, keys: Keys, sessions: SessionsService, key_id: KeyId
) -> Response:
    """Show what stops working."""
    record = await _find(keys, key_id, requester)
    return page(request, "api_keys/revoke.html", **_context(request, sessions, requester, record))


@router.post("/{key_id}/revoke")
async def revoke_key(
    request: Request, requester: KeyManager, keys: Keys, sessions: SessionsService, key_id: KeyId
) -> Response:
    """Revoke a key. The page that follows asks for a sign-in if the session was that key's."""
    with key_problems():
        await keys.revoke(key_id, requester)
    sessions.forget_key(key_id)
    return see_other(request, f"/api-keys/{key_id}")


async def _find(keys: KeyManagement, key_id: str, requester: Requester) -> ApiKeyRecord:
    with key_problems():
        return await keys.find(key_id, requester)


def _context(request: Request, sessions: Sessions, requester: Requester, record: ApiKeyRecord) -> dict[str, Any]:
    key = key_document(record)
    return {
        "key": key,
        "identity": f"key:{record.caller_id}",
        "meanings": MEANINGS,
        "is_own": sessions.key_id(SESSION.read(request) or "") == record.key_id,
        # A weak key can't put a stronger one out of service.
        "missing": in_order(frozenset(key.scopes) - requester.caller.scopes),
        "overlap_hours": DEFAULT_OVERLAP_HOURS,
    }


def _new_page(request: Request, requester: Requester, form: Form, status: int = 200) -> Response:
    held = in_order(requester.caller.scopes)
    return page(
        request,
        "api_keys/new.html",
        status,
        form=form,
        scopes=[(scope, MEANINGS[scope]) for scope in held],
        checked=_among(held, DEFAULT_SCOPES),
    )


def _among(held: Sequence[Scope], wanted: frozenset[Scope]) -> list[Scope]:
    return [scope for scope in held if scope in wanted]


def _created_page(request: Request, created: CreatedKey, **context: Any) -> Response:
    return page(
        request, "api_keys/created.html", 201, **{"key": created_key_document(created), "replaced": None, **context}
    )
