"""JSON responses and their entity tags."""

import hashlib
from collections.abc import Mapping, Sequence

from pydantic import BaseModel
from starlette.responses import Response


def entity_tag(body: bytes) -> str:
    """What tells this document from another state of it; an ETag has quotes around it."""
    return hashlib.sha256(body).hexdigest()[:32]


def document_response(document: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The document as JSON."""
    return Response(document.model_dump_json(), status, headers, "application/json")


def is_known(etag: str, if_none_match: Sequence[str]) -> bool:
    """Whether one of the header's lines names the ETag, by the weak comparison of RFC 9110 for If-None-Match."""
    given = {tag.strip().removeprefix("W/") for line in if_none_match for tag in line.split(",")}
    return "*" in given or etag in given
