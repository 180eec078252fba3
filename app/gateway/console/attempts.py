"""What a form asks for, and the problem if it was not done."""

from types import TracebackType

from starlette.requests import Request

from app.gateway.access.authenticated_route import record_denial
from app.gateway.expected_errors import EXPECTED_ERRORS, problem_of
from app.gateway.http.problems.problem import ProblemError


class Attempt:
    """A block whose expected errors are kept, so that the form can be shown again with them.

    The block returns the response if it succeeds. What follows it shows `problem`. Denials are audited.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._problem: ProblemError | None = None

    @property
    def problem(self) -> ProblemError:
        """The problem; only for use after the block has failed."""
        if self._problem is None:
            raise ValueError("the attempt has not failed")
        return self._problem

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Keep an expected error."""
        if not isinstance(error, EXPECTED_ERRORS):
            return False
        self._problem = problem_of(error)
        record_denial(self._request, self._problem)
        return True
