"""The gateway's OpenAPI document: problems under their own media type, and nothing that can't happen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from activities.tenants.request import TenantRequest
from app.gateway.problems import MEDIA_TYPE, Fault, Problem, problem_example, title_of

REF_TEMPLATE = "#/components/schemas/{model}"
FASTAPIS_OWN_ERRORS = ("HTTPValidationError", "ValidationError")

Responses = dict[int | str, dict[str, Any]]

RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until it is worth asking again.", "schema": {"type": "integer"}}
}
BODY_PROBLEMS = (
    "malformed-json",
    "json-too-deep",
    "json-too-long",
    "body-too-large",
    "unsupported-media-type",
    "invalid-request",
)
# What the route class and the layers around it answer before any handler.
COMMON_PROBLEMS = (
    "unauthorized",
    "scope-missing",
    "rate-limited",
    "too-many-requests",
    "headers-too-large",
    "internal-error",
    "overloaded",
    "identity-provider-unavailable",
)
RATE_LIMIT = {
    "RateLimit-Policy": {
        "description": "The limit: `q` requests in `w` seconds.",
        "schema": {"type": "string", "examples": ['"caller";q=30000;w=60']},
    },
    "RateLimit": {
        "description": "`r` requests are left now, all of them again after `t` seconds.",
        "schema": {"type": "string", "examples": ['"caller";r=29999;t=1']},
    },
}
LOCATION = {"Location": {"description": "Path of the status document.", "schema": {"type": "string"}}}


@dataclass(frozen=True)
class ProblemKind:
    """A problem as OpenAPI describes it."""

    status: int
    code: str
    detail: str
    errors: tuple[Fault, ...] | None = None


KINDS = (
    ProblemKind(400, "malformed-json", "the body is not JSON: Expecting value at character 12"),
    ProblemKind(400, "bad-idempotency-key", "Idempotency-Key must be 1 to 255 visible ASCII characters"),
    ProblemKind(401, "unauthorized", "a valid API key is needed"),
    ProblemKind(400, "bad-on-behalf-of", "X-On-Behalf-Of must be 1 to 200 printable characters"),
    ProblemKind(403, "scope-missing", "this needs the scope tenants:create, which your key does not have"),
    ProblemKind(
        403, "scope-not-held", "you can't give, take over or revoke a scope that you don't have: keys:manage"
    ),
    ProblemKind(404, "tenant-not-found", "there is no such tenant; give the id of your own as `tenantId`"),
    ProblemKind(404, "api-key-not-found", "there is no API key of that id"),
    ProblemKind(
        409,
        "api-key-unusable",
        "the key was revoked, has expired or is forged, so it can't be rotated; make a new one",
    ),
    ProblemKind(404, "not-found", "there is nothing at this path"),
    ProblemKind(404, "operation-not-found", "there is no operation of that workflow id"),
    ProblemKind(409, "operation-finished", "the operation has ended, so there is nothing to cancel"),
    ProblemKind(409, "operation-committed", "the operation is committed, so it can't be cancelled"),
    ProblemKind(409, "deletion-required", "to delete the tenant: POST /tenants/{id}/deletion"),
    ProblemKind(409, "operation-kind-unknown", "this release can only show operations of kind tenant_merge"),
    ProblemKind(409, "operation-stopping", "the operation is being stopped"),
    ProblemKind(
        409,
        "parameter-used",
        "the operation is committed; its parameters can't be changed any more",
    ),
    ProblemKind(409, "tenant-exists", "tenantId is taken", (Fault(field="tenantId", detail="is taken"),)),
    ProblemKind(400, "json-too-deep", "the body is nested deeper than 32 levels"),
    ProblemKind(400, "json-too-long", "the body has more than 200 values"),
    ProblemKind(413, "body-too-large", "the body is larger than 262144 bytes"),
    ProblemKind(415, "unsupported-media-type", "the body must be sent as `Content-Type: application/json`"),
    ProblemKind(
        422, "invalid-request", "one field is wrong; see errors", (Fault(field="tenantName", detail="is required"),)
    ),
    ProblemKind(
        422,
        "unknown-billing-plan",
        "billingPlan is not one of: Standard",
        (Fault(field="billingPlan", detail="is not one of: Standard"),),
    ),
    ProblemKind(422, "idempotency-key-reused", "this Idempotency-Key was used for another request"),
    ProblemKind(
        422,
        "payload-unreadable",
        "payloads.0: a payload of key '2026-11' was changed or cut short",
        (Fault(field="payloads.0", detail="a payload of key '2026-11' was changed or cut short"),),
    ),
    ProblemKind(429, "rate-limited", "you ask too often; try again in 2 s"),
    ProblemKind(429, "too-many-requests", "500 of your requests are in progress; try again"),
    ProblemKind(429, "too-many-streams", "you have 200 event streams; end one of them"),
    ProblemKind(431, "headers-too-large", "request line and headers are larger than 32768 bytes"),
    ProblemKind(500, "internal-error", "the gateway failed; quote the request id when asking for help"),
    ProblemKind(
        502, "operation-unreadable", "Temporal has the operation, but it can't be read: its memo was changed"
    ),
    ProblemKind(503, "overloaded", "the gateway is working on 1000 requests; try again"),
    ProblemKind(503, "worker-unavailable", "no worker took the change in time"),
    ProblemKind(503, "temporal-unavailable", "Temporal does not answer; try again"),
    ProblemKind(503, "database-unavailable", "the database does not answer; try again"),
    ProblemKind(503, "identity-provider-unavailable", "the identity provider does not answer; try again"),
    ProblemKind(504, "start-uncertain", "neither Temporal nor the database answered; look before you send it again"),
)
CHALLENGE = {
    "WWW-Authenticate": {
        "description": "`Bearer`, and for tokens what is wrong with them or is missing (RFC 6750).",
        "schema": {"type": "string"},
    }
}
_HEADERS = {
    401: CHALLENGE,
    403: CHALLENGE,
    429: RETRY_AFTER | RATE_LIMIT,
    503: RETRY_AFTER,
}


def problems(*codes: str) -> Responses:
    """The entries of a route's `responses` for these kinds of problem."""
    wanted = [next(kind for kind in KINDS if kind.code == code) for code in codes]
    return {status: _entry(list(kinds)) for status, kinds in groupby(sorted(wanted, key=_status), key=_status)}


