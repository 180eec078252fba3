"""The route by which Temporal's UI and command read what is encrypted (a remote codec)."""

from typing import Annotated

from fastapi import APIRouter, Body, Security
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.authenticated_route import AuthenticatedRoute
from app.gateway.codec_documents import CodecPayloads
from app.gateway.dependencies import ServicesDep, current_requester
from app.gateway.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, problems
from app.gateway.responses import document_response

router = APIRouter(
    prefix="/codec",
    tags=["codec"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, "database-unavailable"),
)


@router.post(
    "/decode",
    summary="Decrypt payloads",
    response_model=CodecPayloads,
    responses=problems(*BODY_PROBLEMS, "bad-on-behalf-of", "not-found", "payload-unreadable"),
)
async def decode_payloads(
    requester: Annotated[Requester, Security(current_requester, scopes=[Scope.PAYLOADS_DECODE])],
    payloads: Annotated[CodecPayloads, Body()],
    services: ServicesDep,
) -> Response:
    """Answer payloads in clear, as Temporal's remote codecs do; give its UI the address before `/decode`.

    Each call leaves an audit event. There is no encoding: operations are started and signalled through this gateway.
    """
    return document_response(await services.decoding.decode(payloads, requester))
