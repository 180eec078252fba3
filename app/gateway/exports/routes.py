"""Routes of exports and restores of tenants."""

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.directory.parameters import PageToken, TenantPathId
from app.gateway.exports.content import ExportContent
from app.gateway.exports.exports import Exports
from app.gateway.exports.parameters import (
    Exporter,
    ExportId,
    Filter,
    IfRange,
    Presigned,
    Range,
    Restorer,
    Table,
)
from app.gateway.exports.problems import (
    ExportIncompleteError,
    ExportPartNotFoundError,
    ExportRemovedError,
    ExportsNotConfiguredError,
    PresignedUnavailableError,
)
from app.gateway.exports.responses import TAR, ZSTD, part_response, tar_response
from app.gateway.exports.restores import Restores
from app.gateway.exports.schemas import (
    ExportBody,
    ExportDetails,
    ExportList,
    PresignedDocument,
    RestoreBody,
)
from app.gateway.http.concurrency import slot_of
from app.gateway.http.dependencies import service
from app.gateway.http.openapi import COMMON_PROBLEMS, CONDITIONAL, LOCATION, RETRY_AFTER, Responses, problems
from app.gateway.http.parameters import DEFAULT_PAGE_SIZE, IfNoneMatch, PageSize
from app.gateway.http.problems.request_problems import (
    BadOnBehalfOfError,
    DatabaseOutageError,
    ExportStorageOutageError,
    InvalidRequestError,
    OverloadedError,
    RangeNotSatisfiableError,
    RateLimitedError,
    TooManyDownloadsError,
    TooManyRequestsError,
)
from app.gateway.http.responses import conditional_response, document_response
from app.gateway.operations.parameters import Reader
from app.gateway.operations.problems import (
    ExportDamagedError,
    ExportNotFoundError,
    ManagementTenantError,
    TenantExistsError,
)
from app.gateway.operations.responses import accepted
from app.gateway.operations.routes import START_PROBLEMS
from app.gateway.operations.schemas import StatusDocument

router = APIRouter(
    tags=["exports"], route_class=AuthenticatedRoute, responses=problems(*COMMON_PROBLEMS, DatabaseOutageError)
)