def _status(kind: ProblemKind) -> int:
    return kind.status


def _entry(kinds: list[ProblemKind]) -> dict[str, Any]:
    content = {
        "schema": {"$ref": REF_TEMPLATE.format(model=Problem.__name__)},
        "examples": {
            kind.code: {"value": problem_example(kind.status, kind.code, kind.detail, kind.errors)} for kind in kinds
        },
    }
    entry: dict[str, Any] = {
        "description": "; ".join(title_of(kind.code) for kind in kinds),
        "content": {MEDIA_TYPE: content},
    }
    if kinds[0].status in _HEADERS:
        entry["headers"] = _HEADERS[kinds[0].status]
    return entry


class DocumentedApp(FastAPI):
    """An app whose OpenAPI document is the one described above.

    `billing_plans` are the names that `billingPlan` may have, by product.
    """

    billing_plans: Mapping[str, Sequence[str]] = MappingProxyType({})

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _document(self, self.billing_plans)
        return self.openapi_schema


def _document(app: FastAPI, billing_plans: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = document["components"]["schemas"]
    problem = Problem.model_json_schema(mode="serialization", ref_template=REF_TEMPLATE)
    schemas.update(problem.pop("$defs"))
    schemas[Problem.__name__] = problem
    schemas[TenantRequest.__name__]["allOf"] = [_plans_of(*item) for item in billing_plans.items()]
    for name in FASTAPIS_OWN_ERRORS:
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            _drop_fastapis_own_error(operation["responses"])
    return document


def _plans_of(product_code: str, names: Sequence[str]) -> dict[str, Any]:
    """The rule that a request for the product names one of its plans, or none."""
    is_product: dict[str, Any] = {"properties": {"productCode": {"const": product_code}}}
    if product_code != TenantRequest.model_fields["product_code"].default:
        is_product["required"] = ["productCode"]
    return {"if": is_product, "then": {"properties": {"billingPlan": {"enum": [*names, None]}}}}


def _drop_fastapis_own_error(responses: dict[str, Any]) -> None:
    """FastAPI adds a 422 to every route with a parameter, also where nothing is refused."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
