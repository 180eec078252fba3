"""The kinds of problems, their examples, and the table of operation errors."""

from collections.abc import Iterator

import pytest

from app.gateway.access.parameters import MAX_PERSON_LENGTH
from app.gateway.access.problems import OtherTenantIdError
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.request_problems import (
    BadIdempotencyKeyError,
    BadOnBehalfOfError,
    FrameworkError,
    LimitExceededError,
    OutageError,
)
from app.gateway.operations.problems import problem_kind_of
from app.gateway.tenants.parameters import MAX_IDEMPOTENCY_KEY_LENGTH

# Classes without a code of their own.
OTHERS = {ProblemError, LimitExceededError, OutageError, OtherTenantIdError, FrameworkError}


def subclasses(kind: type[ProblemError]) -> Iterator[type[ProblemError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


KINDS = [kind for kind in subclasses(ProblemError) if kind not in OTHERS and kind.__module__.startswith("app.")]


def test_every_kind_has_its_own_code() -> None:
    codes = [kind.code for kind in KINDS]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_kind_has_an_example_with_a_detail(kind: type[ProblemError]) -> None:
    document = kind.example().document(instance="/tenants", request_id="1")
    assert (document.type, document.code) == (f"/problems/{kind.code}", kind.code)
    assert document.status == kind.status
    assert document.detail
    assert not document.detail.endswith(".")


def test_details_name_the_current_limits() -> None:
    assert f"1 to {MAX_IDEMPOTENCY_KEY_LENGTH} " in BadIdempotencyKeyError.default_detail
    assert f"1 to {MAX_PERSON_LENGTH} " in BadOnBehalfOfError.default_detail


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("duplicate-email", 409),
        ("tenant-exists", 409),
        ("operation-in-progress", 409),
        ("invalid-request", 422),
        ("unknown-billing-plan", 422),
        ("database-unavailable", 503),
        ("database-busy", 503),
        ("database-timeout", 503),
        ("database-read-only", 503),
        ("database-access-refused", 503),
        ("database-failure", 503),
        ("database-schema-incomplete", 503),
        ("pgbouncer-undeclared", 503),
        ("timeout", 503),
        ("data-refused", 500),
        ("constraint-violation", 500),
        ("of a later release", 500),
    ],
)
def test_an_operations_error_becomes_a_problem_with_this_status(code: str, status: int) -> None:
    assert problem_kind_of(code).status == status