ACCEPTED: Responses = {202: {"description": "The operation.", "headers": {**LOCATION, **RETRY_AFTER}}}
ARCHIVE_PROBLEMS = (
    ExportNotFoundError,
    ExportsNotConfiguredError,
    ExportIncompleteError,
    ExportRemovedError,
    ExportDamagedError,
    ExportStorageOutageError,
)
DOWNLOAD_PROBLEMS = (
    *ARCHIVE_PROBLEMS,
    BadOnBehalfOfError,
    RateLimitedError,
    TooManyRequestsError,
    TooManyDownloadsError,
    OverloadedError,
)
BINARY = {"type": "string", "format": "binary"}
ETAG = {"ETag": {"description": "The SHA-256 of the file.", "schema": {"type": "string"}}}
RANGES = {**ETAG, "Accept-Ranges": {"description": "`bytes`.", "schema": {"type": "string"}}}
CONTENT_RANGE = {
    "Content-Range": {"description": "The range, and the size of the part.", "schema": {"type": "string"}}
}
PART: Responses = {
    200: {
        "description": "The part: a CSV, compressed with zstd. With `presigned`, a link to it.",
        "headers": RANGES,
        "content": {
            ZSTD: {"schema": BINARY},
            "application/json": {"schema": PresignedDocument.model_json_schema(mode="serialization")},
        },
    },
    206: {
        "description": "The requested range of the part.",
        "headers": RANGES | CONTENT_RANGE,
        "content": {ZSTD: {"schema": BINARY}},
    },
    **problems(
        *DOWNLOAD_PROBLEMS,
        ExportPartNotFoundError,
        PresignedUnavailableError,
        RangeNotSatisfiableError,
        InvalidRequestError,
    ),
}
CONTENT: Responses = {
    200: {
        "description": "The files of the archive as a tar of known length.",
        "content": {TAR: {"schema": BINARY}},
    },
    **problems(*DOWNLOAD_PROBLEMS),
}
MANIFEST: Responses = {
    200: {
        "description": "`manifest.json` as it was written. Its SHA-256 is `manifestSha256` of the export.",
        "headers": ETAG,
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    **problems(*ARCHIVE_PROBLEMS),
}

ExportService = Annotated[Exports, service(Exports)]
Content = Annotated[ExportContent, service(ExportContent)]


@router.post(
    "/tenants/{id}/exports",
    summary="Export a tenant",
    status_code=202,
    response_model=StatusDocument,
    responses={**ACCEPTED, **problems(*START_PROBLEMS, ExportsNotConfiguredError)},
)
async def request_export(
    requester: Exporter,
    exports: ExportService,
    path_id: TenantPathId,
    body: Annotated[ExportBody | None, Body()] = None,
) -> Response:
    """Write all rows of the tenant, as they are at one moment, into an archive.

    The same request returns the operation that it started until that has ended.
    """
    operation = await exports.request(path_id, body or ExportBody(), requester)
    return accepted(operation.document)


@router.get(
    "/tenants/{id}/exports",
    summary="List a tenant's exports",
    response_model=ExportList,
    responses={**CONDITIONAL, **problems(TenantNotFoundError, InvalidRequestError)},
)
async def list_exports(  # noqa: PLR0917 - FastAPI passes them by name
    caller: Reader,
    exports: ExportService,
    path_id: TenantPathId,
    if_none_match: IfNoneMatch,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_token: PageToken = None,
) -> Response:
    """List the exports of a tenant, newest first, once a worker has begun them. A tenant may have been deleted."""
    page = await exports.page(caller, path_id, size=page_size, token=page_token)
    return conditional_response(page, if_none_match)


@router.get(
    "/exports",
    summary="List exports",
    response_model=ExportList,
    responses={**CONDITIONAL, **problems(InvalidRequestError)},
)
async def list_all_exports(  # noqa: PLR0917 - FastAPI passes them by name
    caller: Reader,
    exports: ExportService,
    wanted: Filter,
    if_none_match: IfNoneMatch,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_token: PageToken = None,
) -> Response:
    """List the exports of all tenants, newest first, once a worker has begun them; tenants may have been deleted."""
    page = await exports.page_of_all(caller, wanted, size=page_size, token=page_token)
    return conditional_response(page, if_none_match)


@router.get(
    "/exports/{id}",
    summary="Read an export",
    response_model=ExportDetails,
    responses=problems(ExportNotFoundError),
)
async def read_export(caller: Reader, exports: ExportService, export_id: ExportId) -> Response:
    """Return an export: how far it is, or what its archive holds."""
    return document_response(await exports.show(caller, export_id))


@router.delete(
    "/exports/{id}",
    summary="Remove an export",
    response_model=ExportDetails,
    responses=problems(
        BadOnBehalfOfError,
        ExportNotFoundError,
        ExportsNotConfiguredError,
        ExportIncompleteError,
        ExportStorageOutageError,
    ),
)
async def remove_export(requester: Exporter, exports: ExportService, export_id: ExportId) -> Response:
    """Remove the archive of a complete export before it expires. The request is safe to repeat."""
    return document_response(await exports.remove(export_id, requester))


@router.get(
    "/exports/{id}/manifest", summary="Fetch the manifest", response_class=StreamingResponse, responses=MANIFEST
)
async def fetch_manifest(caller: Reader, content: Content, export_id: ExportId) -> Response:
    """Return `manifest.json` of an archive byte by byte, which says what each part holds."""
    manifest, digest = await content.manifest(caller, export_id)
    return Response(manifest, headers={"ETag": f'"{digest}"'}, media_type="application/json")


@router.get(
    "/exports/{id}/parts/{table}",
    summary="Fetch the rows of a table",
    response_class=StreamingResponse,
    responses=PART,
)
async def fetch_part(  # noqa: PLR0917 - FastAPI passes them by name
    requester: Exporter,
    request: Request,
    content: Content,
    export_id: ExportId,
    table: Table,
    wanted: Range = None,
    if_range: IfRange = None,
    presigned: Presigned = False,
) -> Response:
    """Return the part of a table, or one range of it. The audit trail records each request."""
    if presigned:
        return document_response(await content.presigned(requester, export_id, table))
    slot_of(request).become_download()
    return part_response(request, await content.part(requester, export_id, table, wanted, if_range))


@router.get("/exports/{id}/content", summary="Fetch an archive", response_class=StreamingResponse, responses=CONTENT)
async def fetch_content(requester: Exporter, request: Request, content: Content, export_id: ExportId) -> Response:
    """Return the manifest and all parts as a tar. The audit trail records each request."""
    slot_of(request).become_download()
    return tar_response(request, export_id, await content.tar(requester, export_id))


@router.post(
    "/restores",
    summary="Restore a tenant",
    status_code=202,
    response_model=StatusDocument,
    responses={
        **ACCEPTED,
        **problems(
            *(problem for problem in START_PROBLEMS if problem is not TenantNotFoundError),
            ExportNotFoundError,
            ExportsNotConfiguredError,
            ExportIncompleteError,
            ExportRemovedError,
            ManagementTenantError,
            TenantExistsError,
        ),
    },
)
async def request_restore(
    requester: Restorer, restores: Annotated[Restores, service(Restores)], body: Annotated[RestoreBody, Body()]
) -> Response:
    """Write a deleted tenant back under its own id, all rows or none, from the archive of an export.

    The `result` has `rowsRestored`, the keys that were drawn anew because they were taken (`drawnAnew`), and the
    triggers that were disabled meanwhile (`disabledTriggers`). With `dryRun`, nothing is written, and the `result`
    says what would be restored and refused.

    The same request returns the operation that it started until that has ended.
    """
    operation = await restores.request(body, requester)
    return accepted(operation.document)
