"""Problems with exports and restores of tenants."""

from app.gateway.http.problems.problem import ProblemError


class ExportPartNotFoundError(ProblemError):
    """The archive has no part of that name."""

    status, code = 404, "export-part-not-found"
    default_detail = "The export has no rows of a table with this name; its document lists its tables"


class ExportsNotConfiguredError(ProblemError):
    """The gateway has no store of archives."""

    status, code = 409, "exports-not-configured"
    default_detail = "EXPORT_URL is not set, so there is no place for exports"


class ExportIncompleteError(ProblemError):
    """The export is running, has failed or was cancelled, so that it has no archive."""

    status, code = 409, "export-incomplete"
    example_arguments = ("running",)

    def __init__(self, state: str) -> None:
        super().__init__(f"The export is {state}, so it has no archive")


class ExportRemovedError(ProblemError):
    """The archive of the export has expired or was removed."""

    status, code = 409, "export-removed"
    default_detail = "The archive of this export has expired or was removed; export the tenant again"


class PresignedUnavailableError(ProblemError):
    """The store of archives has no links."""

    status, code = 409, "presigned-unavailable"
    default_detail = "Exports are kept in a folder, for which there are no links; fetch the part without `presigned`"
