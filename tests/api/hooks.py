"""What Schemathesis needs to know about this API beyond its OpenAPI document; loaded by its own process."""

import atexit
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.generation.meta import CoveragePhaseData

from activities.webhooks.guard import MAX_URL_LENGTH
from tests.api.installation import is_stuck, loopback_url
from tests.api.trial import OWN_KEY_ID, REQUESTS_FILE, SHORT

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
CREATION = "POST /tenants"
ADDON = "PUT /tenants/{id}/addons/{key}"
WEBHOOKS = {"POST /webhooks", "PATCH /webhooks/{id}"}
EVENTS = "GET /operations/{id}/events"

# What others need, by the route that would take it away: dictionaries of ids.
NEEDED = {
    "POST /tenants/{id}/deletion": ("to_show",),
    "DELETE /exports/{id}": ("to_fetch", "to_restore"),
    "DELETE /webhooks/{id}": ("to_call", "to_rotate_secret"),
}

# Why valid requests may be rejected, by route, depending on the state.
UNTELLABLE = {
    CREATION: {
        "billing-incomplete",  # some fields need others
        "idempotency-key-reused",  # the key was used for another request
    },
    "PATCH /operations/{id}": {
        "unknown-billing-plan",  # the available plans depend on the operation's product
    },
}

# Kinds of systematic cases that were sent already, each a route, a parameter, and what is done to it.
systematic: set[tuple[str, ...]] = set()

# By route and phase.
requests: Counter[tuple[str, str]] = Counter()


@schemathesis.hook
def before_load_schema(_context: HookContext, document: dict[str, Any]) -> None:
    """Describe an event as Schemathesis reads it; the document has the schema of its data, for generated clients."""
    operation = document["paths"]["/operations/{id}/events"]["get"]
    content = operation["responses"]["200"]["content"]["text/event-stream"]
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": content.pop("schema")}
    fields = {"event": {"const": "status"}, "id": {"type": "string"}, "retry": {"type": "integer"}, "data": data}
    content["itemSchema"] = {"type": "object", "properties": fields, "required": list(fields)}


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Let valid webhooks lead to loopback, so that no other machine gets a request, and spare what others need."""
    if takes_away_what_others_need(case):
        # Examples are not filtered.
        case.path_parameters["id"] = str(uuid4())
    body: Any = case.body
    if case.operation.label in WEBHOOKS and isinstance(body, dict) and isinstance(url := body.get("url"), str):
        is_valid = case.meta is None or case.meta.generation.mode.is_positive
        if is_valid or (url.lower().startswith("http") and len(url) <= MAX_URL_LENGTH):
            body["url"] = loopback_url(hashlib.sha256(url.encode()).hexdigest())


@schemathesis.hook
def after_call(_context: HookContext, case: Case[Any], _response: Response) -> None:
    """Count the requests, including those that a check sends itself."""
    requests[case.operation.label, case.meta.phase.name if case.meta else "other"] += 1


@atexit.register
def write_requests() -> None:
    """Write the figures for the process that started this one."""
    Path(os.environ[REQUESTS_FILE]).write_text(json.dumps([[*key, count] for key, count in requests.items()]))


@schemathesis.hook
def filter_case(_context: HookContext, case: Case[Any]) -> bool:
    """Skip requests on the key of the run, on operations that never end, and to delete what others need.

    In a short run, also skip all but the first systematic case of a kind.
    """
    parameters = case.path_parameters or {}
    if case.operation.label == EVENTS:
        return not is_stuck(str(parameters.get("id")))
    if takes_away_what_others_need(case):
        return False
    if case.method.upper() not in SAFE_METHODS and parameters.get("key_id") == os.environ[OWN_KEY_ID]:
        return False
    return SHORT not in os.environ or is_first_of_its_kind(case)


def is_first_of_its_kind(case: Case[Any]) -> bool:
    """Return whether no systematic case came before that does the same to the same parameter of the route."""
    if case.meta is None or not isinstance(data := case.meta.phase.data, CoveragePhaseData):
        return True
    kind = (case.operation.label, data.scenario, str(data.parameter_location), str(data.parameter))
    is_first = kind not in systematic
    systematic.add(kind)
    return is_first


def takes_away_what_others_need(case: Case[Any]) -> bool:
    needed = NEEDED.get(case.operation.label, ())
    in_path = f'"{(case.path_parameters or {}).get("id")}"'
    return any(in_path in Path(f"{name}.txt").read_text() for name in needed)


@schemathesis.hook
def map_case(_context: HookContext, case: Case[Any]) -> Case[Any]:
    """Make most tenants of requests unique, because generated values often repeat, and let add-ons end later."""
    body: Any = case.body
    if case.operation.label == CREATION and case.meta and case.meta.generation.mode.is_positive:
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if int(digest, 16) % 4:
            body["adminUser"]["email"] = f"{digest[:32]}@acme.example"
            body.pop("tenantId", None)
            case.headers.pop("Idempotency-Key", None)
    if case.operation.label == ADDON and isinstance(body, dict) and isinstance(body.get("expiresAt"), str):
        # A schema can't require a time in the future.
        body["expiresAt"] = f"9{body['expiresAt'][1:]}"
    return case


@schemathesis.check
def refusal_is_one_that_no_schema_can_tell(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """A request that the schema allows gets a 422 only for known reasons."""
    if response.status_code != 422 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    problem = response.json()
    known = UNTELLABLE.get(case.operation.label, set())
    assert problem["code"] in known, f"the schema allows what is refused with {problem}"
