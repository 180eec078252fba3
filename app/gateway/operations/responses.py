"""Answers made of documents, with the headers that go with them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel
from starlette.responses import Response

from app.gateway.operations.schemas import CreatedDocument, OperationList, StatusDocument
from workflows.operations.messages import OperationStatus

POLL_SECONDS = 1
ATTENTION_SECONDS = 30


def accepted(document: StatusDocument) -> Response:
    """202, with where and when to look next."""
    headers = {"Location": document.links.self, **retry_after(document)}
    return document_response(document, 202, headers)


def created(document: CreatedDocument, waited: int | None) -> Response:
    """202, or 201 where the caller has waited and the tenant is complete."""
    headers = {"Location": document.links.self, **retry_after(document)}
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited}"
    is_complete = waited is not None and document.status is OperationStatus.COMPLETED
    return document_response(document, 201 if is_complete else 202, headers)


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


def entity_tag(body: bytes) -> str:
    """What tells this document from another state of it; an ETag has quotes around it."""
    return hashlib.sha256(body).hexdigest()[:32]


def retry_after(document: StatusDocument) -> dict[str, str]:
    """The header that says when to look again; none once the operation has ended."""
    if document.has_ended:
        return {}
    needs_people = document.status is OperationStatus.NEEDS_ATTENTION
    return {"Retry-After": str(ATTENTION_SECONDS if needs_people else POLL_SECONDS)}


def document_response(document: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The document as JSON."""
    return Response(document.model_dump_json(), status, headers, "application/json")


def is_known(etag: str, if_none_match: Sequence[str]) -> bool:
    """Whether one of the header's lines names the ETag, by the weak comparison of RFC 9110 for If-None-Match."""
    given = {tag.strip().removeprefix("W/") for line in if_none_match for tag in line.split(",")}
    return "*" in given or etag in given
