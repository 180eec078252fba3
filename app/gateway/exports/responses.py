"""Responses that send files of archives while they are read."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.auth.scopes import Scope
from app.gateway.access.authenticated_route import authenticate_again
from app.gateway.exports.content import PartContent, TarContent
from app.gateway.http.streaming.streams import while_allowed

ZSTD = "application/zstd"
TAR = "application/x-tar"


def part_response(request: Request, content: PartContent) -> Response:
    """Return a part, or its requested range, which ends once the caller may no longer fetch it."""
    span, part = content.span, content.part
    headers = {"Accept-Ranges": "bytes", "ETag": content.tag}
    length = part.bytes
    if span is not None:
        headers["Content-Range"] = span.content_range
        length = span.end - span.start
    name = part.path.rpartition("/")[2]
    headers |= {"Content-Length": str(length), "Content-Disposition": f'attachment; filename="{name}"'}
    chunks = while_allowed(content.chunks, partial(authenticate_again, request, Scope.TENANTS_EXPORT))
    return StreamingResponse(chunks, 200 if span is None else 206, headers, ZSTD)


def tar_response(request: Request, export_id: object, content: TarContent) -> Response:
    """Return an archive as a tar, which ends once the caller may no longer fetch it."""
    headers = {
        "Content-Length": str(content.size),
        "Content-Disposition": f'attachment; filename="export-{export_id}.tar"',
    }
    chunks = while_allowed(content.chunks, partial(authenticate_again, request, Scope.TENANTS_EXPORT))
    return StreamingResponse(chunks, 200, headers, TAR)
