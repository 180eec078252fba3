"""Responses with the documents of operations, and their headers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Self

from starlette.responses import Response

from app.gateway.http.responses import document_response, entity_tag, is_known
from app.gateway.operations.schemas import StatusDocument
from workflows.operations.statuses import OperationStatus

POLL_SECONDS = 1
# While a person has to act, and while an operation waits for days.
ATTENTION_SECONDS = 30
WAITING_SECONDS = 60


@dataclass(frozen=True)
class EncodedDocument:
    """A status document as it is sent. `tag` is its ETag without the quotes."""

    body: bytes
    tag: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, document: StatusDocument) -> Self:
        """Encode a document."""
        body = document.model_dump_json().encode()
        tag = entity_tag(body)
        return cls(body, tag, {"ETag": f'"{tag}"', **retry_after(document)})


def accepted(document: StatusDocument) -> Response:
    """Return a 202 response with the status document and its path."""
    return document_response(document, 202, {"Location": document.links.self, **retry_after(document)})


def started(document: StatusDocument, waited: int | None, *, completed: int) -> Response:
    """Return the response with status `completed` if the caller waited for the end, else with 202."""
    headers = {"Location": document.links.self, **retry_after(document), **preference_applied(waited)}
    is_complete = waited is not None and document.status is OperationStatus.COMPLETED
    return document_response(document, completed if is_complete else 202, headers)


def preference_applied(waited: int | None) -> dict[str, str]:
    """Return the header that says how long the caller preferred to wait."""
    return {"Preference-Applied": f"wait={waited}"} if waited is not None else {}


def conditional(document: EncodedDocument, if_none_match: Sequence[str]) -> Response:
    """Return the document, or a 304 response if the client has it already.

    The header `no-store` applies to caches. A polling client may keep the ETag with the document that it shows.
    """
    if is_known(document.headers["ETag"], if_none_match):
        return Response(status_code=304, headers=document.headers)
    return Response(document.body, headers=document.headers, media_type="application/json")


def retry_after(document: StatusDocument) -> dict[str, str]:
    """Return the header with the seconds until the next poll; none once the operation has ended."""
    if document.has_ended:
        return {}
    seconds = POLL_SECONDS
    if document.status in {OperationStatus.NEEDS_ATTENTION, OperationStatus.AWAITING_CONFIRMATION}:
        seconds = ATTENTION_SECONDS
    elif document.status is OperationStatus.WAITING and document.next_try_at is not None:
        left = (document.next_try_at - datetime.now(UTC)).total_seconds()
        seconds = max(POLL_SECONDS, min(WAITING_SECONDS, ceil(left)))
    return {"Retry-After": str(seconds)}
