"""What each problem means and what to do about it, for the pages that `type` of problem documents leads to."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field

from app.gateway.http.openapi import EXAMPLE_REQUEST_ID
from app.gateway.http.problems.problem import Document, ProblemError, title_of, type_of

EXAMPLE_PATH = "/tenants"


class Explanation(Document):
    """A kind of problem, explained."""

    type: str
    code: str
    title: str
    status: int = Field(description="The HTTP status.")
    meaning: str
    advice: str = Field(description="What to do.")
    example: dict[str, Any] = Field(description="A problem document.")
    is_of_operations: bool = Field(description="Whether only operations have this error, and no request.")


class ExplanationList(Document):
    """All kinds of problems, by status and code."""

    problems: tuple[Explanation, ...]


def problem_kinds() -> dict[str, type[ProblemError]]:
    """Return the kinds of problems that this process knows, by their code."""
    found: dict[str, type[ProblemError]] = {}
    for kind in _subclasses(ProblemError):
        if kind.__module__.startswith("app.") and "code" in vars(kind):
            found.setdefault(kind.code, kind)
    return found


@cache
def explanations() -> Mapping[str, Explanation]:
    """Return the explanations by code."""
    texts = _texts("explanations.yaml")
    found = [_of_kind(kind, texts[code]) for code, kind in problem_kinds().items() if code in texts]
    found += [_of_operations(code, text) for code, text in _texts("operation_errors.yaml").items()]
    return {one.code: one for one in sorted(found, key=lambda one: (one.status, one.code))}


def _subclasses(kind: type[ProblemError]) -> Iterator[type[ProblemError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _texts(name: str) -> dict[str, dict[str, Any]]:
    texts: dict[str, dict[str, Any]] = yaml.safe_load((files(__package__) / name).read_text())
    return texts


def _of_kind(kind: type[ProblemError], text: Mapping[str, Any]) -> Explanation:
    document = kind.example().document(instance=EXAMPLE_PATH, request_id=EXAMPLE_REQUEST_ID)
    example = json.loads(document.model_dump_json())
    return _explanation(kind.code, kind.status, text, example, is_of_operations=False)


def _of_operations(code: str, text: Mapping[str, Any]) -> Explanation:
    example = {
        "type": type_of(code),
        "title": title_of(code),
        "status": text["status"],
        "detail": text["meaning"].partition(". ")[0].rstrip("."),
        "code": code,
    }
    return _explanation(code, text["status"], text, example, is_of_operations=True)


def _explanation(
    code: str, status: int, text: Mapping[str, Any], example: dict[str, Any], *, is_of_operations: bool
) -> Explanation:
    return Explanation(
        type=type_of(code),
        code=code,
        title=title_of(code),
        status=status,
        meaning=text["meaning"],
        advice=text["advice"],
        example=example,
        is_of_operations=is_of_operations,
    )
