"""Problems with requests that read tenants."""

from collections.abc import Sequence

from app.gateway.http.problems.problem import ProblemError

MAX_NAMED_TABLES = 5


class UnreadableTablesError(ProblemError):
    """The gateway's role may not read tables that the response needs."""

    status, code = 501, "database-rights-missing"
    example_arguments = ("alga_tenants_gateway", "public", ("tickets",))

    def __init__(self, role: str, schema: str, tables: Sequence[str]) -> None:
        """All names are quoted for SQL."""
        listed = ", ".join(tables[:MAX_NAMED_TABLES])
        source, more = listed, ""
        if len(tables) > MAX_NAMED_TABLES:
            source, more = f"ALL TABLES IN SCHEMA {schema}", f" and {len(tables) - MAX_NAMED_TABLES} more tables"
        super().__init__(
            f"The gateway's database role may not read {listed}{more}. An administrator of the database can run: "
            f"GRANT SELECT ON {source} TO {role}; docs/security.md has SQL for fewer rights"
        )


class FootprintTimeoutError(ProblemError):
    """The rows of the tenant could not be counted in time."""

    status, code = 504, "footprint-timeout"
    example_arguments = (50,)

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"Counting took longer than {seconds:g} s: the tenant is large, or the database is busy or locked. Retry "
            "when it is less busy"
        )
