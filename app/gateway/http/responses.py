"""JSON responses and their entity tags."""

import hashlib
from collections.abc import Mapping, Sequence

from pydantic import BaseModel
from starlette.responses import Response


def entity_tag(body: bytes) -> str:
    """Return the ETag of a document, without its quotes."""
    return hashlib.sha256(body).hexdigest()[:32]


def document_response(document: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with the document as JSON."""
    return Response(document.model_dump_json(), status, headers, "application/json")


def conditional_response(document: BaseModel, if_none_match: Sequence[str]) -> Response:
    """Return a response with the document and its ETag, or a 304 response if the client has it already."""
    body = document.model_dump_json().encode()
    etag = f'"{entity_tag(body)}"'
    if is_known(etag, if_none_match):
        return Response(status_code=304, headers={"ETag": etag})
    return Response(body, headers={"ETag": etag}, media_type="application/json")


def is_known(etag: str, if_none_match: Sequence[str]) -> bool:
    """Return whether `If-None-Match` contains the ETag, by the weak comparison of RFC 9110."""
    tags = {tag.strip().removeprefix("W/") for line in if_none_match for tag in line.split(",")}
    return "*" in tags or etag in tags
