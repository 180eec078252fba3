"""The remote codec, by which Temporal's UI and command line decrypt payloads."""

from typing import Annotated

from fastapi import APIRouter, Body, Security
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.authenticated_route import AuthenticatedRoute, Handler
from app.gateway.access.parameters import ON_BEHALF_OF_HEADER, current_requester
from app.gateway.codec.decoding import Decoding
from app.gateway.codec.documents import CodecPayloads
from app.gateway.codec.problems import PayloadUnreadableError
from app.gateway.http.dependencies import find_service, service
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, problems
from app.gateway.http.problems.request_problems import BadOnBehalfOfError, DatabaseOutageError, PathNotFoundError
from app.gateway.http.request_context import caller_of

# Temporal accepts payloads of 2 MiB, which become 2.7 MiB in base64.
MAX_CODEC_BODY_BYTES = 4 * 1024 * 1024


class CodecRoute(AuthenticatedRoute):
    """A route with large bodies: no work that grows with their size runs on the event loop."""

    max_body_bytes = MAX_CODEC_BODY_BYTES
    allows_unknown_parameters = True

    def check_body(self, body: bytes) -> None:
        """Leave the check to `Decoding.parse`, which does it in a thread."""

    def handler(self) -> Handler:
        """Return a handler without FastAPI, which would parse the body on the event loop."""

        async def handle(request: Request) -> Response:
            requester = await current_requester(request, caller_of(request), request.headers.get(ON_BEHALF_OF_HEADER))
            decoding = find_service(request, Decoding)
            payloads = await decoding.parse(await request.body())
            return await decode_payloads(requester, payloads, decoding)

        return handle


router = APIRouter(
    prefix="/codec",
    tags=["codec"],
    route_class=CodecRoute,
    responses=problems(*COMMON_PROBLEMS, DatabaseOutageError),
)


@router.post(
    "/decode",
    summary="Decrypt payloads",
    response_model=CodecPayloads,
    responses=problems(*BODY_PROBLEMS, BadOnBehalfOfError, PathNotFoundError, PayloadUnreadableError),
)
async def decode_payloads(
    requester: Annotated[Requester, Security(current_requester, scopes=[Scope.PAYLOADS_DECODE])],
    payloads: Annotated[CodecPayloads, Body()],
    decoding: Annotated[Decoding, service(Decoding)],
) -> Response:
    """Decrypt payloads as a remote codec of Temporal. Configure its UI with the URL without `/decode`.

    Each call is audited. There is no route to encode, because this gateway starts and signals operations itself.
    """
    return Response(await decoding.decode(payloads, requester), media_type="application/json")
