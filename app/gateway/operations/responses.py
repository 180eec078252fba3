"""Answers made of documents, with the headers that go with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from starlette.responses import Response

from app.gateway.http.responses import document_response, entity_tag, is_known
from app.gateway.operations.schemas import OperationList, StatusDocument
from workflows.operations.messages import OperationStatus

POLL_SECONDS = 1
ATTENTION_SECONDS = 30


def accepted(document: StatusDocument) -> Response:
    """202, with where and when to look next."""
    headers = {"Location": document.links.self, **retry_after(document)}
    return document_response(document, 202, headers)


def changed(document: StatusDocument) -> Response:
    """200 with the operation as it now is."""
    return document_response(document, 200, retry_after(document))


def listed(page: OperationList) -> Response:
    """200 with a page of operations."""
    return document_response(page)


@dataclass(frozen=True)
class EncodedDocument:
    """A status document as it is sent, so that one that never changes is made once."""

    body: bytes
    headers: Mapping[str, str]

    @classmethod
    def of(cls, document: StatusDocument) -> Self:
        """The document as JSON with its ETag and when to look again."""
        body = document.model_dump_json().encode()
        return cls(body, {"ETag": f'"{entity_tag(body)}"', **retry_after(document)})


def conditional(document: EncodedDocument, if_none_match: Sequence[str]) -> Response:
    """200, or 304 where the caller has this very document.

    `no-store` binds caches; a program that polls may well keep the ETag beside what it shows.
    """
    if is_known(document.headers["ETag"], if_none_match):
        return Response(status_code=304, headers=document.headers)
    return Response(document.body, headers=document.headers, media_type="application/json")


def retry_after(document: StatusDocument) -> dict[str, str]:
    """The header that says when to look again; none once the operation has ended."""
    if document.has_ended:
        return {}
    needs_people = document.status is OperationStatus.NEEDS_ATTENTION
    return {"Retry-After": str(ATTENTION_SECONDS if needs_people else POLL_SECONDS)}
